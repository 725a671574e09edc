//! Who may enter a scope, and as what: the family under the consent authority, everyone else under a
//! grant that is in force, employees of a granted unit by their leader's word (`docs/protocol.md` 7).

use crate::commit_view::Leaf;
use crate::consent::{Access, EmployeeCertificate, Grantee, Permit, SignedGrant, UnitGrantee, Voucher};
use crate::credential::{Identity, PersonKind};
use crate::ids::{Hash, Millis, PublicKey, UnitId, hash};
use crate::limits;
use crate::membership::{ConsentAuthority, Member, Role, ScopeKind};
use crate::policy::Context;
use crate::refusal::Refusal;
use crate::seat::{in_force, named_family};
use crate::state::{GrantFact, ScopeState, Veto};

/// Verifies that each of these leaves is a device of `member`, down from a known municipality, under the
/// person key that the membership pins.
pub(super) fn check_leaves<'l>(
    context: &Context<'_>,
    member: &Member,
    leaves: impl Iterator<Item = &'l Leaf>,
) -> Result<Vec<Identity>, Refusal> {
    leaves
        .map(|leaf| {
            let identity = leaf.credential.verify(context.trusted).map_err(|_| Refusal::NotIdentified)?;
            if identity.person() != member.person || identity.device_key() != &leaf.key {
                return Err(Refusal::PersonChanged);
            }
            if identity.person_key() != &member.person_key {
                return Err(Refusal::KeyNotPinned);
            }
            Ok(identity)
        })
        .collect()
}

/// Whether `member` may enter `state`'s scope in that role on that basis; answers until when a leader's
/// certificate lets them stay, where that is what does.
pub(super) fn check(
    state: &ScopeState,
    context: &Context<'_>,
    member: &Member,
    identities: &[Identity],
    vouchers: &[Voucher],
) -> Result<Option<Millis>, Refusal> {
    state.pinned(member)?;
    if state.comes_back(member) {
        return state.seat_stands(context.now, member).map(|()| None);
    }
    let authority = state.authority();
    match (state.kind(), member.role) {
        (ScopeKind::Card | ScopeKind::Journal | ScopeKind::Concern, Role::Guardian | Role::Child) => {
            named_family(authority, member)?;
            if member.basis == authority.id() { Ok(None) } else { Err(Refusal::NotAnAuthority) }
        }
        (ScopeKind::Card | ScopeKind::Journal | ScopeKind::Concern, Role::Actor | Role::Reader | Role::Custodian) => {
            on_card(context, state.kind(), member)?;
            let fact = state.grant(&member.basis).ok_or(Refusal::GrantMissing)?;
            in_force(fact, context.now)?;
            state.reconciled(context.now, fact, member.person, &units(fact, identities))?;
            granted(state, context, fact, member, vouchers)
        }
        (_, Role::Holder) => Err(Refusal::HolderByHandover),
        (ScopeKind::Unit, Role::Employee | Role::Leader) => employed(state, context, member, identities, vouchers),
        (ScopeKind::Personal, Role::Own) if member.person == state.founder => Ok(None),
        _ => Err(Refusal::NotYours),
    }
}

/// The units that a person comes from: those that certify the leaves, and the one that the grant names.
pub(super) fn units(fact: &GrantFact, identities: &[Identity]) -> Vec<UnitId> {
    let granted = fact.grant.grantee.unit().map(|u| u.unit);
    identities.iter().filter_map(Identity::unit).chain(granted).collect()
}

/// members(concern) ⊆ members(card): access to a concern is two grants.
fn on_card(context: &Context<'_>, kind: ScopeKind, member: &Member) -> Result<(), Refusal> {
    match context.card {
        Some(card) if kind != ScopeKind::Card => {
            let listed = card.listed_at(context.now);
            let there = card
                .membership
                .member(member.person)
                .is_some_and(|m| m.person_key == member.person_key && !m.devices.iter().all(|d| listed.contains(d)));
            let was =
                card.gone_since(context.now).any(|g| g.person == member.person && g.person_key == member.person_key);
            if there || was { Ok(()) } else { Err(Refusal::NotOnCard) }
        }
        _ => Ok(()),
    }
}

