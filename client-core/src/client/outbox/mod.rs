//! What waits to be sent. Rows of the outbox are requests, letters, statements and the one bundle under
//! way; changes wait in their documents. Everything is sealed and counted when it is sent, under today's
//! key, and leaves the outbox when the chain or the server says that it stands.

pub(crate) mod bundle;
pub(crate) mod drafts;
pub(crate) mod files;
pub(crate) mod founding;
pub(crate) mod going;
pub(crate) mod letters;
pub(crate) mod next;
pub(crate) mod packages;
pub(crate) mod persons;
pub(crate) mod refound;
pub(crate) mod transfer;

use crate::client::Client;
use crate::client::fate::Fate;
use crate::client::input::{Cause, Problem};
use crate::client::queue::{OutStatement, sent_key};
use crate::client::scope::files::is_file;
use crate::client::scope::open::ContentWork;
use crate::client::scope::{Standing, group};
use crate::client::stream::{RETRIES, Sent};
use crate::rows::Space;
use crate::seal;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::Permit;
use stafett_protocol::event::{Body, Change, Event, Record, SealContext};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::limits;
use stafett_protocol::policy::Context;
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::{Accepted, Bundle, Envelope, Problem as WireProblem, Records, Request};

/// Room in one change event for plain changes: the seal rounds up by an eighth at most.
const PLAIN_BYTES: usize = 200 * 1024;

impl Client {
    /// Everything that waits on this device.
    pub(crate) fn queued(&self) -> usize {
        let changes: usize = self
            .scopes
            .values()
            .map(|s| s.document.pending().len())
            .chain(self.foundings.values().map(|f| f.document.pending().len()))
            .sum();
        self.table.scan(Space::Outbox, b"").filter(|(key, _)| !is_file(key)).count() + changes
    }

    pub(crate) fn row_done(&mut self, key: &[u8]) {
        self.told.counts.sent += 1;
        let row = self.table.read(Space::Outbox, key).map(decode::<Request>);
        self.table.delete(Space::Outbox, key);
        if let Some(Ok(Request::RemoveDevice(removal))) = row {
            self.device_gone(removal.device);
        }
    }

    /// What the server will never take goes, and the problem stays; everything else waits for the next time.
    pub(crate) fn row_refused(&mut self, key: &[u8], problem: &WireProblem) {
        // An offer that is taken back too late stands: the log has moved.
        let too_late = key.starts_with(b"t/") && problem.code == "moved";
        let fate = Fate::of(&problem.code);
        if fate == Fate::RequestEnds || fate.is_last_word() || too_late {
            self.keep_row(key, &problem.code);
            self.registration_refused(key);
            self.table.delete(Space::Outbox, key);
        } else {
            self.going.parked.insert(key.to_vec());
        }
        self.report(&Problem::quoting(&problem.code, problem.detail.clone()));
    }

    pub(crate) fn send_requests(&mut self) {
        let Ok(own) = self.me().map(crate::client::me::Me::number) else { return };
        for (key, value) in self.queued_rows("r") {
            if self.stream.waits_for(&Sent::Row(key.clone())) || self.going.parked.contains(&key) {
                continue;
            }
            match decode::<Request>(&value) {
                Ok(request) => self.stream.send(own, request, Sent::Row(key)),
                Err(_) => self.table.delete(Space::Outbox, &key),
            }
        }
    }

    fn submit_event(&mut self, scope: ScopeId, event: &Event) -> Result<(), Problem> {
        let event = Signed::sign(event, &self.me()?.device_key());
        let bundle = Bundle { envelopes: vec![Envelope { event, welcome: None }], letters: vec![] };
        self.table.write(Space::Outbox, &sent_key(scope), encode(&bundle));
        self.stream.send(self.home_of(scope), Request::Submit(bundle), Sent::Event(scope));
        Ok(())
    }

