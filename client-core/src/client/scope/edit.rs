//! An edit of a document that is here: asked of the role, made on the pending fork, saved; it waits in its document.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::Standing;
use crate::client::scope::open::ContentWork;
use crate::document::{Editor, Reason};
use automerge::AutomergeError;
use automerge::transaction::Transaction;
use stafett_protocol::ids::{Millis, PersonId, ScopeId};
use stafett_protocol::membership::Role;
use stafett_protocol::policy::{Action, allows, can};
use stafett_protocol::refusal::Refusal;
use stafett_protocol::state::{GrantStanding, ScopeState, Status};

/// Whether the consent to hold has come to its end, and nothing else has happened.
fn has_run_out(state: &ScopeState, now: Millis) -> bool {
    let basis = state.holder().and_then(|holder| state.grant(&holder.basis));
    state.status == Status::Active && basis.is_some_and(|fact| fact.standing(now) == GrantStanding::Expired)
}

/// Whether a person who is not back yet after a re-founding will be able to write.
fn may_write_again(state: &ScopeState, person: PersonId, now: Millis) -> bool {
    let youth = state.authority().youth_decides(now);
    let back = state.readmit.iter().find(|m| m.person == person);
    back.is_some_and(|m| allows(m.role, Action::Change, state.status_at(now), youth).is_ok())
}

impl Client {
    /// Edits a document that this device has: a scope's, or one that waits to be founded. The change is
    /// saved with it and sent when it can be.
    pub(crate) fn edit<T>(
        &mut self,
        scope: ScopeId,
        edit: impl FnOnce(&mut automerge::transaction::Transaction<'_>) -> Result<T, automerge::AutomergeError>,
    ) -> Result<T, Problem> {
        let fresh = self.random();
        let (me, now) = (self.me()?, self.home_now());
        let (person, device) = (me.person, me.device());
        let (document, role) = match (self.scopes.get_mut(&scope), self.foundings.get_mut(&scope)) {
            (Some(s), _) if s.stopped => return Err(crate::client::scope::open::standing_still()),
            (Some(s), _) => {
                let state = s.replica.state();
                let comes_back = state.membership.member(person).is_none() && s.standing == Standing::Joining;
                match can(state, person, Action::Change, now) {
                    // Access may return, and until the home says otherwise the edit waits.
                    Ok(()) => {}
                    Err(_) if comes_back && may_write_again(state, person, now) => {}
                    // It was in use, and would be: its time is over, which is another matter than a closing.
                    Err(Refusal::NotActive) if has_run_out(state, now) => {
                        return Err(Problem::rule(Cause::ConsentExpired, "the consent to hold this log has run out"));
                    }
                    Err(refusal) => return Err(refusal.into()),
                }
                let role = state.present().find(|m| m.person == person).map(|m| m.role);
                (
                    &mut s.document,
                    role.ok_or_else(|| Problem::rule(Cause::NotAMember, "you are not in this part of the log"))?,
                )
            }
            (None, Some(founding)) => (&mut founding.document, Role::Holder),
            (None, None) => {
                return Err(Problem::caller(Cause::UnknownId, "there is no such part of a log here"));
            }
        };
        let editor = Editor { person, device, role, now_ms: now, fresh };
        let (value, _) = document.edit(&editor, edit).map_err(|e| match e {
            crate::document::EditError::Refused(Reason::Room) => Problem::rule(
                Cause::DocumentFull,
                "you have written as much here as one person may; a new concern has room for more",
            ),
            crate::document::EditError::Refused(reason) => Problem::rule(Cause::ContentRule, reason.to_string()),
            crate::document::EditError::Nothing => Problem::rule(Cause::Unchanged, "it stands like that already"),
            other => Problem::data(Cause::Document, other.to_string()),
        })?;
        self.edited.insert(scope);
        self.save_founding(scope)?;
        self.save_scope(scope)?;
        Ok(value)
    }

    /// Writes what goes along with a commit or statement. Where it cannot be written that is told, and holds nothing up.
    pub(crate) fn edit_beside(
        &mut self,
        scope: ScopeId,
        edit: impl FnOnce(&mut Transaction<'_>) -> Result<(), AutomergeError>,
    ) -> bool {
        if self.following.still.contains(&(scope, ContentWork::Noted)) {
            return false;
        }
        let written = self.edit(scope, edit);
        if let Err(problem) = &written {
            self.following.still.insert((scope, ContentWork::Noted));
            self.report(problem);
        }
        written.is_ok()
    }
}
