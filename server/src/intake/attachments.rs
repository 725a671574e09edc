//! A change refers to attachments that are here already, all their parts, or it does not enter the chain.

use stafett_protocol::event::{Body, Event};
use stafett_protocol::refusal::Refusal;

use super::judging::Judging;
use crate::problem::Fault;
use crate::store::attachments;

impl Judging<'_> {
    /// A restored home takes back what it has signed, though a file may be lost: what is here of those that are named
    /// stays.
    pub async fn keep_returned(&mut self, event: &Event) -> Result<(), Fault> {
        let Body::Change(change) = &event.body else { return Ok(()) };
        for attachment in &change.attachments {
            attachments::keep(self.conn, event.scope, attachment).await?;
        }
        Ok(())
    }

    pub async fn keep_attachments(&mut self, event: &Event) -> Result<(), Fault> {
        let Body::Change(change) = &event.body else { return Ok(()) };
        for attachment in &change.attachments {
            if !attachments::keep(self.conn, event.scope, attachment).await? {
                return Err(Refusal::AttachmentMissing.into());
            }
        }
        Ok(())
    }
}
