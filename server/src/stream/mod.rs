//! One task a connection: it answers requests in order, pushes mail and records, and notices silence. A
//! guest, a device of another municipality that came through its own server, is served by the same task.

mod account;
mod attachments;
mod catch_up;
mod checkpoints;
mod guest;
mod moving;
mod relay;
mod requests;
mod returning;
mod serving;

pub use guest::run_guest;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::limits::IDLE_TIMEOUT_SECONDS;
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::Tombstone;
use stafett_protocol::wire::{ClientFrame, Problem, Records, Reply, ServerFrame};
use tokio::sync::{mpsc, watch};

use crate::accept::stopped;
use crate::budget::memory::{Held, Holder};
use crate::budget::table::{FREE_BYTES, ROOM_WAIT, request_bytes};
use crate::budget::{self, Good};
use crate::fanout::{Listener, NewRecords, Push};
use crate::federation::peers::Peer;
use crate::problem::Fault;
use crate::server::Server;
use crate::socket::{Incoming, Road, Socket};
use crate::store::accounts::Device;
use relay::{FromPeer, Relays};
use requests::Failed;

/// How often the other end is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// How often room in memory is asked for anew.
const ROOM_STEP: Duration = Duration::from_millis(50);

/// The stream of a device or guest.
pub type Stream = Socket<Road>;

/// What the connection knows of a scope that its device follows.
#[derive(Clone, Copy)]
struct Follow {
    /// Everything up to here has been sent.
    cursor: u64,
}

struct Connection {
    server: Arc<Server>,
    device: Device,
    /// The municipality through whose server a guest has come.
    guest_of: Option<Arc<Peer>>,
    relays: Relays,
    socket: Stream,
    /// Bytes that were sent on this stream.
    sent: u64,
    listener: Arc<Listener>,
    follows: HashMap<ScopeId, Follow>,
    /// Mail that was pushed and not yet acknowledged.
    mailed: HashSet<u64>,
    /// The version of the list of peers that the device has been told.
    told_peers: i64,
    /// What the device has begun to give back.
    returning: Option<(Records, Held)>,
    /// Changes of whom the operator trusts.
    trust: watch::Receiver<i64>,
}

/// Why a connection ends. Faults of single requests are answered and do not end it.
enum End {
    /// The other end is gone, silent, or too slow.
    Gone,
    Stopping,
    /// The device was removed from its account.
    Removed,
    /// The other end pings without measure, or a message of its does not come to an end.
    Flooding,
}

/// Serves an authenticated device of this municipality until one side ends it.
pub async fn run(server: Arc<Server>, device: Device, socket: Stream) {
    serve(server, device, None, socket).await;
}

async fn serve(server: Arc<Server>, device: Device, guest_of: Option<Arc<Peer>>, mut socket: Stream) {
    let (listener, pushes) = match server.fanout.enter(device.device) {
        Ok(entered) => entered,
        Err(fault) => return close(&mut socket, 1008, &fault.to_problem().code).await,
    };
    let (relays, relayed) = Relays::new();
    let trust = server.federation.peers.changes();
    let mut connection = Connection {
        server,
        device,
        guest_of,
        relays,
        socket,
        sent: 0,
        listener,
        follows: HashMap::new(),
        mailed: HashSet::new(),
        told_peers: 0,
        returning: None,
        trust,
    };
    let (listener, peer) = (Arc::clone(&connection.listener), connection.guest_of.clone());
    let peers = Arc::clone(&connection.server.federation.peers);
    // An end cuts whatever is under way: it does not wait until a slow reader has taken what is being sent.
    let end = tokio::select! {
        biased;
        () = serving::until_out(&listener, &peers, peer.as_ref()) => End::Removed,
        end = connection.serve(pushes, relayed) => end,
    };
    let scopes = connection.follows.keys().copied();
    connection.server.fanout.exit(connection.device.device, scopes, &connection.listener);
    // What goes through this stream to other municipalities ends with it.
    connection.relays.close();
    let (code, reason) = match end {
        End::Gone => return,
        End::Stopping => (1001, "stopping"),
        End::Removed => (1008, "removed"),
        End::Flooding => (1008, "too-many-requests"),
    };
    close(&mut connection.socket, code, reason).await;
}

