//! TLS 1.3 only, post-quantum key exchange first; and the exporter value that binds a login to its connection.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certs::Shown;

/// The TLS exporter value of a connection: the same bytes on both ends, and on no other connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelBinding(pub [u8; 32]);

/// The certificate that is shown now; it can be renewed while the server runs.
#[derive(Debug)]
pub struct Leaf(RwLock<Arc<CertifiedKey>>);

impl Leaf {
    pub fn new(shown: Shown) -> Result<Arc<Self>, rustls::Error> {
        Ok(Arc::new(Self(RwLock::new(Arc::new(certified(shown)?)))))
    }

    /// New connections are shown this one; open ones go on as they are.
    pub fn renew(&self, shown: Shown) -> Result<(), rustls::Error> {
        let key = Arc::new(certified(shown)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }
}

impl ResolvesServerCert for Leaf {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn certified(shown: Shown) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(shown.chain, shown.key, &provider())
}

fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519];
    provider
}

/// The server's TLS configuration; HTTP/1.1 is the only protocol offered.
pub fn server_config(leaf: Arc<Leaf>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(leaf);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Early data can be replayed; resumption would save little beside one long-lived stream.
    config.max_early_data_size = 0;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
