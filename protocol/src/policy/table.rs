//! Role × action × status: the part of the policy that is a table. Printed whole into a text file under
//! review (`docs/policy-table.txt`), asked by server, client inbox and the buttons of the clients.

use crate::membership::Role;
use crate::refusal::Refusal;
use crate::state::Status;

/// What a member may want to do in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Send content.
    Change,
    /// Add people, or change roles, under a grant or the authority.
    Admit,
    /// Add or remove one's own devices.
    OwnDevices,
    /// Renew one's own leaf.
    Renew,
    /// Commit listed removals.
    RemoveListed,
    /// Replace one's own lost leaf by an external commit.
    Resync,
    /// Pass on a signed consent (the signature decides, not the bearer).
    Grant,
    /// Withdraw, or record an oral withdrawal.
    Withdraw,
    /// Vouch for consent on paper.
    Attest,
    /// Change consent authority or a person's key (the signatures decide).
    Authority,
    /// Close or reopen.
    Close,
    /// Say that a commit cannot be processed.
    Reject,
    /// Repair the key chain.
    RepairLink,
    /// Found the scope anew.
    Refound,
    /// Record a removed device's deletion receipt.
    Witness,
    /// Hand the baton over (a custodian after a takeover; dormant: holder and custodian close only).
    HandOver,
    /// Step in for the holder.
    TakeOver,
    /// Object to a decision on the consent authority.
    Object,
}

impl Action {
    pub const ALL: &'static [Action] = &[
        Self::Change,
        Self::Admit,
        Self::OwnDevices,
        Self::Renew,
        Self::RemoveListed,
        Self::Resync,
        Self::Grant,
        Self::Withdraw,
        Self::Attest,
        Self::Authority,
        Self::Close,
        Self::Reject,
        Self::RepairLink,
        Self::Refound,
        Self::Witness,
        Self::HandOver,
        Self::TakeOver,
        Self::Object,
    ];

    /// Actions that go on while a scope takes no content.
    fn outlives_activity(self, status: Status) -> bool {
        match self {
            Self::Change | Self::Admit | Self::TakeOver => false,
            Self::HandOver => status == Status::Dormant,
            // Only an active scope can be closed, only a closed one reopened; which of the two it is
            // stands in the statement.
            Self::Close => status == Status::Closed,
            _ => true,
        }
    }
}

/// All roles, in the order of the table.
pub const ROLES: &[Role] = &[
    Role::Guardian,
    Role::Child,
    Role::Holder,
    Role::Actor,
    Role::Reader,
    Role::Custodian,
    Role::Archivist,
    Role::Leader,
    Role::Employee,
    Role::Own,
];

/// Every status, in the order of the table.
pub const STATUSES: &[Status] = &[Status::Active, Status::Dormant, Status::Withdrawn, Status::Closed];

/// Whether `role` may do `action` while the scope is `status`. `youth_decides`: the child has come of
/// the age at which it grants alone (B3, B7).
pub fn allows(role: Role, action: Action, status: Status, youth_decides: bool) -> Result<(), Refusal> {
    use Action as A;
    use Role as R;
    let by_role = match (action, role) {
        (A::OwnDevices | A::Renew | A::RemoveListed | A::Resync, _) => true,
        (A::Grant | A::Authority | A::Reject | A::RepairLink | A::Witness, _) => true,
        (A::Change, R::Guardian | R::Child | R::Holder | R::Actor | R::Leader | R::Employee | R::Own) => true,
        (A::Change, R::Reader | R::Custodian | R::Archivist) => return Err(Refusal::ReadOnly),
        (A::Admit | A::Refound, R::Guardian | R::Holder | R::Leader | R::Own) => true,
        (A::Admit | A::Refound, R::Child) => youth_decides,
        (A::Withdraw, R::Guardian | R::Child | R::Holder | R::Actor | R::Reader | R::Custodian) => true,
        (A::Attest, R::Holder) => true,
        (A::Close, R::Holder) => true,
        (A::HandOver, R::Holder | R::Custodian) => true,
        // The family gives to a new holder what has none.
        (A::HandOver, R::Guardian) => status != Status::Active,
        (A::HandOver, R::Child) => status != Status::Active && youth_decides,
        (A::TakeOver, R::Custodian) => true,
        (A::Object, R::Guardian) => true,
        (A::Object, R::Child) => youth_decides,
        (A::Admit | A::Refound | A::Withdraw | A::Attest | A::Close | A::HandOver | A::TakeOver | A::Object, _) => {
            false
        }
    };
    if !by_role {
        return Err(Refusal::NotYours);
    }
    if status != Status::Active && !action.outlives_activity(status) {
        return Err(Refusal::NotActive);
    }
    Ok(())
}

/// The table as text.
pub fn print() -> String {
    let mut out = String::from(
        "Who may do what in a scope: role x action, for every status of the scope.\n\
         yes | youth (only from the age at which the youth decides) | - (refused; reason in brackets)\n\
         Signed objects inside a statement are judged besides, by their own rules.\n",
    );
    for status in STATUSES {
        out.push_str(&format!("\n== {status:?} ==\n{:<14}", ""));
        for role in ROLES {
            out.push_str(&format!("{:<16}", format!("{role:?}")));
        }
        out = out.trim_end().to_owned();
        out.push('\n');
        for action in Action::ALL {
            out.push_str(&format!("{:<14}", format!("{action:?}")));
            for role in ROLES {
                let cell = match (allows(*role, *action, *status, false), allows(*role, *action, *status, true)) {
                    (Ok(()), _) => "yes".to_owned(),
                    (Err(_), Ok(())) => "youth".to_owned(),
                    (Err(why), Err(_)) => format!("- ({})", why.code()),
                };
                out.push_str(&format!("{cell:<16}"));
            }
            out = out.trim_end().to_owned();
            out.push('\n');
        }
    }
    out
}
