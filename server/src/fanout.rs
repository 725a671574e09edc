//! Who is connected and wants to hear of which scope. A full queue loses nothing: the connection is
//! told that it lags, and reads from the database what it missed. Nor does one whose records would take too much memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use stafett_protocol::ids::{DeviceId, ScopeId, from_hex, to_hex};
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::Tombstone;
use tokio::sync::{mpsc, watch};

use crate::args;
use crate::budget::table::{FREE_BYTES, PUSH_BYTES, PUSHES, STREAMS_PER_DEVICE};
use crate::db::{Conn, StoreError};
use crate::problem::Fault;
use crate::server::Server;

/// The channel on which server processes on one PostgreSQL wake each other.
const CHANNEL: &str = "stafett";

/// Records that were just committed, encoded once for everyone.
pub struct NewRecords {
    pub scope: ScopeId,
    pub first: u64,
    pub last: u64,
    pub frame: Bytes,
    /// Where the scope went with the last of them.
    pub moved: Option<Signed<Tombstone>>,
}

/// What a connection is told.
#[derive(Clone)]
pub enum Push {
    Records(Arc<NewRecords>),
    /// Another process has committed something here: read it.
    Scope(ScopeId),
    /// The mailbox has news.
    Mail,
}

impl Push {
    fn bytes(&self) -> usize {
        match self {
            Self::Records(new) => new.frame.len(),
            Self::Scope(_) | Self::Mail => 0,
        }
    }
}

/// One connection's place.
pub struct Listener {
    id: u64,
    queue: mpsc::Sender<Push>,
    /// Bytes of records in the queue.
    waiting: AtomicUsize,
    lagging: AtomicBool,
    /// Beside the queue: an end waits behind nothing and is never dropped.
    ended: watch::Sender<bool>,
}

impl Listener {
    fn tell(&self, push: Push) {
        let push = match push {
            Push::Records(new) if self.waiting.load(Ordering::Relaxed) + new.frame.len() > FREE_BYTES => {
                Push::Scope(new.scope)
            }
            other => other,
        };
        let bytes = push.bytes();
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if self.queue.try_send(push).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.lagging.store(true, Ordering::Release);
        }
    }

    /// To be said of each push that came out of the queue.
    pub fn took(&self, push: &Push) {
        self.waiting.fetch_sub(push.bytes(), Ordering::Relaxed);
    }

    /// Whether the device was removed. A full queue loses no end.
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Returns once the device is removed, whatever its connection is busy with.
    pub async fn until_ended(&self) {
        let mut ended = self.ended.subscribe();
        // The sender is this listener's own: it outlives the waiting.
        let _ = ended.wait_for(|has| *has).await;
    }

    /// Whether pushes were lost since this was last asked.
    pub fn take_lagging(&self) -> bool {
        self.lagging.swap(false, Ordering::AcqRel)
    }
}

#[derive(Default)]
struct Registry {
    scopes: HashMap<ScopeId, Vec<Arc<Listener>>>,
    devices: HashMap<DeviceId, Vec<Arc<Listener>>>,
}

#[derive(Default)]
pub struct Fanout {
    registry: Mutex<Registry>,
    next: AtomicU64,
}

