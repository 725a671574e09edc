//! Min enhet and Kommune: who works here, codes for those who shall, and which units there are.

use maud::{Markup, html};
use stafett_client_core::answer::{Account, Invite, InviteState, LogLine, Person, Unit};
use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::form::{self, Choice, Fields};
use crate::pieces;
use crate::table::Sheet;
use crate::view::{Call, View};

pub fn wanted(_: &Call<'_>) -> Vec<Command> {
    vec![Command::People { unit: None }, Command::InviteList, Command::LogList, Command::Units]
}

pub fn show(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let (people, logs) = (answers.people()?, answers.logs()?);
    let unit = view.me().and_then(|me| me.unit.as_ref());
    let name =
        view.me().and_then(|me| me.unit_name.as_ref()).map_or_else(|| view.say("nav.unit"), |name| view.to.text(name));
    let works = |one: &&Person| one.role == Some(Account::Employee) && one.unit.as_ref() == unit;
    let employees: Vec<&Person> = people.people.iter().filter(works).collect();
    let body = html! {
        (pieces::head(&name, Some(view.say("unit.about"))))
        (pieces::part("employees", &view.say("employees.title"), html! {
            @if employees.is_empty() { (pieces::empty(&view.say("employees.none"))) }
            ul.cards {
                @for one in &employees { li.card { (pieces::person(view, &one.name, one.verified)) } }
            }
        }))
        (pieces::part("invite", &view.say("unit.invite"), invite(view)))
        (codes(view, answers)?)
        (pieces::part("assign", &view.say("assign.title"), assign(view, &employees, &logs.logs)))
    };
    Ok(Sheet { title: "unit.title", body })
}

fn invite(view: &View<'_>) -> Markup {
    let fields = Fields::new(view, "/unit/invite");
    let may = ["hold", "act"].map(|word| Choice::new(word, view.say(&format!("unit.may.{word}"))));
    let all = ["hold".to_owned(), "act".to_owned()];
    html! {
        div.card { (fields.form(fields.checks("may", "unit.may", &may, &all), form::press(view, "unit.invite.press"))) }
    }
}

/// Codes that were made here, open ones to be handed over.
fn codes(view: &View<'_>, answers: &Answers<'_>) -> Result<Markup, Problem> {
    let invites = answers.invites()?;
    let line = |one: &Invite| {
        let Invite { code, state, person, unit } = one;
        let (tone, key) = match state {
            InviteState::Open => ("warn", "code.open"),
            InviteState::Used => ("good", "code.used"),
            InviteState::Expired => ("plain", "code.expired"),
        };
        let who = person.as_ref().or(unit.as_ref()).and_then(|id| view.to.known(id));
        html! {
            li.card {
                p.person { @if let Some(who) = who { span.name { (who) } } (pieces::tag(tone, &view.say(key))) }
                @if *state == InviteState::Open {
                    p.code { (view.to.text(code)) }
                    details { summary { (view.say("code.picture")) } (pieces::qr(view, code)) }
                }
            }
        }
    };
    Ok(pieces::part(
        "codes",
        &view.say("codes.title"),
        html! {
            (pieces::never(view, "never.code"))
            @if invites.invites.is_empty() { (pieces::empty(&view.say("codes.none"))) }
            ul.cards { @for one in invites.invites.iter().rev() { (line(one)) } }
        },
    ))
}

/// Who acts for the unit in a log that let it in, and who no longer shall.
fn assign(view: &View<'_>, employees: &[&Person], logs: &[LogLine]) -> Markup {
    let people: Vec<Choice> = employees.iter().map(|one| Choice::new(&one.person, view.to.name(&one.name))).collect();
    let named = |one: &LogLine| Some(Choice::new(&one.log, view.to.text(one.child.as_ref()?)));
    let logs: Vec<Choice> = logs.iter().filter_map(named).collect();
    let form = |action: &str, press: Markup| {
        let fields = Fields::new(view, action);
        let log = if logs.is_empty() {
            fields.text("log", "assign.log.number")
        } else {
            fields.radios("log", "assign.log", &logs, None)
        };
        let person = fields.radios("person", "assign.person", &people, None);
        html! { div.card { (fields.form(html! { (log) (person) }, press)) } }
    };
    html! {
        p.hint { (view.say("assign.about")) }
        @if people.is_empty() {
            (pieces::empty(&view.say("employees.none")))
        } @else {
            (form("/unit/assign", form::press(view, "assign.press")))
            details open[view.call.path == "/unit/unassign"] {
                summary { (view.say("unassign.press")) }
                (form("/unit/unassign", form::grave(view, "unassign.press")))
            }
        }
    }
}

pub fn wanted_invite(_: &Call<'_>) -> Vec<Command> {
    vec![Command::InviteList, Command::People { unit: None }]
}

/// Codes for the family, by whoever meets them.
pub fn family(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let body = html! {
        (pieces::back("/me", &view.say("nav.me")))
        (pieces::head(&view.say("invite.title"), Some(view.say("invite.about"))))
        div.press { (form::button("/invite", &[], form::press(view, "invite.press"))) }
        (codes(view, answers)?)
    };
    Ok(Sheet { title: "invite.title", body })
}

pub fn wanted_municipality(_: &Call<'_>) -> Vec<Command> {
    vec![Command::Units, Command::InviteList, Command::People { unit: None }]
}

/// Kommune: the administrator's page.
pub fn municipality(view: &View<'_>, answers: &Answers<'_>) -> Result<Sheet, Problem> {
    let units = answers.units()?;
    let fields = Fields::new(view, "/municipality/unit");
    let kinds = ["school", "kindergarten", "ppt", "health-station"].map(|word| Choice::new(word, view.to.word(word)));
    let line = |one: &Unit| {
        let Unit { unit: _, name, kind, leader, municipality: _ } = one;
        let leader = leader.as_ref().and_then(|id| view.to.known(id));
        html! {
            li.card {
                p.person { span.name { (view.to.text(name)) } (pieces::tag("plain", &view.to.open_word(kind))) }
                p.by { (leader.map_or_else(|| view.say("unit.no-leader"), |name| view.with("unit.leader", &[("name", &name)]))) }
            }
        }
    };
    let body = html! {
        (pieces::head(&view.say("nav.municipality"), Some(view.say("municipality.about"))))
        (pieces::part("units", &view.say("units.title"), html! {
            @if units.units.is_empty() { (pieces::empty(&view.say("units.none"))) }
            ul.cards { @for one in &units.units { (line(one)) } }
        }))
        (pieces::part("add", &view.say("unit.add"), html! {
            div.card { (fields.form(html! {
                (fields.text("name", "unit.name"))
                (fields.radios("kind", "unit.kind", &kinds, Some("school")))
            }, form::press(view, "unit.add"))) }
            p.hint { (view.say("unit.add.about")) }
        }))
        (codes(view, answers)?)
    };
    Ok(Sheet { title: "nav.municipality", body })
}
