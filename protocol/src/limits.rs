//! Every limit of the protocol in one table, unit in the name (`docs/protocol.md` 16). Change a number here only.

/// A sealed change event.
pub const CHANGE_EVENT_BYTES: usize = 256 * 1024;
/// Automerge operations in one change event.
pub const CHANGE_OPERATIONS: usize = 10_000;
/// A change event's plaintext after inflating.
pub const CHANGE_INFLATED_BYTES: usize = 4 * 1024 * 1024;
/// Clear part of an event, without its payload.
pub const EVENT_HEADER_BYTES: usize = 1024;
/// Envelopes in one bundle.
pub const BUNDLE_ENVELOPES: usize = 256;
/// Letters in one bundle.
pub const BUNDLE_LETTERS: usize = 1024;
/// One bundle, encoded.
pub const BUNDLE_BYTES: usize = 8 * 1024 * 1024;
/// Any other request body or frame.
pub const BODY_BYTES: usize = 1024 * 1024;
/// One frame on the stream: a bundle and its framing.
pub const FRAME_BYTES: usize = BUNDLE_BYTES + 64 * 1024;
/// A request that names things and carries none.
pub const SMALL_REQUEST_BYTES: usize = 128 * 1024;
/// The largest message that a home sends: a frame that came through it from another home, in its wrapping.
pub const SERVER_MESSAGE_BYTES: usize = FRAME_BYTES + 64 * 1024;
/// Pings, pongs and other messages that are no frames, of one stream at once.
pub const CONTROL_FRAMES: u32 = 64;
/// After so long one more of them.
pub const CONTROL_FRAME_MILLIS: u64 = 1000;
/// Least speed of a message that has begun, beyond the idle timeout.
pub const MESSAGE_BYTES_A_SECOND: u64 = 16 * 1024;
/// Devices of one person.
pub const PERSON_DEVICES: usize = 16;
/// A hybrid key that letters are sealed to: X25519 and ML-KEM-768.
pub const LETTER_KEY_BYTES: usize = 1216;
/// A checkpoint in all.
pub const CHECKPOINT_BYTES: usize = 16 * 1024 * 1024;
/// One sealed part of a checkpoint, and the facts beside it.
pub const CHECKPOINT_PART_BYTES: usize = 1024 * 1024;
/// Sealed checkpoints are rounded up to a multiple of this.
pub const CHECKPOINT_STEP_BYTES: usize = 64 * 1024;
/// Changes since the last checkpoint after which a new one is written.
pub const CHECKPOINT_CHANGES: u64 = 512;
/// A checkpoint that lies this many bytes of events ahead is worth reading.
pub const CHECKPOINT_AHEAD_BYTES: u64 = 128 * 1024;
/// An attachment as its author has it.
pub const ATTACHMENT_BYTES: usize = 25 * 1024 * 1024;
/// One sealed part of an attachment; all but the last have this size.
pub const ATTACHMENT_PART_BYTES: usize = 1024 * 1024;
/// The last part is rounded up to a multiple of this.
pub const ATTACHMENT_STEP_BYTES: usize = 64 * 1024;
/// Parts of one attachment: 25 MiB, and room for length and tags.
pub const ATTACHMENT_PARTS: usize = 26;
/// Attachments that one change names.
pub const CHANGE_ATTACHMENTS: usize = 4;
/// Attachments of one scope.
pub const SCOPE_ATTACHMENTS: usize = 256;
/// Attachments of one device that are being stored and no change names yet, in all scopes of a home.
pub const DEVICE_ATTACHMENTS_WAITING: usize = 8;
/// Sealed attachments of one scope at its home.
pub const SCOPE_ATTACHMENT_BYTES: u64 = 1024 * 1024 * 1024;
/// How long a home keeps parts of an attachment that no change has named.
pub const ATTACHMENT_WAIT_MILLIS: u64 = 7 * DAY_MILLIS;
/// Leaves in a scope of a log.
pub const LOG_SCOPE_LEAVES: usize = 64;
/// Leaves in a unit scope.
pub const UNIT_SCOPE_LEAVES: usize = 512;
/// Scopes of one log.
pub const LOG_SCOPES: usize = 64;
/// HTTP request headers.
pub const HEADER_BYTES: usize = 16 * 1024;
/// Time to send the request headers.
pub const HEADER_TIMEOUT_SECONDS: u64 = 10;
/// Time for a whole request.
pub const REQUEST_TIMEOUT_SECONDS: u64 = 30;
/// Time a connection may be idle.
pub const IDLE_TIMEOUT_SECONDS: u64 = 60;
/// Connections from one address.
pub const CONNECTIONS_PER_ADDRESS: usize = 64;
/// Longest life of a consent: 24 months of 31 days.
pub const CONSENT_MAX_MILLIS: u64 = 24 * 31 * DAY_MILLIS;
/// Life of a consent when nothing else is said: 365 days.
pub const CONSENT_DEFAULT_MILLIS: u64 = 365 * DAY_MILLIS;
/// Life of an attested (paper) consent that nobody countersigns.
pub const ATTESTED_CONSENT_MILLIS: u64 = 90 * DAY_MILLIS;
/// How long a measure's text may be edited by its author (F7).
pub const EDIT_WINDOW_MILLIS: u64 = 8 * HOUR_MILLIS;
/// Least time between two own-leaf updates of one device.
pub const OWN_UPDATE_MIN_MILLIS: u64 = DAY_MILLIS;
/// Longest time between two own-leaf updates.
pub const OWN_UPDATE_MAX_MILLIS: u64 = 30 * DAY_MILLIS;
/// How long a change may still be sealed under the previous epoch, if that commit removed nobody.
pub const PREVIOUS_EPOCH_MILLIS: u64 = 60_000;
/// A device clock further off than this is shown to its user.
pub const CLOCK_SKEW_SHOWN_MILLIS: u64 = 10 * 60_000;
/// How far a home's word of the time may lie ahead of a device's clock. Beyond it one of the two is wrong, and nothing of it
/// is taken.
pub const CLOCK_FUTURE_MILLIS: u64 = 2 * DAY_MILLIS;
/// How far a home's clock may get ahead of what has really passed while it runs, before nothing is signed.
pub const CLOCK_LEAP_MILLIS: u64 = DAY_MILLIS;
/// How far it may fall behind that, or behind what was signed before.
pub const CLOCK_BEHIND_MILLIS: u64 = 10 * 60_000;
/// What clocks may drift beyond that: one part in so many.
pub const CLOCK_DRIFT_PARTS: u64 = 10_000;
/// How long a home may have been away before its clock is believed by its operator's word alone.
pub const CLOCK_ABSENCE_MILLIS: u64 = 30 * DAY_MILLIS;
/// How far ahead of the new home's clock another home may have stamped a log that moves.
pub const HOME_AHEAD_MILLIS: u64 = HOUR_MILLIS;
/// Age at which a one-time key package is no longer handed out.
pub const KEY_PACKAGE_MAX_MILLIS: u64 = 30 * DAY_MILLIS;
/// Key packages of one device that the server keeps.
pub const KEY_PACKAGES_PER_DEVICE: usize = 100;
/// One key package.
pub const KEY_PACKAGE_BYTES: usize = 8 * 1024;
/// One letter, sealed.
pub const LETTER_BYTES: usize = 256 * 1024;
/// How often the newest head of a scope is told to its members by letter.
pub const HEAD_LETTER_MILLIS: u64 = DAY_MILLIS;
/// Letters waiting for one device, of everybody who shares a scope with its owner; also most ids in one acknowledgement.
pub const MAILBOX_ITEMS: usize = 10_000;
pub const MAILBOX_LETTER_BYTES: u64 = 256 * 1024 * 1024;
/// From here on strangers' letters find no room.
pub const MAILBOX_STRANGERS_ITEMS: u64 = 2_500;
pub const MAILBOX_STRANGERS_BYTES: u64 = 64 * 1024 * 1024;
/// Letters of one person waiting for one device.
pub const MAILBOX_SENDER_ITEMS: u64 = 2_000;
pub const MAILBOX_SENDER_BYTES: u64 = 32 * 1024 * 1024;
/// What of one person finds room in a mailbox that others have filled.
pub const MAILBOX_RESERVED_ITEMS: u64 = 16;
pub const MAILBOX_RESERVED_BYTES: u64 = 512 * 1024;
/// What people write, in characters (see [`crate::text`]): a person's name.
pub const PERSON_NAME_CHARS: usize = 120;
/// Any other name: of a unit, a municipality, a category.
pub const NAME_CHARS: usize = 200;
/// A title.
pub const LINE_CHARS: usize = 300;
/// A measure, a goal, a glimpse.
pub const PASSAGE_CHARS: usize = 4_000;
/// A note.
pub const LONG_CHARS: usize = 16_000;
/// Scopes in one sync.
pub const SYNC_SCOPES: usize = 4096;
/// Persons in one look-up.
pub const LOOKED_UP_PERSONS: usize = 256;
/// Persons whose key packages are fetched at once.
pub const FETCHED_PERSONS: usize = 64;
/// Codes of one person that may wait for use.
pub const PERSON_CODES: i64 = 500;
/// Life of a one-time code.
pub const CODE_MAX_MILLIS: u64 = 14 * DAY_MILLIS;
/// Dependencies of one Automerge change: the loose ends of everyone in the largest scope.
pub const CHANGE_DEPENDENCIES: usize = 4096;
/// Accepted changes of one person on which no other builds yet.
pub const PERSON_LOOSE_ENDS: usize = 8;
/// The number of a document's last operation: far below what Automerge counts in 32 bits.
pub const DOCUMENT_LAST_OPERATION: u64 = 1 << 31;
/// Operations of one person in one document.
pub const PERSON_OPERATIONS: u64 = 1 << 18;
/// Bytes of one person's changes in one document.
pub const PERSON_BYTES: u64 = 32 * 1024 * 1024;
/// Operations of a document, beyond which each person has only its reserve.
pub const DOCUMENT_OPERATIONS: u64 = 1 << 20;
/// Bytes of a document's changes, beyond which each person has only its reserve.
pub const DOCUMENT_BYTES: u64 = 128 * 1024 * 1024;
/// Operations that a person may always bring, however full the others have made a document.
pub const RESERVED_OPERATIONS: u64 = 1 << 14;
/// Bytes that a person may always bring.
pub const RESERVED_BYTES: u64 = 1024 * 1024;
/// Quarantined changes of one person that are remembered; of more, only that they stay out.
pub const PERSON_QUARANTINED: usize = 1024;

