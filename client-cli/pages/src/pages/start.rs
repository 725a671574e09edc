//! The beginning: a code becomes a home on this device; later, the door of that home.

use maud::{Markup, html};
use stafett_client_core::client::input::Problem;

use crate::answers::Answers;
use crate::form::{self, Choice, Fields};
use crate::pieces;
use crate::table::Sheet;
use crate::view::View;

pub fn show(view: &View<'_>, _: &Answers<'_>) -> Result<Sheet, Problem> {
    let fields = Fields::new(view, "/start");
    let kinds = [("person", "start.kind.person"), ("device", "start.kind.device")]
        .map(|(word, key)| Choice::new(word, view.say(key)));
    let inner = html! {
        (fields.area("code", "start.code"))
        (fields.radios("kind", "start.kind", &kinds, Some("person")))
        (fields.text("name", "start.name"))
        (fields.secret("passphrase", "passphrase.new", "new-password"))
        (fields.secret("again", "passphrase.again", "new-password"))
        (pieces::never(view, "never.passphrase"))
    };
    let body = html! {
        (pieces::head(&view.say("start.title"), Some(view.say("start.about"))))
        div.card { (fields.secretly(inner, form::press(view, "start.press"))) }
        (others(view))
    };
    Ok(Sheet { title: "start.title", body })
}

/// Nobody gets in without the passphrase.
pub fn locked(view: &View<'_>, _: &Answers<'_>) -> Result<Sheet, Problem> {
    let fields = Fields::new(view, "/unlock");
    let inner = html! {
        (fields.secret("passphrase", "passphrase.this", "current-password"))
        (pieces::never(view, "never.passphrase"))
    };
    let body = html! {
        (pieces::head(&view.say("unlock.title"), Some(view.say("unlock.about"))))
        div.card { (fields.secretly(inner, form::press(view, "unlock.press"))) }
        (others(view))
    };
    Ok(Sheet { title: "unlock.title", body })
}

/// Others who have a home on this machine.
fn others(view: &View<'_>) -> Markup {
    let others: Vec<_> = view.status.homes.iter().filter(|home| !home.this).collect();
    if others.is_empty() && view.ask.path == "/start" {
        return html! {};
    }
    let inner = html! {
        div.choices {
            @for home in others {
                @let name = home.name.clone().unwrap_or_else(|| view.say("homes.unnamed"));
                (form::button("/homes", &[("home", &home.id)], html! { button.quiet type="submit" { (view.to.text(&name)) } }))
            }
            @if view.ask.path != "/start" {
                (form::button("/homes", &[], form::quiet(view, "homes.new")))
            }
        }
    };
    pieces::part("homes", &view.say("homes.title"), inner)
}
