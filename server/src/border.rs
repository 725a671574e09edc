//! How each library at a border is set, in one place: whatever it would decide by default stands here, or is turned off.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ServerConfig};
use stafett_protocol::limits::{BODY_BYTES, FRAME_BYTES, HEADER_BYTES, HEADER_TIMEOUT_SECONDS, SERVER_MESSAGE_BYTES};
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// What hyper reads at once; an answer's head is no larger either.
const HTTP_BUFFER_BYTES: usize = 64 * 1024;
/// Headers of one request or answer.
pub const HEADERS: usize = 64;
/// Read at once from a stream.
const READ_BYTES: usize = 8 * 1024;
/// Beside the one message that is written, pongs wait in the same buffer.
const PONG_BYTES: usize = 64 * 1024;
/// From the first byte of a TLS handshake to its last.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// Streams of frames, to devices and to peers. The library's own write buffer has no bound.
#[must_use]
pub fn websocket() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(Some(FRAME_BYTES))
        .max_frame_size(Some(FRAME_BYTES))
        // Written at once; what is not taken waits in one buffer, of one message.
        .write_buffer_size(0)
        .max_write_buffer_size(SERVER_MESSAGE_BYTES + PONG_BYTES)
        .accept_unmasked_frames(false)
}

/// Requests of anybody.
#[must_use]
pub fn http() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Also the limit between two requests on one connection.
        .header_read_timeout(Duration::from_secs(HEADER_TIMEOUT_SECONDS))
        .max_header_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .max_buf_size(HTTP_BUFFER_BYTES)
        .half_close(false)
        .pipeline_flush(false);
    builder
}

/// Requests to peers.
#[must_use]
pub fn http_client() -> hyper::client::conn::http1::Builder {
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(HTTP_BUFFER_BYTES).max_headers(HEADERS);
    builder
}

/// No extractor of axum's takes more than a body of ours, should one be used.
pub fn bodies<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(DefaultBodyLimit::max(BODY_BYTES))
}

/// Nothing is kept between connections, nothing is taken before the handshake is done, and nothing is inflated.
pub fn tls_server(config: &mut ServerConfig) {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Early data can be replayed; resumption would save little beside one long-lived stream.
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.cert_compressors = vec![];
    config.cert_decompressors = vec![];
    config.cert_compression_cache = Arc::new(rustls::compress::CompressionCache::Disabled);
}

/// The same for connections to peers.
pub fn tls_client(config: &mut ClientConfig) {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    config.cert_compressors = vec![];
    config.cert_decompressors = vec![];
    config.cert_compression_cache = Arc::new(rustls::compress::CompressionCache::Disabled);
}
