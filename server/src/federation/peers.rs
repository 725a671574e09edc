//! The municipalities that this server believes, live: what the operator adds beside the running server
//! counts within a second.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::Error;
use rustls::pki_types::{CertificateDer, UnixTime};
use stafett_protocol::code::key_hash;
use stafett_protocol::credential::{Municipalities, MunicipalityKey};
use stafett_protocol::federation::PeerFile;
use stafett_protocol::ids::{Hash, Municipality, PublicKey};
use stafett_protocol::signed::Signed;
use stafett_protocol::text;

use super::address::{Address, BadAddress};
use super::pin::Pin;
use crate::db::{Db, StoreError};
use crate::server::Server;
use crate::store;
use crate::tls::unknown_issuer;
use tokio::sync::watch;

const LOOK: Duration = Duration::from_secs(1);

/// One added peer, everything about it checked and ready to use.
#[derive(Debug)]
pub struct Peer {
    pub number: Municipality,
    pub name: String,
    pub url: String,
    pub address: Address,
    pub key: PublicKey,
    pub pin: Pin,
    signed: Signed<PeerFile>,
}

/// Why a description is no peer.
#[derive(Debug, thiserror::Error)]
pub enum NotAPeer {
    #[error("the signature does not match the key in the file")]
    Signature,
    #[error("the number is none of a municipality")]
    Number,
    #[error("the name cannot be shown as it stands")]
    Name,
    #[error("the certificate authority is not that of this municipality: {0}")]
    Certificate(#[from] Error),
    #[error("{0}")]
    Address(#[from] BadAddress),
}

impl Peer {
    /// Checks a description: signature, number in the certificate, form of the address.
    pub fn of(signed: &Signed<PeerFile>) -> Result<Self, NotAPeer> {
        let described = signed.peek().map_err(|_| NotAPeer::Signature)?;
        // Nobody else signs it. The key is not trusted by this: a person has compared its fingerprint.
        signed.verify(&described.key).map_err(|_| NotAPeer::Signature)?;
        if !(1..=9999).contains(&described.number) {
            return Err(NotAPeer::Number);
        }
        // What is shown is what was signed, or it is no peer.
        if text::MUNICIPALITY.take(&described.name).ok().as_ref() != Some(&described.name) {
            return Err(NotAPeer::Name);
        }
        Ok(Self {
            number: described.number,
            address: Address::parse(&described.url)?,
            pin: Pin::new(described.number, described.ca.as_slice())?,
            name: described.name,
            url: described.url,
            key: described.key,
            signed: signed.clone(),
        })
    }

    /// What two operators read to each other.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        key_hash(&self.key)
    }
}

/// Own key and peers at one moment.
#[derive(Debug, Default)]
pub struct Known {
    /// Raised by every change of the table; 0 before the first.
    pub version: i64,
    /// The keys that credentials may chain to.
    pub trusted: Municipalities,
    pub peers: Vec<Arc<Peer>>,
}

/// The present [`Known`].
#[derive(Debug)]
pub struct Peers {
    own: MunicipalityKey,
    known: RwLock<Arc<Known>>,
    /// The version that is known: whoever lives by somebody's trust waits for it to change.
    changed: watch::Sender<i64>,
}

impl Peers {
    #[must_use]
    pub fn new(own: MunicipalityKey) -> Arc<Self> {
        let known = Known { trusted: Municipalities(vec![own]), ..Known::default() };
        Arc::new(Self { own, known: RwLock::new(Arc::new(known)), changed: watch::Sender::default() })
    }

    #[must_use]
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    #[must_use]
    pub fn get(&self, number: Municipality) -> Option<Arc<Peer>> {
        self.known().peers.iter().find(|peer| peer.number == number).cloned()
    }

    /// Whether this is still what the operator trusts: connections live longer than trust.
    #[must_use]
    pub fn is_current(&self, peer: &Arc<Peer>) -> bool {
        self.known().peers.iter().any(|now| Arc::ptr_eq(now, peer))
    }

    /// Hears of every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<i64> {
        self.changed.subscribe()
    }

    /// Returns once the peer is no longer what it was.
    pub async fn until_changed(&self, peer: &Arc<Peer>) {
        let mut changes = self.changes();
        while self.is_current(peer) && changes.changed().await.is_ok() {}
    }

    /// Whose client certificate this is.
    pub fn identify(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Arc<Peer>, Error> {
        let known = self.known();
        let peer = known.peers.iter().find(|peer| peer.pin.is_claimed(between)).ok_or_else(unknown_issuer)?;
        peer.pin.check_client(leaf, between, now)?;
        Ok(Arc::clone(peer))
    }

    /// Reads the table if it has changed; answers whether it had.
    pub async fn refresh(&self, db: &Db) -> Result<bool, StoreError> {
        let mut conn = db.reader().await?;
        let version = store::peers::version(&mut conn).await?;
        if version == self.known().version {
            return Ok(false);
        }
        let before = self.known();
        let mut known = Known { version, trusted: Municipalities(vec![self.own]), peers: vec![] };
        for added in store::peers::all(&mut conn).await? {
            // Open connections know their peer by this very object: it stays while nothing about it changes.
            let same = before.peers.iter().find(|peer| peer.signed == added.signed).cloned();
            match same.map_or_else(|| Peer::of(&added.signed).map(Arc::new), Ok) {
                Ok(peer) if peer.number != self.own.number => {
                    known.trusted.0.push(MunicipalityKey { number: peer.number, key: peer.key });
                    known.peers.push(peer);
                }
                // It was checked when it was added: somebody has written into the database.
                _ => tracing::error!("a stored peer is not believed; run `stafettd doctor`"),
            }
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
        self.changed.send_replace(version);
        Ok(true)
    }
}

/// Looks for changes until the server stops.
pub async fn follow(server: Arc<Server>) {
    let mut stop = server.stop.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = crate::accept::stopped(&mut stop) => return,
        }
        if let Err(error) = server.federation.peers.refresh(&server.db).await {
            tracing::error!(%error, "the peers were not read");
        }
    }
}
