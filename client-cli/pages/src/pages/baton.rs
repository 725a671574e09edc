//! Stafett: offered, seen, accepted; until then the one who offers is responsible.

use maud::{Markup, html};
use stafett_client_core::answer::{
    ConcernState, Handed, HandedConcern, Offer, OfferKind, OfferSide, OfferState, OfferWaits, Offers, Person, Unit,
};
use stafett_client_core::client::input::{Cause, Command, Problem};

use crate::answers::Answers;
use crate::form::{self, Choice, Fields};
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

pub fn wanted(_: &Call<'_>) -> Vec<Command> {
    vec![Command::BatonList]
}

pub fn list(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let Offers { offers } = answers.offers()?;
    let body = html! {
        (pieces::head(&view.say("batons.title"), Some(view.say("batons.about"))))
        @if offers.is_empty() { (pieces::empty(&view.say("batons.none"))) }
        ul.cards { @for one in offers { li { (card(view, one)) } } }
    };
    Ok(Sheet { title: "batons.title", body })
}

/// An offer as one line of a list.
pub fn card(view: &View<'_>, one: &Offer) -> Markup {
    let line = [("from", view.to.text(&one.from)), ("to", view.to.text(&one.to))];
    let line: Vec<(&str, &str)> = line.iter().map(|(name, text)| (*name, text.as_str())).collect();
    html! {
        a.card.link href={ "/baton/" (one.offer) } {
            span.name { (view.to.text(&one.child)) }
            (state(view, one.state))
            span.full { (view.with("baton.line", &line)) }
        }
    }
}

fn state(view: &View<'_>, state: OfferState) -> Markup {
    let tone = match state {
        OfferState::Open | OfferState::Seen | OfferState::Passed => "warn",
        OfferState::Accepted | OfferState::HandedOver => "good",
        OfferState::Declined | OfferState::Aborted => "plain",
    };
    pieces::tag(tone, &view.say(&format!("offer.{}", state.word())))
}

/// Whether anything can still come of it.
pub fn lives(state: OfferState) -> bool {
    matches!(state, OfferState::Open | OfferState::Seen | OfferState::Passed | OfferState::Accepted)
}

pub fn wanted_one(_: &Call<'_>) -> Vec<Command> {
    vec![Command::BatonList, Command::People { unit: None }, Command::Units]
}

pub fn one(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let id = view.call.id("offer");
    let found = answers.offers()?.offers.iter().find(|one| one.offer == id);
    let one = found.ok_or_else(|| Problem::caller(Cause::UnknownId, "there is no such offer"))?;
    let Offer {
        offer,
        log,
        child,
        side,
        from,
        to,
        holder,
        kind,
        municipality,
        state: how,
        reason,
        concerns,
        waiting,
        words,
        at,
    } = one;
    let lives = lives(*how);
    let step = |reached: bool, key: &str| {
        html! { li.reached[reached] { span.sign aria-hidden="true" { (if reached { "●" } else { "○" }) } (view.say(key)) } }
    };
    let seen = !matches!(how, OfferState::Open);
    let accepted = matches!(how, OfferState::Accepted | OfferState::HandedOver);
    let mut facts = vec![
        (view.say("baton.from"), html! { (view.to.text(from)) }),
        (view.say("baton.to"), html! { (view.to.text(to)) " (" (view.say(&format!("far.{}", kind.word()))) ")" }),
        (view.say("baton.reason"), html! { span.written { (view.to.text(reason)) } }),
        (view.say("baton.at"), html! { (view.to.time(at)) }),
    ];
    if let Some(holder) = holder {
        facts.push((view.say("baton.accepted-by"), html! { (view.to.text(holder)) }));
    }
    if let (OfferKind::OtherMunicipality, Some(place)) = (kind, municipality) {
        facts.push((view.say("baton.municipality"), html! { (view.to.text(place)) }));
    }
    let body = html! {
        (pieces::back("/batons", &view.say("batons.title")))
        div.head { h1 { (view.to.text(child)) } p.lead { (state(view, *how)) } }
        @if lives {
            ol.track { (step(true, "offer.open")) (step(seen, "offer.seen")) (step(accepted, "offer.accepted")) (step(*how == OfferState::HandedOver, "offer.handed-over")) }
            @if *side == OfferSide::Offered { (pieces::warning(&view.say("baton.still-yours"))) }
            @if *side == OfferSide::Received { (pieces::note(&view.with("baton.not-yet-yours", &[("from", &view.to.text(from))]))) }
            @for wait in waiting { (pieces::note(&view.say(waits(*wait)))) }
        }
        div.card { (pieces::facts(facts)) @if !words.is_empty() { p.written { (view.to.text(words)) } } }
        @if !concerns.is_empty() {
            (pieces::part("handed", &view.say("baton.concerns"), html! {
                ul.cards {
                    @for HandedConcern { concern: _, title, part } in concerns {
                        li.card { (view.to.text(title)) " " (match part {
                            Handed::Moves => pieces::tag("good", &view.say("handed.moves")),
                            Handed::Closes => pieces::tag("plain", &view.say("handed.closes")),
                        }) }
                    }
                }
            }))
        }
        @if lives { (answer(view, answers, offer, *side, *how)?) }
        @if *side == OfferSide::Offered { p.part { a href={ "/log/" (log) } { (view.say("baton.log")) } } }
    };
    Ok(Sheet { title: "baton.title", body })
}

