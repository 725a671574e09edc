//! One transaction: lock, recognise what was accepted before, judge each envelope in order, append,
//! sign, post, and bring what is derived up to date.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use stafett_protocol::codec::encode;
use stafett_protocol::event::{Body, Event, Record};
use stafett_protocol::ids::{DeviceId, ScopeId};
use stafett_protocol::letter::Letter;
use stafett_protocol::limits::LOG_SCOPES;
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::policy;
use stafett_protocol::policy::Context;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::Status;
use stafett_protocol::statement::Statement;
use stafett_protocol::transfer::{HomeAccept, Tombstone, accept_of};
use stafett_protocol::wire::{Accepted, Envelope, Mail, ScopePosition, WelcomeMail};

use super::moving::{Leaving, moving_envelope};
use super::places::Places;
use super::written::Written;
use super::{Decoded, Outcome, Shared};
use crate::db::Conn;
use crate::federation::peers::Known;
use crate::problem::Fault;
use crate::signing;
use crate::store::accounts::{self, Device};
use crate::store::chain::{self, HomeStanding};
use crate::store::mail::{self, Posted};
use crate::store::readers::{self, Place};

/// Does all of it, and keeps the replicas that are still true.
pub(super) async fn run(
    conn: &mut Conn,
    shared: &Shared,
    author: &Device,
    (envelopes, letters): (Vec<Decoded>, Vec<Letter>),
    accepts: Vec<Signed<HomeAccept>>,
) -> Result<Outcome, Fault> {
    if !accounts::hold(conn, author).await? {
        return Err(Fault::NotAuthenticated);
    }
    let scopes: BTreeSet<ScopeId> = envelopes.iter().map(|decoded| decoded.event.scope).collect();
    let mut all = scopes.clone();
    let (mut needs_card, mut whole) = (BTreeSet::new(), BTreeSet::new());
    for decoded in &envelopes {
        match &decoded.event.body {
            Body::Genesis(genesis) => all.extend(genesis.card),
            // A change is judged by its own scope alone.
            Body::Change(_) => {}
            // The baton passes in the whole log or not at all.
            Body::Commit(commit) if commit.handover.is_some() => {
                whole.insert(decoded.event.scope);
            }
            Body::Commit(_) | Body::Statement(_) => {
                needs_card.insert(decoded.event.scope);
            }
        }
    }
    let mut places = Places::lock(conn, &shared.hot, all, &needs_card, &whole).await?;
    let judging = Judging { accepts, ..Judging::new(conn, shared, author, &mut places) };
    let result = judging.all(envelopes, letters).await;
    places.give_back(&shared.hot, result.is_ok());
    result
}

fn ends_access(body: &Body) -> bool {
    matches!(body, Body::Statement(Statement::Withdrawal(_) | Statement::EmployeeEnd(_)))
}

pub(super) struct Judging<'a> {
    pub conn: &'a mut Conn,
    pub shared: &'a Shared,
    /// Whom the home believes, at the beginning of the transaction.
    pub known: Arc<Known>,
    pub author: &'a Device,
    pub places: &'a mut Places,
    pub now: u64,
    /// New homes' words on the moves in this bundle.
    pub accepts: Vec<Signed<HomeAccept>>,
    /// Scopes with a handover in this bundle.
    pub handed: Vec<ScopeId>,
    /// The move of the envelope in hand, until its receipt is signed.
    pub leaving: Option<Leaving>,
    pub tombstones: Vec<Signed<Tombstone>>,
    pub written: Vec<Written>,
    pub mail: BTreeSet<DeviceId>,
    /// Scopes whose readers may have lost their place with the one on the card.
    pub recheck: BTreeSet<ScopeId>,
    pub copied_bytes: u64,
}

impl<'a> Judging<'a> {
    pub fn new(conn: &'a mut Conn, shared: &'a Shared, author: &'a Device, places: &'a mut Places) -> Self {
        Self {
            conn,
            shared,
            known: shared.peers.known(),
            author,
            places,
            now: 0,
            accepts: Vec::new(),
            handed: Vec::new(),
            leaving: None,
            tombstones: Vec::new(),
            written: Vec::new(),
            mail: BTreeSet::new(),
            recheck: BTreeSet::new(),
            copied_bytes: 0,
        }
    }

