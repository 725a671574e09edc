//! How each scope stands on this device, for whoever compares devices: support, and the suites; and what went wrong last.

use crate::client::Client;
use crate::client::scope::Standing;
use stafett_protocol::event::Position;
use stafett_protocol::ids::{LogId, ScopeId};
use stafett_protocol::membership::ScopeKind;

/// One scope. Two devices that report the same position and nothing waiting must report the same document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub scope: ScopeId,
    pub log: LogId,
    pub kind: ScopeKind,
    pub standing: Standing,
    /// Its content stands still on this device.
    pub stopped: bool,
    pub position: Position,
    pub epoch: u64,
    /// Hashes of the newest accepted changes.
    pub heads: Vec<[u8; 32]>,
    /// What stays out: hash and reason.
    pub quarantined: Vec<([u8; 32], String)>,
    /// Changes of the chain that wait for their key.
    pub unopened: usize,
    /// Own edits that wait for a receipt.
    pub pending: usize,
}

impl Client {
    /// Every scope that this device knows.
    pub fn standings(&self) -> Vec<Report> {
        let one = |s: &crate::client::Scope| {
            let (state, accepted) = (s.replica.state(), s.document.accepted());
            let mut heads = accepted.heads();
            heads.sort_unstable();
            Report {
                scope: s.id(),
                log: state.log(),
                kind: s.kind(),
                standing: s.standing,
                stopped: s.stopped,
                position: state.position,
                epoch: state.epoch,
                heads,
                quarantined: accepted.quarantine().iter().map(|q| (q.hash, q.reason.to_string())).collect(),
                unopened: s.unopened.len(),
                pending: s.document.pending().len(),
            }
        };
        self.scopes.values().map(one).collect()
    }
}
