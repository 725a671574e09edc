//! Every page, one file for what belongs together.

pub mod access;
mod baton;
mod concern;
mod consent;
mod history;
mod log;
mod logs;
pub mod me;
mod measure;
mod notes;
pub mod people;
mod start;
mod today;
mod unit;

use maud::html;
use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::pieces;
use crate::table::{Place, Sheet, Shows};
use crate::view::{Call, View};

const fn place(at: &'static str, wanted: fn(&Call) -> Vec<Command>, show: Shows) -> Place {
    Place { at, wanted, next: no_more, show }
}

/// The table of places: where each is, what it needs of the core, and what it shows.
pub const PLACES: &[Place] = &[
    place("/start", nothing, start::show),
    place("/unlock", nothing, start::locked),
    place("/", today::wanted, today::show),
    place("/logs", logs::wanted, logs::held),
    place("/acting", logs::wanted, logs::acting),
    place("/log-new", logs::wanted_new, logs::new),
    Place { next: log::concerns_of, ..place("/log/{log}", log::wanted, log::concerns) },
    place("/log/{log}/people", log::wanted, people::tab),
    place("/log/{log}/notes", log::wanted, notes::tab),
    place("/log/{log}/access", access::wanted, access::tab),
    place("/log/{log}/access/{grant}", access::wanted, access::withdraw),
    place("/log/{log}/let-in", access::wanted_let_in, access::let_in),
    place("/log/{log}/history", history::wanted, history::tab),
    place("/log/{log}/replay", history::wanted_replay, history::replay),
    place("/log/{log}/concern-new", log::wanted, concern::new),
    place("/log/{log}/concern/{concern}", concern::wanted, concern::show),
    place("/log/{log}/concern/{concern}/measure-new", concern::wanted, measure::new),
    place("/log/{log}/concern/{concern}/measure/{measure}", concern::wanted, measure::show),
    place("/log/{log}/hand-over", baton::wanted_new, baton::offer),
    place("/log/{log}/takeover", log::wanted, baton::takeover),
    place("/consents", consent::wanted, consent::list),
    place("/consent/{request}", consent::wanted, consent::review),
    place("/batons", baton::wanted, baton::list),
    place("/baton/{offer}", baton::wanted_one, baton::one),
    place("/me", me::wanted, me::show),
    place("/me/device/{device}", me::wanted, me::remove),
    place("/me/passphrase", nothing, me::passphrase),
    place("/me/server", nothing, me::server),
    place("/second-device", nothing, me::second),
    place("/people", people::wanted_all, people::all),
    place("/person/{person}", people::wanted, people::verify),
    place("/invite", unit::wanted_invite, unit::family),
    place("/unit", unit::wanted, unit::show),
    place("/municipality", unit::wanted_municipality, unit::municipality),
];

/// For pages that need nothing of the core.
fn nothing(_: &Call<'_>) -> Vec<Command> {
    vec![]
}

/// For pages whose first answers are enough.
pub fn no_more(_: &Call<'_>, _: &Answers<'_>) -> Vec<Command> {
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
