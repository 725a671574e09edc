//! What a device has missed: of scopes, from the database, page by page; and its mail.

use std::sync::Arc;

use stafett_protocol::event::Position;
use stafett_protocol::federation::{PeerKey, PeerKeys};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{Greeting, Mail, Records, Reply, ScopePosition, SyncedScope};

use super::{Connection, End, Follow};
use crate::db::StoreError;
use crate::federation::peers::Peer;
use crate::store::chain::HomeStanding;
use crate::store::readers::{self, Reader};
use crate::store::{accounts, chain, mail, packages, transfers};

/// The store failed under a push: the connection ends, and the device syncs when it is back.
pub(super) fn lost(error: &StoreError) -> End {
    tracing::error!(%error, "a push could not be read");
    End::Gone
}

impl Connection {
    /// Waiting mail first, then who the server thinks you are. What it says is read before the mail: the Welcome to every
    /// scope that it names has been sent then.
    pub(super) async fn greet(&mut self) -> Result<(), End> {
        let greeting = self.greeting().await.map_err(|e| lost(&e))?;
        self.push_mail().await?;
        self.reply(0, Reply::Welcome(greeting)).await
    }

    async fn greeting(&mut self) -> Result<Greeting, StoreError> {
        let mut conn = self.server.db.reader().await?;
        let now = self.server.clock.now();
        let person = accounts::person(&mut conn, self.device.person).await?;
        let unit = match person.and_then(|person| person.unit) {
            Some(unit) => accounts::unit(&mut conn, unit).await?,
            None => None,
        };
        Ok(Greeting {
            municipality: self.server.municipality.number,
            time: now,
            key_packages: packages::count(&mut conn, self.device.device, now).await?,
            unit,
            scopes: readers::scopes_of(&mut conn, self.device.device, now).await?,
        })
    }

    /// Whose keys the operator has compared, if the device has not been told; guests hear it from their own municipality.
    pub(super) fn new_peer_keys(&mut self) -> Option<Signed<PeerKeys>> {
        let known = self.server.federation.peers.known();
        if self.guest_of.is_some() || known.version == self.told_peers {
            return None;
        }
        self.told_peers = known.version;
        let key = |peer: &Arc<Peer>| PeerKey { number: peer.number, name: peer.name.clone(), key: peer.key };
        let municipality = &self.server.municipality;
        let keys = PeerKeys { by: municipality.number, peers: known.peers.iter().map(key).collect() };
        Some(municipality.sign(&keys))
    }

    pub(super) async fn push_mail(&mut self) -> Result<(), End> {
        let device = self.device.device;
        let waiting = async { mail::waiting(&mut self.server.db.reader().await?, device).await };
        for id in waiting.await.map_err(|e| lost(&e))? {
            if self.mailed.contains(&id) {
                continue;
            }
            let item = async { mail::item(&mut self.server.db.reader().await?, device, id).await };
            if let Some(item) = item.await.map_err(|e| lost(&e))? {
                self.is_in()?;
                // A Welcome opens what was written until it came: it waits for whoever may read at this moment.
                if let Mail::Welcome(welcome) = &item.mail
                    && !self.reads(welcome.scope).await?
                {
                    continue;
                }
                self.mailed.insert(id);
                self.reply(0, Reply::Mail(item)).await?;
            }
        }
        Ok(())
    }

    /// Pushes were lost, or another process's may have been.
    pub(super) async fn catch_up_everything(&mut self) -> Result<(), End> {
        // What was lost may have been the end of this very device.
        if self.guest_of.is_none() {
            let device = self.device.device;
            let account = async { accounts::device(&mut self.server.db.reader().await?, device).await };
            if account.await.map_err(|e| lost(&e))?.is_none() {
                return Err(End::Removed);
            }
        }
        let scopes: Vec<ScopeId> = self.follows.keys().copied().collect();
        for scope in scopes {
            self.catch_up(scope).await?;
        }
        self.push_mail().await
    }

    /// Sends what is new in a followed scope.
    pub(super) async fn catch_up(&mut self, scope: ScopeId) -> Result<(), End> {
        let Some(follow) = self.follows.get(&scope).copied() else {
            return Ok(());
        };
        let from = ScopePosition { scope, seq: follow.cursor };
        self.sync(from).await.map(drop)
    }

