//! The chains of a home in memory: intake, receipts, sync.

use crate::model::home::{Answered, ModelHome, ScopeChain};
use stafett_protocol::event::{Body, Event, Receipt, Record};
use stafett_protocol::ids::{DeviceId, Hash, PersonId, ScopeId};
use stafett_protocol::policy::{Context, is_complete};
use stafett_protocol::refusal::Refusal;
use stafett_protocol::replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::transfer::HomeAccept;
use stafett_protocol::wire::*;
use std::collections::BTreeMap;

impl ModelHome {
    /// Whether this home orders the scope: it was founded here or has come here, and has not left.
    pub fn serves(&self, scope: ScopeId) -> bool {
        self.scopes.get(&scope).is_some_and(|c| c.replica.state().membership.home == self.number)
    }

    pub fn receipt(&self, scope: ScopeId, upto: u64) -> Signed<Receipt> {
        let chain = &self.scopes[&scope];
        // Up to a move the word is the old home's.
        let (signer, home_epoch) = chain.replica.state().home_at(upto);
        if signer != self.number {
            return self.transfers.receipts[&(scope, home_epoch)].clone();
        }
        let mut receipt = chain.replica.receipt();
        if receipt.position.seq != upto {
            let head =
                chain.records.iter().take_while(|r| r.seq <= upto).fold(Hash::default(), |h, r| r.head_after(&h));
            receipt.position = stafett_protocol::event::Position { seq: upto, head };
            receipt.time = chain.records[upto as usize - 1].time;
        }
        receipt.home_epoch = home_epoch;
        Signed::sign(&receipt, &self.key)
    }

    pub(crate) fn send_from(
        &mut self,
        device: DeviceId,
        scope: ScopeId,
        seq: u64,
    ) -> Option<stafett_protocol::event::Position> {
        let chain = self.scopes.get(&scope)?;
        if chain.replica.state().may_read(device, self.now) {
            let records: Vec<Record> = chain.records.iter().filter(|r| r.seq > seq).cloned().collect();
            let position = chain.replica.state().position;
            self.live.insert((device, scope));
            if !records.is_empty() {
                let receipt = self.receipt(scope, position.seq);
                self.push(device, Reply::Records(Records { scope, records, receipt }));
            }
            if let Some(tombstone) = self.tombstones.get(&scope).filter(|_| !self.serves(scope)).cloned() {
                self.push(device, Reply::Moved(tombstone));
            }
            return Some(position);
        }
        let at = *chain.removed.get(&device)?;
        let record = chain.records[at as usize - 1].clone();
        let receipt = self.receipt(scope, at);
        self.push(device, Reply::Records(Records { scope, records: vec![record], receipt }));
        None
    }

    /// All or nothing, idempotent by (scope, device, counter).
    pub fn submit(&mut self, device: DeviceId, bundle: Bundle) -> Result<Vec<Accepted>, String> {
        let asked = bundle.clone();
        let answer = self.submit_with(device, bundle, &[]);
        self.answered.push(Answered { device, bundle: asked, at: self.now, answer: answer.clone() });
        answer
    }

    /// With the words of new homes, where scopes move.
    pub(crate) fn submit_with(
        &mut self,
        device: DeviceId,
        bundle: Bundle,
        accepts: &[Signed<HomeAccept>],
    ) -> Result<Vec<Accepted>, String> {
        let mut accepted = vec![];
        // As the server does: under a used counter only what stands there already, all of it, is answered once more.
        if bundle.envelopes.iter().any(|e| self.uses_again(device, e)) {
            for envelope in &bundle.envelopes {
                let (scope, seq) = self.stands(envelope).ok_or(Refusal::CounterUsed.code())?;
                accepted.push(self.accepted(scope, seq));
            }
            return Ok(accepted);
        }
        self.now += 1;
        let clock = self.now;
        self.now = self.now.max(self.newest_time(&bundle) + 1).max(self.stamped);
        self.stamped = self.now;
        let answer = self.submit_all(device, bundle, accepts);
        self.now = clock;
        answer
    }

