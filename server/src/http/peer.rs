//! What other municipalities' servers may ask. Without the certificate of an added peer these addresses
//! are like any that there is not.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::{Uri, request::Parts};
use axum::response::Response;
use axum::{Extension, Json};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::limits::BODY_BYTES;
use stafett_protocol::transfer::TombstoneReply;

use super::body;
use crate::accept::{FromPeer, Seat};
use crate::budget::memory::{Held, Holder};
use crate::federation::outgoing::PeerError;
use crate::federation::peers::Peer;
use crate::federation::{Hello, VERSION};
use crate::metered::Meter;
use crate::problem::Fault;
use crate::server::Server;
use crate::socket::Upgrade;
use crate::stream;
use crate::transfer;

/// The peer whose certificate came with the connection, if it is still one.
pub struct VerifiedPeer(pub Arc<Peer>);

impl FromRequestParts<Arc<Server>> for VerifiedPeer {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Fault> {
        let FromPeer(found) = parts.extensions.get().cloned().ok_or(Fault::NoSuchRoute)?;
        let found = found.ok_or(Fault::NoSuchRoute)?;
        if server.federation.peers.is_current(&found) { Ok(Self(found)) } else { Err(Fault::NoSuchRoute) }
    }
}

pub async fn hello(VerifiedPeer(_): VerifiedPeer, State(server): State<Arc<Server>>) -> Json<Hello> {
    Json(Hello { number: server.municipality.number, version: VERSION, time_ms: server.clock.now() })
}

/// A device of the peer's wants to speak to this home; who it is it says itself, in the stream.
pub async fn relay(
    VerifiedPeer(peer): VerifiedPeer,
    State(server): State<Arc<Server>>,
    Extension(seat): Extension<Seat>,
    Extension(meter): Extension<Arc<Meter>>,
    upgrade: Upgrade,
) -> Result<Response, Fault> {
    let guest = server.admission.guest(peer.number)?;
    meter.begin(server.memory.nothing([Holder::Peer(peer.number)]));
    Ok(upgrade.accept(meter, move |socket| async move {
        // All guests of a municipality come from one address.
        seat.belongs_to_a_device();
        stream::run_guest(server, peer, socket).await;
        drop((seat, guest));
    }))
}

/// One request of a peer's; what it asks and is answered counts for that peer.
fn asked(server: &Server, peer: &Peer) -> Result<Held, Fault> {
    server.admission.peer(peer.number, 1)?;
    Ok(server.memory.nothing([Holder::Peer(peer.number)]))
}

/// One page of a scope that is offered to the peer.
pub async fn pull(
    VerifiedPeer(peer): VerifiedPeer,
    State(server): State<Arc<Server>>,
    body: Body,
) -> Result<Response, Fault> {
    let mut held = asked(&server, &peer)?;
    let request = decode(&body::of(body, &mut held, BODY_BYTES).await?)?;
    body::binary(encode(&transfer::offered_page(&server, &peer, request).await?), held)
}

/// One part of an attachment of such a scope.
pub async fn attachment(
    VerifiedPeer(peer): VerifiedPeer,
    State(server): State<Arc<Server>>,
    body: Body,
) -> Result<Response, Fault> {
    let mut held = asked(&server, &peer)?;
    let request = decode(&body::of(body, &mut held, BODY_BYTES).await?)?;
    body::binary(encode(&transfer::offered_part(&server, &peer, request).await?), held)
}

/// What became of acceptances that the peer has signed.
pub async fn tombstones(
    VerifiedPeer(peer): VerifiedPeer,
    State(server): State<Arc<Server>>,
    body: Body,
) -> Result<Response, Fault> {
    let mut held = asked(&server, &peer)?;
    let request = decode(&body::of(body, &mut held, BODY_BYTES).await?)?;
    let fates = transfer::fates(&server, &peer, request).await?;
    body::binary(encode(&TombstoneReply { fates }), held)
}

/// A peer of another version hears so; everybody else hears nothing.
pub async fn fallback(uri: Uri, Extension(FromPeer(peer)): Extension<FromPeer>) -> Fault {
    let asks_a_peer = uri.path().strip_prefix("/v").and_then(|rest| rest.split_once('/')).is_some_and(|(n, rest)| {
        n.bytes().all(|c| c.is_ascii_digit()) && (rest == "peer" || rest.starts_with("peer/"))
    });
    if peer.is_some() && asks_a_peer { PeerError::Version.into() } else { Fault::NoSuchRoute }
}
