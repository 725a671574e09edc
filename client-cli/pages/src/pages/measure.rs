//! One measure (tiltak): how it went, the family's last word, and what can be mended. And a further one.

use maud::{Markup, html};
use stafett_client_core::answer::{LogRole, Measure, MeasureState};
use stafett_client_core::client::input::{Cause, Problem};

use crate::answers::Answers;
use crate::form::{self, Choice, Fields};
use crate::pages::concern::{people_choices, responsible};
use crate::pages::log::result_of;
use crate::pieces;
use crate::table::Sheet;
use crate::view::View;

pub fn show(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let (log, concern) = (answers.log()?, answers.concern()?);
    let id = view.call.id("measure");
    let found = concern.measures.iter().find(|one| one.measure == id);
    let measure = found.ok_or_else(|| Problem::caller(Cause::UnknownId, "there is no such measure"))?;
    let role = view.role(&log.participants);
    let family = matches!(role, Some(LogRole::Guardian | LogRole::Child));
    let open = measure.state != MeasureState::Superseded;
    let here = view.call.path_to("/log/{log}/concern/{concern}/measure/{measure}");
    let back = view.call.path_to("/log/{log}/concern/{concern}");
    let may_evaluate = family || matches!(role, Some(LogRole::Holder | LogRole::Actor));
    let body = html! {
        (pieces::back(&back, &view.to.text(&concern.title)))
        div.head {
            h1.written { (view.to.text(&measure.text)) }
            p.lead {
                (view.say(&format!("arena.{}", measure.arena.as_str()))) " · " (responsible(view, &measure.responsible))
                @if let Some(due) = &measure.due { " · " (view.with("measure.due", &[("day", &view.to.time(due))])) }
                " " (pieces::result(view, result_of(measure)))
            }
        }
        @if open && may_evaluate { (evaluation(view, &format!("{here}/evaluate"), family)) }
        @if open && role == Some(LogRole::Holder) { (mend(view, &here, measure)) }
    };
    Ok(Sheet { title: "measure.title", body })
}

fn evaluation(view: &View<'_>, action: &str, family: bool) -> Markup {
    let fields = Fields::new(view, action);
    let results = ["green", "yellow", "red"].map(|word| {
        let about = view.say(&format!("evaluate.{word}"));
        Choice::new(word, format!("{} {}", pieces::sign(word), view.word(word))).about(about)
    });
    let agrees = [Choice::new("yes", view.say("evaluate.agrees"))];
    let inner = html! {
        (fields.radios("result", "evaluate.result", &results, None))
        (fields.area("text", if family { "evaluate.text.family" } else { "evaluate.text" }))
        @if !family { (fields.checks("agrees", "evaluate.family", &agrees, &[])) }
        (pieces::note(&view.say(if family { "evaluate.last-word" } else { "evaluate.about" })))
    };
    let title = if family { "evaluate.title.family" } else { "evaluate.title" };
    pieces::part(
        "evaluate",
        &view.say(title),
        html! { div.card { (fields.form(inner, form::press(view, "evaluate.press"))) } },
    )
}

/// Eight hours to change one's words; later, or where it is wrong, it is replaced and both stay to be seen.
fn mend(view: &View<'_>, here: &str, measure: &Measure) -> Markup {
    let (edit, correct) = (Fields::new(view, format!("{here}/edit")), Fields::new(view, format!("{here}/correct")));
    let refused = view.trouble.is_some() && view.call.path != here;
    html! {
        details open[refused] {
            summary { (view.say("mend.title")) }
            div.card {
                h3 { (view.say("mend.edit")) }
                p.hint { (view.say("mend.edit.about")) }
                (edit.form(edit.area_of("text", "measure.text", &measure.text), form::press(view, "mend.edit.press")))
            }
            div.card {
                h3 { (view.say("mend.correct")) }
                p.hint { (view.say("mend.correct.about")) }
                (correct.form(correct.area("text", "mend.correct.text"), form::grave(view, "mend.correct.press")))
            }
        }
    }
}

/// A further measure in a concern.
pub fn new(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let (log, concern) = (answers.log()?, answers.concern()?);
    let fields = Fields::new(view, view.call.path_to("/log/{log}/concern/{concern}/measure-new"));
    let arenas = ["service", "home", "child"].map(|word| Choice::new(word, view.say(&format!("arena.{word}"))));
    let first = concern.missing_arenas.first().map_or("service", |arena| arena.word());
    let inner = html! {
        (fields.area("text", "measure.text"))
        (fields.radios("arena", "measure.arena", &arenas, Some(first)))
        (fields.radios("responsible", "measure.responsible", &people_choices(view, log), Some("")))
        (fields.date("due", "measure.due.field"))
    };
    let body = html! {
        (pieces::back(&view.call.path_to("/log/{log}/concern/{concern}"), &view.to.text(&concern.title)))
        (pieces::head(&view.say("measures.new"), Some(view.say("measure.new.about"))))
        div.card { (fields.form(inner, form::press(view, "measure.press"))) }
    };
    Ok(Sheet { title: "measures.new", body })
}
