//! What went wrong or was counted on this connection, until somebody asks.

use crate::client::Client;
use crate::client::input::Problem;
use serde_json::json;

/// So many different problems are told at the end of a connection.
const PROBLEMS: usize = 20;

/// What `sync` reports.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub sent: u64,
    pub received: u64,
    pub refused: u64,
    /// Own words and wishes that ended as drafts because they were refused.
    pub given_up: u64,
}

/// What `sync` tells of a connection, also once it is over.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub counts: Counts,
    /// Why something was refused.
    pub problems: Vec<(String, String)>,
}

impl Client {
    /// Keeps a problem where `log show` and support find it; never silently.
    pub(crate) fn report(&mut self, problem: &Problem) {
        self.told.counts.refused += 1;
        let said = (problem.code.clone(), problem.message.clone());
        if self.told.problems.len() < PROBLEMS && !self.told.problems.contains(&said) {
            self.told.problems.push(said);
        }
        let line = json!({"code": problem.code, "message": problem.message, "at": self.now});
        self.table.write(crate::rows::Space::State, b"problem/last", line.to_string().into_bytes());
    }
}
