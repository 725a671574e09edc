//! Members' checkpoints and pages of history. Whoever may read a scope now may store one there and is served
//! others'; whether one is used, its reader decides.

use stafett_protocol::checkpoint::{Checkpoint, CheckpointPart};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::limits::{CHECKPOINT_BYTES, CHECKPOINT_PART_BYTES, SYNC_SCOPES};
use stafett_protocol::refusal::Refusal;
use stafett_protocol::wire::{Records, Reply, ScopePosition};

use super::Connection;
use super::requests::Failed;
use crate::db::Conn;
use crate::problem::Fault;
use crate::store::readers;
use crate::store::{chain, checkpoints};

impl Connection {
    /// Unknown and forbidden look alike.
    pub(super) async fn may_read(&mut self, scope: ScopeId) -> Result<(), Fault> {
        if self.is_in().is_err() {
            return Err(Refusal::UnknownScope.into());
        }
        let (device, now) = (self.device.device, self.server.clock.now());
        let reader = readers::reader(&mut self.server.db.reader().await?, scope, device, now).await?;
        let reads =
            reader.is_some_and(|r| r.standing == chain::HomeStanding::Home && r.until > now && r.removed_at.is_none());
        if reads { Ok(()) } else { Err(Refusal::UnknownScope.into()) }
    }

    pub(super) async fn put_checkpoint_part(&mut self, part: CheckpointPart) -> Result<Reply, Failed> {
        self.may_read(part.scope).await?;
        if part.bytes.as_slice().len() > CHECKPOINT_PART_BYTES {
            return Err(Fault::TooLarge.into());
        }
        let device = self.device.device;
        self.write(move |conn: &mut Conn| {
            Box::pin(async move { Ok(checkpoints::put_part(conn, part.scope, device, part.bytes.as_slice()).await?) })
        })
        .await?;
        Ok(Reply::Done)
    }

    pub(super) async fn put_checkpoint(&mut self, checkpoint: Checkpoint) -> Result<Reply, Failed> {
        let head = checkpoint.head.verify(&self.device.key).map_err(|_| Fault::Inconsistent)?;
        if head.author != self.device.key {
            return Err(Fault::NotAllowed.into());
        }
        self.may_read(head.scope).await?;
        let most = CHECKPOINT_BYTES / CHECKPOINT_PART_BYTES + 1;
        if head.parts.len() > most || checkpoint.facts.as_slice().len() > CHECKPOINT_PART_BYTES {
            return Err(Fault::TooLarge.into());
        }
        let stored = self
            .write(move |conn: &mut Conn| {
                Box::pin(async move {
                    let here = chain::position(conn, head.scope).await?.unwrap_or_default();
                    Ok(head.position.seq <= here.seq && checkpoints::put(conn, &head, &checkpoint).await?)
                })
            })
            .await?;
        if stored { Ok(Reply::Done) } else { Err(Fault::Inconsistent.into()) }
    }

    /// Where a checkpoint lies further ahead than this device has read: pushes it, and answers from where the
    /// records are wanted then.
    pub(super) async fn skip_ahead(&mut self, from: ScopePosition) -> Result<ScopePosition, Failed> {
        if self.may_read(from.scope).await.is_err() {
            return Ok(from);
        }
        let ahead = checkpoints::ahead(&mut self.server.db.reader().await?, from.scope, from.seq).await?;
        let Some(checkpoint) = ahead else { return Ok(from) };
        let head = checkpoint.head.peek().map_err(|_| Fault::Internal)?;
        self.reply(0, Reply::Checkpoint(checkpoint)).await.map_err(Failed::End)?;
        for hash in &head.parts {
            let bytes = checkpoints::part(&mut self.server.db.reader().await?, head.scope, head.device(), hash).await?;
            // Replaced meanwhile: the device asks again without.
            let Some(bytes) = bytes else { break };
            self.may_read(from.scope).await?;
            let part = CheckpointPart { scope: head.scope, bytes: bytes.into() };
            self.reply(0, Reply::CheckpointPart(part)).await.map_err(Failed::End)?;
        }
        Ok(ScopePosition { scope: from.scope, seq: head.position.seq })
    }

    pub(super) async fn history(&mut self, after: ScopePosition) -> Result<Reply, Failed> {
        self.may_read(after.scope).await?;
        let page = chain::page(&mut self.server.db.reader().await?, after.scope, after.seq, u64::MAX).await?;
        Ok(page
            .map_or(Reply::Done, |(records, receipt)| Reply::Records(Records { scope: after.scope, records, receipt })))
    }

    pub(super) async fn sync_ahead(&mut self, positions: Vec<ScopePosition>) -> Result<Reply, Failed> {
        let positions = super::requests::distinct(positions, SYNC_SCOPES, |position| position.scope)?;
        let mut synced = Vec::with_capacity(positions.len());
        for position in positions {
            let from = self.skip_ahead(position).await?;
            synced.push(self.sync(from).await.map_err(Failed::End)?);
        }
        Ok(Reply::Synced(synced))
    }
}
