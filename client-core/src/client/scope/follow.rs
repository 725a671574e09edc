//! What the chain says: receipt and order are checked first, then the policy judges each record, then MLS
//! and the document follow. A record that the policy refuses halts the scope: the home shows what no honest
//! home can.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::group::Followed;
use crate::client::scope::heads::row_key;
use crate::client::scope::planned::Founding;
use crate::client::scope::resync::info_key;
use crate::client::scope::{Scope, Standing, Unopened, group, save_record};
use crate::rows::{self, Space};
use openmls_traits::OpenMlsProvider as _;
use stafett_protocol::event::{Body, Change, Commit, Receipt, Record, SealContext};
use stafett_protocol::ids::{Hash, Municipality, ScopeId};
use stafett_protocol::policy::Context;
use stafett_protocol::replica::{self, Judged, Replica, first_home};
use stafett_protocol::statement::{LinkRepair, Reject, RejectReason, Statement};
use stafett_protocol::wire::{Records, SyncedScope};

fn halted_key(scope: ScopeId) -> Vec<u8> {
    row_key("halted", scope)
}

/// A change that has been judged and not opened yet, with who wrote it in which role.
pub(crate) fn unopened_of(replica: &Replica, judged: &Judged, change: &Change) -> Option<Unopened> {
    let event = judged.event();
    let author = replica.state().membership.member_of_device(event.device)?;
    Some(Unopened {
        author: author.person,
        role: author.role,
        time: judged.record().time,
        seq: judged.record().seq,
        context: SealContext::of(event, change.count),
        change: change.clone(),
    })
}

impl Client {
    /// Answers which scopes the home no longer shows: either way we ask no more now.
    pub(crate) fn synced(&mut self, from: Municipality, scopes: &[SyncedScope]) -> Vec<ScopeId> {
        // Another server's word, or silence, says nothing.
        let scopes: Vec<&SyncedScope> = scopes.iter().filter(|s| self.home_of(s.scope) == from).collect();
        for (scope, position) in scopes.iter().filter_map(|s| Some((s.scope, s.position?))) {
            self.served(from, scope);
            self.following.stands.insert(scope, position.seq);
            // The home has signed for others what it does not show us: nothing is sealed on an old state.
            let behind = self.following.expected.get(&scope).is_some_and(|seq| *seq > position.seq);
            if behind && !self.going_on(scope) && !self.is_other(scope, position) {
                self.withheld(scope, position.seq);
            }
        }
        for synced in &scopes {
            self.compare_with_receipt(synced.scope, synced.position);
            if let Err(problem) = self.look_for_place(synced.scope, synced.position) {
                self.report(&problem);
            }
        }
        scopes.iter().for_each(|s| self.note_shown(s.scope, s.position.is_some()));
        let unseen: Vec<ScopeId> = scopes.iter().filter(|s| s.position.is_none()).map(|s| s.scope).collect();
        self.following.blocked.extend(&unseen);
        unseen
    }

    /// Whether our own copy says that access has ended: the consent has run out, or we are listed.
    pub(crate) fn is_over(&self, scope: ScopeId) -> bool {
        let device = self.me.as_ref().map(crate::client::me::Me::device_public).unwrap_or_default();
        self.scopes.get(&scope).is_some_and(|s| {
            s.standing == Standing::Member && s.replica.state().listed_at(self.both_now()).contains(&device)
        })
    }

