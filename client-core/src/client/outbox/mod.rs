//! What waits to be sent. Rows of the outbox are requests, letters, statements and the one bundle under
//! way; changes wait in their documents. Everything is sealed and counted when it is sent, under today's
//! key, and leaves the outbox when the chain or the server says that it stands.

pub(crate) mod bundle;
pub(crate) mod drafts;
pub(crate) mod files;
pub(crate) mod founding;
pub(crate) mod letters;
pub(crate) mod next;
pub(crate) mod packages;
pub(crate) mod refound;
pub(crate) mod transfer;

use crate::client::Client;
use crate::client::clock::WRONG_CLOCK;
use crate::client::input::Problem;
use crate::client::log::attachments::is_file;
use crate::client::scope::Standing;
use crate::client::scope::group;
use crate::client::scope::open::ContentWork;
use crate::client::stream::{Sent, is_final};
use crate::rows::Space;
use crate::seal;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::consent::Permit;
use stafett_protocol::event::{Body, Change, Event, Record, SealContext};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::limits;
use stafett_protocol::policy::Context;
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::{Accepted, Bundle, Envelope, Problem as WireProblem, Records, Request};

/// A statement that waits.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct OutStatement {
    pub scope: ScopeId,
    pub statement: Statement,
}

/// Where the one event under way in a scope is kept, as it was sent.
fn sent_key(scope: ScopeId) -> Vec<u8> {
    [b"sent/".as_slice(), &scope.0].concat()
}

/// Room in one change event for plain changes: the seal rounds up by an eighth at most.
const PLAIN_BYTES: usize = 200 * 1024;