    /// The newest time of all that is judged beside a bundle: what it carries on, the card where the card is asked, and all
    /// that hangs on a card which it changes.
    fn newest_time(&self, bundle: &Bundle) -> u64 {
        let events = bundle.envelopes.iter().filter_map(|e| e.event.peek().ok());
        let beside = |event: Event| {
            let card = match &event.body {
                Body::Genesis(genesis) => genesis.card,
                Body::Change(_) => None,
                _ => self.scopes.get(&event.scope).and_then(|c| c.replica.state().card),
            };
            let hangs = move |s: &&ScopeState| {
                s.card == Some(event.scope) || [Some(event.scope), card].contains(&Some(s.scope()))
            };
            self.scopes.values().map(|c| c.replica.state()).filter(hangs).map(|s| s.time).max()
        };
        events.filter_map(beside).max().unwrap_or_default()
    }

    fn submit_all(
        &mut self,
        device: DeviceId,
        bundle: Bundle,
        accepts: &[Signed<HomeAccept>],
    ) -> Result<Vec<Accepted>, String> {
        let mut accepted = vec![];
        let scopes = bundle.envelopes.iter().filter_map(|e| e.event.peek().ok()).map(|e| e.scope);
        let before: Vec<(ScopeId, Option<ScopeChain>)> = scopes.map(|s| (s, self.scopes.get(&s).cloned())).collect();
        let transfers = self.transfers.clone();
        let mut seqs = vec![];
        for envelope in &bundle.envelopes {
            match self.check_move(envelope, accepts).and_then(|()| self.take(envelope)) {
                Ok(done) => seqs.push(done),
                Err(code) => {
                    self.transfers = transfers;
                    put_back(&mut self.scopes, before);
                    return Err(code);
                }
            }
        }
        if let Err(refusal) = self.check_complete(&bundle) {
            self.transfers = transfers;
            put_back(&mut self.scopes, before);
            return Err(refusal.code().to_owned());
        }
        for (envelope, (scope, seq)) in bundle.envelopes.iter().zip(&seqs) {
            self.deliver(device, envelope, *scope, *seq);
            accepted.push(self.accepted(*scope, *seq));
        }
        for letter in bundle.letters {
            self.post(letter.to, Mail::Letter(letter));
        }
        Ok(accepted)
    }

    /// The baton passes in the whole log or not at all.
    fn check_complete(&self, bundle: &Bundle) -> Result<(), Refusal> {
        let events = bundle.envelopes.iter().filter_map(|e| e.event.peek().ok());
        let handed: Vec<(ScopeId, PersonId)> = events
            .filter_map(|event| match event.body {
                Body::Commit(commit) => commit.handover.map(|handover| (event.scope, handover.offer.by)),
                _ => None,
            })
            .collect();
        let Some((first, by)) = handed.first() else { return Ok(()) };
        let log = self.scopes.get(first).ok_or(Refusal::UnknownScope)?.replica.state().log();
        let handed: Vec<ScopeId> = handed.iter().map(|(scope, _)| *scope).collect();
        let here = |s: &&ScopeState| s.log() == log && (handed.contains(&s.scope()) || self.serves(s.scope()));
        let devices = self.devices.iter().filter(|(_, person)| *person == by).map(|(device, _)| *device);
        let devices: Vec<_> = devices.collect();
        is_complete(&devices, &handed, self.scopes.values().map(|c| c.replica.state()).filter(here), self.now)
    }

    pub(crate) fn accepted(&self, scope: ScopeId, seq: u64) -> Accepted {
        let record = &self.scopes[&scope].records[seq as usize - 1];
        let counter = record.event.peek().unwrap().counter;
        Accepted { scope, counter, seq, time: record.time, receipt: self.receipt(scope, seq) }
    }

    fn uses_again(&self, device: DeviceId, envelope: &Envelope) -> bool {
        let Ok(event) = envelope.event.peek() else { return false };
        self.scopes.get(&event.scope).is_some_and(|c| event.counter <= c.replica.state().counter(device))
    }

    fn stands(&self, envelope: &Envelope) -> Option<(ScopeId, u64)> {
        let event = envelope.event.peek().ok()?;
        let chain = self.scopes.get(&event.scope)?;
        let record = chain.records.iter().find(|r| r.event == envelope.event)?;
        Some((event.scope, record.seq))
    }

