//! A device of this municipality speaks to another home through this server: bytes both ways, unread.
//! Each relay is a task of its own, so that a slow peer costs its one device at most, and that a little.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use stafett_protocol::federation::{RelayFrame, RelayPayload, RelayedFrame, RelayedPayload};
use stafett_protocol::ids::Municipality;
use stafett_protocol::limits::{CONTROL_FRAME_MILLIS, CONTROL_FRAMES, IDLE_TIMEOUT_SECONDS};
use stafett_protocol::pace::Pace;
use stafett_protocol::wire::{Problem, Reply};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::requests::Failed;
use super::{Connection, End, PING};
use crate::budget::memory::{Held, Holder};
use crate::budget::table::{RELAY_QUEUE, RELAYS_PER_STREAM};
use crate::federation::RELAY_PATH;
use crate::federation::outgoing::{PeerError, PeerStream};
use crate::metered::{Meter, Taken};
use crate::problem::Fault;
use crate::server::Server;
use crate::socket::from_server;

/// How long a device's stream waits for a peer that does not read.
const SLOW: Duration = Duration::from_secs(5);
/// Longest code of a problem.
const CODE_BYTES: usize = 40;

/// The relays of one device's stream.
pub(super) struct Relays {
    open: HashMap<Municipality, Relay>,
    /// Tells a relay from an earlier one to the same municipality.
    opened: u64,
    back: mpsc::Sender<FromPeer>,
}

struct Relay {
    number: u64,
    queue: mpsc::Sender<Waiting>,
    /// Its end is the task's, also where the peer has not answered yet.
    _open: oneshot::Sender<()>,
}

/// A message on its way to a peer, counted in memory until it is gone.
struct Waiting {
    bytes: Vec<u8>,
    held: Held,
}

/// What a relay's task has for its device.
pub(super) struct FromPeer {
    peer: Municipality,
    number: u64,
    payload: RelayedPayload,
    /// Counted in memory until it is passed on.
    held: Held,
}

impl Relays {
    pub fn new() -> (Self, mpsc::Receiver<FromPeer>) {
        let (back, relayed) = mpsc::channel(RELAY_QUEUE);
        (Self { open: HashMap::new(), opened: 0, back }, relayed)
    }

    pub fn close(&mut self) {
        self.open.clear();
    }
}

impl Connection {
    pub(super) async fn relay(&mut self, frame: RelayFrame) -> Result<(), Failed> {
        match frame.payload {
            RelayPayload::Open => Ok(self.open_relay(frame.to)?),
            RelayPayload::Message(bytes) => {
                let relay = self.relays.open.get(&frame.to).ok_or(Fault::RelayClosed)?;
                let bytes: Vec<u8> = bytes.into();
                let mut held = self.relayed(frame.to);
                held.set(bytes.len())?;
                let sent = tokio::time::timeout(SLOW, relay.queue.send(Waiting { bytes, held })).await;
                if !matches!(sent, Ok(Ok(()))) {
                    self.relays.open.remove(&frame.to);
                    return Err(Fault::Peer(PeerError::Unreachable).into());
                }
                Ok(())
            }
            RelayPayload::Close => {
                self.relays.open.remove(&frame.to);
                Ok(())
            }
        }
    }

    /// A relay that stands already gives way: whoever opens anew has forgotten the old one.
    fn open_relay(&mut self, to: Municipality) -> Result<(), Fault> {
        if self.server.federation.peers.get(to).is_none() {
            return Err(PeerError::Unknown.into());
        }
        self.relays.open.remove(&to);
        if self.relays.open.len() >= RELAYS_PER_STREAM {
            return Err(Fault::TooManyRequests);
        }
        self.relays.opened += 1;
        let number = self.relays.opened;
        let (queue, messages) = mpsc::channel(RELAY_QUEUE);
        let (open, closed) = oneshot::channel();
        self.relays.open.insert(to, Relay { number, queue, _open: open });
        let back = Back { peer: to, number, sender: self.relays.back.clone(), holders: self.relayed(to) };
        tokio::spawn(run(Arc::clone(&self.server), messages, closed, back));
        Ok(())
    }

    /// Whoever answers for what a relay holds in memory: the device, its person, and the peer.
    fn relayed(&self, peer: Municipality) -> Held {
        let own = [Holder::Device(self.device.device), Holder::Person(self.device.person)];
        self.server.memory.nothing(own.into_iter().chain([Holder::Peer(peer)]))
    }

    /// To the device; what an earlier relay still had to say is not.
    pub(super) async fn pass_on(&mut self, from: FromPeer) -> Result<(), End> {
        if self.relays.open.get(&from.peer).is_none_or(|relay| relay.number != from.number) {
            return Ok(());
        }
        if matches!(from.payload, RelayedPayload::Closed(_)) {
            self.relays.open.remove(&from.peer);
        }
        let done = self.reply(0, Reply::Relayed(RelayedFrame { from: from.peer, payload: from.payload })).await;
        drop(from.held);
        done
    }
}

