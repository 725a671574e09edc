//! Seats of a scope: who sits in one, who may come back to one after a re-founding, and whether what gave
//! a seat still stands. Rules ask who is *present*, never only who is named in the membership.

use crate::consent::{Access, Grantee};
use crate::ids::{DeviceId, Millis, PersonId, PublicKey, UnitId};
use crate::membership::{ConsentAuthority, Member, Membership, Role};
use crate::refusal::Refusal;
use crate::state::{Ended, GrantFact, GrantStanding, ScopeState, Status, Veto};

impl ScopeState {
    /// Who is here, and who may come back after a re-founding.
    pub fn present(&self) -> impl Iterator<Item = &Member> {
        let back = self.readmit.iter().filter(|m| self.membership.member(m.person).is_none());
        self.membership.members.iter().chain(back)
    }

    /// The one who holds the log: in the holder's seat, or in one that a re-founding keeps free.
    pub fn holder(&self) -> Option<&Member> {
        self.present().find(|m| m.role == Role::Holder)
    }

    /// Never two, whatever way they came.
    pub(crate) fn check_one_holder(&self) -> Result<(), Refusal> {
        let holders = self.present().filter(|m| m.role == Role::Holder).count();
        if holders > 1 { Err(Refusal::HolderByHandover) } else { Ok(()) }
    }

    /// The `hold` grant under which the holder stands.
    pub fn hold_grant(&self) -> Option<&GrantFact> {
        self.holder().and_then(|h| self.grant(&h.basis)).filter(|g| g.grant.access == Access::Hold)
    }

    /// Whose device this is among those who may come back after a re-founding, and its key, while what
    /// gave them their seat still stands. They are served the chain, and may withdraw, reject and found:
    /// or whoever founds anew and lets nobody back would have the log alone.
    pub fn awaited(&self, device: DeviceId, now: Millis) -> Option<(Member, PublicKey)> {
        let key_of = |m: &Member| m.devices.iter().find(|k| DeviceId::of_key(k) == device).copied();
        let (seat, key) = self.readmit.iter().find_map(|m| key_of(m).map(|key| (m, key)))?;
        let seat = self.under_key_that_counts(seat);
        let back = self.membership.device_key(device).is_some();
        (!back && self.seat_stands(now, &seat).is_ok()).then_some((seat, key))
    }

    /// Whose device this is, among those who have a leaf or may come back to one.
    pub fn person_of(&self, device: DeviceId) -> Option<PersonId> {
        let of = |m: &&Member| m.devices.iter().any(|k| DeviceId::of_key(k) == device);
        self.membership.members.iter().chain(&self.readmit).find(of).map(|m| m.person)
    }

    /// Whether this person may come back after a re-founding, and has no leaf yet.
    pub fn is_awaited(&self, person: PersonId, now: Millis) -> bool {
        let seat = self.readmit.iter().find(|m| m.person == person && self.membership.member(person).is_none());
        seat.is_some_and(|m| self.seat_stands(now, &self.under_key_that_counts(m)).is_ok())
    }

    fn under_key_that_counts(&self, seat: &Member) -> Member {
        Member { person_key: *self.new_key(seat.person).unwrap_or(&seat.person_key), ..seat.clone() }
    }

    /// Whether this device may be served content at `now`: it has a leaf and is not on its way out, or
    /// it may come back to one.
    pub fn may_read(&self, device: DeviceId, now: Millis) -> bool {
        match self.membership.device_key(device) {
            Some(key) => !self.listed_at(now).contains(key),
            None => self.awaited(device, now).is_some(),
        }
    }

    /// After a commit on `old`: whoever is back with every device is awaited no longer, and whoever has left,
    /// or lost a leaf, does not come back by what was before.
    pub(crate) fn settle_readmit(&mut self, old: &Membership) {
        let new = &self.membership;
        let is_leaf = |of: &Membership, key: &PublicKey| of.devices().any(|d| d == key);
        for member in &mut self.readmit {
            member.devices.retain(|d| !is_leaf(old, d) || is_leaf(new, d));
        }
        self.readmit.retain(|m| match (old.member(m.person), new.member(m.person)) {
            (_, Some(back)) => back.devices.len() < m.devices.len(),
            (Some(_), None) => false,
            (None, None) => true,
        });
    }

