//! What this server sends to peers: to added ones only, over mutual TLS, one request a connection, with
//! bounds on time and size, and never to where an answer points (attacks F12, F13). What is answered is counted in
//! memory against the peer as long as it is there.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use stafett_protocol::ids::Municipality;
use stafett_protocol::refusal::Refusal;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as WsError, http::StatusCode as WsStatus};

use super::address::BadAddress;
use super::peers::{Peer, Peers};
use crate::border;
use crate::budget::memory::{Held, Holder, Memory};
use crate::http::body;
use crate::metered::{Meter, Metered};
use crate::problem::Fault;
use crate::tls::{Leaf, peer_config};

/// Time until the connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for a request and its whole answer.
const WHOLE: Duration = Duration::from_secs(20);
/// A refusal says little.
const PROBLEM_BYTES: usize = 16 * 1024;

/// A stream of messages with a peer.
pub type PeerStream = WebSocketStream<Metered<TlsStream<TcpStream>>>;

/// Why a peer did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("that municipality has not been added as a peer here")]
    Unknown,
    #[error("the peer's address is not used: {0}")]
    Address(#[from] BadAddress),
    #[error("the peer cannot be reached; try again later")]
    Unreachable,
    #[error("the server at the peer's address is not the one that was added")]
    NotThePeer,
    #[error("the peer has not added this municipality, or with another key")]
    NotAdded,
    #[error("the peer speaks another version of the protocol; update the older server")]
    Version,
    #[error("the peer's answer is not one")]
    Answer,
    #[error("the peer refused: {0}")]
    Refused(Refusal),
    #[error("the peer is busy; try again later")]
    Busy,
}

/// Everything that leaves this server for another.
pub struct Outgoing {
    peers: Arc<Peers>,
    leaf: Arc<Leaf>,
    memory: Arc<Memory>,
}

impl Outgoing {
    #[must_use]
    pub fn new(peers: Arc<Peers>, leaf: Arc<Leaf>, memory: Arc<Memory>) -> Self {
        Self { peers, leaf, memory }
    }

    /// One request, its answer at most `most` bytes long; they are held until the last copy of them is gone.
    pub async fn ask(
        &self,
        to: Municipality,
        method: Method,
        path: &str,
        body: Vec<u8>,
        most: usize,
    ) -> Result<Bytes, PeerError> {
        let peer = self.peers.get(to).ok_or(PeerError::Unknown)?;
        let asked = async {
            let stream = self.connect(&peer).await?;
            let held = self.memory.nothing([Holder::Peer(to)]);
            exchange(stream, &peer, (method, path, body), most, held).await
        };
        tokio::time::timeout(WHOLE, asked).await.map_err(|_| PeerError::Unreachable)?
    }

    /// Opens a stream of messages.
    pub async fn open(&self, to: Municipality, path: &str) -> Result<(PeerStream, Arc<Meter>), PeerError> {
        let peer = self.peers.get(to).ok_or(PeerError::Unknown)?;
        let opened = async {
            let stream = self.connect(&peer).await?;
            let url = format!("wss://{}{path}", authority(&peer));
            let request = url.into_client_request().map_err(|_| PeerError::Answer)?;
            let (stream, meter) = Metered::new(stream);
            let config = border::websocket();
            let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
            opened.map(|(stream, _)| (stream, meter)).map_err(|error| stream_error(&error))
        };
        tokio::time::timeout(WHOLE, opened).await.map_err(|_| PeerError::Unreachable)?
    }

    async fn connect(&self, peer: &Arc<Peer>) -> Result<TlsStream<TcpStream>, PeerError> {
        let address = peer.address.resolve().await?;
        let host = ServerName::try_from(peer.address.host.clone()).map_err(|_| PeerError::Address(BadAddress::Form))?;
        let config = peer_config(Arc::clone(&self.leaf), Arc::clone(peer)).map_err(|_| PeerError::Answer)?;
        let connected = async {
            let socket = TcpStream::connect(address).await.map_err(|_| PeerError::Unreachable)?;
            let _ = socket.set_nodelay(true);
            TlsConnector::from(config).connect(host, socket).await.map_err(|error| tls_error(&error))
        };
        tokio::time::timeout(CONNECT, connected).await.map_err(|_| PeerError::Unreachable)?
    }
}

fn authority(peer: &Peer) -> String {
    let (host, port) = (&peer.address.host, peer.address.port);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

async fn exchange(
    stream: TlsStream<TcpStream>,
    peer: &Peer,
    (method, path, body): (Method, &str, Vec<u8>),
    most: usize,
    mut held: Held,
) -> Result<Bytes, PeerError> {
    let (mut sender, connection) =
        border::http_client().handshake(TokioIo::new(stream)).await.map_err(|error| source_error(&error))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority(peer))
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| PeerError::Answer)?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| source_error(&error))?;
        let status = response.status();
        // Nothing but the answer itself counts: no redirect is followed, no other success is one.
        let bound = if status == StatusCode::OK { most } else { PROBLEM_BYTES };
        let body = body::of(response.into_body(), &mut held, bound).await.map_err(|fault| match fault {
            Fault::TooManyRequests => PeerError::Busy,
            _ => PeerError::Answer,
        })?;
        if status == StatusCode::OK { Ok(body::kept(body, held)) } else { Err(refused(status, &body)) }
    };
    let mut answered = std::pin::pin!(answered);
    // The connection lives as long as the question.
    let ended = tokio::select! {
        answer = answered.as_mut() => return answer,
        ended = connection => ended,
    };
    // It ended first: with everything that was asked for, or with the reason why there is no answer.
    answered.await.map_err(|error| match (error, ended) {
        (PeerError::Answer, Err(ended)) => source_error(&ended),
        (error, _) => error,
    })
}

/// What a refusal means here. Only codes of the protocol are passed on, never a peer's own words.
fn refused(status: StatusCode, body: &[u8]) -> PeerError {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let code = problem.get("code").and_then(|code| code.as_str()).unwrap_or_default();
    if code == "peer-version" || code == "no-such-route" {
        return PeerError::Version;
    }
    if code == "peer-unknown" {
        return PeerError::NotAdded;
    }
    let refusal = Refusal::ALL.iter().copied().find(|refusal| refusal.code() == code);
    match refusal {
        Some(refusal) => PeerError::Refused(refusal),
        None if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => PeerError::Busy,
        None => PeerError::Answer,
    }
}

fn stream_error(error: &WsError) -> PeerError {
    match error {
        WsError::Http(response) if response.status() == WsStatus::NOT_FOUND => PeerError::Version,
        WsError::Http(response) if response.status() == WsStatus::TOO_MANY_REQUESTS => PeerError::Busy,
        WsError::Http(response) if response.status().is_server_error() => PeerError::Busy,
        WsError::Http(_) => PeerError::Answer,
        other => source_error(other),
    }
}

fn tls_error(error: &io::Error) -> PeerError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(_)) => PeerError::NotAdded,
        Some(_) => PeerError::NotThePeer,
        None => PeerError::Unreachable,
    }
}

/// In TLS 1.3 the other side's verdict on our certificate comes with the first bytes that are read.
fn source_error(error: &(dyn StdError + 'static)) -> PeerError {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return tls_error(error);
        }
        next = error.source();
    }
    PeerError::Answer
}
