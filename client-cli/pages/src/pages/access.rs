//! Hvem kan se hva: one line for each who was let in, the switch that ends it, and letting somebody in.

use maud::{Markup, html};
use stafett_client_core::answer::{
    Access, ConcernState, Consent, Consents, GrantState, LogRole, PartKind, Person, Receipt, Unit,
};
use stafett_client_core::client::input::{Cause, Command, Problem};

use crate::answers::Answers;
use crate::form::{self, Choice, Fields};
use crate::pages::log::head;
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

pub fn wanted(call: &Call<'_>) -> Vec<Command> {
    let log = call.owned("log");
    vec![Command::LogShow { log: log.clone() }, Command::ConsentList { log }]
}

/// All that one person or service was given in the same way.
struct Line<'a> {
    first: &'a Consent,
    /// The consent on the card: ending it ends them all.
    card: Option<&'a Consent>,
    all: Vec<&'a Consent>,
}

/// Everything that stands, by whom it was given to; what ended stands apart.
fn lines<'a>(consents: &'a Consents, state: impl Fn(GrantState) -> bool) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = vec![];
    for one in consents.consents.iter().filter(|one| state(one.state)) {
        let alike = |line: &&mut Line<'a>| {
            let reserve = |access: Access| access == Access::Custody;
            line.first.grantee == one.grantee && reserve(line.first.access) == reserve(one.access)
        };
        let on_card = one.scopes.iter().any(|part| part.kind == PartKind::Card);
        match lines.iter_mut().find(alike) {
            Some(line) => {
                line.card = line.card.or(on_card.then_some(one));
                line.all.push(one);
            }
            None => lines.push(Line { first: one, card: on_card.then_some(one), all: vec![one] }),
        }
    }
    lines
}

pub fn tab(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let (log, consents) = (answers.log()?, answers.consents()?);
    let family = view.role(&log.participants) == Some(LogRole::Guardian);
    let standing = lines(consents, |state| matches!(state, GrantState::Active | GrantState::Waiting));
    let ended = lines(consents, |state| matches!(state, GrantState::Withdrawn | GrantState::Expired));
    let may_let_in = matches!(view.role(&log.participants), Some(LogRole::Holder | LogRole::Guardian));
    let body = html! {
        (head(view, log, "/access"))
        (pieces::note(&view.say("access.about")))
        @if standing.is_empty() { (pieces::empty(&view.say("access.none"))) }
        ul.cards { @for one in &standing { li { (line(view, one, family)) } } }
        div.press {
            @if may_let_in { (pieces::go(&view.call.path_to("/log/{log}/let-in"), &view.say("let-in.title"))) }
            @if family { (pieces::also(&view.call.path_to("/log/{log}/access/all"), &view.say("withdraw.all"))) }
        }
        @if !ended.is_empty() {
            (pieces::part("ended", &view.say("access.ended"), html! {
                ul.cards { @for one in &ended { li { (line(view, one, false)) } } }
            }))
        }
    };
    Ok(Sheet { title: "tab.access", body })
}

fn line(view: &View<'_>, line: &Line<'_>, family: bool) -> Markup {
    let Consent { id, grantee, scopes: _, access: _, expires, state, missing, attested } = line.first;
    let widest = line.all.iter().map(|one| one.access).find(|access| *access != Access::Read).unwrap_or(Access::Read);
    let mut parts: Vec<String> = vec![];
    for part in line.all.iter().flat_map(|one| &one.scopes) {
        let title = if part.title.is_empty() {
            view.say(&format!("part.{}", part.kind.word()))
        } else {
            view.to.text(&part.title)
        };
        if !parts.contains(&title) {
            parts.push(title);
        }
    }
    let id = line.card.map_or(id, |card| &card.id);
    let tone = match state {
        GrantState::Active => "good",
        GrantState::Waiting => "warn",
        GrantState::Withdrawn | GrantState::Expired => "plain",
    };
    html! {
        div.card {
            p.person { span.name { (view.to.text(grantee)) } (pieces::tag(tone, &view.say(&format!("grant.{}", state.word())))) }
            (pieces::facts([
                (view.say("access.what"), html! { (view.say(&format!("may.{}", widest.word()))) }),
                (view.say("access.parts"), html! { (parts.join(", ")) }),
                (view.say("access.until"), html! { (view.to.time(expires)) }),
            ]))
            @if !missing.is_empty() { p { (view.with("access.missing", &[("names", &view.to.texts(missing))])) } }
            @if *attested { p { (view.say("access.paper")) } }
            @if family && *state == GrantState::Active {
                div.press { a.button.second href=(view.call.path_to(&format!("/log/{{log}}/access/{id}"))) { (view.say("withdraw.go")) } }
            }
        }
    }
}

