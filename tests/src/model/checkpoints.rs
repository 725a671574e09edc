//! Members' checkpoints at the home in memory, and pages of history.

use crate::model::home::{ModelHome, ScopeChain, refused};
use stafett_protocol::checkpoint::{Checkpoint, CheckpointPart, part_hash};
use stafett_protocol::ids::{DeviceId, Hash, ScopeId};
use stafett_protocol::limits::CHECKPOINT_AHEAD_BYTES;
use stafett_protocol::wire::{Records, Reply, ScopePosition};
use std::collections::BTreeMap;

/// Records in one page of history.
const PAGE: usize = 300;

#[derive(Clone, Default)]
pub struct Checkpoints {
    pub stored: BTreeMap<(ScopeId, DeviceId), Checkpoint>,
    parts: BTreeMap<(ScopeId, Hash), Vec<u8>>,
    /// What this home will not do now.
    pub no_history: bool,
    pub no_storing: bool,
}

impl ModelHome {
    pub(crate) fn reads(&self, device: DeviceId, scope: ScopeId) -> bool {
        let reads = |chain: &ScopeChain| chain.replica.state().may_read(device, self.now);
        self.scopes.get(&scope).is_some_and(reads)
    }

    pub(crate) fn put_part(&mut self, device: DeviceId, part: CheckpointPart) -> Reply {
        if !self.reads(device, part.scope) {
            return refused("unknown-scope");
        }
        let bytes = part.bytes.as_slice().to_vec();
        self.checkpoints.parts.insert((part.scope, part_hash(&bytes)), bytes);
        Reply::Done
    }

    pub(crate) fn put_checkpoint(&mut self, device: DeviceId, checkpoint: Checkpoint) -> Reply {
        let head = checkpoint.head.peek().unwrap();
        let whole = head.parts.iter().all(|hash| self.checkpoints.parts.contains_key(&(head.scope, *hash)));
        if self.checkpoints.no_storing || head.device() != device || !whole || !self.reads(device, head.scope) {
            return refused("inconsistent");
        }
        self.checkpoints.stored.insert((head.scope, device), checkpoint);
        Reply::Done
    }

    /// Pushes a checkpoint that lies far ahead; answers from where the records are wanted then.
    pub(crate) fn skip_ahead(&mut self, device: DeviceId, from: ScopePosition) -> ScopePosition {
        let of_scope = self.checkpoints.stored.iter().filter(|((scope, _), _)| *scope == from.scope);
        let newest = of_scope.map(|(_, c)| (c.head.peek().unwrap(), c.clone())).max_by_key(|(h, _)| h.position.seq);
        let Some((head, checkpoint)) = newest else { return from };
        let bytes = |range: std::ops::RangeInclusive<u64>| {
            let records = self.scopes.get(&from.scope).map(|c| c.records.as_slice()).unwrap_or_default();
            let within = records.iter().filter(|r| range.contains(&r.seq));
            within.map(|r| r.event.bytes().len() as u64).sum::<u64>()
        };
        if bytes(from.seq + 1..=head.position.seq) <= CHECKPOINT_AHEAD_BYTES.max(bytes(1..=from.seq)) {
            return from;
        }
        if !self.reads(device, from.scope) {
            return from;
        }
        self.push(device, Reply::Checkpoint(checkpoint));
        for hash in &head.parts {
            let bytes = self.checkpoints.parts[&(from.scope, *hash)].clone();
            self.push(device, Reply::CheckpointPart(CheckpointPart { scope: from.scope, bytes: bytes.into() }));
        }
        ScopePosition { scope: from.scope, seq: head.position.seq }
    }

    pub(crate) fn history(&self, device: DeviceId, after: ScopePosition) -> Reply {
        if self.checkpoints.no_history || !self.reads(device, after.scope) {
            return refused("unavailable");
        }
        let chain = &self.scopes[&after.scope];
        let page = chain.records.iter().filter(|r| r.seq > after.seq).take(PAGE);
        let records: Vec<_> = page.cloned().collect();
        let Some(last) = records.last().map(|r| r.seq) else { return Reply::Done };
        Reply::Records(Records { scope: after.scope, records, receipt: self.receipt(after.scope, last) })
    }
}
