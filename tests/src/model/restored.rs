//! A home in memory whose database was put back from an older copy: it signs nothing until its operator opens it, says
//! where it stands, and takes back, byte for byte, what it had signed. And one whose disk is full: nothing is stored.

use crate::model::home::{ModelHome, ScopeChain, refused};
use stafett_protocol::event::{Body, Position, Receipt, Record};
use stafett_protocol::ids::{DeviceId, ScopeId};
use stafett_protocol::policy::Context;
use stafett_protocol::replica;
use stafett_protocol::wire::{Mail, MailItem, Records, Reply, Request, SyncedScope};
use std::collections::BTreeMap;

/// What ails the place where a home keeps everything.
#[derive(Clone, Default)]
pub struct Storage {
    /// It is an old copy, and nothing is signed.
    pub is_old: bool,
    /// It takes nothing more.
    pub is_full: bool,
    /// When its operator last let it sign again.
    opened_at: Option<u64>,
    /// What devices are giving back, until all of it is here.
    parts: BTreeMap<(DeviceId, ScopeId), Records>,
}

/// Requests that leave nothing behind at a home.
fn reads_only(request: &Request) -> bool {
    matches!(
        request,
        Request::Sync(_)
            | Request::SyncAhead(_)
            | Request::History(_)
            | Request::GetAttachmentPart(_)
            | Request::Persons(_)
            | Request::Units
            | Request::Relay(_)
            | Request::Ping
    )
}

/// Requests that a home answers with its signature, or that lead to it.
fn is_signed(request: &Request) -> bool {
    matches!(
        request,
        Request::Submit(_)
            | Request::PrepareTransfer(_)
            | Request::CommitTransfer(_)
            | Request::HoldTransfer(_)
            | Request::AbortTransfer(_)
            | Request::Activate(_)
            | Request::Release(_)
    )
}

impl ModelHome {
    /// What an ailing store says to a request; nothing where it can be served.
    pub(crate) fn ails(&self, request: &Request) -> Option<Reply> {
        if self.storage.is_full && !reads_only(request) {
            return Some(refused("unavailable"));
        }
        (self.storage.is_old && is_signed(request)).then(|| refused("home-restored"))
    }

    /// Whether it can put its name to anything now.
    pub(crate) fn signs(&self) -> bool {
        !self.storage.is_old && !self.storage.is_full
    }

    /// The database becomes an old copy. Accounts are taken for as new as they are: who joined after it needs a new
    /// account, which is another story than this. One-time key packages go, for some may have been handed out since.
    pub fn put_back(&mut self, old: &Self) {
        let now = std::mem::replace(self, old.clone());
        (self.now, self.stamped, self.next_mail) = (now.now, now.stamped, now.next_mail);
        // Welcomes that lay here are lost. Letters are kept: who misses one writes again, which is another story.
        let letters =
            |items: Vec<MailItem>| items.into_iter().filter(|i| !matches!(i.mail, Mail::Welcome(_))).collect();
        self.mail = now.mail.into_iter().map(|(device, items)| (device, letters(items))).collect();
        self.storage = Storage { is_old: true, ..Storage::default() };
        self.packages.values_mut().for_each(|kept| {
            kept.retain(|o| o.peek().is_ok_and(|o| o.last_resort == stafett_protocol::consent::Permit::Yes));
        });
        (self.peers, self.units, self.heard, self.answered) = (now.peers, now.units, now.heard, now.answered);
        (self.accounts, self.devices, self.gone, self.tickets) = (now.accounts, now.devices, now.gone, now.tickets);
        self.open.clear();
        self.live.clear();
    }

    /// Its operator has waited, and lets it sign again.
    pub fn open_again(&mut self) {
        self.storage = Storage { opened_at: Some(self.now.max(self.stamped)), ..Storage::default() };
    }

    /// A receipt of this home's, and perhaps the records up to it.
    pub(crate) fn give_back(&mut self, by: DeviceId, part: Records) -> Reply {
        let scope = part.scope;
        let Ok(receipt) = part.receipt.verify(&self.key.verifying_key().to_bytes()) else {
            return refused("inconsistent");
        };
        let begun = self.storage.parts.remove(&(by, scope)).filter(|begun| begun.receipt == part.receipt);
        let whole = match begun {
            Some(mut begun) => {
                begun.records.extend(part.records);
                begun
            }
            None => part,
        };
        if whole.records.last().is_some_and(|last| last.seq < receipt.position.seq) {
            self.storage.parts.insert((by, scope), whole);
            return Reply::Done;
        }
        let here = self.scopes.get(&scope).map(|c| c.replica.state().position);
        let stands = here.unwrap_or_default();
        let other = stands.seq == receipt.position.seq && stands.head != receipt.position.head;
        if receipt.position.seq <= stands.seq && !other {
            return Reply::Done;
        }
        // Its operator has said once that it goes on from here: what was signed before is a matter of its scope.
        self.storage.is_old |= self.storage.opened_at.is_none_or(|at| receipt.time > at);
        let synced = |position| Reply::Synced(vec![SyncedScope { scope, position }]);
        if whole.records.is_empty() || other {
            return synced(here);
        }
        match self.again(scope, whole.records, &receipt) {
            Ok(()) => synced(Some(receipt.position)),
            Err(code) => refused(&code),
        }
    }

    /// Records that stood here before, each judged as of its own time and home; all of them or none.
    fn again(&mut self, scope: ScopeId, records: Vec<Record>, receipt: &Receipt) -> Result<(), String> {
        let trusted = self.trusted();
        let mut chain = self.scopes.get(&scope).cloned();
        for record in records {
            let event = record.event.peek().map_err(|_| "malformed")?;
            let Some(known) = &mut chain else {
                let Body::Genesis(genesis) = &event.body else { return Err("unknown-scope".into()) };
                if genesis.card.is_some_and(|card| card != scope && !self.scopes.contains_key(&card)) {
                    return Err("unknown-scope".into());
                }
                let home = replica::first_home(&record).map_err(|e| e.code())?;
                let context = Context { now: record.time, home, trusted: &trusted, card: None };
                let (replica, judged) = replica::found(record, &context).map_err(|e| e.code())?;
                let records = vec![judged.record().clone()];
                chain = Some(ScopeChain::new(replica, records));
                continue;
            };
            let state = known.replica.state();
            let card = state.card_beside(&event).and_then(|c| self.scopes.get(&c)).map(|c| c.replica.state());
            let (now, home) = (record.time, state.membership.home);
            known.take(record, &Context { now, home, trusted: &trusted, card }).map_err(|e| e.code())?;
        }
        let chain = chain.ok_or("unknown-scope")?;
        if chain.replica.receipt() != *receipt {
            return Err("chain-broken".into());
        }
        self.scopes.insert(scope, chain);
        Ok(())
    }

    /// Whether two states of one home have seen the same moves of logs. A home that may have let a log go after the copy is
    /// not put back to it and opened (`docs/operations.md`).
    pub fn has_moved_nothing_since(&self, old: &Self) -> bool {
        self.transfers.is_like(&old.transfers) && self.tombstones == old.tombstones
    }

    /// Whether it signs nothing, or stores nothing.
    pub fn ailing(&self) -> bool {
        !self.signs()
    }

    /// How far a scope goes here.
    pub fn stands_at(&self, scope: ScopeId) -> Position {
        self.scopes.get(&scope).map(|c| c.replica.state().position).unwrap_or_default()
    }
}
