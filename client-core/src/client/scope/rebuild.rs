//! A scope read again from its first record, page by page beside everything else: what a checkpoint claimed is
//! held against the signed events, and a document that must not contain what it contains is made anew. Until
//! that has ended nothing is committed, sealed, consented to or exported from the scope.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::checkpoint::state_hash;
use crate::client::scope::follow::{check_order, unopened_of};
use crate::client::scope::open::{ContentWork, open_ready, standing_still};
use crate::client::scope::{Scope, Standing, group, save_record};
use crate::client::stream::Sent;
use crate::rows::Space;
use stafett_protocol::codec::encode;
use stafett_protocol::event::{Body, Event, Record};
use stafett_protocol::ids::{Hash, ScopeId};
use stafett_protocol::policy::Context;
use stafett_protocol::replica::{self, first_home};
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::{Records, Request, ScopePosition};

impl Client {
    /// Asks for the next page of every scope that is being read again.
    pub(crate) fn plan_rebuilds(&mut self) -> Result<(), Problem> {
        let waiting: Vec<ScopeId> = self
            .scopes
            .iter()
            .filter(|(id, s)| {
                s.unaudited.is_some()
                    && s.standing == Standing::Member
                    && !self.parted.contains_key(id)
                    && !self.following.blocked.contains(id)
                    && !self.following.still.contains(&(**id, ContentWork::Reread))
                    && !self.stream.waits_for(&Sent::History(**id))
            })
            .map(|(id, _)| *id)
            .collect();
        for scope in waiting {
            let seq = self.rebuilt.get(&scope).map_or(0, |s| s.replica.state().position.seq);
            let after = ScopePosition { scope, seq };
            self.stream.send(self.home_of(scope), Request::History(after), Sent::History(scope));
        }
        Ok(())
    }

    /// A page of the past. The last one ends the rebuilding.
    pub(crate) fn take_history(&mut self, scope: ScopeId, page: Records) -> Result<(), Problem> {
        if self.parted.contains_key(&scope) {
            return self.take_other_history(scope, page);
        }
        let Some(goal) = self.scopes.get(&scope).filter(|s| s.unaudited.is_some()).map(|s| s.replica.state().position)
        else {
            return Ok(());
        };
        let result = self.read_again(scope, page, goal.seq);
        let read = self.rebuilt.get(&scope).map(|s| s.replica.state().position).unwrap_or_default();
        let result = match result {
            Ok(()) if read == goal => self.rebuilding_ends(scope),
            Ok(()) if read.seq >= goal.seq => {
                Err(Problem::rule(Cause::ChainBroken, "the home has shown two histories"))
            }
            result => result,
        };
        if result.is_err() {
            // The scope stays marked, and is read again on the next connection.
            self.rebuilt.remove(&scope);
            self.following.still.insert((scope, ContentWork::Reread));
        }
        result
    }

    fn read_again(&mut self, scope: ScopeId, page: Records, until: u64) -> Result<(), Problem> {
        let before = self.rebuilt.get(&scope).map(|s| s.replica.state().position).unwrap_or_default();
        let (_, receipt) = self.signer_of(scope, &page.receipt)?;
        if page.scope != scope || page.records.first().map(|r| r.seq) != Some(before.seq + 1) {
            return Err(Problem::rule(Cause::ChainBroken, "the home has left out records"));
        }
        check_order(&before.head, &page.records, &receipt, scope)?;
        for record in page.records.into_iter().filter(|r| r.seq <= until) {
            let seq = record.seq;
            self.replay(scope, record)?;
            let claimed = self.scopes.get(&scope).and_then(|s| s.unaudited.clone());
            let head = claimed.as_ref().and_then(|c| c.head.clone());
            if head.as_ref().is_some_and(|h| h.peek().is_ok_and(|h| h.position.seq == seq)) {
                self.open_rebuilt(scope);
                self.compare(scope);
            }
        }
        self.open_rebuilt(scope);
        Ok(())
    }

    /// One record of the past into the copy that is being made.
    fn replay(&mut self, scope: ScopeId, record: Record) -> Result<(), Problem> {
        let mut copy = self.rebuilt.remove(&scope);
        let followed = self.follow_past(&mut copy, record);
        self.rebuilt.extend(copy.map(|s| (scope, s)));
        save_record(&mut self.table, scope, &followed?.0);
        Ok(())
    }

