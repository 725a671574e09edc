//! Historikk: what has happened, in words; the replay with one press; the file with which others can make it.

use maud::{Markup, html};
use stafett_client_core::answer::{Event, Fork, HeldAgainst, History, PartKind, Report, SeenPart, Violation};
use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::form;
use crate::pages::log::head;
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

pub fn wanted(call: &Call<'_>) -> Vec<Command> {
    let log = call.owned("log");
    vec![Command::LogShow { log: log.clone() }, Command::LogHistory { log }]
}

pub fn tab(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let (log, History { log: _, events }) = (answers.log()?, answers.history()?);
    let body = html! {
        (head(view, log, "/history"))
        @if !log.audited { (pieces::note(&view.say("unread"))) }
        div.press {
            (pieces::go(&view.call.path_to("/log/{log}/replay"), &view.say("replay.go")))
            (form::button(&view.call.path_to("/log/{log}/export"), &[], form::quiet(view, "export.press")))
        }
        @if !log.handovers.is_empty() {
            (pieces::part("handovers", &view.say("handovers.title"), html! {
                ul.cards {
                    @for one in &log.handovers {
                        li.card {
                            p { (view.with("handover.line", &[("from", &view.to.maybe(one.from.as_ref())), ("to", &view.to.maybe(one.to.as_ref()))])) }
                            @if let Some(reason) = &one.reason { p.written { (view.to.text(reason)) } }
                            p.by { (view.to.maybe_time(one.at.as_ref())) }
                        }
                    }
                }
            }))
        }
        (pieces::part("events", &view.say("history.title"), html! {
            @if events.is_empty() { (pieces::empty(&view.say("history.none"))) }
            ol.events { @for one in events.iter().rev() { li { (event(view, one)) } } }
        }))
    };
    Ok(Sheet { title: "tab.history", body })
}

fn event(view: &View<'_>, event: &Event) -> Markup {
    let Event { seq: _, time, scope, part, kind, author, brought_by } = event;
    html! {
        p {
            strong { (view.to.open_word(kind)) } " – " (view.to.known(scope).unwrap_or_else(|| part_name(view, *part)))
        }
        p.by {
            (view.to.time(time))
            @if let Some(author) = author { " · " (view.to.text(author)) }
            @if let Some(other) = brought_by { " · " (view.with("history.brought", &[("name", &view.to.text(other))])) }
        }
    }
}

pub fn part_name(view: &View<'_>, part: PartKind) -> String {
    view.say(&format!("part.{}", part.word()))
}

pub fn wanted_replay(call: &Call<'_>) -> Vec<Command> {
    let log = call.owned("log");
    vec![Command::LogShow { log: log.clone() }, Command::AuditVerify { log }]
}

/// Every signature and every rule once more.
pub fn replay(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let Report { log: _, municipalities, scopes, from, to, events, checks, violations, unchecked, forks } =
        answers.report()?;
    let good = violations.is_empty() && forks.is_empty();
    let (tone, key) = if good { ("alert good", "replay.good") } else { ("alert bad", "replay.bad") };
    let name = |scope: &str| view.to.known(scope).unwrap_or_else(|| view.say("part.unnamed"));
    let body = html! {
        (pieces::back(&view.call.path_to("/log/{log}/history"), &view.say("tab.history")))
        div class=(tone) role="status" {
            h1 { span.sign aria-hidden="true" { (if good { "✓" } else { "!" }) } " " (view.say(key)) }
            p { (view.with("replay.counts", &[("events", &events.to_string()), ("checks", &checks.to_string())])) }
            p { (view.with("replay.span", &[("from", &view.to.maybe_time(from.as_ref())), ("to", &view.to.maybe_time(to.as_ref()))])) }
            @for Violation { scope, seq: _, rule } in violations {
                p { (view.with("replay.violation", &[("part", &name(scope)), ("rule", &view.to.broken(rule))])) }
            }
            @for Fork { scope, seq: _, receipts: _ } in forks { p { (view.with("replay.fork", &[("part", &name(scope))])) } }
        }
        (pieces::part("parts", &view.say("replay.parts"), pieces::facts(scopes.iter().map(|one| {
            let SeenPart { scope, kind, records, from: _, to } = one;
            let name = view.to.known(scope).or_else(|| kind.map(|kind| part_name(view, kind)));
            let told = view.with("replay.part", &[("many", &records.to_string()), ("to", &view.to.time(to))]);
            (name.unwrap_or_else(|| view.say("part.unnamed")), html! { (told) })
        }))))
        details {
            summary { (view.say("replay.unchecked")) }
            ul.plain { @for word in unchecked { li { (view.to.open_word(word)) } } }
            @for HeldAgainst { number, key: _, fingerprint } in municipalities {
                p { (view.with("replay.key", &[("number", &format!("{number:04}"))])) }
                p.code { (view.to.text(fingerprint)) }
            }
        }
    };
    Ok(Sheet { title: "replay.title", body })
}
