//! A log that is about to move between two real servers, and whoever moves it.

use std::collections::BTreeMap;
use std::time::Duration;

use stafett_protocol::consent::Access;
use stafett_protocol::credential::{Credential, PersonKind};
use stafett_protocol::event::Body;
use stafett_protocol::handover::*;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::*;
use stafett_protocol::wire::*;
use stafett_server::args;

use super::*;
use crate::common::*;

/// A log at Ullensaker that its holder wants to hand to Haugesund: card and concern, and a journal that stays.
pub struct Leaving {
    pub world: World,
    pub a: Running,
    pub b: Running,
    pub card: Chain,
    pub concern: Chain,
    pub journal: Chain,
    pub credential: Credential,
    /// Of everybody else of the old home who may come to the new one as a guest.
    pub guests: BTreeMap<usize, Credential>,
}

pub fn blind(mut chain: Chain) -> Chain {
    chain.blind = true;
    chain
}

/// Hands a chain in again, as it was played, from some record on.
pub async fn play(server: &Running, world: &World, chain: &Chain, from: usize) {
    for envelope in chain.envelopes().into_iter().skip(from) {
        let author = world.by_id(envelope.event.peek().unwrap().device);
        let mut client = server.open(&author.key).await.unwrap();
        client.submit(Bundle { envelopes: vec![envelope], letters: vec![] }).await.unwrap();
    }
}

fn read_by_ppt(world: &World, chain: &mut Chain) {
    let grant = world.give(chain, world.unit_of(PPT_LEADER), Access::Read);
    world.admit_ppt(chain, grant);
}

pub async fn leaving(a_url: Option<&str>, b_url: Option<&str>) -> Leaving {
    let world = World::new();
    let a = Running::start(&world, a_url).await;
    let b = Running::start_as(HAUGESUND, "Haugesund", &world.haugesund, b_url).await;
    a.add_peer(b.peer_file()).await;
    b.add_peer(a.peer_file()).await;
    let ticket = a.code(PersonKind::Employee, Some(SCHOOL)).await;
    let joined = a.join(&claim(&world.person(TEACHER).key, world.device(TEACHER), ticket)).await.unwrap();
    let credential = relay_credential(&world, TEACHER, &joined);
    let mut guests = BTreeMap::new();
    for who in [MOTHER, FATHER, PPT] {
        let ticket = a.code(world.person(who).kind, world.person(who).unit).await;
        let joined = a.join(&claim(&world.person(who).key, world.device(who), ticket)).await.unwrap();
        guests.insert(who, relay_credential(&world, who, &joined));
    }
    drop(b.enter(&world, HAUGESUND_TEACHER).await);
    let mut card = blind(world.card());
    world.add_family(&mut card);
    read_by_ppt(&world, &mut card);
    let found = |scope, kind| {
        let founding = world.log_founding(scope, kind);
        let mut chain = blind(world.found(world.device(TEACHER), &founding, Some(card.state())).unwrap());
        chain.now = chain.now.max(card.now);
        world.add_family(&mut chain);
        chain
    };
    let (mut concern, journal) = (found(CONCERN, ScopeKind::Concern), found(JOURNAL, ScopeKind::Journal));
    concern.write(&world, world.device(TEACHER)).unwrap();
    concern.write(&world, world.device(MOTHER)).unwrap();
    read_by_ppt(&world, &mut concern);
    world.give_hold(&mut card, HAUGESUND_LEADER, 5);
    world.give_hold(&mut concern, HAUGESUND_LEADER, 6);
    for chain in [&card, &concern, &journal] {
        play(&a, &world, chain, 0).await;
    }
    Leaving { world, a, b, card, concern, journal, credential, guests }
}

impl Leaving {
    pub fn chain(&self, scope: ScopeId) -> &Chain {
        [&self.card, &self.concern, &self.journal].into_iter().find(|c| c.scope() == scope).unwrap()
    }

    pub fn offer_to(&self, scope: ScopeId, to: Destination) -> SignedOffer {
        let chain = self.chain(scope);
        let offer = if scope == JOURNAL {
            self.world.closing(chain, to)
        } else {
            let held = chain.state().grants.iter().find(|g| g.grant.moves_to == Some(to.municipality));
            self.world.offer(chain, to, held.map(|g| g.id).unwrap_or_default())
        };
        self.world.sign_offer(&offer, TEACHER)
    }

    pub fn offer(&self, scope: ScopeId) -> SignedOffer {
        self.offer_to(scope, self.world.to_unit(HAUGESUND_LEADER, Some(HAUGESUND_TEACHER)))
    }

    pub fn preparation(&self, bundle: Bundle) -> Preparation {
        let offers = vec![self.offer(CARD), self.offer(CONCERN)];
        let acceptances = offers.iter().map(|o| self.world.accept(o, HAUGESUND_TEACHER)).collect();
        Preparation { offers, acceptances, bundle }
    }

