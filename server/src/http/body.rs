//! Bodies of requests and answers, counted in memory as long as they are there.

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use stafett_protocol::limits::BODY_BYTES;

use crate::budget::memory::Held;
use crate::problem::Fault;

/// Room is made in steps of this, so that what is held is what has come.
const STEP_BYTES: usize = 64 * 1024;

/// A whole body. Memory is taken as its bytes come, never on the word of its head.
pub async fn of(mut body: Body, held: &mut Held) -> Result<Vec<u8>, Fault> {
    if body.size_hint().lower() > BODY_BYTES as u64 {
        return Err(Fault::TooLarge);
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Fault::TooLarge)?.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > BODY_BYTES {
            return Err(Fault::TooLarge);
        }
        if length > whole.capacity() {
            let room = length.next_multiple_of(STEP_BYTES);
            held.set(room)?;
            whole.reserve_exact(room - whole.len());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}

/// An answer, held until the last of it is written.
struct Answer {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

pub fn binary(bytes: Vec<u8>, mut held: Held) -> Result<Response, Fault> {
    held.set(bytes.len())?;
    let bytes = Bytes::from_owner(Answer { bytes, _held: held });
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}