/// The way back to the device; waits while the device does not read, and so makes the peer wait.
struct Back {
    peer: Municipality,
    number: u64,
    sender: mpsc::Sender<FromPeer>,
    /// Who answers for what comes; it holds nothing itself.
    holders: Held,
}

impl Back {
    async fn send(&self, payload: RelayedPayload, held: Held) -> bool {
        let from = FromPeer { peer: self.peer, number: self.number, payload, held };
        self.sender.send(from).await.is_ok()
    }
}

/// Lives until the device closes the relay or is gone, or the peer ends it.
async fn run(server: Arc<Server>, messages: mpsc::Receiver<Waiting>, closed: oneshot::Receiver<()>, back: Back) {
    let peers = &server.federation.peers;
    let opened = async {
        tokio::select! {
            opened = server.federation.outgoing.open(back.peer, RELAY_PATH) => Some(opened),
            _ = closed => None,
        }
    };
    // Who is trusted when the line is opened: what changes meanwhile ends it, too.
    let problem = match peers.get(back.peer) {
        None => Some(Fault::Peer(PeerError::Unknown).to_problem()),
        Some(peer) => match opened.await {
            None => None,
            // Trust that ends, ends what was opened by it.
            Some(Ok((stream, meter))) => tokio::select! {
                problem = pump(stream, &meter, messages, &back) => problem,
                () = peers.until_changed(&peer) => Some(Fault::Peer(PeerError::Unknown).to_problem()),
            },
            Some(Err(error)) => Some(Fault::Peer(error).to_problem()),
        },
    };
    if let Some(problem) = problem {
        back.send(RelayedPayload::Closed(problem), back.holders.another()).await;
    }
}

/// Passes messages on; answers why the peer ended it, or nothing if the device did. The two ways do not
/// wait for each other: a device that sends much while it is sent much must not stop both.
async fn pump(stream: PeerStream, meter: &Meter, messages: mpsc::Receiver<Waiting>, back: &Back) -> Option<Problem> {
    // Two halves have one buffer each way, which is not made anew: it counts as long as the relay stands.
    meter.begin_for_good(back.holders.another());
    let (to_peer, from_peer) = stream.split();
    tokio::select! {
        problem = inward(from_peer, meter, back) => problem,
        problem = outward(to_peer, messages) => problem,
    }
}

async fn inward(mut stream: SplitStream<PeerStream>, meter: &Meter, back: &Back) -> Option<Problem> {
    let (mut controls, began) = (Pace::new(CONTROL_FRAMES, CONTROL_FRAME_MILLIS), Instant::now());
    loop {
        let next = tokio::time::timeout(Duration::from_secs(IDLE_TIMEOUT_SECONDS), stream.next()).await;
        let taken = match next {
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                let mut held = back.holders.another();
                if held.set(bytes.len()).is_err() {
                    return Some(Fault::Peer(PeerError::Busy).to_problem());
                }
                let taken = Taken::Frame(from_server(bytes.len()));
                if !back.send(RelayedPayload::Message(bytes.to_vec().into()), held).await {
                    return None;
                }
                taken
            }
            Ok(Some(Ok(Message::Ping(bytes) | Message::Pong(bytes)))) => {
                let now = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                if meter.is_too_slow(tokio::time::Instant::now()) || !controls.admit(now) {
                    return Some(unreachable());
                }
                Taken::Control(from_server(bytes.len()))
            }
            Ok(Some(Ok(Message::Close(frame)))) => return Some(ended(frame.as_ref())),
            _ => return Some(unreachable()),
        };
        meter.done(taken);
    }
}

async fn outward(mut stream: SplitSink<PeerStream, Message>, mut messages: mpsc::Receiver<Waiting>) -> Option<Problem> {
    let mut ping = tokio::time::interval(PING);
    loop {
        let out = tokio::select! {
            message = messages.recv() => message.map(|waiting| (Message::Binary(waiting.bytes.into()), Some(waiting.held))),
            _ = ping.tick() => Some((Message::Ping(vec![].into()), None)),
        };
        let Some((out, held)) = out else {
            let _ = tokio::time::timeout(SLOW, stream.close()).await;
            return None;
        };
        if !matches!(tokio::time::timeout(SLOW, stream.send(out)).await, Ok(Ok(()))) {
            return Some(unreachable());
        }
        drop(held);
    }
}

fn unreachable() -> Problem {
    Fault::Peer(PeerError::Unreachable).to_problem()
}

/// Why the peer closed: its code, if it looks like one; never its words.
fn ended(frame: Option<&CloseFrame>) -> Problem {
    let Some(frame) = frame else {
        return unreachable();
    };
    let code = frame.reason.as_str();
    let is_code =
        !code.is_empty() && code.len() <= CODE_BYTES && code.bytes().all(|c| c == b'-' || c.is_ascii_lowercase());
    let code = if is_code { code } else { "peer-answer" };
    Problem {
        code: code.to_owned(),
        detail: "the other municipality's server ended the stream".to_owned(),
        scope: None,
    }
}
