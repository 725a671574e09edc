//! Whether this device may be served, asked at the moment of each push: consents end by time, without any event, and an
//! open stream lives longer than trust.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use stafett_protocol::ids::ScopeId;

use super::catch_up::lost;
use super::requests::Failed;
use super::{Connection, End};
use crate::db::Conn;
use crate::fanout::Listener;
use crate::federation::peers::{Peer, Peers};
use crate::problem::Fault;
use crate::store::accounts;
use crate::store::readers::{self, Reader};

/// Returns once whoever is served is out: a device that was removed, a guest whose municipality is trusted no more.
pub(super) async fn until_out(listener: &Listener, peers: &Peers, guest_of: Option<&Arc<Peer>>) {
    match guest_of {
        None => listener.until_ended().await,
        Some(peer) => peers.until_changed(peer).await,
    }
}

impl Connection {
    /// Asked anew by every request, of the database: where several processes share one, another's word may be late.
    pub(super) async fn stands(&mut self) -> Result<(), Failed> {
        self.is_in().map_err(Failed::End)?;
        if self.guest_of.is_some() {
            return Ok(());
        }
        let account = accounts::device(&mut self.server.db.reader().await?, self.device.device).await?;
        let stands = account.is_some_and(|found| found.person == self.device.person);
        if stands { Ok(()) } else { Err(Failed::End(End::Removed)) }
    }

    /// Whoever was removed from the account, or has come through a server that is trusted no more, is served nothing.
    pub(super) fn is_in(&self) -> Result<(), End> {
        let peers = &self.server.federation.peers;
        let is_out = self.guest_of.as_ref().is_some_and(|peer| !peers.is_current(peer));
        if is_out || self.listener.has_ended() { Err(End::Removed) } else { Ok(()) }
    }

    /// Writes for a device that stands, all or nothing: no end of it comes before the work is done.
    pub(super) async fn write<T, F>(&mut self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, Fault>> + Send + 'static,
    {
        let device = self.device.clone();
        self.server
            .db
            .write::<T, Fault, _>(move |conn: &mut Conn| {
                Box::pin(async move {
                    if !accounts::hold(conn, &device).await? {
                        return Err(Fault::NotAuthenticated);
                    }
                    work(conn).await
                })
            })
            .await
    }

    /// The device's place in a scope as it is now, by the card too.
    pub(super) async fn place_in(&mut self, scope: ScopeId) -> Result<Option<Reader>, End> {
        self.is_in()?;
        let (device, now, is_guest) = (self.device.device, self.server.clock.now(), self.guest_of.is_some());
        let reader = async {
            let mut conn = self.server.db.reader().await?;
            if !is_guest && accounts::device(&mut conn, device).await?.is_none() {
                return Ok(Err(End::Removed));
            }
            readers::reader(&mut conn, scope, device, now).await.map(Ok)
        };
        reader.await.map_err(|e| lost(&e))?
    }

    /// Whether the device reads the scope at this moment.
    pub(super) async fn reads(&mut self, scope: ScopeId) -> Result<bool, End> {
        let now = self.server.clock.now();
        Ok(self.place_in(scope).await?.is_some_and(|reader| reader.removed_at.is_none() && reader.until > now))
    }
}