impl Fanout {
    fn with<T>(&self, act: impl FnOnce(&mut Registry) -> T) -> T {
        act(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the device may have one more stream open. Asked before anything is opened for it; what counts is
    /// [`Fanout::enter`].
    pub fn admit(&self, device: DeviceId) -> Result<(), Fault> {
        let open = self.with(|r| r.devices.get(&device).map_or(0, Vec::len));
        if open < STREAMS_PER_DEVICE { Ok(()) } else { Err(Fault::TooManyRequests) }
    }

    /// A connection of `device` begins to listen, if it is not one too many: counted and entered in one step, or many
    /// that come at once would all be let in.
    pub fn enter(&self, device: DeviceId) -> Result<(Arc<Listener>, mpsc::Receiver<Push>), Fault> {
        let (queue, pushes) = mpsc::channel(PUSHES);
        let listener = Arc::new(Listener {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            queue,
            waiting: AtomicUsize::new(0),
            lagging: AtomicBool::new(false),
            ended: watch::Sender::new(false),
        });
        self.with(|r| {
            if r.devices.get(&device).map_or(0, Vec::len) >= STREAMS_PER_DEVICE {
                return Err(Fault::TooManyRequests);
            }
            r.devices.entry(device).or_default().push(Arc::clone(&listener));
            Ok((listener, pushes))
        })
    }

    pub fn follow(&self, scope: ScopeId, listener: &Arc<Listener>) {
        self.with(|r| {
            let listeners = r.scopes.entry(scope).or_default();
            if !listeners.iter().any(|l| l.id == listener.id) {
                listeners.push(Arc::clone(listener));
            }
        });
    }

    pub fn unfollow(&self, scope: ScopeId, listener: &Listener) {
        self.with(|r| leave(&mut r.scopes, &scope, listener.id));
    }

    /// The connection has ended.
    pub fn exit(&self, device: DeviceId, scopes: impl Iterator<Item = ScopeId>, listener: &Listener) {
        self.with(|r| {
            leave(&mut r.devices, &device, listener.id);
            for scope in scopes {
                leave(&mut r.scopes, &scope, listener.id);
            }
        });
    }

    pub fn records(&self, new: &Arc<NewRecords>) {
        // What is large waits in the database, not in the queue of whoever reads slowly.
        let push = if new.frame.len() > PUSH_BYTES { Push::Scope(new.scope) } else { Push::Records(Arc::clone(new)) };
        self.with(|r| {
            for listener in r.scopes.get(&new.scope).into_iter().flatten() {
                listener.tell(push.clone());
            }
        });
    }

    /// Something about the scope must be read anew.
    pub fn scope(&self, scope: ScopeId) {
        self.with(|r| {
            for listener in r.scopes.get(&scope).into_iter().flatten() {
                listener.tell(Push::Scope(scope));
            }
        });
    }

    pub fn mail(&self, device: DeviceId) {
        self.with(|r| {
            for listener in r.devices.get(&device).into_iter().flatten() {
                listener.tell(Push::Mail);
            }
        });
    }

    pub fn end(&self, device: DeviceId) {
        self.with(|r| {
            for listener in r.devices.get(&device).into_iter().flatten() {
                listener.ended.send_replace(true);
            }
        });
    }

    fn everything_may_be_missed(&self) {
        self.with(|r| {
            for listener in r.devices.values().flatten() {
                listener.lagging.store(true, Ordering::Release);
                // Wakes it up; if its queue is full it is awake anyway.
                let _ = listener.queue.try_send(Push::Mail);
            }
        });
    }
}

fn leave<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<Arc<Listener>>>, key: &K, id: u64) {
    if let Some(listeners) = map.get_mut(key) {
        listeners.retain(|l| l.id != id);
        if listeners.is_empty() {
            map.remove(key);
        }
    }
}

/// Tells other processes on the same PostgreSQL, once the transaction commits. Nothing on SQLite.
pub async fn notify(conn: &mut Conn, news: Notice) -> Result<(), StoreError> {
    if conn.is_pg() {
        let text = match news {
            Notice::Scope(scope) => format!("s{}{}", to_hex(&scope.0), origin()),
            Notice::Mail(device) => format!("m{}{}", to_hex(&device.0), origin()),
            Notice::Ended(device) => format!("e{}{}", to_hex(&device.0), origin()),
            Notice::Peers => format!("p{}{}", to_hex(&[0; 16]), origin()),
        };
        conn.execute("SELECT pg_notify('stafett', $1)", args![text.as_str()]).await?;
    }
    Ok(())
}

/// Tells a process its own news from others'.
fn origin() -> &'static str {
    static ORIGIN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    ORIGIN.get_or_init(|| to_hex(&crate::home::random::<8>().unwrap_or_default()))
}

/// What one process tells the others.
#[derive(Clone, Copy)]
pub enum Notice {
    Scope(ScopeId),
    Mail(DeviceId),
    Ended(DeviceId),
    /// Whom the operator trusts.
    Peers,
}

/// Passes on what other processes commit, until the server stops.
pub async fn listen(server: Arc<Server>) {
    let Some(pool) = server.db.pg_pool() else { return };
    let mut stop = server.stop.clone();
    loop {
        let listening = async {
            let mut listener = sqlx::postgres::PgListener::connect_with(pool).await?;
            listener.listen(CHANNEL).await?;
            loop {
                match listener.try_recv().await? {
                    Some(news) => pass_on(&server, news.payload()).await,
                    // The connection was lost for a moment, and with it perhaps some news.
                    None => server.fanout.everything_may_be_missed(),
                }
            }
        };
        let ended: Result<(), sqlx::Error> = tokio::select! {
            ended = listening => ended,
            () = crate::accept::stopped(&mut stop) => return,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "not listening to the database; trying again");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.fanout.everything_may_be_missed();
    }
}

async fn pass_on(server: &Server, payload: &str) {
    let fanout = &server.fanout;
    let Some((kind, rest)) = payload.split_at_checked(1) else { return };
    let Some((id, from)) = rest.split_at_checked(32) else { return };
    let Some(id) = from_hex::<16>(id).filter(|_| from != origin()) else { return };
    match kind {
        "s" => fanout.scope(ScopeId(id)),
        "m" => fanout.mail(DeviceId(id)),
        "e" => fanout.end(DeviceId(id)),
        // Whoever looks every second reads it then, if this fails.
        "p" => drop(server.federation.peers.refresh(&server.db).await),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_full_queue_loses_no_end() {
        let fanout = Fanout::default();
        let device = DeviceId([7; 16]);
        let (listener, _pushes) = fanout.enter(device).unwrap();
        for _ in 0..=PUSHES {
            fanout.mail(device);
        }
        assert!(listener.take_lagging() && !listener.has_ended());
        fanout.end(device);
        assert!(listener.has_ended());
    }

    #[test]
    fn streams_that_come_at_once_are_not_all_let_in() {
        let fanout = Fanout::default();
        let device = DeviceId([7; 16]);
        // All have been asked before the first has entered.
        assert!((0..=STREAMS_PER_DEVICE).all(|_| fanout.admit(device).is_ok()));
        let entered: Vec<_> = (0..=STREAMS_PER_DEVICE).filter_map(|_| fanout.enter(device).ok()).collect();
        assert_eq!(entered.len(), STREAMS_PER_DEVICE);
    }
}
