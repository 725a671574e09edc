//! Forms of the baton.

use stafett_client_core::client::input::{Command, Problem};

use crate::answers::Answers;
use crate::table::{Deed, Then};
use crate::view::{Call, Trouble, View};

pub const OFFER: &[&str] = &["to", "reason", "concern", "note"];

pub fn offer(call: &Call<'_>) -> Result<Deed, Trouble> {
    Trouble::unless_filled(call, &[("to", "offer.to.missing"), ("reason", "offer.reason.missing")])?;
    Ok(Deed::Core(vec![Command::BatonOffer {
        log: call.owned("log"),
        to: call.field("to").to_owned(),
        municipality: None,
        concerns: call.every("concern"),
        notes: call.every("note"),
        reason: call.field("reason").to_owned(),
    }]))
}

/// The units of another municipality are asked for; they come with the next contact.
pub fn look(call: &Call<'_>) -> Result<Deed, Trouble> {
    Trouble::unless_filled(call, &[("municipality", "offer.municipality.missing")])?;
    Ok(Deed::Core(vec![Command::UnitsOf { municipality: call.field("municipality").to_owned() }]))
}

pub fn to_offer(view: &View<'_>, _: &Answers<'_>) -> Result<Then, Problem> {
    Ok(Then::See(view.call.path_to("/log/{log}/hand-over")))
}

pub fn accept(call: &Call<'_>) -> Result<Deed, Trouble> {
    Ok(Deed::Core(vec![Command::BatonAccept { offer: call.owned("offer"), person: call.given("person") }]))
}

pub fn decline(call: &Call<'_>) -> Result<Deed, Trouble> {
    Ok(Deed::Core(vec![Command::BatonDecline { offer: call.owned("offer"), reason: call.given("reason") }]))
}

pub fn abort(call: &Call<'_>) -> Result<Deed, Trouble> {
    Ok(Deed::Core(vec![Command::BatonAbort { offer: call.owned("offer") }]))
}

pub fn to_batons(_: &View<'_>, _: &Answers<'_>) -> Result<Then, Problem> {
    Ok(Then::See("/batons".to_owned()))
}

pub fn takeover(call: &Call<'_>) -> Result<Deed, Trouble> {
    Trouble::unless_filled(call, &[("reason", "offer.reason.missing")])?;
    Ok(Deed::Core(vec![Command::BatonTakeover { log: call.owned("log"), reason: call.field("reason").to_owned() }]))
}