    pub(crate) fn take(&mut self, envelope: &Envelope) -> Result<(ScopeId, u64), String> {
        let event = envelope.event.peek().map_err(|_| "malformed")?;
        if let Some(chain) = self.scopes.get(&event.scope) {
            if !self.serves(event.scope) {
                return Err("moved".into());
            }
            let held = self.transfers.is_held(chain.replica.state().log(), self.now);
            if held && matches!(event.body, Body::Change(_)) {
                return Err("held".into());
            }
        }
        if self.transfers.is_bound(event.scope) {
            return Err("not-activated".into());
        }
        self.check_attachments(&event)?;
        let trusted = self.trusted();
        let now = self.now;
        let refused = |r: Refusal| r.code().to_owned();
        let Some(mut chain) = self.scopes.remove(&event.scope) else {
            let card = match &event.body {
                Body::Genesis(g) => g.card.and_then(|c| self.scopes.get(&c)).map(|c| c.replica.state()),
                _ => None,
            };
            let context = Context { now, home: self.number, trusted: &trusted, card };
            let record = Record { seq: 1, time: now, event: envelope.event.clone() };
            let (replica, judged) = replica::found(record, &context).map_err(refused)?;
            let log = replica.state().log();
            let in_log = |c: &&ScopeChain| c.replica.state().log() == log;
            if card.is_some() && self.scopes.values().filter(in_log).count() >= self.log_scopes {
                return Err(refused(Refusal::TooMany));
            }
            let records = vec![judged.record().clone()];
            self.scopes.insert(event.scope, ScopeChain::new(replica, records));
            return Ok((event.scope, 1));
        };
        let card = chain.replica.state().card.and_then(|c| self.scopes.get(&c)).map(|c| c.replica.state());
        let context = Context { now, home: self.number, trusted: &trusted, card };
        let seq = chain.replica.state().position.seq + 1;
        // Strangers do not learn that there is such a scope.
        let knows = |c: &ScopeChain| c.devices().contains(&event.device) || c.removed.contains_key(&event.device);
        let card_chain = chain.replica.state().card.and_then(|c| self.scopes.get(&c));
        let known_here = knows(&chain) || card_chain.is_some_and(knows);
        let taken = chain.take(Record { seq, time: now, event: envelope.event.clone() }, &context);
        self.scopes.insert(event.scope, chain);
        let added = taken.map_err(|refusal| match refusal {
            _ if !known_here => Refusal::UnknownScope.code().to_owned(),
            other => refused(other),
        })?;
        self.added.insert(event.scope, added);
        Ok((event.scope, seq))
    }

    pub(crate) fn deliver(&mut self, author: DeviceId, envelope: &Envelope, scope: ScopeId, seq: u64) {
        let chain = &self.scopes[&scope];
        let record = chain.records[seq as usize - 1].clone();
        let readers: Vec<DeviceId> =
            self.live.iter().filter(|(d, s)| *s == scope && *d != author).map(|(d, _)| *d).collect();
        let receipt = self.receipt(scope, seq);
        for device in readers {
            let reads = self.scopes[&scope].replica.state().may_read(device, self.now);
            let removed = self.scopes[&scope].removed.get(&device) == Some(&seq);
            if reads || removed {
                let records = vec![record.clone()];
                self.push(device, Reply::Records(Records { scope, records, receipt: receipt.clone() }));
            }
        }
        let Some(welcome) = &envelope.welcome else { return };
        for device in self.added.remove(&scope).unwrap_or_default() {
            self.post(device, Mail::Welcome(WelcomeMail { scope, seq, welcome: welcome.clone() }));
        }
    }
}

/// What a refused bundle has touched, as it was.
fn put_back(scopes: &mut BTreeMap<ScopeId, ScopeChain>, before: Vec<(ScopeId, Option<ScopeChain>)>) {
    for (scope, chain) in before {
        match chain {
            Some(chain) => scopes.insert(scope, chain),
            None => scopes.remove(&scope),
        };
    }
}
