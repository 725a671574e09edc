//! A log that moves between two servers whose disks are one tape, step by step; and the same steps again over
//! whatever a crash of both has left.

use crate::common::*;
use crate::support::moving::*;
use crate::support::*;
use stafett_protocol::consent::Target;
use stafett_protocol::event::Body;
use stafett_protocol::ids::{PersonId, ScopeId};
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::{Cancellation, HomeAccept, Preparation, Tombstone, envelope_hash};
use stafett_protocol::wire::*;
use stafett_server::store::chain;
use stafett_tests::disk::{Folder, Recording};
use stafett_tests::vfs::watch;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What may happen, in some order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Prepare,
    Commit,
    /// The commit comes too late: the heads have gone on.
    Stale,
    Carry,
    /// A guardian ends the PPT's reading of the concern, wherever its home is just now.
    Withdraw,
    /// A guardian takes the consent to the move back.
    WithdrawMove,
    /// The new holder removes whoever must go, and writes.
    Write,
}

/// One act with all its bytes.
enum Work {
    Prepare(Preparation),
    Commit(Bundle),
    Stale(Bundle),
    Carry,
    Say(Bundle),
    Write(Bundle),
}

/// What the devices have been told.
#[derive(Default, Clone)]
struct Told {
    accepts: Vec<Signed<HomeAccept>>,
    tombstones: Vec<Signed<Tombstone>>,
}

/// Where everything stands on both disks.
#[derive(Default, Clone, Debug, PartialEq)]
pub struct Stands {
    /// Records of card and concern, at the old home and at the new one.
    seqs: [[u64; 2]; 2],
    homes: [(bool, bool); 2],
    /// What the new home has promised on heads that stand still: nothing may free it of that.
    bound: usize,
}

pub struct Played {
    works: Vec<(Work, Told, Stands)>,
    pub withdrawn: bool,
    pub moves: bool,
    begin: Stands,
}

impl Played {
    pub fn acts(&self) -> usize {
        self.works.len()
    }
}

const MOVING: [ScopeId; 2] = [CARD, CONCERN];

/// A log ready to leave, on two disks that are recorded from here on.
pub async fn recorded() -> (Leaving, Arc<Recording>) {
    let log = leaving(None, None).await;
    let (a, b) = (log.a.down().await, log.b.down().await);
    let mut base = BTreeMap::new();
    for (name, stopped) in [("a", &a), ("b", &b)] {
        for file in std::fs::read_dir(stopped.dir.path().join("home")).unwrap() {
            let file = file.unwrap();
            let title = file.file_name().into_string().unwrap();
            if title.starts_with("stafett.db") {
                base.insert(format!("{name}/{title}"), std::fs::read(file.path()).unwrap());
            }
        }
    }
    let tape = Arc::new(Recording::onto(base));
    for (name, stopped) in [("a", &a), ("b", &b)] {
        watch(&stopped.dir.path().join("home"), Arc::new(Folder { name, tape: Arc::clone(&tape) }));
    }
    (Leaving { a: a.up().await, b: b.up().await, ..log }, tape)
}

/// Plays the acts once; what each did to the disks is on the tape.
pub async fn play(mut log: Leaving, acts: &[Act], tape: &Recording) -> (Leaving, Played) {
    let mut played = Played {
        works: vec![],
        withdrawn: acts.contains(&Act::Withdraw),
        moves: !acts.contains(&Act::WithdrawMove),
        begin: stands(&log).await,
    };
    let (mut told, mut bundle) = (Told::default(), None);
    for act in acts {
        let work = match act {
            Act::Prepare => {
                let built = build(&log);
                let envelopes = built.envelopes.iter().take(2).cloned().collect();
                bundle = Some(built);
                Work::Prepare(log.preparation(Bundle { envelopes, letters: vec![] }))
            }
            Act::Commit => Work::Commit(bundle.clone().unwrap()),
            Act::Stale => Work::Stale(bundle.clone().unwrap()),
            Act::Carry => Work::Carry,
            Act::Withdraw => Work::Say(said(&mut log, Target::Unit(PPT_UNIT))),
            Act::WithdrawMove => {
                let moving = log.concern.state().grants.iter().find(|g| g.grant.moves_to.is_some()).unwrap().id;
                Work::Say(said(&mut log, Target::Grant(moving)))
            }
            Act::Write => Work::Write(written(&mut log)),
        };
        take(&log, &work, &mut told).await.unwrap_or_else(|why| panic!("{act:?}: {why}"));
        if *act == Act::Commit {
            log.applied(bundle.as_ref().unwrap());
        }
        tape.acknowledge();
        // What follows of itself is no loss of what was acknowledged.
        if *act == Act::Stale {
            freed(&log).await.unwrap();
        }
        played.works.push((work, told.clone(), stands(&log).await));
    }
    (log, played)
}

