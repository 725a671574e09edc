//! Devices as these suites play them: their own stream, and a relay through it to another municipality.

use std::collections::VecDeque;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use futures_util::{SinkExt as _, StreamExt as _};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::Credential;
use stafett_protocol::federation::{RelayChallenge, RelayFrame, RelayHello, RelayLogin, RelayPayload, RelayedPayload};
use stafett_protocol::http_signature;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::letter_key;
use crate::common::World;

pub async fn open_on(tls: TlsStream<TcpStream>, binding: &[u8; 32], key: &SigningKey) -> Result<Client, u16> {
    let mut client = open_without_greeting(tls, binding, key).await?;
    client.greeting().await;
    Ok(client)
}

/// The same for a device that may not be greeted.
pub async fn open_without_greeting(
    tls: TlsStream<TcpStream>,
    binding: &[u8; 32],
    key: &SigningKey,
) -> Result<Client, u16> {
    let signed = http_signature::sign("GET", "/v1/stream", b"", binding, key);
    let mut request = "wss://127.0.0.1/v1/stream".into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("content-digest", signed.content_digest.parse().unwrap());
    headers.insert("signature-input", signed.signature_input.parse().unwrap());
    headers.insert("signature", signed.signature.parse().unwrap());
    match tokio_tungstenite::client_async(request, tls).await {
        Ok((socket, _)) => Ok(Client { socket, last_id: 0, pushed: VecDeque::new() }),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// Opens a relay and logs a device of the world in.
pub async fn visit<'a>(
    own: &'a mut Client,
    world: &World,
    who: usize,
    credential: &Credential,
    home: u16,
) -> Guest<'a> {
    let device = world.device(who);
    let mut guest = Guest::open(own, home).await.unwrap();
    let challenge = guest.challenge().await.unwrap();
    let hello = RelayHello { challenge, home, device: device.id() };
    let login = RelayLogin {
        hello: Signed::sign(&hello, &device.key),
        credential: credential.clone(),
        letter_key: letter_key().into(),
    };
    guest.log_in(&login).await.unwrap();
    guest
}

/// One open stream.
pub struct Client {
    pub socket: WebSocketStream<TlsStream<TcpStream>>,
    last_id: u32,
    pub pushed: VecDeque<Reply>,
}

impl Client {
    /// The scopes that the greeting named.
    pub fn places(&self) -> Vec<ScopeId> {
        let named =
            self.pushed.iter().find_map(|r| if let Reply::Welcome(g) = r { Some(g.scopes.clone()) } else { None });
        named.expect("no greeting among what was pushed")
    }

    async fn greeting(&mut self) {
        loop {
            let reply = self.frame().await.unwrap().reply;
            let done = matches!(reply, Reply::Welcome(_));
            self.pushed.push_back(reply);
            if done {
                return;
            }
        }
    }

    /// The next frame; `None` when the stream has ended.
    pub async fn frame(&mut self) -> Option<ServerFrame> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next());
            match next.await.expect("the server says nothing") {
                Some(Ok(Message::Binary(bytes))) => return Some(decode(&bytes).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    pub async fn send_raw(&mut self, bytes: Vec<u8>) {
        let _ = self.socket.send(Message::Binary(bytes.into())).await;
    }

    pub async fn ask(&mut self, request: Request) -> Reply {
        self.last_id += 1;
        let id = self.last_id;
        self.send_raw(encode(&ClientFrame { id, request })).await;
        self.answer(id).await
    }

    pub async fn answer(&mut self, id: u32) -> Reply {
        loop {
            let frame = self.frame().await.expect("the stream has ended");
            if frame.id == id {
                return frame.reply;
            }
            self.pushed.push_back(frame.reply);
        }
    }

    /// The next push, waiting for it.
    pub async fn push(&mut self) -> Reply {
        if let Some(reply) = self.pushed.pop_front() {
            return reply;
        }
        self.frame().await.expect("the stream has ended").reply
    }

    /// The next push of this kind; others are thrown away.
    pub async fn push_until<T>(&mut self, wanted: impl Fn(Reply) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.push().await) {
                return found;
            }
        }
    }

    pub async fn submit(&mut self, bundle: Bundle) -> Result<Vec<Accepted>, Problem> {
        match self.ask(Request::Submit(bundle)).await {
            Reply::Submitted(accepted) => Ok(accepted),
            Reply::Problem(problem) => Err(problem),
            other => panic!("{other:?}"),
        }
    }

    /// Submits to a server that may die meanwhile: `None` when the stream has ended.
    pub async fn try_submit(&mut self, bundle: Bundle) -> Option<Result<Vec<Accepted>, Problem>> {
        self.last_id += 1;
        let id = self.last_id;
        self.send_raw(encode(&ClientFrame { id, request: Request::Submit(bundle) })).await;
        loop {
            let frame = self.frame().await?;
            match frame.reply {
                Reply::Submitted(accepted) if frame.id == id => return Some(Ok(accepted)),
                Reply::Problem(problem) if frame.id == id => return Some(Err(problem)),
                other => self.pushed.push_back(other),
            }
        }
    }

    pub async fn problem(&mut self, request: Request) -> String {
        match self.ask(request).await {
            Reply::Problem(problem) => problem.code,
            other => panic!("{other:?}"),
        }
    }
}

