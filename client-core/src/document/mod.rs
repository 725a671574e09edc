//! The content of a scope: an Automerge document that admits only what the scope's rules allow, and one's own edits on a fork of it.
//!
//! A received change passes, in this order: `outline` (bytes, before Automerge sees them), `gate` (its place in the history), `touch`
//! (what it writes), `rules` (who may write that). What fails is quarantined with its `reason`; everybody comes to the same verdict.

pub mod accepted;
pub mod attached;
pub mod checkpoint;
mod columns;
pub mod edit;
pub mod facts;
pub mod gate;
pub mod history;
pub mod outline;
pub mod own;
pub mod reason;
mod replaced;
pub mod room;
pub mod rules;
pub mod schema;
pub mod stored;
#[cfg(test)]
pub(crate) mod tests;
pub mod touch;
pub mod view;

pub use accepted::{Accepted, Outcome, Quarantined, Received, Stopped};
pub use checkpoint::CheckpointError;
pub use own::{Delivered, Document, Draft, EditError, Editor, Pending};
pub use reason::Reason;
pub use rules::Writer;
