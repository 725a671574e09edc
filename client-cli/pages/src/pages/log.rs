//! A log: its head, its tabs, and the first of them, the concerns (oppmerksomheter).

use maud::{Markup, html};
use stafett_client_core::answer::{
    Answer, Arena, Concern, ConcernLine, ConcernState, Evaluation, Log, LogRole, LogShown, LogStatus, Measure,
    MeasureState, Pending, Quarantined,
};
use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::form;
use crate::pages::logs::standing;
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

/// Tabs: what stands behind the log's path, and the key.
const TABS: [(&str, &str); 5] = [
    ("", "tab.concerns"),
    ("/people", "tab.people"),
    ("/notes", "tab.notes"),
    ("/access", "tab.access"),
    ("/history", "tab.history"),
];

pub fn wanted(call: &Call<'_>) -> Vec<Command> {
    vec![Command::LogShow { log: call.owned("log") }]
}

/// Each concern whole: its slots and results stand on its card.
pub fn concerns_of(_: &Call<'_>, answers: &Answers<'_>) -> Vec<Command> {
    let concerns = match answers.shown() {
        Ok(LogShown::Here(log)) => log.concerns.as_slice(),
        Ok(LogShown::Archived(log)) => log.concerns.as_slice(),
        Err(_) => &[],
    };
    concerns.iter().map(|one| Command::ConcernShow { concern: one.concern.clone() }).collect()
}

pub fn concerns(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let (lines, top, may) = match answers.shown()? {
        LogShown::Here(log) => {
            (&log.concerns, head(view, log, ""), view.role(&log.participants) == Some(LogRole::Holder))
        }
        LogShown::Archived(log) => {
            (&log.concerns, pieces::head(&view.say("archive.title"), Some(view.say("archive.about"))), false)
        }
    };
    let whole: Vec<&Concern> = answers
        .0
        .iter()
        .flatten()
        .filter_map(|answer| match answer {
            Answer::ConcernShow(concern) => Some(concern),
            _ => None,
        })
        .collect();
    let log = view.call.id("log");
    let body = html! {
        (top)
        @if lines.is_empty() { (pieces::empty(&view.say("concerns.none"))) }
        @else {
            ul.cards {
                @for line in lines {
                    @let concern = whole.iter().find(|one| one.concern == line.concern).copied();
                    li { (card(view, log, line, concern)) }
                }
            }
        }
        @if may { div.press { (pieces::go(&format!("/log/{log}/concern-new"), &view.say("concerns.new"))) } }
        @if let Ok(whole) = answers.log() { (more(view, whole)) }
    };
    Ok(Sheet { title: "tab.concerns", body })
}

/// The child first, then how it stands, then the tabs.
pub fn head(view: &View<'_>, log: &Log, tab: &str) -> Markup {
    let age = view.age(&log.born).map(|years| view.with("log.age", &[("years", &years.to_string())]));
    let level = log.level.map(|level| view.with("log.level", &[("level", &level.to_string())]));
    let holder = log.holder_name.as_ref().map(|name| view.with("log.holder", &[("name", &view.to.text(name))]));
    let told: Vec<String> = [age, level, holder].into_iter().flatten().collect();
    html! {
        div.head.log {
            h1 { (view.to.text(&log.child)) }
            p.lead { (told.join(" · ")) " " (standing(view, log.status)) }
            @if log.status == LogStatus::Dormant { (pieces::warning(&view.say("log.dormant"))) }
        }
        nav.tabs aria-label=(view.say("tab.label")) {
            ul {
                @for (path, key) in TABS {
                    li { a href={ "/log/" (log.log) (path) } aria-current=[(path == tab).then_some("page")] { (view.say(key)) } }
                }
            }
        }
    }
}

/// What else can be done with a log, by whom it can be done.
fn more(view: &View<'_>, log: &Log) -> Markup {
    let at = |behind: &str| format!("/log/{}{behind}", log.log);
    let role = view.role(&log.participants);
    let draft = matches!(log.status, LogStatus::Draft | LogStatus::Waiting);
    let reserve = role == Some(LogRole::Custodian);
    html! {
        @if !log.pending.is_empty() || !log.quarantined.is_empty() { (waiting(view, log)) }
        @if role == Some(LogRole::Holder) && log.status == LogStatus::Active {
            div.press { (pieces::also(&at("/hand-over"), &view.say("offer.title"))) }
        }
        @if reserve { div.press { (pieces::also(&at("/takeover"), &view.say("takeover.title"))) } }
        @if draft && log.holder.as_deref().is_some_and(|person| view.is_me(person)) {
            (pieces::note(&view.say("log.waits")))
            details {
                summary { (view.say("log.drop")) }
                p { (view.say("log.drop.about")) }
                div.press { (form::button(&at("/drop"), &[], form::grave(view, "log.drop"))) }
            }
        }
        @if log.status == LogStatus::Stopped {
            (pieces::warning(&view.say("log.stopped")))
            div.press { (form::button(&at("/continue"), &[], form::grave(view, "log.continue"))) }
        }
    }
}

