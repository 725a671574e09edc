//! Municipalities that know each other: peer files, whose keys a home vouches for, and the relay by which
//! a device reaches another home through its own server (`docs/protocol.md` 20).

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use crate::credential::Credential;
use crate::ids::{DeviceId, Municipality, PublicKey};
use crate::signed::Signed;
use crate::wire::Problem;

/// What an operator gives to another municipality's; signed by the municipality key that it names.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct PeerFile {
    pub number: Municipality,
    pub name: String,
    /// `https://host:port`
    pub url: String,
    /// The server's CA certificate, DER.
    pub ca: VLBytes,
    pub key: PublicKey,
}

/// A home tells its devices which other municipalities' keys its operator has compared.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct PeerKeys {
    pub by: Municipality,
    pub peers: Vec<PeerKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct PeerKey {
    pub number: Municipality,
    pub name: String,
    pub key: PublicKey,
}

/// From a device to its own server: pass this on. Only a refusal is answered, under the frame's id.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct RelayFrame {
    pub to: Municipality,
    pub payload: RelayPayload,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum RelayPayload {
    #[tls_codec(discriminant = 1)]
    Open,
    /// First a [`RelayLogin`], then [`crate::wire::ClientFrame`]s.
    #[tls_codec(discriminant = 2)]
    Message(VLBytes),
    #[tls_codec(discriminant = 3)]
    Close,
}

/// From the own server: what came from the other one.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct RelayedFrame {
    pub from: Municipality,
    pub payload: RelayedPayload,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum RelayedPayload {
    /// First a [`RelayChallenge`], then [`crate::wire::ServerFrame`]s.
    #[tls_codec(discriminant = 1)]
    Message(VLBytes),
    #[tls_codec(discriminant = 2)]
    Closed(Problem),
}

/// The other home's first words: fresh random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct RelayChallenge {
    pub challenge: [u8; 32],
}

/// Signed by the device: it, and no relaying server, opens this stream at this home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct RelayHello {
    pub challenge: [u8; 32],
    pub home: Municipality,
    pub device: DeviceId,
}

/// The device's answer to a challenge, and who it is.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct RelayLogin {
    pub hello: Signed<RelayHello>,
    pub credential: Credential,
    /// For letters; its hash stands in the credential.
    pub letter_key: VLBytes,
}
