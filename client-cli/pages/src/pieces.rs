//! What several pages are put together from: heads, cards, alerts, empty states, persons, results.

use maud::{Markup, html};
use qrcode::{Color, EcLevel, QrCode};
use stafett_client_core::answer::{Moment, Name, Verified};

use crate::view::View;

/// The head of a page: where one is, and what it is for.
pub fn head(title: &str, lead: Option<String>) -> Markup {
    html! {
        div.head {
            h1 { (title) }
            @if let Some(lead) = lead { p.lead { (lead) } }
        }
    }
}

/// The way back up.
pub fn back(path: &str, label: &str) -> Markup {
    html! { p.back { a href=(path) { span aria-hidden="true" { "← " } (label) } } }
}

/// A part of a page under its own head.
pub fn part(id: &str, title: &str, inner: Markup) -> Markup {
    let label = format!("{id}-title");
    html! { section.part id=(id) aria-labelledby=(label) { h2 id=(label) { (title) } (inner) } }
}

/// Nothing is here yet, and what would be.
pub fn empty(text: &str) -> Markup {
    html! { p.empty { (text) } }
}

/// Something to know before going on.
pub fn note(text: &str) -> Markup {
    html! { p.note { span.sign aria-hidden="true" { "i" } span { (text) } } }
}

/// Something to be careful with.
pub fn warning(text: &str) -> Markup {
    html! { p.note.warn { span.sign aria-hidden="true" { "!" } span { (text) } } }
}

/// Said where somebody might be talked into something.
pub fn never(view: &View<'_>, key: &str) -> Markup {
    html! { p.never { strong { (view.say("never.head")) } " " (view.say(key)) } }
}

/// A link that looks like what it is: the next thing to do.
pub fn go(path: &str, label: &str) -> Markup {
    html! { a.button href=(path) { (label) } }
}

/// Something else that can be done.
pub fn also(path: &str, label: &str) -> Markup {
    html! { a.button.second href=(path) { (label) } }
}

/// A small word on a card, with the tone of what it means.
pub fn tag(tone: &str, label: &str) -> Markup {
    html! { span class={ "tag " (tone) } { (label) } }
}

/// The sign of a result, for whom colours are alike.
pub fn sign(result: &str) -> &'static str {
    match result {
        "green" => "✓",
        "yellow" => "≈",
        "red" => "✕",
        _ => "–",
    }
}

/// A result: colour, sign and word, never one of them alone.
pub fn result(view: &View<'_>, result: &str) -> Markup {
    html! { span class={ "result " (result) } { span.sign aria-hidden="true" { (sign(result)) } (view.word(result)) } }
}

/// Who, and since when.
pub fn by(view: &View<'_>, author: Option<&String>, time: Option<&Moment>) -> Markup {
    let when = time.map_or_else(|| view.say("not-sent"), |time| view.to.time(time));
    html! { p.by { @if let Some(author) = author { span { (view.to.text(author)) } " · " } (when) } }
}

/// A person by name, and how far their key is believed.
pub fn person(view: &View<'_>, name: &Name, verified: Verified) -> Markup {
    html! { span.person { span.name { (view.to.name(name)) } (trust(view, verified)) } }
}

/// How far a key is believed: worth a word only where it is the reader's turn.
pub fn trust(view: &View<'_>, verified: Verified) -> Markup {
    let tone = match verified {
        Verified::Myself | Verified::Compared | Verified::Code => "good",
        Verified::Introduced | Verified::Leader => "plain",
        Verified::Municipality | Verified::Unknown => "warn",
    };
    tag(tone, &view.say(&format!("trust.{}", verified.word())))
}

/// What is known by two words: what it is, and what it is now.
pub fn facts(all: impl IntoIterator<Item = (String, Markup)>) -> Markup {
    html! { dl.facts { @for (what, is) in all { div { dt { (what) } dd { (is) } } } } }
}

/// A text as a picture for another device's camera; nothing where it is too long.
pub fn qr(view: &View<'_>, text: &str) -> Markup {
    // Capital letters take less room in a picture, and mean the same in a code.
    let Ok(code) = QrCode::with_error_correction_level(text.to_uppercase().as_bytes(), EcLevel::L) else {
        return html! {};
    };
    let (side, quiet) = (code.width(), 4);
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, one)| *one == Color::Dark);
    let path: String = dark.map(|(at, _)| format!("M{} {}h1v1h-1z", at % side + quiet, at / side + quiet)).collect();
    let whole = side + 2 * quiet;
    html! {
        svg.qr viewBox={ "0 0 " (whole) " " (whole) } role="img" aria-label=(view.say("qr")) shape-rendering="crispEdges" {
            path d=(path) fill="#000" {}
        }
    }
}
