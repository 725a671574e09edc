//! From what was typed to what the core is asked: no decisions, only names.

use stafett_client_core::client::input::{AccessWord, Command as Wish, Invitation, NewMeasure, Who, WithdrawTarget};

use crate::terminal::args::{
    Access, AccessKind, AccessRequest, Audit, Baton, Command, Concern, Consent, Correction, Device, Drafts, Invite,
    Log, Measure, MeasureText, Unit, Withdraw,
};

/// The wish behind a command; `None` for what the host does itself (`sync`, `audit export`, `keyring`, `demo`).
pub fn asked(command: Command) -> Option<Wish> {
    Some(match command {
        Command::Join(join) => Wish::Join { code: join.code, name: join.name.unwrap_or_default() },
        Command::Device(device) => of_device(device),
        Command::Invite(Invite { list: Some(_), .. }) => Wish::InviteList,
        Command::Invite(invite) => Wish::Invite(invitation(&invite)),
        Command::People { unit } => Wish::People { unit },
        Command::Units { municipality: None } => Wish::Units,
        Command::Units { municipality: Some(municipality) } => Wish::UnitsOf { municipality },
        Command::Unit(unit) => of_unit(unit),
        Command::Verify { person, number } => Wish::Verify { person, number },
        Command::Log(log) => of_log(log),
        Command::Consent(consent) => of_consent(consent),
        Command::Access(Access::Request(request)) => access(request),
        Command::Baton(baton) => of_baton(baton),
        Command::Concern(concern) => of_concern(concern),
        Command::Measure(measure) => of_measure(measure),
        Command::Evaluate(e) => {
            let result = word(e.result);
            Wish::Evaluate { measure: e.measure, result, text: e.text, family_agrees: e.family_agrees }
        }
        Command::Drafts { drop: None } => Wish::Drafts,
        Command::Drafts { drop: Some(Drafts::Drop { draft }) } => Wish::DraftDrop { draft },
        Command::Comment { concern, text } => Wish::Comment { concern, text },
        Command::Audit(Audit::Verify { what }) => Wish::AuditVerify { log: what },
        Command::Audit(Audit::Export { log, .. }) => Wish::AuditExport { log },
        // What the host does itself: it reads and writes files, and speaks with the server.
        Command::Sync { .. }
        | Command::Keyring(_)
        | Command::Passphrase
        | Command::Me
        | Command::Home(_)
        | Command::Ui(_)
        | Command::Glimpse { .. }
        | Command::Note { .. }
        | Command::Attachment(_) => return None,
        #[cfg(feature = "demo")]
        Command::Demo { .. } | Command::Server { .. } => return None,
    })
}

fn of_device(device: Device) -> Wish {
    match device {
        Device::Link => Wish::DeviceLink,
        Device::Accept { code, name } => Wish::DeviceAccept { code, name: name.unwrap_or_default() },
        Device::List => Wish::DeviceList,
        Device::Remove { device, lost } => Wish::DeviceRemove { device, lost },
    }
}

fn invitation(invite: &Invite) -> Invitation {
    if invite.guardian {
        Invitation::Guardian
    } else if invite.child {
        Invitation::Child
    } else {
        Invitation::Employee { may_hold: invite.may_hold, may_act: invite.may_act }
    }
}

fn of_unit(unit: Unit) -> Wish {
    match unit {
        Unit::Add { name, kind } => Wish::UnitAdd { name, kind },
        Unit::Assign { log, person, scope } => Wish::UnitAssign { log, person, scopes: scope },
        Unit::Unassign { log, person } => Wish::UnitUnassign { log, person },
    }
}

fn of_log(log: Log) -> Wish {
    match log {
        Log::New { child, born, guardian, level } => Wish::LogNew { child, born, guardians: guardian, level },
        Log::List => Wish::LogList,
        Log::Show { log } => Wish::LogShow { log },
        Log::History { log } => Wish::LogHistory { log },
        Log::Drop { log } => Wish::LogDrop { log },
        Log::Continue { log } => Wish::LogContinue { log },
    }
}

fn of_consent(consent: Consent) -> Wish {
    match consent {
        Consent::Pending => Wish::ConsentPending,
        Consent::Grant { request, no_custody } => Wish::ConsentGrant { request, custody: !no_custody },
        Consent::Refuse { request } => Wish::ConsentRefuse { request },
        Consent::List { log } => Wish::ConsentList { log },
        Consent::Withdraw(Withdraw { log, grant, unit, person, .. }) => {
            // The command line demands exactly one; what is left is `--all`.
            let target = (grant.map(WithdrawTarget::Grant))
                .or(unit.map(WithdrawTarget::Unit))
                .or(person.map(WithdrawTarget::Person))
                .unwrap_or(WithdrawTarget::All);
            Wish::ConsentWithdraw { log, target }
        }
    }
}

fn access(request: AccessRequest) -> Wish {
    let who = match (request.unit, request.person) {
        (Some(unit), _) => Who::Unit(unit),
        (None, person) => Who::Person(person.unwrap_or_default()),
    };
    let access = match request.access {
        AccessKind::Read => AccessWord::Read,
        AccessKind::Contribute => AccessWord::Contribute,
        AccessKind::Custody => AccessWord::Custody,
    };
    Wish::AccessRequest { log: request.log, who, scopes: request.scope, access }
}

fn of_baton(baton: Baton) -> Wish {
    match baton {
        Baton::Offer { log, to, municipality, concern, note, reason } => {
            Wish::BatonOffer { log, to, municipality, concerns: concern, notes: note, reason }
        }
        Baton::List => Wish::BatonList,
        Baton::Accept { offer, employee } => Wish::BatonAccept { offer, person: employee },
        Baton::Decline { offer, why } => Wish::BatonDecline { offer, reason: why },
        Baton::Abort { offer } => Wish::BatonAbort { offer },
        Baton::Takeover { log, reason } => Wish::BatonTakeover { log, reason },
    }
}

fn of_concern(concern: Concern) -> Wish {
    match concern {
        Concern::New { log, title, goal, category, measure } => {
            Wish::ConcernNew { log, title, goal, category, measure: new_measure(measure) }
        }
        Concern::Show { concern } => Wish::ConcernShow { concern },
        Concern::Close { concern } => Wish::ConcernClose { concern },
    }
}

fn of_measure(measure: Measure) -> Wish {
    match measure {
        Measure::Add { concern, measure } => Wish::MeasureAdd { concern, measure: new_measure(measure) },
        Measure::Edit { measure, text } => Wish::MeasureEdit { measure, text },
        Measure::Correct(Correction { measure, text, arena, responsible, due }) => {
            let replacement = text.map(|text| new_measure(MeasureText { text, arena, responsible, due }));
            Wish::MeasureCorrect { measure, replacement }
        }
    }
}

fn new_measure(measure: MeasureText) -> NewMeasure {
    NewMeasure {
        text: measure.text,
        arena: measure.arena.map(word),
        responsible: measure.responsible,
        due: measure.due,
    }
}

/// The word that a choice has on the command line is its word everywhere.
fn word(choice: impl clap::ValueEnum) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
