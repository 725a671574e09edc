//! What is pinned of a peer: its certificate authority. A certificate counts if it ends in that very
//! authority, names the peer's number, and is of the kind that its place in the handshake demands.

use std::sync::Arc;

use crate::federation::certificate_name;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{Error, RootCertStore};
use stafett_protocol::ids::Municipality;

use crate::tls::{peer_provider, unknown_issuer};

/// A peer's authority, ready to judge certificates.
#[derive(Debug)]
pub struct Pin {
    authority: CertificateDer<'static>,
    name: ServerName<'static>,
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
}

impl Pin {
    /// Refuses an authority whose own certificate names another municipality.
    pub fn new(number: Municipality, authority: &[u8]) -> Result<Self, Error> {
        let authority = CertificateDer::from(authority.to_vec());
        let name = ServerName::try_from(certificate_name(number)).map_err(|_| unknown_issuer())?;
        verify_server_name(&ParsedCertificate::try_from(&authority)?, &name)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), peer_provider()).build();
        let servers = WebPkiServerVerifier::builder_with_provider(roots, peer_provider()).build();
        let unusable = |error: rustls::client::VerifierBuilderError| Error::General(error.to_string());
        Ok(Self { authority, name, clients: clients.map_err(unusable)?, servers: servers.map_err(unusable)? })
    }

    /// Whether a chain claims to end in this authority; nothing is verified.
    pub fn is_claimed(&self, between: &[CertificateDer<'_>]) -> bool {
        between.last() == Some(&self.authority)
    }

    /// A client's certificate of this peer.
    pub fn check_client(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        self.clients.verify_client_cert(leaf, between, now)?;
        verify_server_name(&ParsedCertificate::try_from(leaf)?, &self.name)
    }

    /// A server's certificate of this peer, for the host that was dialled.
    pub fn check_server(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        self.servers.verify_server_cert(leaf, between, host, &[], now)?;
        verify_server_name(&ParsedCertificate::try_from(leaf)?, &self.name)
    }
}
