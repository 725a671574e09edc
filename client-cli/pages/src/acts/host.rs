//! What only the host can do: homes, the lock, the language.

use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::border::{HostWish, after};
use crate::shell::LANGUAGES;
use crate::table::{Deed, Then};
use crate::view::{Call, Trouble, View};

/// `kind`: a first device of somebody, or a further one.
pub const JOIN: &[&str] = &["code", "name", "passphrase", "again", "kind"];

/// A new home for a code: a link may stand around it, as it was pasted.
pub fn join(call: &Call<'_>) -> Result<Deed, Trouble> {
    let must = [("code", "start.code.missing"), ("name", "start.name.missing"), ("passphrase", "passphrase.missing")];
    Trouble::unless_filled(call, &must)?;
    if call.raw("passphrase") != call.raw("again") {
        return Err(Trouble::at("again", "passphrase.differs"));
    }
    let (code, name) = (code_in(call.field("code")), call.field("name").to_owned());
    let join = match call.field("kind") {
        "device" => Command::DeviceAccept { code, name },
        _ => Command::Join { code, name },
    };
    Ok(Deed::Host(HostWish::MakeHome { passphrase: call.raw("passphrase").to_owned(), join }))
}

/// The code in what was pasted: behind the last `#`, where a link carries it, and without what mail programs put between.
fn code_in(pasted: &str) -> String {
    let code = pasted.rsplit('#').next().unwrap_or(pasted);
    code.chars().filter(|letter| !letter.is_whitespace()).collect()
}

pub fn unlock(call: &Call<'_>) -> Result<Deed, Trouble> {
    Trouble::unless_filled(call, &[("passphrase", "passphrase.missing")])?;
    Ok(Deed::Host(HostWish::Unlock { passphrase: call.raw("passphrase").to_owned() }))
}

pub const PASSPHRASE: &[&str] = &["old", "passphrase", "again"];

pub fn passphrase(call: &Call<'_>) -> Result<Deed, Trouble> {
    Trouble::unless_filled(call, &[("old", "passphrase.missing"), ("passphrase", "passphrase.missing")])?;
    let (old, new) = (call.raw("old").to_owned(), call.raw("passphrase").to_owned());
    if new != call.raw("again") {
        return Err(Trouble::at("again", "passphrase.differs"));
    }
    Ok(Deed::Host(HostWish::ChangePassphrase { old, new }))
}

pub fn lock(_: &Call<'_>) -> Result<Deed, Trouble> {
    Ok(Deed::Host(HostWish::Lock))
}

pub fn language(call: &Call<'_>) -> Result<Deed, Trouble> {
    let chosen = LANGUAGES.iter().find(|(word, _, _)| *word == call.field("language"));
    chosen.map(|(_, language, _)| Deed::Host(HostWish::Language(*language))).ok_or_else(Trouble::default)
}

/// Another home on this machine; none named: a new one.
pub fn choose(call: &Call<'_>) -> Result<Deed, Trouble> {
    Ok(Deed::Host(HostWish::ChooseHome(call.given("home"))))
}

/// Hosts go on by themselves; this is where they go.
pub fn done(view: &View<'_>, _: &Answers<'_>) -> Result<Then, Problem> {
    let wish = crate::table::asked_of_host(view.ask);
    Ok(Then::See(wish.as_ref().map_or("/", after).to_owned()))
}
