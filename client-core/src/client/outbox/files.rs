//! Attachments between this device and their homes: brought before the change that names them, fetched when somebody
//! wants one.

use crate::attachment;
use crate::client::Client;
use crate::client::fate::Fate;
use crate::client::input::{Cause, Problem};
use crate::client::keys::FileAt;
use crate::client::scope::files::{Held, Waiting, part_key, waiting_key, waiting_part_key};
use crate::client::scope::{Scope, Standing};
use crate::client::stream::{RETRIES, Sent};
use crate::rows::Space;
use stafett_protocol::attachment::{
    AttachmentManifest, AttachmentPart, AttachmentPartContext, AttachmentPlace, AttachmentWants, attachment_part_hash,
};
use stafett_protocol::codec::decode;
use stafett_protocol::consent::Permit;
use stafett_protocol::ids::{Hash, Municipality, ScopeId};
use stafett_protocol::limits::CHANGE_ATTACHMENTS;
use stafett_protocol::wire::{Problem as WireProblem, Reply, Request};
use std::collections::btree_map::Entry;

/// An upload on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    /// So many parts were missing at last, and so often nothing has changed.
    Asked { missing: usize, tries: u32 },
    /// All of it is at the home.
    Whole,
    /// Not on this connection.
    Refused,
}

impl Client {
    /// Whether the home has every file that the waiting edits of a scope refer to.
    pub(crate) fn files_sent(&self, scope: ScopeId) -> bool {
        let home = self.home_of(scope);
        let sent = |at: &FileAt| self.going.uploads.get(&(home, at.id)) == Some(&Upload::Whole);
        self.waiting_files(scope).iter().all(|(at, _)| sent(at))
    }

    /// What the next change of a scope names.
    pub(crate) fn named_files(&self, scope: ScopeId) -> Vec<Hash> {
        self.waiting_files(scope).into_iter().map(|(at, _)| at.id).take(CHANGE_ATTACHMENTS).collect()
    }

    /// Brings to their homes the files whose edits wait, and asks for those that people want.
    pub(crate) fn send_files(&mut self) -> Result<(), Problem> {
        let open = |s: &Scope| s.standing == Standing::Member && s.unaudited.is_none();
        let scopes: Vec<ScopeId> = self.scopes.iter().filter(|(_, s)| open(s)).map(|(id, _)| *id).collect();
        for scope in scopes {
            if !self.informed(scope) || self.following.blocked.contains(&scope) || self.forked(scope) {
                continue;
            }
            let home = self.home_of(scope);
            for (at, waiting) in self.waiting_files(scope) {
                let stands = self.document(scope).and_then(|d| d.entry(&waiting.section, &waiting.entry)).is_some();
                if !stands {
                    // The edit has become a draft; the file is where its author took it from.
                    self.drop_waiting(at, &waiting.manifest);
                } else if let Entry::Vacant(first) = self.going.uploads.entry((home, at.id)) {
                    first.insert(Upload::Asked { missing: usize::MAX, tries: 0 });
                    self.stream.send(home, Request::PutAttachment(waiting.manifest), Sent::File(at));
                }
            }
            self.fetch_files(home, scope);
        }
        Ok(())
    }

    pub(crate) fn file_answered(&mut self, from: Municipality, what: Sent, reply: &Reply) -> Result<(), Problem> {
        match (what, reply) {
            (Sent::File(at), Reply::AttachmentWants(wants)) => self.file_wanted(from, at, wants),
            (Sent::File(at), Reply::Problem(problem)) => self.file_refused(from, at, problem),
            (Sent::FileWanted(at, part), Reply::AttachmentPart(came)) => return self.file_part(at, part, came),
            (Sent::FileWanted(at, _), Reply::Problem(problem)) => self.file_away(at, problem),
            _ => {}
        }
        Ok(())
    }

