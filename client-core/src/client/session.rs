//! The stream while it is open: requests under way, what came, what was sent. Nothing here is stored: a
//! lost stream is forgotten, and everything that matters stands in rows and chains.

use super::Client;
use super::input::Problem;
use serde_json::{Value, json};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::ids::{PersonId, ScopeId};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{
    ClientFrame, KeyPackageOffer, Problem as WireProblem, Reply, Request, ScopePosition, ServerFrame,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a request under way was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    Sync,
    Units,
    Persons,
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
}

/// State of one connection.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub open: bool,
    /// The greeting has come: all waiting mail is here.
    pub greeted: bool,
    /// The first sync has ended: plans are made on what the chains say.
    pub synced: bool,
    /// How far others were shown a scope when its news were asked for.
    pub expected: BTreeMap<ScopeId, u64>,
    next_id: u32,
    pub sent: BTreeMap<u32, Sent>,
    frames: Vec<Vec<u8>>,
    /// Key packages fetched and not used yet.
    pub packages: BTreeMap<PersonId, Vec<Signed<KeyPackageOffer>>>,
    /// Persons already asked for in this session.
    pub asked: BTreeSet<PersonId>,
    pub asked_packages: BTreeSet<PersonId>,
    /// Scopes in which the last try was refused for good: not tried again on this connection.
    pub blocked: BTreeSet<ScopeId>,
    pub retries: BTreeMap<ScopeId, u32>,
    /// Scopes whose next commit cannot be made, or was refused: no further one on this connection.
    pub unplanned: BTreeSet<ScopeId>,
    /// Rows of the outbox that the server put off: they wait for the next connection.
    pub parked: BTreeSet<Vec<u8>>,
    /// Milliseconds by which the home's clock is ahead of this device's.
    pub clock_ahead: i64,
    pub counts: Counts,
    /// Why something was refused, for whoever asks `sync`.
    pub problems: Vec<(String, String)>,
    pub key_packages_left: u32,
    pub published: bool,
}

/// What `sync` reports.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub sent: u64,
    pub received: u64,
    pub refused: u64,
}

/// So many different problems are told at the end of a session.
const PROBLEMS: usize = 20;
/// Refusals that a sync mends.
const LOST: &[&str] = &[
    "wrong-epoch",
    "counter-used",
    "counter-gap",
    "removal-first",
    "wrong-generation",
    "chain-broken",
    "time-backwards",
    "held",
    "moved",
    "not-activated",
];

/// Whether a refusal is a rule's last word. Everything else may be otherwise tomorrow, and nothing is thrown away
/// for it; least of all because a server says an unknown word.
pub(super) fn is_final(code: &str) -> bool {
    let rule = stafett_protocol::policy::Refusal::ALL.iter().any(|r| r.code() == code);
    rule && !LOST.contains(&code)
}

/// How often a lost race is run again in one session before it waits for the next.
const RETRIES: u32 = 20;

impl Session {
    pub fn close(&mut self) {
        *self = Self { counts: self.counts, problems: std::mem::take(&mut self.problems), ..Self::default() };
    }

    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.frames)
    }

    pub fn send(&mut self, request: Request, purpose: Sent) {
        if !self.open {
            return;
        }
        self.next_id = self.next_id.wrapping_add(1).max(1);
        self.frames.push(encode(&ClientFrame { id: self.next_id, request }));
        self.sent.insert(self.next_id, purpose);
    }

    /// Whether a request for this purpose is under way.
    pub fn waits_for(&self, purpose: &Sent) -> bool {
        self.sent.values().any(|s| s == purpose)
    }

    /// Whether an event of this scope is under way: its counter is taken.
    pub fn busy(&self, scope: ScopeId) -> bool {
        self.sent.values().any(|s| match s {
            Sent::Event(at) => *at == scope,
            Sent::Bundle(scopes) => scopes.contains(&scope),
            _ => false,
        })
    }
}

impl Client {
    pub(super) fn connected(&mut self) {
        self.session.close();
        self.session.open = true;
        self.session.counts = Counts::default();
        self.session.problems.clear();
    }

    pub(super) fn sync_counts(&self) -> Value {
        let c = self.session.counts;
        let problem = |(code, message): &(String, String)| json!({"code": code, "message": message});
        let problems: Vec<Value> = self.session.problems.iter().map(problem).collect();
        json!({"sent": c.sent, "received": c.received, "refused": c.refused, "queued": self.queued(), "problems": problems})
    }

    /// Asks for the news of these scopes, or of all.
    pub(super) fn sync_scopes(&mut self, only: Option<ScopeId>) {
        let known = self.scopes.iter().map(|(id, s)| ScopePosition { scope: *id, seq: s.replica.state().position.seq });
        let waiting = self.welcomed().into_iter().map(|scope| ScopePosition { scope, seq: 0 });
        let mut positions: Vec<ScopePosition> = vec![];
        for position in known.chain(waiting) {
            let wanted = only.is_none_or(|o| o == position.scope) && self.wants(position.scope);
            if wanted && !positions.iter().any(|p| p.scope == position.scope) {
                positions.push(position);
            }
        }
        let expected: Vec<(ScopeId, u64)> =
            positions.iter().map(|p| (p.scope, self.shown_to_others(p.scope))).collect();
        self.session.expected.extend(expected);
        // Cards first: what happens in a log's other scopes is judged beside them.
        let card = |id: &ScopeId| {
            self.scopes.get(id).is_some_and(|s| s.kind() == stafett_protocol::membership::ScopeKind::Card)
        };
        positions.sort_by_key(|p| !card(&p.scope));
        if positions.is_empty() {
            self.session.synced |= only.is_none();
            return;
        }
        self.session.send(Request::Sync(positions), Sent::Sync);
    }

