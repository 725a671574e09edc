//! What is on the model's chains, and the real policy that judges it. A record of the model is a command;
//! an honest client's event for it is made from the facts that the chain before it leaves. MLS and
//! sealing are left out: the policy is asked with the view that MLS would give.

use crate::common::*;
use stafett_protocol::codec::encode;
use stafett_protocol::commit_view::{CommitView, Leaf};
use stafett_protocol::consent::{Access, ConsentGrant, Target};
use stafett_protocol::event::{Body, Commit, Event, Position};
use stafett_protocol::handover::{Destination, Handover, HandoverOffer, Part};
use stafett_protocol::ids::{Hash, PublicKey, hash};
use stafett_protocol::membership::{Member, Membership, Role};
use stafett_protocol::policy::{self, MlsView};
use stafett_protocol::state::ScopeState;
use std::cell::RefCell;
use std::collections::HashMap;

/// Card and concern.
pub const SCOPES: [usize; 2] = [0, 1];

/// The two municipalities that may become home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum To {
    B,
    C,
}

impl To {
    pub const BOTH: [Self; 2] = [Self::B, Self::C];

    pub fn number(self) -> u16 {
        if self == Self::B { HAUGESUND } else { BERGEN }
    }
    fn leader(self) -> Who {
        if self == Self::B { HAUGESUND_LEADER } else { BERGEN_LEADER }
    }
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rec {
    /// The mother writes.
    Edit,
    /// The mother withdraws the PPT's access.
    Withdrawn,
    /// The mother withdraws the consent to that municipality's school.
    Revoked(To),
    /// The mother removes whoever must go.
    Removed,
    /// The holder hands over to a colleague.
    Hand,
    /// The holder hands over, and the log moves.
    Move(To),
    /// The same, but nobody over there has accepted.
    Bare(To),
}

pub type Chain = Vec<Rec>;

struct Bench {
    world: World,
    /// Card and concern with family, PPT and the consents to both moves.
    base: [ScopeState; 2],
    known: RefCell<HashMap<(usize, Chain), Option<ScopeState>>>,
}

thread_local!(static BENCH: Bench = Bench::new());

/// Whether the real policy lets `rec` follow `chain`.
pub fn allowed(scope: usize, chain: &Chain, rec: Rec) -> bool {
    let mut longer = chain.clone();
    longer.push(rec);
    BENCH.with(|bench| bench.state(scope, &longer).is_some())
}

/// Whether the old home would let `to` read: the offer could be committed now, but for its acceptance.
pub fn may_read(scope: usize, chain: &Chain, to: To) -> bool {
    BENCH.with(|bench| {
        let Some(state) = bench.state(scope, chain) else { return false };
        let offer = bench.offer(&state, scope, to.into());
        policy::may_offer(&state, &bench.context(&state), &bench.world.sign_offer(&offer, TEACHER)).is_ok()
    })
}

/// Where a baton goes.
#[derive(Clone, Copy)]
struct Receiver {
    who: Who,
    leader: Who,
    municipality: u16,
}

impl From<To> for Receiver {
    fn from(to: To) -> Self {
        Self { who: to.leader(), leader: to.leader(), municipality: to.number() }
    }
}

const COLLEAGUE_HERE: Receiver = Receiver { who: COLLEAGUE, leader: LEADER, municipality: HOME };

impl Bench {
    fn new() -> Self {
        let world = World::new().with_bergen();
        let consent = |chain: &mut crate::common::Chain| {
            let authority = chain.state().authority().clone();
            for to in To::BOTH {
                let grant = ConsentGrant {
                    moves_to: Some(to.number()),
                    ..world.grant(world.log(), chain.scope(), world.unit_of(to.leader()), Access::Hold, &authority)
                };
                world.give_grant(chain, &grant);
            }
        };
        let mut card = world.card_with_reader();
        let mut concern = world.concern(card.state());
        let grant = world.give(&mut concern, world.unit_of(PPT_LEADER), Access::Read);
        world.admit_ppt(&mut concern, grant);
        consent(&mut card);
        consent(&mut concern);
        let base = [card.state().clone(), concern.state().clone()];
        Self { world, base, known: RefCell::default() }
    }

    fn context(&self, state: &ScopeState) -> Context<'_> {
        Context { home: state.membership.home, ..self.world.context(state.time + 1000, None) }
    }

    fn state(&self, scope: usize, chain: &Chain) -> Option<ScopeState> {
        let Some((rec, before)) = chain.split_last() else { return Some(self.base[scope].clone()) };
        let key = (scope, chain.clone());
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        let next = self.state(scope, &before.to_vec()).and_then(|state| self.follow(&state, scope, *rec));
        self.known.borrow_mut().insert(key, next.clone());
        next
    }

