//! A stream of frames as this server speaks it. A frame is one WebSocket message in one piece. Pings and whatever else is no
//! frame have a pace; a pong is written before anything else is read, so that at most one waits; and buffers that have
//! grown by a large frame do not stay.

use std::time::Instant;
use std::{io, sync::Arc};

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::{IntoResponse as _, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use stafett_protocol::limits::{CONTROL_FRAME_MILLIS, CONTROL_FRAMES};
use stafett_protocol::pace::Pace;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, frame::coding::CloseCode};

use crate::border;
use crate::budget::table::{BUFFER_KEPT_BYTES, SEND};
use crate::metered::{Meter, Taken};
use crate::problem::Fault;

/// A request to become a stream.
pub struct Upgrade {
    key: HeaderValue,
    upgrade: OnUpgrade,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let says = |name, what| names(&parts.headers, &name, what);
        let well_formed = parts.method == Method::GET
            && says(header::CONNECTION, "upgrade")
            && says(header::UPGRADE, "websocket")
            && says(header::SEC_WEBSOCKET_VERSION, "13");
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| well_formed).cloned();
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let (key, upgrade) = key.zip(upgrade).ok_or(Fault::NoSuchRoute)?;
        Ok(Self { key, upgrade })
    }
}

fn names(headers: &HeaderMap, name: &HeaderName, what: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(what))
}

impl Upgrade {
    /// Answers yes; `serve` gets the stream once the other side has heard it.
    pub fn accept<F>(self, meter: Arc<Meter>, serve: impl FnOnce(Socket<Road>) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send,
    {
        tokio::spawn(async move {
            if let Ok(upgraded) = self.upgrade.await {
                let road: Road = Box::new(TokioIo::new(upgraded));
                serve(Socket::new(road, meter).await).await;
            }
        });
        let headers = [
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
        ];
        let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
        if let Ok(accept) = derive_accept_key(self.key.as_bytes()).parse() {
            response.headers_mut().insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        response
    }
}

/// What a stream lies on: a connection that was upgraded, or memory.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

pub type Road = Box<dyn Io>;

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    Frame(Bytes),
    /// A ping or pong: the other side is there.
    Alive,
    Text,
    /// The other side ends the stream, or the connection is broken.
    End,
    /// More pings than anybody needs.
    Flood,
}

/// A stream to a device, or to a guest.
pub struct Socket<S> {
    /// Absent only while its buffers are made anew.
    stream: Option<WebSocketStream<S>>,
    meter: Arc<Meter>,
    /// What was read last and is being dealt with.
    last: Option<Taken>,
    /// A pong is not written yet.
    owes_pong: bool,
    /// The largest message since the buffers were made.
    largest: usize,
    controls: Pace,
    began: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub async fn new(io: S, meter: Arc<Meter>) -> Self {
        Self {
            stream: Some(stream(io).await),
            meter,
            last: None,
            owes_pong: false,
            largest: 0,
            controls: Pace::new(CONTROL_FRAMES, CONTROL_FRAME_MILLIS),
            began: Instant::now(),
        }
    }

    /// What comes next; what came before has been dealt with. Nothing is lost if the caller stops waiting.
    pub async fn recv(&mut self) -> Incoming {
        if let Some(taken) = self.last.take() {
            self.meter.done(taken);
        }
        if self.owes_pong && self.flush().await.is_err() {
            return Incoming::End;
        }
        self.owes_pong = false;
        self.forget_large().await;
        let Some(stream) = self.stream.as_mut() else { return Incoming::End };
        let message = match stream.next().await {
            Some(Ok(message)) => message,
            _ => return Incoming::End,
        };
        let length = message.len();
        let (taken, incoming) = match message {
            Message::Binary(bytes) => (Taken::Frame(on_wire(length)), Incoming::Frame(bytes)),
            Message::Ping(_) => {
                self.owes_pong = true;
                (Taken::Control(on_wire(length)), Incoming::Alive)
            }
            Message::Pong(_) => (Taken::Control(on_wire(length)), Incoming::Alive),
            Message::Text(_) => (Taken::Frame(on_wire(length)), Incoming::Text),
            Message::Close(_) | Message::Frame(_) => return Incoming::End,
        };
        self.last = Some(taken);
        self.largest = self.largest.max(length);
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if matches!(incoming, Incoming::Frame(_)) || self.controls.admit(now) { incoming } else { Incoming::Flood }
    }

    /// Whether a message has begun and does not come to its end.
    #[must_use]
    pub fn is_too_slow(&self) -> bool {
        self.meter.is_too_slow(tokio::time::Instant::now())
    }

    pub async fn send(&mut self, frame: Bytes) -> io::Result<()> {
        self.largest = self.largest.max(frame.len());
        self.write(Message::Binary(frame)).await
    }

    pub async fn ping(&mut self) -> io::Result<()> {
        self.write(Message::Ping(Bytes::new())).await
    }

    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        let _ = self.write(Message::Close(Some(frame))).await;
    }

    /// Written until the other side has taken it, so that nothing waits here beside it.
    async fn write(&mut self, message: Message) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        within_time(stream.send(message)).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        within_time(stream.flush()).await
    }

    /// The library keeps the room of the largest message for ever. Where nothing is read ahead and nothing waits to be
    /// written, its buffers are empty, and new ones do as well.
    async fn forget_large(&mut self) {
        if self.largest <= BUFFER_KEPT_BYTES || self.meter.unread() > 0 {
            return;
        }
        if let Some(old) = self.stream.take() {
            self.stream = Some(stream(old.into_inner()).await);
            self.largest = 0;
        }
    }
}

async fn stream<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> WebSocketStream<S> {
    WebSocketStream::from_raw_socket(io, Role::Server, Some(border::websocket())).await
}

async fn within_time<E>(sent: impl Future<Output = Result<(), E>>) -> io::Result<()> {
    match tokio::time::timeout(SEND, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Bytes of a client's message in one piece: its head, its mask, and itself.
#[must_use]
pub const fn on_wire(length: usize) -> usize {
    from_server(length) + 4
}

/// Bytes of a server's message in one piece: no mask.
#[must_use]
pub const fn from_server(length: usize) -> usize {
    let head = match length {
        0..=125 => 2,
        126..=65_535 => 4,
        _ => 10,
    };
    head + length
}
