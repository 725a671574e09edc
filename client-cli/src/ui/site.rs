//! Which request is whose: the gate first, then the link, the choice of a home, and the home's own pages.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

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

/// Of a page that asks for itself again.
const BY_ITSELF: &str = "x-stafett";
/// Behind a question mark.
const FIELDS: usize = 16;

/// Everything that requests share.
pub struct Site {
    pub gate: Gate,
    /// The cookie's value, for whoever opens the link.
    secret: Zeroizing<String>,
    pub keeper: Keeper,
    /// Where homes lie.
    root: PathBuf,
    /// Of pages whose reader is not known yet.
    language: Mutex<Language>,
    /// Which page of a home somebody wanted to see when it was locked.
    wanted: Mutex<BTreeMap<usize, String>>,
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
    /// By the script of a page, and by no press.
    pub by_itself: bool,
}

impl Site {
    pub fn new(port: u16, keeper: Keeper, root: PathBuf, language: Language) -> Result<Self, getrandom::Error> {
        let (gate, secret) = Gate::new(port)?;
        let (zone, trying) = (TimeZone::system(), tokio::sync::Mutex::new(()));
        let (language, wanted) = (Mutex::new(language), Mutex::default());
        Ok(Self { gate, secret, keeper, root, language, wanted, zone, trying })
    }

    /// One answer, whatever was asked.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response {
        let answered = self.route(request).await;
        let mut response = answered.unwrap_or_else(|why| outside::refused(why, self.language()));
        headers::put(&mut response);
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response, Outside> {
        let (head, body) = request.into_parts();
        self.gate.at_the_port(&head.method, &head.uri, &head.headers)?;
        // Looked at for a GET alone: what is sent there has not opened the link.
        if head.method == Method::GET
            && let Some(shown) = self.for_everybody(head.uri.path())
        {
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
                outside::told(status, self.language(), key)
            }
        })
    }

    /// What opens nothing that is anybody's: how pages look, and the link, once.
    fn for_everybody(&self, path: &str) -> Option<Result<Response, Outside>> {
        if path == "/style.css" {
            return Some(Ok(self.style()));
        }
        let token = path.strip_prefix("/open/")?;
        let traded = self.gate.trade(token, &self.secret);
        Some(traded.map(|cookie| outside::entering(&cookie, self.gate.base(), self.language())))
    }

    async fn within(&self, below: &str, head: &request::Parts, body: Incoming) -> Result<Response, StatusCode> {
        if !below.is_empty() && !is_plain(below) {
            return Err(StatusCode::NOT_FOUND);
        }
        let form =
            if head.method == Method::POST { body::read(&head.headers, body).await? } else { body::Sent::default() };
        let (first, rest) =
            below.trim_start_matches('/').split_once('/').unwrap_or((below.trim_start_matches('/'), ""));
        let path = format!("/{rest}");
        match (&head.method, first) {
            (&Method::GET, "") => Ok(self.front()),
            (&Method::POST, "new") => {
                let place = self.one_more().ok_or(StatusCode::NOT_FOUND)?;
                Ok(self.see(&format!("/{place}/")))
            }
            (&Method::GET, _) if path == "/style.css" => Ok(self.style()),
            (&Method::GET, _) if path == "/shell.js" => {
                Ok(outside::answer(StatusCode::OK, "text/javascript; charset=utf-8", pages::SHELL))
            }
            (&Method::GET | &Method::POST, number) => {
                let home = number.parse().map_err(|_| StatusCode::NOT_FOUND)?;
                // What a page asks for by itself is no sign of anybody.
                if head.method == Method::POST || !head.headers.contains_key(BY_ITSELF) && path != "/live" {
                    self.keeper.used(home);
                }
                let since = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
                let form = if head.method == Method::GET {
                    let fields = since.take(FIELDS).map(|(name, value)| (name.into_owned(), value.into_owned()));
                    body::Sent { fields: fields.collect(), file: None }
                } else {
                    form
                };
                self.of_home(
                    home,
                    Sent { method: head.method.clone(), path, form, by_itself: head.headers.contains_key(BY_ITSELF) },
                )
                .await
            }
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    async fn of_home(&self, home: usize, sent: Sent) -> Result<Response, StatusCode> {
        let turn = self.keeper.turn(home).ok_or(StatusCode::NOT_FOUND)?;
        if sent.method == Method::GET && sent.path == "/live" {
            let seen = sent.form.field("since").and_then(|turn| turn.parse().ok());
            return Ok(live::events(turn, seen));
        }
        if sent.method == Method::POST && sent.path == "/draft" {
            return Ok(turn::typed(self, home, sent).await);
        }
        Ok(turn::page(self, home, sent).await)
    }

    /// Whoever is alone here goes to the own pages at once.
    fn front(&self) -> Response {
        let dirs = self.keeper.dirs();
        if dirs.len() == 1 { self.see("/0/") } else { choose::page(self, &dirs) }
    }

    fn style(&self) -> Response {
        outside::answer(StatusCode::OK, "text/css; charset=utf-8", pages::STYLE)
    }

    /// A place for one more home.
    pub fn one_more(&self) -> Option<usize> {
        homes::fresh(&self.root).map(|dir| self.keeper.add(dir))
    }

    pub fn language(&self) -> Language {
        *self.language.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, for whoever is not known yet.
    pub fn speak(&self, language: Language) {
        *self.language.lock().unwrap_or_else(PoisonError::into_inner) = language;
    }

    /// Where somebody stood when the home was locked, to go on there.
    pub fn comes_from(&self, home: usize, path: &str) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.insert(home, path.to_owned());
    }

    pub fn came_from(&self, home: usize) -> Option<String> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).remove(&home)
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