/// Whether the grant is for this member: role, person or unit, and for a unit the leader's word.
fn granted(
    state: &ScopeState,
    context: &Context<'_>,
    fact: &GrantFact,
    member: &Member,
    vouchers: &[Voucher],
) -> Result<Option<Millis>, Refusal> {
    let grant = &fact.grant;
    // The custodian comes into a concern on the card's grant, whose copy is in the genesis.
    let by_card =
        state.kind() == ScopeKind::Concern && grant.access == Access::Custody && Some(grant.scope) == state.card;
    if (grant.scope != state.scope() && !by_card) || grant.access.role() != member.role {
        return Err(Refusal::GrantMismatch);
    }
    match grant.grantee {
        Grantee::Person(p) if p.person == member.person && p.person_key == member.person_key => Ok(None),
        Grantee::Person(_) => Err(Refusal::GrantMismatch),
        Grantee::Unit(unit) => match (unit.leader == member.person, grant.access) {
            (true, _) if unit.leader_key == member.person_key => {
                state.not_ended(unit.unit, member.person, fact.in_force_since).map(|()| None)
            }
            (true, _) => Err(Refusal::KeyNotPinned),
            (false, Access::Custody) => Err(Refusal::GrantMismatch),
            (false, _) => vouched(state, context, (&unit, fact.in_force_since), member, vouchers).map(Some),
        },
    }
}

/// The leader's certificate and assignment for this member, valid now; answers until when.
fn vouched(
    state: &ScopeState,
    context: &Context<'_>,
    (unit, since): (&UnitGrantee, Millis),
    member: &Member,
    vouchers: &[Voucher],
) -> Result<Millis, Refusal> {
    let mut found = Refusal::VoucherMissing;
    for voucher in vouchers {
        let Ok(employee) = employee(voucher, unit, member, context.now) else {
            found = Refusal::VoucherInvalid;
            continue;
        };
        let Some(signed) = &voucher.assignment else { continue };
        let Ok(assignment) = signed.verify(&unit.leader_key) else {
            found = Refusal::VoucherInvalid;
            continue;
        };
        if employee.may_act == Permit::Yes
            && assignment.unit == unit.unit
            && assignment.person == member.person
            && assignment.scope == state.scope()
            && state.employs(unit.unit, member.person, since, assignment.assigned_at)
        {
            return Ok(employee.expires_at);
        }
    }
    Err(found)
}

fn employee(
    voucher: &Voucher,
    unit: &UnitGrantee,
    member: &Member,
    now: Millis,
) -> Result<EmployeeCertificate, Refusal> {
    let employee = voucher.employee.verify(&unit.leader_key).map_err(|_| Refusal::VoucherInvalid)?;
    let fits = employee.unit == unit.unit
        && employee.person == member.person
        && employee.person_key == member.person_key
        && now < employee.expires_at;
    if fits { Ok(employee) } else { Err(Refusal::VoucherInvalid) }
}

/// Whether the scope's own municipality certifies this person as leader of the unit whose scope this is.
pub(super) fn leads(identity: &Identity, context: &Context<'_>, state: &ScopeState) -> bool {
    identity.kind() == PersonKind::Leader
        && identity.municipality() == context.home
        && identity.unit() == Some(UnitId(state.scope().0))
}

/// In `unit` scopes the leader's employee certificate stands in the place of a grant.
fn employed(
    state: &ScopeState,
    context: &Context<'_>,
    member: &Member,
    identities: &[Identity],
    vouchers: &[Voucher],
) -> Result<Option<Millis>, Refusal> {
    let unit = UnitId(state.scope().0);
    if member.role == Role::Leader {
        // A leader newly certified by the municipality may be added by any member.
        let certified = identities.iter().all(|i| leads(i, context, state));
        return if certified && !identities.is_empty() { Ok(None) } else { Err(Refusal::VoucherInvalid) };
    }
    let leaders = state.membership.members.iter().filter(|m| m.role == Role::Leader);
    let grantees = leaders.map(|m| UnitGrantee { unit, leader: m.person, leader_key: m.person_key });
    let mut words = grantees
        .flat_map(|grantee| vouchers.iter().filter_map(move |v| employee(v, &grantee, member, context.now).ok()))
        .filter(|e| state.employs(unit, member.person, Millis::MAX, e.issued_at));
    words.next().map(|e| Some(e.expires_at)).ok_or(Refusal::VoucherMissing)
}

/// Whether a handover may make this member the holder, beside what offer and acceptance say.
pub(super) fn check_new_holder(
    state: &ScopeState,
    context: &Context<'_>,
    member: &Member,
    identities: &[Identity],
    vouchers: &[Voucher],
) -> Result<(), Refusal> {
    state.pinned(member)?;
    if let Some(card) = context.card.filter(|_| state.kind() != ScopeKind::Card)
        && !card.held(member.person, context.now)
    {
        return Err(Refusal::NotOnCard);
    }
    let fact = state.grant(&member.basis).ok_or(Refusal::GrantMissing)?;
    if let Some(unit) = fact.grant.grantee.unit().filter(|unit| unit.leader == member.person) {
        state.not_ended(unit.unit, member.person, fact.in_force_since)?;
    }
    state.reconciled(context.now, fact, member.person, &units(fact, identities))?;
    check_holder(state, context, fact, member, vouchers)
}

