//! Ready-made scopes: the card of a log, its journal and a concern, a unit, a person's own scope.

use super::*;
use stafett_protocol::consent::{Access, ConsentGrant, Grantee};
use stafett_protocol::ids::{Hash, LogId, ScopeId};
use stafett_protocol::membership::{ConsentAuthority, Member, Membership, Role, ScopeKind};
use stafett_protocol::statement::Statement;

use stafett_protocol::state::ScopeState;

pub const SALT: [u8; 16] = [0xA1; 16];
pub const CARD: ScopeId = ScopeId([0xC0; 16]);
pub const JOURNAL: ScopeId = ScopeId([0xC1; 16]);
pub const CONCERN: ScopeId = ScopeId([0xC2; 16]);

impl World {
    pub fn log(&self) -> LogId {
        LogId::found(&self.person(TEACHER).public(), &SALT)
    }

    /// The grant by which the school may hold.
    pub fn hold_grant(&self, scope: ScopeId, authority: &ConsentAuthority) -> ConsentGrant {
        self.grant(self.log(), scope, self.unit_of(LEADER), Access::Hold, authority)
    }

    pub fn founder(&self, who: Who, role: Role, basis: Hash) -> Member {
        let person = self.person(who);
        Member {
            person: person.id,
            person_key: person.public(),
            role,
            devices: vec![person.devices[0].public()],
            basis,
        }
    }

    pub fn membership(
        &self,
        scope: ScopeId,
        kind: ScopeKind,
        authority: &ConsentAuthority,
        founder: Member,
    ) -> Membership {
        let in_log = !matches!(kind, ScopeKind::Unit | ScopeKind::Personal);
        Membership {
            scope,
            kind,
            log: if in_log { self.log() } else { LogId::default() },
            generation: 1,
            home: HOME,
            home_epoch: 1,
            policy_version: stafett_protocol::POLICY_VERSION,
            authority: authority.clone(),
            members: vec![founder],
        }
    }

    /// The teacher founds the card on the school's grant, signed by these guardians.
    pub fn card_founding_under(&self, authority: &ConsentAuthority, signers: &[Who]) -> Founding {
        let grant = self.hold_grant(CARD, authority);
        let founder = self.founder(TEACHER, Role::Holder, stafett_protocol::signed::id_of(&grant));
        Founding {
            membership: self.membership(CARD, ScopeKind::Card, authority, founder),
            log_salt: Some(SALT),
            card: None,
            grants: self.signed_by(&grant, signers),
            vouchers: vec![self.voucher(LEADER, TEACHER, CARD)],
        }
    }

    pub fn card_founding(&self) -> Founding {
        self.card_founding_under(&self.authority(), &[MOTHER, FATHER])
    }

    /// A scope of the log beside the card: the journal on its own grant, a concern on the card's.
    pub fn log_founding(&self, scope: ScopeId, kind: ScopeKind) -> Founding {
        let authority = self.authority();
        let granted_for = if kind == ScopeKind::Concern { CARD } else { scope };
        let grant = self.hold_grant(granted_for, &authority);
        let founder = self.founder(TEACHER, Role::Holder, stafett_protocol::signed::id_of(&grant));
        Founding {
            membership: self.membership(scope, kind, &authority, founder),
            log_salt: None,
            card: Some(CARD),
            grants: self.signed_by(&grant, &[MOTHER, FATHER]),
            vouchers: vec![self.voucher(LEADER, TEACHER, scope)],
        }
    }

    pub fn unit_founding(&self) -> Founding {
        let founder = self.founder(LEADER, Role::Leader, own_basis(self, LEADER));
        Founding {
            membership: self.membership(ScopeId(SCHOOL.0), ScopeKind::Unit, &ConsentAuthority::default(), founder),
            log_salt: None,
            card: None,
            grants: vec![],
            vouchers: vec![],
        }
    }

    pub fn personal_founding(&self, who: Who) -> Founding {
        let founder = self.founder(who, Role::Own, own_basis(self, who));
        Founding {
            membership: self.membership(
                ScopeId(self.id(who).0),
                ScopeKind::Personal,
                &ConsentAuthority::default(),
                founder,
            ),
            log_salt: None,
            card: None,
            grants: vec![],
            vouchers: vec![],
        }
    }

    /// A card with the holder alone.
    pub fn card(&self) -> Chain {
        self.found(self.device(TEACHER), &self.card_founding(), None).unwrap()
    }

    /// A card with holder, mother and father.
    pub fn family_card(&self) -> Chain {
        let mut card = self.card();
        self.add_family(&mut card);
        card
    }

    /// A card in which the PPT reads, too.
    pub fn card_with_reader(&self) -> Chain {
        let mut card = self.family_card();
        let grant = self.give(&mut card, self.unit_of(PPT_LEADER), Access::Read);
        self.admit_ppt(&mut card, grant);
        card
    }

    /// A concern with holder and family, and the card's facts behind it.
    pub fn concern(&self, card: &ScopeState) -> Chain {
        let founding = self.log_founding(CONCERN, ScopeKind::Concern);
        let mut concern = self.found(self.device(TEACHER), &founding, Some(card)).unwrap();
        concern.now = concern.now.max(card.time) + 1;
        self.add_family(&mut concern);
        concern
    }

    pub fn add_family(&self, chain: &mut Chain) {
        let basis = chain.membership().authority.id();
        let mut next = chain.with(self, MOTHER, &[0], Role::Guardian, basis);
        next.members.push(Member { role: Role::Guardian, ..self.founder(FATHER, Role::Guardian, basis) });
        let adds = vec![self.device(MOTHER).key_package(), self.device(FATHER).key_package()];
        let plan = Plan { adds, membership: Some(next.sorted()), ..Plan::default() };
        chain.send(self, self.device(TEACHER), plan).unwrap();
    }

    /// Both guardians grant; answers the grant's id.
    pub fn give(&self, chain: &mut Chain, grantee: Grantee, access: Access) -> Hash {
        let authority = chain.state().authority().clone();
        let grant = self.grant(self.log(), chain.scope(), grantee, access, &authority);
        self.give_grant(chain, &grant)
    }

    pub fn give_grant(&self, chain: &mut Chain, grant: &ConsentGrant) -> Hash {
        for signed in self.signed_by(grant, &[MOTHER, FATHER]) {
            chain.say(self, self.device(MOTHER), Statement::Grant(signed)).unwrap();
        }
        stafett_protocol::signed::id_of(grant)
    }

    pub fn admit_ppt(&self, chain: &mut Chain, grant: Hash) {
        let voucher = self.voucher(PPT_LEADER, PPT, chain.scope());
        let role = chain.state().grant(&grant).unwrap().grant.access.role();
        chain.admit(self, self.device(TEACHER), PPT, role, grant, vec![voucher]).unwrap();
    }
}

pub fn own_basis(world: &World, who: Who) -> Hash {
    stafett_protocol::policy::own_basis(&world.person(who).public())
}