    /// One record of the past, judged and followed as by a newcomer; the first makes the copy.
    pub(crate) fn follow_past(&self, copy: &mut Option<Scope>, record: Record) -> Result<(Record, Event), Problem> {
        let trusted = self.me()?.trusted();
        let state = copy.as_ref().map(|s| s.replica.state());
        let outside = |state: &stafett_protocol::state::ScopeState| {
            let event = record.event.peek().ok()?;
            let withdrawal = matches!(event.body, Body::Statement(Statement::Withdrawal(_)));
            state.card.filter(|_| withdrawal && state.membership.device_key(event.device).is_none())
        };
        let card = state.and_then(outside).and_then(|card| self.scopes.get(&card));
        let home = match state {
            Some(state) => state.membership.home,
            None => first_home(&record)?,
        };
        let context =
            Context { now: record.time, home, trusted: &trusted, card: card.map(|card| card.replica.state()) };
        let Some(s) = copy else {
            let (replica, judged) = replica::found(record, &context)?;
            let mut s = Scope::new(replica, Standing::Member)?;
            if let Body::Genesis(genesis) = &judged.event().body {
                s.keys.learn_check(0, genesis.check.0).map_err(group::mls_problem)?;
            }
            s.note_head();
            *copy = Some(s);
            return Ok((judged.record().clone(), judged.event().clone()));
        };
        let judged = s.replica.judge(record, &context)?;
        let event = judged.event().clone();
        match &event.body {
            Body::Commit(commit) => group::note(&mut s.keys, event.epoch + 1, commit, event.device)?,
            Body::Change(change) => s.unopened.extend(unopened_of(&s.replica, &judged, change)),
            // A link that does not open leaves the gap.
            Body::Statement(Statement::LinkRepair(repair)) => {
                let _ = s.keys.learn_link(repair.from, repair.to, event.device, repair.link.as_slice());
            }
            Body::Statement(_) => {}
            Body::Genesis(genesis) => {
                s.keys = s.keys.clone().next(genesis.carries.as_ref(), event.device);
                s.keys.learn_check(0, genesis.check.0).map_err(group::mls_problem)?;
            }
        }
        let record = s.replica.apply(judged)?;
        s.note_head();
        Ok((record, event))
    }

    /// Opens what the keys of the scope open, as far as the chain has published checks for them. Contents that stop the document
    /// stay unopened; the chain is read on.
    fn open_rebuilt(&mut self, scope: ScopeId) {
        let (Some(s), Some(present)) = (self.rebuilt.get_mut(&scope), self.scopes.get(&scope)) else { return };
        s.keys.take_from(&present.keys);
        s.stopped = s.stopped || open_ready(s).is_none();
    }

    /// Holds what was claimed at this very place against the events. A claim that does not hold is kept as
    /// proof against its author; the events are the truth.
    fn compare(&mut self, scope: ScopeId) {
        let Some(claim) = self.scopes.get(&scope).and_then(|s| s.unaudited.clone()) else { return };
        let (Some(s), Some(signed)) = (self.rebuilt.get(&scope), claim.head) else { return };
        // A checkpoint that never opened claims nothing of the document.
        let complete = s.unopened.is_empty() && !s.stopped && claim.document != Hash::default();
        let holds =
            state_hash(s.replica.state()) == claim.state && (!complete || Hash(s.document.digest()) == claim.document);
        if holds {
            return;
        }
        self.table.write(Space::State, &[b"false-checkpoint/".as_slice(), &scope.0].concat(), encode(&signed));
        let author = signed.peek().ok().and_then(|h| s.replica.state().membership.member_of_device(h.device()));
        let author = author.map(|m| self.name_of(m.person)).unwrap_or_default();
        self.report(&Problem::rule(
            Cause::FalseCheckpoint,
            format!(
                "a checkpoint signed by {author} does not say what the events say; the proof is kept, the events count"
            ),
        ));
    }

    /// What was read again takes the place of what was claimed; own edits that are not in it wait again.
    fn rebuilding_ends(&mut self, scope: ScopeId) -> Result<(), Problem> {
        let editor = self.editor(scope)?;
        let (Some(mut fresh), Some(s)) = (self.rebuilt.remove(&scope), self.scopes.get_mut(&scope)) else {
            return Ok(());
        };
        fresh.keys.take_from(&s.keys);
        s.replica = fresh.replica;
        s.keys = fresh.keys;
        s.facts_changed = true;
        // All facts have now been read from the events.
        s.read_again();
        let drafts = if fresh.stopped { None } else { s.document.rebase(fresh.document, &editor).ok() };
        if let Some(drafts) = drafts {
            s.unopened = fresh.unopened;
            s.opened = fresh.opened;
            s.unaudited = None;
            s.stopped = false;
            self.told.counts.given_up += self.keep_drafts(scope, &drafts, "founded-anew");
            self.open_contents(scope);
        } else {
            // What is shown stays as it was, and is not made anew on this connection.
            s.stop(&self.table);
            self.following.still.insert((scope, ContentWork::Reread));
            self.report(&standing_still());
        }
        self.save_scope(scope)
    }
}
