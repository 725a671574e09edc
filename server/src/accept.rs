//! The accept loop: our own, because every limit of `docs/protocol.md` 16 has to hold before a handler runs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use stafett_protocol::http_signature::EXPORTER_LABEL;
use stafett_protocol::limits::CONNECTIONS_PER_ADDRESS;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use crate::border;
use crate::budget::prefix::Prefix;
use crate::budget::table::CONNECTIONS;
use crate::federation::peers::{Peer, Peers};
use crate::metered::Metered;
use crate::tls::{self, ChannelBinding};

/// How long connections may finish after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

/// Where the other end is, for limits; never written to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddress(pub Prefix);

/// The municipality whose server is at the other end, by its certificate; nobody for a device.
#[derive(Clone)]
pub struct FromPeer(pub Option<Arc<Peer>>);

/// How many connections there are, in all and of each address prefix.
#[derive(Clone, Default)]
struct Open(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    total: usize,
    addresses: HashMap<Prefix, usize>,
}

impl Counts {
    fn leave(&mut self, address: Prefix) {
        if let Some(count) = self.addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

/// One counted connection; dropping the last copy frees the place. An upgraded stream keeps its copy.
#[derive(Clone)]
pub struct Seat(Arc<Place>);

struct Place {
    open: Open,
    /// Taken once the connection belongs to a known device.
    address: Mutex<Option<Prefix>>,
}

impl Seat {
    /// The connection is a known device's stream: it no longer counts against its address, since a
    /// whole school may come from one. Devices have a bound of their own.
    pub fn belongs_to_a_device(&self) {
        self.0.leave_address();
    }
}

impl Place {
    fn leave_address(&self) {
        let address = self.address.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(address) = address {
            self.open.with(|counts| counts.leave(address));
        }
    }
}

impl Open {
    fn with<T>(&self, act: impl FnOnce(&mut Counts) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn total(&self) -> usize {
        self.with(|counts| counts.total)
    }

    fn enter(&self, address: Prefix) -> Option<Seat> {
        self.with(|counts| {
            let here = counts.addresses.get(&address).copied().unwrap_or_default();
            if counts.total >= CONNECTIONS || (here >= CONNECTIONS_PER_ADDRESS && !address.is_loopback()) {
                return None;
            }
            counts.total += 1;
            counts.addresses.insert(address, here + 1);
            Some(Seat(Arc::new(Place { open: self.clone(), address: Mutex::new(Some(address)) })))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave_address();
        self.open.with(|counts| counts.total -= 1);
    }
}

/// Serves until `stop` turns true, then lets requests under way finish.
pub async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    peers: Arc<Peers>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let door = Door { tls, peers, router };
    let open = Open::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        let Ok((socket, address)) = accepted else {
            // Out of file descriptors, usually: give connections time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(seat) = open.enter(Prefix::of(address.ip())) else {
            continue;
        };
        tokio::spawn(connection(socket, address, door.clone(), stop.clone(), seat));
    }
    drop(listener);
    let drained = async {
        while open.total() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("some connections did not end in time");
    }
}

/// Returns once the server has been told to stop.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What every connection needs to be let in.
#[derive(Clone)]
struct Door {
    tls: TlsAcceptor,
    peers: Arc<Peers>,
    router: Router,
}

async fn connection(socket: TcpStream, address: SocketAddr, door: Door, mut stop: watch::Receiver<bool>, seat: Seat) {
    // A live edit is one small frame: waiting to fill a segment would cost 40 ms.
    let _ = socket.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(border::HANDSHAKE, door.tls.accept(socket)).await else {
        return;
    };
    let mut binding = [0; 32];
    if stream.get_ref().1.export_keying_material(&mut binding, EXPORTER_LABEL, None).is_err() {
        return;
    }
    let Ok(peer) = tls::peer_of(stream.get_ref().1, &door.peers) else {
        return;
    };
    let peer = FromPeer(peer);
    let (stream, meter) = Metered::new(stream);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(seat.clone());
        request.extensions_mut().insert(Arc::clone(&meter));
        request.extensions_mut().insert(ChannelBinding(binding));
        request.extensions_mut().insert(RemoteAddress(Prefix::of(address.ip())));
        request.extensions_mut().insert(peer.clone());
        door.router.clone().call(request.map(axum::body::Body::new) as Request)
    });
    let served = border::http().serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut served = std::pin::pin!(served);
    tokio::select! {
        _ = served.as_mut() => {}
        () = stopped(&mut stop) => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_whole_64_of_addresses_has_the_places_of_one() {
        let open = Open::default();
        let of = |n: usize| Prefix::of(format!("2001:db8:1:2::{n:x}").parse().unwrap());
        let seats: Vec<Seat> = (0..CONNECTIONS_PER_ADDRESS).map(|n| open.enter(of(n)).unwrap()).collect();
        assert!(open.enter(of(CONNECTIONS_PER_ADDRESS)).is_none());
        assert!(open.enter(Prefix::of("2001:db8:1:3::1".parse().unwrap())).is_some());
        drop(seats);
        assert!(open.enter(of(CONNECTIONS_PER_ADDRESS)).is_some());
    }

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let open = Open::default();
        let of = |text: &str| Prefix::of(text.parse().unwrap());
        let far = of("192.0.2.7");
        let seats: Vec<Seat> = (0..CONNECTIONS_PER_ADDRESS).map(|_| open.enter(far).unwrap()).collect();
        assert!(open.enter(far).is_none());
        assert!(open.enter(of("192.0.2.8")).is_some(), "others have their own");
        let near = of("127.0.0.1");
        let here: Vec<_> = (0..=CONNECTIONS_PER_ADDRESS).map(|_| open.enter(near)).collect();
        assert!(here.iter().all(Option::is_some), "loopback is not counted against");
        // A device's stream does not count against its address, but in all.
        seats.first().unwrap().belongs_to_a_device();
        assert!(open.enter(far).is_some());
        // A stream keeps a copy of its seat.
        let copy = seats.first().cloned();
        drop(seats);
        assert_eq!(open.total(), here.len() + 1);
        drop((copy, here));
        assert_eq!(open.total(), 0);
        assert!(open.enter(far).is_some());
    }
}