/// The handover's commits on the heads of now; those built on older heads are forgotten.
fn build(log: &Leaving) -> Bundle {
    let teacher = log.world.device(TEACHER);
    for chain in [&log.card, &log.concern, &log.journal] {
        use openmls_traits::OpenMlsProvider as _;
        chain.with_group(teacher, |group| group.clear_pending_commit(teacher.provider.storage()).unwrap());
    }
    log.bundle()
}

fn said(log: &mut Leaving, target: Target) -> Bundle {
    let mother = log.world.device(MOTHER);
    let statement = log.world.withdrawal(log.world.log(), CONCERN, target, MOTHER);
    let event = log.concern.event(mother, Body::Statement(statement));
    log.concern.submit_event(&log.world, mother, &event).unwrap();
    Bundle { envelopes: vec![envelope(mother, &event)], letters: vec![] }
}

fn written(log: &mut Leaving) -> Bundle {
    let teacher = log.world.device(HAUGESUND_TEACHER);
    let before = log.concern.records.len();
    log.concern.remove_listed(&log.world, teacher).unwrap();
    log.concern.write(&log.world, teacher).unwrap();
    Bundle { envelopes: log.concern.envelopes().into_iter().skip(before).collect(), letters: vec![] }
}

/// Does one act, as often as it is asked to.
async fn take(log: &Leaving, work: &Work, told: &mut Told) -> Result<(), String> {
    let world = &log.world;
    match work {
        Work::Prepare(preparation) => {
            told.accepts = prepared(log, preparation).await?;
            let ours = |a: &Signed<HomeAccept>| {
                let named = a.peek().unwrap().envelope;
                preparation.bundle.envelopes.iter().any(|e| envelope_hash(e) == named)
            };
            let others: Vec<_> = told.accepts.iter().filter(|a| !ours(a)).cloned().collect();
            if !others.is_empty() {
                // Of the commits before a withdrawal: let go at the one home, freed at the other.
                let_go(log, others).await?;
                told.accepts = prepared(log, preparation).await?;
            }
        }
        Work::Commit(bundle) => {
            let done = log.commit(bundle, &told.accepts).await?;
            told.tombstones = done.tombstones;
        }
        Work::Stale(bundle) => {
            let code = log.commit(bundle, &told.accepts).await.err().unwrap_or_default();
            if !["stale-accept", "removal-first", "transfer-aborted", "grant-withdrawn"].contains(&code.as_str()) {
                return Err(format!("a commit on old heads: {code:?}"));
            }
        }
        Work::Carry => carry(log, told).await?,
        Work::Say(bundle) => say(log, bundle, told).await?,
        Work::Write(bundle) => {
            let mut new = log.b.open(&world.device(HAUGESUND_TEACHER).key).await.map_err(|s| format!("stream {s}"))?;
            new.submit(bundle.clone()).await.map_err(|problem| problem.code)?;
        }
    }
    Ok(())
}

async fn prepared(log: &Leaving, preparation: &Preparation) -> Result<Vec<Signed<HomeAccept>>, String> {
    let mut own = log.a.open(&log.world.device(TEACHER).key).await.map_err(|status| format!("stream {status}"))?;
    let mut guest = visit(&mut own, &log.world, TEACHER, &log.guests[&TEACHER], HAUGESUND).await;
    for _ in 0..20 {
        match guest.ask(Request::PrepareTransfer(preparation.clone())).await {
            Reply::TransferPrepared(prepared) if prepared.accepts.is_empty() => {}
            Reply::TransferPrepared(prepared) => return Ok(prepared.accepts),
            other => return Err(format!("{other:?}")),
        }
    }
    Err("never prepared".into())
}

