//! Which request is whose: the gate first, then the link, the choice of a home, and the home's own pages.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Method, Request, StatusCode, request};
use axum::response::Response;
use hyper::body::Incoming;
use stafett_pages as pages;
use stafett_words::TimeZone;
use stafett_words::messages::Language;
use zeroize::Zeroizing;

use crate::ui::gate::{Gate, Outside, is_plain};
use crate::ui::keeper::Keeper;
use crate::ui::{body, choose, headers, homes, live, outside, turn};

/// Everything that requests share.
pub struct Site {
    pub gate: Gate,
    /// The cookie's value, for whoever opens the link.
    secret: Zeroizing<String>,
    pub keeper: Keeper,
    /// Where homes lie.
    root: PathBuf,
    /// Of pages whose reader is not known yet.
    pub language: Language,
    pub zone: TimeZone,
    /// One passphrase is tried at a time, whoever tries.
    pub trying: tokio::sync::Mutex<()>,
}

/// What is sent to a home's own pages.
pub struct Sent {
    pub method: Method,
    /// Below the home's own beginning.
    pub path: String,
    pub form: body::Sent,
}

impl Site {
    pub fn new(port: u16, keeper: Keeper, root: PathBuf, language: Language) -> Result<Self, getrandom::Error> {
        let (gate, secret) = Gate::new(port)?;
        let (zone, trying) = (TimeZone::system(), tokio::sync::Mutex::new(()));
        Ok(Self { gate, secret, keeper, root, language, zone, trying })
    }

    /// One answer, whatever was asked.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response {
        let answered = self.route(request).await;
        let mut response = answered.unwrap_or_else(|why| outside::refused(why, self.language));
        headers::put(&mut response);
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response, Outside> {
        let (head, body) = request.into_parts();
        self.gate.at_the_port(&head.method, &head.uri, &head.headers)?;
        if let (&Method::GET, Some(shown)) = (&head.method, self.for_everybody(head.uri.path())) {
            return shown;
        }
        let below = self.gate.inside(head.uri.path(), &head.headers)?.to_owned();
        Ok(match self.within(&below, &head, body).await {
            Ok(response) => response,
            Err(status) => {
                let key = match status {
                    StatusCode::PAYLOAD_TOO_LARGE => "ui.too-large",
                    StatusCode::NOT_FOUND => "ui.no-page",
                    _ => "ui.not-understood",
                };
                outside::told(status, self.language, key)
            }
        })
    }

    /// What opens nothing that is anybody's: how pages look, and the link, once.
    fn for_everybody(&self, path: &str) -> Option<Result<Response, Outside>> {
        if path == "/style.css" {
            return Some(Ok(outside::answer(StatusCode::OK, "text/css; charset=utf-8", pages::STYLE)));
        }
        let token = path.strip_prefix("/open/")?;
        let traded = self.gate.trade(token, &self.secret);
        Some(traded.map(|cookie| outside::entering(&cookie, self.gate.base(), self.language)))
    }

    async fn within(&self, below: &str, head: &request::Parts, body: Incoming) -> Result<Response, StatusCode> {
        if !below.is_empty() && !is_plain(below) {
            return Err(StatusCode::NOT_FOUND);
        }
        let form = if head.method == Method::POST { body::read(&head.headers, body).await? } else { body::Sent::default() };
        let (first, rest) = below.trim_start_matches('/').split_once('/').unwrap_or((below.trim_start_matches('/'), ""));
        let path = format!("/{rest}");
        match (&head.method, first) {
            (&Method::GET, "") => Ok(self.front()),
            (&Method::POST, "new") => {
                let place = homes::fresh(&self.root).map(|dir| self.keeper.add(dir)).ok_or(StatusCode::NOT_FOUND)?;
                Ok(self.see(&format!("/{place}/")))
            }
            (&Method::GET, _) if path == "/shell.js" => {
                Ok(outside::answer(StatusCode::OK, "text/javascript; charset=utf-8", pages::SHELL))
            }
            (&Method::GET | &Method::POST, number) => {
                let home = number.parse().map_err(|_| StatusCode::NOT_FOUND)?;
                self.of_home(home, Sent { method: head.method.clone(), path, form }).await
            }
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    async fn of_home(&self, home: usize, sent: Sent) -> Result<Response, StatusCode> {
        let turn = self.keeper.turn(home).ok_or(StatusCode::NOT_FOUND)?;
        if sent.method == Method::GET && sent.path == "/live" {
            return Ok(live::events(turn));
        }
        Ok(turn::page(self, home, sent).await)
    }

    /// Whoever is alone here goes to the own pages at once.
    fn front(&self) -> Response {
        let dirs = self.keeper.dirs();
        if dirs.len() == 1 { self.see("/0/") } else { choose::page(self, &dirs) }
    }

    /// Look there.
    pub fn see(&self, path: &str) -> Response {
        let mut response = outside::answer(StatusCode::SEE_OTHER, "text/plain", "");
        match HeaderValue::from_str(&format!("{}{path}", self.gate.base())) {
            Ok(to) => drop(response.headers_mut().insert(LOCATION, to)),
            Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
        response
    }
}
