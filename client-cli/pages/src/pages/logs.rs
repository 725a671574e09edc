//! Mine stafettlogger and mine aktørlogger: the child's name first.

use maud::{Markup, html};
use stafett_client_core::answer::{Account, LogLine, LogList, LogStatus};
use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

pub fn wanted(_: &Call<'_>) -> Vec<Command> {
    vec![Command::LogList]
}

/// Those that one holds; of family: all.
pub fn held(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let LogList { logs } = answers.logs()?;
    let family = matches!(view.account(), Some(Account::Guardian | Account::Child));
    let mine = logs.iter().filter(|log| family || log.holder.as_deref().is_some_and(|person| view.is_me(person)));
    let may_begin = matches!(view.account(), Some(Account::Employee | Account::Leader));
    let (title, about, none) = match family {
        true => ("children.title", "children.about", "children.none"),
        false => ("logs.title", "logs.about", "logs.none"),
    };
    let body = html! {
        (pieces::head(&view.say(title), Some(view.say(about))))
        (list(view, mine, none))
        @if may_begin { div.press { (pieces::go("/log-new", &view.say("logs.new"))) } }
    };
    Ok(Sheet { title, body })
}

/// Those that somebody else holds.
pub fn acting(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let LogList { logs } = answers.logs()?;
    let others = logs.iter().filter(|log| !log.holder.as_deref().is_some_and(|person| view.is_me(person)));
    let body = html! {
        (pieces::head(&view.say("acting.title"), Some(view.say("acting.about"))))
        (list(view, others, "acting.none"))
    };
    Ok(Sheet { title: "acting.title", body })
}

fn list<'a>(view: &View<'_>, logs: impl Iterator<Item = &'a LogLine>, none: &str) -> Markup {
    let logs: Vec<_> = logs.collect();
    if logs.is_empty() {
        return pieces::empty(&view.say(none));
    }
    html! { ul.cards { @for log in logs { li { (line(view, log)) } } } }
}

fn line(view: &View<'_>, line: &LogLine) -> Markup {
    let LogLine { log, status, child, holder: _, holder_name, home: _ } = line;
    let child = child.as_ref().map_or_else(|| view.say("log.nameless"), |name| view.to.text(name));
    html! {
        a.card.link href={ "/log/" (log) } {
            span.name { (child) }
            span.tags { (standing(view, *status)) }
            @if let Some(holder) = holder_name { span.by { (view.with("log.holder", &[("name", &view.to.text(holder))])) } }
        }
    }
}

/// How it stands with a log.
pub fn standing(view: &View<'_>, status: LogStatus) -> Markup {
    let tone = match status {
        LogStatus::Active => "good",
        LogStatus::Draft | LogStatus::Waiting | LogStatus::Dormant | LogStatus::Stopped => "warn",
        LogStatus::Passive | LogStatus::Archived | LogStatus::Withdrawn => "plain",
    };
    pieces::tag(tone, &view.word(status.word()))
}
