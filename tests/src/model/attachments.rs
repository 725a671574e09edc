//! Attachments at the home in memory.

use crate::model::home::{ModelHome, refused};
use stafett_protocol::attachment::{AttachmentManifest, AttachmentPart, AttachmentPlace, AttachmentWants};
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::{DeviceId, Hash, ScopeId};
use stafett_protocol::policy::{Action, can};
use stafett_protocol::wire::Reply;
use std::collections::BTreeMap;

#[derive(Clone, Default)]
pub struct Attachments {
    pub manifests: BTreeMap<(ScopeId, Hash), AttachmentManifest>,
    pub parts: BTreeMap<(ScopeId, Hash, u16), Vec<u8>>,
    /// Parts that were sent here, again or not.
    pub stored: usize,
    /// So often this home loses a part before it takes in the change that names it.
    pub forgets: usize,
    /// So often this home wants the first part again, in answers that get shorter all the time.
    pub greedy: usize,
}

impl Attachments {
    pub fn missing(&self, manifest: &AttachmentManifest) -> Vec<u16> {
        let here = |part: &u16| self.parts.contains_key(&(manifest.scope, manifest.id(), *part));
        (0..manifest.parts.len() as u16).filter(|part| !here(part)).collect()
    }

    fn is_whole(&self, scope: ScopeId, attachment: Hash) -> bool {
        self.manifests.get(&(scope, attachment)).is_some_and(|manifest| self.missing(manifest).is_empty())
    }
}

impl ModelHome {
    pub(crate) fn put_attachment(&mut self, device: DeviceId, manifest: AttachmentManifest) -> Reply {
        let state = self.scopes.get(&manifest.scope).map(|chain| chain.replica.state());
        let author = state.and_then(|state| state.membership.member_of_device(device));
        let Some((state, author)) = state.zip(author).filter(|_| self.reads(device, manifest.scope)) else {
            return refused("unknown-scope");
        };
        if let Err(refusal) = can(state, author.person, Action::Change, self.now) {
            return refused(refusal.code());
        }
        let mut parts = self.attachments.missing(&manifest);
        if self.attachments.greedy > 0 {
            parts = vec![0; self.attachments.greedy];
            self.attachments.greedy -= 1;
        }
        let wants = AttachmentWants { attachment: manifest.id(), parts };
        self.attachments.manifests.insert((manifest.scope, manifest.id()), manifest);
        Reply::AttachmentWants(wants)
    }

    pub(crate) fn put_attachment_part(&mut self, device: DeviceId, part: AttachmentPart) -> Reply {
        let AttachmentPlace { scope, attachment, part: number } = part.place;
        let announced = self.attachments.manifests.get(&(scope, attachment));
        let fits = announced.is_some_and(|manifest| manifest.fits(number, part.bytes.as_slice()));
        if !fits || !self.reads(device, scope) {
            return refused("inconsistent");
        }
        self.attachments.stored += 1;
        self.attachments.parts.insert((scope, attachment, number), part.bytes.as_slice().to_vec());
        Reply::Done
    }

    pub(crate) fn attachment_part(&self, device: DeviceId, place: AttachmentPlace) -> Reply {
        if !self.reads(device, place.scope) {
            return refused("unknown-scope");
        }
        match self.attachments.parts.get(&(place.scope, place.attachment, place.part)) {
            Some(bytes) => Reply::AttachmentPart(AttachmentPart { place, bytes: bytes.clone().into() }),
            None => refused("attachment-missing"),
        }
    }

    /// What a change names is here already.
    pub(crate) fn check_attachments(&mut self, event: &Event) -> Result<(), String> {
        let Body::Change(change) = &event.body else { return Ok(()) };
        if let (Some(id), true) = (change.attachments.first(), self.attachments.forgets > 0) {
            self.attachments.forgets -= 1;
            self.attachments.parts.remove(&(event.scope, *id, 0));
        }
        match change.attachments.iter().all(|id| self.attachments.is_whole(event.scope, *id)) {
            true => Ok(()),
            false => Err("attachment-missing".into()),
        }
    }

    /// The old home's attachments of a scope, as far as the chain names them.
    pub(crate) fn copy_attachments(
        &mut self,
        from: &Attachments,
        scope: ScopeId,
        named: &[Hash],
    ) -> Result<(), String> {
        for id in named {
            let manifest = from.manifests.get(&(scope, *id)).filter(|m| m.id() == *id && m.scope == scope);
            let manifest = manifest.ok_or("attachment-missing")?.clone();
            for number in self.attachments.missing(&manifest) {
                let bytes = from.parts.get(&(scope, *id, number)).filter(|bytes| manifest.fits(number, bytes));
                let bytes = bytes.ok_or("attachment-missing")?.clone();
                self.attachments.parts.insert((scope, *id, number), bytes);
            }
            self.attachments.manifests.insert((scope, *id), manifest);
        }
        Ok(())
    }
}
