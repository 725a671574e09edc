//! Min side: who I am here, my devices, my passphrase, and what was not sent.

use maud::{Markup, html};
use stafett_client_core::answer::{Account, Code, Device, Devices, Draft, Drafts, Me};
use stafett_client_core::client::input::{Cause, Command, Problem};

use crate::answers::Answers;
use crate::form::{self, Fields};
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

pub fn wanted(_: &Call<'_>) -> Vec<Command> {
    vec![Command::DeviceList, Command::Drafts]
}

pub fn show(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let Devices { person: _, devices, used_up } = answers.devices()?;
    let drafts = answers.drafts()?;
    let link = |path: &str, key: &str| html! { li { a.card.link href=(path) { span.name { (view.say(key)) } span.by { (view.say(&format!("{key}.short"))) } } } };
    let family_codes = matches!(view.account(), Some(Account::Employee | Account::Leader));
    let body = html! {
        @match view.me() {
            Some(me) => (who(view, me)),
            None => (pieces::head(&view.say("me.title"), None)),
        }
        (pieces::part("devices", &view.say("devices.title"), html! {
            @if devices.len() < 2 { (pieces::warning(&view.say("devices.only-one"))) }
            @for one in used_up { (pieces::note(&view.with("devices.used-up", &[("at", &view.to.time(&one.at))]))) }
            ul.cards { @for one in devices { li { (device(view, one)) } } }
            div.press { (pieces::go("/second-device", &view.say("device.add"))) }
        }))
        (pieces::part("more", &view.say("me.more"), html! {
            ul.cards {
                (link("/people", "known.title"))
                @if family_codes { (link("/invite", "invite.title")) }
                (link("/me/passphrase", "passphrase.title"))
                (link("/me/server", "server.title"))
            }
        }))
        (pieces::part("drafts", &view.say("unsent.title"), html! {
            @if drafts.drafts.is_empty() { (pieces::empty(&view.say("unsent.none"))) }
            (unsent(view, drafts))
        }))
    };
    Ok(Sheet { title: "me.title", body })
}

fn who(view: &View<'_>, me: &Me) -> Markup {
    let Me {
        person: _,
        name,
        device: _,
        role,
        unit: _,
        unit_name,
        municipality,
        url: _,
        certified,
        logs,
        requests: _,
        queued: _,
    } = me;
    let role = role.map(|role| view.word(role.word()));
    let told: Vec<String> = [role, unit_name.as_ref().map(|unit| view.to.text(unit))].into_iter().flatten().collect();
    html! {
        (pieces::head(&view.to.text(name), Some(told.join(" · "))))
        p { (view.many("me.logs", *logs)) " " (view.with("me.municipality", &[("number", &view.to.text(municipality))])) }
        @if !certified { (pieces::warning(&view.say("me.not-certified"))) }
    }
}

fn device(view: &View<'_>, one: &Device) -> Markup {
    let Device { device, name, this } = one;
    html! {
        div.card {
            p.person { span.name { (view.to.text(name)) } @if *this { (pieces::tag("good", &view.say("device.this"))) } }
            @if !this { div.press { (pieces::also(&format!("/me/device/{device}"), &view.say("device.remove"))) } }
        }
    }
}

/// What was refused, with why: it can be copied, or thrown away.
fn unsent(view: &View<'_>, drafts: &Drafts) -> Markup {
    let line = |one: &Draft| {
        let Draft { id, log: _, scope: _, kind, text, reason, problem: _, at, lines: _ } = one;
        html! {
            li.card {
                p { strong { (view.to.open_word(kind)) } }
                @if !text.is_empty() { p.written { (view.to.text(text)) } }
                p { (view.problem(&Problem::quoting(reason, reason.clone()))) }
                p.by { (view.to.time(at)) }
                (form::button(&format!("/drafts/{id}/drop"), &[], form::grave(view, "unsent.drop")))
            }
        }
    };
    html! { ul.cards { @for one in &drafts.drafts { (line(one)) } } }
}

/// Before it is removed: what that means.
pub fn remove(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let id = view.call.id("device");
    let found = answers.devices()?.devices.iter().find(|one| one.device == id);
    let one = found.ok_or_else(|| Problem::caller(Cause::UnknownId, "there is no such device"))?;
    let fields = Fields::new(view, format!("/me/device/{id}"));
    let lost = [form::Choice::new("yes", view.say("device.lost")).about(view.say("device.lost.about"))];
    let body = html! {
        (pieces::back("/me", &view.say("nav.me")))
        (pieces::head(&view.with("device.remove.head", &[("name", &view.to.text(&one.name))]), None))
        (pieces::warning(&view.say("device.remove.about")))
        div.card { (fields.form(fields.checks("lost", "device.why", &lost, &[]), form::grave(view, "device.remove"))) }
    };
    Ok(Sheet { title: "device.remove", body })
}

/// A second device is offered at once: it is the only way back when the first is lost.
pub fn second(view: &View<'_>, _: &Answers<'_>) -> Result<Sheet, Problem> {
    let body = html! {
        (pieces::head(&view.say("second.title"), Some(view.say("second.about"))))
        (pieces::never(view, "never.device"))
        div.press {
            (form::button("/second-device", &[], form::press(view, "second.press")))
            (pieces::also("/", &view.say("second.later")))
        }
    };
    Ok(Sheet { title: "second.title", body })
}

/// A code, shown once: as text and as a picture.
pub fn code(view: &View<'_>, title: &'static str, about: &str, code: &Code) -> Sheet {
    let Code { code } = code;
    let body = html! {
        (pieces::head(&view.say(title), Some(view.say(about))))
        (pieces::never(view, "never.code"))
        div.card { p.code { (view.to.text(code)) } (pieces::qr(view, code)) }
        div.press { (pieces::also("/me", &view.say("nav.me"))) }
    };
    Sheet { title, body }
}

pub fn passphrase(view: &View<'_>, _: &Answers<'_>) -> Result<Sheet, Problem> {
    let fields = Fields::new(view, "/me/passphrase");
    let inner = html! {
        (fields.secret("old", "passphrase.old", "current-password"))
        (fields.secret("passphrase", "passphrase.new", "new-password"))
        (fields.secret("again", "passphrase.again", "new-password"))
        (pieces::never(view, "never.passphrase"))
    };
    let body = html! {
        (pieces::back("/me", &view.say("nav.me")))
        (pieces::head(&view.say("passphrase.title"), Some(view.say("passphrase.title.short"))))
        div.card { (fields.secretly(inner, form::press(view, "passphrase.press"))) }
    };
    Ok(Sheet { title: "passphrase.title", body })
}

pub fn server(view: &View<'_>, _: &Answers<'_>) -> Result<Sheet, Problem> {
    let fields = Fields::new(view, "/me/server");
    let now = view.me().map(|me| me.url.as_str()).unwrap_or_default();
    let body = html! {
        (pieces::back("/me", &view.say("nav.me")))
        (pieces::head(&view.say("server.title"), Some(view.say("server.title.short"))))
        div.card { (fields.form(fields.text_of("url", "server.url", now), form::press(view, "server.press"))) }
    };
    Ok(Sheet { title: "server.title", body })
}
