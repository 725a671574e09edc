//! A log is moved to another municipality (`docs/protocol.md` 19), driven by whoever hands it over: the new home
//! fetches and promises, the old one commits, the tombstones are carried. Every step can be asked again; what is
//! under way stands in rows, so that it goes on after a break.

use crate::client::Client;
use crate::client::fate::Fate;
use crate::client::input::{Problem, Progress};
use crate::client::outbox::bundle::envelope_scope;
use crate::client::queue::moving_key;
use crate::client::stream::{RETRIES, Sent};
use crate::rows::Space;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::consent::Permit;
use stafett_protocol::handover::{HandoverAcceptance, SignedAbort, SignedOffer};
use stafett_protocol::ids::{Municipality, ScopeId};
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::{
    Cancellation, HomeAccept, Preparation, Prepared, Transfer, TransferAbort, Transferred, envelope_hash,
};
use stafett_protocol::wire::{Bundle, Problem as WireProblem, Request};

/// A move under way; its commits are the stored bundle of the old home.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct Moving {
    pub to: Municipality,
    /// Of the scopes that move, the card's first.
    pub offers: Vec<SignedOffer>,
    pub acceptances: Vec<Signed<HandoverAcceptance>>,
    /// The new home has fetched what there was.
    fetched: Permit,
    /// The new home's promises, once they have come.
    accepts: Vec<Signed<HomeAccept>>,
}

/// Offers taken back; first the old home is told, then the new one is freed with its answer.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
struct TakenBack {
    home: Municipality,
    to: Municipality,
    cancellation: Cancellation,
    /// The old home's answer.
    freed: Vec<Signed<TransferAbort>>,
}

impl Moving {
    pub fn new(to: Municipality, offers: Vec<SignedOffer>, acceptances: Vec<Signed<HandoverAcceptance>>) -> Self {
        Self { to, offers, acceptances, fetched: Permit::No, accepts: vec![] }
    }

    fn moves(&self, scope: ScopeId) -> bool {
        self.offers.iter().any(|o| o.offer.peek().is_ok_and(|o| o.scope == scope))
    }
}

impl Client {
    fn moving(&self, home: Municipality) -> Option<Moving> {
        self.table.read(Space::State, &moving_key(home)).and_then(|b| decode(b).ok())
    }

    /// Begins to move what `bundle` hands over. Called only when the new home can be reached: until this ends
    /// nothing else is written in these scopes here.
    pub(crate) fn begin_transfer(&mut self, moving: &Moving, bundle: &Bundle, scopes: &[ScopeId]) {
        let home = self.home_of(scopes.first().copied().unwrap_or_default());
        self.table.write(Space::State, &moving_key(home), encode(moving));
        self.keep_bundle(home, bundle);
        self.drive_transfer(home);
    }

    /// The next step of the move whose bundle waits at this home. Answers whether there is one.
    pub(crate) fn drive_transfer(&mut self, home: Municipality) -> bool {
        let (Some(moving), Some(bundle)) = (self.moving(home), self.open_bundle(home)) else { return false };
        let scopes: Vec<ScopeId> = bundle.envelopes.iter().filter_map(envelope_scope).collect();
        if scopes.iter().any(|s| self.stream.busy(*s)) {
            return true;
        }
        if !moving.accepts.is_empty() {
            let transfer = Transfer { bundle, accepts: moving.accepts };
            self.stream.send(home, Request::CommitTransfer(transfer), Sent::Bundle(scopes));
        } else if self.queued_rows("t").is_empty() && self.reach(moving.to) {
            // First what the new home has promised for other commits is freed.
            let (mut bundle, to) = (bundle, moving.to);
            // Only what moves is shown to the new home.
            bundle
                .envelopes
                .retain(|e| moving.fetched == Permit::Yes && envelope_scope(e).is_some_and(|s| moving.moves(s)));
            bundle.letters.clear();
            let Moving { offers, acceptances, .. } = moving;
            let preparation = Preparation { from: home, offers, acceptances, bundle };
            self.stream.send(to, Request::PrepareTransfer(preparation), Sent::Prepare(home, scopes));
        }
        true
    }

    pub(crate) fn transfer_prepared(&mut self, home: Municipality, prepared: Prepared) {
        let Some(mut moving) = self.moving(home) else { return };
        moving.fetched = Permit::Yes;
        self.note_progress(&moving, &prepared);
        // Promised for commits that were never made: an earlier try's, whose answer may have been lost.
        let envelopes = self.open_bundle(home).map(|b| b.envelopes).unwrap_or_default();
        let ours = |accept: &Signed<HomeAccept>| {
            accept.peek().is_ok_and(|a| envelopes.iter().any(|e| envelope_hash(e) == a.envelope))
        };
        let (accepts, others): (Vec<_>, Vec<_>) = prepared.accepts.into_iter().partition(ours);
        if others.is_empty() {
            moving.accepts = accepts;
        } else {
            let cancellation = Cancellation { aborts: vec![], accepts: others };
            self.queue("t", encode(&TakenBack { home, to: moving.to, cancellation, freed: vec![] }));
        }
        self.table.write(Space::State, &moving_key(home), encode(&moving));
        self.drive_transfer(home);
    }

