//! Scopes that move between homes in memory: the protocol's own state machines over plain maps.

use crate::model::attachments::Attachments;
use crate::model::home::{ModelHome, ScopeChain};
use crate::model::net::Homes;
use stafett_protocol::event::{Position, Receipt, Record};
use stafett_protocol::handover::{Part, SignedOffer};
use stafett_protocol::ids::{DeviceId, Hash, LogId, Municipality, ScopeId};
use stafett_protocol::policy;
use stafett_protocol::policy::Context;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::{Signed, id_of};
use stafett_protocol::transfer::*;
use stafett_protocol::wire::*;
use std::collections::BTreeMap;

/// What a home knows of moves to and from it.
#[derive(Clone, Default)]
pub struct Transfers {
    /// By the home epoch that a move ends, and by the one that it begins: a log may come back.
    sources: BTreeMap<(ScopeId, u32), Source>,
    targets: BTreeMap<(ScopeId, u32), Target>,
    bound: BTreeMap<ScopeId, Bound>,
    /// Logs that take no changes for a while.
    held: BTreeMap<LogId, u64>,
    /// What former homes have signed last, by home epoch.
    pub receipts: BTreeMap<(ScopeId, u32), Signed<Receipt>>,
}

/// A scope that will be served here once the old home has let go.
#[derive(Clone)]
struct Bound {
    chain: ScopeChain,
    envelope: Envelope,
}

/// Longest pause in which a log takes no changes.
const HOLD_MS: u64 = 60_000;

impl Transfers {
    pub fn is_bound(&self, scope: ScopeId) -> bool {
        self.bound.contains_key(&scope)
    }

    /// The card behind a scope that is bound here, unless it is one.
    fn card_of(&self, scope: ScopeId) -> Option<ScopeId> {
        self.bound.get(&scope)?.chain.replica.state().card.filter(|card| *card != scope)
    }