    /// Records of one scope. Either all of them stand in the chain that the receipt signs, or none counts.
    pub(crate) fn take_records(&mut self, records: Records) -> Result<(), Problem> {
        let scope = records.scope;
        if !self.wants(scope) {
            return Ok(());
        }
        self.check_after_move(scope, &records.receipt)?;
        let known = self.read_so_far(scope);
        let fresh: Vec<Record> = records.records.into_iter().filter(|r| r.seq > known.seq).collect();
        let Some(first) = fresh.first() else {
            return Ok(());
        };
        self.check_times(scope, &fresh)?;
        let (signer, receipt) = self.signer_of(scope, &records.receipt)?;
        if !self.may_sign(scope, signer, &fresh) {
            return Err(Problem::rule(Cause::BadReceipt, "the receipt is another municipality's than the log's home"));
        }
        if first.seq != known.seq + 1 {
            return self.out_of_turn(scope, first.clone(), &receipt);
        }
        if let Err(problem) = check_order(&known.head, &fresh, &receipt, scope) {
            // Signed by the home, and no continuation of what it has signed for this device.
            if receipt.scope == scope && self.newest_receipt(scope).is_some() {
                self.histories_part(scope, receipt.position.seq);
                return Ok(());
            }
            return Err(problem);
        }
        let expected =
            self.scopes.contains_key(&scope) || self.foundings.contains_key(&scope) || self.welcome(scope).is_some();
        if !expected {
            return Ok(());
        }
        let before = (self.provider.storage().mark(), self.table.mark());
        if self.may_be_back(scope) {
            self.forget_scope(scope);
        }
        let moves = self.scopes.get(&scope).map_or(0, |s| s.replica.state().moves.len());
        let mut followed = Ok(());
        let mut left = false;
        for record in fresh {
            self.told.counts.received += 1;
            let here = self.scopes.contains_key(&scope);
            followed = self.follow(scope, record);
            // What comes after this device's removal is not its to follow; if it is let in again, it reads all anew.
            left = self.has_left(scope) || (here && !self.scopes.contains_key(&scope));
            if followed.is_err() || left {
                break;
            }
        }
        match followed {
            Ok(()) if left => {}
            Ok(()) => {
                if let Err(problem) = self.entitled(scope, signer, &receipt) {
                    self.undo(scope, before);
                    return Err(problem);
                }
                let halted = self.scopes.get(&scope).is_some_and(|s| s.standing == Standing::Halted);
                if !halted && !self.forked(scope) {
                    self.table.delete(Space::State, &halted_key(scope));
                }
                // The receipt kept is one for the chain as it stands here.
                self.keep_receipt(scope, &records.receipt);
            }
            Err(problem) => self.halt(scope, &problem),
        }
        // A document that stops on this device holds up neither statements nor membership.
        self.open_contents(scope);
        self.follow_move(scope, moves);
        self.save_scope(scope)
    }

    /// A scope as the last transaction left it; nothing more is done there on this connection.
    fn undo(&mut self, scope: ScopeId, before: (rows::Mark, rows::Mark)) {
        self.provider.storage().rollback(before.0);
        self.table.rollback(before.1);
        self.following.blocked.insert(scope);
        self.following.unplanned.insert(scope);
        match Scope::load(&self.table, scope) {
            Ok(before) => self.scopes.insert(scope, before),
            Err(_) => self.scopes.remove(&scope),
        };
        let founding = Founding::load_all(&self.table).into_iter().flatten().find(|f| f.plan.scope == scope);
        self.foundings.extend(founding.map(|f| (scope, f)));
    }

    pub(crate) fn save_scope(&mut self, scope: ScopeId) -> Result<(), Problem> {
        let Some(s) = self.scopes.get_mut(&scope).filter(|s| s.standing != Standing::Withdrawn) else {
            return Ok(());
        };
        let ran = !s.stopped;
        s.save(&mut self.table)?;
        if ran && s.stopped {
            self.report(&crate::client::scope::open::standing_still());
        }
        Ok(())
    }

    /// A gap. For a device that is being removed the home sends its Remove commit and nothing else.
    fn out_of_turn(&mut self, scope: ScopeId, record: Record, receipt: &Receipt) -> Result<(), Problem> {
        let covers = receipt.scope == scope && receipt.position.seq >= record.seq;
        let removed = covers && self.try_removal(scope, &record)?;
        if !removed && !self.stream.line(self.home_of(scope)).is_some_and(crate::client::stream::line::Line::syncing) {
            self.sync_scope(scope);
        }
        Ok(())
    }

