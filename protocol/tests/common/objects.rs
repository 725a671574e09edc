//! The signed objects that the tests hand around: grants, withdrawals, certificates, assignments.

use super::people::*;
use super::{DAY, START};
use stafett_protocol::consent::*;
use stafett_protocol::ids::{Hash, LogId, ScopeId};
use stafett_protocol::membership::{AuthorityPerson, ConsentAuthority, Role};
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::*;

impl World {
    pub fn authority_person(&self, who: Who) -> AuthorityPerson {
        AuthorityPerson { person: self.id(who), key: self.person(who).public() }
    }

    /// Mother and father, both must sign; the child decides from a moment far off.
    pub fn authority(&self) -> ConsentAuthority {
        self.authority_of(&[MOTHER, FATHER], 2)
    }

    pub fn authority_of(&self, guardians: &[Who], quorum: u8) -> ConsentAuthority {
        ConsentAuthority {
            guardians: guardians.iter().map(|w| self.authority_person(*w)).collect(),
            quorum,
            child: None,
            youth_from: START + 4000 * DAY,
        }
    }

    pub fn unit_of(&self, leader: Who) -> Grantee {
        let leader = self.person(leader);
        Grantee::Unit(UnitGrantee { unit: leader.unit.unwrap(), leader: leader.id, leader_key: leader.public() })
    }

    pub fn person_grantee(&self, who: Who) -> Grantee {
        Grantee::Person(PersonGrantee { person: self.id(who), person_key: self.person(who).public() })
    }

    pub fn grant(
        &self,
        log: LogId,
        scope: ScopeId,
        grantee: Grantee,
        access: Access,
        authority: &ConsentAuthority,
    ) -> ConsentGrant {
        ConsentGrant {
            log,
            scope,
            grantee,
            access,
            authority: authority.id(),
            text: Hash([3; 32]),
            policy_version: 1,
            expires_at: START + 365 * DAY,
            moves_to: None,
            salt: [1; 16],
        }
    }

    pub fn sign_grant(&self, grant: &ConsentGrant, who: Who) -> SignedGrant {
        SignedGrant { signer: self.id(who), grant: Signed::sign(grant, &self.person(who).key) }
    }

    pub fn signed_by(&self, grant: &ConsentGrant, who: &[Who]) -> Vec<SignedGrant> {
        who.iter().map(|w| self.sign_grant(grant, *w)).collect()
    }

    pub fn withdrawal(&self, log: LogId, scope: ScopeId, target: Target, who: Who) -> Statement {
        self.withdrawal_salted(log, scope, target, who, 0)
    }

    pub fn withdrawal_salted(&self, log: LogId, scope: ScopeId, target: Target, who: Who, salt: u8) -> Statement {
        let withdrawal = Withdrawal { log, scope, target, salt: [salt; 16] };
        Statement::Withdrawal(SignedWithdrawal {
            signer: self.id(who),
            withdrawal: Signed::sign(&withdrawal, &self.person(who).key),
        })
    }

    pub fn certificate(&self, leader: Who, who: Who) -> EmployeeCertificate {
        EmployeeCertificate {
            unit: self.person(leader).unit.unwrap(),
            person: self.id(who),
            person_key: self.person(who).public(),
            may_hold: Permit::Yes,
            may_act: Permit::Yes,
            issued_at: START - DAY,
            expires_at: START + 700 * DAY,
        }
    }

    pub fn assignment(&self, leader: Who, who: Who, scope: ScopeId) -> UnitAssignment {
        UnitAssignment {
            unit: self.person(leader).unit.unwrap(),
            person: self.id(who),
            scope,
            assigned_at: START - DAY,
            salt: [0; 16],
        }
    }

    /// The leader's word for an employee in a scope.
    pub fn voucher(&self, leader: Who, who: Who, scope: ScopeId) -> Voucher {
        self.voucher_of(leader, &self.certificate(leader, who), Some(&self.assignment(leader, who, scope)))
    }

    pub fn voucher_of(
        &self,
        leader: Who,
        certificate: &EmployeeCertificate,
        assignment: Option<&UnitAssignment>,
    ) -> Voucher {
        let key = &self.person(leader).key;
        Voucher { employee: Signed::sign(certificate, key), assignment: assignment.map(|a| Signed::sign(a, key)) }
    }

    pub fn employee_end(&self, leader: Who, who: Who, scope: ScopeId) -> Statement {
        let end = EmployeeEnd {
            unit: self.person(leader).unit.unwrap(),
            person: self.id(who),
            scope,
            ended_at: START,
            salt: [0; 16],
        };
        Statement::EmployeeEnd(SignedEmployeeEnd {
            leader: self.id(leader),
            end: Signed::sign(&end, &self.person(leader).key),
        })
    }

    pub fn attested(&self, grant: &ConsentGrant, on_behalf_of: Who, holder: Who, leader: Who) -> Statement {
        let object = AttestedConsent {
            grant: stafett_protocol::codec::encode(grant).into(),
            on_behalf_of: self.id(on_behalf_of),
            form: Hash([9; 32]),
        };
        Statement::Attested(Attested {
            holder: self.id(holder),
            by_holder: Signed::sign(&object, &self.person(holder).key),
            by_leader: Signed::sign(&object, &self.person(leader).key),
        })
    }

    pub fn authority_change(
        &self,
        log: LogId,
        scope: ScopeId,
        from: &ConsentAuthority,
        to: &ConsentAuthority,
        decision: Hash,
        who: &[Who],
    ) -> Statement {
        let change = AuthorityChange { log, scope, from: from.id(), to: to.clone(), decision };
        let sign = |w: &Who| AuthoritySignature {
            signer: self.id(*w),
            certificate: Some(self.device(*w).credential.borrow().person.clone()),
            change: Signed::sign(&change, &self.person(*w).key),
        };
        Statement::AuthorityChange(SignedAuthorityChange { change: who.iter().map(sign).collect() })
    }

    /// `device`: signed by that device of the person; `others`: by these persons' keys.
    pub fn key_change(&self, change: &PersonKeyChange, device: Option<&Device>, others: &[Who]) -> Statement {
        let mut signatures: Vec<_> = others
            .iter()
            .map(|w| KeyChangeSignature {
                signer: self.id(*w),
                device: None,
                change: Signed::sign(change, &self.person(*w).key),
            })
            .collect();
        if let Some(device) = device {
            let change = Signed::sign(change, &device.key);
            signatures.push(KeyChangeSignature { signer: self.id(device.who), device: Some(device.public()), change });
        }
        Statement::PersonKeyChange(SignedPersonKeyChange { signatures })
    }
}

/// The role that stands in a membership for an access.
pub fn role_of(access: Access) -> Role {
    access.role()
}
