//! What can go wrong, who is to blame, and the one place where that becomes a code and an HTTP status.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use stafett_protocol::codec::Malformed;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::wire::{Problem, ScopePosition};

use crate::db::StoreError;
use crate::federation::outgoing::PeerError;
use crate::home::HomeError;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The caller sent what cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the request is larger than allowed")]
    TooLarge,
    #[error("names take 1 to 200 characters, without line breaks and signs that cannot be seen")]
    NameNotPlain,
    #[error("there is no such address here")]
    NoSuchRoute,
    #[error("the device is not known here, or did not sign this request on this connection")]
    NotAuthenticated,
    /// A rule of the protocol said no; the scope's position tells the caller where to sync from.
    #[error("{0}")]
    Refused(Refusal, Option<ScopePosition>),
    #[error("the code is not known here, was used, or has expired; ask for a new one")]
    CodeInvalid,
    #[error("this account may not do that")]
    NotAllowed,
    #[error("there is a unit of that name already")]
    UnitExists,
    #[error("what was signed does not fit together")]
    Inconsistent,
    #[error("too many requests; wait a little")]
    TooManyRequests,
    #[error("the recipient's mailbox is full")]
    MailboxFull,
    #[error("the request took too long")]
    TooSlow,
    #[error("this server was restored from a backup and signs nothing until its operator opens it")]
    Restored,
    #[error(
        "this server's clock is not believed; it signs nothing until the clock is right, or its operator says that it is"
    )]
    ClockJumped,
    #[error("the other home has stamped this log further ahead than this home's clock can be behind")]
    TimeAhead,
    /// A day's budget is used up.
    #[error("this account has stored, or asked for, as much as it may for now; try again in {} min", wait_ms.div_ceil(60_000))]
    QuotaExceeded { wait_ms: u64 },
    #[error("another device of this account is not yet in every scope of the one that shall go; let both sync first")]
    DeviceNeeded,
    #[error("this person has as many devices as there may be; remove one first")]
    TooManyDevices,
    #[error("no relay to that municipality is open; open it first")]
    RelayClosed,
    /// Another municipality's server did not do its part.
    #[error("{0}")]
    Peer(#[from] PeerError),
    #[error("{}", unable(.0))]
    Store(#[from] StoreError),
    #[error("the server failed; nothing was stored")]
    Internal,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal, None)
    }
}

impl From<HomeError> for Fault {
    fn from(error: HomeError) -> Self {
        tracing::error!(%error, "the home cannot be used");
        Self::Internal
    }
}

impl Fault {
    /// Status and stable code: the only such table.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::NameNotPlain => (StatusCode::UNPROCESSABLE_ENTITY, "name"),
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "no-such-route"),
            Self::NotAuthenticated => (StatusCode::UNAUTHORIZED, "not-authenticated"),
            Self::Refused(refusal, _) => (StatusCode::CONFLICT, refusal.code()),
            Self::CodeInvalid => (StatusCode::FORBIDDEN, "code-invalid"),
            Self::NotAllowed => (StatusCode::FORBIDDEN, "not-allowed"),
            Self::UnitExists => (StatusCode::CONFLICT, "unit-exists"),
            Self::Inconsistent => (StatusCode::UNPROCESSABLE_ENTITY, "inconsistent"),
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests"),
            Self::MailboxFull => (StatusCode::INSUFFICIENT_STORAGE, "mailbox-full"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow"),
            Self::DeviceNeeded => (StatusCode::CONFLICT, "device-needed"),
            Self::TooManyDevices => (StatusCode::CONFLICT, "too-many-devices"),
            Self::RelayClosed => (StatusCode::CONFLICT, "relay-closed"),
            Self::Peer(error) => (StatusCode::BAD_GATEWAY, peer_code(error)),
            Self::QuotaExceeded { .. } => (StatusCode::TOO_MANY_REQUESTS, "quota-exceeded"),
            Self::TimeAhead => (StatusCode::BAD_GATEWAY, "time-ahead"),
            Self::ClockJumped => (StatusCode::SERVICE_UNAVAILABLE, "clock-jumped"),
            Self::Restored => (StatusCode::SERVICE_UNAVAILABLE, "home-restored"),
            Self::Store(error) if error.is_full() => (StatusCode::INSUFFICIENT_STORAGE, "server-full"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// The same refusal as a frame of the stream.
    #[must_use]
    pub fn to_problem(&self) -> Problem {
        self.log();
        Problem {
            code: self.kind().1.to_owned(),
            detail: self.to_string(),
            scope: match self {
                Self::Refused(_, scope) => *scope,
                _ => None,
            },
        }
    }

    /// Only what the operator can act on; what callers do wrong is theirs to hear.
    fn log(&self) {
        if let Self::Store(error) = self {
            tracing::error!(%error, "store");
        }
    }
}

/// Nothing of ours is damaged by a full disk, and whoever waits may be told so; all else of a database is nobody's business.
fn unable(error: &StoreError) -> &'static str {
    if error.is_full() {
        "the server's disk is full: nothing was stored, nothing is damaged; its operator has to make room"
    } else {
        "the server cannot do that now; try again"
    }
}

fn peer_code(error: &PeerError) -> &'static str {
    match error {
        PeerError::Unknown => "peer-unknown",
        PeerError::Address(_) => "peer-address",
        PeerError::Unreachable => "peer-unreachable",
        PeerError::NotThePeer => "peer-not-genuine",
        PeerError::NotAdded => "peer-not-added",
        PeerError::Version => "peer-version",
        PeerError::Answer => "peer-answer",
        PeerError::Refused(refusal) => refusal.code(),
        PeerError::Busy => "peer-busy",
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        self.log();
        let (status, code) = self.kind();
        let body = serde_json::json!({
            "type": format!("about:stafett:{code}"),
            "status": status.as_u16(),
            "title": code,
            "code": code,
            "detail": self.to_string(),
        });
        let mut response = (status, Json(body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