/// Grants of one scope that one person may withdraw before anyone has shown them.
pub const REVOKED_GRANTS: usize = 256;
/// Grants of one scope that one person is the first to sign, in all the time of the log.
pub const GRANTS_PER_SIGNER: usize = 512;
/// Guardians of one log.
pub const GUARDIANS: usize = 16;
/// A genesis, encoded: one leaf, and the consents on which it stands.
pub const GENESIS_BYTES: usize = 256 * 1024;
/// A commit in a scope of a log, encoded: 64 leaves and their key packages.
pub const LOG_COMMIT_BYTES: usize = 1024 * 1024;
/// How long whoever may come back after a re-founding waits for it before founding anew; doubled with each further
/// generation, up to 128 times.
pub const READMIT_PATIENCE_MILLIS: u64 = 10 * 60_000;
/// How long the family may object to a change of its authority by decision.
pub const DECISION_WAIT_MILLIS: u64 = 7 * DAY_MILLIS;
/// Such decisions of one scope that wait at the same time.
pub const DECISIONS_WAITING: usize = 8;
/// A link of the key chain: a sealed key and its tag.
pub const LINK_BYTES: usize = 48;
/// Gaps in the key chain of a generation that hold up an Add.
pub const KEY_GAPS: usize = 64;
/// One statement event, encoded.
pub const STATEMENT_BYTES: usize = 64 * 1024;

const HOUR_MILLIS: u64 = 3_600_000;
const DAY_MILLIS: u64 = 24 * HOUR_MILLIS;