    /// Whether the same has come of every move in both.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let bound = |t: &Self| t.bound.keys().copied().collect::<Vec<_>>();
        (&self.sources, &self.targets, bound(self)) == (&other.sources, &other.targets, bound(other))
            && self.receipts == other.receipts
    }

    pub fn is_held(&self, log: LogId, now: u64) -> bool {
        self.held.get(&log).is_some_and(|until| now < *until)
    }

    fn promised(&self) -> impl Iterator<Item = HomeAccept> + '_ {
        self.targets.values().filter_map(|t| match &t.standing {
            TargetStanding::Bound(accept) => Some(accept.clone()),
            _ => None,
        })
    }

    /// Whether this home has promised to serve the scope on exactly this acceptance.
    pub fn awaits(&self, accept: &HomeAccept) -> bool {
        let target = self.targets.get(&(accept.scope, accept.home_epoch));
        self.is_bound(accept.scope) && target.is_some_and(|t| t.standing == TargetStanding::Bound(accept.clone()))
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
        if let Some(ailing) = self.at(at).ails(request) {
            return Some(ailing);
        }
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
            Request::HoldTransfer(log) => {
                let home = self.at(at);
                let until = home.now + HOLD_MS;
                home.transfers.held.insert(*log, until);
                Reply::Done
            }
            _ => return None,
        })
    }

    /// What the old home lets the other one read: offered scopes, while the offer may be committed.
    fn pull(
        &mut self,
        from: Municipality,
        to: Municipality,
        signed: &SignedOffer,
    ) -> Result<(ScopeChain, Attachments), String> {
        let offer = signed.offer.peek().map_err(|_| "malformed")?;
        let from = self.all().find(|h| h.number == from && h.serves(offer.scope)).ok_or("unknown-scope")?;
        if self.away.contains(&from.number) || self.away.contains(&to) {
            return Err("peer-unreachable".into());
        }
        let chain = &from.scopes[&offer.scope];
        let state = chain.replica.state();
        let card = state.card.map(|c| from.scopes[&c].replica.state());
        let trusted = from.trusted();
        let context = Context { now: from.now, home: from.number, trusted: &trusted, card };
        policy::may_offer(state, &context, signed).map_err(|_| "unknown-scope")?;
        let source = from.transfers.sources.get(&(offer.scope, state.membership.home_epoch));
        let taken_back = source.is_some_and(|s| s.aborted.contains(&signed.offer.id()));
        if taken_back || offer.part != Part::Moves || offer.to.municipality != to {
            return Err("unknown-scope".into());
        }
        Ok((chain.clone(), from.attachments.clone()))
    }

    /// New homes ask the old ones what became of what they have promised.
    pub fn ask_each_other(&mut self) {
        let bound = self.all().flat_map(|h| h.transfers.promised().map(|accept| (h.number, accept)));
        for (to, accept) in bound.collect::<Vec<_>>() {
            let signs = |m: &Municipality| self.all().any(|h| h.number == *m && h.signs());
            if ![to, accept.from].iter().all(signs)
                || self.no_activation
                || [to, accept.from].iter().any(|m| self.away.contains(m))
            {
                continue;
            }
            let from = self.at(accept.from);
            let tombstone = from.tombstones.get(&accept.scope).cloned();
            let tombstone = tombstone.filter(|t| t.peek().is_ok_and(|t| t.accept.peek().is_ok_and(|a| a == accept)));
            let freed = from.fate(&accept, id_of(&accept)).expect("an answer");
            // A concern waits for its card: asked again.
            let _ = self.at(to).activate(&tombstone.into_iter().collect::<Vec<_>>());
            let _ = self.at(to).release(&freed.into_iter().collect::<Vec<_>>());
        }
    }

    fn prepare(&mut self, to: Municipality, preparation: &Preparation) -> Result<Prepared, String> {
        let mut chains: BTreeMap<ScopeId, ScopeChain> = BTreeMap::new();
        for offer in &preparation.offers {
            let (chain, files) = self.pull(preparation.from, to, offer)?;
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
            let now = home.now.max(chain.replica.state().time);
            let context = Context { now, home: from, trusted: &trusted, card };
            let record = next_record(&chain.replica, envelope, now);
            let judged = chain.replica.judge(record, &context).map_err(code)?;
            let accept = accept_of(&chain.replica, &judged, envelope).map_err(code)?;
            let target = home.transfers.targets.entry((scope, accept.home_epoch)).or_default();
            match target.step(TargetInput::Prepare { accept: &accept }) {
                Ok((next, _)) => *target = next,
                Err(Refusal::Bound) => {
                    let TargetStanding::Bound(bound) = &target.standing else { unreachable!("it said so") };
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
        let source =
            self.transfers.sources.entry((event.scope, chain.replica.state().membership.home_epoch)).or_default();
        *source = source.step(SourceInput::Commit { accept: &accept, own: &own }).map_err(code)?.0;
        Ok(())
    }

    fn commit_transfer(&mut self, device: DeviceId, transfer: &Transfer) -> Result<Transferred, String> {
        let accepted = self.submit_with(device, transfer.bundle.clone(), &transfer.accepts)?;
        let mut tombstones = vec![];
        for signed in &transfer.accepts {
            let accept = signed.peek().map_err(|_| "malformed")?;
            let HomeAccept { scope, log, from, to, home_epoch, extends, .. } = accept;
            let source = self.transfers.sources.get(&(scope, home_epoch.wrapping_sub(1)));
            let gone = source.and_then(|s| s.moved).filter(|gone| gone.accept == signed.id());
            gone.ok_or("accept-mismatch")?;
            let shown = self.tombstones.get(&scope).filter(|t| t.peek().is_ok_and(|t| t.accept == *signed)).cloned();
            let tombstone = shown.unwrap_or_else(|| {
                let receipt = self.receipt(scope, extends.seq + 1);
                Signed::sign(&Tombstone { scope, log, from, to, receipt, accept: signed.clone() }, &self.key)
            });
            self.tombstones.insert(scope, tombstone.clone());
            tombstones.push(tombstone);
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
        // The card first: the others are judged by it as it is after its own move.
        let mut sorted: Vec<&Signed<Tombstone>> = tombstones.iter().collect();
        let of_card = |t: &&Signed<Tombstone>| t.peek().is_ok_and(|t| self.transfers.card_of(t.scope).is_none());
        sorted.sort_by_key(|t| !of_card(t));
        for signed in sorted {
            let trusted = self.trusted();
            let claim = signed.peek().map_err(|_| "malformed")?;
            let key = trusted.key(claim.from).ok_or("unknown-municipality")?;
            let tombstone = signed.verify(key).map_err(|_| "bad-signature")?;
            let receipt = tombstone.receipt.verify(key).map_err(|_| "bad-signature")?;
            let target = self.transfers.targets.entry((tombstone.scope, receipt.home_epoch + 1)).or_default().clone();
            let input = TargetInput::Tombstone { accept: tombstone.accept.id(), position: receipt.position };
            let next = target.step(input).map_err(code)?.0;
            if self.transfers.card_of(tombstone.scope).is_some_and(|card| !self.serves(card)) {
                return Err("not-activated".into());
            }
            self.transfers.targets.insert((tombstone.scope, receipt.home_epoch + 1), next);
            let Some(Bound { mut chain, envelope }) = self.transfers.bound.remove(&tombstone.scope) else { continue };
            let card = chain.replica.state().card.and_then(|c| self.scopes.get(&c)).map(|c| c.replica.state());
            let context = Context { now: receipt.time, home: claim.from, trusted: &trusted, card };
            let record = next_record(&chain.replica, &envelope, receipt.time);
            let added = chain.take(record, &context).map_err(code)?;
            assert_eq!(chain.replica.state().position, receipt.position, "the same commit at the same place");
            self.transfers.receipts.insert((tombstone.scope, receipt.home_epoch), tombstone.receipt.clone());
            self.scopes.insert(tombstone.scope, chain);
            self.added.insert(tombstone.scope, added);
            self.deliver(DeviceId::default(), &envelope, tombstone.scope, receipt.position.seq);
        }
        Ok(())
    }

    /// The state of the move that could end the home's present time with a scope, or that ended it.
    fn source_now(&mut self, scope: ScopeId) -> &mut Source {
        let serves = self.serves(scope);
        let epoch = self.scopes[&scope].replica.state().membership.home_epoch;
        self.transfers.sources.entry((scope, if serves { epoch } else { epoch.wrapping_sub(1) })).or_default()
    }

    fn abort_transfer(&mut self, cancellation: &Cancellation) -> Result<Vec<Signed<TransferAbort>>, String> {
        let trusted = self.trusted();
        for signed in &cancellation.aborts {
            let scope = signed.abort.peek().map_err(|_| "malformed")?.scope;
            let chain = self.scopes.get(&scope).ok_or("unknown-scope")?;
            let card = chain.replica.state().card.and_then(|c| self.scopes.get(&c)).map(|c| c.replica.state());
            let context = Context { now: self.now, home: self.number, trusted: &trusted, card };
            let offer = policy::may_abort(chain.replica.state(), &context, signed).map_err(code)?;
            let source = self.source_now(scope);
            *source = source.step(SourceInput::Abort { offer }).map_err(code)?.0;
        }
        let mut freed = vec![];
        for signed in &cancellation.accepts {
            let accept = signed.peek().map_err(|_| "malformed")?;
            if self.scopes.get(&accept.scope).is_some_and(|chain| accept.extends == chain.replica.state().position) {
                let at = (accept.scope, accept.home_epoch.wrapping_sub(1));
                let source = self.transfers.sources.entry(at).or_default();
                *source = source.step(SourceInput::Drop { accept: &accept }).map_err(code)?.0;
            }
            freed.extend(self.fate(&accept, signed.id())?);
        }
        Ok(freed)
    }

    /// This home's word that an acceptance is never committed, if it never is.
    fn fate(&mut self, accept: &HomeAccept, id: Hash) -> Result<Option<Signed<TransferAbort>>, String> {
        let Some(chain) = self.scopes.get(&accept.scope) else { return Ok(None) };
        let head = chain.replica.state().position;
        let source = self.transfers.sources.entry((accept.scope, accept.home_epoch.wrapping_sub(1))).or_default();
        let output = source.step(SourceInput::Ask { accept, head }).map_err(code)?.1;
        let never = output == SourceOutput::Never;
        Ok(never.then(|| Signed::sign(&TransferAbort { scope: accept.scope, accept: id }, &self.key)))
    }

    fn release(&mut self, aborts: &[Signed<TransferAbort>]) -> Result<(), String> {
        for signed in aborts {
            let scope = signed.peek().map_err(|_| "malformed")?.scope;
            let Some(bound) = self.transfers.bound.get(&scope) else { continue };
            let from = bound.chain.replica.state().membership.home;
            let abort = signed.verify(self.trusted().key(from).ok_or("unknown-municipality")?);
            let abort = abort.map_err(|_| "bad-signature")?;
            let epoch = bound.chain.replica.state().membership.home_epoch + 1;
            let target = self.transfers.targets.entry((scope, epoch)).or_default();
            *target = target.step(TargetInput::Release { accept: abort.accept }).map_err(code)?.0;
            if target.standing == TargetStanding::Nothing {
                self.transfers.bound.remove(&scope);
            }
        }
        Ok(())
    }
}
