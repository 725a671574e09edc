//! Who is in a log, and whether their key was compared.

use maud::{Markup, html};
use stafett_client_core::answer::{Answered, Log, LogRole, Participant, Person, Said, Verified};
use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::form::{self, Fields};
use crate::pages::log::head;
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

/// Aktører: everybody in the log.
pub fn tab(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let log = answers.log()?;
    let may_let_in = matches!(view.role(&log.participants), Some(LogRole::Holder | LogRole::Guardian));
    let body = html! {
        (head(view, log, "/people"))
        @if !log.answers.is_empty() { (answered(view, log)) }
        @if log.participants.is_empty() { (pieces::empty(&view.say("people.none"))) }
        ul.cards { @for one in &log.participants { li { (participant(view, log, one)) } } }
        @if may_let_in { div.press { (pieces::go(&view.call.path_to("/log/{log}/let-in"), &view.say("let-in.title"))) } }
    };
    Ok(Sheet { title: "tab.people", body })
}

/// A log that is not there yet: who has said what.
fn answered(view: &View<'_>, log: &Log) -> Markup {
    let line = |one: &Answered| {
        let Answered { person: _, name, answer } = one;
        let (tone, key) = match answer {
            Said::Yes => ("good", "said.yes"),
            Said::No => ("bad", "said.no"),
            Said::Unanswered => ("warn", "said.unanswered"),
        };
        html! { li.card { span.person { span.name { (view.to.text(name)) } (pieces::tag(tone, &view.say(key))) } } }
    };
    pieces::part("answers", &view.say("answers.title"), html! { ul.cards { @for one in &log.answers { (line(one)) } } })
}

fn participant(view: &View<'_>, log: &Log, one: &Participant) -> Markup {
    let Participant { person, name, unit, role, access: _, scopes, verified } = one;
    let titles: Vec<String> = log
        .concerns
        .iter()
        .filter(|concern| scopes.contains(&concern.concern))
        .map(|concern| view.to.text(&concern.title))
        .collect();
    let compare = !matches!(verified, Verified::Myself | Verified::Compared | Verified::Code);
    html! {
        div.card {
            (pieces::person(view, name, *verified))
            p { (view.say(&format!("role.{}", role.word()))) @if let Some(unit) = unit { " · " (view.to.text(unit)) } }
            @if !titles.is_empty() { p.by { (view.with("people.in", &[("titles", &titles.join(", "))])) } }
            @if compare { div.press { (pieces::also(&format!("/person/{person}"), &view.say("verify.go"))) } }
        }
    }
}

pub fn wanted(call: &Call<'_>) -> Vec<Command> {
    vec![Command::People { unit: None }, Command::Verify { person: call.owned("person"), number: None }]
}

pub fn wanted_all(_: &Call<'_>) -> Vec<Command> {
    vec![Command::People { unit: None }, Command::Units]
}

/// Everybody who is known here, to compare keys with.
pub fn all(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let people = answers.people()?;
    let others: Vec<_> = people.people.iter().filter(|one| !view.is_me(&one.person)).collect();
    let body = html! {
        (pieces::back("/me", &view.say("nav.me")))
        (pieces::head(&view.say("known.title"), Some(view.say("known.about"))))
        @if others.is_empty() { (pieces::empty(&view.say("known.none"))) }
        ul.cards { @for one in others { li { (line(view, one)) } } }
    };
    Ok(Sheet { title: "known.title", body })
}

fn line(view: &View<'_>, one: &Person) -> Markup {
    let Person { person, name, unit, role, verified } = one;
    let unit = unit.as_ref().and_then(|unit| view.to.known(unit));
    let told = [role.map(|role| view.word(role.word())), unit].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    html! {
        a.card.link href={ "/person/" (person) } {
            span.name { (view.to.name(name)) }
            (pieces::trust(view, *verified))
            span.by { (told) }
        }
    }
}

/// The number that both read aloud, as digits and as a picture.
pub fn verify(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let person = view.call.id("person");
    let people = answers.people()?;
    let comparison = answers.comparison()?;
    let known = people.people.iter().find(|one| one.person == person);
    let name = known.map_or_else(|| view.to.word("unnamed"), |one| view.to.name(&one.name));
    let fields = Fields::new(view, format!("/person/{person}/verify"));
    let body = html! {
        (pieces::back("/people", &view.say("known.title")))
        (pieces::head(&view.with("verify.head", &[("name", &name)]), Some(view.say("verify.about"))))
        @if let Some(one) = known { p { (pieces::trust(view, one.verified)) } }
        (pieces::never(view, "never.number"))
        div.card {
            h2 { (view.say("verify.yours")) }
            p.number { (view.to.text(&comparison.number)) }
            (pieces::qr(view, &comparison.number))
        }
        div.card {
            h2 { (view.say("verify.theirs")) }
            (fields.form(fields.text("number", "verify.number"), form::press(view, "verify.press")))
        }
    };
    Ok(Sheet { title: "verify.title", body })
}

/// Whether they were the same.
pub fn compared(view: &View<'_>, name: &str, matches: bool) -> Sheet {
    let name = view.to.text(name);
    let (tone, key) = if matches { ("alert good", "verify.same") } else { ("alert bad", "verify.differs") };
    let sign = if matches { "✓" } else { "!" };
    let body = html! {
        div class=(tone) role="alert" {
            h1 { span.sign aria-hidden="true" { (sign) } " " (view.with(key, &[("name", &name)])) }
            p { (view.say(&format!("{key}.about"))) }
        }
        (pieces::go("/people", &view.say("known.title")))
    };
    Sheet { title: "verify.title", body }
}
