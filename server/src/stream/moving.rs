//! Requests of a transfer: to the old home, to the new one. What they do is `crate::transfer`'s.

use stafett_protocol::wire::{Reply, Request};

use super::Connection;
use super::requests::Failed;
use crate::problem::Fault;
use crate::transfer;

impl Connection {
    pub(super) async fn transfer(&mut self, request: Request) -> Result<Reply, Failed> {
        let server = &self.server;
        Ok(match request {
            Request::PrepareTransfer(asked) => {
                self.admit_guests(asked.offers.len())?;
                Reply::TransferPrepared(transfer::prepare(server, asked).await?)
            }
            Request::CommitTransfer(moving) => {
                let (events, letters) = (moving.bundle.envelopes.len(), moving.bundle.letters.len());
                self.admit_guests(events + letters)?;
                server.admission.events(self.device.device, events)?;
                server.admission.letters(self.device.device, letters)?;
                let taken = server.intake.transfer(&self.device, moving).await?;
                self.owe(taken.copied_bytes);
                Reply::TransferCommitted(taken.done)
            }
            Request::HoldTransfer(log) => {
                transfer::hold(server, &self.device, log).await?;
                Reply::Done
            }
            Request::AbortTransfer(cancelled) => {
                Reply::TransferAborted(transfer::abort(server, &self.device, cancelled).await?)
            }
            Request::Activate(tombstones) => {
                transfer::activate(server, tombstones).await?;
                Reply::Done
            }
            Request::Release(aborts) => {
                transfer::release(server, aborts).await?;
                Reply::Done
            }
            _ => return Err(Fault::NoSuchRoute.into()),
        })
    }
}