    /// How much of the log the new home has by now. It keeps what it has: after a break it goes on from there.
    fn note_progress(&mut self, moving: &Moving, prepared: &Prepared) {
        let offers = || moving.offers.iter().filter_map(|o| o.offer.peek().ok());
        let events = |scope| self.scopes.get(&scope).map_or(0, |s| s.replica.state().position.seq);
        let of = offers().map(|o| events(o.scope)).sum();
        let fetched: u64 = prepared.fetched.iter().map(|at| at.seq).sum();
        if let Some(log) = offers().next().map(|o| o.log) {
            self.going.moving = Some(Progress { log, fetched: fetched.min(of), of });
        }
    }

    pub(crate) fn transfer_committed(&mut self, from: Municipality, done: Transferred) -> Result<(), Problem> {
        self.told.counts.sent += done.accepted.len() as u64;
        self.table.delete(Space::State, &moving_key(from));
        self.submitted(done.accepted)?;
        done.tombstones.into_iter().try_for_each(|tombstone| self.moved(tombstone))
    }

    /// Answers whether the refusal was of a move, and is dealt with. Heads that went on need another promise. Where the old
    /// home does not know whether it has committed, the same bytes bring its word with the next connection: we hear of a
    /// move in no other way. What else a home refuses ends this try, and the next is planned on the new state.
    pub(crate) fn transfer_refused(&mut self, home: Municipality, scopes: &[ScopeId], problem: &WireProblem) -> bool {
        let Some(mut moving) = self.moving(home) else { return false };
        let tries = self.stream.retries.entry(scopes.first().copied().unwrap_or_default()).or_default();
        *tries += 1;
        if problem.code == "stale-accept" && *tries <= RETRIES {
            moving.accepts.clear();
            self.table.write(Space::State, &moving_key(home), encode(&moving));
            if let Some(log) = moving.offers.first().and_then(|o| o.offer.peek().ok()).map(|o| o.log) {
                self.stream.send(home, Request::HoldTransfer(log), Sent::Hold);
            }
            self.drive_transfer(home);
            return true;
        }
        if !moving.accepts.is_empty() && Fate::of(&problem.code) == Fate::Waits {
            self.stream.asked_again.insert(home);
            self.report(&Problem::quoting(&problem.code, problem.detail.clone()));
            return true;
        }
        self.table.delete(Space::State, &moving_key(home));
        false
    }

    /// The offers no longer stand: no home will commit them, and what the new one has promised is freed.
    pub(crate) fn cancel_transfer(&mut self, home: Municipality, to: Municipality, aborts: Vec<SignedAbort>) {
        let accepts = self.moving(home).map(|m| m.accepts).unwrap_or_default();
        if self.table.read(Space::State, &moving_key(home)).is_some() {
            self.table.delete(Space::State, &moving_key(home));
            self.drop_bundle(home);
        }
        let cancellation = Cancellation { aborts, accepts };
        self.queue("t", encode(&TakenBack { home, to, cancellation, freed: vec![] }));
    }

    pub(crate) fn send_cancellations(&mut self) -> Result<(), Problem> {
        for (key, value) in self.queued_rows("t") {
            let Ok(back) = decode::<TakenBack>(&value) else {
                self.table.delete(Space::Outbox, &key);
                continue;
            };
            if self.stream.waits_for(&Sent::Row(key.clone())) || self.going.parked.contains(&key) {
                continue;
            }
            let (at, request) = match back.freed.is_empty() {
                true => (back.home, Request::AbortTransfer(back.cancellation)),
                false => (back.to, Request::Release(back.freed)),
            };
            if self.reach(at) {
                self.stream.send(at, request, Sent::Row(key));
            }
        }
        Ok(())
    }

    /// The old home's word that the offers are dead; where the new one has promised something, it is told.
    pub(crate) fn transfer_aborted(&mut self, key: &[u8], freed: Vec<Signed<TransferAbort>>) {
        let back = self.table.read(Space::Outbox, key).and_then(|b| decode::<TakenBack>(b).ok());
        match back.filter(|_| !freed.is_empty()) {
            Some(back) => self.table.write(Space::Outbox, key, encode(&TakenBack { freed, ..back })),
            None => self.row_done(key),
        }
    }
}
