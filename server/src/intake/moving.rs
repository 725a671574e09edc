//! What a bundle does beyond its events when scopes move away: the states of `protocol::transfer` change in
//! the transaction that stores the commits, and the tombstones are signed in it.

use stafett_protocol::event::{Body, Event, Receipt, Record};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::{HomeAccept, Source, SourceInput, Tombstone};
use stafett_protocol::wire::Envelope;

use super::judging::Judging;
use crate::problem::Fault;
use crate::store::chain::{self, HomeStanding};
use crate::store::transfers;

/// A move that has been decided and has no receipt yet.
pub(super) struct Leaving {
    source: Source,
    accept: HomeAccept,
    signed: Signed<HomeAccept>,
}

/// The envelope of a handover, as its new home may have accepted it.
pub(super) fn moving_envelope(event: &Event, record: &Record, welcome: Option<&[u8]>) -> Option<Envelope> {
    let Body::Commit(commit) = &event.body else { return None };
    let welcome = welcome.map(|welcome| welcome.to_vec().into());
    commit.handover.as_ref().map(|_| Envelope { event: record.event.clone(), welcome })
}

impl Judging<'_> {
    /// Whether this home orders the scope's events at all, and takes changes now.
    pub async fn check_standing(&mut self, event: &Event) -> Result<(), Fault> {
        self.check_home(event.scope).await?;
        let held = self.places.place(event.scope)?.held_until > self.now;
        if held && matches!(event.body, Body::Change(_)) { Err(Refusal::Held.into()) } else { Ok(()) }
    }

    /// Refuses a scope whose home is elsewhere, or not here yet.
    pub async fn check_home(&mut self, scope: ScopeId) -> Result<(), Fault> {
        let refusal = match self.places.place(scope)?.standing {
            HomeStanding::Home => return Ok(()),
            HomeStanding::Moved => Refusal::Moved,
            HomeStanding::Fetched if transfers::is_bound(self.conn, scope).await? => Refusal::NotActivated,
            HomeStanding::Fetched => Refusal::UnknownScope,
        };
        Err(refusal.into())
    }

    /// The scope would move with the commit in hand: whether its new home has accepted exactly that.
    pub async fn leave(&mut self, own: HomeAccept) -> Result<(), Fault> {
        let accepts = self.accepts.iter();
        let signed = accepts.into_iter().find(|signed| signed.peek().is_ok_and(|accept| accept.scope == own.scope));
        let signed = signed.cloned().ok_or(Refusal::AcceptMismatch)?;
        let key = self.known.trusted.key(own.to).ok_or(Refusal::NotIdentified)?;
        let accept = signed.verify(key).map_err(|_| Refusal::BadSignature)?;
        let source = transfers::source(self.conn, own.scope, epoch_before(&own)).await?;
        let (source, _) = source.step(SourceInput::Commit { accept: &accept, own: &own })?;
        self.leaving = Some(Leaving { source, accept, signed });
        Ok(())
    }

    /// The commit point: with this transaction the scope is the new home's.
    pub async fn let_go(&mut self, leaving: Leaving, receipt: Signed<Receipt>) -> Result<(), Fault> {
        let Leaving { source, accept, signed } = leaving;
        let HomeAccept { scope, log, from, to, .. } = accept;
        let tombstone = Tombstone { scope, log, from, to, receipt, accept: signed };
        let tombstone = self.shared.municipality.sign(&tombstone);
        transfers::save_source(self.conn, scope, epoch_before(&accept), &source, Some(&tombstone)).await?;
        chain::set_standing(self.conn, scope, HomeStanding::Moved).await?;
        self.tombstones.push(tombstone);
        Ok(())
    }

    /// The tombstones of a bundle that was accepted before.
    pub async fn tombstones_before(&mut self) -> Result<Vec<Signed<Tombstone>>, Fault> {
        let mut found = Vec::new();
        for signed in &self.accepts {
            let accept = signed.peek()?;
            found.extend(transfers::tombstone_at(self.conn, accept.scope, epoch_before(&accept)).await?);
        }
        Ok(found)
    }
}

/// The home epoch under which the old home serves.
pub(crate) fn epoch_before(accept: &HomeAccept) -> u32 {
    accept.home_epoch.saturating_sub(1)
}