    /// Sends everything after a position and follows the scope from there on.
    pub(super) async fn sync(&mut self, from: ScopePosition) -> Result<SyncedScope, End> {
        let scope = from.scope;
        // Followed before it is read: what is committed meanwhile waits in the queue.
        self.server.fanout.follow(scope, &self.listener);
        let reader = self.place_in(scope).await?;
        let now = self.server.clock.now();
        let nothing = SyncedScope { scope, position: None };
        // Whoever was removed earlier does not learn where the log went.
        let took_part = |reader: &Reader| reader.removed_at.is_none() && (reader.until == 0 || reader.until > now);
        if let Some(reader) = reader.filter(|reader| reader.standing == HomeStanding::Moved && took_part(reader)) {
            return self.sync_moved(from, reader.until > now).await;
        }
        let Some(reader) = reader.filter(|reader| reader.until > now || reader.removed_at.is_some()) else {
            self.unfollow(scope);
            return Ok(nothing);
        };
        if let Some(removed_at) = reader.removed_at {
            self.unfollow(scope);
            if from.seq < removed_at {
                self.send_removal(scope, removed_at).await?;
            }
            return Ok(nothing);
        }
        let position = async { chain::position(&mut self.server.db.reader().await?, scope).await };
        let mut position = position.await.map_err(|e| lost(&e))?.unwrap_or_default();
        let mut cursor = from.seq;
        while let Some(last) = self.send_page(scope, cursor, u64::MAX).await? {
            // A slow reader takes its pages for a long time.
            if !self.reads(scope).await? {
                self.unfollow(scope);
                return Ok(nothing);
            }
            cursor = last.seq;
            if last.seq > position.seq {
                position = last;
            }
        }
        self.follows.insert(scope, Follow { cursor });
        Ok(SyncedScope { scope, position: Some(position) })
    }

    /// A scope that has moved: what was received here, to whoever could still read it then, and where it
    /// went. Who is listed hears the latter too: the new home removes them, and theirs is the way there.
    async fn sync_moved(&mut self, from: ScopePosition, reads: bool) -> Result<SyncedScope, End> {
        let scope = from.scope;
        let found = async { transfers::tombstone(&mut self.server.db.reader().await?, scope).await };
        // A restored home that was given back the commit which moved the scope has the records, but not its own last word.
        let tombstone = found.await.map_err(|e| lost(&e))?;
        let position = match &tombstone {
            Some(tombstone) => {
                let receipt = tombstone.peek().and_then(|tombstone| tombstone.receipt.peek());
                receipt.map_err(|_| lost(&StoreError::Damaged("transfer")))?.position
            }
            None => {
                let position = async { chain::position(&mut self.server.db.reader().await?, scope).await };
                position.await.map_err(|e| lost(&e))?.unwrap_or_default()
            }
        };
        let mut cursor = from.seq;
        while reads && let Some(last) = self.send_page(scope, cursor, position.seq).await? {
            cursor = last.seq;
            if !self.reads(scope).await? {
                break;
            }
        }
        if let Some(tombstone) = tombstone {
            self.moved(scope, tombstone).await?;
        }
        Ok(SyncedScope { scope, position: reads.then_some(position) })
    }

    async fn send_page(&mut self, scope: ScopeId, after: u64, upto: u64) -> Result<Option<Position>, End> {
        let page = async { chain::page(&mut self.server.db.reader().await?, scope, after, upto).await };
        let Some((records, receipt)) = page.await.map_err(|e| lost(&e))? else {
            return Ok(None);
        };
        let position = receipt.peek().map_err(|_| lost(&StoreError::Damaged("receipt")))?.position;
        let records = Records { scope, records, receipt };
        self.reply(0, Reply::Records(records)).await?;
        Ok(Some(position))
    }

    /// To a removed device: the commit that removed it, and nothing else.
    async fn send_removal(&mut self, scope: ScopeId, seq: u64) -> Result<(), End> {
        let one = async { chain::one(&mut self.server.db.reader().await?, scope, seq).await };
        let Some((record, receipt)) = one.await.map_err(|e| lost(&e))? else {
            return Ok(());
        };
        let records = Records { scope, records: vec![record], receipt };
        self.reply(0, Reply::Records(records)).await
    }
}
