//! A device gives back what this home has signed and lost, in parts that are put together here.

use stafett_protocol::wire::{Records, Reply, SyncedScope};

use super::Connection;
use super::requests::Failed;
use crate::budget::memory::{Held, Holder};
use crate::problem::Fault;
use crate::restored;

/// Most bytes of events that one device gives back at once.
const WHOLE_BYTES: usize = 64 * 1024 * 1024;

/// What a record takes beside its event, however small that is.
const RECORD_BYTES: usize = 256;

impl Connection {
    pub(super) async fn returned(&mut self, part: Records) -> Result<Reply, Failed> {
        let scope = part.scope;
        let key = self.server.municipality.public();
        let receipt = part.receipt.verify(&key).map_err(|_| Fault::Inconsistent)?;
        let begun = self.returning.take().filter(|(begun, _)| begun.scope == scope && begun.receipt == part.receipt);
        let (whole, held) = match begun {
            Some((mut begun, held)) => {
                begun.records.extend(part.records);
                (begun, held)
            }
            None => (part, self.server.memory.nothing([Holder::Returning])),
        };
        if whole.records.last().is_some_and(|last| last.seq < receipt.position.seq) {
            self.keep(whole, held).await?;
            return Ok(Reply::Done);
        }
        Ok(match self.server.intake.give_back(&self.device, whole).await? {
            Some(position) => Reply::Synced(vec![SyncedScope { scope, position }]),
            None => Reply::Done,
        })
    }

    /// Only while the server signs nothing: then whoever holds a receipt of ours may fill so much memory, and nobody else.
    async fn keep(&mut self, begun: Records, mut held: Held) -> Result<(), Fault> {
        let bytes: usize = begun.records.iter().map(|record| record.event.bytes().len() + RECORD_BYTES).sum();
        if !restored::is_restored(&mut self.server.db.reader().await?).await? {
            return Err(Fault::NotAllowed);
        }
        if bytes > WHOLE_BYTES {
            return Err(Fault::TooLarge);
        }
        held.set(bytes)?;
        self.returning = Some((begun, held));
        Ok(())
    }
}
