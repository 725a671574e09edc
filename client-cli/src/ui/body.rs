//! What a form sends: fields, and at most one file, within bounds.

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use futures_util::stream;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use stafett_protocol::limits::ATTACHMENT_BYTES;

/// The longest text of a log is far shorter; a pasted code or link, too.
const FORM_BYTES: usize = 512 * 1024;
/// Of one form.
const FIELDS: usize = 512;

/// A form that was sent.
#[derive(Default)]
pub struct Sent {
    pub fields: Vec<(String, String)>,
    /// Its name and what is in it.
    pub file: Option<(String, Vec<u8>)>,
}

impl Sent {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads it whole; what is too long is not read to its end.
pub async fn read(headers: &HeaderMap, body: Incoming) -> Result<Sent, StatusCode> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).ok();
    let most = if boundary.is_some() { ATTACHMENT_BYTES + FORM_BYTES } else { FORM_BYTES };
    // What says itself that it is too large is not waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let whole = Limited::new(body, most).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST }
    })?;
    let bytes = whole.to_bytes();
    let sent = match boundary {
        Some(boundary) => parts(bytes, boundary).await.map_err(|_| StatusCode::BAD_REQUEST)?,
        None if kind.split(';').next().is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded") => {
            let fields = form_urlencoded::parse(&bytes).take(FIELDS + 1);
            Sent { fields: fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect(), file: None }
        }
        None if bytes.is_empty() => Sent::default(),
        None => return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    };
    if sent.fields.len() > FIELDS { Err(StatusCode::PAYLOAD_TOO_LARGE) } else { Ok(sent) }
}

async fn parts(bytes: Bytes, boundary: String) -> Result<Sent, multer::Error> {
    let whole = stream::once(async move { Ok::<Bytes, std::convert::Infallible>(bytes) });
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut sent = Sent::default();
    while let Some(part) = parts.next_field().await? {
        let name = part.name().unwrap_or_default().to_owned();
        let file = part.file_name().map(str::to_owned);
        let value = part.bytes().await?;
        match file {
            // A form without a chosen file sends one without name and content.
            Some(file) if !file.is_empty() => sent.file = Some((file, value.to_vec())),
            Some(_) => {}
            None if sent.fields.len() > FIELDS => break,
            None => sent.fields.push((name, String::from_utf8_lossy(&value).into_owned())),
        }
    }
    Ok(sent)
}