/// A stream to another home, inside the stream to one's own.
pub struct Guest<'a> {
    own: &'a mut Client,
    to: u16,
    last_id: u32,
    pub pushed: VecDeque<Reply>,
}

impl<'a> Guest<'a> {
    /// Opens the relay; an immediate refusal is an error.
    pub async fn open(own: &'a mut Client, to: u16) -> Result<Self, String> {
        let mut guest = Guest { own, to, last_id: 0, pushed: VecDeque::new() };
        guest.pass(RelayPayload::Open).await;
        Ok(guest)
    }

    async fn pass(&mut self, payload: RelayPayload) {
        self.own.last_id += 1;
        let frame = RelayFrame { to: self.to, payload };
        self.own.send_raw(encode(&ClientFrame { id: self.own.last_id, request: Request::Relay(frame) })).await;
    }

    pub async fn send(&mut self, bytes: Vec<u8>) {
        self.pass(RelayPayload::Message(bytes.into())).await;
    }

    async fn message(&mut self) -> Result<Vec<u8>, String> {
        loop {
            match self.own.frame().await.expect("the own stream has ended").reply {
                Reply::Relayed(relayed) if relayed.from == self.to => match relayed.payload {
                    RelayedPayload::Message(bytes) => return Ok(bytes.into()),
                    RelayedPayload::Closed(problem) => return Err(problem.code),
                },
                Reply::Problem(problem) => return Err(problem.code),
                _ => {}
            }
        }
    }

    pub async fn challenge(&mut self) -> Result<[u8; 32], String> {
        let challenge: RelayChallenge = decode(&self.message().await?).unwrap();
        Ok(challenge.challenge)
    }

    /// Answers the challenge and waits for the greeting.
    pub async fn log_in(&mut self, login: &RelayLogin) -> Result<(), String> {
        self.send(encode(login)).await;
        loop {
            let frame: ServerFrame = decode(&self.message().await?).unwrap();
            let done = matches!(frame.reply, Reply::Welcome(_));
            self.pushed.push_back(frame.reply);
            if done {
                return Ok(());
            }
        }
    }

    pub async fn ask(&mut self, request: Request) -> Reply {
        self.say(request).await;
        self.answer(self.last_id).await
    }

    /// So many at a time, without waiting for an answer in between.
    pub async fn ask_at_once(&mut self, request: &Request, count: u32) -> Vec<Reply> {
        let first = self.last_id + 1;
        for _ in 0..count {
            self.say(request.clone()).await;
        }
        let mut answers = vec![];
        for id in first..first + count {
            answers.push(self.answer(id).await);
        }
        answers
    }

    async fn say(&mut self, request: Request) {
        self.last_id += 1;
        self.send(encode(&ClientFrame { id: self.last_id, request })).await;
    }

    async fn answer(&mut self, id: u32) -> Reply {
        loop {
            let frame: ServerFrame = decode(&self.message().await.unwrap()).unwrap();
            if frame.id == id {
                return frame.reply;
            }
            self.pushed.push_back(frame.reply);
        }
    }

    pub async fn problem(&mut self, request: Request) -> String {
        match self.ask(request).await {
            Reply::Problem(problem) => problem.code,
            other => panic!("{other:?}"),
        }
    }

    pub async fn push(&mut self) -> Reply {
        if let Some(reply) = self.pushed.pop_front() {
            return reply;
        }
        decode::<ServerFrame>(&self.message().await.unwrap()).unwrap().reply
    }

    /// Why the stream ends, once it does.
    pub async fn closed(&mut self) -> String {
        loop {
            if let Err(code) = self.message().await {
                return code;
            }
        }
    }
}
