//! The one policy: may this event enter this chain? Pure, deny by default, over every kind of event,
//! proposal and commit; asked by the server on submit, by every client on reading, by `audit verify`,
//! and by the clients' buttons. Nothing else in the project decides.
//!
//! `decide` answers with the scope's next facts, so that who asks cannot apply less than was judged.

mod authority;
mod commit;
mod entry;
mod genesis;
mod handover;
mod statement;
mod table;
mod withdrawal;

pub use entry::own_basis;
pub use genesis::check_authority;
pub use handover::{is_complete, may_abort, may_hand_over, may_offer};
pub use table::{Action, ROLES, STATUSES, allows, print as print_table};

use crate::commit_view::CommitView;
use crate::credential::Municipalities;
use crate::event::{Body, Change, Event};
use crate::ids::{DeviceId, Millis, Municipality, PersonId, PublicKey};
use crate::limits;
use crate::membership::{Member, Membership, Role};
use crate::refusal::Refusal;
use crate::state::ScopeState;
use crate::statement::Statement;

/// What a decision depends on beside the scope's own facts and the event.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The home's receipt time of the event.
    pub now: Millis,
    /// The municipality whose server is the home.
    pub home: Municipality,
    pub trusted: &'a Municipalities,
    /// The facts of the log's card, for the log's other scopes, where this party has them. Servers always
    /// do. A client that passes it must have the card's chain up to `now` at least; later is no harm to
    /// who was on it (see [`crate::state::Gone`]), but a scope's genesis is judged by the card as it is.
    pub card: Option<&'a ScopeState>,
}

/// Whoever signed the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Author {
    pub person: PersonId,
    pub key: PublicKey,
    pub role: Role,
}

/// What the event brings that only MLS can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MlsView {
    /// The membership in the GroupInfo of a genesis, and its one leaf.
    Genesis(Membership, crate::commit_view::Leaf),
    Commit(CommitView),
    /// Changes and statements.
    None,
}

/// Whose event this is, by the leaves of the scope; for withdrawals a leaf of the card suffices, and for what
/// nobody may be kept from a seat that a re-founding keeps free. Its signature must then be verified with
/// [`Author::key`].
pub fn author(state: &ScopeState, context: &Context<'_>, event: &Event) -> Result<Author, Refusal> {
    let of = |s: &ScopeState| {
        let member = s.membership.member_of_device(event.device)?;
        let key = *s.membership.device_key(event.device)?;
        Some((Author { person: member.person, key, role: member.role }, s.listed_at(context.now).contains(&key)))
    };
    let awaited = |s: &ScopeState| {
        let (seat, key) = s.awaited(event.device, context.now).filter(|_| is_open_to_awaited(&event.body))?;
        Some((Author { person: seat.person, key, role: seat.role }, false))
    };
    let withdrawal = matches!(&event.body, Body::Statement(Statement::Withdrawal(_)));
    let before = |card: &ScopeState| {
        let gone = card.gone_since(context.now).find(|g| DeviceId::of_key(&g.device) == event.device)?;
        Some((Author { person: gone.person, key: gone.device, role: gone.role }, false))
    };
    let on_card = |card: &ScopeState| before(card).or_else(|| of(card)).or_else(|| awaited(card));
    let by_card = || context.card.filter(|_| withdrawal).and_then(on_card);
    let refused = match of(state).or_else(|| awaited(state)).or_else(by_card) {
        Some((author, false)) => return Ok(author),
        Some((_, true)) => Refusal::Listed,
        None => Refusal::NotAMember,
    };
    match &event.body {
        Body::Genesis(genesis) if state.is_orphaned(context.now) => {
            genesis::heir_author(state, context, event.device, genesis)
        }
        _ => Err(refused),
    }
}

/// What those may say who wait to be let back in: to end consent, to object, and to found anew.
fn is_open_to_awaited(body: &Body) -> bool {
    matches!(
        body,
        Body::Genesis(_) | Body::Statement(Statement::Withdrawal(_) | Statement::Reject(_) | Statement::Objection(_))
    )
}

