//! Founding a scope, and founding it anew: nothing exists before the quorum has signed (B1), the founder
//! is alone in the first epoch, and a re-founding brings back exactly who was there.

use crate::commit_view::Leaf;
use crate::consent::{Access, Permit};
use crate::event::{Event, Genesis, Position};
use crate::ids::{DeviceId, LogId, PersonId, PublicKey};
use crate::limits;
use crate::membership::{ConsentAuthority, Member, Membership, Role, ScopeKind};
use crate::policy::{Author, Context, entry};
use crate::refusal::Refusal;
use crate::seat::in_force;
use crate::state::{ScopeState, Status, Tenure};
use crate::statement::KeyPlace;
use std::collections::BTreeSet;

/// A scope's first event.
pub(super) fn found(
    context: &Context<'_>,
    event: &Event,
    genesis: &Genesis,
    membership: &Membership,
    leaf: &Leaf,
) -> Result<ScopeState, Refusal> {
    if event.scope != membership.scope {
        return Err(Refusal::WrongScope);
    }
    if membership.home != context.home {
        return Err(Refusal::WrongHome);
    }
    // Only a log that has moved gets new scopes later than at its first home: at its card's home epoch.
    let in_moved_log = matches!(membership.kind, ScopeKind::Journal | ScopeKind::Concern);
    let begins = membership.home_epoch == 1 || (in_moved_log && membership.home_epoch > 1);
    if event.generation != 1 || membership.generation != 1 || event.epoch != 0 || !begins {
        return Err(Refusal::WrongGeneration);
    }
    if event.counter != 1 {
        return Err(Refusal::CounterGap);
    }
    if genesis.carries.is_some() {
        return Err(Refusal::Malformed);
    }
    if membership.policy_version != crate::POLICY_VERSION {
        return Err(Refusal::UnknownPolicy);
    }
    let founder = lone_founder(context, event, membership, leaf)?;
    let mut state = fresh(genesis, membership, founder.person, context.now);
    match membership.kind {
        ScopeKind::Card => card(context, genesis, &founder, &mut state)?,
        ScopeKind::Journal | ScopeKind::Concern => within_log(context, genesis, &founder, &mut state)?,
        ScopeKind::Unit => unit(context, &founder, leaf, &state)?,
        ScopeKind::Personal => personal(&founder, &state)?,
    }
    Ok(state)
}

fn fresh(genesis: &Genesis, membership: &Membership, founder: PersonId, now: u64) -> ScopeState {
    ScopeState {
        membership: membership.clone(),
        founder,
        founded_at: now,
        card: genesis.card,
        position: Position::default(),
        time: 0,
        epoch: 0,
        epoch_since: now,
        gentle: Permit::No,
        status: Status::Active,
        counters: vec![],
        grants: vec![],
        ended: vec![],
        vetoes: vec![],
        revoked: vec![],
        spent: vec![],
        gone: vec![],
        employments: vec![],
        listed: vec![],
        next_authority: None,
        decisions: vec![],
        new_keys: vec![],
        last_commit: 0,
        before_last_commit: vec![],
        rejected: Permit::No,
        readmit: vec![],
        gaps: vec![],
        check: genesis.check,
        tenures: vec![],
        takeovers: vec![],
        moves: vec![],
        attachments: vec![],
    }
}

/// Exactly one member with exactly one device: the author of the event.
fn lone_founder(context: &Context<'_>, event: &Event, membership: &Membership, leaf: &Leaf) -> Result<Member, Refusal> {
    let [founder] = membership.members.as_slice() else { return Err(Refusal::MembershipMismatch) };
    if founder.devices.as_slice() != [leaf.key] || DeviceId::of_key(&leaf.key) != event.device {
        return Err(Refusal::MembershipMismatch);
    }
    entry::check_leaves(context, founder, std::iter::once(leaf))?;
    Ok(founder.clone())
}

fn card(context: &Context<'_>, genesis: &Genesis, founder: &Member, state: &mut ScopeState) -> Result<(), Refusal> {
    let salt = genesis.log_salt.ok_or(Refusal::LogMismatch)?;
    if state.log() != LogId::found(&founder.person_key, &salt) || genesis.card.is_some() {
        return Err(Refusal::LogMismatch);
    }
    check_authority(&state.membership.authority, founder.person)?;
    sign_all(context, genesis, state.scope(), state)?;
    hold(context, genesis, founder, state)?;
    state.tenures = vec![Tenure { person: founder.person, basis: founder.basis, since: context.now }];
    Ok(())
}

