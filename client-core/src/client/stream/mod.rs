//! The stream while it is open: requests under way, what came, what was sent. Nothing here is stored: a
//! lost stream is forgotten, and everything that matters stands in rows and chains.

pub(crate) mod line;

use crate::client::Client;
use crate::client::input::Problem;
use crate::client::log::attachments::FileAt;
use crate::client::outbox::files::Upload;
use crate::client::scope::checkpoint::Incoming;
use crate::client::scope::open::ContentWork;
use crate::client::stream::line::{Line, Stage};
use serde_json::{Value, json};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::federation::{RelayFrame, RelayPayload};
use stafett_protocol::ids::{Hash, Municipality, PersonId, ScopeId};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{
    ClientFrame, KeyPackageOffer, Problem as WireProblem, Reply, Request, ScopePosition, ServerFrame,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a request under way was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    Sync,
    Units,
    Persons(Vec<PersonId>),
    KeyPackages(Vec<PersonId>),
    /// A row of the outbox that `Done` finishes.
    Row(Vec<u8>),
    /// Mail that the server may forget now; nothing waits for it.
    Acknowledged,
    OwnKeyPackages,
    /// One envelope of a change or statement: the scope's turn is taken until the answer.
    Event(ScopeId),
    /// The stored bundle that founds or commits.
    Bundle(Vec<ScopeId>),
    /// A new home gets ready for what is moved from this one: the scopes' turns are taken.
    Prepare(Municipality, Vec<ScopeId>),
    /// The old home is asked to hold changes back.
    Hold,
    /// A page of a scope's past.
    History(ScopeId),
    /// The last word of a checkpoint that goes up to here.
    Checkpoint(ScopeId, u64),
    /// A receipt, or records, that the home lacks.
    Return(ScopeId),
    /// A file is announced, or asked how far it is.
    File(FileAt),
    FilePart,
    /// A part of a file that somebody wants.
    FileWanted(FileAt, u16),
    /// Tombstones that were shown to a new home.
    Activate,
    /// A frame for another municipality: answered only where it cannot be passed on.
    Relay(Municipality),
}

/// State of one connection: a line for each municipality, and what is shared by them.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    own: Municipality,
    lines: BTreeMap<Municipality, Line>,
    /// How far others were shown a scope when its news were asked for.
    pub expected: BTreeMap<ScopeId, u64>,
    /// Where homes said that they stand.
    pub stands: BTreeMap<ScopeId, u64>,
    /// Scopes whose home was shown its own receipt on this connection, and those whose records it asked for.
    pub shown_to_home: BTreeSet<ScopeId>,
    pub asked_back: BTreeSet<ScopeId>,
    /// What homes lack, and after which record; loaded one by one.
    pub owed: VecDeque<(ScopeId, u64)>,
    /// Scopes in which this device goes over to what the home has, and the last record of both; loaded one by one.
    pub parting: VecDeque<(ScopeId, u64)>,
    frames: Vec<Vec<u8>>,
    /// How far a move under way has come, until it is told.
    pub moving: Option<crate::client::input::Progress>,
    /// Key packages fetched and not used yet.
    pub packages: BTreeMap<PersonId, Vec<Signed<KeyPackageOffer>>>,
    /// Persons already asked for in this session.
    pub asked: BTreeSet<PersonId>,
    pub asked_at: BTreeSet<(PersonId, Municipality)>,
    pub asked_packages: BTreeSet<PersonId>,
    /// Scopes in which the last try was refused for good: not tried again on this connection.
    pub blocked: BTreeSet<ScopeId>,
    pub retries: BTreeMap<ScopeId, u32>,
    /// Scopes whose next commit cannot be made, or was refused: no further one on this connection.
    pub unplanned: BTreeSet<ScopeId>,
    /// What of a scope's content is not tried again on this connection. Statements and membership never wait for it.
    pub still: BTreeSet<(ScopeId, ContentWork)>,
    /// Rows of the outbox that the server put off: they wait for the next connection.
    pub parked: BTreeSet<Vec<u8>>,
    pub counts: Counts,
    /// Why something was refused, for whoever asks `sync`.
    pub problems: Vec<(String, String)>,
    pub key_packages_left: u32,
    pub published: bool,
    /// Checkpoints whose parts are coming.
    pub incoming: BTreeMap<ScopeId, Incoming>,
    /// Whole ones, until the Welcome brings the key.
    pub sealed: BTreeMap<ScopeId, Incoming>,
    /// Files on their way to a home.
    pub uploads: BTreeMap<(Municipality, Hash), Upload>,
    pub withdrawals_heard: BTreeSet<Vec<u8>>,
}