/// Judges an event of a scope that exists. The signature has been verified with the author's key, the
/// chain's order with its position; `mls` comes from the group that the event builds on.
pub fn decide(state: &ScopeState, context: &Context<'_>, event: &Event, mls: &MlsView) -> Result<ScopeState, Refusal> {
    check_frame(state, context, event)?;
    let author = author(state, context, event)?;
    let mut next = match (&event.body, mls) {
        (Body::Change(change), _) => {
            check_change(state, context, &author, event, change)?;
            let mut next = state.clone();
            for attachment in &change.attachments {
                if !next.attachments.contains(attachment) {
                    next.attachments.push(*attachment);
                }
            }
            next
        }
        (Body::Commit(commit), MlsView::Commit(view)) => commit::decide(state, context, &author, event, commit, view)?,
        (Body::Statement(statement), _) => statement::decide(state, context, &author, statement)?,
        (Body::Genesis(genesis), MlsView::Genesis(membership, leaf)) => {
            genesis::refound(state, context, &author, genesis, membership, leaf)?
        }
        (Body::Commit(_) | Body::Genesis(_), _) => return Err(Refusal::Malformed),
    };
    next.note_gone(state, context.now);
    next.counter_mut(event.device).last = event.counter;
    Ok(next)
}

/// Judges the first event of a scope.
pub fn found(
    context: &Context<'_>,
    event: &Event,
    membership: &Membership,
    leaf: &crate::commit_view::Leaf,
) -> Result<ScopeState, Refusal> {
    let Body::Genesis(genesis) = &event.body else { return Err(Refusal::UnknownScope) };
    let mut state = genesis::found(context, event, genesis, membership, leaf)?;
    state.counter_mut(event.device).last = event.counter;
    Ok(state)
}

/// Judges a change that names no attachment without copying the scope's facts: the path that must be fast. The
/// caller then raises the device's counter.
pub fn decide_change(
    state: &ScopeState,
    context: &Context<'_>,
    event: &Event,
    change: &Change,
) -> Result<Author, Refusal> {
    check_frame(state, context, event)?;
    let author = author(state, context, event)?;
    check_change(state, context, &author, event, change)?;
    Ok(author)
}

/// Whether a person in `role` could do this now: what a button or command asks before it begins.
pub fn can(state: &ScopeState, person: PersonId, action: Action, now: Millis) -> Result<(), Refusal> {
    let outlasts = matches!(action, Action::Withdraw | Action::Reject | Action::Object | Action::Refound);
    let waits = |m: &&Member| m.person == person && outlasts && state.is_awaited(person, now);
    let member = state.membership.member(person).or_else(|| state.present().find(waits));
    let member = member.ok_or(Refusal::NotAMember)?;
    let listed = state.listed_at(now);
    if !member.devices.is_empty() && member.devices.iter().all(|d| listed.contains(d)) {
        return Err(Refusal::Listed);
    }
    allows(member.role, action, state.status_at(now), state.authority().youth_decides(now))
}

fn check_frame(state: &ScopeState, context: &Context<'_>, event: &Event) -> Result<(), Refusal> {
    if event.scope != state.scope() {
        return Err(Refusal::WrongScope);
    }
    if state.membership.home != context.home {
        return Err(Refusal::WrongHome);
    }
    let generation = state.membership.generation;
    let expected = if matches!(event.body, Body::Genesis(_)) { generation.saturating_add(1) } else { generation };
    if event.generation != expected {
        return Err(Refusal::WrongGeneration);
    }
    let last = state.counter(event.device);
    if event.counter <= last {
        return Err(Refusal::CounterUsed);
    }
    if event.counter != last.saturating_add(1) {
        return Err(Refusal::CounterGap);
    }
    Ok(())
}

fn check_change(
    state: &ScopeState,
    context: &Context<'_>,
    author: &Author,
    event: &Event,
    change: &Change,
) -> Result<(), Refusal> {
    require(state, context, author, Action::Change)?;
    if change.sealed.as_slice().len() > limits::CHANGE_EVENT_BYTES {
        return Err(Refusal::TooLarge);
    }
    if usize::from(change.count) > limits::CHANGE_OPERATIONS || change.count == 0 {
        return Err(Refusal::TooLarge);
    }
    let named = change.attachments.len();
    if named > limits::CHANGE_ATTACHMENTS
        || (named > 0 && state.attachments.len().saturating_add(named) > limits::SCOPE_ATTACHMENTS)
    {
        return Err(Refusal::TooManyAttachments);
    }
    if !state.listed_at(context.now).is_empty() {
        return Err(Refusal::RemovalFirst);
    }
    let graceful = state.gentle == crate::consent::Permit::Yes
        && event.epoch.checked_add(1) == Some(state.epoch)
        && context.now.saturating_sub(state.epoch_since) <= limits::PREVIOUS_EPOCH_MILLIS;
    if event.epoch != state.epoch && !graceful {
        return Err(Refusal::WrongEpoch);
    }
    Ok(())
}

/// The table, asked for this author at this moment.
fn require(state: &ScopeState, context: &Context<'_>, author: &Author, action: Action) -> Result<(), Refusal> {
    allows(author.role, action, state.status_at(context.now), state.authority().youth_decides(context.now))
}