/// Whether an authority can decide, counts everyone once, and does not hold the log that it consents to: what a founding
/// is held to, a change, and whoever is asked to sign beforehand.
pub fn check_authority(authority: &ConsentAuthority, holder: PersonId) -> Result<(), Refusal> {
    let persons: BTreeSet<_> = authority.persons().map(|p| p.person).collect();
    let keys: BTreeSet<_> = authority.persons().map(|p| p.key).collect();
    let named = authority.persons().count();
    let quorum = usize::from(authority.quorum);
    let guardians = authority.guardians.len();
    // B7: from 16 a youth may have a log without its parents.
    let youth_alone = guardians == 0 && authority.child.is_some() && authority.youth_from != 0;
    let once = persons.len() == named && keys.len() == named;
    if guardians > limits::GUARDIANS {
        return Err(Refusal::TooMany);
    }
    if !once || persons.contains(&holder) || quorum > guardians || (quorum == 0 && !youth_alone) {
        return Err(Refusal::QuorumMissing);
    }
    Ok(())
}

fn sign_all(
    context: &Context<'_>,
    genesis: &Genesis,
    scope: crate::ids::ScopeId,
    state: &mut ScopeState,
) -> Result<(), Refusal> {
    for signed in &genesis.grants {
        let authority = state.membership.authority.clone();
        entry::sign_grant(&mut state.grants, &authority, &[], scope, signed, context.now)?;
    }
    if state.grants.iter().any(|f| f.grant.log != state.log()) {
        return Err(Refusal::GrantMismatch);
    }
    Ok(())
}

fn hold(context: &Context<'_>, genesis: &Genesis, founder: &Member, state: &ScopeState) -> Result<(), Refusal> {
    if founder.role != Role::Holder {
        return Err(Refusal::NotYours);
    }
    let fact = state.grant(&founder.basis).ok_or(Refusal::GrantMissing)?;
    match in_force(fact, context.now) {
        Err(Refusal::GrantWaiting) => return Err(Refusal::QuorumMissing),
        other => other?,
    }
    if fact.grant.moves_to.is_some_and(|to| to != context.home) {
        return Err(Refusal::MoveNotConsented);
    }
    entry::check_holder(state, context, fact, founder, &genesis.vouchers)
}

/// Journal and concerns: founded by the card's holder under the card's authority. The journal has
/// grants of its own; into a concern family, holder and custodian come on the card's.
fn within_log(
    context: &Context<'_>,
    genesis: &Genesis,
    founder: &Member,
    state: &mut ScopeState,
) -> Result<(), Refusal> {
    if genesis.log_salt.is_some() {
        return Err(Refusal::LogMismatch);
    }
    let card_scope = genesis.card.ok_or(Refusal::LogMismatch)?;
    check_authority(&state.membership.authority, founder.person)?;
    let granted_for = if state.kind() == ScopeKind::Concern { card_scope } else { state.scope() };
    sign_all(context, genesis, granted_for, state)?;
    if state
        .grants
        .iter()
        .any(|g| state.kind() == ScopeKind::Concern && !matches!(g.grant.access, Access::Hold | Access::Custody))
    {
        return Err(Refusal::GrantMismatch);
    }
    hold(context, genesis, founder, state)?;
    let Some(card) = context.card else { return Ok(()) };
    if card.scope() != card_scope || card.log() != state.log() {
        return Err(Refusal::LogMismatch);
    }
    if card.status_at(context.now) != Status::Active {
        return Err(Refusal::NotActive);
    }
    if (card.membership.home, card.membership.home_epoch) != (context.home, state.membership.home_epoch) {
        return Err(Refusal::WrongHome);
    }
    if *card.authority() != state.membership.authority {
        return Err(Refusal::NotAnAuthority);
    }
    let holds = card.membership.holder().is_some_and(|h| {
        h.person == founder.person
            && h.person_key == founder.person_key
            && (state.kind() == ScopeKind::Journal || h.basis == founder.basis)
    });
    if !holds {
        return Err(Refusal::NotOnCard);
    }
    // Whoever is being relieved begins nothing that would have to be handed over, too.
    if card.is_taken_over() {
        return Err(Refusal::TakenOver);
    }
    // A grant that the card knows to be withdrawn gives nobody a place, whatever copies of it say.
    for copy in state.grants.iter().filter(|_| state.kind() == ScopeKind::Concern) {
        in_force(card.grant(&copy.id).ok_or(Refusal::GrantMissing)?, context.now)?;
    }
    Ok(())
}