    async fn all(mut self, envelopes: Vec<Decoded>, letters: Vec<Letter>) -> Result<Outcome, Fault> {
        if let Some(accepted) = self.accepted_before(&envelopes).await? {
            let tombstones = self.tombstones_before().await?;
            return Ok(Outcome { accepted, tombstones, ..Outcome::default() });
        }
        self.now = self.time(&envelopes).await?;
        let ends_access = envelopes.iter().any(|decoded| ends_access(&decoded.event.body));
        let last: HashMap<ScopeId, usize> = envelopes.iter().enumerate().map(|(at, d)| (d.event.scope, at)).collect();
        for (at, decoded) in envelopes.into_iter().enumerate() {
            let scope = decoded.event.scope;
            let is_last = last.get(&scope) == Some(&at);
            let refused = match self.one(decoded, is_last).await {
                Ok(()) => continue,
                Err(Fault::Refused(refused, _)) => refused,
                Err(other) => return Err(other),
            };
            return Err(self.refusal(scope, refused).await?);
        }
        if !self.handed.is_empty() {
            let mut devices = accounts::devices_of(self.conn, self.author.person).await?;
            // A guest's account is elsewhere.
            devices.push(self.author.device);
            policy::is_complete(&devices, &self.handed, self.places.at_home(), self.now)?;
        }
        for letter in letters {
            let to = letter.to;
            match mail::post_letter(self.conn, self.author.person, letter, self.now).await?.0 {
                Posted::Waiting => drop(self.mail.insert(to)),
                Posted::NoSuchDevice => {}
                // A withdrawal does not fail because somebody's mailbox is full: the chain says it, too.
                Posted::Full if ends_access => {}
                Posted::Full => return Err(Fault::MailboxFull),
            }
        }
        self.store().await?;
        self.finish().await
    }

    /// One time for the whole bundle, strictly later than all that was judged beside it: a clock that stands or went back
    /// a little must not let an audit read a log in another order than its home did. Asked under the scopes' locks: whoever
    /// has found this database to be old holds them, or has written its mark.
    async fn time(&mut self, envelopes: &[Decoded]) -> Result<u64, Fault> {
        let mut newest = self.places.newest_time();
        let scopes: BTreeSet<ScopeId> = envelopes.iter().map(|decoded| decoded.event.scope).collect();
        for scope in scopes {
            // What hangs on a card was judged beside it.
            if self.places.state(scope).is_some_and(|state| state.kind() == ScopeKind::Card) {
                newest = newest.max(chain::newest_beside(self.conn, scope).await?);
            }
        }
        Ok(signing::time(self.conn, &self.shared.clock).await?.max(newest.saturating_add(1)))
    }

    /// A lost answer is asked for again: the same bytes get the same receipts, whatever has happened
    /// since; other bytes under a used counter are refused.
    async fn accepted_before(&mut self, envelopes: &[Decoded]) -> Result<Option<Vec<Accepted>>, Fault> {
        let Some(first) = envelopes.first() else { return Ok(None) };
        let used = |decoded: &Decoded| {
            let state = self.places.state(decoded.event.scope);
            state.is_some_and(|state| decoded.event.counter <= state.counter(self.author.device))
        };
        if !envelopes.iter().any(used) {
            return Ok(None);
        }
        let mut accepted = Vec::with_capacity(envelopes.len());
        for decoded in envelopes {
            let event = &decoded.event;
            let stored = chain::stored(self.conn, event.scope, self.author.device, event.counter).await?;
            let Some(stored) = stored.filter(|stored| stored.event == encode(&decoded.signed)) else {
                return Err(self.refusal(first.event.scope, Refusal::CounterUsed).await?);
            };
            accepted.push(Accepted {
                scope: event.scope,
                counter: event.counter,
                seq: stored.record_seq,
                time: stored.time,
                receipt: chain::receipt_for(self.conn, event.scope, stored.record_seq).await?,
            });
        }
        Ok(Some(accepted))
    }

