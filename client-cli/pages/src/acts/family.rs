//! Forms of the family's switch: grant, refuse, withdraw, and asking to let somebody in.

use stafett_client_core::client::input::{AccessWord, Command, Problem, Who, WithdrawTarget};

use crate::answers::Answers;
use crate::pages::access;
use crate::table::{Deed, Then};
use crate::view::{Call, Trouble, View};

pub fn grant(call: &Call<'_>) -> Result<Deed, Trouble> {
    let custody = !call.field("custody").is_empty();
    Ok(Deed::Core(vec![Command::ConsentGrant { request: call.owned("request"), custody }]))
}

pub fn refuse(call: &Call<'_>) -> Result<Deed, Trouble> {
    Ok(Deed::Core(vec![Command::ConsentRefuse { request: call.owned("request") }]))
}

pub fn to_consents(_: &View<'_>, _: &Answers<'_>) -> Result<Then, Problem> {
    Ok(Then::See("/consents".to_owned()))
}

pub fn withdraw(call: &Call<'_>) -> Result<Deed, Trouble> {
    let target = match call.id("grant") {
        "all" => WithdrawTarget::All,
        grant => WithdrawTarget::Grant(grant.to_owned()),
    };
    Ok(Deed::Core(vec![Command::ConsentWithdraw { log: call.owned("log"), target }]))
}

/// The receipt is told once.
pub fn to_receipt(view: &View<'_>, answers: &Answers<'_>) -> Result<Then, Problem> {
    Ok(Then::Show(access::receipt(view, &answers.withdrawn()?.receipt)))
}

pub fn let_in(call: &Call<'_>) -> Result<Deed, Trouble> {
    Trouble::unless_filled(call, &[("who", "let-in.who.missing")])?;
    let who = match call.field("who").split_once('-') {
        Some(("unit", id)) => Who::Unit(id.to_owned()),
        Some((_, id)) => Who::Person(id.to_owned()),
        None => return Err(Trouble::at("who", "let-in.who.missing")),
    };
    let access = match call.field("access") {
        "contribute" => AccessWord::Contribute,
        "custody" => AccessWord::Custody,
        _ => AccessWord::Read,
    };
    let scopes = call.every("concern");
    if scopes.is_empty() && access != AccessWord::Custody {
        return Err(Trouble::at("concern", "let-in.concerns.missing"));
    }
    Ok(Deed::Core(vec![Command::AccessRequest { log: call.owned("log"), who, scopes, access }]))
}

pub fn to_access(view: &View<'_>, _: &Answers<'_>) -> Result<Then, Problem> {
    Ok(Then::See(view.call.path_to("/log/{log}/access")))
}
