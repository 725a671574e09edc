//! What other municipalities' servers may ask. Without the certificate of an added peer these addresses
//! are like any that there is not.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::{Uri, request::Parts};
use axum::{Extension, Json};

use crate::accept::FromPeer;
use crate::federation::outgoing::PeerError;
use crate::federation::peers::Peer;
use crate::federation::{Hello, VERSION};
use crate::home::now_ms;
use crate::problem::Fault;
use crate::server::Server;

/// The peer whose certificate came with the connection, if it is still one.
pub struct VerifiedPeer(pub Arc<Peer>);

impl FromRequestParts<Arc<Server>> for VerifiedPeer {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Fault> {
        let FromPeer(found) = parts.extensions.get().cloned().ok_or(Fault::NoSuchRoute)?;
        let found = found.ok_or(Fault::NoSuchRoute)?;
        // Connections live longer than trust: a peer that was replaced has to come anew.
        let now = server.federation.peers.get(found.number).filter(|now| Arc::ptr_eq(now, &found));
        now.map(Self).ok_or(Fault::NoSuchRoute)
    }
}

pub async fn hello(VerifiedPeer(_): VerifiedPeer, State(server): State<Arc<Server>>) -> Json<Hello> {
    Json(Hello { number: server.municipality.number, version: VERSION, time_ms: now_ms() })
}

/// A peer of another version hears so; everybody else hears nothing.
pub async fn fallback(
    uri: Uri,
    Extension(FromPeer(peer)): Extension<FromPeer>,
) -> Fault {
    let asks_a_peer = uri.path().strip_prefix("/v").and_then(|rest| rest.split_once('/')).is_some_and(|(n, rest)| {
        n.bytes().all(|c| c.is_ascii_digit()) && (rest == "peer" || rest.starts_with("peer/"))
    });
    if peer.is_some() && asks_a_peer { PeerError::Version.into() } else { Fault::NoSuchRoute }
}
