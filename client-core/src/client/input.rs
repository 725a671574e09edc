//! What the host tells the client, and what the client answers: the whole border between the core and
//! the world. Ids in commands are texts as people give them: whole, or a unique prefix.

use crate::answer::Answer;
pub use crate::client::problem::{Blame, Cause, Problem};
use crate::rows::Row;
use serde::{Deserialize, Serialize};
use stafett_protocol::ids::{LogId, ScopeId};

/// One thing that happens to the client.
#[derive(Debug, Clone)]
pub enum Input {
    /// A person wants something. Needs no net: what must be sent waits in the outbox.
    Command(Command),
    /// The host's POST of an earlier [`Call`] was answered, or failed.
    CallAnswered(Result<Vec<u8>, CallFailed>),
    /// The stream is open and signed in.
    Connected,
    /// One binary message from the server.
    Frame(Vec<u8>),
    /// The stream is gone. What was on its way is asked for again after the next `Connected`.
    Disconnected,
    /// The host has loaded the rows that [`Effects::load`] asked for.
    Loaded(Vec<Row>),
}

/// What the host does now, in this order: save `rows` in one transaction, show `answer`, send `frames`,
/// perform `call` or `load`.
#[derive(Debug, Default)]
pub struct Effects {
    pub rows: Vec<Row>,
    pub answer: Option<Result<Answer, Problem>>,
    /// Binary messages for the stream, in order. Empty while there is no stream.
    pub frames: Vec<Vec<u8>>,
    pub call: Option<Call>,
    /// Rows of [`crate::rows::Space::Event`] to read: every row whose key starts with one of these.
    pub load: Option<Vec<Vec<u8>>>,
    /// The file that `answer` is about.
    pub file: Option<Vec<u8>>,
    /// What others wrote and can be shown now, for views that do not begin anew with every message.
    pub news: Vec<News>,
    /// How far a move under way has come, when that has changed.
    pub progress: Option<Progress>,
    /// Nothing more will happen until the server or a person says something: `sync` may end.
    pub settled: bool,
}

/// What the new home of a log has fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub log: LogId,
    pub fetched: u64,
    /// Events that there are.
    pub of: u64,
}

/// An entry of a document that has become visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    pub scope: ScopeId,
    /// `measures`, `glimpses`, …
    pub section: String,
    pub entry: String,
}

/// A POST to a server that this device has no account at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `https://host:port`
    pub url: String,
    /// SHA-256 of the CA certificate (DER) that must stand at the end of the server's chain.
    pub ca: [u8; 32],
    pub path: &'static str,
    pub body: Vec<u8>,
}

/// A call that brought no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFailed {
    /// No connection, or none that can be trusted.
    Unreachable(String),
    /// The server's problem document: code and detail.
    Refused { code: String, detail: String },
}

/// Where and as whom to open the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub url: String,
    pub ca: [u8; 32],
    /// Ed25519 secret key of the device, for the RFC 9421 signature.
    pub device_key: [u8; 32],
}