/// What happens when it is withdrawn, before it is.
pub fn withdraw(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let (log, consents) = (answers.log()?, answers.consents()?);
    let id = view.call.id("grant");
    let all = id == "all";
    let found = consents.consents.iter().find(|one| one.id == id);
    if !all && found.is_none() {
        return Err(Problem::caller(Cause::NothingToWithdraw, "there is no such consent"));
    }
    let name = found.map(|one| view.to.text(&one.grantee)).unwrap_or_default();
    let (head, about) = if all { ("withdraw.all", "withdraw.all.about") } else { ("withdraw.head", "withdraw.about") };
    let action = view.call.path_to("/log/{log}/access/{grant}");
    let body = html! {
        (pieces::back(&view.call.path_to("/log/{log}/access"), &view.say("tab.access")))
        (pieces::head(&view.with(head, &[("name", &name)]), Some(view.to.text(&log.child))))
        (pieces::warning(&view.with(about, &[("name", &name)])))
        (pieces::never(view, "never.consent"))
        div.press {
            (form::button(&action, &[], form::grave(view, if all { "withdraw.all" } else { "withdraw.press" })))
            (pieces::also(&view.call.path_to("/log/{log}/access"), &view.say("cancel")))
        }
    };
    Ok(Sheet { title: "withdraw.title", body })
}

/// That it was withdrawn, in plain words.
pub fn receipt(view: &View<'_>, receipt: &Receipt) -> Sheet {
    let Receipt { withdrawals: _, scopes: _, told, at, queued } = receipt;
    let body = html! {
        div class="alert good" role="status" {
            h1 { span.sign aria-hidden="true" { "✓" } " " (view.say("receipt.head")) }
            p { (view.with("receipt.at", &[("at", &view.to.time(at))])) }
            @if *queued { p { (view.say("receipt.queued")) } }
            @if !told.is_empty() { p { (view.with("receipt.told", &[("names", &view.to.texts(told))])) } }
            p { (view.say("receipt.seen")) }
        }
        (pieces::go(&view.call.path_to("/log/{log}/access"), &view.say("tab.access")))
    };
    Sheet { title: "receipt.title", body }
}

pub fn wanted_let_in(call: &Call<'_>) -> Vec<Command> {
    vec![Command::LogShow { log: call.owned("log") }, Command::Units, Command::People { unit: None }]
}

/// Slipp noen til: who, what, how much. The family is asked; nothing opens before they have said yes.
pub fn let_in(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let (log, units, people) = (answers.log()?, answers.units()?, answers.people()?);
    let inside = |one: &&Person| log.participants.iter().any(|in_log| in_log.person == one.person);
    let unit = |one: &Unit| {
        Choice::new(format!("unit-{}", one.unit), view.to.text(&one.name)).about(view.to.open_word(&one.kind))
    };
    let person = |one: &Person| {
        let about = one.role.map(|role| view.word(role.word())).unwrap_or_default();
        Choice::new(format!("person-{}", one.person), view.to.name(&one.name)).about(about)
    };
    let who: Vec<Choice> = units
        .units
        .iter()
        .map(unit)
        .chain(people.people.iter().filter(|one| !view.is_me(&one.person) && !inside(one)).map(person))
        .collect();
    let concerns = log.concerns.iter().filter(|one| one.state == ConcernState::Open);
    let concerns: Vec<Choice> = concerns.map(|one| Choice::new(&one.concern, view.to.text(&one.title))).collect();
    let access = ["read", "contribute", "custody"]
        .map(|word| Choice::new(word, view.say(&format!("may.{word}"))).about(view.say(&format!("may.{word}.about"))));
    let fields = Fields::new(view, view.call.path_to("/log/{log}/let-in"));
    let inner = html! {
        (fields.radios("who", "let-in.who", &who, None))
        (fields.radios("access", "let-in.access", &access, Some("read")))
        (fields.checks("concern", "let-in.concerns", &concerns, &[]))
        (pieces::note(&view.say("let-in.note")))
    };
    let body = html! {
        (pieces::back(&view.call.path_to("/log/{log}/access"), &view.say("tab.access")))
        (pieces::head(&view.say("let-in.title"), Some(view.say("let-in.about"))))
        @if who.is_empty() { (pieces::empty(&view.say("let-in.nobody"))) }
        @else { div.card { (fields.form(inner, form::press(view, "let-in.press"))) } }
    };
    Ok(Sheet { title: "let-in.title", body })
}