    /// Whoever of the family has withdrawn from this person, or from a unit of theirs, has signed this very
    /// grant: it is not evaded by granting the unit for the person, or the person for the unit.
    pub(crate) fn reconciled(
        &self,
        now: Millis,
        fact: &GrantFact,
        person: PersonId,
        units: &[UnitId],
    ) -> Result<(), Refusal> {
        let touches = |veto: &Veto| match veto.grantee {
            Grantee::Person(vetoed) => vetoed.person == person,
            Grantee::Unit(vetoed) => units.contains(&vetoed.unit),
        };
        let standing = self.vetoes.iter().filter(|v| self.authority().may_sign(v.by, now) && touches(v));
        let all = standing.into_iter().all(|v| fact.signers.contains(&v.by));
        if all { Ok(()) } else { Err(Refusal::GrantWaiting) }
    }

    /// Whether somebody who may come back after a re-founding still has what let them in.
    pub fn may_return(&self, member: &Member, now: Millis) -> bool {
        self.pinned(member).and_then(|()| self.seat_stands(now, member)).is_ok()
    }

    /// Nobody gains a leaf under a key that a key change has voided.
    pub(crate) fn pinned(&self, member: &Member) -> Result<(), Refusal> {
        match self.new_key(member.person) {
            Some(key) if *key != member.person_key => Err(Refusal::KeyNotPinned),
            _ => Ok(()),
        }
    }

    /// After a re-founding: in the very seat that they had.
    pub(crate) fn comes_back(&self, member: &Member) -> bool {
        self.readmit.iter().map(|m| self.under_key_that_counts(m)).any(|m| {
            (m.person, m.role, m.basis, m.person_key) == (member.person, member.role, member.basis, member.person_key)
        })
    }

    /// Whether what once let this member in still does: asked where somebody who has a seat gains a leaf.
    pub(crate) fn seat_stands(&self, now: Millis, member: &Member) -> Result<(), Refusal> {
        match member.role {
            Role::Guardian | Role::Child => named_family(self.authority(), member),
            Role::Actor | Role::Reader | Role::Custodian => {
                let fact = self.grant(&member.basis).ok_or(Refusal::GrantMissing)?;
                in_force(fact, now)?;
                if let Some(unit) = fact.grant.grantee.unit() {
                    self.not_ended(unit.unit, member.person, fact.in_force_since)?;
                }
                if self.unemployed(member, now) { Err(Refusal::VoucherInvalid) } else { Ok(()) }
            }
            // Losing `hold` freezes the holder, losing everything ends the seat.
            Role::Holder if self.status == Status::Withdrawn => Err(Refusal::GrantWithdrawn),
            Role::Holder if self.holder().is_some_and(|h| h.person != member.person) => Err(Refusal::HolderByHandover),
            Role::Employee if self.unemployed(member, now) => Err(Refusal::VoucherInvalid),
            _ => Ok(()),
        }
    }

    /// Whether the unit's leader, or a withdrawal, has ended this person's part since then.
    pub(crate) fn not_ended(&self, unit: UnitId, person: PersonId, since: Millis) -> Result<(), Refusal> {
        let ended = self.ends_of(unit, person).any(|e| e.at >= since);
        if ended { Err(Refusal::VoucherMissing) } else { Ok(()) }
    }

    /// Whether this person may act on a word that the unit's leader said at `said`, under a grant in force since `since`:
    /// what a withdrawal has ended begins again with a later grant, what the leader has ended with a later word of theirs.
    pub fn employs(&self, unit: UnitId, person: PersonId, since: Millis, said: Millis) -> bool {
        self.ends_of(unit, person).all(|e| if e.word == 0 { e.at < since } else { e.word < said })
    }

    fn ends_of(&self, unit: UnitId, person: PersonId) -> impl Iterator<Item = &Ended> {
        self.ended.iter().filter(move |e| e.unit == unit && e.person == person)
    }
}

/// Whether the authority names this member in this role, under this very key.
pub(crate) fn named_family(authority: &ConsentAuthority, member: &Member) -> Result<(), Refusal> {
    let named = match member.role {
        Role::Guardian => authority.guardians.iter().find(|g| g.person == member.person),
        Role::Child => authority.child.as_ref().filter(|c| c.person == member.person),
        _ => None,
    };
    let person = named.ok_or(Refusal::NotAnAuthority)?;
    if person.key == member.person_key { Ok(()) } else { Err(Refusal::KeyNotPinned) }
}

/// Whether a grant lets anybody in at `now`, and why not.
pub(crate) fn in_force(fact: &GrantFact, now: Millis) -> Result<(), Refusal> {
    match fact.standing(now) {
        GrantStanding::InForce => Ok(()),
        GrantStanding::Waiting => Err(Refusal::GrantWaiting),
        GrantStanding::Withdrawn => Err(Refusal::GrantWithdrawn),
        GrantStanding::Expired => Err(Refusal::GrantExpired),
    }
}
