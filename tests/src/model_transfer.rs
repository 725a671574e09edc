//! Scopes that move between homes in memory: the protocol's own state machines over plain maps.

use crate::model_attachments::Attachments;
use crate::model_home::{ModelHome, ScopeChain};
use crate::model_net::Homes;
use stafett_protocol::event::{Position, Receipt, Record};
use stafett_protocol::handover::{Part, SignedOffer};
use stafett_protocol::ids::{DeviceId, Municipality, ScopeId};
use stafett_protocol::policy::{self, Context, Refusal};
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::*;
use stafett_protocol::wire::*;
use std::collections::BTreeMap;

/// What a home knows of moves to and from it.
#[derive(Clone, Default)]
pub struct Transfers {
    sources: BTreeMap<ScopeId, Source>,
    targets: BTreeMap<ScopeId, Target>,
    bound: BTreeMap<ScopeId, Bound>,
    /// What former homes have signed last, by home epoch.
    pub receipts: BTreeMap<(ScopeId, u32), Signed<Receipt>>,
}

/// A scope that will be served here once the old home has let go.
#[derive(Clone)]
struct Bound {
    chain: ScopeChain,
    envelope: Envelope,
}

impl Transfers {
    pub fn is_bound(&self, scope: ScopeId) -> bool {
        self.bound.contains_key(&scope)
    }
}

fn code(refusal: Refusal) -> String {
    refusal.code().to_owned()
}

fn problem(code: String) -> Reply {
    Reply::Problem(Problem { code, detail: String::new(), scope: None })
}

/// The event of an envelope as the next record of a chain.
fn next_record(replica: &Replica, envelope: &Envelope, time: u64) -> Record {
    Record { seq: replica.state().position.seq + 1, time, event: envelope.event.clone() }
}

impl Homes {
    /// Requests that concern several homes, or none of the ordinary.
    pub fn transfer(&mut self, at: Municipality, device: DeviceId, request: &Request) -> Option<Reply> {
        let done = |result: Result<(), String>| result.map_or_else(problem, |()| Reply::Done);
        Some(match request {
            Request::PrepareTransfer(preparation) => {
                self.prepare(at, preparation).map_or_else(problem, Reply::TransferPrepared)
            }
            Request::CommitTransfer(transfer) => {
                self.at(at).commit_transfer(device, transfer).map_or_else(problem, Reply::TransferCommitted)
            }
            Request::Activate(_) if self.no_activation => problem("peer-unreachable".into()),
            Request::Activate(tombstones) => done(self.at(at).activate(tombstones)),
            Request::AbortTransfer(cancellation) => {
                self.at(at).abort_transfer(cancellation).map_or_else(problem, Reply::TransferAborted)
            }
            Request::Release(aborts) => done(self.at(at).release(aborts)),
            Request::HoldTransfer(_) => Reply::Done,
            _ => return None,
        })
    }

    /// What the old home lets the other one read: offered scopes, while the offer may be committed.
    fn pull(&mut self, to: Municipality, signed: &SignedOffer) -> Result<(ScopeChain, Attachments), String> {
        let offer = signed.offer.peek().map_err(|_| "malformed")?;
        let holds = |h: &&ModelHome| h.scopes.contains_key(&offer.scope) && !h.tombstones.contains_key(&offer.scope);
        let from = self.all().find(holds).ok_or("unknown-scope")?;
        if self.away.contains(&from.number) || self.away.contains(&to) {
            return Err("peer-unreachable".into());
        }
        let chain = &from.scopes[&offer.scope];
        let state = chain.replica.state();
        let card = state.card.map(|c| from.scopes[&c].replica.state());
        let trusted = from.trusted();
        let context = Context { now: from.now, home: from.number, trusted: &trusted, card };
        policy::may_offer(state, &context, signed).map_err(|_| "unknown-scope")?;
        if offer.part != Part::Moves || offer.to.municipality != to {
            return Err("unknown-scope".into());
        }
        Ok((chain.clone(), from.attachments.clone()))
    }