fn waits(wait: OfferWaits) -> &'static str {
    match wait {
        OfferWaits::Acceptance => "waits.acceptance",
        OfferWaits::Consent => "waits.consent",
        OfferWaits::KeyNotCompared => "waits.key-not-compared",
        OfferWaits::Outdated => "waits.outdated",
        OfferWaits::Sending => "waits.sending",
    }
}

fn answer(
    view: &View<'_>,
    answers: &Answers<'_>,
    offer: &str,
    side: OfferSide,
    how: OfferState,
) -> Result<Markup, Problem> {
    let (accept, decline) =
        (Fields::new(view, format!("/baton/{offer}/accept")), Fields::new(view, format!("/baton/{offer}/decline")));
    let unit = view.me().and_then(|me| me.unit.as_ref());
    let colleague = |one: &&Person| !view.is_me(&one.person) && one.unit.as_ref() == unit && unit.is_some();
    let leads = view.account() == Some(stafett_client_core::answer::Account::Leader);
    let mut who = vec![Choice::new("", view.say("baton.myself"))];
    let colleagues = answers.people()?.people.iter().filter(colleague);
    who.extend(colleagues.map(|one| Choice::new(&one.person, view.to.name(&one.name))));
    Ok(match side {
        OfferSide::Received if how != OfferState::Accepted => html! {
            div.card {
                p { (view.say("baton.accept.about")) }
                (accept.form(
                    html! { @if leads { (accept.radios("person", "baton.who", &who, Some(""))) } },
                    form::press(view, "baton.accept"),
                ))
            }
            details {
                summary { (view.say("baton.decline")) }
                div.card { (decline.form(decline.area("reason", "baton.decline.reason"), form::grave(view, "baton.decline"))) }
            }
        },
        OfferSide::Offered => html! {
            p.hint.part { (view.say("baton.abort.about")) }
            (form::button(&format!("/baton/{offer}/abort"), &[], form::grave(view, "baton.abort")))
        },
        OfferSide::Received | OfferSide::Told => html! {},
    })
}

pub fn wanted_new(call: &Call<'_>) -> Vec<Command> {
    vec![Command::LogShow { log: call.owned("log") }, Command::Units, Command::People { unit: None }]
}

/// To whom, why, and what goes along.
pub fn offer(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let (log, units, people) = (answers.log()?, answers.units()?, answers.people()?);
    let me = view.me();
    let unit = me.and_then(|me| me.unit.as_ref());
    let home = me.map(|me| me.municipality.as_str()).unwrap_or_default();
    let colleague = |one: &&Person| !view.is_me(&one.person) && one.unit.as_ref() == unit && unit.is_some();
    let person = |one: &Person| Choice::new(&one.person, view.to.name(&one.name)).about(view.say("far.same-unit"));
    let other = |one: &Unit| {
        let far = if one.municipality == home { "far.other-unit" } else { "far.other-municipality" };
        Choice::new(&one.unit, view.to.text(&one.name)).about(format!(
            "{} {}",
            view.say(far),
            view.to.text(&one.municipality)
        ))
    };
    let others = units.units.iter().filter(|one| Some(&one.unit) != unit);
    let to: Vec<Choice> = people.people.iter().filter(colleague).map(person).chain(others.map(other)).collect();
    let open: Vec<_> = log.concerns.iter().filter(|one| one.state == ConcernState::Open).collect();
    let concerns: Vec<Choice> = open.iter().map(|one| Choice::new(&one.concern, view.to.text(&one.title))).collect();
    let all: Vec<String> = open.iter().map(|one| one.concern.clone()).collect();
    let notes: Vec<Choice> =
        log.notes.iter().map(|one| Choice::new(&one.id, view.to.maybe(one.text.as_ref()))).collect();
    let fields = Fields::new(view, view.call.path_to("/log/{log}/hand-over"));
    let inner = html! {
        (fields.radios("to", "offer.to", &to, None))
        (fields.area("reason", "offer.reason"))
        @if !concerns.is_empty() { (fields.checks("concern", "offer.concerns", &concerns, &all)) }
        @if !notes.is_empty() { (fields.checks("note", "offer.notes", &notes, &[])) }
        (pieces::note(&view.say("baton.still-yours")))
    };
    let body = html! {
        (pieces::back(&view.call.path_to("/log/{log}"), &view.to.text(&log.child)))
        (pieces::head(&view.say("offer.title"), Some(view.say("offer.about"))))
        @if to.is_empty() { (pieces::empty(&view.say("offer.nobody"))) }
        @else { div.card { (fields.form(inner, form::press(view, "offer.press"))) } }
        details {
            summary { (view.say("offer.elsewhere")) }
            div.card {
                @let elsewhere = Fields::new(view, view.call.path_to("/log/{log}/hand-over/look"));
                p.hint { (view.say("offer.elsewhere.about")) }
                (elsewhere.form(elsewhere.text("municipality", "offer.municipality"), form::press(view, "offer.look")))
            }
        }
    };
    Ok(Sheet { title: "offer.title", body })
}

/// The leader with the reserve steps in.
pub fn takeover(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let log = answers.log()?;
    let fields = Fields::new(view, view.call.path_to("/log/{log}/takeover"));
    let body = html! {
        (pieces::back(&view.call.path_to("/log/{log}"), &view.to.text(&log.child)))
        (pieces::head(&view.say("takeover.title"), Some(view.say("takeover.about"))))
        (pieces::warning(&view.say("takeover.warn")))
        div.card { (fields.form(fields.area("reason", "takeover.reason"), form::grave(view, "takeover.title"))) }
    };
    Ok(Sheet { title: "takeover.title", body })
}