    fn try_removal(&mut self, scope: ScopeId, record: &Record) -> Result<bool, Problem> {
        let (device, device_key, now) = (self.me()?.device(), self.me()?.device_public(), self.both_now());
        let inside = [Standing::Member, Standing::Resyncing];
        let Some(s) = self.scopes.get(&scope).filter(|s| inside.contains(&s.standing)) else {
            return Ok(false);
        };
        let Ok(event) = record.event.peek() else {
            return Ok(false);
        };
        let (Body::Commit(commit), Some(key)) = (&event.body, s.replica.state().membership.device_key(event.device))
        else {
            return Ok(false);
        };
        if event.scope != scope || record.event.verify(key).is_err() {
            return Ok(false);
        }
        self.check_over(scope, &event, record.time)?;
        let handed_over = self.has_handed_over(scope);
        let Some(s) = self.scopes.get_mut(&scope) else { return Ok(false) };
        // The family and the holder cannot be removed so, whatever a home and one member make of it.
        let state = s.replica.state();
        let (own, author) =
            (state.membership.member_of_device(device), state.membership.member_of_device(event.device));
        let stays = own.is_none_or(|m| m.role.is_family() || m.role == stafett_protocol::membership::Role::Holder);
        let by_own = own.map(|m| m.person) == author.map(|m| m.person);
        if stays && !by_own && !state.listed_at(now).contains(&device_key) && !handed_over {
            return Ok(false);
        }
        // It came after other commits, which the home shows us no more, or there is no key to read it with: its author's
        // word on who is left must do.
        if event.epoch > state.epoch || s.standing == Standing::Resyncing {
            let gone = replica::claimed_membership(commit).is_ok_and(|m| m.device_key(device).is_none());
            if gone {
                self.leave(scope)?;
            }
            return Ok(gone);
        }
        let Some(mut mls) = group::load(&self.provider, &s.replica.state().membership) else {
            return Ok(false);
        };
        let mark = self.provider.storage().mark();
        if let Ok(Followed::Removed) =
            group::follow(&self.provider, &mut mls, commit, (event.device, false), &mut s.keys)
        {
            self.leave(scope)?;
            return Ok(true);
        }
        self.provider.storage().rollback(mark);
        Ok(false)
    }

    /// One record: judged by the policy that everyone asks, then followed.
    fn follow(&mut self, scope: ScopeId, record: Record) -> Result<(), Problem> {
        let trusted = self.me()?.trusted();
        // The card as it is now would judge the past by the present; only a withdrawal by somebody who is in
        // the log and not in this scope needs it, and the card remembers who has left.
        let card = self.card_for(scope, &record);
        let card = card.and_then(|card| self.scopes.get(&card)).map(|s| s.replica.state().clone());
        let home = match self.scopes.get(&scope) {
            Some(s) => s.replica.state().membership.home,
            None => first_home(&record)?,
        };
        let context = Context { now: record.time, home, trusted: &trusted, card: card.as_ref() };
        let own_device = self.me()?.device();
        if let Ok(event) = record.event.peek() {
            self.check_author(scope, &event);
        }
        let Some(s) = self.scopes.get_mut(&scope) else {
            return self.begin(scope, record, &context);
        };
        let judged = s.replica.judge(record, &context)?;
        let event = judged.event().clone();
        let own = event.device == own_device;
        self.note_named(scope, &event);
        if let Body::Statement(Statement::Grant(signed)) = &event.body {
            let signed = signed.clone();
            self.keep_grant(&signed);
        }
        let Some(s) = self.scopes.get_mut(&scope) else { return Ok(()) };
        match &event.body {
            Body::Commit(commit) => {
                self.table.write(Space::State, &info_key(scope), commit.group_info.as_slice().to_vec());
                return match s.standing {
                    Standing::Joining => {
                        group::note(&mut s.keys, event.epoch + 1, commit, event.device)?;
                        self.apply(scope, judged)
                    }
                    // After the one that this device could not process, the others have gone on: it alone is behind.
                    Standing::Resyncing | Standing::Halted => self.follow_keyless(scope, judged, commit, own),
                    _ => self.follow_commit(scope, judged, commit, own),
                };
            }
            Body::Change(change) => {
                s.changes = s.changes.saturating_add(u64::from(change.count));
                s.unopened.extend(unopened_of(&s.replica, &judged, change));
            }
            Body::Statement(Statement::LinkRepair(repair)) => {
                // A link that does not open leaves the gap, and its author has signed it.
                let LinkRepair { from, to, link } = repair;
                if let Err(e) = s.keys.learn_link(*from, *to, event.device, link.as_slice()) {
                    self.report(&group::mls_problem(e));
                }
            }
            Body::Statement(_) => {}
            Body::Genesis(genesis) => {
                self.table.write(Space::State, &info_key(scope), genesis.group_info.as_slice().to_vec());
                return self.refounded(scope, judged, own);
            }
        }
        self.apply(scope, judged)?;
        if own {
            self.own_event_stands(scope, &event);
        }
        Ok(())
    }

