//! Every form: what it asks for, and where it leads.

mod baton;
mod family;
mod host;
mod log;
mod me;

use crate::table::{Does, Form, Leads};

const fn form(at: &'static str, page: &'static str, fields: &'static [&'static str], does: Does, then: Leads) -> Form {
    Form { at, page, fields, does, next: crate::pages::no_more, then }
}

/// A concern in the paths of forms.
const CONCERN: &str = "/log/{log}/concern/{concern}";
/// A measure in them.
const MEASURE: &str = "/log/{log}/concern/{concern}/measure/{measure}";

/// The table of forms: where each is sent, the page that it stands on, its fields, what it does, where it leads.
pub const FORMS: &[Form] = &[
    form("/start", "/start", host::JOIN, host::join, host::done),
    form("/unlock", "/unlock", &["passphrase"], host::unlock, host::done),
    form("/lock", "/", &[], host::lock, host::done),
    form("/language", "/", &["language"], host::language, host::done),
    form("/homes", "/unlock", &["home"], host::choose, host::done),
    form("/me/passphrase", "/me/passphrase", host::PASSPHRASE, host::passphrase, host::done),
    form("/log-new", "/log-new", log::NEW_LOG, log::new_log, log::to_new_log),
    form("/log/{log}/drop", "/log/{log}", &[], log::drop, log::to_logs),
    form("/log/{log}/continue", "/log/{log}", &[], log::go_on, log::to_log),
    Form {
        next: log::further_measures,
        ..form(
            "/log/{log}/concern-new",
            "/log/{log}/concern-new",
            log::NEW_CONCERN,
            log::new_concern,
            log::to_new_concern,
        )
    },
    form("/log/{log}/concern/{concern}/close", CONCERN, &[], log::close, log::to_concern),
    form("/log/{log}/concern/{concern}/glimpse", CONCERN, &["text", "file"], log::glimpse, log::to_concern),
    form("/log/{log}/concern/{concern}/comment", CONCERN, &["text"], log::comment, log::to_concern),
    form(
        "/log/{log}/concern/{concern}/measure-new",
        "/log/{log}/concern/{concern}/measure-new",
        log::NEW_MEASURE,
        log::new_measure,
        log::to_concern,
    ),
    form(
        "/log/{log}/concern/{concern}/measure/{measure}/evaluate",
        MEASURE,
        &["result", "text", "agrees"],
        log::evaluate,
        log::to_concern,
    ),
    form("/log/{log}/concern/{concern}/measure/{measure}/edit", MEASURE, &["text"], log::edit, log::to_concern),
    form("/log/{log}/concern/{concern}/measure/{measure}/correct", MEASURE, &["text"], log::correct, log::to_concern),
    form("/log/{log}/notes", "/log/{log}/notes", &["text", "file"], log::note, log::to_notes),
    form("/log/{log}/file/{file}", "/log/{log}", &[], log::file, log::to_file),
    form("/log/{log}/export", "/log/{log}/history", &[], log::export, log::to_export),
    form("/log/{log}/access/{grant}", "/log/{log}/access/{grant}", &[], family::withdraw, family::to_receipt),
    form("/log/{log}/let-in", "/log/{log}/let-in", &["who", "access", "concern"], family::let_in, family::to_access),
    form("/consent/{request}/grant", "/consent/{request}", &["custody"], family::grant, family::to_consents),
    form("/consent/{request}/refuse", "/consent/{request}", &[], family::refuse, family::to_consents),
    form("/log/{log}/hand-over", "/log/{log}/hand-over", baton::OFFER, baton::offer, baton::to_batons),
    form("/log/{log}/hand-over/look", "/log/{log}/hand-over", &["municipality"], baton::look, baton::to_offer),
    form("/log/{log}/takeover", "/log/{log}/takeover", &["reason"], baton::takeover, log::to_log),
    form("/baton/{offer}/accept", "/baton/{offer}", &["person"], baton::accept, baton::to_batons),
    form("/baton/{offer}/decline", "/baton/{offer}", &["reason"], baton::decline, baton::to_batons),
    form("/baton/{offer}/abort", "/baton/{offer}", &[], baton::abort, baton::to_batons),
    form("/second-device", "/second-device", &[], me::second_device, me::to_code),
    form("/me/device/{device}", "/me/device/{device}", &["lost"], me::remove, me::to_me),
    form("/me/server", "/me/server", &["url"], me::server, me::to_me),
    form("/drafts/{draft}/drop", "/me", &[], me::drop, me::to_me),
    form("/person/{person}/verify", "/person/{person}", &["number"], me::verify, me::to_compared),
    form("/invite", "/invite", &[], me::invite_family, me::to_invites),
    form("/unit/invite", "/unit", &["may"], me::invite_employee, me::to_unit),
    form("/unit/assign", "/unit", me::ASSIGN, me::assign, me::to_unit),
    form("/unit/unassign", "/unit", me::ASSIGN, me::unassign, me::to_unit),
    form("/municipality/unit", "/municipality", &["name", "kind"], me::add_unit, me::to_municipality),
];