    async fn one(&mut self, decoded: Decoded, is_last: bool) -> Result<(), Fault> {
        let scope = decoded.event.scope;
        let position = self.places.state(scope).map(|state| state.position);
        let record =
            Record { seq: position.map_or(0, |p| p.seq).saturating_add(1), time: self.now, event: decoded.signed };
        let counter = decoded.event.counter;
        self.check_standing(&decoded.event).await?;
        self.check_card(&decoded.event).await?;
        let envelope = moving_envelope(&decoded.event, &record, decoded.welcome.as_deref());
        if envelope.is_some() {
            self.handed.push(scope);
        }
        // A change alters nobody's place; the path of an edit does without the comparison.
        let before = match &decoded.event.body {
            Body::Change(change) if change.attachments.is_empty() => None,
            _ => self.places.state(scope).map(|state| readers::places(state, self.now)),
        };
        let changes = if position.is_some() {
            self.judge(scope, record.clone(), envelope.as_ref()).await?
        } else {
            self.found(scope, record.clone(), &decoded.event.body).await?
        };
        self.keep_attachments(&decoded.event).await?;
        let place = self.places.place(scope)?;
        place.touched = true;
        place.snapshot |= changes;
        let mut removes = false;
        if changes {
            removes = self.facts_changed(scope, record.seq, &before.unwrap_or_default(), decoded.welcome).await?;
        }
        let receipt = self
            .places
            .replica(scope)
            .filter(|_| is_last || removes || self.leaving.is_some())
            .map(|replica| self.shared.municipality.receipt(&replica.receipt()));
        if let (Some(leaving), Some(receipt)) = (self.leaving.take(), &receipt) {
            self.let_go(leaving, receipt.clone()).await?;
        }
        let device = self.author.device;
        self.written.push(Written { scope, device, counter, record, receipt });
        Ok(())
    }

    /// Whoever is gone from the card writes nothing in the log's other scopes, though their own lists do
    /// not name them yet. Stricter than the rules: what is refused here, nobody else is asked about.
    async fn check_card(&mut self, event: &Event) -> Result<(), Fault> {
        let scope = event.scope;
        let state = self.places.state(scope).filter(|state| state.status != Status::Closed);
        let card = state.and_then(|state| state.card).filter(|card| *card != scope);
        let writes = match &event.body {
            Body::Change(_) => true,
            // Who hands over the card has left it when the other scopes follow in the same bundle.
            Body::Commit(commit) => commit.handover.is_none(),
            Body::Genesis(_) | Body::Statement(_) => false,
        };
        match card.filter(|_| writes) {
            Some(card) if !readers::is_on_card(self.conn, card, self.author.person, self.now).await? => {
                Err(Refusal::Listed.into())
            }
            _ => Ok(()),
        }
    }