impl Client {
    /// Puts a row into the outbox under `kind`, behind those already there.
    pub(crate) fn queue(&mut self, kind: &str, value: Vec<u8>) {
        let counter =
            self.table.read(Space::State, b"outbox").and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes);
        self.table.write(Space::State, b"outbox", (counter + 1).to_be_bytes().to_vec());
        let key = [kind.as_bytes(), b"/", &counter.to_be_bytes()].concat();
        self.table.write(Space::Outbox, &key, value);
    }

    pub(crate) fn queued_rows(&self, kind: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let prefix = [kind.as_bytes(), b"/"].concat();
        self.table.scan(Space::Outbox, &prefix).map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
    }

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

    pub(crate) fn queue_request(&mut self, request: &Request) {
        self.queue("r", encode(request));
    }

    pub(crate) fn queue_statement(&mut self, scope: ScopeId, statement: Statement) {
        let value = encode(&OutStatement { scope, statement });
        if !self.queued_rows("s").iter().any(|(_, v)| *v == value) {
            self.queue("s", value);
        }
    }

    fn drop_statement(&mut self, scope: ScopeId, statement: Statement) {
        let value = encode(&OutStatement { scope, statement });
        if let Some((key, _)) = self.queued_rows("s").into_iter().find(|(_, v)| *v == value) {
            self.table.delete(Space::Outbox, &key);
        }
    }

    /// What waited for a scope that this device has left.
    pub(crate) fn drop_queue(&mut self, scope: ScopeId, reason: &str) {
        let waits = self.queued_rows("s").into_iter().filter_map(|(_, value)| decode::<OutStatement>(&value).ok());
        let here: Vec<Statement> = waits.filter(|o| o.scope == scope).map(|o| o.statement).collect();
        here.iter().for_each(|statement| self.keep_statement(scope, statement, reason));
        self.drop_statements(scope, |_| true);
    }

    pub(crate) fn drop_statements(&mut self, scope: ScopeId, over: impl Fn(&Statement) -> bool) {
        for (key, value) in self.queued_rows("s") {
            if decode::<OutStatement>(&value).is_ok_and(|o| o.scope == scope && over(&o.statement)) {
                self.table.delete(Space::Outbox, &key);
            }
        }
    }

    pub(crate) fn row_done(&mut self, key: &[u8]) {
        self.stream.counts.sent += 1;
        let row = self.table.read(Space::Outbox, key).map(decode::<Request>);
        self.table.delete(Space::Outbox, key);
        if let Some(Ok(Request::RemoveDevice(removal))) = row {
            self.device_gone(removal.device);
        }
    }

    /// What the server will never take goes, and the problem stays; everything else waits for the next time.
    pub(crate) fn row_refused(&mut self, key: &[u8], problem: &WireProblem) {
        const FINAL: &[&str] = &[
            "not-allowed",
            "inconsistent",
            "code-invalid",
            "malformed",
            "too-large",
            "name",
            "device-needed",
            "too-many-devices",
            "unit-exists",
        ];
        // An offer that is taken back too late stands: the log has moved.
        let too_late = key.starts_with(b"t/") && problem.code == "moved";
        if FINAL.contains(&problem.code.as_str()) || is_final(&problem.code) || too_late {
            self.keep_row(key, &problem.code);
            self.registration_refused(key);
            self.table.delete(Space::Outbox, key);
        } else {
            self.stream.parked.insert(key.to_vec());
        }
        self.report(&Problem::rule(&problem.code, problem.detail.clone()));
    }

    pub(crate) fn send_requests(&mut self) {
        let Ok(own) = self.me().map(crate::client::me::Me::number) else { return };
        for (key, value) in self.queued_rows("r") {
            if self.stream.waits_for(&Sent::Row(key.clone())) || self.stream.parked.contains(&key) {
                continue;
            }
            match decode::<Request>(&value) {
                Ok(request) => self.stream.send(own, request, Sent::Row(key)),
                Err(_) => self.table.delete(Space::Outbox, &key),
            }
        }
    }

    /// The event that comes next from this device in a scope.
    pub(crate) fn next_event(&self, scope: ScopeId, body: Body) -> Result<Event, Problem> {
        let s = self.scopes.get(&scope).ok_or_else(|| Problem::data("scope", "no such scope"))?;
        let (state, device) = (s.replica.state(), self.me()?.device());
        Ok(Event {
            scope,
            generation: state.membership.generation,
            epoch: state.epoch,
            device,
            counter: state.counter(device) + 1,
            seen: state.position,
            body,
        })
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
            let free = !self.stream.busy(out.scope) && !self.stream.blocked.contains(&out.scope);
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
                && !self.stream.still.contains(&(id, ContentWork::Sealed))
                && s.document.pending().len() > 0
                && !self.stream.busy(id)
                && !self.stream.blocked.contains(&id)
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
                    self.stream.still.insert((scope, ContentWork::Sealed));
                    self.report(&problem);
                }
            }
        }
        Ok(())
    }

    fn seal_pending(&mut self, scope: ScopeId) -> Result<Event, Problem> {
        let salt: [u8; 32] = self.random();
        let s = self.scopes.get(&scope).ok_or_else(|| Problem::data("scope", "no such scope"))?;
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
        let sealed = seal::seal(key, &binding, &changes).map_err(|e| Problem::data("seal", e.to_string()))?;
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
                    if problem.code == WRONG_CLOCK || !self.race_lost(one.scope, &overtaken) {
                        self.stream.blocked.insert(one.scope);
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

    /// What was under way in a scope comes to nothing.
    pub(crate) fn forget_sent(&mut self, scope: ScopeId) {
        self.table.delete(Space::Outbox, &sent_key(scope));
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

    /// An event of ours stands in the chain, however we came to know it.
    pub(crate) fn own_event_stands(&mut self, scope: ScopeId, event: &Event) {
        self.stream.retries.remove(&scope);
        self.table.delete(Space::Outbox, &sent_key(scope));
        if let Body::Statement(statement) = &event.body {
            self.drop_statement(scope, statement.clone());
        }
        if let Body::Change(change) = &event.body {
            self.files_stand(scope, &change.attachments);
        }
        for (home, bundle) in self.bundles() {
            let events = || bundle.envelopes.iter().filter_map(|e| e.event.peek().ok());
            let this = |e: &Event| (e.scope, e.counter) == (scope, event.counter);
            if events().any(|e| this(&e)) && events().all(|e| this(&e) || self.stands_here(&e)) {
                self.drop_bundle(home);
            }
        }
        if matches!(&event.body, Body::Commit(commit) if commit.welcome.is_some()) {
            self.announce_welcomes(scope);
        }
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
        let last_word = is_final(&problem.code);
        match event.as_ref().and_then(|e| e.peek().ok()).map(|e| e.body) {
            Some(Body::Change(_)) => {
                // What is written waits; a statement or commit of this device need not wait for it.
                self.stream.still.insert((scope, ContentWork::Sealed));
                if last_word {
                    self.refuse_pending(scope, &problem.code);
                }
                return self.report(&Problem::rule(&problem.code, problem.detail.clone()));
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
                self.stream.counts.given_up += 1;
                self.drop_statement(scope, statement);
                return self.report(&Problem::rule(&problem.code, problem.detail.clone()));
            }
            _ => {}
        }
        self.stream.blocked.insert(scope);
        self.report(&Problem::rule(&problem.code, problem.detail.clone()));
    }

    /// Whether the policy refuses an event of ours on what this device knows.
    fn refused_here(&self, scope: ScopeId, event: Option<Signed<Event>>) -> bool {
        let (Some(event), Some(s), Ok(me)) = (event, self.scopes.get(&scope), self.me()) else { return false };
        let state = s.replica.state();
        let (now, trusted) = (self.home_now().max(state.time), me.trusted());
        let context = Context { now, home: state.membership.home, trusted: &trusted, card: None };
        s.replica.judge(Record { seq: state.position.seq.saturating_add(1), time: now, event }, &context).is_err()
    }
}