    fn prepare(&mut self, to: Municipality, preparation: &Preparation) -> Result<Prepared, String> {
        let mut chains: BTreeMap<ScopeId, ScopeChain> = BTreeMap::new();
        for offer in &preparation.offers {
            let (chain, files) = self.pull(to, offer)?;
            let state = chain.replica.state();
            self.at(to).copy_attachments(&files, state.scope(), &state.attachments)?;
            chains.insert(state.scope(), chain);
        }
        if self.fetches == 0 {
            return Err("unavailable".into());
        }
        self.fetches = self.fetches.saturating_sub(usize::from(self.fetches != usize::MAX));
        let mut fetched = vec![];
        let mut whole = true;
        for (scope, chain) in &chains {
            let here = self.fetched.entry((to, *scope)).or_default();
            *here = here.saturating_add(self.fetch_at_once).min(chain.records.len());
            whole &= *here == chain.records.len();
            fetched.push(ScopePosition { scope: *scope, seq: *here as u64 });
        }
        if !whole {
            return Ok(Prepared { accepts: vec![], fetched });
        }
        let home = self.at(to);
        let mut accepts = vec![];
        let mut after: BTreeMap<ScopeId, Replica> = BTreeMap::new();
        for envelope in &preparation.bundle.envelopes {
            let scope = envelope.event.peek().map_err(|_| "malformed")?.scope;
            let chain = chains.remove(&scope).ok_or("unknown-scope")?;
            let card = chain.replica.state().card.and_then(|c| after.get(&c)).map(Replica::state);
            let trusted = home.trusted();
            let from = chain.replica.state().membership.home;
            let context = Context { now: home.now, home: from, trusted: &trusted, card };
            let record = next_record(&chain.replica, envelope, home.now);
            let judged = chain.replica.judge(record, &context).map_err(code)?;
            let accept = accept_of(&chain.replica, &judged, envelope).map_err(code)?;
            let target = home.transfers.targets.entry(scope).or_default();
            match target.step(TargetInput::Prepare { accept: &accept }) {
                Ok((next, _)) => *target = next,
                Err(Refusal::Bound) => {
                    let Standing::Bound(bound) = &target.standing else { unreachable!("it said so") };
                    let accepts = vec![Signed::sign(bound, &home.key)];
                    return Ok(Prepared { accepts, fetched });
                }
                Err(refusal) => return Err(code(refusal)),
            }
            accepts.push(Signed::sign(&accept, &home.key));
            let mut next = chain.clone().replica;
            next.apply(next.judge(judged.record().clone(), &context).map_err(code)?).map_err(code)?;
            after.insert(scope, next);
            home.transfers.bound.insert(scope, Bound { chain, envelope: envelope.clone() });
        }
        Ok(Prepared { accepts, fetched })
    }
}

impl ModelHome {
    /// Whether the scope waits here for its old home's word.
    pub fn is_bound(&self, scope: ScopeId) -> bool {
        self.transfers.is_bound(scope)
    }

    /// Before an event is taken in: a commit that moves its scope needs the new home's word.
    pub(crate) fn check_move(&mut self, envelope: &Envelope, accepts: &[Signed<HomeAccept>]) -> Result<(), String> {
        let event = envelope.event.peek().map_err(|_| "malformed")?;
        let Some(chain) = self.scopes.get(&event.scope) else { return Ok(()) };
        let card = chain.replica.state().card.and_then(|c| self.scopes.get(&c)).map(|c| c.replica.state());
        let trusted = self.trusted();
        let context = Context { now: self.now, home: self.number, trusted: &trusted, card };
        let record = next_record(&chain.replica, envelope, self.now);
        let Ok(judged) = chain.replica.judge(record, &context) else { return Ok(()) };
        let Ok(own) = accept_of(&chain.replica, &judged, envelope) else { return Ok(()) };
        let signed = accepts.iter().find(|a| a.peek().is_ok_and(|a| a.scope == event.scope));
        let signed = signed.ok_or("accept-mismatch")?;
        let key = trusted.key(own.to).ok_or("unknown-municipality")?;
        let accept = signed.verify(key).map_err(|_| "bad-signature")?;
        let source = self.transfers.sources.entry(event.scope).or_default();
        *source = source.step(SourceInput::Commit { accept: &accept, own: &own }).map_err(code)?.0;
        Ok(())
    }

    fn commit_transfer(&mut self, device: DeviceId, transfer: &Transfer) -> Result<Transferred, String> {
        let accepted = self.submit_with(device, transfer.bundle.clone(), &transfer.accepts)?;
        let mut tombstones = vec![];
        for signed in &transfer.accepts {
            let accept = signed.peek().map_err(|_| "malformed")?;
            let HomeAccept { scope, log, from, to, .. } = accept;
            let receipt = self.receipt(scope, accept.extends.seq + 1);
            let tombstone =
                Signed::sign(&Tombstone { scope, log, from, to, receipt, accept: signed.clone() }, &self.key);
            tombstones.push(self.tombstones.entry(scope).or_insert(tombstone).clone());
        }
        Ok(Transferred { accepted, tombstones })
    }

