//! The client as a machine: inputs in, effects out. Everything it knows lives in rows; one call of
//! [`Client::handle`] is one transaction of the host.
//!
//! Rooms from the ground up: `me`, `people`, `clock`, `queue` and what all use; `stream`, the open connection; `scope`, how a
//! chain is followed and its content opened; `outbox`, what goes and what must be done next; `joining`, how people and devices
//! come; `log`, what people ask for and are shown. A room uses those before it and no other: what a lower one finds waits in
//! a row, or is answered. Rooms meet here, in `frames` and `mail`, which hand on what comes, and in `steps`
//! (`tests/tests/rooms.rs` holds it).

pub mod input;

mod clock;
pub(crate) mod fate;
pub(crate) mod frames;
mod joining;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod mail;
mod me;
pub(crate) mod outbox;
mod people;
pub mod problem;
pub(crate) mod queue;
pub(crate) mod scope;
pub(crate) mod steps;
pub(crate) mod stream;
pub(crate) mod told;
pub(crate) mod words;

pub use joining::codes::{check_accept, check_join};
pub use me::Me;
pub use people::Trust;
pub use scope::Standing;
pub use scope::report::Report;
pub(crate) use words::rfc3339;

use crate::answer::Answer as A;
use crate::mls::Provider;
use crate::rows::{Mark, Row, Space, Table};
use input::{Account, AttachTo, Call, Command, Effects, Input, News, Problem};
use outbox::going::Going;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use scope::Scope;
use scope::following::Following;
use scope::parted::Parted;
use scope::planned::Founding;
use stafett_protocol::ids::{Millis, ScopeId};
use std::collections::{BTreeMap, BTreeSet};
use stream::Stream;
use told::Told;

/// Everything one device knows.
pub struct Client {
    table: Table,
    provider: Provider,
    rng: ChaCha20Rng,
    me: Option<Me>,
    scopes: BTreeMap<ScopeId, Scope>,
    foundings: BTreeMap<ScopeId, Founding>,
    stream: Stream,
    /// What `sync` tells of this connection.
    told: Told,
    following: Following,
    going: Going,
    /// Withdrawals of which a letter has told on this connection.
    withdrawals_heard: BTreeSet<Vec<u8>>,
    now: Millis,
    call: Option<Call>,
    load: Option<Loading>,
    /// What the answer brings beside it.
    file: Option<Vec<u8>>,
    news: Vec<News>,
    /// Scopes that are being read again from their first record.
    rebuilt: BTreeMap<ScopeId, Scope>,
    /// Scopes of which the home has another history, until this connection ends.
    parted: BTreeMap<ScopeId, Parted>,
    /// Documents that the command under way has edited.
    edited: BTreeSet<ScopeId>,
}

/// What the rows that were asked for are wanted for.
#[derive(Debug, Clone)]
pub(crate) enum Loading {
    /// A command's answer about a log.
    Answer(Wanted, stafett_protocol::ids::LogId),
    /// A file that somebody wants.
    Attachment(keys::FileAt),
    /// What a home lacks of a scope after this record.
    Return { scope: stafett_protocol::ids::ScopeId, after: u64 },
    /// What this device alone has of a scope, after this record.
    Parting { scope: stafett_protocol::ids::ScopeId, after: u64 },
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    Verify,
    Export,
    History,
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Client({:?}, {} scopes)", self.me, self.scopes.len())
    }
}

type Answer = Result<A, Problem>;