/// What `sync` reports.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub sent: u64,
    pub received: u64,
    pub refused: u64,
    /// Own words and wishes that ended as drafts because they were refused.
    pub given_up: u64,
}

/// Refusals that a sync mends.
const LOST: &[&str] = &[
    "wrong-epoch",
    "counter-used",
    "counter-gap",
    "removal-first",
    "wrong-generation",
    "chain-broken",
    "time-backwards",
    "wrong-home",
    "held",
    "moved",
    "not-activated",
    "attachment-missing",
];

/// Whether a refusal is a rule's last word. Everything else may be otherwise tomorrow, and nothing is thrown away
/// for it; least of all because a server says an unknown word.
pub(crate) fn is_final(code: &str) -> bool {
    let rule = stafett_protocol::refusal::Refusal::ALL.iter().any(|r| r.code() == code);
    rule && !LOST.contains(&code)
}

/// How often a lost race is run again in one session before it waits for the next.
pub(crate) const RETRIES: u32 = 20;

impl Stream {
    pub fn close(&mut self) {
        *self = Self { counts: self.counts, problems: std::mem::take(&mut self.problems), ..Self::default() };
    }

    /// The stream to the own municipality's server is open.
    fn open(&mut self, own: Municipality) {
        *self = Self { own, ..Self::default() };
        self.line_mut(own).stage = Stage::Open;
    }

    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.frames)
    }

    pub fn line(&self, of: Municipality) -> Option<&Line> {
        self.lines.get(&of)
    }

    pub fn line_mut(&mut self, of: Municipality) -> &mut Line {
        self.lines.entry(of).or_default()
    }

    /// The line of the own municipality.
    pub fn own_line(&self) -> Option<&Line> {
        self.lines.get(&self.own)
    }

    /// Sends a request to one municipality's server; nothing happens while it does not listen.
    pub fn send(&mut self, to: Municipality, request: Request, purpose: Sent) {
        let Some(line) = self.lines.get_mut(&to).filter(|l| l.is_open()) else { return };
        let frame = encode(&ClientFrame { id: line.note(purpose), request });
        if to == self.own {
            self.frames.push(frame);
        } else {
            self.relay(to, RelayPayload::Message(frame.into()));
        }
    }

    /// Hands the own server something to pass on.
    pub fn relay(&mut self, to: Municipality, payload: RelayPayload) {
        let own = self.own;
        self.send(own, Request::Relay(RelayFrame { to, payload }), Sent::Relay(to));
    }

    /// Everything under way, at every home.
    pub fn under_way(&self) -> impl Iterator<Item = &Sent> {
        self.lines.values().flat_map(|l| l.sent.values())
    }

    /// Whether a request for this purpose is under way.
    pub fn waits_for(&self, purpose: &Sent) -> bool {
        self.under_way().any(|s| s == purpose)
    }

    /// Whether somebody's devices are being asked for: those known here may not be all.
    pub fn asks_for(&self, person: PersonId) -> bool {
        self.under_way().any(|s| matches!(s, Sent::Persons(asked) if asked.contains(&person)))
    }

    /// Whether an event of this scope is under way: its counter is taken.
    pub fn busy(&self, scope: ScopeId) -> bool {
        self.under_way().any(|s| match s {
            Sent::Event(at) => *at == scope,
            Sent::Bundle(scopes) | Sent::Prepare(_, scopes) => scopes.contains(&scope),
            _ => false,
        })
    }

    /// Homes on whose news plans may stand.
    pub fn informed_homes(&self) -> Vec<Municipality> {
        self.lines.iter().filter(|(_, l)| l.is_informed()).map(|(home, _)| *home).collect()
    }

    /// No line will bring anything more of itself.
    pub fn is_settled(&self) -> bool {
        self.own_line().is_some_and(Line::is_open) && self.lines.values().all(Line::is_settled)
    }

    /// What was decided for these scopes and asked for these persons counts no more: their server is away.
    pub fn forget(&mut self, scopes: &BTreeSet<ScopeId>, persons: &[PersonId]) {
        self.blocked.retain(|s| !scopes.contains(s));
        self.unplanned.retain(|s| !scopes.contains(s));
        self.still.retain(|(s, _)| !scopes.contains(s));
        self.retries.retain(|s, _| !scopes.contains(s));
        for person in persons {
            self.asked.remove(person);
            self.asked_packages.remove(person);
        }
    }
}