    /// The card, where this record is a withdrawal whose author has no leaf in its scope.
    fn card_for(&self, scope: ScopeId, record: &Record) -> Option<ScopeId> {
        self.scopes.get(&scope)?.replica.state().card_beside(&record.event.peek().ok()?)
    }

    pub(crate) fn apply(&mut self, scope: ScopeId, judged: Judged) -> Result<(), Problem> {
        let s = self.scopes.get_mut(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        s.facts_changed |= judged.changes_facts();
        let author = judged.event().device;
        let before = matches!(judged.event().body, Body::Commit(_)).then(|| s.replica.state().membership.clone());
        let record = s.replica.apply(judged)?;
        s.note_head();
        save_record(&mut self.table, scope, &record);
        let after = s.replica.state().membership.clone();
        self.note_absence(scope);
        if let Some(before) = before {
            self.note_own_devices(author, &before, &after);
            self.forget_told(scope, &before, &after);
        }
        self.use_welcome(scope)
    }

    fn follow_commit(&mut self, scope: ScopeId, judged: Judged, commit: &Commit, own: bool) -> Result<(), Problem> {
        let event = judged.event().clone();
        let s = self.scopes.get_mut(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        let Some(mut mls) = group::load(&self.provider, &s.replica.state().membership) else {
            return self.follow_keyless(scope, judged, commit, own);
        };
        let mark = self.provider.storage().mark();
        match group::follow(&self.provider, &mut mls, commit, (event.device, own), &mut s.keys) {
            Ok(Followed::Removed) => {
                // Read again with the next connection, and not before its time has come here.
                self.check_over(scope, &event, judged.record().time)
                    .inspect_err(|_| self.provider.storage().rollback(mark))?;
                self.apply(scope, judged)?;
                self.leave(scope)
            }
            Ok(Followed::Member) => {
                self.apply(scope, judged)?;
                if own {
                    self.own_event_stands(scope, &event);
                }
                Ok(())
            }
            // Our own commit, which this device does not remember: its backup is older than the chain.
            Err(_) if own => {
                self.provider.storage().rollback(mark);
                self.follow_keyless(scope, judged, commit, own)
            }
            Err(problem) => {
                // The policy accepts it and MLS does not: the author answers for it, everyone else goes on
                // from a re-founding.
                self.provider.storage().rollback(mark);
                let seq = judged.record().seq;
                if let Some(s) = self.scopes.get_mut(&scope) {
                    s.standing = Standing::Halted;
                    s.facts_changed = true;
                    // For the way back, should the others be able to go on.
                    let _ = group::note(&mut s.keys, event.epoch + 1, commit, event.device);
                }
                self.apply(scope, judged)?;
                self.queue_statement(scope, Statement::Reject(Reject { seq, reason: RejectReason::Mls }));
                self.table.write(Space::State, &halted_key(scope), problem.code.clone().into_bytes());
                self.report(&problem);
                Ok(())
            }
        }
    }

    /// The chain shows what the rules forbid: nothing after it is read on this connection, and everybody is told
    /// where `log show` says so. A home that mends its chain is followed again.
    pub(crate) fn halt(&mut self, scope: ScopeId, problem: &Problem) {
        self.following.blocked.insert(scope);
        self.table.write(Space::State, &halted_key(scope), problem.code.clone().into_bytes());
        self.report(problem);
    }
}

/// The records form the chain that the receipt signs.
pub(crate) fn check_order(before: &Hash, records: &[Record], receipt: &Receipt, scope: ScopeId) -> Result<(), Problem> {
    let broken = |why| Err(Problem::rule(Cause::ChainBroken, why));
    if receipt.scope != scope {
        return broken("the receipt is for another scope");
    }
    let mut head = *before;
    let mut seq = records.first().map_or(0, |r| r.seq);
    for record in records {
        if record.seq != seq {
            return broken("records are missing");
        }
        seq += 1;
        head = record.head_after(&head);
    }
    if receipt.position.head != head || receipt.position.seq.checked_add(1) != Some(seq) {
        return broken("the records are not those that the receipt signs");
    }
    Ok(())
}
