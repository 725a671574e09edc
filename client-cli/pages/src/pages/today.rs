//! I dag: what needs me, most urgent first.

use maud::{Markup, html};
use stafett_client_core::answer::{Account, Due, LogLine, LogRole, LogStatus, Offer, OfferSide};
use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::pages::baton::{card as baton, lives};
use crate::pages::consent::child_name;
use crate::pages::logs::SOON;
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

pub fn wanted(_: &Call<'_>) -> Vec<Command> {
    vec![Command::LogList, Command::ConsentPending, Command::BatonList, Command::Drafts]
}

pub fn show(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let (logs, requests) = (answers.logs()?, answers.requests()?);
    let (offers, drafts) = (answers.offers()?, answers.drafts()?);
    let consents: Vec<Markup> = requests
        .requests
        .iter()
        .map(|one| {
            html! {
                a.card.link href={ "/consent/" (one.request) } {
                    span.name { (child_name(view, one.child.as_ref())) }
                    span.full { (view.with("today.consent", &[("who", &view.to.text(&one.grantee))])) }
                }
            }
        })
        .collect();
    let mine = |one: &&Offer| lives(one.state) && one.side != OfferSide::Told;
    let batons: Vec<Markup> = offers.offers.iter().filter(mine).map(|one| baton(view, one)).collect();
    let mut due: Vec<(i32, Markup)> = logs.logs.iter().flat_map(|log| due_in(view, log)).collect();
    due.sort_by_key(|(days, _)| *days);
    let due: Vec<Markup> = due.into_iter().map(|(_, card)| card).collect();
    let asleep = |one: &&LogLine| one.status == LogStatus::Dormant || one.status == LogStatus::Stopped;
    let asleep: Vec<Markup> = logs.logs.iter().filter(asleep).map(|one| still(view, one)).collect();
    let nothing = [&consents, &batons, &due, &asleep].iter().all(|one| one.is_empty()) && drafts.drafts.is_empty();
    let day = view.to.time(&view.today().to_string().into());
    let body = html! {
        (pieces::head(&view.say("today.title"), Some(view.with("today.about", &[("day", &day)]))))
        @if nothing { (pieces::empty(&view.say(none(view)))) }
        (group(view, "consents", "today.consents", &consents))
        (group(view, "batons", "today.batons", &batons))
        (group(view, "due", "today.due", &due))
        (group(view, "asleep", "today.asleep", &asleep))
        @if !drafts.drafts.is_empty() {
            (pieces::warning(&view.many("today.unsent", drafts.drafts.len())))
            div.press { (pieces::also("/me", &view.say("today.unsent.go"))) }
        }
    };
    Ok(Sheet { title: "today.title", body })
}

/// What would stand here, said to whoever looks.
fn none(view: &View<'_>) -> &'static str {
    match view.account() {
        Some(Account::Guardian | Account::Child) => "today.none.family",
        Some(Account::Administrator) => "today.none.administrator",
        Some(Account::Leader) => "today.none.leader",
        Some(Account::Employee) | None => "today.none",
    }
}

fn group(view: &View<'_>, id: &str, title: &str, cards: &[Markup]) -> Markup {
    html! {
        @if !cards.is_empty() {
            (pieces::part(id, &view.say(title), html! { ul.cards { @for card in cards { li { (card) } } } }))
        }
    }
}

/// Measures to evaluate, soon or already late: the holder's all, others' their own.
fn due_in(view: &View<'_>, log: &LogLine) -> Vec<(i32, Markup)> {
    let holds = log.role == Some(LogRole::Holder);
    let card = |one: &Due| {
        let Due { concern, title, measure, text, due, own } = one;
        let days = view.days_until(due).filter(|days| *days <= SOON && (holds || *own))?;
        let (tone, key) = match days {
            ..0 => ("bad", "due.late"),
            0 => ("warn", "due.today"),
            _ => ("plain", "due.soon"),
        };
        let card = html! {
            a.card.link href={ "/log/" (log.log) "/concern/" (concern) "/measure/" (measure) } {
                span.name { (child_name(view, log.child.as_ref())) }
                (pieces::tag(tone, &view.with(key, &[("day", &view.to.time(due))])))
                span.full { (view.to.text(text)) }
                span.by { (view.to.text(title)) }
            }
        };
        Some((days, card))
    };
    log.due.iter().filter_map(card).collect()
}

fn still(view: &View<'_>, log: &LogLine) -> Markup {
    html! {
        a.card.link href={ "/log/" (log.log) } {
            span.name { (child_name(view, log.child.as_ref())) }
            (pieces::tag("warn", &view.word(log.status.word())))
        }
    }
}