    /// How a home lies that has let go: it signs the next record of a scope that is no longer its own.
    pub fn sign_on(&self, scope: ScopeId, chain: &[Record]) -> Records {
        let last = self.receipt(scope, self.scopes[&scope].records.len() as u64).peek().unwrap();
        let record = chain[last.position.seq as usize].clone();
        let position = Position { seq: record.seq, head: record.head_after(&last.position.head) };
        let receipt = Signed::sign(&Receipt { position, time: record.time, ..last }, &self.key);
        Records { scope, records: vec![record], receipt }
    }

    /// The old home has let go, whoever brings the word.
    pub fn activate(&mut self, tombstones: &[Signed<Tombstone>]) -> Result<(), String> {
        for signed in tombstones {
            let trusted = self.trusted();
            let claim = signed.peek().map_err(|_| "malformed")?;
            let key = trusted.key(claim.from).ok_or("unknown-municipality")?;
            let tombstone = signed.verify(key).map_err(|_| "bad-signature")?;
            let receipt = tombstone.receipt.verify(key).map_err(|_| "bad-signature")?;
            let target = self.transfers.targets.entry(tombstone.scope).or_default();
            let input = TargetInput::Tombstone { accept: tombstone.accept.id(), position: receipt.position };
            *target = target.step(input).map_err(code)?.0;
            let Some(Bound { mut chain, envelope }) = self.transfers.bound.remove(&tombstone.scope) else { continue };
            let card = chain.replica.state().card.and_then(|c| self.scopes.get(&c)).map(|c| c.replica.state());
            let context = Context { now: receipt.time, home: claim.from, trusted: &trusted, card };
            let before: Vec<DeviceId> = chain.replica.state().membership.devices().map(DeviceId::of_key).collect();
            let record = next_record(&chain.replica, &envelope, receipt.time);
            let record = chain.replica.take(record, &context).map_err(code)?;
            assert_eq!(chain.replica.state().position, receipt.position, "the same commit at the same place");
            chain.records.push(record);
            let after: Vec<DeviceId> = chain.replica.state().membership.devices().map(DeviceId::of_key).collect();
            let added = after.into_iter().filter(|d| !before.contains(d)).collect();
            self.transfers.receipts.insert((tombstone.scope, receipt.home_epoch), tombstone.receipt.clone());
            self.now = self.now.max(receipt.time);
            self.scopes.insert(tombstone.scope, chain);
            self.added.insert(tombstone.scope, added);
            self.deliver(DeviceId::default(), &envelope, tombstone.scope, receipt.position.seq);
        }
        Ok(())
    }

    fn abort_transfer(&mut self, cancellation: &Cancellation) -> Result<Vec<Signed<TransferAbort>>, String> {
        let trusted = self.trusted();
        for signed in &cancellation.aborts {
            let scope = signed.abort.peek().map_err(|_| "malformed")?.scope;
            let chain = self.scopes.get(&scope).ok_or("unknown-scope")?;
            let card = chain.replica.state().card.and_then(|c| self.scopes.get(&c)).map(|c| c.replica.state());
            let context = Context { now: self.now, home: self.number, trusted: &trusted, card };
            let offer = policy::may_abort(chain.replica.state(), &context, signed).map_err(code)?;
            let source = self.transfers.sources.entry(scope).or_default();
            *source = source.step(SourceInput::Abort { offer }).map_err(code)?.0;
        }
        let mut freed = vec![];
        for signed in &cancellation.accepts {
            let accept = signed.peek().map_err(|_| "malformed")?;
            let Some(chain) = self.scopes.get(&accept.scope) else { continue };
            let source = self.transfers.sources.entry(accept.scope).or_default();
            if accept.extends == chain.replica.state().position {
                *source = source.step(SourceInput::Drop { accept: &accept }).map_err(code)?.0;
            }
            let input = SourceInput::Ask { accept: &accept, head: chain.replica.state().position };
            if let SourceOutput::Never = source.step(input).map_err(code)?.1 {
                freed.push(Signed::sign(&TransferAbort { scope: accept.scope, accept: signed.id() }, &self.key));
            }
        }
        Ok(freed)
    }

    fn release(&mut self, aborts: &[Signed<TransferAbort>]) -> Result<(), String> {
        for signed in aborts {
            let scope = signed.peek().map_err(|_| "malformed")?.scope;
            let Some(bound) = self.transfers.bound.get(&scope) else { continue };
            let from = bound.chain.replica.state().membership.home;
            let abort = signed.verify(self.trusted().key(from).ok_or("unknown-municipality")?);
            let abort = abort.map_err(|_| "bad-signature")?;
            let target = self.transfers.targets.entry(scope).or_default();
            *target = target.step(TargetInput::Release { accept: abort.accept }).map_err(code)?.0;
            if target.standing == Standing::Nothing {
                self.transfers.bound.remove(&scope);
            }
        }
        Ok(())
    }
}