    pub(crate) fn send_statements(&mut self) -> Result<(), Problem> {
        for (key, value) in self.queued_rows("s") {
            let Ok(out) = decode::<OutStatement>(&value) else {
                self.table.delete(Space::Outbox, &key);
                continue;
            };
            let here = self.scopes.get(&out.scope).is_some_and(|s| s.standing != Standing::Withdrawn);
            // What its owner wrote before closing it goes first: behind the closing nothing is taken.
            if matches!(out.statement, Statement::Close(_)) && self.can_seal(out.scope) {
                continue;
            }
            let free = !self.stream.busy(out.scope) && !self.following.blocked.contains(&out.scope);
            if here && free && self.informed(out.scope) {
                let event = self.next_event(out.scope, Body::Statement(out.statement))?;
                self.submit_event(out.scope, &event)?;
            }
        }
        Ok(())
    }

    /// Whether what waits in this document can be sealed and sent now.
    fn can_seal(&self, id: ScopeId) -> bool {
        self.scopes.get(&id).is_some_and(|s| {
            let state = s.replica.state();
            s.standing == Standing::Member
                && s.unaudited.is_none()
                && !s.stopped
                && !self.following.still.contains(&(id, ContentWork::Sealed))
                && s.document.pending().len() > 0
                && !self.stream.busy(id)
                && !self.following.blocked.contains(&id)
                && self.informed(id)
                && state.listed_at(self.home_now()).is_empty()
                // What is written now waits for a key that not everybody may have.
                && state.rejected == Permit::No
                && !self.warned_of_withdrawal(id)
                && !self.forked(id)
                && self.files_sent(id)
        })
    }

    /// Seals what waits in each document: many changes in one event, one event of a scope at a time.
    pub(crate) fn send_changes(&mut self) -> Result<(), Problem> {
        let ready: Vec<ScopeId> = self.scopes.keys().copied().filter(|id| self.can_seal(*id)).collect();
        for scope in ready {
            match self.seal_pending(scope) {
                Ok(event) => self.submit_event(scope, &event)?,
                Err(problem) => {
                    // The other scopes' words go out all the same.
                    self.following.still.insert((scope, ContentWork::Sealed));
                    self.report(&problem);
                }
            }
        }
        Ok(())
    }

