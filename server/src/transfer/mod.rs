//! A log moves between two homes (`docs/protocol.md` 19): the rules and states are `protocol::transfer`'s,
//! this is what the two servers do around them. The commit itself goes through the intake, as every event.

mod activate;
mod fetch;
mod files;
mod old_home;
mod prepare;

pub use activate::{activate, follow, release};
pub use old_home::{abort, fates, hold, offered_page, offered_part};
pub use prepare::prepare;

use stafett_protocol::codec::{Deserialize, Size, decode};

use crate::federation::outgoing::PeerError;
use crate::problem::Fault;

/// Where an offered scope's records are asked for.
pub const PULL_PATH: &str = "/v1/peer/pull";
/// Where parts of its attachments are asked for.
pub const ATTACHMENT_PATH: &str = "/v1/peer/attachment";
/// Where it is asked what became of acceptances.
pub const TOMBSTONES_PATH: &str = "/v1/peer/tombstones";

/// Scopes in one request; a log has fewer.
const SCOPES: usize = stafett_protocol::limits::LOG_SCOPES;

fn at_most_a_log<T>(list: &[T]) -> Result<(), Fault> {
    if list.len() > SCOPES { Err(Fault::TooLarge) } else { Ok(()) }
}

/// A peer's answer, which need not be one.
fn answer_of<T: Deserialize + Size>(bytes: &[u8]) -> Result<T, Fault> {
    decode(bytes).map_err(|_| PeerError::Answer.into())
}
