//! Forms about people: devices, keys, codes, units.

use stafett_client_core::client::input::{Command, Invitation, Problem};

use crate::answers::Answers;
use crate::pages::{me, people};
use crate::table::{Deed, Then};
use crate::view::{Call, Trouble, View};

type Does = Result<Deed, Trouble>;
type Leads = Result<Then, Problem>;

fn one(command: Command) -> Does {
    Ok(Deed::Core(vec![command]))
}

pub fn second_device(_: &Call<'_>) -> Does {
    one(Command::DeviceLink)
}

/// The code is told once.
pub fn to_code(view: &View<'_>, answers: &Answers<'_>) -> Leads {
    Ok(Then::Show(me::code(view, "second.code", "second.code.about", answers.code()?)))
}

pub fn remove(call: &Call<'_>) -> Does {
    one(Command::DeviceRemove { device: call.owned("device"), lost: !call.field("lost").is_empty() })
}

pub fn drop(call: &Call<'_>) -> Does {
    one(Command::DraftDrop { draft: call.owned("draft") })
}

pub fn server(call: &Call<'_>) -> Does {
    Trouble::unless_filled(call, &[("url", "server.url.missing")])?;
    one(Command::ServerAt { url: call.field("url").to_owned() })
}

pub fn to_me(_: &View<'_>, _: &Answers<'_>) -> Leads {
    Ok(Then::See("/me".to_owned()))
}

pub fn verify(call: &Call<'_>) -> Does {
    Trouble::unless_filled(call, &[("number", "verify.number.missing")])?;
    one(Command::Verify { person: call.owned("person"), number: call.given("number") })
}

pub fn to_compared(view: &View<'_>, answers: &Answers<'_>) -> Leads {
    let compared = answers.compared()?;
    Ok(Then::Show(people::compared(view, &compared.person_name, compared.matches)))
}

pub fn invite_family(_: &Call<'_>) -> Does {
    one(Command::Invite(Invitation::Guardian))
}

pub fn to_invites(_: &View<'_>, _: &Answers<'_>) -> Leads {
    Ok(Then::See("/invite".to_owned()))
}

pub fn invite_employee(call: &Call<'_>) -> Does {
    let may = call.every("may");
    let has = |word: &str| may.iter().any(|one| one == word);
    one(Command::Invite(Invitation::Employee { may_hold: has("hold"), may_act: has("act") }))
}

pub const ASSIGN: &[&str] = &["log", "person"];

const ASSIGN_MUST: [(&str, &str); 2] = [("log", "assign.log.missing"), ("person", "assign.person.missing")];

pub fn assign(call: &Call<'_>) -> Does {
    Trouble::unless_filled(call, &ASSIGN_MUST)?;
    one(Command::UnitAssign {
        log: call.field("log").to_owned(),
        person: call.field("person").to_owned(),
        scopes: vec![],
    })
}

pub fn unassign(call: &Call<'_>) -> Does {
    Trouble::unless_filled(call, &ASSIGN_MUST)?;
    one(Command::UnitUnassign { log: call.field("log").to_owned(), person: call.field("person").to_owned() })
}

pub fn to_unit(_: &View<'_>, _: &Answers<'_>) -> Leads {
    Ok(Then::See("/unit".to_owned()))
}

pub fn add_unit(call: &Call<'_>) -> Does {
    Trouble::unless_filled(call, &[("name", "unit.name.missing")])?;
    one(Command::UnitAdd { name: call.field("name").to_owned(), kind: call.field("kind").to_owned() })
}

pub fn to_municipality(_: &View<'_>, _: &Answers<'_>) -> Leads {
    Ok(Then::See("/municipality".to_owned()))
}
