//! TLS 1.3 only, post-quantum key exchange first; and the exporter value that binds a login to its connection.
//!
//! The listener asks for a client certificate and does not demand one: devices have none, the servers of
//! added peers have one, and whoever shows any other does not get past the handshake.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, NamedGroup, ServerConfig,
    ServerConnection, SignatureScheme,
};

use crate::border;
use crate::certs::Shown;
use crate::federation::peers::{Peer, Peers};

/// The TLS exporter value of a connection: the same bytes on both ends, and on no other connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelBinding(pub [u8; 32]);

/// The certificate that is shown now; it can be renewed while the server runs.
#[derive(Debug)]
pub struct Leaf(RwLock<Arc<CertifiedKey>>);

impl Leaf {
    pub fn new(shown: Shown) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self(RwLock::new(Arc::new(certified(shown)?)))))
    }

    /// New connections are shown this one; open ones go on as they are.
    pub fn renew(&self, shown: Shown) -> Result<(), Error> {
        let key = Arc::new(certified(shown)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    fn now(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Leaf {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

impl ResolvesClientCert for Leaf {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn certified(shown: Shown) -> Result<CertifiedKey, Error> {
    CertifiedKey::from_der(shown.chain, shown.key, &provider())
}

fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519];
    provider
}

/// Between servers there is nothing to be compatible with: the hybrid group or none.
pub fn peer_provider() -> Arc<CryptoProvider> {
    let mut provider = provider();
    provider.kx_groups = vec![kx_group::X25519MLKEM768];
    Arc::new(provider)
}

/// The server's TLS configuration; HTTP/1.1 is the only protocol offered.
pub fn server_config(leaf: Arc<Leaf>, peers: Arc<Peers>) -> Result<Arc<ServerConfig>, Error> {
    let verifier = PeerClients { peers, provider: peer_provider() };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(leaf);
    border::tls_server(&mut config);
    Ok(Arc::new(config))
}

/// How this server speaks to one peer: its own certificate, and trust in that peer's authority alone.
pub fn peer_config(leaf: Arc<Leaf>, peer: Arc<Peer>) -> Result<Arc<ClientConfig>, Error> {
    let provider = peer_provider();
    let verifier = PeerServer { peer, provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // rustls' word for "a verifier of our own"; ours is stricter than the usual one
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(leaf);
    border::tls_client(&mut config);
    Ok(Arc::new(config))
}

/// Whose server is at the other end of an accepted connection: `Ok(None)` for a device, an error for a
/// server that came over anything less than the hybrid group, or is not a peer any more.
pub fn peer_of(connection: &ServerConnection, peers: &Peers) -> Result<Option<Arc<Peer>>, Error> {
    let Some(chain) = connection.peer_certificates() else {
        return Ok(None);
    };
    let group = connection.negotiated_key_exchange_group().map(|group| group.name());
    if group != Some(NamedGroup::X25519MLKEM768) {
        return Err(Error::General("servers speak over X25519MLKEM768 only".to_owned()));
    }
    let (leaf, between) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
    peers.identify(leaf, between, UnixTime::now()).map(Some)
}

/// Lets in whoever shows a certificate of an added peer, and whoever shows none.
#[derive(Debug)]
struct PeerClients {
    peers: Arc<Peers>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for PeerClients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Nobody is told which peers there are.
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.peers.identify(leaf, between, now).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts the server of exactly one peer.
#[derive(Debug)]
struct PeerServer {
    peer: Arc<Peer>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PeerServer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.peer.pin.check_server(leaf, between, host, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn no_tls12() -> Error {
    Error::General("TLS 1.2 is not spoken here".to_owned())
}

/// What a certificate of nobody we know gets.
pub fn unknown_issuer() -> Error {
    Error::InvalidCertificate(CertificateError::UnknownIssuer)
}
