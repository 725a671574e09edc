//! Handing over in the tests: offers, acceptances, and the commit that carries them.

use super::*;
use stafett_protocol::consent::{Access, Grantee, PersonGrantee, UnitGrantee, Voucher};
use stafett_protocol::handover::*;
use stafett_protocol::ids::Hash;
use stafett_protocol::membership::{Member, Membership, Role};
use stafett_protocol::signed::Signed;
use stafett_protocol::state::{ScopeState, Status};

/// An offer with both names on it, and whose acceptance of it.
pub fn offered(offer: SignedOffer) -> Handover {
    Handover { offer, acceptance: None }
}

pub fn taken(offer: SignedOffer, acceptance: Signed<HandoverAcceptance>) -> Handover {
    Handover { offer, acceptance: Some(acceptance) }
}

/// The membership after a handover, as an honest client makes it: `who` holds, the old holder is an archivist,
/// whoever is listed is gone.
pub fn after_handover(
    world: &World,
    state: &ScopeState,
    now: u64,
    offer: &HandoverOffer,
    who: Option<Who>,
) -> Membership {
    let mut next = without(state.membership.clone(), &state.listed_at(now));
    for member in next.members.iter_mut().filter(|m| m.person == offer.from) {
        member.role = Role::Archivist;
    }
    if let Some(who) = who {
        let seat = Member { ..world.founder(who, Role::Holder, offer.basis) };
        match next.members.iter_mut().find(|m| m.person == seat.person) {
            Some(member) => (member.role, member.basis) = (Role::Holder, offer.basis),
            None => next.members.push(seat),
        }
    }
    if offer.part == Part::Moves && offer.to.municipality != next.home {
        (next.home, next.home_epoch) = (offer.to.municipality, next.home_epoch + 1);
    }
    next.sorted()
}

impl World {
    pub fn unit_grantee(&self, leader: Who) -> UnitGrantee {
        let Grantee::Unit(unit) = self.unit_of(leader) else { panic!("a unit") };
        unit
    }

    /// The unit's leader as destination, or one of its employees by name.
    pub fn to_unit(&self, leader: Who, person: Option<Who>) -> Destination {
        let unit = self.unit_grantee(leader);
        let municipality = municipality_of(Some(unit.unit));
        let person = person.map(|who| PersonGrantee { person: self.id(who), person_key: self.person(who).public() });
        Destination { municipality, unit: Some(unit), person }
    }

    /// An offer of this scope by the book: from who holds it, moving, on this grant.
    pub fn offer(&self, chain: &Chain, to: Destination, basis: Hash) -> HandoverOffer {
        HandoverOffer {
            log: self.log(),
            scope: chain.scope(),
            from: chain.membership().holder().map(|h| h.person).unwrap_or_default(),
            to,
            part: Part::Moves,
            basis,
            reason: Hash([0x77; 32]),
            salt: [1; 16],
        }
    }

    /// The same for a scope that stays and is closed.
    pub fn closing(&self, chain: &Chain, to: Destination) -> HandoverOffer {
        HandoverOffer { part: Part::Closes, basis: Hash::default(), ..self.offer(chain, to, Hash::default()) }
    }

    pub fn sign_offer(&self, offer: &HandoverOffer, by: Who) -> SignedOffer {
        SignedOffer { by: self.id(by), offer: Signed::sign(offer, &self.person(by).key) }
    }

    pub fn acceptance(&self, offer: &SignedOffer, who: Who) -> HandoverAcceptance {
        HandoverAcceptance {
            offer: offer.offer.id(),
            scope: offer.offer.peek().unwrap().scope,
            person: self.id(who),
            person_key: self.person(who).public(),
            certificate: self.device(who).credential.borrow().person.clone(),
        }
    }

    pub fn accept(&self, offer: &SignedOffer, who: Who) -> Signed<HandoverAcceptance> {
        Signed::sign(&self.acceptance(offer, who), &self.person(who).key)
    }

    /// Offered by `by`, accepted by `who`.
    pub fn agreed(&self, offer: &HandoverOffer, by: Who, who: Who) -> Handover {
        let offer = self.sign_offer(offer, by);
        let acceptance = self.accept(&offer, who);
        taken(offer, acceptance)
    }

    /// The family's consent that this unit holds the scope, at the home that it names.
    pub fn give_hold(&self, chain: &mut Chain, leader: Who, salt: u8) -> Hash {
        let authority = chain.state().authority().clone();
        let mut grant = self.grant(self.log(), chain.scope(), self.unit_of(leader), Access::Hold, &authority);
        let to = self.to_unit(leader, None).municipality;
        (grant.moves_to, grant.salt) = ((to != chain.membership().home).then_some(to), [salt; 16]);
        grant.expires_at = chain.now + 300 * DAY;
        self.give_grant(chain, &grant)
    }

    /// The leader's continuity seat in a scope.
    pub fn seat_custodian(&self, chain: &mut Chain, leader: Who) {
        let grant = self.give(chain, self.unit_of(leader), Access::Custody);
        chain.admit(self, self.device(TEACHER), leader, Role::Custodian, grant, vec![]).unwrap();
    }
}

impl Chain {
    pub fn after_handover(&self, world: &World, offer: &HandoverOffer, who: Option<Who>) -> Membership {
        after_handover(world, self.state(), self.now, offer, who)
    }

    /// The honest commit of an agreed handover to `who`.
    pub fn handover_plan(&self, world: &World, handover: Handover, who: Option<Who>) -> Plan {
        let offer = handover.offer.offer.peek().unwrap();
        let fresh = who.filter(|who| self.membership().member(world.id(*who)).is_none());
        let leader = match offer.to.unit.map(|u| u.unit) {
            Some(HAUGESUND_SCHOOL) => HAUGESUND_LEADER,
            Some(BERGEN_SCHOOL) => BERGEN_LEADER,
            Some(PPT_UNIT) => PPT_LEADER,
            _ => LEADER,
        };
        let word = |who: Who| -> Voucher { world.voucher_of(leader, &world.certificate(leader, who), None) };
        Plan {
            adds: fresh.iter().map(|who| world.device(*who).key_package()).collect(),
            removes: self.state().listed_at(self.now),
            membership: Some(self.after_handover(world, &offer, who)),
            vouchers: who.into_iter().map(word).collect(),
            handover: Some(handover),
            ..Plan::default()
        }
    }

    /// `by` offers, `who` accepts, `by` commits.
    pub fn hand_over(&mut self, world: &World, offer: &HandoverOffer, by: Who, who: Who) -> Result<(), Refusal> {
        let plan = self.handover_plan(world, world.agreed(offer, by, who), Some(who));
        self.send(world, world.device(by), plan)
    }

    /// `by` closes the scope in a handover.
    pub fn close_over(&mut self, world: &World, offer: &HandoverOffer, by: Who) -> Result<(), Refusal> {
        let plan = self.handover_plan(world, offered(world.sign_offer(offer, by)), None);
        self.send(world, world.device(by), plan)
    }

    pub fn basis(&self) -> Hash {
        self.membership().holder().unwrap().basis
    }

    pub fn role(&self, world: &World, who: Who) -> Option<Role> {
        self.membership().member(world.id(who)).map(|m| m.role)
    }

    pub fn status_and_home(&self) -> (Status, u16) {
        (self.state().status, self.membership().home)
    }
}