impl Client {
    pub(crate) fn connected(&mut self) {
        let own = self.me.as_ref().map(crate::client::me::Me::number).unwrap_or_default();
        self.stream.open(own);
    }

    pub(crate) fn sync_counts(&mut self) -> Value {
        let c = self.stream.counts;
        let problem = |(code, message): &(String, String)| json!({"code": code, "message": message});
        let problems: Vec<Value> = self.stream.problems.iter().map(problem).collect();
        json!({"sent": c.sent, "received": c.received, "refused": c.refused, "queued": self.queued(), "problems": problems,
            "given_up": c.given_up, "drafts": self.news_of_drafts()})
    }

    /// Asks for the news of one scope.
    pub(crate) fn sync_scope(&mut self, scope: ScopeId) {
        if self.wants(scope) {
            let positions = vec![ScopePosition { scope, seq: self.read_so_far(scope).seq }];
            self.expect(&positions);
            self.stream.send(self.home_of(scope), Request::Sync(positions), Sent::Sync);
        }
    }

    /// Notes how far others were shown these scopes.
    fn expect(&mut self, positions: &[ScopePosition]) {
        let shown: Vec<_> = positions.iter().map(|p| (p.scope, self.shown_to_others(p.scope))).collect();
        self.stream.expected.extend(shown);
    }

    /// Asks one home for the news of every scope that it has for us.
    pub(crate) fn sync_home(&mut self, home: Municipality) {
        let known = self.scopes.keys().map(|id| ScopePosition { scope: *id, seq: self.read_so_far(*id).seq });
        let lost = |scope: &ScopeId| self.welcome(*scope).is_some_and(|w| w.is_lost());
        let waiting =
            self.welcomed().into_iter().filter(|scope| !lost(scope)).map(|scope| ScopePosition { scope, seq: 0 });
        let mut positions: Vec<ScopePosition> = vec![];
        for position in known.chain(waiting) {
            let wanted = self.home_of(position.scope) == home && self.wants(position.scope);
            if wanted && !positions.iter().any(|p| p.scope == position.scope) {
                positions.push(position);
            }
        }
        self.expect(&positions);
        // Cards first: what happens in a log's other scopes is judged beside them.
        let card = |id: &ScopeId| self.scopes.get(id).is_some_and(|s| s.kind() == ScopeKind::Card);
        positions.sort_by_key(|p| !card(&p.scope));
        if positions.is_empty() {
            self.stream.line_mut(home).synced = true;
            return;
        }
        self.stream.send(home, Request::SyncAhead(positions), Sent::Sync);
    }

    pub(crate) fn frame(&mut self, bytes: &[u8]) {
        match decode(bytes) {
            Ok(frame) => self.heard(self.stream.own, frame),
            Err(e) => self.report(&Problem::data("server-frame", e.to_string())),
        }
    }

    /// A frame of one municipality's server, however it came.
    pub(crate) fn heard(&mut self, from: Municipality, frame: ServerFrame) {
        let result = if frame.id == 0 {
            self.pushed(from, frame.reply)
        } else {
            match self.stream.line_mut(from).sent.remove(&frame.id) {
                Some(purpose) => self.answered(from, purpose, frame.reply),
                None => Ok(()),
            }
        };
        if let Err(problem) = result {
            self.report(&problem);
        }
    }

