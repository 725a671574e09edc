//! Forms of a log: what people write in it, and what becomes of it.

use stafett_client_core::client::input::{AttachTo, Command, NewAttachment, NewMeasure, Problem};

use stafett_protocol::text;

use crate::answers::Answers;
use crate::table::{Deed, Then};
use crate::view::{Call, Trouble, View};

type Does = Result<Deed, Trouble>;
type Leads = Result<Then, Problem>;

fn one(command: Command) -> Does {
    Ok(Deed::Core(vec![command]))
}

pub const NEW_LOG: &[&str] = &["child", "born", "guardian", "level"];

pub fn new_log(call: &Call<'_>) -> Does {
    let must = [
        ("child", "log-new.child.missing"),
        ("born", "log-new.born.missing"),
        ("guardian", "log-new.guardians.missing"),
    ];
    Trouble::unless_filled(call, &must)?;
    let level = call.field("level").parse().unwrap_or(1);
    one(Command::LogNew {
        child: call.field("child").to_owned(),
        born: call.field("born").to_owned(),
        guardians: call.every("guardian"),
        level,
    })
}

pub fn to_new_log(_: &View<'_>, answers: &Answers<'_>) -> Leads {
    Ok(Then::See(format!("/log/{}", answers.new_log()?.log)))
}

pub fn drop(call: &Call<'_>) -> Does {
    one(Command::LogDrop { log: call.owned("log") })
}

pub fn go_on(call: &Call<'_>) -> Does {
    one(Command::LogContinue { log: call.owned("log") })
}

pub fn to_logs(_: &View<'_>, _: &Answers<'_>) -> Leads {
    Ok(Then::See("/logs".to_owned()))
}

pub fn to_log(view: &View<'_>, _: &Answers<'_>) -> Leads {
    Ok(Then::See(view.call.path_to("/log/{log}")))
}

pub const NEW_CONCERN: &[&str] = &["title", "a", "b", "c", "service", "home", "child", "due"];

/// The goal from its three parts, and the first measure with it; the others follow when the concern is there.
pub fn new_concern(call: &Call<'_>) -> Does {
    let must = [("title", "new.title.missing"), ("b", "new.b.missing")];
    Trouble::unless_filled(call, &must)?;
    // The further ones follow when the concern is there: what cannot be taken must be told before.
    let unfit = ["service", "home", "child"].into_iter().filter(|slot| text::MEASURE.take(call.field(slot)).is_err());
    let unfit: Vec<_> =
        unfit.filter(|slot| !call.field(slot).is_empty()).map(|slot| (slot, "new.measure.too-long")).collect();
    if !unfit.is_empty() {
        return Err(Trouble { fields: unfit, said: None });
    }
    let measure = measures(call).into_iter().next().ok_or_else(|| Trouble::at("service", "new.measures.missing"))?;
    one(Command::ConcernNew {
        log: call.owned("log"),
        title: call.field("title").to_owned(),
        goal: goal(call),
        category: None,
        measure,
    })
}