    fn seal_pending(&mut self, scope: ScopeId) -> Result<Event, Problem> {
        let salt: [u8; 32] = self.random();
        let s = self.scopes.get(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        let mut changes: Vec<Vec<u8>> = vec![];
        let (mut bytes, mut operations) = (0, 0);
        for pending in s.document.pending() {
            bytes += pending.bytes.len();
            operations += pending.operations();
            if !changes.is_empty() && (bytes > PLAIN_BYTES || operations > limits::CHANGE_OPERATIONS as u64) {
                break;
            }
            changes.push(pending.bytes.clone());
        }
        let count = u16::try_from(changes.len()).unwrap_or(u16::MAX);
        let attachments = self.named_files(scope);
        let empty = Change { salt, count, tag: [0; 32], attachments: attachments.clone(), sealed: vec![].into() };
        let mut event = self.next_event(scope, Body::Change(empty))?;
        let key = s.keys.key(event.epoch).ok_or_else(|| group::mls_problem("the present key is missing"))?;
        let header = encode(&SealContext::of(&event, count));
        let binding = seal::Binding { salt, device: event.device, counter: event.counter, header: &header };
        let sealed = seal::seal(key, &binding, &changes).map_err(|e| Problem::data(Cause::Seal, e.to_string()))?;
        let tag = seal::change_tag(key, &salt, &changes);
        event.body = Body::Change(Change { salt, count, tag, attachments, sealed: sealed.into() });
        Ok(event)
    }

    /// The home has taken our envelopes: they enter our own copy by the same door as everyone's.
    pub(crate) fn submitted(&mut self, accepted: Vec<Accepted>) -> Result<(), Problem> {
        for one in accepted {
            let Some(event) = self.sent_event(one.scope, one.counter) else {
                continue;
            };
            let known = self.scopes.get(&one.scope).map_or(0, |s| s.replica.state().position.seq);
            // One word that cannot be read takes nothing from the others.
            let receipt = match self.signer_of(one.scope, &one.receipt) {
                Ok((_, receipt)) => receipt,
                Err(problem) => {
                    self.report(&problem);
                    continue;
                }
            };
            // A receipt further on covers later envelopes of ours too; a gap before it is asked for.
            if one.seq == known + 1 && receipt.position.seq == one.seq {
                let record = Record { seq: one.seq, time: one.time, event };
                let ours = Records { scope: one.scope, records: vec![record], receipt: one.receipt };
                // What stands there may be an earlier sealing of the same edit, whose answer was overtaken: the
                // chain says which. Without this the edit would be sent, and answered, for ever.
                if let Err(problem) = self.take_records(ours) {
                    let overtaken = WireProblem { code: "counter-used".into(), detail: String::new(), scope: None };
                    if problem.is(Cause::Clock) || !self.race_lost(one.scope, &overtaken) {
                        self.following.blocked.insert(one.scope);
                        self.report(&problem);
                    }
                }
            } else if one.seq > known {
                // The home shows whoever has handed a scope over nothing of what came before that.
                self.note_handed_over(one.scope, &event);
                self.sync_scope(one.scope);
            }
        }
        Ok(())
    }

    fn sent_event(&self, scope: ScopeId, counter: u64) -> Option<Signed<Event>> {
        let single = self.table.read(Space::Outbox, &sent_key(scope)).and_then(|b| decode::<Bundle>(b).ok());
        let bundles = self.bundles().into_iter().map(|(_, bundle)| bundle);
        single
            .into_iter()
            .chain(bundles)
            .flat_map(|b| b.envelopes)
            .map(|e| e.event)
            .find(|e| e.peek().is_ok_and(|e| e.scope == scope && e.counter == counter))
    }

    /// A refused change becomes a draft with its reason, a refused statement is dropped and reported, a
    /// lost race is run again.
    pub(crate) fn event_refused(&mut self, scope: ScopeId, problem: &WireProblem) {
        if self.race_lost(scope, problem) {
            return;
        }
        let sent = sent_key(scope);
        let event = self.table.read(Space::Outbox, &sent).and_then(|b| decode::<Bundle>(b).ok());
        let event = event.and_then(|b| b.envelopes.into_iter().next()).map(|e| e.event);
        self.table.delete(Space::Outbox, &sent);
        let last_word = Fate::of(&problem.code).is_last_word();
        match event.as_ref().and_then(|e| e.peek().ok()).map(|e| e.body) {
            Some(Body::Change(_)) => {
                // What is written waits; a statement or commit of this device need not wait for it.
                self.following.still.insert((scope, ContentWork::Sealed));
                if last_word {
                    self.refuse_pending(scope, &problem.code);
                }
                return self.report(&Problem::quoting(&problem.code, problem.detail.clone()));
            }
            // A statement is given up only where our own copy of the scope refuses it too: no home makes us
            // forget a withdrawal by a word.
            Some(Body::Statement(statement)) if last_word && self.refused_here(scope, event) => {
                // Another device of this person, or whoever carried it, has said it already: nothing is lost.
                if problem.code == "already-signed" {
                    self.drop_statement(scope, statement);
                    return;
                }
                self.keep_statement(scope, &statement, &problem.code);
                self.told.counts.given_up += 1;
                self.drop_statement(scope, statement);
                return self.report(&Problem::quoting(&problem.code, problem.detail.clone()));
            }
            _ => {}
        }
        self.following.blocked.insert(scope);
        self.report(&Problem::quoting(&problem.code, problem.detail.clone()));
    }

    /// Whether the policy refuses an event of ours on what this device knows.
    fn refused_here(&self, scope: ScopeId, event: Option<Signed<Event>>) -> bool {
        let (Some(event), Some(s), Ok(me)) = (event, self.scopes.get(&scope), self.me()) else { return false };
        let state = s.replica.state();
        let (now, trusted) = (self.home_now().max(state.time), me.trusted());
        let context = Context { now, home: state.membership.home, trusted: &trusted, card: None };
        s.replica.judge(Record { seq: state.position.seq.saturating_add(1), time: now, event }, &context).is_err()
    }

    /// A lost race is run again after a sync; anything else is final. Answers whether it is run again.
    pub(crate) fn race_lost(&mut self, scope: ScopeId, problem: &WireProblem) -> bool {
        let tries = self.stream.retries.entry(scope).or_default();
        *tries += 1;
        if *tries > RETRIES || Fate::of(&problem.code) != Fate::Lost {
            return false;
        }
        if problem.code == "attachment-missing" {
            // The home has lost what it had: it is asked anew.
            self.going.uploads.clear();
        }
        self.sync_scope(scope);
        true
    }
}
