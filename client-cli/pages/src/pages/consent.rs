//! Samtykke: what waits for an answer, and one request whole, before it is signed.

use maud::{Markup, html};
use stafett_client_core::answer::{Access, AskedPart, Authority, Named, Request, RequestTakenBack, Requests};
use stafett_client_core::client::input::{Cause, Command, Problem};

use crate::answers::Answers;
use crate::form::{self, Choice, Fields};
use crate::pages::history::part_name;
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

pub fn wanted(_: &Call<'_>) -> Vec<Command> {
    vec![Command::ConsentPending]
}

pub fn list(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let Requests { requests, refused, taken_back } = answers.requests()?;
    let body = html! {
        (pieces::head(&view.say("consents.title"), Some(view.say("consents.about"))))
        @if requests.is_empty() { (pieces::empty(&view.say("consents.none"))) }
        ul.cards { @for one in requests { li { (card(view, one)) } } }
        @if !refused.is_empty() {
            (pieces::part("refused", &view.say("consents.refused"), html! {
                p.hint { (view.say("consents.refused.about")) }
                ul.cards { @for one in refused { li { (card(view, one)) } } }
            }))
        }
        @if !taken_back.is_empty() {
            (pieces::part("taken-back", &view.say("consents.taken-back"), html! {
                ul.cards {
                    @for RequestTakenBack { request: _, log: _, child, by, at } in taken_back {
                        li.card {
                            p { strong { (child_name(view, child.as_ref())) } " – " (view.with("consents.taken-back.line", &[("by", &view.to.text(by))])) }
                            p.by { (view.to.time(at)) }
                        }
                    }
                }
            }))
        }
    };
    Ok(Sheet { title: "consents.title", body })
}

pub fn child_name(view: &View<'_>, child: Option<&String>) -> String {
    child.map_or_else(|| view.say("log.nameless"), |name| view.to.text(name))
}

fn may(view: &View<'_>, access: Option<Access>) -> String {
    access.map_or_else(|| view.to.absent(), |access| view.say(&format!("may.{}", access.word())))
}

fn card(view: &View<'_>, one: &Request) -> Markup {
    html! {
        a.card.link href={ "/consent/" (one.request) } {
            span.name { (child_name(view, one.child.as_ref())) }
            span.full { (view.with("consent.line", &[("who", &view.to.text(&one.grantee)), ("may", &may(view, one.access))])) }
        }
    }
}

/// The whole of it: who, what, why, until when, who else decides.
pub fn review(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let Requests { requests, refused, taken_back: _ } = answers.requests()?;
    let id = view.call.id("request");
    let open = requests.iter().find(|one| one.request == id);
    let earlier = refused.iter().find(|one| one.request == id);
    let found = open.or(earlier).ok_or_else(|| Problem::caller(Cause::UnknownId, "there is no such request"))?;
    let Request {
        request,
        log: _,
        child,
        from,
        from_verified,
        grantee,
        grantee_verified,
        leader,
        scopes,
        access,
        expires,
        moves_to,
        authority,
        problem,
        answered,
        text,
    } = found;
    let Authority { guardians, quorum, of, child: deciding, youth_from } = authority;
    let mut parts: Vec<String> = vec![];
    for AskedPart { scope: _, kind, title, access: _ } in scopes {
        let name = if title.is_empty() { part_name(view, *kind) } else { view.to.text(title) };
        if !parts.contains(&name) {
            parts.push(name);
        }
    }
    let reserve = scopes.iter().any(|part| part.access == Access::Custody) && *access != Some(Access::Custody);
    let quorum = view.with("consent.quorum", &[("quorum", &quorum.to_string()), ("of", &of.to_string())]);
    let mut facts = vec![
        (
            view.say("consent.who"),
            html! { span.person { span.name { (view.to.text(grantee)) } (pieces::trust(view, *grantee_verified)) } },
        ),
        (view.say("consent.what"), html! { (may(view, *access)) ": " (parts.join(", ")) }),
        (view.say("consent.why"), html! { span.written { (view.to.text(text)) } }),
        (view.say("consent.until"), html! { (view.to.maybe_time(expires.as_ref())) }),
        (
            view.say("consent.from"),
            html! { span.person { span.name { (view.to.text(from)) } (pieces::trust(view, *from_verified)) } },
        ),
    ];
    if let Some(leader) = leader {
        facts.push((view.say("consent.leader"), named(view, leader)));
    }
    let decide = html! {
        ul.persons { @for one in guardians.iter().chain(deciding) { li { (named(view, one)) } } }
    };
    facts.push((view.say("consent.decide"), html! { (decide) p.by { (quorum) } }));
    if !answered.is_empty() {
        facts.push((view.say("consent.answered"), html! { (view.to.texts(answered)) }));
    }
    if let Some(from) = youth_from {
        facts.push((view.say("consent.youth"), html! { (view.day(from)) }));
    }
    let body = html! {
        (pieces::back("/consents", &view.say("consents.title")))
        (pieces::head(&child_name(view, child.as_ref()), Some(view.say("consent.about"))))
        @if let Some(place) = moves_to { (pieces::warning(&view.with("consent.moves", &[("place", &view.to.text(place))]))) }
        @if let Some(code) = problem { (pieces::warning(&view.problem(&Problem::quoting(code, code.clone())))) }
        div.card { (pieces::facts(facts)) }
        (pieces::never(view, "never.consent"))
        (answer(view, request, reserve, open.is_some(), problem.is_none()))
    };
    Ok(Sheet { title: "consent.title", body })
}

/// By name, how far this very key is believed, and what else somebody called them.
fn named(view: &View<'_>, one: &Named) -> Markup {
    let Named { person: _, name, called, verified } = one;
    html! {
        (pieces::person(view, name, *verified))
        @if let Some(called) = called { span.by { (view.with("consent.called", &[("name", &view.to.text(called))])) } }
    }
}

fn answer(view: &View<'_>, request: &str, reserve: bool, open: bool, possible: bool) -> Markup {
    let fields = Fields::new(view, format!("/consent/{request}/grant"));
    let custody = [Choice::new("yes", view.say("consent.custody")).about(view.say("consent.custody.about"))];
    html! {
        @if possible {
            div.card {
                @if !open { p { strong { (view.say("consent.said-no")) } } }
                p { (view.say("consent.sign.about")) }
                (fields.form(
                    html! { @if reserve { (fields.checks("custody", "consent.reserve", &custody, &[])) } },
                    form::press(view, if open { "consent.sign" } else { "consent.sign.after-all" }),
                ))
            }
        }
        @if open {
            div.press { (form::button(&format!("/consent/{request}/refuse"), &[], form::second(view, "consent.refuse"))) }
            p.hint { (view.say("consent.refuse.about")) }
        }
    }
}