fn goal(call: &Call<'_>) -> String {
    ["a", "b", "c"].iter().map(|part| call.field(part)).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// One for each slot that is filled: who it is for follows from where it is.
fn measures(call: &Call<'_>) -> Vec<NewMeasure> {
    let slots = [("service", None), ("home", Some("family")), ("child", Some("child"))];
    let filled = slots.into_iter().filter(|(arena, _)| !call.field(arena).is_empty());
    let measure = |(arena, responsible): (&str, Option<&str>)| NewMeasure {
        text: call.field(arena).to_owned(),
        arena: Some(arena.to_owned()),
        responsible: responsible.map(str::to_owned),
        due: call.given("due"),
    };
    filled.map(measure).collect()
}

/// What follows the concern itself.
pub fn further_measures(call: &Call<'_>, answers: &Answers<'_>) -> Vec<Command> {
    let Ok(concern) = answers.new_concern().map(|new| new.concern.clone()) else { return vec![] };
    let rest = measures(call).into_iter().skip(1);
    rest.map(|measure| Command::MeasureAdd { concern: concern.clone(), measure }).collect()
}

pub fn to_new_concern(view: &View<'_>, answers: &Answers<'_>) -> Leads {
    Ok(Then::See(view.call.path_to(&format!("/log/{{log}}/concern/{}", answers.new_concern()?.concern))))
}

pub fn close(call: &Call<'_>) -> Does {
    one(Command::ConcernClose { concern: call.owned("concern") })
}

/// A text, and a file if one was chosen.
fn attach(call: &Call<'_>, to: AttachTo, without: Command) -> Does {
    one(match call.file {
        Some(file) => Command::Attach {
            to,
            text: call.field("text").to_owned(),
            file: NewAttachment { name: file.name.clone(), bytes: file.bytes.clone() },
        },
        None => without,
    })
}

pub fn glimpse(call: &Call<'_>) -> Does {
    Trouble::unless_filled(call, &[("text", "text.missing")])?;
    let (concern, text) = (call.owned("concern"), call.field("text").to_owned());
    attach(call, AttachTo::Glimpse(concern.clone()), Command::Glimpse { concern, text })
}

pub fn comment(call: &Call<'_>) -> Does {
    Trouble::unless_filled(call, &[("text", "text.missing")])?;
    one(Command::Comment { concern: call.owned("concern"), text: call.field("text").to_owned() })
}

pub fn note(call: &Call<'_>) -> Does {
    Trouble::unless_filled(call, &[("text", "text.missing")])?;
    let (log, text) = (call.owned("log"), call.field("text").to_owned());
    attach(call, AttachTo::Note(log.clone()), Command::Note { log, text })
}

pub fn to_notes(view: &View<'_>, _: &Answers<'_>) -> Leads {
    Ok(Then::See(view.call.path_to("/log/{log}/notes")))
}

pub fn to_concern(view: &View<'_>, _: &Answers<'_>) -> Leads {
    Ok(Then::See(view.call.path_to("/log/{log}/concern/{concern}")))
}

pub const NEW_MEASURE: &[&str] = &["text", "arena", "responsible", "due"];

pub fn new_measure(call: &Call<'_>) -> Does {
    Trouble::unless_filled(call, &[("text", "measure.text.missing")])?;
    let measure = NewMeasure {
        text: call.field("text").to_owned(),
        arena: call.given("arena"),
        responsible: call.given("responsible"),
        due: call.given("due"),
    };
    one(Command::MeasureAdd { concern: call.owned("concern"), measure })
}

pub fn evaluate(call: &Call<'_>) -> Does {
    Trouble::unless_filled(call, &[("result", "evaluate.result.missing")])?;
    one(Command::Evaluate {
        measure: call.owned("measure"),
        result: call.field("result").to_owned(),
        text: call.field("text").to_owned(),
        family_agrees: !call.field("agrees").is_empty(),
    })
}

pub fn edit(call: &Call<'_>) -> Does {
    Trouble::unless_filled(call, &[("text", "measure.text.missing")])?;
    one(Command::MeasureEdit { measure: call.owned("measure"), text: call.field("text").to_owned() })
}

/// Wrongly recorded; with other words in its place, if there are any.
pub fn correct(call: &Call<'_>) -> Does {
    let replacement = call.given("text").map(|text| NewMeasure { text, ..NewMeasure::default() });
    one(Command::MeasureCorrect { measure: call.owned("measure"), replacement })
}

pub fn file(call: &Call<'_>) -> Does {
    one(Command::AttachmentGet { attachment: call.owned("file") })
}

/// The bytes come beside the answer; the host has them.
pub fn to_file(_: &View<'_>, answers: &Answers<'_>) -> Leads {
    let got = answers.got()?;
    Ok(Then::File { name: got.name.clone(), mime: "application/pdf", bytes: None })
}

pub fn export(call: &Call<'_>) -> Does {
    one(Command::AuditExport { log: call.owned("log") })
}

pub fn to_export(_: &View<'_>, answers: &Answers<'_>) -> Leads {
    let bytes = serde_json::to_vec_pretty(answers.export()?).unwrap_or_default();
    Ok(Then::File { name: "stafett-historikk.json".to_owned(), mime: "application/json", bytes: Some(bytes) })
}
