//! Who may come in at the loopback port. Every program and every web page on this machine can speak to it; the pages are for
//! the one browser that opened the printed link, and for what that browser sends from the pages themselves.
//!
//! What each rule keeps out stands in docs/threat-model.md, "The pages at the loopback port".

use std::sync::{Mutex, PoisonError};

use axum::http::header::{COOKIE, HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::{Method, StatusCode, Uri};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Bytes of chance in everything that must not be guessed.
const SECRET_BYTES: usize = 32;
/// In the name and the path of the cookie, which keep it from other servers of this machine and open nothing.
const NAME_BYTES: usize = 12;
/// Links that are printed and not opened yet.
const LINKS: usize = 16;

static SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What one run of the program lets in.
pub struct Gate {
    /// `127.0.0.1:PORT`, as browsers write it.
    host: String,
    /// `/` and chance: all pages are below it, and the cookie is sent nowhere else.
    base: String,
    cookie: String,
    secret: Hashed,
    links: Mutex<Vec<Hashed>>,
}

/// Of secrets only their hashes are kept and compared: neither their bytes nor the time that it takes tell anything.
struct Hashed([u8; 32]);

impl Hashed {
    fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    fn is(&self, text: &str) -> bool {
        self.0.ct_eq(&Self::of(text).0).into()
    }
}

/// Why somebody stays outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// The name that was called is not this address: a name on the net has been bent to point here.
    Elsewhere,
    /// Sent by a page that is not ours, or by nobody can say which.
    Foreign,
    /// To be shown inside another page.
    Framed,
    /// Without the cookie of the browser that opened the link.
    Unknown,
    /// The link was opened before, or never printed.
    Spent,
}

impl Outside {
    pub fn status(self) -> StatusCode {
        match self {
            Self::Elsewhere => StatusCode::MISDIRECTED_REQUEST,
            Self::Foreign | Self::Framed | Self::Unknown | Self::Spent => StatusCode::FORBIDDEN,
        }
    }
}

fn chance(bytes: usize) -> Result<Zeroizing<String>, getrandom::Error> {
    let mut drawn = Zeroizing::new(vec![0; bytes]);
    getrandom::fill(&mut drawn)?;
    Ok(Zeroizing::new(hex::encode(&*drawn)))
}

impl Gate {
    /// For this port; and the cookie's value, for whoever opens a link.
    pub fn new(port: u16) -> Result<(Self, Zeroizing<String>), getrandom::Error> {
        let secret = chance(SECRET_BYTES)?;
        let gate = Self {
            host: format!("127.0.0.1:{port}"),
            base: format!("/{}", *chance(NAME_BYTES)?),
            cookie: format!("s{}", *chance(NAME_BYTES)?),
            secret: Hashed::of(&secret),
            links: Mutex::new(Vec::new()),
        };
        Ok((gate, secret))
    }

    /// Where the pages begin.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A link that opens them once.
    pub fn link(&self) -> Result<Zeroizing<String>, getrandom::Error> {
        let token = chance(SECRET_BYTES)?;
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if links.len() >= LINKS {
            links.remove(0);
        }
        links.push(Hashed::of(&token));
        Ok(Zeroizing::new(format!("http://{}/open/{}", self.host, *token)))
    }

    /// The link's token, traded for the cookie: it is worth nothing afterwards.
    pub fn trade(&self, token: &str, secret: &str) -> Result<String, Outside> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        // All are looked at, whichever it is.
        let found =
            links.iter().enumerate().fold(None, |found, (at, link)| if link.is(token) { Some(at) } else { found });
        links.remove(found.ok_or(Outside::Spent)?);
        Ok(format!("{}={secret}; Path={}; HttpOnly; SameSite=Strict", self.cookie, self.base))
    }

    /// What holds for everybody, before anything is answered.
    pub fn at_the_port(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Outside> {
        let called = uri.authority().is_none_or(|named| named.as_str() == self.host);
        if !called || one(headers, &HOST) != Some(&self.host) {
            return Err(Outside::Elsewhere);
        }
        let framed = |dest: &str| matches!(dest, "iframe" | "frame" | "embed" | "object" | "fencedframe");
        if headers.get_all(&DEST).iter().any(|dest| dest.to_str().map_or(true, framed)) {
            return Err(Outside::Framed);
        }
        if method != Method::GET && !self.is_from_our_page(headers) {
            return Err(Outside::Foreign);
        }
        Ok(())
    }

    /// A form of a page that names no referrer comes with the origin `null`; then the browser itself must say that the page is
    /// of this site, in a header that no page can write.
    fn is_from_our_page(&self, headers: &HeaderMap) -> bool {
        let site = headers.get_all(&SITE).iter().count();
        let same_site = one(headers, &SITE) == Some("same-origin");
        if site > 0 && !same_site {
            return false;
        }
        match one(headers, &ORIGIN) {
            Some("null") => same_site && one(headers, &MODE) == Some("navigate"),
            Some(origin) => origin.strip_prefix("http://") == Some(&self.host),
            None => false,
        }
    }

    /// The path below our own, for the browser that opened the link.
    pub fn inside<'a>(&self, path: &'a str, headers: &HeaderMap) -> Result<&'a str, Outside> {
        let below = path.strip_prefix(self.base.as_str()).filter(|below| below.is_empty() || below.starts_with('/'));
        let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let values = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        // Whoever puts another cookie of that name beside it has not made the right one wrong.
        let known = values.filter(|(name, _)| *name == self.cookie).any(|(_, value)| self.secret.is(value));
        below.filter(|_| known).ok_or(Outside::Unknown)
    }
}

/// The value of a header that stands there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

/// A path that a page can have. Nothing is read from the disk by it; what is written otherwise is nobody's page.
pub fn is_plain(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.');
    path.starts_with('/')
        && path.len() <= 512
        && path.bytes().all(plain)
        && !path.contains("//")
        && path.split('/').all(|part| part != "." && part != "..")
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