/// Everything a person can ask for. What each answers stands in [`crate::answer`]; scripts rely on its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// First device of a person. → `person device unit role`
    Join {
        code: String,
        name: String,
    },
    /// → `code`
    DeviceLink,
    /// On a new, empty home. → `person device`
    DeviceAccept {
        code: String,
        name: String,
    },
    /// → `person devices:[{device name}]`
    DeviceList,
    /// This very device is about to be wiped: the server ends it, unless it is the only one known here. → `device`
    DeviceLeave,
    /// `lost`: also where it may be the only one with access to something. → `device`
    DeviceRemove {
        device: String,
        lost: bool,
    },
    /// → `code`
    Invite(Invitation),
    /// → `invites:[{code state person}]`
    InviteList,
    /// → `people:[{person name unit role verified}]`
    People {
        unit: Option<String>,
    },
    /// Those known here. → `units:[{unit name kind leader municipality}]`
    Units,
    /// Those of another municipality; from now on they are asked for with every sync.
    UnitsOf {
        municipality: String,
    },
    /// Administrator. The leader's code comes with the next sync and stands in `invite list`. → `id`
    UnitAdd {
        name: String,
        kind: String,
    },
    /// Leader: this person acts for the granted unit in the log. Empty `scopes` = all that were granted.
    UnitAssign {
        log: String,
        person: String,
        scopes: Vec<String>,
    },
    UnitUnassign {
        log: String,
        person: String,
    },
    /// → `number`, or `matches` where `number` is given.
    Verify {
        person: String,
        number: Option<String>,
    },
    /// → `log status`
    LogNew {
        child: String,
        born: String,
        guardians: Vec<String>,
        level: u8,
    },
    /// A draft that is thrown away. → `log dropped`
    LogDrop {
        log: String,
    },
    /// → `person name device role unit municipality url logs requests queued`
    Me,
    /// The own municipality's server has another address from now on. → `url`
    ServerAt {
        url: String,
    },
    /// → `logs:[{log status child holder holder_name home role born level due:[{concern title measure text due own}]}]`
    LogList,
    /// → `log status level holder home participants concerns pending quarantined`
    LogShow {
        log: String,
    },
    /// Goes on from what the home has where it has signed two histories. → `log scopes`
    LogContinue {
        log: String,
    },
    /// → `events:[{seq time scope kind author}]`
    LogHistory {
        log: String,
    },
    /// → `requests:[{request log grantee scopes access}]`
    ConsentPending,
    /// → `request`
    ConsentGrant {
        request: String,
        /// Whether the leader's seat, where it is asked for beside another access, is granted too.
        custody: bool,
    },
    /// → `request`
    ConsentRefuse {
        request: String,
    },
    /// → `consents:[{id grantee scopes access expires state}]`
    ConsentList {
        log: String,
    },
    /// → `receipt`
    ConsentWithdraw {
        log: String,
        target: WithdrawTarget,
    },
    /// → `request`
    AccessRequest {
        log: String,
        who: Who,
        scopes: Vec<String>,
        access: AccessWord,
    },
    /// `to`: a unit or a person. → `offer state`
    BatonOffer {
        log: String,
        to: String,
        /// Where the recipient is, to be sure; a unit's id says it, too.
        municipality: Option<String>,
        concerns: Vec<String>,
        /// Notes that go along to another municipality, if the family agrees.
        notes: Vec<String>,
        reason: String,
    },
    /// → `offers:[{offer log from to kind state reason concerns waiting}]`
    BatonList,
    /// `person`: the employee to whom a leader passes the offer on. → `offer state`
    BatonAccept {
        offer: String,
        person: Option<String>,
    },
    /// → `offer state`
    BatonDecline {
        offer: String,
        reason: Option<String>,
    },
    /// → `offer state`
    BatonAbort {
        offer: String,
    },
    /// The leader with custody steps in. → `log takeover`
    BatonTakeover {
        log: String,
        reason: String,
    },
    /// Empty measure text is refused (E12). → `concern measure`
    ConcernNew {
        log: String,
        title: String,
        goal: String,
        category: Option<String>,
        measure: NewMeasure,
    },
    /// → `concern title goal state measures glimpses`
    ConcernShow {
        concern: String,
    },
    ConcernClose {
        concern: String,
    },
    /// → `measure`
    MeasureAdd {
        concern: String,
        measure: NewMeasure,
    },
    MeasureEdit {
        measure: String,
        text: String,
    },
    MeasureCorrect {
        measure: String,
        replacement: Option<NewMeasure>,
    },
    /// → `measure`
    Evaluate {
        measure: String,
        result: String,
        text: String,
        family_agrees: bool,
    },
    /// → `id`
    Glimpse {
        concern: String,
        text: String,
    },
    /// A note or glimpse with a file on it. → `id attachment`
    Attach {
        to: AttachTo,
        text: String,
        file: NewAttachment,
    },
    /// → `attachment name size`, and [`Effects::file`].
    AttachmentGet {
        attachment: String,
    },
    /// → `id`
    Comment {
        concern: String,
        text: String,
    },
    /// → `id`
    Note {
        log: String,
        text: String,
    },
    /// What was written here and will not be sent. → `drafts:[{id log kind text reason at}]`
    Drafts,
    /// → `draft`
    DraftDrop {
        draft: String,
    },
    /// Own drafts and what waits. → `sent received refused queued` as counted since the stream opened.
    SyncCounts,
    /// → `events checks violations:[…]`
    AuditVerify {
        log: String,
    },
    /// → `file` content as JSON
    AuditExport {
        log: String,
    },
}

/// What is written with the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttachTo {
    /// A note in this log.
    Note(String),
    /// A glimpse in this concern.
    Glimpse(String),
}

/// A PDF to hang on an entry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAttachment {
    /// As others see it.
    pub name: String,
    /// Beside the words wherever a wish is handed on: in them it would be four times as long.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

impl core::fmt::Debug for NewAttachment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "NewAttachment({} bytes)", self.bytes.len())
    }
}

/// For whom a code is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Invitation {
    Employee { may_hold: bool, may_act: bool },
    Guardian,
    Child,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WithdrawTarget {
    Grant(String),
    Unit(String),
    Person(String),
    All,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    Unit(String),
    Person(String),
}

/// `--access`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessWord {
    Read,
    Contribute,
    /// The continuity seat of the holder's leader.
    Custody,
}

/// The flags of `measure add`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NewMeasure {
    pub text: String,
    /// `service` (default), `home`, `child`.
    pub arena: Option<String>,
    /// Default: oneself.
    pub responsible: Option<String>,
    /// YYYY-MM-DD; default: in six weeks.
    pub due: Option<String>,
}