    fn pushed(&mut self, from: Municipality, reply: Reply) -> Result<(), Problem> {
        match reply {
            Reply::Records(records) => self.take_records(records),
            Reply::Mail(item) => self.take_mail(from, item),
            Reply::Welcome(greeting) => self.greeted(from, greeting),
            Reply::Checkpoint(checkpoint) => self.checkpoint_offered(&checkpoint),
            Reply::CheckpointPart(part) => self.checkpoint_part(&part),
            Reply::Moved(tombstone) => self.moved(tombstone),
            Reply::Peers(keys) if from == self.stream.own => self.learn_peers(&keys),
            Reply::Relayed(frame) if from == self.stream.own => {
                self.relayed(frame);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn answered(&mut self, from: Municipality, purpose: Sent, reply: Reply) -> Result<(), Problem> {
        match (purpose, reply) {
            (Sent::Sync, Reply::Synced(scopes)) => {
                self.stream.line_mut(from).synced = true;
                self.synced(from, &scopes);
            }
            (Sent::Return(_), Reply::Synced(scopes)) => self.home_stands_at(&scopes),
            // What this device has does not follow what the home has.
            (Sent::Return(scope), Reply::Problem(problem)) if problem.code == "chain-broken" => {
                let stands = self.stream.stands.get(&scope).copied().unwrap_or(1);
                self.histories_part(scope, stands);
            }
            (Sent::Units, Reply::Units(units)) => self.learn_units(from, &units),
            (Sent::Persons(_), Reply::Persons(records)) => {
                for record in &records {
                    if let Err(problem) = self.learn_person(record) {
                        self.report(&problem);
                    }
                }
            }
            (Sent::KeyPackages(_), Reply::KeyPackages(offers)) => self.sort_packages(offers),
            (Sent::Row(key), Reply::Done) => self.row_done(&key),
            (Sent::Row(key), Reply::UnitAdded(added)) => self.unit_added(&key, &added),
            (Sent::Row(key), Reply::Problem(problem)) => self.row_refused(&key, &problem),
            (Sent::OwnKeyPackages, Reply::Done) => self.packages_published(),
            (Sent::Event(_) | Sent::Bundle(_), Reply::Submitted(accepted)) => {
                self.stream.counts.sent += accepted.len() as u64;
                return self.submitted(accepted);
            }
            (Sent::Bundle(_), Reply::TransferCommitted(done)) => return self.transfer_committed(from, done),
            (Sent::Activate, Reply::Done) => self.activated(from),
            (Sent::Prepare(home, _), Reply::TransferPrepared(prepared)) => self.transfer_prepared(home, prepared),
            (Sent::Prepare(_, scopes), Reply::Problem(problem)) => self.bundle_refused(&scopes, &problem),
            (Sent::Row(key), Reply::TransferAborted(freed)) => self.transfer_aborted(&key, freed),
            (Sent::History(scope), Reply::Records(page)) => return self.take_history(scope, page),
            (Sent::History(scope), _) => {
                self.parted.remove(&scope);
                self.stream.still.insert((scope, ContentWork::Reread));
            }
            (Sent::Checkpoint(scope, seq), Reply::Done) => self.checkpoint_stored(scope, seq),
            (Sent::Checkpoint(scope, _), _) => {
                self.stream.still.insert((scope, ContentWork::Condensed));
            }
            (what @ (Sent::File(_) | Sent::FileWanted(..)), reply) => return self.file_answered(from, what, &reply),
            (Sent::Event(scope), Reply::Problem(problem)) => self.event_refused(scope, &problem),
            (Sent::Bundle(scopes), Reply::Problem(problem)) => self.bundle_refused(&scopes, &problem),
            (Sent::Relay(to), Reply::Problem(problem)) => self.line_down(to, &problem),
            (purpose, Reply::Problem(problem)) => {
                self.stream.published |= purpose == Sent::OwnKeyPackages;
                self.stream.line_mut(from).synced |= purpose == Sent::Sync;
                return Err(Problem::rule(&problem.code, problem.detail));
            }
            _ => {}
        }
        Ok(())
    }

    /// A lost race is run again after a sync; anything else is final. Answers whether it is run again.
    pub(crate) fn race_lost(&mut self, scope: ScopeId, problem: &WireProblem) -> bool {
        let tries = self.stream.retries.entry(scope).or_default();
        *tries += 1;
        if *tries > RETRIES || !LOST.contains(&problem.code.as_str()) {
            return false;
        }
        if problem.code == "attachment-missing" {
            // The home has lost what it had: it is asked anew.
            self.stream.uploads.clear();
        }
        self.sync_scope(scope);
        true
    }
}
