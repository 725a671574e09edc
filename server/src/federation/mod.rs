//! Other municipalities' servers: who they are, how they are reached, what passes between them
//! (`docs/protocol.md` 20). Only peers that the operator has added are ever believed or contacted.

pub mod address;
pub mod outgoing;
pub mod peers;
pub mod pin;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stafett_protocol::credential::MunicipalityKey;

use crate::budget::memory::Memory;
use crate::certs::{self, Authority, CertificateError};
use crate::municipality::Municipality;
use crate::tls::Leaf;
use outgoing::Outgoing;
use peers::Peers;

/// The DNS name that stands in every certificate of a municipality's server beside its host: a
/// certificate says whose it is, and no other authority's word on it counts. The number is not the first
/// label, since a wildcard stands for that one.
#[must_use]
pub fn certificate_name(number: u16) -> String {
    format!("server.{number:04}.stafett.internal")
}

/// Where a peer asks whether it is known.
pub const HELLO_PATH: &str = "/v1/peer";
/// Where a peer opens a stream for one of its devices.
pub const RELAY_PATH: &str = "/v1/peer/relay";
/// The version of what servers say to each other; it stands in every path.
pub const VERSION: u16 = 1;

/// The answer to a peer that is known.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    pub number: u16,
    pub version: u16,
    pub time_ms: u64,
}

/// What a server has to do with others: whom it believes, and how it speaks to them.
pub struct Federation {
    pub peers: Arc<Peers>,
    pub outgoing: Outgoing,
    /// What is held in memory for whom, in the whole server.
    pub memory: Arc<Memory>,
    leaf: Arc<Leaf>,
}

impl Federation {
    /// Without peers, until they are read.
    pub fn new(municipality: &Municipality, authority: &Authority) -> Result<Self, FederationError> {
        let own = MunicipalityKey { number: municipality.number, key: municipality.public() };
        let peers = Peers::new(own);
        let leaf = Leaf::new(certs::new_client_leaf(authority)?)?;
        let memory = Arc::<Memory>::default();
        let outgoing = Outgoing::new(Arc::clone(&peers), Arc::clone(&leaf), Arc::clone(&memory));
        Ok(Self { peers, outgoing, memory, leaf })
    }

    /// Shows peers a new certificate from now on.
    pub fn renew(&self, authority: &Authority) -> Result<(), FederationError> {
        Ok(self.leaf.renew(certs::new_client_leaf(authority)?)?)
    }
}

/// The certificate for peers could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FederationError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}
