//! A log that is about to move between two real servers, and whoever moves it.

use std::collections::BTreeMap;
use std::time::Duration;

use stafett_protocol::consent::Access;
use stafett_protocol::credential::Credential;
use stafett_protocol::event::Body;
use stafett_protocol::handover::*;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::Status;
use stafett_protocol::transfer::*;
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::store::transfers;

use super::*;
use crate::common::*;

/// A log at Ullensaker that its holder wants to hand to Haugesund: card and concern, and a journal that stays.
pub struct Leaving {
    pub world: World,
    /// The home, and the one that shall be.
    pub a: Running,
    pub b: Running,
    pub card: Chain,
    pub concern: Chain,
    pub journal: Chain,
    /// Of everybody who may come to a server as a guest.
    pub guests: BTreeMap<usize, Credential>,
    pub way: Way,
}

/// Who hands over, and to whom.
#[derive(Clone, Copy)]
pub struct Way {
    pub by: usize,
    pub leader: usize,
    pub to: usize,
}

pub const TO_HAUGESUND: Way = Way { by: TEACHER, leader: HAUGESUND_LEADER, to: HAUGESUND_TEACHER };

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
    leaving_from(world, a, b).await
}

/// The same between servers that know each other already.
pub async fn leaving_from(world: World, a: Running, b: Running) -> Leaving {
    let mut guests = BTreeMap::new();
    for (who, server) in
        [(TEACHER, &a), (COLLEAGUE, &a), (MOTHER, &a), (FATHER, &a), (PPT, &a), (HAUGESUND_TEACHER, &b)]
    {
        guests.insert(who, account(&world, who, server).await);
    }
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
    Leaving { world, a, b, card, concern, journal, guests, way: TO_HAUGESUND }
}

