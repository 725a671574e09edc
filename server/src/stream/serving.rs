//! Whether this device may be served, asked at the moment of each push: consents end by time, without any event, and an
//! open stream lives longer than trust.

use stafett_protocol::ids::ScopeId;

use super::catch_up::lost;
use super::{Connection, End};
use crate::store::chain::{self, Reader};

impl Connection {
    /// Whoever was removed from the account, or has come through a server that is trusted no more, is served nothing.
    pub(super) fn is_in(&self) -> Result<(), End> {
        let peers = &self.server.federation.peers;
        let is_out = self.guest_of.as_ref().is_some_and(|peer| !peers.is_current(peer));
        if is_out || self.listener.has_ended() { Err(End::Removed) } else { Ok(()) }
    }

    /// The device's place in a scope as it is now, by the card too.
    pub(super) async fn place_in(&mut self, scope: ScopeId) -> Result<Option<Reader>, End> {
        self.is_in()?;
        let (device, now) = (self.device.device, self.server.clock.now());
        let reader = async { chain::reader(&mut self.server.db.reader().await?, scope, device, now).await };
        reader.await.map_err(|e| lost(&e))
    }

    /// Whether the device reads the scope at this moment.
    pub(super) async fn reads(&mut self, scope: ScopeId) -> Result<bool, End> {
        let now = self.server.clock.now();
        Ok(self.place_in(scope).await?.is_some_and(|reader| reader.removed_at.is_none() && reader.until > now))
    }
}