    pub(super) fn frame(&mut self, bytes: &[u8]) {
        let frame: ServerFrame = match decode(bytes) {
            Ok(frame) => frame,
            Err(e) => return self.report(&Problem::data("server-frame", e.to_string())),
        };
        if frame.id == 0 {
            return self.pushed(frame.reply);
        }
        let Some(purpose) = self.session.sent.remove(&frame.id) else {
            return;
        };
        self.answered(purpose, frame.reply);
    }

    fn pushed(&mut self, reply: Reply) {
        let result = match reply {
            Reply::Records(records) => self.take_records(records),
            Reply::Mail(item) => self.take_mail(item),
            Reply::Welcome(greeting) => {
                self.session.greeted = true;
                self.session.key_packages_left = greeting.key_packages;
                let (home, own) = (i64::try_from(greeting.time), i64::try_from(self.now));
                self.session.clock_ahead = home.unwrap_or_default().saturating_sub(own.unwrap_or_default());
                if let (Some(me), Some(unit)) = (&mut self.me, greeting.unit) {
                    me.unit = Some(unit);
                    me.save(&mut self.table);
                }
                self.session.send(Request::Units, Sent::Units);
                self.sync_scopes(None);
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(problem) = result {
            self.report(&problem);
        }
    }

    fn answered(&mut self, purpose: Sent, reply: Reply) {
        let result = match (purpose, reply) {
            (Sent::Sync, Reply::Synced(scopes)) => {
                self.session.synced = true;
                self.synced(&scopes);
                Ok(())
            }
            (Sent::Units, Reply::Units(units)) => {
                self.learn_units(&units);
                Ok(())
            }
            (Sent::Persons, Reply::Persons(records)) => {
                for record in &records {
                    if let Err(problem) = self.learn_person(record) {
                        self.report(&problem);
                    }
                }
                Ok(())
            }
            (Sent::KeyPackages(_), Reply::KeyPackages(offers)) => {
                self.sort_packages(offers);
                Ok(())
            }
            (Sent::Row(key), Reply::Done) => {
                self.row_done(&key);
                Ok(())
            }
            (Sent::Row(key), Reply::UnitAdded(added)) => {
                self.unit_added(&key, &added);
                Ok(())
            }
            (Sent::Row(key), Reply::Problem(problem)) => {
                self.row_refused(&key, &problem);
                Ok(())
            }
            (Sent::OwnKeyPackages, Reply::Done) => {
                self.session.published = true;
                Ok(())
            }
            (Sent::OwnKeyPackages, Reply::Problem(problem)) => {
                self.session.published = true;
                Err(Problem::rule(&problem.code, problem.detail))
            }
            (Sent::Event(_) | Sent::Bundle(_), Reply::Submitted(accepted)) => {
                self.session.counts.sent += accepted.len() as u64;
                self.submitted(accepted)
            }
            (Sent::Event(scope), Reply::Problem(problem)) => {
                self.event_refused(scope, &problem);
                Ok(())
            }
            (Sent::Bundle(scopes), Reply::Problem(problem)) => {
                self.bundle_refused(&scopes, &problem);
                Ok(())
            }
            (Sent::Sync, Reply::Problem(problem)) => {
                self.session.synced = true;
                Err(Problem::rule(&problem.code, problem.detail))
            }
            (_, Reply::Problem(problem)) => Err(Problem::rule(&problem.code, problem.detail)),
            _ => Ok(()),
        };
        if let Err(problem) = result {
            self.report(&problem);
        }
    }

    /// A lost race is run again after a sync; anything else is final. Answers whether it is run again.
    pub(super) fn race_lost(&mut self, scope: ScopeId, problem: &WireProblem) -> bool {
        let tries = self.session.retries.entry(scope).or_default();
        *tries += 1;
        if *tries > RETRIES || !LOST.contains(&problem.code.as_str()) {
            return false;
        }
        self.sync_scopes(Some(scope));
        true
    }

    /// The time by which the rules go: the home's, as far as it is known. A device clock that is off is shown,
    /// never trusted.
    pub(super) fn home_now(&self) -> u64 {
        self.now.saturating_add_signed(self.session.clock_ahead)
    }

    /// Keeps a problem where `log show` and support find it; never silently.
    pub(super) fn report(&mut self, problem: &Problem) {
        self.session.counts.refused += 1;
        let said = (problem.code.clone(), problem.message.clone());
        if self.session.problems.len() < PROBLEMS && !self.session.problems.contains(&said) {
            self.session.problems.push(said);
        }
        let line = json!({"code": problem.code, "message": problem.message, "at": self.now});
        self.table.write(crate::rows::Space::State, b"problem/last", line.to_string().into_bytes());
    }
}
