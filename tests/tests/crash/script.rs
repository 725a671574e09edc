//! What happens on the disk that fails: people join, a log is founded, grows, is read, is withdrawn from. Played once
//! with real MLS groups; then the same bytes are handed in again over whatever a crash has left.

use super::check::chains;
use crate::common::*;
use stafett_protocol::consent::{Access, Target};
use stafett_protocol::credential::PersonKind;
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::{DeviceId, ScopeId, UnitId};
use stafett_protocol::letter::Letter;
use stafett_protocol::membership::{Member, Role, ScopeKind};
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::*;
use stafett_server::certs;
use stafett_server::db::{Conn, Db, StoreError};
use stafett_server::federation::Federation;
use stafett_server::home::{Home, Settings, begin_clock, now_ms};
use stafett_server::http::join::join;
use stafett_server::municipality::Municipality;
use stafett_server::server::Server;
use stafett_server::store::accounts::{self, StoredCode};
use stafett_server::store::{mail, packages};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

pub const SCOPES: [ScopeId; 2] = [CARD, CONCERN];

/// Who there is, and the server's keys; its database is somewhere else each time.
pub struct Town {
    world: World,
    authority: certs::Authority,
    dir: tempfile::TempDir,
}

impl Town {
    pub fn new() -> Self {
        begin_clock(START + DAY);
        let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
        let settings = Settings {
            number: HOME,
            name: "Ullensaker".into(),
            listen: "127.0.0.1:0".into(),
            url: "https://127.0.0.1:1".into(),
            database: None,
            created_ms: now_ms(),
        };
        let home = Home::create(&dir.path().join("home"), settings, &world.municipality).unwrap();
        let authority = certs::new_authority(HOME, "Ullensaker").unwrap();
        home.write("ca.pem", authority.certificate_pem.as_bytes()).unwrap();
        Self { world, authority, dir }
    }

    pub async fn open(&self, database: &Path) -> Result<Open, StoreError> {
        let db = Db::open(&database.join("stafett.db"), None).await?;
        let home = Home::open(&self.dir.path().join("home")).unwrap();
        let (stop, stopped) = watch::channel(false);
        let municipality = Municipality::of(&home).unwrap();
        let federation = Federation::new(&municipality, &self.authority).unwrap();
        let server = match Server::start(db.clone(), municipality, federation, stopped).await {
            Ok(server) => server,
            Err(error) => {
                db.close().await;
                return Err(error);
            }
        };
        Ok(Open { db, server, stop })
    }
}

pub struct Open {
    pub db: Db,
    pub server: Arc<Server>,
    stop: watch::Sender<bool>,
}

impl Open {
    pub async fn close(self) {
        let _ = self.stop.send(true);
        self.db.close().await;
    }
}

/// One piece of work, with all its bytes.
#[derive(Clone)]
pub enum Step {
    Code([u8; 16], PersonKind, Option<UnitId>),
    Join(Box<JoinRequest>),
    Submit(DeviceId, Bundle),
    Letter(Letter),
    Offer(Signed<KeyPackageOffer>),
    Take(DeviceId),
    /// The server ends in good order, and a new one starts.
    Restart,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Done,
    Joined(Box<JoinReply>),
    Accepted(Vec<Accepted>),
    Package(Option<Signed<KeyPackageOffer>>),
}

/// The whole story, as it was answered.
#[derive(Default)]
pub struct Played(pub Vec<(Step, Answer)>);

impl Played {
    pub fn steps(&self) -> usize {
        self.0.len()
    }
}

pub async fn take(open: &Open, step: &Step) -> Result<Answer, String> {
    let said = |fault: stafett_server::problem::Fault| fault.to_problem().code;
    let lost = |error: StoreError| error.to_string();
    Ok(match step.clone() {
        Step::Join(request) => Answer::Joined(Box::new(join(&open.server, *request).await.map_err(said)?)),
        Step::Submit(device, bundle) => {
            let mut conn = open.db.reader().await.map_err(lost)?;
            let author = accounts::device(&mut conn, device).await.map_err(lost)?.ok_or("the device is lost")?;
            drop(conn);
            Answer::Accepted(open.server.intake.submit(&author, bundle).await.map_err(said)?)
        }
        Step::Take(device) => {
            let taken = open.db.write::<_, StoreError, _>(move |conn: &mut Conn| {
                Box::pin(async move { packages::take(conn, device, now_ms(), false).await })
            });
            Answer::Package(taken.await.map_err(lost)?)
        }
        other => {
            let written = open
                .db
                .write::<(), StoreError, _>(move |conn: &mut Conn| Box::pin(async move { write(conn, other).await }));
            written.await.map_err(lost)?;
            Answer::Done
        }
    })
}