/// What waits here, and what was not taken in: in words, beside the log that it is about.
fn waiting(view: &View<'_>, log: &Log) -> Markup {
    let title = |scope: &str| {
        let found = log.concerns.iter().find(|one| one.concern == scope);
        found.map_or_else(|| view.say("part.unnamed"), |one| view.to.text(&one.title))
    };
    let pending = |one: &Pending| match one {
        Pending::Offer { id: _, state: _, reason } => view.with("pending.offer", &[("reason", &view.to.text(reason))]),
        Pending::HolderKey { id: _, reason: _ } => view.say("pending.holder-key"),
        Pending::Takeover { id: _, by, at, reason } => {
            let reason = view.to.maybe(reason.as_ref());
            view.with("pending.takeover", &[("by", &view.to.text(by)), ("at", &view.to.time(at)), ("reason", &reason)])
        }
        Pending::Change { id: _, scope, reason: _ } => view.with("pending.change", &[("part", &title(scope))]),
        Pending::Draft { id: _, scope, reason, lines: _ } => {
            let why = view.problem(&Problem::quoting(reason, reason.clone()));
            view.with("pending.draft", &[("part", &title(scope)), ("reason", &why)])
        }
    };
    let quarantined = |one: &Quarantined| match one {
        Quarantined::Change { id: _, scope, person, reason: _ } => {
            let who = view.to.known(person).unwrap_or_else(|| view.to.word("unnamed"));
            view.with("quarantined.change", &[("part", &title(scope)), ("who", &who)])
        }
        Quarantined::Event { id: _, scope, reason: _ } => view.with("quarantined.event", &[("part", &title(scope))]),
        Quarantined::Scope { id: _, scope, reason: _ } => view.with("quarantined.scope", &[("part", &title(scope))]),
    };
    pieces::part(
        "waiting",
        &view.say("pending.title"),
        html! {
            @for one in &log.pending { (pieces::note(&pending(one))) }
            @for one in &log.quarantined { (pieces::warning(&quarantined(one))) }
        },
    )
}

fn card(view: &View<'_>, log: &str, line: &ConcernLine, concern: Option<&Concern>) -> Markup {
    let ConcernLine { concern: id, title, state } = line;
    html! {
        a.card.link.concern href={ "/log/" (log) "/concern/" (id) } {
            span.name { (view.to.text(title)) }
            span.tags { (state_of(view, *state)) }
            @if let Some(concern) = concern {
                span.goal { (view.to.text(&concern.goal)) }
                (slots(view, &concern.missing_arenas))
                (stairs(view, &concern.measures))
            }
        }
    }
}

/// How it stands with a concern.
pub fn state_of(view: &View<'_>, state: ConcernState) -> Markup {
    let tone = match state {
        ConcernState::Open => "good",
        ConcernState::Draft
        | ConcernState::Joining
        | ConcernState::Halted
        | ConcernState::Stopped
        | ConcernState::Dormant => "warn",
        ConcernState::Closed | ConcernState::Withdrawn => "plain",
    };
    pieces::tag(tone, &view.say(&format!("concern.state.{}", state.word())))
}

/// One measure in the service, one at home, one of the child's: lit when it is there.
pub fn slots(view: &View<'_>, missing: &[Arena]) -> Markup {
    html! {
        span.slots {
            @for arena in Arena::ALL {
                @let lit = !missing.contains(arena);
                span.slot.lit[lit] {
                    span.sign aria-hidden="true" { (if lit { "●" } else { "○" }) }
                    (view.say(&format!("arena.{}", arena.word())))
                    span.unseen { (view.say(if lit { "slot.lit" } else { "slot.dark" })) }
                }
            }
        }
    }
}

/// The way to the goal, a step for each measure that counts.
pub fn stairs(view: &View<'_>, measures: &[Measure]) -> Markup {
    let steps: Vec<&Measure> = measures.iter().filter(|one| one.state != MeasureState::Superseded).collect();
    html! {
        @if !steps.is_empty() {
            span.stairs {
                @for (at, step) in steps.iter().enumerate() {
                    span class={ "step up-" ((at + 1).min(6)) } {
                        (pieces::result(view, result_of(step)))
                        span { (view.to.text(&step.text)) }
                    }
                }
            }
        }
    }
}

/// The result that counts; none yet.
pub fn result_of(measure: &Measure) -> &str {
    let Some(Evaluation { said, family_agrees: _ }) = &measure.evaluation else { return "none" };
    said.result.as_ref().map_or("none", |result| result.as_str())
}
