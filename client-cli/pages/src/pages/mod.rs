//! Every page, one file for what belongs together.

mod log;
mod logs;
mod start;
mod today;

use maud::html;
use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::pieces;
use crate::table::{Place, Sheet};
use crate::view::{Call, View};

/// The table of places.
pub const PLACES: &[Place] = &[
    Place { at: "/start", wanted: nothing, next: no_more, show: start::show },
    Place { at: "/unlock", wanted: nothing, next: no_more, show: start::locked },
    Place { at: "/", wanted: today::wanted, next: no_more, show: today::show },
    Place { at: "/logs", wanted: logs::wanted, next: no_more, show: logs::held },
    Place { at: "/acting", wanted: logs::wanted, next: no_more, show: logs::acting },
    Place { at: "/log/{log}", wanted: log::wanted, next: log::concerns_of, show: log::concerns },
];

/// For pages that need nothing of the core.
fn nothing(_: &Call<'_>) -> Vec<Command> {
    vec![]
}

/// For pages whose first answers are enough.
fn no_more(_: &Call<'_>, _: &Answers<'_>) -> Vec<Command> {
    vec![]
}

/// No page is there.
pub fn nothing_here(view: &View<'_>) -> Sheet {
    let body = html! {
        (pieces::head(&view.say("missing.title"), Some(view.say("missing.about"))))
        (pieces::go("/", &view.say("missing.home")))
    };
    Sheet { title: "missing.title", body }
}

/// The core had no answer for the page.
pub fn refused(view: &View<'_>, problem: &Problem) -> Sheet {
    let body = html! {
        (pieces::head(&view.say("refused.title"), None))
        (pieces::warning(&view.problem(problem)))
        (pieces::go("/", &view.say("missing.home")))
    };
    Sheet { title: "refused.title", body }
}