/// Somebody of the world joins here; what other servers know them by.
pub async fn account(world: &World, who: usize, server: &Running) -> Credential {
    let person = world.person(who);
    let ticket = server.code(person.kind, person.unit).await;
    let joined = server.join(&claim(&person.key, world.device(who), ticket)).await.unwrap();
    relay_credential(world, who, &joined)
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
        self.world.sign_offer(&offer, self.way.by)
    }

    pub fn offer(&self, scope: ScopeId) -> SignedOffer {
        self.offer_to(scope, self.world.to_unit(self.way.leader, Some(self.way.to)))
    }

    /// The municipality that the log shall go to.
    pub fn destination(&self) -> u16 {
        municipality_of(self.world.person(self.way.to).unit)
    }

    pub fn preparation(&self, bundle: Bundle) -> Preparation {
        let offers = vec![self.offer(CARD), self.offer(CONCERN)];
        let acceptances = offers.iter().map(|o| self.world.accept(o, self.way.to)).collect();
        Preparation { from: self.card.membership().home, offers, acceptances, bundle }
    }

    /// The commit of one scope, as the offerer builds it on what it has.
    pub fn envelope(&self, scope: ScopeId) -> Envelope {
        let (chain, holder) = (self.chain(scope), self.world.device(self.way.by));
        let offer = self.offer(scope);
        let plan = if scope == JOURNAL {
            chain.handover_plan(&self.world, offered(offer), None)
        } else {
            let acceptance = self.world.accept(&offer, self.way.to);
            chain.handover_plan(&self.world, taken(offer, acceptance), Some(self.way.to))
        };
        let (commit, welcome) = chain.commit(holder, plan);
        let event = chain.event(holder, Body::Commit(commit));
        Envelope { event: Signed::sign(&event, &holder.key), welcome: welcome.map(Into::into) }
    }

    /// The handover of everything that is not closed.
    pub fn bundle(&self) -> Bundle {
        let open = [CARD, CONCERN, JOURNAL].into_iter().filter(|s| self.chain(*s).state().status == Status::Active);
        Bundle { envelopes: open.map(|scope| self.envelope(scope)).collect(), letters: vec![] }
    }

    /// Asks the new home until it has everything.
    pub async fn prepare(&self, moving: &Bundle) -> Result<Vec<Signed<HomeAccept>>, String> {
        let by = self.way.by;
        let mut own = self.a.open(&self.world.device(by).key).await.unwrap();
        let mut guest = visit(&mut own, &self.world, by, &self.guests[&by], self.destination()).await;
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
        let mut own = self.a.open(&self.world.device(self.way.by).key).await.unwrap();
        let transfer = Transfer { bundle: bundle.clone(), accepts: accepts.to_vec() };
        match own.ask(Request::CommitTransfer(transfer)).await {
            Reply::TransferCommitted(done) => Ok(done),
            Reply::Problem(problem) => Err(problem.code),
            other => panic!("{other:?}"),
        }
    }

    /// Takes the offers back; or, with nothing but acceptances, lets those go.
    pub async fn cancel(
        &self,
        aborts: Vec<SignedAbort>,
        accepts: &[Signed<HomeAccept>],
    ) -> Result<Vec<Signed<TransferAbort>>, String> {
        let mut own = self.a.open(&self.world.device(self.way.by).key).await.unwrap();
        match own.ask(Request::AbortTransfer(Cancellation { aborts, accepts: accepts.to_vec() })).await {
            Reply::TransferAborted(freed) => Ok(freed),
            Reply::Problem(problem) => Err(problem.code),
            other => panic!("{other:?}"),
        }
    }

    pub async fn abort(&self, accepts: &[Signed<HomeAccept>]) -> Result<Vec<Signed<TransferAbort>>, String> {
        let by = self.way.by;
        let aborts = [CARD, CONCERN].map(|scope| {
            let abort = HandoverAbort { log: self.world.log(), scope, offer: self.offer(scope).offer.id() };
            SignedAbort { by: self.world.id(by), abort: Signed::sign(&abort, &self.world.person(by).key) }
        });
        self.cancel(aborts.into(), accepts).await
    }

    /// The moving commits as everybody sees them now.
    pub fn applied(&mut self, bundle: &Bundle) {
        let events: Vec<_> = bundle.envelopes.iter().map(|e| e.event.peek().unwrap()).collect();
        for event in events {
            let Body::Commit(commit) = event.body.clone() else { panic!() };
            let at = bundle.envelopes.iter().find(|e| e.event.peek().unwrap() == event).unwrap();
            let welcome = at.welcome.clone().map(Into::into);
            let state = self.card.state().clone();
            let chain = match event.scope {
                CARD => &mut self.card,
                CONCERN => &mut self.concern,
                _ => &mut self.journal,
            };
            chain.card = (event.scope != CARD).then_some(state);
            chain.submit_commit(&self.world, self.world.device(self.way.by), commit, welcome).unwrap();
        }
    }

    /// Whether the old home serves the scope, and whether the new one does.
    pub async fn homes(&self, scope: ScopeId) -> (bool, bool) {
        (serves(&self.a, scope).await, serves(&self.b, scope).await)
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

pub async fn serves(server: &Running, scope: ScopeId) -> bool {
    let mut conn = server.db.reader().await.unwrap();
    let row = conn.row("SELECT standing FROM scopes WHERE scope = $1", args![&scope.0]).await.unwrap();
    row.is_some_and(|row| row.int(0).unwrap() == 1)
}

/// What this server has promised and has not been told the end of.
pub async fn bound(server: &Running) -> Vec<Signed<HomeAccept>> {
    transfers::bound(&mut server.db.reader().await.unwrap()).await.unwrap()
}

/// The old home's word comes to whoever is bound, without anybody's help.
pub async fn until_free(server: &Running) {
    for _ in 0..100 {
        if bound(server).await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("bound still");
}

pub fn envelope(device: &Device, event: &stafett_protocol::event::Event) -> Envelope {
    Envelope { event: Signed::sign(event, &device.key), welcome: None }
}