async fn let_go(log: &Leaving, accepts: Vec<Signed<HomeAccept>>) -> Result<(), String> {
    let mut own = log.a.open(&log.world.device(TEACHER).key).await.map_err(|status| format!("stream {status}"))?;
    let freed = match own.ask(Request::AbortTransfer(Cancellation { aborts: vec![], accepts })).await {
        Reply::TransferAborted(freed) => freed,
        other => return Err(format!("{other:?}")),
    };
    let mut guest = visit(&mut own, &log.world, TEACHER, &log.guests[&TEACHER], HAUGESUND).await;
    match guest.ask(Request::Release(freed)).await {
        Reply::Done => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Any client brings the old home's word to the new one; here the mother, who is its guest.
async fn carry(log: &Leaving, told: &Told) -> Result<(), String> {
    let mut own = log.a.open(&log.world.device(MOTHER).key).await.map_err(|status| format!("stream {status}"))?;
    let mut guest = visit(&mut own, &log.world, MOTHER, &log.guests[&MOTHER], HAUGESUND).await;
    match guest.ask(Request::Activate(told.tombstones.clone())).await {
        Reply::Done => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// At the old home, and where that says that the log has moved, at the new one: with the tombstone in her hand.
async fn say(log: &Leaving, bundle: &Bundle, told: &Told) -> Result<(), String> {
    let mut own = log.a.open(&log.world.device(MOTHER).key).await.map_err(|status| format!("stream {status}"))?;
    match own.submit(bundle.clone()).await {
        Ok(_) => return Ok(()),
        Err(problem) if problem.code == "moved" => {}
        Err(problem) => return Err(problem.code),
    }
    carry(log, told).await?;
    let mut guest = visit(&mut own, &log.world, MOTHER, &log.guests[&MOTHER], HAUGESUND).await;
    match guest.ask(Request::Submit(bundle.clone())).await {
        Reply::Submitted(_) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

async fn stands(log: &Leaving) -> Stands {
    let mut stands = Stands { homes: [log.homes(CARD).await, log.homes(CONCERN).await], ..Stands::default() };
    for (at, server) in [&log.a, &log.b].into_iter().enumerate() {
        let mut conn = server.db.reader().await.unwrap();
        for (nth, scope) in MOVING.into_iter().enumerate() {
            let position = chain::position(&mut conn, scope).await.unwrap();
            stands.seqs[at][nth] = position.map_or(0, |position| position.seq);
        }
    }
    let heads = |accept: &HomeAccept| MOVING.iter().position(|s| *s == accept.scope).map(|nth| stands.seqs[0][nth]);
    let bound = bound(&log.b).await.into_iter().map(|signed| signed.peek().unwrap());
    stands.bound = bound.filter(|accept| heads(accept) == Some(accept.extends.seq)).count();
    stands
}

/// Both servers from what the crash has left, in folders of their own; the same keys, the same addresses.
pub fn laid_out(homes: [&Path; 2], left: &Path) -> [tempfile::TempDir; 2] {
    let mut folders = ["a", "b"].into_iter().zip(homes).map(|(name, home)| {
        let dir = tempfile::tempdir_in(left).unwrap();
        let to = dir.path().join("home");
        std::fs::create_dir(&to).unwrap();
        for from in [home, &left.join(name)] {
            for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
                std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
            }
        }
        dir
    });
    [folders.next().unwrap(), folders.next().unwrap()]
}

/// What a crash has left, once both run again: never two homes, one within seconds without anybody's help, what was
/// acknowledged, and every act once more to the same end.
pub async fn check(log: &Leaving, played: &Played, acknowledged: usize) -> Result<(), String> {
    let before = acknowledged.checked_sub(1).map_or(&played.begin, |last| &played.works[last].2);
    at_least(&stands(log).await, before)?;
    one_home(log).await?;
    let mut told = acknowledged.checked_sub(1).map(|last| played.works[last].1.clone()).unwrap_or_default();
    if let Some((work, said, _)) = acknowledged.checked_sub(1).map(|last| &played.works[last]) {
        // The answer was on its way: it is asked for again, and is the same.
        take(log, work, &mut told).await?;
        if (&told.accepts, &told.tombstones) != (&said.accepts, &said.tombstones) {
            return Err("what was acknowledged is answered otherwise now".into());
        }
    }
    for (work, ..) in &played.works[acknowledged..] {
        take(log, work, &mut told).await?;
    }
    ended(log, played).await
}

fn at_least(now: &Stands, acknowledged: &Stands) -> Result<(), String> {
    let fewer = now.seqs.as_flattened().iter().zip(acknowledged.seqs.as_flattened()).any(|(now, then)| now < then);
    let back = now.homes.iter().zip(acknowledged.homes).any(|(now, then)| (now.0 && !then.0) || (!now.1 && then.1));
    let freed = now.homes[0].0 && now.bound < acknowledged.bound && now.seqs == acknowledged.seqs;
    if fewer || back || freed {
        return Err(format!("acknowledged was {acknowledged:?}, left is {now:?}"));
    }
    Ok(())
}

/// Nobody says anything: the two servers alone find to one home.
async fn one_home(log: &Leaving) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let homes = [log.homes(CARD).await, log.homes(CONCERN).await];
        if homes.contains(&(true, true)) || homes[0].0 != homes[1].0 {
            return Err(format!("two homes, or half a log moved: {homes:?}"));
        }
        if homes[0] == homes[1] && homes[0].0 != homes[0].1 {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(15) {
            return Err(format!("no home: {homes:?}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn holder(server: &Running, scope: ScopeId) -> Option<PersonId> {
    let read = server.db.write::<_, stafett_server::problem::Fault, _>(move |conn| {
        Box::pin(async move {
            let Some(locked) = chain::lock(conn, scope).await? else { return Ok(None) };
            let replica = chain::load(conn, scope, &locked).await?;
            Ok(replica.state().membership.holder().map(|holder| holder.person))
        })
    });
    read.await.unwrap()
}

async fn ended(log: &Leaving, played: &Played) -> Result<(), String> {
    one_home(log).await?;
    let now = stands(log).await;
    let last = played.works.last().map(|(_, _, stands)| stands).unwrap();
    let (home, expected) = if played.moves { (&log.b, HAUGESUND_TEACHER) } else { (&log.a, TEACHER) };
    if now.homes != last.homes || now.seqs != last.seqs {
        return Err(format!("it ends at {now:?} and not at {last:?}"));
    }
    for scope in MOVING {
        if holder(home, scope).await != Some(log.world.id(expected)) {
            return Err("another holder".into());
        }
    }
    if !played.moves {
        return freed(log).await;
    }
    let reads = ppt_reads(log).await?;
    if reads == played.withdrawn {
        return Err(format!("the PPT reads: {reads}, its reading was withdrawn: {}", played.withdrawn));
    }
    Ok(())
}

/// The old home's chain went on: the new one finds out by itself that nothing rests on its word.
async fn freed(log: &Leaving) -> Result<(), String> {
    for _ in 0..300 {
        if bound(&log.b).await.iter().all(|accept| accept.peek().unwrap().scope != CONCERN) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err("the new home is bound still".into())
}

/// Whether the new home shows the concern to the PPT, who comes as a guest.
async fn ppt_reads(log: &Leaving) -> Result<bool, String> {
    let mut own = log.a.open(&log.world.device(PPT).key).await.map_err(|status| format!("stream {status}"))?;
    let mut guest = visit(&mut own, &log.world, PPT, &log.guests[&PPT], HAUGESUND).await;
    match guest.ask(Request::Sync(vec![ScopePosition { scope: CONCERN, seq: 0 }])).await {
        Reply::Synced(synced) => Ok(synced[0].position.is_some()),
        other => Err(format!("{other:?}")),
    }
}
