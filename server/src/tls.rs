//! TLS 1.3 only, post-quantum key exchange first; and the exporter value that binds a login to its connection.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{self, kx_group};

use crate::certs::Shown;

/// The TLS exporter value of a connection: the same bytes on both ends, and on no other connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelBinding(pub [u8; 32]);

/// The server's TLS configuration; HTTP/1.1 is the only protocol offered.
pub fn server_config(shown: Shown) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519];
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(shown.chain, shown.key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Early data can be replayed; resumption would save little beside one long-lived stream.
    config.max_early_data_size = 0;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
