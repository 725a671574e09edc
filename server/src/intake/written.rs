//! What a transaction has applied: stored, and put together for the answer and for those who are to be told.

use std::collections::BTreeMap;

use stafett_protocol::event::{Receipt, Record};
use stafett_protocol::ids::{DeviceId, ScopeId};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::Accepted;

use super::judging::Judging;
use super::{ForReaders, Outcome};
use crate::fanout;
use crate::problem::Fault;
use crate::store::chain::{self, Entry};

/// One envelope that was applied in this transaction.
pub(super) struct Written {
    pub scope: ScopeId,
    pub device: DeviceId,
    pub counter: u64,
    pub record: Record,
    pub receipt: Option<Signed<Receipt>>,
}

impl Written {
    fn entry(&self) -> Entry<'_> {
        let receipt = self.receipt.as_ref();
        Entry { scope: self.scope, record: &self.record, device: self.device, counter: self.counter, receipt }
    }
}

impl Judging<'_> {
    /// Records, and where their scopes stand now.
    pub async fn store(&mut self) -> Result<(), Fault> {
        let entries: Vec<Entry<'_>> = self.written.iter().map(Written::entry).collect();
        chain::append(self.conn, &entries).await?;
        for (replica, snapshot) in self.places.touched() {
            chain::save(self.conn, replica, snapshot).await?;
        }
        Ok(())
    }

    pub async fn finish(self) -> Result<Outcome, Fault> {
        let mut accepted: Vec<Accepted> = Vec::with_capacity(self.written.len());
        let mut news: BTreeMap<ScopeId, ForReaders> = BTreeMap::new();
        // Backwards: the first receipt behind a record is the one that covers it.
        for written in self.written.into_iter().rev() {
            let scope = written.scope;
            let covering = written.receipt.or_else(|| {
                let later = accepted.iter().rev().find(|a: &&Accepted| a.scope == scope);
                later.map(|a| a.receipt.clone())
            });
            let receipt = covering.ok_or(Fault::Internal)?;
            accepted.push(Accepted {
                scope,
                counter: written.counter,
                seq: written.record.seq,
                time: written.record.time,
                receipt: receipt.clone(),
            });
            news.entry(scope)
                .or_insert_with(|| ForReaders { scope, records: Vec::new(), receipt, moved: None })
                .records
                .push(written.record);
        }
        accepted.reverse();
        for scope in &self.recheck {
            fanout::notify(self.conn, fanout::Notice::Scope(*scope)).await?;
        }
        for (replica, _) in self.places.touched() {
            let scope = replica.state().scope();
            fanout::notify(self.conn, fanout::Notice::Scope(scope)).await?;
            if let Some(news) = news.get_mut(&scope) {
                news.records.reverse();
            }
        }
        for signed in &self.tombstones {
            let scope = signed.peek()?.scope;
            if let Some(news) = news.get_mut(&scope) {
                news.moved = Some(signed.clone());
            }
        }
        Ok(Outcome {
            accepted,
            tombstones: self.tombstones,
            news: news.into_values().collect(),
            mail: self.mail.into_iter().collect(),
            recheck: self.recheck.into_iter().collect(),
            copied_bytes: self.copied_bytes,
        })
    }
}
