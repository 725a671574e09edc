//! One concern (oppmerksomhet): its goal, its measures as a stair, glimpses and comments; and how one begins.

use maud::{Markup, html};
use stafett_client_core::answer::{
    Attachment, Concern, ConcernState, Entry, FileState, Group, Log, LogRole, Measure, MeasureState, Participant,
    Remark, Responsible,
};
use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::form::{self, Choice, Fields};
use crate::pages::log::{result_of, slots, stairs, state_of};
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

pub fn wanted(call: &Call<'_>) -> Vec<Command> {
    vec![Command::LogShow { log: call.owned("log") }, Command::ConcernShow { concern: call.owned("concern") }]
}

pub fn show(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let Concern {
        concern: _,
        title,
        category,
        goal,
        state,
        audited,
        measures,
        missing_arenas,
        glimpses,
        attachments,
        comments,
    } = answers.concern()?;
    let (child, role) = match answers.log() {
        Ok(log) => (Some(&log.child), view.role(&log.participants)),
        Err(_) => (None, None),
    };
    let here = view.call.path_to("/log/{log}/concern/{concern}");
    let writes = *state == ConcernState::Open && role.is_some_and(takes_part);
    let holds = matches!(state, ConcernState::Open | ConcernState::Draft) && role == Some(LogRole::Holder);
    let log = view.call.path_to("/log/{log}");
    let body = html! {
        (pieces::back(&log, &child.map_or_else(|| view.say("tab.concerns"), |child| view.to.text(child))))
        div.head {
            h1 { (view.to.text(title)) }
            p.lead { (state_of(view, *state)) @if let Some(category) = category { " " (pieces::tag("plain", &view.to.text(category))) } }
        }
        @if !audited { (pieces::note(&view.say("unread"))) }
        div.card.goal-card {
            h2 { (view.say("concern.goal")) }
            p.written { (view.to.text(goal)) }
            (stairs(view, measures))
        }
        div.part {
            h2 { (view.say("concern.slots")) }
            p { (slots(view, missing_arenas)) }
        }
        (pieces::part("measures", &view.say("measures.title"), html! {
            @if measures.is_empty() { (pieces::empty(&view.say("measures.none"))) }
            ul.cards { @for one in measures { li { (measure(view, &here, one)) } } }
            @if holds { div.press { (pieces::go(&format!("{here}/measure-new"), &view.say("measures.new"))) } }
        }))
        (pieces::part("glimpses", &view.say("glimpses.title"), html! {
            @if writes { (write(view, &format!("{here}/glimpse"), "glimpse.text", "glimpse.press", true)) }
            @if glimpses.is_empty() { (pieces::empty(&view.say("glimpses.none"))) }
            (entries(view, glimpses, attachments))
        }))
        (pieces::part("comments", &view.say("comments.title"), html! {
            (entries(view, comments, &[]))
            @if writes { (write(view, &format!("{here}/comment"), "comment.text", "comment.press", false)) }
        }))
        @if *state == ConcernState::Open && role == Some(LogRole::Holder) {
            details {
                summary { (view.say("concern.close")) }
                p { (view.say("concern.close.about")) }
                div.press { (form::button(&format!("{here}/close"), &[], form::grave(view, "concern.close"))) }
            }
        }
    };
    Ok(Sheet { title: "concern.title", body })
}

/// Whoever is part of the work writes glimpses and comments.
pub fn takes_part(role: LogRole) -> bool {
    matches!(role, LogRole::Holder | LogRole::Actor | LogRole::Guardian | LogRole::Child)
}

fn write(view: &View<'_>, action: &str, label: &str, press: &str, file: bool) -> Markup {
    let fields = Fields::new(view, action);
    html! {
        div.card {
            @if file {
                (fields.with_file(html! { (fields.area("text", label)) (fields.file("file", "file")) }, form::press(view, press)))
            } @else {
                (fields.form(fields.area("text", label), form::press(view, press)))
            }
        }
    }
}

/// What people wrote, each with the files on it.
pub fn entries(view: &View<'_>, entries: &[Entry], attachments: &[Attachment]) -> Markup {
    html! {
        ul.cards {
            @for Entry { id, author, text, time } in entries {
                li.card {
                    p.written { (view.to.maybe(text.as_ref())) }
                    (pieces::by(view, author.as_ref(), time.as_ref()))
                    @for file in attachments.iter().filter(|file| file.on == *id) { (attached(view, file)) }
                }
            }
        }
    }
}

