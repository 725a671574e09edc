//! How each scope stands on this device, for whoever compares devices: support, and the suites; and what went wrong last.

use crate::client::Client;
use crate::client::input::Problem;
use crate::client::scope::Standing;
use serde_json::json;
use stafett_protocol::event::Position;
use stafett_protocol::ids::{LogId, ScopeId};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::text::{Unfit, Why};

/// So many different problems are told at the end of a session.
const PROBLEMS: usize = 20;
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

    /// Keeps a problem where `log show` and support find it; never silently.
    pub(crate) fn report(&mut self, problem: &Problem) {
        self.stream.counts.refused += 1;
        let said = (problem.code.clone(), problem.message.clone());
        if self.stream.problems.len() < PROBLEMS && !self.stream.problems.contains(&said) {
            self.stream.problems.push(said);
        }
        let line = json!({"code": problem.code, "message": problem.message, "at": self.now});
        self.table.write(crate::rows::Space::State, b"problem/last", line.to_string().into_bytes());
    }
}

/// What was left empty is refused by its own name; what is too long or cannot be shown, by what is wrong with it.
impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        let what = ("what", unfit.field.what.to_owned());
        let (code, more) = match unfit.why {
            Why::Empty => (unfit.field.what, vec![]),
            Why::TooLong { given } => {
                ("too-long", vec![("most", unfit.field.most.to_string()), ("given", given.to_string())])
            }
            Why::Control(c) => ("unprintable", vec![("sign", format!("U+{:04X}", u32::from(c)))]),
        };
        Self { values: [vec![what], more].concat(), ..Self::caller(code, unfit.to_string()) }
    }
}