fn unit(context: &Context<'_>, founder: &Member, leaf: &Leaf, state: &ScopeState) -> Result<(), Refusal> {
    let identity = leaf.credential.verify(context.trusted).map_err(|_| Refusal::NotIdentified)?;
    if !entry::leads(&identity, context, state) || founder.role != Role::Leader {
        return Err(Refusal::NotYours);
    }
    outside_logs(founder, state)
}

fn personal(founder: &Member, state: &ScopeState) -> Result<(), Refusal> {
    if founder.role != Role::Own || state.scope().0 != founder.person.0 {
        return Err(Refusal::NotYours);
    }
    outside_logs(founder, state)
}

fn outside_logs(founder: &Member, state: &ScopeState) -> Result<(), Refusal> {
    let empty = state.membership.authority == ConsentAuthority::default();
    if !empty || state.log() != LogId::default() || founder.basis != entry::own_basis(&founder.person_key) {
        return Err(Refusal::MembershipMismatch);
    }
    Ok(())
}

/// Who may found an orphaned scope anew, and the seat they take: nobody is left in it who could commit, so
/// it is a guardian, the youth who decides, a new holder on a grant in force, of a `unit` scope its leader,
/// of a `personal` one the person.
fn heir(
    state: &ScopeState,
    context: &Context<'_>,
    device: DeviceId,
    genesis: &Genesis,
) -> Result<(Member, PublicKey), Refusal> {
    let identity = genesis.founder.verify(context.trusted).map_err(|_| Refusal::NotIdentified)?;
    let (person, person_key, key) = (identity.person(), *identity.person_key(), *identity.device_key());
    if DeviceId::of_key(&key) != device {
        return Err(Refusal::NotAMember);
    }
    let seat = |role, basis| (Member { person, person_key, role, devices: vec![key], basis }, key);
    let authority = state.authority();
    match state.kind() {
        ScopeKind::Unit => {
            let leads = entry::leads(&identity, context, state);
            let leader = seat(Role::Leader, entry::own_basis(&person_key));
            return if leads { Ok(leader) } else { Err(Refusal::NotAMember) };
        }
        ScopeKind::Personal => {
            let own = person == state.founder && state.key_of(person) == Some(&person_key);
            return if own { Ok(seat(Role::Own, entry::own_basis(&person_key))) } else { Err(Refusal::NotAMember) };
        }
        ScopeKind::Card | ScopeKind::Journal | ScopeKind::Concern => {}
    }
    if authority.key(person) == Some(&person_key) {
        let youth = authority.child.is_some_and(|c| c.person == person);
        return Ok(seat(if youth { Role::Child } else { Role::Guardian }, authority.id()));
    }
    for fact in state.grants_in_force(context.now) {
        let (holder, _) = seat(Role::Holder, fact.id);
        let units = entry::units(fact, std::slice::from_ref(&identity));
        let reconciled = state.reconciled(context.now, fact, person, &units);
        if reconciled.and_then(|()| entry::check_holder(state, context, fact, &holder, &genesis.vouchers)).is_ok() {
            return Ok((holder, key));
        }
    }
    Err(Refusal::NotAMember)
}

/// Nobody is left who could bring a consent into an orphaned scope but its genesis.
fn with_grants(state: &ScopeState, context: &Context<'_>, genesis: &Genesis) -> Result<ScopeState, Refusal> {
    genesis
        .grants
        .iter()
        .try_fold(state.clone(), |state, signed| crate::policy::statement::grant(&state, context, signed))
}