fn attached(view: &View<'_>, file: &Attachment) -> Markup {
    let Attachment { id, on: _, name, size, state } = file;
    let size = format!("{} kB", size.div_ceil(1024));
    let label = view.with("file.get", &[("name", &view.to.text(name)), ("size", &size)]);
    let state = match state {
        FileState::Here => None,
        FileState::Queued => Some("file.queued"),
        FileState::Away => Some("file.away"),
        FileState::Damaged => Some("file.damaged"),
    };
    html! {
        div.attached {
            (form::button(&view.call.path_to(&format!("/log/{{log}}/file/{id}")), &[], html! { button.quiet type="submit" { (label) } }))
            @if let Some(state) = state { " " (pieces::tag("plain", &view.say(state))) }
        }
    }
}

/// Who is responsible, by name.
pub fn responsible(view: &View<'_>, one: &Responsible) -> String {
    match one {
        Responsible::Group(Group::Family) => view.say("responsible.family"),
        Responsible::Group(Group::Child) => view.say("arena.child"),
        Responsible::Person(name) => view.to.text(name),
    }
}

fn measure(view: &View<'_>, here: &str, one: &Measure) -> Markup {
    let Measure {
        measure,
        text,
        beside,
        arena,
        responsible: who,
        due,
        state,
        evaluation,
        family_agrees,
        remarks,
        family,
        author,
        time,
    } = one;
    let said = evaluation.iter().map(|evaluation| &evaluation.said);
    html! {
        div.card #{ "measure-" (measure) } .past[*state == MeasureState::Superseded] {
            h3.written { (view.to.text(text)) }
            p.tags {
                (pieces::tag("plain", &view.say(&format!("arena.{}", arena.as_str()))))
                (pieces::tag("plain", &responsible(view, who)))
                @if let Some(due) = due { (pieces::tag("plain", &view.with("measure.due", &[("day", &view.to.time(due))]))) }
                @match state {
                    MeasureState::Parked => (pieces::tag("warn", &view.say("measure.parked"))),
                    MeasureState::Superseded => (pieces::tag("plain", &view.say("measure.superseded"))),
                    MeasureState::Active | MeasureState::Evaluated => (pieces::result(view, result_of(one))),
                }
            }
            @if let Some(beside) = beside { (pieces::note(&view.with("measure.beside", &[("text", &view.to.texts(beside))]))) }
            (pieces::by(view, author.as_ref(), time.as_ref()))
            @for one in said { (remark(view, "remark.evaluated", one)) }
            @if let Some(agrees) = family_agrees { p { strong { (view.say(if *agrees { "family.agrees" } else { "family.differs" })) } } }
            @for one in remarks { (remark(view, "remark.other", one)) }
            @for one in family { (remark(view, "remark.family", one)) }
            @if *state != MeasureState::Superseded {
                div.press { (pieces::also(&format!("{here}/measure/{measure}"), &view.say("measure.open"))) }
            }
        }
    }
}

/// How it worked, as one person says.
fn remark(view: &View<'_>, key: &str, remark: &Remark) -> Markup {
    let Remark { result, text, by, time } = remark;
    html! {
        div.remark {
            p { (view.say(key)) " " @if let Some(result) = result { (pieces::result(view, result.as_str())) } }
            @if let Some(text) = text { p.written { (view.to.text(text)) } }
            (pieces::by(view, by.as_ref(), time.as_ref()))
        }
    }
}

/// A new concern: a goal in three parts, and the first measures.
pub fn new(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let log = answers.log()?;
    let fields = Fields::new(view, view.call.path_to("/log/{log}/concern-new"));
    let inner = html! {
        (fields.text("title", "new.title"))
        div.goal-parts {
            (fields.text("a", "new.a"))
            (fields.text("b", "new.b"))
            (fields.text("c", "new.c"))
        }
        h2 { (view.say("new.measures")) }
        p.hint { (view.say("new.measures.about")) }
        @for arena in ["service", "home", "child"] {
            div.card {
                h3 { (view.say(&format!("arena.{arena}"))) }
                (fields.area(arena, &format!("new.{arena}")))
            }
        }
        div.part { (fields.date("due", "measure.due.field")) }
    };
    let body = html! {
        (pieces::back(&view.call.path_to("/log/{log}"), &view.to.text(&log.child)))
        (pieces::head(&view.say("concerns.new"), Some(view.say("new.about"))))
        (fields.form(inner, form::press(view, "new.press")))
    };
    Ok(Sheet { title: "concerns.new", body })
}

/// Who may be responsible: oneself, the family, the child, or whoever works in the log.
pub fn people_choices(view: &View<'_>, log: &Log) -> Vec<Choice> {
    let works = |one: &&Participant| matches!(one.role, LogRole::Actor | LogRole::Holder) && !view.is_me(&one.person);
    let others = log.participants.iter().filter(works).map(|one| Choice::new(&one.person, view.to.name(&one.name)));
    let mut all = vec![Choice::new("", view.say("responsible.me"))];
    all.extend(others);
    all.push(Choice::new("family", view.say("responsible.family")));
    all.push(Choice::new("child", view.say("arena.child")));
    all
}
