//! Who comes to a home that a process holds, beside the news of its server.

use tokio::sync::{mpsc, watch};

use crate::host::door::{Door, Visit};

/// Who is served beside the server's own news.
#[derive(Default)]
pub struct Callers {
    pub door: Option<Door>,
    pub pages: Option<Pages>,
}

/// Pages of this process. They are served also where the server says no: a person reads on, and is told why.
pub struct Pages {
    /// Where it ends, serving ends.
    pub asked: mpsc::Receiver<Visit>,
    /// Counts what changes.
    pub turn: watch::Sender<u64>,
}