/// The author of a genesis in an orphaned scope, who has no leaf there that counts.
pub(super) fn heir_author(
    state: &ScopeState,
    context: &Context<'_>,
    device: DeviceId,
    genesis: &Genesis,
) -> Result<Author, Refusal> {
    let (member, key) = heir(&with_grants(state, context, genesis)?, context, device, genesis)?;
    Ok(Author { person: member.person, key, role: member.role })
}

/// A new generation: after a rejected commit, or when nobody is left who could commit. The founder is
/// one who was there (or the heir of an orphaned scope); the others come back in the commits that follow,
/// exactly as they were.
pub(super) fn refound(
    state: &ScopeState,
    context: &Context<'_>,
    author: &Author,
    genesis: &Genesis,
    membership: &Membership,
    leaf: &Leaf,
) -> Result<ScopeState, Refusal> {
    let orphaned = state.is_orphaned(context.now);
    if state.rejected != Permit::Yes && !orphaned {
        return Err(Refusal::NotRejected);
    }
    crate::policy::require(state, context, author, crate::policy::Action::Refound)?;
    check_carried(state, genesis, orphaned)?;
    if !orphaned && !genesis.grants.is_empty() {
        return Err(Refusal::GrantMismatch);
    }
    let state = &with_grants(state, context, genesis)?;
    let back = who_returns(state, context, orphaned);
    let seat = match orphaned {
        true => heir(state, context, DeviceId::of_key(&leaf.key), genesis)?.0,
        false => back.iter().find(|m| m.person == author.person).cloned().ok_or(Refusal::NotAMember)?,
    };
    let as_before = Membership {
        generation: membership.generation,
        members: vec![Member { devices: vec![leaf.key], ..seat.clone() }],
        ..state.membership.clone()
    };
    let newer = state.membership.generation.checked_add(1) == Some(membership.generation);
    if *membership != as_before || !newer || leaf.key != author.key {
        return Err(Refusal::MembershipMismatch);
    }
    entry::check_leaves(context, &seat, std::iter::once(leaf))?;
    let status = match (orphaned, seat.role, state.status) {
        (true, Role::Holder, Status::Dormant | Status::Withdrawn) => Status::Active,
        (true, role, Status::Active) if role != Role::Holder && in_log(state) => Status::Dormant,
        (_, _, status) => status,
    };
    Ok(ScopeState {
        membership: membership.clone(),
        founded_at: context.now,
        epoch: 0,
        epoch_since: context.now,
        gentle: Permit::No,
        status,
        listed: vec![],
        before_last_commit: back.clone(),
        // The old commit cannot be rejected once more. The founding can, by whoever it keeps out.
        last_commit: state.position.seq.saturating_add(1),
        rejected: Permit::No,
        readmit: back,
        gaps: vec![],
        check: genesis.check,
        ..state.clone()
    })
}

fn in_log(state: &ScopeState) -> bool {
    !matches!(state.kind(), ScopeKind::Unit | ScopeKind::Personal)
}

/// Nothing accepted is ever un-accepted: every change of the generations before goes on to count. The founder seals
/// the newest key that it has: perhaps not the last one, if it could not process the last commits, or of an earlier
/// generation, if it was kept out of the last. Who has a later key publishes it as a link. An orphaned scope may start
/// empty.
fn check_carried(state: &ScopeState, genesis: &Genesis, orphaned: bool) -> Result<(), Refusal> {
    let Some(carried) = &genesis.carries else {
        return if orphaned { Ok(()) } else { Err(Refusal::LinkMissing) };
    };
    let present = KeyPlace { generation: state.membership.generation, epoch: state.epoch };
    if carried.to.generation > 0 && carried.to <= present { Ok(()) } else { Err(Refusal::LinkMissing) }
}

/// Everyone who was in before the rejected commit, less what was listed since; of an orphaned scope the
/// family alone.
fn who_returns(state: &ScopeState, context: &Context<'_>, orphaned: bool) -> Vec<Member> {
    let listed = state.listed_at(context.now);
    let authority = state.authority();
    let mut back: Vec<Member> = match orphaned {
        true => state.present().filter(|m| authority.key(m.person).is_some()).cloned().collect(),
        false => state.before_last_commit.clone(),
    };
    for member in &mut back {
        member.devices.retain(|d| !listed.contains(d));
    }
    back.retain(|m| !m.devices.is_empty() || m.role.is_family());
    back
}