impl Client {
    /// A client over its saved rows (all spaces but `Event`). `seed`: 32 bytes of the system's randomness,
    /// new at every start.
    pub fn open(rows: Vec<Row>, seed: [u8; 32]) -> Result<Self, Problem> {
        let (mls, rest): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.space == Space::Mls);
        let table = Table::load(rest);
        let me = Me::load(&table)?;
        let scopes = Scope::load_all(&table)?;
        let foundings = Founding::load_all(&table)?;
        Ok(Self {
            provider: Provider::load(mls),
            rng: ChaCha20Rng::from_seed(seed),
            scopes: scopes.into_iter().map(|s| (s.id(), s)).collect(),
            foundings: foundings.into_iter().map(|f| (f.plan.scope, f)).collect(),
            stream: Stream::default(),
            told: Told::default(),
            following: Following::default(),
            going: Going::default(),
            withdrawals_heard: BTreeSet::new(),
            now: 0,
            call: None,
            load: None,
            file: None,
            news: vec![],
            rebuilt: BTreeMap::new(),
            parted: BTreeMap::new(),
            edited: BTreeSet::new(),
            table,
            me,
        })
    }

    /// Where and as whom to open the stream; `None` before `join`.
    pub fn account(&self) -> Option<Account> {
        self.me.as_ref().map(Me::account)
    }

    /// What an entry says, as it stands now; `None` where it is gone or has no text.
    pub fn entry_text(&self, news: &News) -> Option<String> {
        self.document(news.scope)?.entry(&news.section, &news.entry)?.text("text")
    }

    /// One step. `now`: the device's clock, milliseconds since 1970 UTC; shown and claimed, never trusted.
    pub fn handle(&mut self, now: Millis, input: Input) -> Effects {
        self.now = now;
        let answer = match input {
            Input::Command(command) => self.perform(command),
            Input::CallAnswered(reply) => Some(self.join_answered(reply)),
            Input::Connected => {
                self.connected();
                None
            }
            Input::Frame(bytes) => {
                self.frame(&bytes);
                None
            }
            Input::Disconnected => {
                self.forget_connection();
                self.rebuilt.clear();
                self.parted.clear();
                None
            }
            Input::Loaded(rows) => self.loaded(rows),
        };
        self.next_steps();
        let mut rows = self.provider_rows();
        rows.extend(self.table.take_dirty());
        let load = self.load.as_ref().filter(|_| answer.is_none()).map(|l| self.prefixes(l));
        Effects {
            rows,
            answer,
            frames: self.stream.take_frames(),
            call: self.call.take(),
            load,
            file: self.file.take(),
            news: std::mem::take(&mut self.news),
            progress: self.going.moving.take(),
            settled: self.is_settled() && self.load.is_none(),
        }
    }

    /// How much waits here to be sent. Unlike the counts of a contact this can be looked at over and over.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.queued()
    }

    /// What counts for one connection only.
    fn forget_connection(&mut self) {
        self.stream = Stream::default();
        self.following = Following::default();
        self.going = Going::default();
        self.withdrawals_heard.clear();
    }

    fn provider_rows(&mut self) -> Vec<Row> {
        use openmls_traits::OpenMlsProvider as _;
        self.provider.storage().take_dirty()
    }

    /// What is refused leaves nothing behind: no half of a log that was begun, no edit that came before the refusal.
    fn perform(&mut self, command: Command) -> Option<Answer> {
        let mark = self.table.mark();
        let planned: BTreeSet<ScopeId> = self.foundings.keys().copied().collect();
        self.edited.clear();
        // A file that is not here yet is refused, and fetched with the next sync all the same.
        let asks_for_later = matches!(command, Command::AttachmentGet { .. });
        let answer = self.carry_out(command);
        if matches!(answer, Some(Err(_))) && !asks_for_later {
            self.leave_nothing(mark, &planned);
        }
        answer
    }

    fn leave_nothing(&mut self, mark: Mark, planned: &BTreeSet<ScopeId>) {
        if self.table.mark() == mark {
            return;
        }
        self.table.rollback(mark);
        self.foundings.retain(|scope, _| planned.contains(scope));
        for scope in std::mem::take(&mut self.edited) {
            if let Some(s) = self.scopes.get_mut(&scope) {
                s.reload_document(&self.table);
            } else if let Some(founding) = self.foundings.get_mut(&scope) {
                founding.reload_document(&self.table);
            }
        }
    }

    /// The answer, or `None` where it comes after a call or a load.
    fn carry_out(&mut self, command: Command) -> Option<Answer> {
        use Command as C;
        let answer = match command {
            C::Join { code, name } => return self.join(&code, name).err().map(Err),
            C::DeviceAccept { code, name } => {
                return self.device_accept(&code, name).err().map(Err);
            }
            C::AuditVerify { log } => {
                return self.begin_loading(&log, Wanted::Verify).err().map(Err);
            }
            C::AuditExport { log } => {
                return self.begin_loading(&log, Wanted::Export).err().map(Err);
            }
            C::LogHistory { log } => {
                return self.begin_loading(&log, Wanted::History).err().map(Err);
            }
            C::DeviceLink => self.device_link().map(A::DeviceLink),
            C::DeviceList => self.device_list().map(A::DeviceList),
            C::DeviceLeave => self.device_leave().map(A::DeviceRemove),
            C::DeviceRemove { device, lost } => self.device_remove(&device, lost).map(A::DeviceRemove),
            C::Invite(invitation) => self.invite(&invitation).map(A::Invite),
            C::InviteList => Ok(A::InviteList(self.invite_list())),
            C::People { unit } => self.people_list(unit.as_deref()).map(A::People),
            C::Units => Ok(A::Units(self.unit_list(None))),
            C::UnitsOf { municipality } => self.units_of(&municipality).map(A::Units),
            C::UnitAdd { name, kind } => self.unit_add(name, kind).map(A::UnitAdd),
            C::UnitAssign { log, person, scopes } => self.unit_assign(&log, &person, &scopes).map(A::UnitAssign),
            C::UnitUnassign { log, person } => self.unit_unassign(&log, &person).map(A::UnitUnassign),
            C::Verify { person, number: None } => self.comparison(&person).map(A::Verify),
            C::Verify { person, number: Some(number) } => self.compare_keys(&person, &number).map(A::VerifyMatches),
            C::LogNew { child, born, guardians, level } => self.log_new(child, born, &guardians, level).map(A::LogNew),
            C::LogDrop { log } => self.log_drop(&log).map(A::LogDrop),
            C::Me => self.me_view().map(A::Me),
            C::ServerAt { url } => self.server_at(url).map(A::ServerAt),
            C::LogList => Ok(A::LogList(self.log_list())),
            C::LogShow { log } => self.log_show(&log).map(Box::new).map(A::LogShow),
            C::LogContinue { log } => self.log_continue(&log).map(A::LogContinue),
            C::ConsentPending => Ok(A::ConsentPending(self.consent_pending())),
            C::ConsentGrant { request, custody } => self.consent_answer(&request, true, custody).map(A::ConsentGrant),
            C::ConsentRefuse { request } => self.consent_answer(&request, false, false).map(A::ConsentRefuse),
            C::ConsentList { log } => self.consent_list(&log).map(A::ConsentList),
            C::ConsentWithdraw { log, target } => self.consent_withdraw(&log, &target).map(A::ConsentWithdraw),
            C::AccessRequest { log, who, scopes, access } => {
                self.access_request(&log, &who, &scopes, access).map(A::AccessRequest)
            }
            C::BatonOffer { log, to, municipality, concerns, notes, reason } => {
                let to = (to.as_str(), municipality.as_deref());
                self.baton_offer(&log, to, (&concerns, &notes), &reason).map(A::BatonOffer)
            }
            C::BatonList => Ok(A::BatonList(self.baton_list())),
            C::BatonAccept { offer, person: None } => self.baton_accept(&offer).map(A::BatonAccept),
            C::BatonAccept { offer, person: Some(person) } => self.baton_pass(&offer, &person).map(A::BatonPass),
            C::BatonDecline { offer, reason } => self.baton_decline(&offer, reason.as_deref()).map(A::BatonDecline),
            C::BatonAbort { offer } => self.baton_abort(&offer).map(A::BatonAbort),
            C::BatonTakeover { log, reason } => self.baton_takeover(&log, &reason).map(A::BatonTakeover),
            C::ConcernNew { log, title, goal, category, measure } => {
                self.concern_new(&log, title, goal, category, measure).map(A::ConcernNew)
            }
            C::ConcernShow { concern } => self.concern_show(&concern).map(A::ConcernShow),
            C::ConcernClose { concern } => self.concern_close(&concern).map(A::ConcernClose),
            C::MeasureAdd { concern, measure } => self.measure_add(&concern, measure).map(A::MeasureAdd),
            C::MeasureEdit { measure, text } => self.measure_edit(&measure, text).map(A::MeasureEdit),
            C::MeasureCorrect { measure, replacement } => {
                self.measure_correct(&measure, replacement).map(A::MeasureCorrect)
            }
            C::Evaluate { measure, result, text, family_agrees } => {
                self.evaluate(&measure, &result, text, family_agrees).map(A::Evaluate)
            }
            C::AttachmentGet { attachment } => return self.attachment_get(&attachment),
            C::Glimpse { concern, text } => self.glimpse(&concern, text, None).map(A::Glimpse),
            C::Attach { to: AttachTo::Note(log), text, file } => self.note(&log, text, Some(&file)).map(A::Note),
            C::Attach { to: AttachTo::Glimpse(concern), text, file } => {
                self.glimpse(&concern, text, Some(&file)).map(A::Glimpse)
            }
            C::Comment { concern, text } => self.comment(&concern, text).map(A::Comment),
            C::Note { log, text } => self.note(&log, text, None).map(A::Note),
            C::Drafts => Ok(A::Drafts(self.drafts_list())),
            C::DraftDrop { draft } => self.draft_drop(&draft).map(A::DraftDrop),
            C::SyncCounts => Ok(A::Sync(self.sync_counts())),
        };
        Some(answer)
    }
}
