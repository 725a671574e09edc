//! What must be done next, worked out anew from what the chains and letters say: intents, not queued
//! commits. A lost race needs no repair; the next plan simply starts from the new state.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::{Standing, group};
use stafett_protocol::codec::decode;
use stafett_protocol::consent::{Access, Grantee, Permit, SignedWithdrawal, Voucher};
use stafett_protocol::event::{Body, Commit};
use stafett_protocol::ids::{DeviceId, Hash, Municipality, PersonId, PublicKey, ScopeId};
use stafett_protocol::limits;
use stafett_protocol::membership::{Member, Membership, Role, ScopeKind};
use stafett_protocol::policy::{Action, can};
use stafett_protocol::refusal::Refusal;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::wire::{Bundle, Envelope};

/// Somebody who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seat {
    pub person: PersonId,
    pub person_key: PublicKey,
    role: Role,
    basis: Hash,
    voucher: Option<Voucher>,
}

impl Client {
    /// One commit for one scope, if any scope of this home needs one.
    pub(crate) fn plan_membership(&mut self, home: Municipality) -> Result<(), Problem> {
        let scopes: Vec<ScopeId> = self
            .scopes
            .iter()
            .filter(|(id, s)| {
                let free = !self.stream.busy(**id) && !self.following.unplanned.contains(id) && !self.forked(**id);
                let halted = s.replica.state().rejected == Permit::Yes;
                s.standing == Standing::Member && s.facts_read() && free && !halted && self.home_of(**id) == home
            })
            .map(|(id, _)| *id)
            .collect();
        for scope in scopes {
            match self.plan_scope_commit(scope) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(problem) => {
                    self.following.unplanned.insert(scope);
                    self.report(&problem);
                }
            }
        }
        Ok(())
    }

    fn plan_scope_commit(&mut self, scope: ScopeId) -> Result<bool, Problem> {
        let Some(s) = self.scopes.get(&scope) else {
            return Ok(false);
        };
        let (state, me) = (s.replica.state().clone(), self.me()?);
        let listed = state.listed_at(self.home_now());
        if listed.contains(&me.device_public()) || state.membership.device_key(me.device()).is_none() {
            return Ok(false);
        }
        let gone: Vec<PublicKey> = self.own_gone(&state);
        if !listed.is_empty() || !gone.is_empty() {
            let removes: Vec<PublicKey> = listed.into_iter().chain(gone).collect();
            let membership = without(&state.membership, &removes);
            self.commit(
                scope,
                group::MembershipChange {
                    adds: vec![],
                    removes,
                    membership: Some(membership),
                    vouchers: vec![],
                    handover: None,
                },
            )?;
            return Ok(true);
        }
        if state.gaps.is_empty() && self.link_repairs(scope).is_empty() && self.plan_adds(scope, &state)? {
            return Ok(true);
        }
        let stale = self.home_now().saturating_sub(state.epoch_since) > limits::OWN_UPDATE_MAX_MILLIS;
        if stale && can(&state, self.me()?.person, Action::Renew, self.home_now()).is_ok() {
            self.commit(
                scope,
                group::MembershipChange {
                    adds: vec![],
                    removes: vec![],
                    membership: None,
                    vouchers: vec![],
                    handover: None,
                },
            )?;
            return Ok(true);
        }
        Ok(false)
    }

    fn own_gone(&self, state: &ScopeState) -> Vec<PublicKey> {
        let gone = self.removed_devices();
        let person = self.me.as_ref().map(|m| m.person).unwrap_or_default();
        state.membership.member(person).map_or_else(Vec::new, |m| {
            m.devices.iter().filter(|d| gone.contains(&DeviceId::of_key(d))).copied().collect()
        })
    }

    fn plan_adds(&mut self, scope: ScopeId, state: &ScopeState) -> Result<bool, Problem> {
        let seats = self.seats(scope, state)?;
        let present: Vec<PublicKey> = state.membership.devices().copied().collect();
        let persons: Vec<PersonId> = seats.iter().map(|s| s.person).collect();
        if self.fetch_packages(&persons) {
            return Ok(false);
        }
        let mut membership = state.membership.clone();
        let (mut adds, mut vouchers) = (vec![], vec![]);
        let room = limits::LOG_SCOPE_LEAVES.saturating_sub(present.len());
        for seat in seats {
            let wider = membership.members.iter_mut().find(|m| m.person == seat.person).filter(|m| widens(m, &seat));
            if let Some(member) = wider {
                (member.role, member.basis) = (seat.role, seat.basis);
                vouchers.extend(seat.voucher);
                continue;
            }
            let packages = self.packages_for(&seat, &present);
            if packages.is_empty() || adds.len() + packages.len() > room {
                continue;
            }
            let devices: Vec<PublicKey> = packages.iter().map(|(key, _)| *key).collect();
            adds.extend(packages.into_iter().map(|(_, package)| package));
            match membership.members.iter_mut().find(|m| m.person == seat.person) {
                Some(member) => member.devices.extend(devices),
                None => membership.members.push(Member {
                    person: seat.person,
                    person_key: seat.person_key,
                    role: seat.role,
                    devices,
                    basis: seat.basis,
                }),
            }
            vouchers.extend(seat.voucher);
        }
        if adds.is_empty() && membership == state.membership {
            return Ok(false);
        }
        // A key package serves once.
        self.going.packages.clear();
        self.stream.asked_packages.clear();
        self.commit(
            scope,
            group::MembershipChange {
                adds,
                removes: vec![],
                membership: Some(membership.sorted()),
                vouchers,
                handover: None,
            },
        )?;
        Ok(true)
    }

    /// Everyone who should be in this scope and has a device that is not, as far as we may let them in.
    fn seats(&self, scope: ScopeId, state: &ScopeState) -> Result<Vec<Seat>, Problem> {
        let me = self.me()?;
        let mut seats = vec![];
        if let Some(own) = state.membership.member(me.person) {
            let missing = self.own_devices().iter().any(|d| state.membership.device_key(*d).is_none());
            if missing {
                seats.push(Seat {
                    person: own.person,
                    person_key: own.person_key,
                    role: own.role,
                    basis: own.basis,
                    voucher: None,
                });
            }
        }
        seats.extend(self.seats_of_before(state));
        // The family comes in also where nobody else does, for as long as the log rests.
        let may = can(state, me.person, Action::Admit, self.home_now());
        if !matches!(may, Ok(()) | Err(Refusal::NotActive)) {
            return Ok(seats);
        }
        let authority = state.authority();
        let returning: Vec<PersonId> = seats.iter().map(|s| s.person).collect();
        let missing = |p: PersonId| state.membership.member(p).is_none() && !returning.contains(&p);
        for named in authority.persons().filter(|p| missing(p.person)) {
            let role =
                if authority.child.is_some_and(|c| c.person == named.person) { Role::Child } else { Role::Guardian };
            seats.push(Seat {
                person: named.person,
                person_key: named.key,
                role,
                basis: authority.id(),
                voucher: None,
            });
        }
        // The holder lets the services in; a guardian could, and need not race for it.
        if may.is_ok() && state.holder().is_some_and(|h| h.person == me.person) {
            let granted = self.granted_seats(scope, state);
            seats.extend(granted.into_iter().filter(|seat| !returning.contains(&seat.person)));
        }
        Ok(seats)
    }

    /// After a re-founding: who was in before comes back in the very seat, where what gave it still stands.
    fn seats_of_before(&self, state: &ScopeState) -> Vec<Seat> {
        let now = self.home_now();
        let may = self.me().is_ok_and(|me| can(state, me.person, Action::Refound, now).is_ok());
        let gone = |m: &&Member| state.membership.member(m.person).is_none();
        let back = state.readmit.iter().filter(|_| may).filter(gone);
        back.map(|m| Member { person_key: *state.new_key(m.person).unwrap_or(&m.person_key), ..m.clone() })
            .filter(|m| state.may_return(m, now))
            .map(|m| Seat { person: m.person, person_key: m.person_key, role: m.role, basis: m.basis, voucher: None })
            .collect()
    }

    fn granted_seats(&self, scope: ScopeId, state: &ScopeState) -> Vec<Seat> {
        let vouchers = self.vouchers(scope);
        let mut seats = vec![];
        for fact in state.grants_in_force(self.home_now()).filter(|f| f.grant.access != Access::Hold) {
            let (role, basis) = (fact.grant.access.role(), fact.id);
            // Into a concern the custodian comes on the card's grant, whose copy is in the genesis.
            let by_card = fact.grant.access == Access::Custody && Some(fact.grant.scope) == state.card;
            if fact.grant.scope != scope && !by_card {
                continue;
            }
            match fact.grant.grantee {
                Grantee::Unit(unit) if fact.grant.access == Access::Custody => {
                    let (person, person_key) = (unit.leader, unit.leader_key);
                    seats.push(Seat { person, person_key, role, basis, voucher: None });
                }
                Grantee::Person(p) => {
                    seats.push(Seat { person: p.person, person_key: p.person_key, role, basis, voucher: None })
                }
                Grantee::Unit(unit) => {
                    for (person, voucher) in &vouchers {
                        let Ok(employee) = voucher.employee.verify(&unit.leader_key) else {
                            continue;
                        };
                        let said = voucher.assignment.as_ref().and_then(|signed| signed.peek().ok());
                        let said = said.map_or(0, |assignment| assignment.assigned_at);
                        let employed = state.employs(unit.unit, *person, fact.in_force_since, said);
                        let acts = employee.may_act == Permit::Yes && self.home_now() < employee.expires_at;
                        if employee.unit == unit.unit && acts && employed {
                            let voucher = Some(voucher.clone());
                            seats.push(Seat { person: *person, person_key: employee.person_key, role, basis, voucher });
                        }
                    }
                }
            }
        }
        let on_card = |person: PersonId| match (state.kind(), state.card.and_then(|c| self.scopes.get(&c))) {
            (ScopeKind::Card, _) | (_, None) => true,
            (_, Some(card)) => card.replica.state().membership.member(person).is_some(),
        };
        seats.retain(|seat| {
            state.membership.member(seat.person).is_none_or(|m| widens(m, seat)) && on_card(seat.person)
        });
        // Several grants for one person: one seat, the widest.
        seats.sort_by_key(|seat| (seat.person, seat.role != Role::Actor));
        seats.dedup_by_key(|seat| seat.person);
        seats
    }

    fn commit(&mut self, scope: ScopeId, plan: group::MembershipChange) -> Result<(), Problem> {
        let envelope = self.commit_envelope(scope, plan)?;
        self.submit_bundle(Bundle { envelopes: vec![envelope], letters: vec![] }, vec![scope]);
        Ok(())
    }

    /// The commit that this plan makes, signed; it is pending in MLS until the chain has it.
    pub(crate) fn commit_envelope(
        &mut self,
        scope: ScopeId,
        plan: group::MembershipChange,
    ) -> Result<Envelope, Problem> {
        let me = self.me()?;
        let s = self.scopes.get(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        let mut mls = group::load(&self.provider, &s.replica.state().membership)
            .ok_or_else(|| group::mls_problem("the group is missing here"))?;
        let (commit, welcome): (Commit, Option<Vec<u8>>) = group::commit(&self.provider, me, &mut mls, plan, &s.keys)?;
        let event = self.next_event(scope, Body::Commit(commit))?;
        let event = Signed::sign(&event, &self.me()?.device_key());
        Ok(Envelope { event, welcome: welcome.map(Into::into) })
    }

    /// Somebody has told us by letter of a withdrawal that the home does not show: we stop sealing there,
    /// whatever the home says (C8).
    pub(crate) fn warned_of_withdrawal(&self, scope: ScopeId) -> bool {
        let Some(state) = self.scopes.get(&scope).map(|s| s.replica.state()) else {
            return false;
        };
        self.table
            .scan(crate::rows::Space::Mail, &crate::client::keys::mail_key("withdrawal", &[&scope.0]))
            .filter_map(|(_, value)| decode::<SignedWithdrawal>(value).ok())
            .any(|signed| self.withdrawal_missing(state, &signed))
    }

    /// Genuine, not on the chain, and something that it ends is in force all the same.
    pub(crate) fn withdrawal_missing(&self, state: &ScopeState, signed: &SignedWithdrawal) -> bool {
        let Some(key) = state.authority().key(signed.signer) else {
            return false;
        };
        let Ok(withdrawal) = signed.withdrawal.verify(key) else {
            return false;
        };
        !state.spent.contains(&signed.withdrawal.id())
            && state
                .membership
                .members
                .iter()
                .any(|m| crate::client::log::withdrawal::ends(state, &withdrawal.target, m))
    }
}

/// Whether a seat lets a reader who is in contribute.
fn widens(member: &Member, seat: &Seat) -> bool {
    member.role == Role::Reader && seat.role == Role::Actor
}

/// The membership without these leaves, and without persons who have none left.
pub(crate) fn without(membership: &Membership, removes: &[PublicKey]) -> Membership {
    let mut next = membership.clone();
    for member in &mut next.members {
        member.devices.retain(|d| !removes.contains(d));
    }
    next.members.retain(|m| !m.devices.is_empty());
    next
}