/// Whether this member may hold the log under `fact`: by name, or as an employee whose leader says so, and since they were
/// ended here.
pub(super) fn check_holder(
    state: &ScopeState,
    context: &Context<'_>,
    fact: &GrantFact,
    member: &Member,
    vouchers: &[Voucher],
) -> Result<(), Refusal> {
    if fact.grant.access != Access::Hold {
        return Err(Refusal::GrantMismatch);
    }
    match fact.grant.grantee {
        Grantee::Person(p) if p.person == member.person && p.person_key == member.person_key => Ok(()),
        Grantee::Person(_) => Err(Refusal::GrantMismatch),
        Grantee::Unit(unit) if unit.leader == member.person && unit.leader_key == member.person_key => Ok(()),
        Grantee::Unit(unit) => {
            let still =
                |e: &EmployeeCertificate| state.employs(unit.unit, member.person, fact.in_force_since, e.issued_at);
            let held = vouchers
                .iter()
                .filter_map(|v| employee(v, &unit, member, context.now).ok())
                .any(|e: EmployeeCertificate| e.may_hold == Permit::Yes && still(&e));
            if held { Ok(()) } else { Err(Refusal::VoucherMissing) }
        }
    }
}

/// Adds one signature to what is known of grants; answers the grant's id. `scope` is the one that the
/// grant must be for.
pub(super) fn sign_grant(
    facts: &mut Vec<GrantFact>,
    authority: &ConsentAuthority,
    vetoes: &[Veto],
    scope: crate::ids::ScopeId,
    signed: &SignedGrant,
    now: Millis,
) -> Result<Hash, Refusal> {
    let key: &PublicKey = authority.key(signed.signer).ok_or(Refusal::NotAnAuthority)?;
    let grant = signed.grant.verify(key).map_err(|_| Refusal::BadSignature)?;
    if !authority.may_sign(signed.signer, now) {
        return Err(Refusal::NotAnAuthority);
    }
    // Only with the baton does a log move.
    let moves = grant.moves_to.is_some() && grant.access != Access::Hold;
    if grant.scope != scope || grant.authority != authority.id() || moves {
        return Err(Refusal::GrantMismatch);
    }
    if grant.policy_version > crate::POLICY_VERSION {
        return Err(Refusal::UnknownPolicy);
    }
    if grant.expires_at <= now || grant.expires_at > now.saturating_add(limits::CONSENT_MAX_MILLIS) {
        return Err(Refusal::GrantTooLong);
    }
    let id = signed.grant.id();
    if !facts.iter().any(|f| f.id == id) {
        // Each has room of their own: nobody can use up what another needs to consent.
        if facts.iter().filter(|f| f.signers.first() == Some(&signed.signer)).count() >= limits::GRANTS_PER_SIGNER {
            return Err(Refusal::TooManyGrants);
        }
        facts.push(GrantFact { id, grant, signers: vec![], attested: vec![], in_force_since: 0, ended_at: 0 });
    }
    let fact = facts.iter_mut().find(|f| f.id == id).ok_or(Refusal::GrantMissing)?;
    if fact.ended_at != 0 {
        return Err(Refusal::GrantWithdrawn);
    }
    if fact.signers.contains(&signed.signer) {
        return Err(Refusal::AlreadySigned);
    }
    fact.signers.push(signed.signer);
    settle(fact, authority, vetoes, now);
    Ok(id)
}

/// Brings a grant into force once everyone needed has signed: the quorum, and, with their own key, whoever
/// has withdrawn from this grantee before.
pub(super) fn settle(fact: &mut GrantFact, authority: &ConsentAuthority, vetoes: &[Veto], now: Millis) {
    let reconciled = vetoes
        .iter()
        .filter(|v| v.grantee.is_same_party(&fact.grant.grantee) && authority.may_sign(v.by, now))
        .all(|v| fact.signers.contains(&v.by));
    if !reconciled {
        return;
    }
    if authority.quorum_met(&fact.signers, now) {
        // Enough have signed with their keys: nothing rests on paper any more.
        fact.attested.clear();
    }
    if fact.in_force_since == 0 && authority.quorum_met(&fact.consenting(now), now) {
        fact.in_force_since = now.max(1);
    }
}

/// The basis of a person in a `personal` scope, and of a leader in a `unit` scope: their own key.
pub fn own_basis(key: &PublicKey) -> Hash {
    hash("own basis", &[key])
}