async fn write(conn: &mut Conn, step: Step) -> Result<(), StoreError> {
    match step {
        Step::Code(ticket, kind, unit) => {
            let kind = CodeKind::Person(kind);
            let expires_ms = now_ms() + 1_000_000;
            let code = StoredCode { kind, unit, offered_by: None, expires_ms, used_by: None };
            accounts::add_code(conn, &stafett_protocol::code::ticket_hash(&ticket), &code).await
        }
        Step::Letter(letter) => mail::post(conn, letter.to, &Mail::Letter(letter)).await.map(drop),
        Step::Offer(offer) => packages::add(conn, &offer.peek().unwrap(), &offer).await,
        _ => Ok(()),
    }
}

/// Plays on a running server and keeps what was said.
struct Player<'t, A> {
    town: &'t Town,
    dir: &'t Path,
    open: Option<Open>,
    played: Played,
    acknowledge: A,
}

/// Plays the story in a new database; `acknowledge` is called after each answer.
pub async fn play(town: &Town, dir: &Path, acknowledge: impl Fn()) -> Played {
    let open = Some(town.open(dir).await.unwrap());
    let mut player = Player { town, dir, open, played: Played::default(), acknowledge };
    player.people().await;
    let mut card = player.founding().await;
    player.writing(&mut card, 3).await;
    player.step(Step::Restart).await;
    player.guest(&mut card).await;
    player.writing(&mut card, 2).await;
    player.withdrawal(&mut card).await;
    player.writing(&mut card, 2).await;
    player.open.take().unwrap().close().await;
    player.played
}

