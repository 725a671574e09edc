//! The home has another history of a scope than this device: its disk was put back, and somebody wrote who knew less; or it
//! shows different chains to different people. The scope stops here, with the home's two signatures as proof. People decide
//! whether to go on from what the home has now: a guardian or the holder founds the scope anew, saying why. Who has read
//! another history comes over then: own words wait to be sent again, and signed statements, withdrawals first of all, are
//! carried over (`docs/protocol.md`, Two histories).

use crate::answer::ContinuedLog;
use crate::client::input::{Cause, Problem};
use crate::client::scope::follow::check_order;
use crate::client::scope::heads::row_key;
use crate::client::scope::open::ContentWork;
use crate::client::scope::{Scope, Standing, event_key, group, save_record};
use crate::client::{Client, Loading};
use crate::keychain::KeyChain;
use crate::rows::{Row, Space};
use stafett_protocol::codec::decode;
use stafett_protocol::consent::Permit;
use stafett_protocol::event::{Body, Event, Position, Receipt, Record};
use stafett_protocol::ids::{LogId, ScopeId};
use stafett_protocol::policy::{Action, can};
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::statement::{Reject, RejectReason, Statement};
use stafett_protocol::wire::{Records, Request, ScopePosition};

/// What the home has of a scope, while it is read beside what this device has.
#[derive(Default)]
pub(crate) struct Parted {
    copy: Option<Scope>,
    records: Vec<Record>,
    /// How far the home had come when it was noticed.
    until: u64,
    /// The last record that both histories have, as far as this device remembers heads.
    common: u64,
    /// The home's receipt for what differs.
    proof: Option<Signed<Receipt>>,
    /// Somebody has said in it that there are two, and nobody has committed since.
    named: bool,
    /// Not looked at again on this connection.
    over: bool,
    /// This device goes over as soon as it has read what it alone has.
    leaving: bool,
}

/// The person wants to go on from what the home has.
const GOING_ON: &str = "going-on";
/// The chain says that there are two histories, and waits for a founding.
const NAMED: &str = "two-named";

/// Where a founding stands among all of a scope.
fn founding_of(state: &ScopeState) -> (u32, u64) {
    (state.membership.generation, state.founded_at)
}

/// Statements that carry their own signatures: anybody may bring them, and they mean the same in either history.
fn can_be_carried(statement: &Statement) -> bool {
    use Statement as S;
    matches!(
        statement,
        S::Grant(_)
            | S::Attested(_)
            | S::Withdrawal(_)
            | S::EmployeeEnd(_)
            | S::AuthorityChange(_)
            | S::PersonKeyChange(_)
            | S::Deletion(_)
    )
}

fn statement_of(record: &Record) -> Option<Statement> {
    match record.event.peek().ok()?.body {
        Body::Statement(statement) => Some(statement),
        _ => None,
    }
}

impl Parted {
    /// Whether this record founds the scope anew because of two histories, and is unknown here.
    fn leads_on(&mut self, here: &Scope, event: &Event) -> bool {
        match &event.body {
            Body::Statement(Statement::Reject(reject)) => self.named |= reject.reason == RejectReason::TwoHistories,
            Body::Commit(_) => self.named = false,
            Body::Genesis(_) => {
                let named = std::mem::take(&mut self.named);
                let Some(there) = self.copy.as_ref().map(|s| founding_of(s.replica.state())) else { return false };
                let here = founding_of(here.replica.state());
                self.leaving = named && there != here && there.0 >= here.0;
                return self.leaving;
            }
            _ => {}
        }
        false
    }
}

impl Client {
    /// The home stands at a place where this device has read something else.
    pub(crate) fn is_other(&self, scope: ScopeId, stands: Position) -> bool {
        self.followed(scope).and_then(|s| s.head_at(stands.seq)).is_some_and(|head| head != stands.head)
    }

    /// What the home has is read from its first record, beside what is here.
    pub(crate) fn histories_part(&mut self, scope: ScopeId, until: u64) {
        if self.followed(scope).is_some() {
            self.following.blocked.insert(scope);
            self.parted.entry(scope).or_insert(Parted { until, ..Parted::default() });
        }
    }

    /// Asks for the next page of every other history.
    pub(crate) fn plan_other_histories(&mut self) -> Result<(), Problem> {
        let open = self.parted.iter().filter(|(_, p)| !p.over && !p.leaving);
        let next = |p: &Parted| p.copy.as_ref().map_or(0, |s| s.replica.state().position.seq);
        let waiting: Vec<ScopePosition> =
            open.map(|(scope, p)| ScopePosition { scope: *scope, seq: next(p) }).collect();
        for after in waiting {
            let purpose = crate::client::stream::Sent::History(after.scope);
            if !self.stream.waits_for(&purpose) {
                self.stream.send(self.home_of(after.scope), Request::History(after), purpose);
            }
        }
        Ok(())
    }

