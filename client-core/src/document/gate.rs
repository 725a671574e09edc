//! Whether a change fits behind those already accepted. Automerge would take changes under anybody's actor id, with operation numbers
//! that make later edits panic, or in an encoding that no longer loads once saved.

use automerge::{ActorId, Change};
use stafett_protocol::ids::{DeviceId, hash};
use stafett_protocol::limits::{CHANGE_DEPENDENCIES, DOCUMENT_LAST_OPERATION};

use super::history::{History, Layered, last_op};
use super::reason::Reason;

/// Bytes that tell apart the runs of one device: drawn at random whenever a device starts a new line of changes.
pub type Incarnation = [u8; 8];

/// An author's time is a claim and may be anything, but the library's differences of times must not overflow.
const TIME_MAX_SECONDS: u64 = 1 << 40;

/// The actor id of a device's run: the incarnation, and a hash that binds it to the device. Nobody needs to be told which actor belongs
/// to whom, and a change under another device's actor shows itself.
#[must_use]
pub fn actor_id(device: DeviceId, incarnation: Incarnation) -> ActorId {
    let bound = hash("actor", &[&device.0, &incarnation]);
    ActorId::from([&incarnation[..], &bound.first_16()].concat())
}

/// Whether an actor is a run of this device.
pub fn is_actor_of(actor: &ActorId, device: DeviceId) -> bool {
    actor.to_bytes().first_chunk().is_some_and(|incarnation| *actor == actor_id(device, *incarnation))
}

/// Checks a parsed change against the history. `bytes` are those received.
pub fn check(change: &Change, bytes: &[u8], device: DeviceId, history: &Layered<'_, History>) -> Result<(), Reason> {
    let checksum = bytes.get(4..8).ok_or(Reason::NotAChange)?;
    if !change.hash().0.starts_with(checksum) {
        return Err(Reason::Checksum);
    }
    if change.message().is_some() || !change.extra_bytes().is_empty() {
        return Err(Reason::Extras);
    }
    if change.timestamp().unsigned_abs() > TIME_MAX_SECONDS {
        return Err(Reason::Time);
    }
    if !is_actor_of(change.actor_id(), device) {
        return Err(Reason::Actor);
    }
    let dependencies = change.deps();
    if dependencies.len() > CHANGE_DEPENDENCIES {
        return Err(Reason::Dependencies);
    }
    let mut newest = 0;
    for dependency in dependencies {
        newest = newest.max(history.max_op_of(dependency).ok_or(Reason::UnknownDependency)?);
    }
    // A change follows its actor's last one directly: an actor is one line, never a fork (R5).
    let fits = match history.last(change.actor_id()) {
        Some(last) => change.seq() == last.sequence + 1 && dependencies.contains(&last.hash),
        None => change.seq() == 1,
    };
    if !fits {
        return Err(Reason::Sequence);
    }
    // Numbers go on where the dependencies end (R6): so no sum of small steps outruns the operations that there are. The library
    // counts from the newest operation of the whole document, which is the same, since its changes depend on all the newest.
    if change.start_op().get() != newest + 1 || change.is_empty() {
        return Err(Reason::StartOperation);
    }
    if last_op(change) > DOCUMENT_LAST_OPERATION { Err(Reason::Room) } else { Ok(()) }
}