impl<A: Fn()> Player<'_, A> {
    async fn step(&mut self, step: Step) -> Answer {
        let answer = match step {
            Step::Restart => {
                self.open.take().unwrap().close().await;
                self.open = Some(self.town.open(self.dir).await.unwrap());
                Answer::Done
            }
            ref step => take(self.open.as_ref().unwrap(), step).await.unwrap(),
        };
        (self.acknowledge)();
        self.played.0.push((step, answer.clone()));
        answer
    }

    /// Hands in events of one device, in the order given; answers the receipt time.
    async fn submit(&mut self, device: &Device, events: &[Event], welcome: Option<Vec<u8>>) -> u64 {
        let mut envelopes: Vec<Envelope> =
            events.iter().map(|event| Envelope { event: Signed::sign(event, &device.key), welcome: None }).collect();
        envelopes[0].welcome = welcome.map(Into::into);
        let bundle = Bundle { envelopes, letters: vec![] };
        match self.step(Step::Submit(device.id(), bundle)).await {
            Answer::Accepted(accepted) => accepted[0].time,
            other => panic!("{other:?}"),
        }
    }

    async fn say(&mut self, chain: &mut Chain, device: &Device, body: Body) {
        let event = chain.event(device, body);
        chain.now = self.submit(device, std::slice::from_ref(&event), None).await;
        chain.submit_event(&self.town.world, device, &event).unwrap();
    }

    async fn commit(&mut self, chain: &mut Chain, device: &Device, plan: Plan) {
        let (commit, welcome) = chain.commit(device, plan);
        let event = chain.event(device, Body::Commit(commit.clone()));
        chain.now = self.submit(device, &[event], welcome.clone()).await;
        chain.submit_commit(&self.town.world, device, commit, welcome).unwrap();
    }

    async fn people(&mut self) {
        let world = &self.town.world;
        for (n, who) in [TEACHER, MOTHER, FATHER, PPT].into_iter().enumerate() {
            let (person, device) = (world.person(who), world.device(who));
            let ticket = [n as u8 + 1; 16];
            self.step(Step::Code(ticket, person.kind, None)).await;
            self.step(Step::Join(Box::new(claim(&person.key, device, ticket)))).await;
        }
        let mother = world.device(MOTHER);
        for package in 0..3u8 {
            let offer = KeyPackageOffer {
                device: mother.id(),
                offered_at: now_ms() + u64::from(package),
                last_resort: false.into(),
                package: vec![package; 300].into(),
            };
            self.step(Step::Offer(Signed::sign(&offer, &mother.key))).await;
        }
        self.step(Step::Take(mother.id())).await;
        self.step(Step::Letter(Letter { to: mother.id(), kem: vec![1; 1120].into(), sealed: vec![2; 400].into() }))
            .await;
    }

    async fn founding(&mut self) -> Chain {
        let world = &self.town.world;
        let teacher = world.device(TEACHER);
        let card = world.genesis_event(teacher, &world.card_founding());
        let concern = world.genesis_event(teacher, &world.log_founding(CONCERN, ScopeKind::Concern));
        let time = self.submit(teacher, &[card.clone(), concern], None).await;
        let mut card = world.found_event(teacher, card, time, None).unwrap();
        card.blind = true;
        let basis = card.membership().authority.id();
        let mut next = card.with(world, MOTHER, &[0], Role::Guardian, basis);
        next.members.push(Member { role: Role::Guardian, ..world.founder(FATHER, Role::Guardian, basis) });
        let adds = vec![world.device(MOTHER).key_package(), world.device(FATHER).key_package()];
        let plan = Plan { adds, membership: Some(next.sorted()), ..Plan::default() };
        self.commit(&mut card, teacher, plan).await;
        card
    }

    /// Bundles of one, two, three … changes.
    async fn writing(&mut self, card: &mut Chain, bundles: u64) {
        let world = &self.town.world;
        let teacher = world.device(TEACHER);
        for size in 1..=bundles {
            let mut events = vec![];
            for _ in 0..size {
                let event = card.event(teacher, Body::Change(change()));
                events.push(Event { counter: event.counter + events.len() as u64, ..event });
            }
            card.now = self.submit(teacher, &events, None).await;
            for event in &events {
                let now = card.now;
                card.submit_event(world, teacher, event).unwrap();
                card.now = now;
            }
        }
    }

    /// The PPT comes in to read.
    async fn guest(&mut self, card: &mut Chain) {
        let world = &self.town.world;
        let authority = card.membership().authority.clone();
        let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, &authority);
        for signed in world.signed_by(&grant, &[MOTHER, FATHER]) {
            self.say(card, world.device(MOTHER), Body::Statement(Statement::Grant(signed))).await;
        }
        let id = stafett_protocol::signed::id_of(&grant);
        let membership = card.with(world, PPT, &[0], Access::Read.role(), id);
        let vouchers = vec![world.voucher(PPT_LEADER, PPT, CARD)];
        let adds = vec![world.device(PPT).key_package()];
        let plan = Plan { adds, membership: Some(membership), vouchers, ..Plan::default() };
        self.commit(card, world.device(TEACHER), plan).await;
    }

    async fn withdrawal(&mut self, card: &mut Chain) {
        let world = &self.town.world;
        let withdrawal = world.withdrawal(world.log(), CARD, Target::Unit(PPT_UNIT), MOTHER);
        self.say(card, world.device(MOTHER), Body::Statement(withdrawal)).await;
        let removes = card.state().listed_at(now_ms());
        let plan = Plan { membership: Some(card.without(&removes)), removes, ..Plan::default() };
        self.commit(card, world.device(TEACHER), plan).await;
    }
}

/// Hands everything in over a disk that fails at some point; `mend` makes it whole when the first step has failed.
/// Answers what was said this time, and how many steps were refused.
pub async fn replay(town: &Town, dir: &Path, played: &Played, mend: impl FnOnce() -> usize) -> (Played, usize) {
    let mut mend = Some(mend);
    let (mut refused, mut again) = (0, Played::default());
    let mut open = match town.open(dir).await {
        Ok(open) => open,
        Err(_) => {
            refused += mend.take().unwrap()();
            town.open(dir).await.unwrap()
        }
    };
    for (step, _) in &played.0 {
        if let Step::Restart = step {
            open.close().await;
            open = match town.open(dir).await {
                Ok(open) => open,
                Err(_) => {
                    refused += mend.take().expect("only a broken disk refuses")();
                    town.open(dir).await.unwrap()
                }
            };
            again.0.push((step.clone(), Answer::Done));
            continue;
        }
        let mut answer = take(&open, step).await;
        if let Err(code) = answer {
            let named = ["unavailable", "database", "server-full", "the disk of the database is full"];
            assert!(named.iter().any(|name| code.starts_with(name)) || code.contains("lost"), "{code}");
            chains(&open).await.map(drop).unwrap_or_else(|why| panic!("reading does not go on: {why}"));
            refused += mend.take().expect("only a broken disk refuses")();
            answer = take(&open, step).await;
        }
        again.0.push((step.clone(), answer.unwrap_or_else(|code| panic!("the disk is whole again: {code}"))));
    }
    open.close().await;
    (again, refused)
}
