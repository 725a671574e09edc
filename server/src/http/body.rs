//! Bodies of requests and answers, of this server and of peers, counted in memory as long as they are there.

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use hyper::body::Body;

use crate::budget::memory::Held;
use crate::problem::Fault;

/// Room is made in steps of this, so that what is held is what has come.
const STEP_BYTES: usize = 64 * 1024;

/// A whole body of at most so many bytes. Memory is taken as they come, never on the word of its head.
pub async fn of<B: Body<Data = Bytes> + Unpin>(mut body: B, held: &mut Held, most: usize) -> Result<Vec<u8>, Fault> {
    if body.size_hint().lower() > most as u64 {
        return Err(Fault::TooLarge);
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Fault::TooLarge)?.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > most {
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

/// Bytes that are held as long as anybody has them.
struct Answer {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The bytes and whoever answers for them, until the last copy is gone.
pub fn kept(bytes: Vec<u8>, held: Held) -> Bytes {
    Bytes::from_owner(Answer { bytes, _held: held })
}

pub fn binary(bytes: Vec<u8>, mut held: Held) -> Result<Response, Fault> {
    held.set(bytes.len())?;
    let bytes = kept(bytes, held);
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}
