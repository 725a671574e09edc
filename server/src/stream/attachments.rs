//! Attachments as devices store and fetch them. Stored by whoever may write in the scope now; served to whoever is
//! served its changes.

use std::collections::BTreeSet;

use stafett_protocol::attachment::{AttachmentManifest, AttachmentPart, AttachmentPlace, AttachmentWants};
use stafett_protocol::ids::{DeviceId, PersonId, ScopeId};
use stafett_protocol::membership::Role;
use stafett_protocol::policy::{Action, can};
use stafett_protocol::refusal::Refusal;
use stafett_protocol::state::ScopeState;
use stafett_protocol::wire::Reply;

use super::Connection;
use super::requests::Failed;
use crate::db::Conn;
use crate::intake::Look;
use crate::problem::Fault;
use crate::store::{attachments, chain};

/// A scope at its home that this device is served content of. Unknown and forbidden look alike.
fn readable<'a>(look: &'a Look<'_>, scope: ScopeId, device: DeviceId) -> Result<&'a ScopeState, Fault> {
    let state = look.at_home(scope)?;
    if state.may_read(device, look.now) { Ok(state) } else { Err(Refusal::UnknownScope.into()) }
}

/// The leader's seat opens nothing before she has taken over.
fn waits(look: &Look<'_>, state: &ScopeState, person: PersonId) -> bool {
    let custodian = state.membership.member(person).is_some_and(|m| m.role == Role::Custodian);
    let card = state.card.and_then(|card| look.known(card).ok()).unwrap_or(state);
    custodian && !card.takes_over(person)
}

impl Connection {
    pub(super) async fn put_attachment(&mut self, manifest: AttachmentManifest) -> Result<Reply, Failed> {
        self.may_read(manifest.scope).await?;
        if !manifest.is_within_limits() {
            return Err(Fault::TooLarge.into());
        }
        let author = self.device.clone();
        let wants = self.server.intake.look(BTreeSet::from([manifest.scope]), move |look| {
            Box::pin(async move {
                let state = readable(look, manifest.scope, author.device)?;
                can(state, author.person, Action::Change, look.now)?;
                let named = state.attachments.contains(&manifest.id());
                if !attachments::announce(look.conn, &manifest, author.device, look.now).await? {
                    return Err(Refusal::TooManyAttachments.into());
                }
                let parts = attachments::missing(look.conn, &manifest).await?;
                // A restored home gets again what its chain names.
                if named && parts.is_empty() {
                    attachments::keep(look.conn, manifest.scope, &manifest.id()).await?;
                }
                Ok(AttachmentWants { attachment: manifest.id(), parts })
            })
        });
        Ok(Reply::AttachmentWants(wants.await?))
    }

    /// Only what a writer has announced is stored, by whoever brings it, so long as they read the scope.
    pub(super) async fn put_attachment_part(&mut self, part: AttachmentPart) -> Result<Reply, Failed> {
        self.may_read(part.place.scope).await?;
        let stored = self.write(move |conn: &mut Conn| {
            Box::pin(async move {
                chain::lock(conn, part.place.scope).await?;
                Ok(attachments::put_part(conn, part.place, part.bytes.as_slice()).await?)
            })
        });
        if stored.await? { Ok(Reply::Done) } else { Err(Fault::Inconsistent.into()) }
    }

    pub(super) async fn attachment_part(&mut self, place: AttachmentPlace) -> Result<Reply, Failed> {
        self.may_read(place.scope).await?;
        let reader = self.device.clone();
        let found = self.server.intake.look(BTreeSet::from([place.scope]), move |look| {
            Box::pin(async move {
                let state = readable(look, place.scope, reader.device)?;
                if waits(look, state, reader.person) {
                    return Err(Refusal::TakeoverFirst.into());
                }
                Ok(attachments::part(look.conn, place).await?)
            })
        });
        let bytes = found.await?.ok_or(Fault::Refused(Refusal::AttachmentMissing, None))?;
        Ok(Reply::AttachmentPart(AttachmentPart { place, bytes: bytes.into() }))
    }
}