    pub(crate) fn take_other_history(&mut self, scope: ScopeId, page: Records) -> Result<(), Problem> {
        let Some(mut other) = self.parted.remove(&scope) else { return Ok(()) };
        let read = self.read_other(scope, &mut other, page);
        other.over |= read.is_err();
        if let Ok(true) = read {
            self.other_history_read(scope, &mut other);
        }
        self.parted.insert(scope, other);
        self.load_owed();
        read.map(drop)
    }

    /// One page. Answers whether no more is needed: a founding that leads on, or the end of what the home has.
    fn read_other(&self, scope: ScopeId, other: &mut Parted, page: Records) -> Result<bool, Problem> {
        let before = other.copy.as_ref().map(|s| s.replica.state().position).unwrap_or_default();
        let (_, receipt) = self.signer_of(scope, &page.receipt)?;
        if page.scope != scope || page.records.first().map(|r| r.seq) != before.seq.checked_add(1) {
            return Err(Problem::rule(Cause::ChainBroken, "the home has left out records"));
        }
        check_order(&before.head, &page.records, &receipt, scope)?;
        let here = self.scopes.get(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        for record in page.records {
            let (record, event) = self.follow_past(&mut other.copy, record)?;
            let seq = record.seq;
            other.records.push(record);
            let head = other.copy.as_ref().map(|s| s.replica.state().position.head);
            match here.head_at(seq) {
                known if known.is_some() && known == head => other.common = seq,
                None if seq <= here.replica.state().position.seq => other.common = seq,
                Some(_) if other.proof.is_none() => other.proof = Some(page.receipt.clone()),
                _ => {}
            }
            if other.leads_on(here, &event) {
                return Ok(true);
            }
        }
        Ok(receipt.position.seq >= other.until)
    }

    fn other_history_read(&mut self, scope: ScopeId, other: &mut Parted) {
        other.over = true;
        let fresh = !self.forked(scope);
        match &other.proof {
            Some(proof) => self.note_fork(scope, proof),
            None => {
                self.halt(scope, &Problem::rule(Cause::TwoHistories, "the home has another history than this device"))
            }
        }
        // Everybody there is told, or those who know less would write on what others never see.
        if fresh && let Some(s) = self.scopes.get(&scope) {
            let everyone: Vec<_> = s.replica.state().membership.members.iter().map(|m| m.person).collect();
            self.tell(scope, &everyone);
        }
        other.leaving |= self.going_on(scope);
        if other.leaving {
            self.following.parting.push_back((scope, other.common));
        }
    }

    /// What this device alone has is here: it goes over to what the home has.
    pub(crate) fn parting_loaded(&mut self, scope: ScopeId, rows: &[Row]) -> Result<(), Problem> {
        let Some(other) = self.parted.remove(&scope) else { return Ok(()) };
        let theirs: Vec<Statement> = other.records.iter().filter_map(statement_of).collect();
        let rows = rows.iter().filter(|r| r.space == Space::Event && r.key.starts_with(&scope.0));
        let mut ours: Vec<Record> = rows.filter_map(|row| decode(row.value.as_deref()?).ok()).collect();
        ours.retain(|record| record.seq > other.common);
        ours.sort_by_key(|record| record.seq);
        let carried = ours.iter().filter_map(statement_of).filter(|s| can_be_carried(s) && !theirs.contains(s));
        let carried: Vec<Statement> = carried.collect();
        self.go_over(scope, other)?;
        for statement in carried {
            self.queue_statement(scope, statement);
        }
        self.following.blocked.remove(&scope);
        self.following.unplanned.remove(&scope);
        self.following.still.retain(|(s, _): &(ScopeId, ContentWork)| *s != scope);
        self.sync_scope(scope);
        Ok(())
    }

    fn go_over(&mut self, scope: ScopeId, other: Parted) -> Result<(), Problem> {
        let me = self.me()?.person;
        let founded = other.copy.as_ref().is_some_and(|copy| self.is_unknown_founding(scope, copy));
        let (Some(copy), Some(s)) = (other.copy, self.scopes.get_mut(&scope)) else { return Ok(()) };
        group::forget(&self.provider, &s.replica.state().membership)?;
        let (before, now) = (s.replica.state().position.seq, copy.replica.state().position.seq);
        (now.saturating_add(1)..=before).for_each(|seq| self.table.erase(&event_key(scope, seq)));
        other.records.iter().for_each(|record| save_record(&mut self.table, scope, record));
        KeyChain::delete_rows(&mut self.table, scope);
        // Where nobody has founded it anew yet, this device does, and follows without keys until then.
        s.come_over(copy, if founded { Standing::Joining } else { Standing::Halted });
        let state = s.replica.state();
        let (last, inside) = (state.last_commit, state.present().any(|m| m.person == me));
        self.forget_sent(scope);
        self.table.delete(Space::State, &row_key("receipt", scope));
        if founded {
            self.two_histories_end(scope);
        } else {
            self.name_two_histories(scope, last);
        }
        if !inside {
            return self.leave(scope);
        }
        self.save_scope(scope)
    }

    fn is_unknown_founding(&self, scope: ScopeId, copy: &Scope) -> bool {
        let here = self.scopes.get(&scope).map(|s| founding_of(s.replica.state()));
        let there = copy.replica.state();
        // The very record: nobody but its founder is in yet.
        here != Some(founding_of(there)) && there.last_commit == there.position.seq && there.epoch == 0
    }

    fn name_two_histories(&mut self, scope: ScopeId, last_commit: u64) {
        let reject = Reject { seq: last_commit, reason: RejectReason::TwoHistories };
        self.queue_statement(scope, Statement::Reject(reject));
    }

    pub(crate) fn going_on(&self, scope: ScopeId) -> bool {
        self.table.read(Space::State, &row_key(GOING_ON, scope)).is_some()
    }

    /// The chain that is followed says that there are two histories: the founding after it is where everybody goes on.
    pub(crate) fn note_named(&mut self, scope: ScopeId, event: &Event) {
        match &event.body {
            Body::Statement(Statement::Reject(Reject { reason: RejectReason::TwoHistories, .. })) => {
                self.table.write(Space::State, &row_key(NAMED, scope), vec![]);
            }
            Body::Commit(_) => self.table.delete(Space::State, &row_key(NAMED, scope)),
            Body::Genesis(_) if self.table.read(Space::State, &row_key(NAMED, scope)).is_some() => {
                self.two_histories_end(scope);
            }
            _ => {}
        }
    }

    /// People have decided from where it goes on. What was proved is kept.
    fn two_histories_end(&mut self, scope: ScopeId) {
        self.settle_fork(scope);
        [GOING_ON, NAMED].iter().for_each(|kind| self.table.delete(Space::State, &row_key(kind, scope)));
    }

    /// Whether this scope waits for somebody to say from where it goes on.
    pub(crate) fn has_two_histories(&self, scope: ScopeId) -> bool {
        let here = self.followed(scope).map(|s| s.replica.state().position.seq);
        here.is_some_and(|seq| {
            self.forked(scope) || self.shown_to_others(scope) > seq || self.parted.contains_key(&scope)
        })
    }

    /// Every part of a log that is here.
    pub(crate) fn scopes_in(&self, log: LogId) -> impl Iterator<Item = ScopeId> + '_ {
        self.scopes.values().filter(move |s| s.replica.state().log() == log).map(Scope::id)
    }

