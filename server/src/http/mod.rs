//! The addresses of a server: three for everybody, and those for peers. Everything else is frames on the
//! stream.

pub(crate) mod body;
pub mod join;
mod peer;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::FutureExt as _;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::http_signature::{self, SignatureHeaders};
use stafett_protocol::limits::{BODY_BYTES, REQUEST_TIMEOUT_SECONDS};

use crate::accept::{RemoteAddress, Seat};
use crate::border;
use crate::budget::memory::{Held, Holder};
use crate::budget::prefix::Prefix;
use crate::federation::{HELLO_PATH, RELAY_PATH};
use crate::metered::Meter;
use crate::problem::Fault;
use crate::server::Server;
use crate::socket::Upgrade;
use crate::store::accounts::{self, Device};
use crate::stream;
use crate::tls::ChannelBinding;
use crate::transfer::{ATTACHMENT_PATH, PULL_PATH, TOMBSTONES_PATH};

const STREAM_PATH: &str = "/v1/stream";

/// All routes.
pub fn router(server: Arc<Server>) -> Router {
    border::bodies(Router::new())
        .route("/v1/join", post(join_route))
        .route(STREAM_PATH, get(stream_route))
        .route("/healthz", get(health))
        .route(HELLO_PATH, get(peer::hello))
        .route(RELAY_PATH, get(peer::relay))
        .route(PULL_PATH, post(peer::pull))
        .route(ATTACHMENT_PATH, post(peer::attachment))
        .route(TOMBSTONES_PATH, post(peer::tombstones))
        .fallback(peer::fallback)
        .method_not_allowed_fallback(|| async { Fault::NoSuchRoute })
        .layer(from_fn(guard))
        .with_state(server)
}

/// Time limit, no compressed bodies, and no panic that reaches the connection.
async fn guard(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Fault::TooLarge.into_response();
    }
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(Duration::from_secs(REQUEST_TIMEOUT_SECONDS), answered).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!("a handler panicked");
            Fault::Internal.into_response()
        }
        Err(_) => Fault::TooSlow.into_response(),
    }
}

async fn health(State(server): State<Arc<Server>>) -> Result<&'static str, Fault> {
    let mut conn = server.db.reader().await?;
    crate::db::schema::meta(&mut conn, "schema").await?;
    Ok("ok\n")
}

/// For a body of somebody who is not known yet.
fn unknown(server: &Server, address: Prefix) -> Held {
    server.memory.nothing([Holder::Bodies, Holder::Prefix(address)])
}

async fn join_route(
    State(server): State<Arc<Server>>,
    Extension(RemoteAddress(address)): Extension<RemoteAddress>,
    body: Body,
) -> Result<Response, Fault> {
    server.admission.address(address)?;
    let mut held = unknown(&server, address);
    let request = decode(&body::of(body, &mut held, BODY_BYTES).await?)?;
    let reply = join::join(&server, request).await?;
    body::binary(encode(&reply), held)
}

async fn stream_route(
    State(server): State<Arc<Server>>,
    Extension(RemoteAddress(address)): Extension<RemoteAddress>,
    Extension(binding): Extension<ChannelBinding>,
    Extension(seat): Extension<Seat>,
    Extension(meter): Extension<Arc<Meter>>,
    headers: HeaderMap,
    upgrade: Result<Upgrade, Fault>,
) -> Result<Response, Fault> {
    server.admission.address(address)?;
    let device = authenticate(&server, &headers, binding).await?;
    server.fanout.admit(device.device)?;
    // Only a known device learns whether its upgrade was well formed.
    let upgrade = upgrade?;
    meter.begin(server.memory.nothing([Holder::Device(device.device), Holder::Person(device.person)]));
    Ok(upgrade.accept(meter, move |socket| async move {
        seat.belongs_to_a_device();
        stream::run(server, device, socket).await;
        drop(seat);
    }))
}

/// The device that signed this very request on this very connection.
async fn authenticate(server: &Server, headers: &HeaderMap, binding: ChannelBinding) -> Result<Device, Fault> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (Some(content_digest), Some(signature_input), Some(signature)) =
        (text("content-digest"), text("signature-input"), text("signature"))
    else {
        return Err(Fault::NotAuthenticated);
    };
    let signed = SignatureHeaders { content_digest, signature_input, signature };
    let device = http_signature::claimed_device(&signed.signature_input).ok_or(Fault::NotAuthenticated)?;
    let mut conn = server.db.reader().await?;
    let device = accounts::device(&mut conn, device).await?.ok_or(Fault::NotAuthenticated)?;
    if !http_signature::verify("GET", STREAM_PATH, b"", &binding.0, &device.key, &signed) {
        return Err(Fault::NotAuthenticated);
    }
    Ok(device)
}
