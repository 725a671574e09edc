//! The road to a server: one TLS connection for one POST, or for the stream. Nothing here knows what the bytes mean.
//!
//! Everything that comes from the other side is bounded, in size and in time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, DATE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use stafett_protocol::http_signature::{EXPORTER_LABEL, SignatureHeaders};
use stafett_protocol::limits::{CONTROL_FRAME_MILLIS, CONTROL_FRAMES, FRAME_BYTES, SERVER_MESSAGE_BYTES};
use stafett_protocol::pace::Pace;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::host::clock::Clocks;
use crate::host::recording::{Direction, Recording};
use crate::host::tls::{CaHash, is_time, pinned, pinned_at_any_time};

const CONNECT_TIME: Duration = Duration::from_secs(10);
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// A problem document or a page of something: never more than this outside the stream.
const MOST_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Headers of an answer, and what is read at once.
const HEADERS: usize = 64;
const HTTP_BUFFER_BYTES: usize = 64 * 1024;
/// Beside the one frame that is written, small ones are gathered, and pongs wait in the same buffer.
const GATHERED_BYTES: usize = 128 * 1024;
const PONG_BYTES: usize = 64 * 1024;
/// So many frames that wait are handled and saved together, and no more of them than take so much room.
const TOGETHER: usize = 64;
const TOGETHER_BYTES: usize = 8 * 1024 * 1024;
const STREAM_PATH: &str = "/v1/stream";

/// What can go wrong on the road.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The address in a code or option is not `https://host[:port]`.
    #[error("not a server address: {0}")]
    Address(String),
    /// Nobody answers there, or the connection broke.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// Somebody answers, but not the server that the code named.
    #[error("the server at this address is not the one that the code names: {0}")]
    Identity(String),
    /// The right server answers; one of the two clocks is wrong, or its certificate has run out.
    #[error("the server's certificate is for another time: {0}")]
    Clock(Clocks),
    /// The server said no, with a problem document where it gave one.
    #[error("the server refused: {status} {body}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said, as text.
        body: String,
    },
    /// The server's answer is not what the protocol allows.
    #[error("the server's answer is not understood: {0}")]
    Nonsense(String),
}

/// Where a server is and how it is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPlace {
    host: String,
    port: u16,
    ca: CaHash,
}

impl ServerPlace {
    /// From the address in a code (`https://host[:port]`, nothing behind it) and the hash of its CA.
    pub fn new(url: &str, ca: CaHash) -> Result<Self, TransportError> {
        let wrong = || TransportError::Address(url.to_owned());
        let uri: hyper::Uri = url.parse().map_err(|_| wrong())?;
        if uri.scheme_str() != Some("https") || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong());
        }
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(wrong());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: authority.port_u16().unwrap_or(443), ca })
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, TransportError> {
        match self.connect_by(pinned(self.ca)).await {
            Err(TransportError::Clock(clocks)) => {
                let server = self.told_time().await.ok().flatten();
                Err(TransportError::Clock(Clocks { server, ..clocks }))
            }
            other => other,
        }
    }

    /// What the server says the time is. It is asked for nothing, and given nothing.
    async fn told_time(&self) -> Result<Option<SystemTime>, TransportError> {
        let stream = self.connect_by(pinned_at_any_time(self.ca)).await?;
        let request = Request::get("/").header(HOST, self.authority()).body(Full::<Bytes>::default());
        let request = request.map_err(|error| TransportError::Nonsense(error.to_string()))?;
        let asked = async {
            let (mut sender, connection) = http().handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
            let driver = tokio::spawn(connection);
            let answer = sender.send_request(request).await.map_err(unreachable)?;
            driver.abort();
            let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
            Ok(date.and_then(|date| httpdate::parse_http_date(date).ok()))
        };
        timeout(CONNECT_TIME, asked).await.map_err(|_| unreachable("no answer in time"))?
    }

    async fn connect_by(
        &self,
        config: Result<Arc<ClientConfig>, rustls::Error>,
    ) -> Result<TlsStream<TcpStream>, TransportError> {
        let name = ServerName::try_from(self.host.clone()).map_err(|_| TransportError::Address(self.host.clone()))?;
        let config = config.map_err(|error| TransportError::Nonsense(error.to_string()))?;
        let road = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tcp.set_nodelay(true)?;
            TlsConnector::from(config).connect(name, tcp).await
        };
        match timeout(CONNECT_TIME, road).await {
            Err(_) => Err(TransportError::Unreachable("no answer in time".to_owned())),
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(match tls_error(&error) {
                Some(inner) if is_time(inner) => {
                    TransportError::Clock(Clocks { device: SystemTime::now(), server: None })
                }
                Some(rustls::Error::InvalidCertificate(_)) => TransportError::Identity(error.to_string()),
                _ => unreachable(error),
            }),
        }
    }
}

fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

fn unreachable(error: impl std::fmt::Display) -> TransportError {
    TransportError::Unreachable(error.to_string())
}

/// Whoever answers, and whatever is asked: no more of a head is taken than this.
fn http() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HTTP_BUFFER_BYTES).max_headers(HEADERS);
    builder
}

/// One request with a binary body; the body of a 2xx answer.
pub async fn post(
    place: &ServerPlace,
    path: &str,
    body: Vec<u8>,
    recording: &Recording,
) -> Result<Vec<u8>, TransportError> {
    let stream = place.connect().await?;
    let exchange = async {
        let (mut sender, connection) = http().handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
        let driver = tokio::spawn(connection);
        recording.note(Direction::Sent, format!("POST {path}").as_bytes());
        recording.note(Direction::Sent, &body);
        let request = Request::post(path)
            .header(HOST, place.authority())
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| TransportError::Nonsense(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(unreachable)?;
        let (head, body) = response.into_parts();
        recording.note(Direction::Received, format!("{head:?}").as_bytes());
        let body = Limited::new(body, MOST_BODY_BYTES)
            .collect()
            .await
            .map_err(|error| TransportError::Unreachable(error.to_string()))?
            .to_bytes();
        recording.note(Direction::Received, &body);
        driver.abort();
        if head.status.is_success() { Ok(body.to_vec()) } else { Err(refused(head.status, &body)) }
    };
    timeout(REQUEST_TIME, exchange).await.map_err(|_| unreachable("no answer in time"))?
}

fn refused(status: StatusCode, body: &[u8]) -> TransportError {
    let status_code = status.as_u16();
    // Not a no, only "not now".
    let later = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if later || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
        return TransportError::Unreachable(format!("the server answers {status_code}"));
    }
    TransportError::Refused { status: status_code, body: String::from_utf8_lossy(body).chars().take(2000).collect() }
}

/// The open stream of frames.
pub struct FrameStream {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    recording: Arc<Recording>,
    began: Instant,
    heard: Instant,
    /// How often the server may ping: each costs an answer, which waits here if it is not read there.
    controls: Pace,
}

/// Every bound of the stream; the library's own write buffer has none.
fn stream_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(GATHERED_BYTES)
        .max_message_size(Some(SERVER_MESSAGE_BYTES))
        .max_frame_size(Some(SERVER_MESSAGE_BYTES))
        .write_buffer_size(GATHERED_BYTES)
        .max_write_buffer_size(GATHERED_BYTES + FRAME_BYTES + PONG_BYTES)
        .accept_unmasked_frames(false)
}

impl FrameStream {
    /// Opens the stream. `sign` proves which device asks (RFC 9421): it gets the path and the TLS exporter of this very
    /// connection, so that its signature is worth nothing on any other.
    pub async fn open(
        place: &ServerPlace,
        recording: Arc<Recording>,
        sign: impl FnOnce(&str, &[u8; 32]) -> SignatureHeaders,
    ) -> Result<Self, TransportError> {
        let tls = place.connect().await?;
        let (_, session) = tls.get_ref();
        let binding = session
            .export_keying_material([0u8; 32], EXPORTER_LABEL, None)
            .map_err(|error| TransportError::Nonsense(error.to_string()))?;
        let mut request = format!("wss://{}{STREAM_PATH}", place.authority())
            .into_client_request()
            .map_err(|error| TransportError::Address(error.to_string()))?;
        let signed = sign(STREAM_PATH, &binding);
        for (name, value) in [
            ("content-digest", signed.content_digest),
            ("signature-input", signed.signature_input),
            ("signature", signed.signature),
        ] {
            recording.note(Direction::Sent, format!("{name}: {value}").as_bytes());
            let value = value.parse().map_err(|_| TransportError::Nonsense(name.to_owned()))?;
            request.headers_mut().insert(name, value);
        }
        let handshake = tokio_tungstenite::client_async_with_config(request, tls, Some(stream_config()));
        let (socket, response) = timeout(REQUEST_TIME, handshake)
            .await
            .map_err(|_| unreachable("no answer in time"))?
            .map_err(stream_error)?;
        recording.note(Direction::Received, format!("{response:?}").as_bytes());
        let (now, controls) = (Instant::now(), Pace::new(CONTROL_FRAMES, CONTROL_FRAME_MILLIS));
        Ok(Self { socket, recording, began: now, heard: now, controls })
    }

