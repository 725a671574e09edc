//! I dag: what needs me.

use maud::{Markup, html};
use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

pub fn wanted(_: &Call<'_>) -> Vec<Command> {
    vec![Command::LogList, Command::ConsentPending, Command::BatonList, Command::Drafts]
}

pub fn show(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let requests = answers.requests()?;
    let things: Vec<Markup> = requests
        .requests
        .iter()
        .map(|one| {
            let child = one.child.as_ref().map_or_else(|| view.say("log.nameless"), |name| view.to.text(name));
            html! {
                a.card.link href={ "/consent/" (one.request) } {
                    span.name { (child) }
                    span { (view.with("today.consent", &[("who", &view.to.text(&one.grantee))])) }
                }
            }
        })
        .collect();
    let body = html! {
        (pieces::head(&view.say("today.title"), Some(view.say("today.about"))))
        @if things.is_empty() { (pieces::empty(&view.say("today.none"))) }
        @else { ul.cards { @for thing in things { li { (thing) } } } }
    };
    Ok(Sheet { title: "today.title", body })
}
