//! Notater: what only the holder and the family read.

use maud::html;
use stafett_client_core::answer::LogRole;
use stafett_client_core::client::input::Problem;

use crate::answers::Answers;
use crate::form::{self, Fields};
use crate::pages::concern::entries;
use crate::pages::log::head;
use crate::pieces;
use crate::table::Sheet;
use crate::view::View;

pub fn tab(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let log = answers.log()?;
    let fields = Fields::new(view, view.call.path_to("/log/{log}/notes"));
    let body = html! {
        (head(view, log, "/notes"))
        @if view.role(&log.participants) == Some(LogRole::Holder) {
            div.card {
                (fields.with_file(
                    html! { (fields.area("text", "note.text")) (fields.file("file", "file")) },
                    form::press(view, "note.press"),
                ))
            }
        }
        div.part {
            @if log.notes.is_empty() { (pieces::empty(&view.say("notes.none"))) }
            (entries(view, &log.notes, &log.attachments))
        }
    };
    Ok(Sheet { title: "tab.notes", body })
}
