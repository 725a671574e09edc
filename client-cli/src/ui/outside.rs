//! The few pages that the host has words for itself: for whoever is not let in, and for what cannot be read. They hold texts of
//! the catalogue and nothing else.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use stafett_words::messages::{Language, Messages};

use crate::ui::gate::Outside;

/// The short names of HTML.
pub fn tag(language: Language) -> &'static str {
    match language {
        Language::Bokmaal => "nb",
        Language::Nynorsk => "nn",
        Language::English => "en",
    }
}

/// An answer of this kind.
pub fn answer(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn page(status: StatusCode, language: Language, head: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Stafett</title><link rel=\"stylesheet\" href=\"/style.css\">{head}</head>\
         <body><main><h1>Stafett</h1><p>{body}</p></main></body></html>",
        tag(language)
    );
    answer(status, "text/html; charset=utf-8", html)
}

/// One text of the catalogue.
pub fn told(status: StatusCode, language: Language, key: &str) -> Response {
    page(status, language, "", &Messages::of(language).say(key, &[]))
}

/// Why somebody is not let in.
pub fn refused(why: Outside, language: Language) -> Response {
    let key = match why {
        Outside::Elsewhere => "ui.outside.elsewhere",
        Outside::Foreign => "ui.outside.foreign",
        Outside::Framed => "ui.outside.framed",
        Outside::Unknown => "ui.outside.unknown",
        Outside::Spent => "ui.outside.spent",
    };
    told(why.status(), language, key)
}

/// The link was right: the cookie, and on to the pages. Not by a redirect: a browser that came from elsewhere would not send
/// the new cookie along, which is for this site's own steps alone.
pub fn entering(cookie: &str, base: &str, language: Language) -> Response {
    let messages = Messages::of(language);
    let go_on =
        format!("{} <a href=\"{base}/\">{}</a>", messages.say("ui.entering", &[]), messages.say("ui.go-on", &[]));
    let head = format!("<meta http-equiv=\"refresh\" content=\"0; url={base}/\">");
    let mut response = page(StatusCode::OK, language, &head, &go_on);
    match HeaderValue::from_str(cookie) {
        Ok(cookie) => drop(response.headers_mut().insert(SET_COOKIE, cookie)),
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}