    /// The commit of one scope, as the offerer builds it on what it has.
    pub fn envelope(&self, scope: ScopeId) -> Envelope {
        let (chain, teacher) = (self.chain(scope), self.world.device(TEACHER));
        let offer = self.offer(scope);
        let plan = if scope == JOURNAL {
            chain.handover_plan(&self.world, offered(offer), None)
        } else {
            let acceptance = self.world.accept(&offer, HAUGESUND_TEACHER);
            chain.handover_plan(&self.world, taken(offer, acceptance), Some(HAUGESUND_TEACHER))
        };
        let (commit, welcome) = chain.commit(teacher, plan);
        let event = chain.event(teacher, Body::Commit(commit));
        Envelope { event: Signed::sign(&event, &teacher.key), welcome: welcome.map(Into::into) }
    }

    pub fn bundle(&self) -> Bundle {
        let envelopes = [CARD, CONCERN, JOURNAL].map(|scope| self.envelope(scope));
        Bundle { envelopes: envelopes.into(), letters: vec![] }
    }

    /// Asks the new home until it has everything.
    pub async fn prepare(&self, moving: &Bundle) -> Result<Vec<Signed<HomeAccept>>, String> {
        let mut own = self.a.open(&self.world.device(TEACHER).key).await.unwrap();
        let mut guest = visit(&mut own, &self.world, TEACHER, &self.credential, HAUGESUND).await;
        let envelopes = moving.envelopes.iter().take(2).cloned().collect();
        let asked = self.preparation(Bundle { envelopes, letters: vec![] });
        for _ in 0..20 {
            match guest.ask(Request::PrepareTransfer(asked.clone())).await {
                Reply::TransferPrepared(prepared) if !prepared.accepts.is_empty() => return Ok(prepared.accepts),
                Reply::TransferPrepared(_) => {}
                Reply::Problem(problem) => return Err(problem.code),
                other => panic!("{other:?}"),
            }
        }
        panic!("never prepared")
    }

    pub async fn commit(&self, bundle: &Bundle, accepts: &[Signed<HomeAccept>]) -> Result<Transferred, String> {
        let mut own = self.a.open(&self.world.device(TEACHER).key).await.unwrap();
        let transfer = Transfer { bundle: bundle.clone(), accepts: accepts.to_vec() };
        match own.ask(Request::CommitTransfer(transfer)).await {
            Reply::TransferCommitted(done) => Ok(done),
            Reply::Problem(problem) => Err(problem.code),
            other => panic!("{other:?}"),
        }
    }

    pub async fn abort(&self, accepts: &[Signed<HomeAccept>]) -> Result<Vec<Signed<TransferAbort>>, String> {
        let aborts = [CARD, CONCERN].map(|scope| {
            let abort = HandoverAbort { log: self.world.log(), scope, offer: self.offer(scope).offer.id() };
            SignedAbort { by: self.world.id(TEACHER), abort: Signed::sign(&abort, &self.world.person(TEACHER).key) }
        });
        let mut own = self.a.open(&self.world.device(TEACHER).key).await.unwrap();
        let cancelled = Cancellation { aborts: aborts.into(), accepts: accepts.to_vec() };
        match own.ask(Request::AbortTransfer(cancelled)).await {
            Reply::TransferAborted(freed) => Ok(freed),
            Reply::Problem(problem) => Err(problem.code),
            other => panic!("{other:?}"),
        }
    }

    /// The moving commits as everybody sees them now.
    pub fn applied(&mut self, bundle: &Bundle) {
        let events: Vec<_> = bundle.envelopes.iter().map(|e| e.event.peek().unwrap()).collect();
        for event in events.iter().take(2) {
            let Body::Commit(commit) = event.body.clone() else { panic!() };
            let at = bundle.envelopes.iter().find(|e| e.event.peek().unwrap() == *event).unwrap();
            let welcome = at.welcome.clone().map(Into::into);
            let state = self.card.state().clone();
            let chain = if event.scope == CARD { &mut self.card } else { &mut self.concern };
            chain.card = (event.scope != CARD).then_some(state);
            chain.submit_commit(&self.world, self.world.device(TEACHER), commit, welcome).unwrap();
        }
    }

    /// Who serves what: a change by the mother's device at each home, and where the scope stands there.
    pub async fn homes(&self, scope: ScopeId) -> (bool, bool) {
        let serves = async |server: &Running| {
            let mut conn = server.db.reader().await.unwrap();
            let sql = "SELECT standing FROM scopes WHERE scope = $1";
            let row = conn.row(sql, args![&scope.0]).await.unwrap();
            row.is_some_and(|row| row.int(0).unwrap() == 1)
        };
        (serves(&self.a).await, serves(&self.b).await)
    }

    pub async fn until_served(&self) {
        for _ in 0..100 {
            if self.homes(CARD).await == (false, true) && self.homes(CONCERN).await == (false, true) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no home: {:?} {:?}", self.homes(CARD).await, self.homes(CONCERN).await);
    }

    pub async fn restart(self) -> Self {
        Self { a: self.a.restart().await, b: self.b.restart().await, ..self }
    }
}

pub fn envelope(device: &Device, event: &stafett_protocol::event::Event) -> Envelope {
    Envelope { event: Signed::sign(event, &device.key), welcome: None }
}