async fn close(socket: &mut Stream, code: u16, reason: &str) {
    let _ = tokio::time::timeout(Duration::from_secs(2), socket.close(code, reason)).await;
}

impl Connection {
    async fn serve(&mut self, mut pushes: mpsc::Receiver<Push>, mut relayed: mpsc::Receiver<FromPeer>) -> End {
        let server = Arc::clone(&self.server);
        let mut stop = server.stop.clone();
        let mut ping = tokio::time::interval(PING);
        let mut heard = Instant::now();
        // Entered, and only then asked: an end between the login and here was told to nobody.
        match self.stands().await {
            Ok(()) => {}
            Err(Failed::End(end)) => return end,
            Err(Failed::Fault(_)) => return End::Gone,
        }
        if let Err(end) = self.greet().await {
            return end;
        }
        loop {
            if let Err(end) = self.is_in() {
                return end;
            }
            if self.listener.take_lagging()
                && let Err(end) = self.catch_up_everything().await
            {
                return end;
            }
            let step = tokio::select! {
                incoming = self.socket.recv() => {
                    heard = Instant::now();
                    self.incoming(incoming).await
                }
                push = pushes.recv() => match push {
                    Some(push) => self.push(push).await,
                    None => Err(End::Gone),
                },
                // Looked at before the next step.
                _ = self.trust.changed() => Ok(()),
                Some(from) = relayed.recv() => self.pass_on(from).await,
                _ = ping.tick() => {
                    if heard.elapsed() > Duration::from_secs(IDLE_TIMEOUT_SECONDS) {
                        Err(End::Gone)
                    } else {
                        self.still_there().await
                    }
                }
                () = stopped(&mut stop) => Err(End::Stopping),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn incoming(&mut self, incoming: Incoming) -> Result<(), End> {
        match incoming {
            Incoming::Frame(bytes) => self.frame(&bytes).await,
            Incoming::Text => self.refuse(0, &malformed("the stream takes binary frames")).await,
            Incoming::Alive if self.socket.is_too_slow() => Err(End::Flooding),
            Incoming::Alive => Ok(()),
            Incoming::End => Err(End::Gone),
            Incoming::Flood => Err(End::Flooding),
        }
    }

    /// Asks for a sign of life; parts of a message that never ends are none.
    async fn still_there(&mut self) -> Result<(), End> {
        if self.socket.is_too_slow() {
            return Err(End::Flooding);
        }
        self.socket.ping().await.map_err(|_| End::Gone)
    }

    async fn frame(&mut self, bytes: &[u8]) -> Result<(), End> {
        match self.stands().await {
            Ok(()) => {}
            Err(Failed::End(end)) => return Err(end),
            Err(Failed::Fault(fault)) => return self.refuse(id_of(bytes), &fault).await,
        }
        if let Err(fault) = self.admit(bytes) {
            return self.refuse(id_of(bytes), &fault).await;
        }
        let frame: ClientFrame = match decode(bytes) {
            Ok(frame) => frame,
            Err(error) => return self.refuse(id_of(bytes), &error.into()).await,
        };
        if frame.id == 0 {
            return self.refuse(0, &malformed("a request's id is not 0")).await;
        }
        let (payers, costs) = (self.payers(), budget::costs(&frame.request, bytes.len()));
        if let Err(fault) = self.server.budgets.take(&payers, &costs) {
            if !budget::must_pass(&frame.request, bytes.len()) {
                return self.refuse(frame.id, &fault).await;
            }
            self.server.budgets.owe(&payers, &costs);
        }
        if budget::asks(&frame.request)
            && let Err(fault) = self.server.budgets.have_room(&payers, Good::Answers)
        {
            return self.refuse(frame.id, &fault).await;
        }
        let sent = self.sent;
        let done = match self.answer(frame.id, frame.request).await {
            Ok(Some(reply)) => self.reply(frame.id, reply).await,
            Ok(None) => Ok(()),
            Err(Failed::Fault(fault)) => {
                self.server.budgets.give_back(&payers, &costs);
                self.refuse(frame.id, &fault).await
            }
            Err(Failed::End(end)) => Err(end),
        };
        self.server.budgets.owe(&payers, &[(Good::Answers, self.sent - sent)]);
        done
    }

    /// Sizes first: what a frame only names takes no more room than its kind of request needs.
    fn admit(&self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.len() > bytes.get(4).map_or(0, |kind| request_bytes(*kind)) {
            return Err(Fault::TooLarge);
        }
        if let Some(peer) = &self.guest_of {
            self.server.admission.peer(peer.number, 1)?;
        }
        self.server.admission.request(self.device.device)
    }

    fn payers(&self) -> Vec<budget::Payer> {
        budget::payers(&self.device, self.guest_of.as_ref().map(|peer| peer.number))
    }

    async fn push(&mut self, push: Push) -> Result<(), End> {
        self.listener.took(&push);
        match push {
            Push::Records(new) => self.push_records(&new).await,
            Push::Scope(scope) => match self.follows.contains_key(&scope) {
                true => self.catch_up(scope).await,
                false => Ok(()),
            },
            Push::Mail => self.push_mail().await,
        }
    }

    async fn push_records(&mut self, new: &NewRecords) -> Result<(), End> {
        let Some(follow) = self.follows.get(&new.scope).copied().filter(|follow| follow.cursor < new.last) else {
            return Ok(());
        };
        let reads = self.reads(new.scope).await?;
        if new.first != follow.cursor + 1 || (new.moved.is_some() && !reads) {
            return self.catch_up(new.scope).await;
        }
        if !reads {
            self.unfollow(new.scope);
            return Ok(());
        }
        self.follows.insert(new.scope, Follow { cursor: new.last });
        self.send_frame(new.frame.clone()).await?;
        match &new.moved {
            Some(tombstone) => self.moved(new.scope, tombstone.clone()).await,
            None => Ok(()),
        }
    }

    /// The last word here on a scope that has moved.
    async fn moved(&mut self, scope: ScopeId, tombstone: Signed<Tombstone>) -> Result<(), End> {
        self.unfollow(scope);
        self.reply(0, Reply::Moved(tombstone)).await
    }

    fn unfollow(&mut self, scope: ScopeId) {
        self.follows.remove(&scope);
        self.server.fanout.unfollow(scope, &self.listener);
    }

    async fn refuse(&mut self, id: u32, fault: &Fault) -> Result<(), End> {
        let problem: Problem = fault.to_problem();
        self.reply(id, Reply::Problem(problem)).await
    }

    async fn reply(&mut self, id: u32, reply: Reply) -> Result<(), End> {
        self.send_frame(encode(&ServerFrame { id, reply }).into()).await
    }

    /// Peers that the device has not heard of come first: what follows may be their people's.
    async fn send_frame(&mut self, frame: Bytes) -> Result<(), End> {
        if let Some(keys) = self.new_peer_keys() {
            let told = encode(&ServerFrame { id: 0, reply: Reply::Peers(keys) });
            self.send(told.into()).await?;
        }
        self.send(frame).await
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), End> {
        self.sent = self.sent.saturating_add(frame.len() as u64);
        let held = self.room(frame.len()).await?;
        let sent = self.socket.send(frame).await;
        drop(held);
        sent.map_err(|_| End::Gone)
    }

    /// A large answer waits until there is room for it; whoever waits too long comes back and syncs.
    async fn room(&mut self, bytes: usize) -> Result<Held, End> {
        let mut held = self.nothing_held();
        let bytes = bytes.saturating_sub(FREE_BYTES);
        let has_room = async {
            while held.set(bytes).is_err() {
                tokio::time::sleep(ROOM_STEP).await;
            }
        };
        tokio::time::timeout(ROOM_WAIT, has_room).await.map_err(|_| End::Gone)?;
        Ok(held)
    }

    /// Whoever answers for what this stream holds in memory.
    fn nothing_held(&self) -> Held {
        let own = [Holder::Device(self.device.device), Holder::Person(self.device.person)];
        let peer = self.guest_of.as_ref().map(|peer| Holder::Peer(peer.number));
        self.server.memory.nothing(own.into_iter().chain(peer))
    }
}

/// The request's id, as far as it can be read, so that the caller knows what was refused.
fn id_of(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |first| u32::from_be_bytes(*first))
}

fn malformed(why: &str) -> Fault {
    Fault::Malformed(stafett_protocol::codec::Malformed { what: "ClientFrame", why: why.to_owned() })
}