    /// Sends frames in one go.
    pub async fn send(&mut self, frames: Vec<Vec<u8>>) -> Result<(), TransportError> {
        for frame in frames {
            self.recording.note(Direction::Sent, &frame);
            timeout(REQUEST_TIME, self.socket.feed(Message::Binary(frame.into())))
                .await
                .map_err(|_| unreachable("the server does not take what is sent"))?
                .map_err(stream_error)?;
        }
        timeout(REQUEST_TIME, self.socket.flush())
            .await
            .map_err(|_| unreachable("the server does not take what is sent"))?
            .map_err(stream_error)
    }

    /// The next frame; `None` when nothing came within `wait`.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<Vec<u8>>, TransportError> {
        let read = async {
            loop {
                let message = self.socket.next().await;
                self.heard = Instant::now();
                match message {
                    None | Some(Ok(Message::Close(_))) => return Err(unreachable("the stream was closed")),
                    Some(Err(error)) => return Err(stream_error(error)),
                    Some(Ok(Message::Binary(frame))) => return Ok(frame.to_vec()),
                    Some(Ok(Message::Text(_))) => {
                        return Err(TransportError::Nonsense("text on the stream".to_owned()));
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
                        if !self.controls.admit(now) {
                            return Err(TransportError::Nonsense("pings without measure".to_owned()));
                        }
                    }
                }
            }
        };
        match timeout(wait, read).await {
            Err(_) => Ok(None),
            Ok(Err(error)) => Err(error),
            Ok(Ok(frame)) => {
                self.recording.note(Direction::Received, &frame);
                Ok(Some(frame))
            }
        }
    }

    /// The next frame and those that came with it, at most [`TOGETHER`]; none when nothing came within `wait`.
    pub async fn together(&mut self, wait: Duration) -> Result<Vec<Vec<u8>>, TransportError> {
        let mut frames: Vec<Vec<u8>> = self.next(wait).await?.into_iter().collect();
        let mut bytes = frames.iter().map(Vec::len).sum::<usize>();
        while !frames.is_empty() && frames.len() < TOGETHER && bytes < TOGETHER_BYTES {
            match self.next(Duration::ZERO).await {
                Ok(Some(frame)) => {
                    bytes += frame.len();
                    frames.push(frame);
                }
                // An error shows again at the next read; what came before it counts.
                Ok(None) | Err(_) => break,
            }
        }
        Ok(frames)
    }

    /// How long nothing at all has come, pongs included.
    pub fn silence(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Asks the other side for a sign of life, so that a dead connection is noticed.
    pub async fn ping(&mut self) -> Result<(), TransportError> {
        timeout(REQUEST_TIME, self.socket.send(Message::Ping(Bytes::new())))
            .await
            .map_err(|_| unreachable("the server does not take what is sent"))?
            .map_err(stream_error)
    }

    /// Says goodbye; the answer is not waited for long.
    pub async fn close(mut self) {
        // Whatever happens here, everything of worth is saved already.
        let _ = timeout(Duration::from_millis(500), self.socket.close(None)).await;
    }
}

fn stream_error(error: WsError) -> TransportError {
    match error {
        WsError::Http(response) => {
            let status = response.status();
            let body = response.into_body().unwrap_or_default();
            refused(status, &body)
        }
        WsError::Capacity(error) => TransportError::Nonsense(error.to_string()),
        WsError::Protocol(error) => unreachable(error),
        other => unreachable(other),
    }
}

/// Waiting times between attempts: doubling, with full jitter, so that a thousand clients do not return in step.
pub struct Backoff {
    ceiling: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(60);

    /// From the start.
    pub fn fresh() -> Self {
        Self { ceiling: Self::FIRST }
    }

    /// The next wait.
    pub fn step(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(Self::LONGEST);
        let mut draw = [0u8; 4];
        // Without randomness the wait is the longest one: still correct.
        let share =
            getrandom::fill(&mut draw).map_or(1.0, |()| f64::from(u32::from_be_bytes(draw)) / f64::from(u32::MAX));
        ceiling.mul_f64(share.max(0.1))
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
