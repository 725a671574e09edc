//! Several homes on one machine: who is it? A home is called by its folder; the name of a person is sealed in it.

use std::path::PathBuf;

use axum::http::StatusCode;
use axum::response::Response;
use maud::{DOCTYPE, html};
use stafett_words::messages::Messages;

use crate::ui::keeper::Presence;
use crate::ui::outside;
use crate::ui::site::Site;

/// A link to each home, and one more.
pub fn page(site: &Site, dirs: &[PathBuf]) -> Response {
    let messages = Messages::of(site.language());
    let say = |key: &str| messages.say(key, &[]);
    let base = site.gate.base();
    let homes = dirs.iter().enumerate().map(|(at, dir)| {
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let state = match site.keeper.presence(at) {
            Some(Presence::Open) => "ui.choose.open",
            Some(Presence::Locked) => "ui.choose.locked",
            Some(Presence::Nobody) | None => "ui.choose.empty",
        };
        (at, name, say(state))
    });
    let page = html! {
        (DOCTYPE)
        html lang=(outside::tag(site.language())) translate="no" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Stafett" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                main {
                    h1 { (say("ui.choose.title")) }
                    p { (say("ui.choose.why")) }
                    ul {
                        @for (at, name, state) in homes {
                            li { a href={ (base) "/" (at) "/" } { (name) } " – " (state) }
                        }
                    }
                    form method="post" action={ (base) "/new" } {
                        button type="submit" { (say("ui.choose.new")) }
                    }
                }
            }
        }
    };
    outside::answer(StatusCode::OK, "text/html; charset=utf-8", page.into_string())
}