    /// The home has said which parts it has not.
    fn file_wanted(&mut self, home: Municipality, at: FileAt, wants: &AttachmentWants) {
        let row = self.table.read(Space::Outbox, &waiting_key(at)).and_then(|row| decode::<Waiting>(row).ok());
        let (Some(Waiting { manifest, .. }), true) = (row, wants.attachment == at.id) else { return };
        if wants.parts.is_empty() {
            self.going.uploads.insert((home, at.id), Upload::Whole);
            return;
        }
        // What a home wants is among what there is, each part once: else it could have the same part brought for ever.
        let ascends = wants.parts.is_sorted_by(|one, next| one < next);
        if !ascends || wants.parts.iter().any(|part| usize::from(*part) >= manifest.parts.len()) {
            self.going.uploads.insert((home, at.id), Upload::Refused);
            self.report(&Problem::data(Cause::AttachmentWanted, "the home wants what was not announced"));
            return;
        }
        let missing = wants.parts.len();
        let next = match self.going.uploads.get(&(home, at.id)) {
            // What was lost before is not forgiven: all uploads of a file together are bounded.
            Some(Upload::Asked { missing: before, tries }) if missing < *before => {
                Upload::Asked { missing, tries: *tries }
            }
            Some(Upload::Asked { tries, .. }) if *tries < RETRIES => Upload::Asked { missing, tries: tries + 1 },
            _ => Upload::Refused,
        };
        self.going.uploads.insert((home, at.id), next);
        let part = wants.parts.first().copied().filter(|part| usize::from(*part) < manifest.parts.len());
        let bytes = part.and_then(|part| self.table.read(Space::Outbox, &waiting_part_key(&at.id, part)));
        let (Some(part), Some(bytes), true) = (part, bytes, next != Upload::Refused) else { return };
        // One at a time: many at once would stand in the way of all else on the line.
        let place = AttachmentPlace { scope: at.scope, attachment: at.id, part };
        let part = AttachmentPart { place, bytes: bytes.to_vec().into() };
        self.stream.send(home, Request::PutAttachmentPart(part), Sent::FilePart);
        self.stream.send(home, Request::PutAttachment(manifest), Sent::File(at));
    }

    /// A rule's last word makes a draft of the edit; anything else is tried on the next connection.
    fn file_refused(&mut self, home: Municipality, at: FileAt, problem: &WireProblem) {
        self.going.uploads.insert((home, at.id), Upload::Refused);
        if Fate::of(&problem.code).is_last_word() {
            self.refuse_pending(at.scope, &problem.code);
        }
        self.report(&Problem::quoting(&problem.code, problem.detail.clone()));
    }

    /// Asks for the next part of each file that somebody wants.
    fn fetch_files(&mut self, home: Municipality, scope: ScopeId) {
        for (at, held) in self.held_files(scope) {
            let part = u16::try_from(held.parts.len()).unwrap_or(u16::MAX);
            let purpose = Sent::FileWanted(at, part);
            if held.is_whole() || held.damaged == Permit::Yes || self.stream.waits_for(&purpose) {
                continue;
            }
            let place = AttachmentPlace { scope, attachment: at.id, part };
            self.stream.send(home, Request::GetAttachmentPart(place), purpose);
        }
    }

    /// A part has come. Whether it is one, its seal tells; whether all are those that the change names, their hashes.
    fn file_part(&mut self, at: FileAt, part: u16, came: &AttachmentPart) -> Result<(), Problem> {
        let Some(mut held) = self.held(at).filter(|held| held.parts.len() == usize::from(part)) else { return Ok(()) };
        let Some(file) = self.file_of(at) else {
            self.erase_file(at, &held);
            return Ok(());
        };
        let (scope, bytes) = (at.scope, came.bytes.as_slice());
        let context = AttachmentPartContext { scope, part, count: held.count };
        held.parts.push(attachment_part_hash(bytes));
        let manifest = AttachmentManifest { scope, parts: held.parts.clone() };
        let fits = attachment::open_part(&file.key, context, bytes).is_ok();
        if !fits || (held.is_whole() && manifest.id() != at.id) {
            self.erase_file(at, &held);
            self.hold(at, &Held { parts: vec![], damaged: Permit::Yes, ..held });
            return Err(Problem::data(Cause::AttachmentDamaged, "what the home has is not what was attached"));
        }
        self.table.write(Space::Event, &part_key(&at.id, part), bytes.to_vec());
        self.hold(at, &held);
        Ok(())
    }

    /// The home has it not, or not for us: asked for again when somebody wants it again.
    fn file_away(&mut self, at: FileAt, problem: &WireProblem) {
        if let Some(held) = self.held(at) {
            self.erase_file(at, &held);
        }
        self.report(&Problem::quoting(&problem.code, problem.detail.clone()));
    }
}