    /// A guardian or the holder goes on from what the home has, in every part of the log that has stopped so.
    pub(crate) fn log_continue(&mut self, log: &str) -> Result<ContinuedLog, Problem> {
        let log: LogId = self.log(log)?;
        let (me, now) = (self.me()?.person, self.home_now());
        let stopped: Vec<ScopeId> = self.scopes_in(log).filter(|scope| self.has_two_histories(*scope)).collect();
        if stopped.is_empty() {
            return Err(Problem::rule(
                Cause::NothingStopped,
                "no part of this log has stopped because of two histories",
            ));
        }
        let may = |scope: &ScopeId| {
            self.scopes.get(scope).is_some_and(|s| can(s.replica.state(), me, Action::Refound, now).is_ok())
        };
        let ours: Vec<ScopeId> = stopped.into_iter().filter(may).collect();
        if ours.is_empty() {
            return Err(Problem::rule(
                Cause::NotYours,
                "a guardian or whoever holds the baton says from where the log goes on",
            ));
        }
        for scope in &ours {
            self.table.write(Space::State, &row_key(GOING_ON, *scope), vec![]);
            self.following.unplanned.remove(scope);
            match self.parted.get_mut(scope) {
                // It is read already, and this device has read something else.
                Some(other) if other.over => {
                    other.leaving = true;
                    let common = other.common;
                    self.following.parting.push_back((*scope, common));
                }
                Some(_) => {}
                None => self.lead_on(*scope),
            }
        }
        Ok(ContinuedLog { log: log.to_string(), scopes: ours.iter().map(ToString::to_string).collect() })
    }

    /// This device has what the home has, as far as it knows: it founds the scope anew.
    fn lead_on(&mut self, scope: ScopeId) {
        let Some(s) = self.scopes.get(&scope) else { return };
        let state = s.replica.state();
        if state.rejected == Permit::No {
            self.name_two_histories(scope, state.last_commit);
        }
        self.following.blocked.remove(&scope);
    }

    /// One scope at a time.
    pub(crate) fn load_parting(&mut self) {
        if self.load.is_none() {
            let next = self.following.parting.pop_front();
            self.load = next.map(|(scope, after)| Loading::Parting { scope, after });
        }
    }
}
