//! Mine stafettlogger and mine aktørlogger: the child's name first.

use maud::{Markup, html};
use stafett_client_core::answer::{Account, LogLine, LogList, LogStatus};
use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::form::{self, Choice, Fields};
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

pub fn wanted(_: &Call<'_>) -> Vec<Command> {
    vec![Command::LogList]
}

pub fn wanted_new(_: &Call<'_>) -> Vec<Command> {
    vec![Command::People { unit: None }]
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
    let LogLine { log, status, child, holder: _, holder_name, home: _, role: _, born, level, due } = line;
    let child = child.as_ref().map_or_else(|| view.say("log.nameless"), |name| view.to.text(name));
    let age = born.as_ref().and_then(|born| view.age(born));
    let age = age.map(|years| view.with("log.age", &[("years", &years.to_string())]));
    let level = level.map(|level| view.with("log.level", &[("level", &level.to_string())]));
    let holder = holder_name.as_ref().map(|name| view.with("log.holder", &[("name", &view.to.text(name))]));
    let told: Vec<String> = [age, level, holder].into_iter().flatten().collect();
    let soon = due.iter().filter(|one| view.days_until(&one.due).is_some_and(|days| days <= SOON)).count();
    html! {
        a.card.link href={ "/log/" (log) } {
            span.name { (child) }
            span.tags {
                (standing(view, *status))
                @if soon > 0 { (pieces::tag("warn", &view.many("log.due", soon))) }
            }
            @if !told.is_empty() { span.by { (told.join(" · ")) } }
        }
    }
}

/// So many days before a measure is to be evaluated, it is told of.
pub const SOON: i32 = 7;

/// A new log: a draft that is nobody's but the holder's until the parents have said yes.
pub fn new(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let people = answers.people()?;
    let guardians = people.people.iter().filter(|one| one.role == Some(Account::Guardian));
    let guardians: Vec<Choice> = guardians.map(|one| Choice::new(&one.person, view.to.name(&one.name))).collect();
    let levels = ["1", "2", "3"].map(|word| {
        Choice::new(word, view.with("log.level", &[("level", word)])).about(view.say(&format!("level.{word}")))
    });
    let fields = Fields::new(view, "/log-new");
    let inner = html! {
        (fields.text("child", "log-new.child"))
        (fields.date("born", "log-new.born"))
        (fields.checks("guardian", "log-new.guardians", &guardians, &[]))
        (fields.radios("level", "log-new.level", &levels, Some("1")))
        (pieces::note(&view.say("log-new.note")))
    };
    let body = html! {
        (pieces::back("/logs", &view.say("logs.title")))
        (pieces::head(&view.say("logs.new"), Some(view.say("log-new.about"))))
        @if guardians.is_empty() {
            (pieces::empty(&view.say("log-new.nobody")))
            div.press { (pieces::go("/invite", &view.say("invite.title"))) }
        } @else { div.card { (fields.form(inner, form::press(view, "log-new.press"))) } }
    };
    Ok(Sheet { title: "logs.new", body })
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
