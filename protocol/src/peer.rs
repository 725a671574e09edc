//! temporary
use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use crate::ids::{Municipality, PublicKey};

/// A municipality's server, by its own word.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct PeerFile {
    pub number: Municipality,
    pub name: String,
    /// `https://host:port`
    pub url: String,
    /// The certificate authority (DER) in which every certificate of the server ends.
    pub ca: VLBytes,
    pub key: PublicKey,
}

