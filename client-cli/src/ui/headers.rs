//! What stands at the head of every answer: what a page may do in a browser, and that nothing of it stays there.

use axum::http::header::{HeaderName, HeaderValue};
use axum::response::Response;

/// No script but ours, no style but ours, nothing from elsewhere, no form that goes elsewhere, no page around this one, and no
/// text that becomes markup without the one rule of `shell.js`.
const CONTENT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types stafett";

const ALL: [(&str, &str); 12] = [
    ("content-security-policy", CONTENT),
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("origin-agent-cluster", "?1"),
    ("x-dns-prefetch-control", "off"),
    ("x-robots-tag", "noindex, nofollow"),
    (
        "permissions-policy",
        "camera=(), microphone=(), geolocation=(), display-capture=(), clipboard-read=(), usb=(), serial=(), payment=()",
    ),
];

/// Puts them all there.
pub fn put(response: &mut Response) {
    for (name, value) in ALL {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}
