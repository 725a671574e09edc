//! Every budget of the server in one table: what a connection, a device, a person, an address prefix and a peer may take, of
//! memory at one time, of rates, of places, and in a day. `docs/operations.md` says the same to operators. What two
//! parties must agree on stands in `stafett_protocol::limits`, how libraries are set in [`crate::border`].

use std::time::Duration;

use stafett_protocol::limits::{BODY_BYTES, FRAME_BYTES, SERVER_MESSAGE_BYTES, SMALL_REQUEST_BYTES};

use super::memory::Holder;
use super::{Budget, Good, NONE, Payer};

pub const MIB_BYTES: u64 = 1024 * 1024;
pub const GIB_BYTES: u64 = 1024 * MIB_BYTES;
const MIB: usize = 1024 * 1024;

/// Memory at one time. Bytes as they come over the wire: what is made of them takes up to four times as much for a moment.
#[must_use]
pub fn held_bytes(holder: Holder) -> usize {
    match holder {
        Holder::All => 512 * MIB,
        Holder::Bodies => 64 * MIB,
        Holder::Returning => 192 * MIB,
        // A school may share an address, and what forwards to this server may have this machine's own.
        Holder::Prefix(prefix) => {
            if prefix.is_loopback() {
                64 * MIB
            } else {
                8 * MIB
            }
        }
        // One frame that comes and one that goes, and room for a relay.
        Holder::Device(_) => 24 * MIB,
        Holder::Person(_) => 32 * MIB,
        Holder::Peer(_) => 128 * MIB,
    }
}

/// What each stream has of its own, beside the table, of what comes, of an answer that goes, and of what is pushed: small
/// messages always get through.
pub const FREE_BYTES: usize = 64 * 1024;
/// What is held is counted in steps of this.
pub const HELD_STEP_BYTES: usize = 64 * 1024;
/// Buffers that have grown beyond this are made anew once they are empty.
pub const BUFFER_KEPT_BYTES: usize = 256 * 1024;
/// How long an answer waits for room in memory.
pub const ROOM_WAIT: Duration = Duration::from_secs(10);
/// How long the other side may take nothing of what is written.
pub const STALL: Duration = Duration::from_secs(30);
/// A reader slower than this for one message is cut off; it loses nothing, and syncs when it is back.
pub const SEND: Duration = Duration::from_secs(30);

/// A rate: in a second, and at once.
pub type Rate = (u32, u32);

/// Joins and stream openings of one address prefix.
pub const PER_PREFIX: Rate = (50, 1000);
/// Requests of one device on its streams.
pub const PER_DEVICE: Rate = (1000, 4000);
/// Events of one device: what makes every other member work.
pub const EVENTS_PER_DEVICE: Rate = (20_000, 60_000);
/// Letters of one device: they fill other people's mailboxes.
pub const LETTERS_PER_DEVICE: Rate = (50, 3000);
/// What all guests of one municipality may do together: their own home's server could invent as many
/// devices as it likes. Requests, persons looked up, events and letters count alike.
pub const PER_PEER: Rate = (5000, 50_000);
/// Streams that a peer opens for guests.
pub const PEER_OPENINGS: Rate = (100, 2000);

/// Connections in all; beyond it new ones are closed at once.
pub const CONNECTIONS: usize = 10_000;
/// Open streams of guests of one municipality.
pub const GUESTS_PER_PEER: usize = 2000;
/// Streams of one device: one is needed, others may be dying.
pub const STREAMS_PER_DEVICE: usize = 32;
/// Relays that one stream may have open.
pub const RELAYS_PER_STREAM: usize = 16;
/// Messages that wait in a relay, each way.
pub const RELAY_QUEUE: usize = 4;
/// Pushes that wait for one connection.
pub const PUSHES: usize = 256;
/// Records in a push; what is larger is read from the database when its turn has come.
pub const PUSH_BYTES: usize = 16 * 1024;

/// Most bytes of a request, by the number of its kind: whatever only names things is small.
#[must_use]
pub const fn request_bytes(kind: u8) -> usize {
    match kind {
        // Submit, Relay, CommitTransfer, Return.
        1 | 15 | 17 | 26 => FRAME_BYTES,
        // Letters: many in one request.
        7 => FRAME_BYTES,
        // PutCheckpointPart, PutCheckpoint, PutAttachmentPart: a part of 1 MiB, or facts, and what lies around them.
        24 | 25 | 28 => 2 * BODY_BYTES,
        // PublishKeyPackages, CertifyDevice, and the requests of a transfer.
        3 | 10 | 16 | 19 | 20 | 21 => BODY_BYTES,
        _ => SMALL_REQUEST_BYTES,
    }
}

/// Most bytes of one answer.
pub const ANSWER_BYTES: usize = SERVER_MESSAGE_BYTES;

/// What may be stored, founded and asked for in a day: room for a first upload of twenty papers of 25 MiB, for a class that
/// begins school, for logs that move, and for devices that read everything anew.
pub(super) const fn of_a_day(payer: Payer, good: Good) -> Budget {
    let (at_once, in_a_day) = match (good, payer) {
        (Good::Bytes, Payer::Device(_)) => (512 * MIB_BYTES, 512 * MIB_BYTES),
        (Good::Bytes, Payer::Person(_)) => (GIB_BYTES, 512 * MIB_BYTES),
        (Good::Bytes, Payer::Peer(_)) => (8 * GIB_BYTES, 8 * GIB_BYTES),
        (Good::Logs, Payer::Device(_)) => (40, 40),
        (Good::Logs, Payer::Person(_)) => (60, 60),
        (Good::Logs, Payer::Peer(_)) => (500, 500),
        (Good::Facts, Payer::Device(_)) => (4_000, 2_000),
        (Good::Facts, Payer::Person(_)) => (6_000, 4_000),
        (Good::Facts, Payer::Peer(_)) => (50_000, 50_000),
        (Good::Answers, Payer::Device(_)) => (8 * GIB_BYTES, 8 * GIB_BYTES),
        (Good::Answers, Payer::Person(_)) => (16 * GIB_BYTES, 16 * GIB_BYTES),
        (Good::Answers, Payer::Peer(_)) => (64 * GIB_BYTES, 64 * GIB_BYTES),
        (Good::FetchedBytes, Payer::Peer(_)) => (32 * GIB_BYTES, 32 * GIB_BYTES),
        (Good::FetchedBytes, Payer::Device(_) | Payer::Person(_)) => return NONE,
    };
    Budget { at_once, in_a_day }
}