    pub fn context<'c>(&'c self, card: Option<ScopeId>) -> Context<'c> {
        Context {
            now: self.now,
            home: self.shared.municipality.number,
            trusted: &self.known.trusted,
            card: card.and_then(|card| self.places.state(card)),
        }
    }

    /// Judges by the replica's rules and applies; answers whether facts changed.
    pub async fn judge(&mut self, scope: ScopeId, record: Record, envelope: Option<&Envelope>) -> Result<bool, Fault> {
        let replica = self.places.replica(scope).ok_or(Refusal::UnknownScope)?;
        let context = self.context(replica.state().card);
        let judged = replica.judge(record, &context)?;
        let changes = judged.changes_facts();
        if let Some(envelope) = envelope
            && judged.next_state().is_some_and(|next| next.membership.home != replica.state().membership.home)
        {
            let own = accept_of(replica, &judged, envelope)?;
            self.leave(own).await?;
        }
        let place = self.places.place(scope)?;
        place.touched = true;
        let replica = place.replica.as_mut().ok_or(Refusal::UnknownScope)?;
        replica.apply(judged)?;
        Ok(changes)
    }

    pub async fn found(&mut self, scope: ScopeId, record: Record, body: &Body) -> Result<bool, Fault> {
        let Body::Genesis(genesis) = body else {
            return Err(Refusal::UnknownScope.into());
        };
        // A journal or concern is founded where its card is at home.
        if let Some(card) = genesis.card.filter(|card| *card != scope) {
            self.check_home(card).await?;
        }
        let context = self.context(genesis.card);
        let has_card = context.card.is_some();
        let (replica, _) = replica::found(record, &context)?;
        let (kind, log) = (replica.state().kind(), replica.state().log());
        match kind {
            // The rules check a scope against its card where they are given one; the home always has it.
            ScopeKind::Journal | ScopeKind::Concern if !has_card => return Err(Refusal::UnknownScope.into()),
            ScopeKind::Journal | ScopeKind::Concern => {
                if chain::scopes_of_log(self.conn, log).await? >= LOG_SCOPES {
                    return Err(Refusal::TooMany.into());
                }
            }
            ScopeKind::Card => {
                chain::lock_log(self.conn, log).await?;
                if chain::scopes_of_log(self.conn, log).await? != 0 {
                    return Err(Refusal::ScopeExists.into());
                }
            }
            ScopeKind::Unit | ScopeKind::Personal => {}
        }
        // A log whose changes are held back gets no new place for them either.
        let held_until = genesis.card.map_or(0, |card| self.places.held_until(card));
        if !chain::create(self.conn, replica.state(), HomeStanding::Home, held_until).await? {
            return Err(Refusal::ScopeExists.into());
        }
        let place = self.places.place(scope)?;
        place.held_until = held_until;
        place.replica = Some(replica);
        Ok(true)
    }

    /// Readers, Welcomes, and word to those who lost their place. Answers whether a leaf was removed.
    pub async fn facts_changed(
        &mut self,
        scope: ScopeId,
        seq: u64,
        before: &BTreeMap<DeviceId, Place>,
        welcome: Option<Vec<u8>>,
    ) -> Result<bool, Fault> {
        let state = self.places.state(scope).ok_or(Refusal::UnknownScope)?;
        let after = readers::places(state, self.now);
        let lost = readers::save(self.conn, state, seq, before, &after).await?;
        if let Some(welcome) = welcome {
            let had_leaf = |device: &DeviceId| before.get(device).is_some_and(|place| place.leaf);
            let added = after.iter().filter(|(device, place)| place.leaf && !had_leaf(device));
            let added: Vec<DeviceId> = added.map(|(device, _)| *device).collect();
            let bytes = welcome.len() as u64;
            let mail = Mail::Welcome(WelcomeMail { scope, seq, welcome: welcome.into() });
            for (copies, device) in added.into_iter().enumerate() {
                self.post(device, &mail).await?;
                self.copied_bytes += if copies == 0 { 0 } else { bytes };
            }
        }
        if !lost.is_empty() {
            self.recheck.extend(chain::hanging_on(self.conn, scope).await?);
        }
        for device in lost {
            self.post(device, &Mail::Listed(scope)).await?;
        }
        let keeps_leaf = |device: &DeviceId| after.get(device).is_some_and(|place| place.leaf);
        Ok(before.iter().any(|(device, place)| place.leaf && !keeps_leaf(device)))
    }

    async fn post(&mut self, to: DeviceId, mail: &Mail) -> Result<Posted, Fault> {
        let posted = mail::post(self.conn, to, mail).await?;
        if posted == Posted::Waiting {
            self.mail.insert(to);
        }
        Ok(posted)
    }

    /// Unknown and forbidden look alike to whoever never had a place here, whatever was found wrong first: nobody learns
    /// that a scope is here, held, moved, or how far it is.
    async fn refusal(&mut self, scope: ScopeId, refused: Refusal) -> Result<Fault, Fault> {
        let device = self.author.device;
        let known_here = readers::reader(self.conn, scope, device, self.now).await?.is_some();
        let state = self.places.state(scope);
        let is_stranger = state.is_some_and(|state| state.person_of(device).is_none()) && !known_here;
        // Whoever has a place on the card withdraws in the log's other scopes, too.
        let card = state.and_then(|state| state.card);
        let on_card = match card.filter(|_| is_stranger) {
            Some(card) => readers::reader(self.conn, card, device, self.now).await?.is_some(),
            None => false,
        };
        if is_stranger && !on_card && self.places.stored_seq(scope) != 0 {
            return Ok(Refusal::UnknownScope.into());
        }
        let position = known_here.then(|| ScopePosition { scope, seq: self.places.stored_seq(scope) });
        Ok(Fault::Refused(refused, position))
    }
}
