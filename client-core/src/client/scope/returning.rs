//! A home that was restored from an old backup lacks what it has signed. Whoever holds its newest receipt shows it; the
//! home then signs nothing more, says where it stands, and is given the records behind the receipt, byte for byte
//! (`docs/protocol.md`, Two histories).

use crate::client::input::{Cause, Problem};
use crate::client::scope::Standing;
use crate::client::stream::Sent;
use crate::client::{Client, Loading};
use crate::rows::{Row, Space};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::event::{Position, Receipt, Record};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::limits::BODY_BYTES;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{Records, Request, SyncedScope};

/// Bytes of events in one part.
const PART_BYTES: usize = BODY_BYTES;

impl Client {
    /// The newest receipt of the scope's present home, and what it says.
    fn receipt_of_home(&self, scope: ScopeId) -> Option<(Signed<Receipt>, Receipt)> {
        let signed = self.newest_receipt(scope)?;
        let receipt = signed.peek().ok()?;
        let state = self.scopes.get(&scope)?.replica.state();
        (receipt.home_epoch == state.membership.home_epoch).then_some((signed, receipt))
    }

    /// The home has said where a scope stands. If that is behind what it has signed, it is shown so, once a connection.
    pub(crate) fn compare_with_receipt(&mut self, scope: ScopeId, stands: Option<Position>) {
        let member = self.scopes.get(&scope).is_some_and(|s| s.standing == Standing::Member);
        if let Some(stands) = stands.filter(|stands| self.is_other(scope, *stands)) {
            return self.histories_part(scope, stands.seq);
        }
        let Some((signed, receipt)) = self.receipt_of_home(scope).filter(|_| member) else { return };
        if receipt.position.seq > stands.unwrap_or_default().seq && self.following.shown_to_home.insert(scope) {
            self.give_back(scope, vec![], signed);
        }
    }

    fn give_back(&mut self, scope: ScopeId, records: Vec<Record>, receipt: Signed<Receipt>) {
        let request = Request::Return(Records { scope, records, receipt });
        self.stream.send(self.home_of(scope), request, Sent::Return(scope));
    }

    /// The home says where it stands: what is missing there is loaded, or, where nothing is, its news are asked for.
    pub(crate) fn home_stands_at(&mut self, scopes: &[SyncedScope]) {
        for synced in scopes {
            let Some((_, receipt)) = self.receipt_of_home(synced.scope) else { continue };
            if let Some(stands) = synced.position.filter(|stands| self.is_other(synced.scope, *stands)) {
                self.histories_part(synced.scope, stands.seq);
                continue;
            }
            let stands = synced.position.unwrap_or_default().seq;
            if stands >= receipt.position.seq {
                self.following.unblock(synced.scope);
                self.sync_scope(synced.scope);
            } else if self.following.asked_back.insert(synced.scope) {
                self.following.owed.push_back((synced.scope, stands));
            }
        }
        self.load_owed();
    }

    /// One scope at a time, in the order asked: cards come first.
    pub(crate) fn load_owed(&mut self) {
        if self.load.is_none() {
            self.load = self.following.owed.pop_front().map(|(scope, after)| Loading::Return { scope, after });
        }
        self.load_parting();
    }

    /// The chain is here: everything after `after`, in parts that end at the receipt.
    pub(crate) fn return_loaded(&mut self, scope: ScopeId, after: u64, rows: &[Row]) {
        if let Some((signed, receipt)) = self.receipt_of_home(scope) {
            let wanted = |record: &Record| record.seq > after && record.seq <= receipt.position.seq;
            let rows = rows.iter().filter(|r| r.space == Space::Event && r.key.starts_with(&scope.0));
            let records = rows.filter_map(|row| decode::<Record>(row.value.as_deref()?).ok()).filter(wanted);
            let mut records: Vec<Record> = records.collect();
            records.sort_by_key(|record| record.seq);
            if records.is_empty() {
                let problem =
                    Problem::data(Cause::NotReturned, "the home lacks events that are not here any more either");
                self.report(&problem);
            }
            for part in parts(records) {
                self.give_back(scope, part, signed.clone());
            }
        }
    }
}

/// In order, each of a size that fits into a frame.
fn parts(records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut parts: Vec<Vec<Record>> = vec![];
    let mut room = 0;
    for record in records {
        let size = encode(&record).len();
        match parts.last_mut().filter(|_| size <= room) {
            Some(part) => part.push(record),
            None => {
                room = PART_BYTES;
                parts.push(vec![record]);
            }
        }
        room = room.saturating_sub(size);
    }
    parts
}