    /// Asks the policy about the event that an honest client makes for `rec`.
    fn follow(&self, state: &ScopeState, scope: usize, rec: Rec) -> Option<ScopeState> {
        let (world, log) = (&self.world, self.world.log());
        let withdraw = |target| {
            let salt = u8::try_from(state.position.seq).unwrap();
            let statement = world.withdrawal_salted(log, state.scope(), target, MOTHER, salt);
            (MOTHER, Body::Statement(statement), MlsView::None)
        };
        let (who, body, view): (Who, Body, MlsView) = match rec {
            Rec::Edit => (MOTHER, Body::Change(change()), MlsView::None),
            Rec::Withdrawn => withdraw(Target::Unit(PPT_UNIT)),
            Rec::Revoked(to) => withdraw(Target::Unit(if to == To::B { HAUGESUND_SCHOOL } else { BERGEN_SCHOOL })),
            Rec::Removed => self.removal(state),
            Rec::Hand => self.baton(state, scope, COLLEAGUE_HERE, true),
            Rec::Move(to) => self.baton(state, scope, to.into(), true),
            Rec::Bare(to) => self.baton(state, scope, to.into(), false),
        };
        let device = world.device(who);
        let event = Event {
            scope: state.scope(),
            generation: 1,
            epoch: state.epoch,
            device: device.id(),
            counter: state.counter(device.id()) + 1,
            seen: state.position,
            body,
        };
        let mut next = policy::decide(state, &self.context(state), &event, &view).ok()?;
        let head = hash("model head", &[&state.position.head.0, &encode(&event)]);
        next.position = Position { seq: state.position.seq + 1, head };
        next.time = state.time + 1000;
        Some(next)
    }

    fn offer(&self, state: &ScopeState, scope: usize, to: Receiver) -> HandoverOffer {
        let unit = self.world.unit_grantee(to.leader);
        let holds = |f: &&stafett_protocol::state::GrantFact| {
            f.grant.access == Access::Hold
                && f.grant.grantee == self.world.unit_of(to.leader)
                && (f.grant.scope == state.scope() || to.municipality == HOME)
        };
        HandoverOffer {
            log: self.world.log(),
            scope: state.scope(),
            from: self.world.id(TEACHER),
            to: Destination { municipality: to.municipality, unit: Some(unit), person: None },
            part: Part::Moves,
            basis: state.grants.iter().find(holds).map(|f| f.id).unwrap_or_default(),
            reason: Hash([1; 32]),
            salt: [u8::try_from(scope).unwrap(); 16],
        }
    }

    /// The teacher's handover commit to `to`.
    fn baton(&self, state: &ScopeState, scope: usize, to: Receiver, accepted: bool) -> (Who, Body, MlsView) {
        let (world, offer) = (&self.world, self.offer(state, scope, to));
        let handover = Handover { acceptance: None, ..world.agreed(&offer, TEACHER, to.who) };
        let handover = if accepted { world.agreed(&offer, TEACHER, to.who) } else { handover };
        let removes = state.listed_at(state.time + 1000);
        let mut membership = without(state.membership.clone(), &removes);
        for member in membership.members.iter_mut().filter(|m| m.person == offer.from) {
            member.role = Role::Archivist;
        }
        membership.members.push(Member { ..world.founder(to.who, Role::Holder, offer.basis) });
        if to.municipality != HOME {
            (membership.home, membership.home_epoch) = (to.municipality, membership.home_epoch + 1);
        }
        let view = CommitView { adds: vec![self.leaf(to.who)], ..self.view(TEACHER, removes, membership.sorted()) };
        let commit = Commit {
            welcome: Some(Hash([2; 32])),
            vouchers: vec![world.voucher_of(to.leader, &world.certificate(to.leader, to.who), None)],
            handover: Some(handover),
            ..bare_commit()
        };
        (TEACHER, Body::Commit(commit), MlsView::Commit(view))
    }

    fn removal(&self, state: &ScopeState) -> (Who, Body, MlsView) {
        let removes = state.listed_at(state.time + 1000);
        let membership = without(state.membership.clone(), &removes);
        (MOTHER, Body::Commit(bare_commit()), MlsView::Commit(self.view(MOTHER, removes, membership)))
    }

    fn leaf(&self, who: Who) -> Leaf {
        let device = self.world.device(who);
        Leaf { key: device.public(), credential: device.credential.borrow().clone() }
    }

    fn view(&self, by: Who, removes: Vec<PublicKey>, membership: Membership) -> CommitView {
        let sender = Some(self.world.device(by).public());
        CommitView { sender, adds: vec![], removes, path: Some(self.leaf(by)), membership: Some(membership) }
    }
}

fn bare_commit() -> Commit {
    Commit {
        mls: vec![].into(),
        group_info: vec![].into(),
        link: Some(vec![].into()),
        check: Hash([1; 32]),
        welcome: None,
        vouchers: vec![],
        handover: None,
    }
}
