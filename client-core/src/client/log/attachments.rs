//! Files on notes and glimpses. Written offline: sealed at once, the parts wait in the outbox beside the edit that
//! refers to them; uploaded first, then named in the change. Others fetch a file when somebody asks for it, and
//! keep it, sealed as it came, until they leave the scope.

use crate::answer::{Answer as A, Attachment, FileState, GotAttachment, Written};
use crate::attachment::{self, FileError, parts_of};
use crate::client::input::{Cause, NewAttachment, Problem};
use crate::client::keys::FileAt;
use crate::client::scope::Standing;
use crate::client::scope::files::{Held, Waiting, waiting_key, waiting_part_key};
use crate::client::{Answer, Client, Loading};
use crate::document::attached::Attached;
use crate::document::edit;
use crate::rows::{Row, Space};
use automerge::AutomergeError;
use automerge::transaction::Transaction;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::Permit;
use stafett_protocol::ids::{ScopeId, to_hex};
use stafett_protocol::limits::{ATTACHMENT_BYTES, CHANGE_ATTACHMENTS};
use stafett_protocol::text::file_name;

/// How every PDF begins.
const PDF: &[u8] = b"%PDF-";

pub(crate) fn damaged(e: FileError) -> Problem {
    Problem::data(Cause::AttachmentDamaged, e.to_string())
}

fn checked(file: &NewAttachment) -> Result<String, Problem> {
    if file.bytes.len() > ATTACHMENT_BYTES {
        return Err(Problem::rule(
            Cause::AttachmentTooLarge,
            "an attachment has 25 MiB at most; make the file smaller",
        ));
    }
    if !file.bytes.starts_with(PDF) {
        return Err(Problem::rule(
            Cause::AttachmentNotPdf,
            "only PDF files are attached; export the document as PDF first",
        ));
    }
    Ok(file_name(&file.name))
}

impl Client {
    /// Writes an entry, with a file on it or without: both are saved, or nothing.
    pub(crate) fn edit_with_file(
        &mut self,
        scope: ScopeId,
        (section, id): (&str, String),
        file: Option<&NewAttachment>,
        write: impl FnOnce(&mut Transaction<'_>, &str) -> Result<(), AutomergeError>,
    ) -> Result<Written, Problem> {
        let mark = self.table.mark();
        let Some(file) = file else {
            self.edit(scope, |to| write(to, &id))?;
            return Ok(Written { id, attachment: None });
        };
        let file = self.seal_file(scope, (section, &id), file)?;
        let written = self.edit(scope, |to| {
            write(to, &id)?;
            edit::attach(to, section, &id, &file)
        });
        if let Err(problem) = written {
            self.table.rollback(mark);
            return Err(problem);
        }
        Ok(Written { id, attachment: Some(to_hex(&file.id.0)) })
    }

    /// Seals a file for an entry that is about to be written. The parts are in the outbox once this returns.
    fn seal_file(
        &mut self,
        scope: ScopeId,
        (section, entry): (&str, &str),
        file: &NewAttachment,
    ) -> Result<Attached, Problem> {
        let name = checked(file)?;
        if self.waiting_files(scope).len() >= CHANGE_ATTACHMENTS {
            return Err(Problem::rule(
                Cause::AttachmentsWaiting,
                "other attachments wait to be sent there; sync first",
            ));
        }
        let key: [u8; 32] = self.random();
        let sealed = attachment::seal(&key, scope, &file.bytes).map_err(damaged)?;
        let id = sealed.manifest.id();
        for (part, bytes) in (0..).zip(sealed.parts) {
            self.table.write(Space::Outbox, &waiting_part_key(&id, part), bytes);
        }
        let waiting = Waiting { manifest: sealed.manifest, section: section.into(), entry: entry.into() };
        self.table.write(Space::Outbox, &waiting_key(FileAt { scope, id }), encode(&waiting));
        Ok(Attached { id, key, name, size: file.bytes.len() })
    }

    /// Every file that is shown on this device.
    fn shown_files(&self) -> Vec<(FileAt, Attached)> {
        let shown = |(id, s): (&ScopeId, &crate::client::Scope)| (s.standing != Standing::Withdrawn).then_some(*id);
        let scopes = self.scopes.iter().filter_map(shown).chain(self.foundings.keys().copied());
        let files = scopes.filter_map(|scope| Some((scope, self.document(scope)?)));
        let of = |scope| move |(_, _, file): (_, _, Attached)| (FileAt { scope, id: file.id }, file);
        files.flat_map(|(scope, document)| document.attached().into_iter().map(of(scope))).collect()
    }

    /// → `attachment name size`, and the file itself for the host.
    pub(crate) fn attachment_get(&mut self, prefix: &str) -> Option<Answer> {
        let (at, file) = match self.find_file(prefix) {
            Ok(found) => found,
            Err(problem) => return Some(Err(problem)),
        };
        if let Some(row) = self.table.read(Space::Outbox, &waiting_key(at)).map(<[u8]>::to_vec) {
            let manifest = decode::<Waiting>(&row).map(|w| w.manifest.parts.len()).unwrap_or_default();
            let parts = (0..manifest).filter_map(|part| {
                let key = waiting_part_key(&at.id, u16::try_from(part).ok()?);
                self.table.read(Space::Outbox, &key).map(<[u8]>::to_vec)
            });
            let parts: Vec<Vec<u8>> = parts.collect();
            return Some(self.show_file(at, &file, &parts));
        }
        match self.held(at) {
            Some(held) if held.damaged == Permit::Yes => {
                // Told once; who asks again has it fetched again.
                self.erase_file(at, &held);
                Some(Err(Problem::data(Cause::AttachmentDamaged, "what the home has is not what was attached")))
            }
            Some(held) if held.is_whole() => {
                self.load_for_command(Loading::Attachment(at));
                None
            }
            held => {
                let fresh = Held { count: parts_of(file.size), parts: vec![], damaged: Permit::No };
                self.hold(at, &held.unwrap_or(fresh));
                Some(Err(Problem::rule(
                    Cause::AttachmentAway,
                    "the attachment is not on this device yet; sync, and ask again",
                )))
            }
        }
    }

    fn find_file(&self, prefix: &str) -> Result<(FileAt, Attached), Problem> {
        let prefix = prefix.trim().to_lowercase();
        if prefix.is_empty() {
            return Err(Problem::caller(Cause::EmptyId, "which attachment?"));
        }
        let mut found = self.shown_files();
        found.retain(|(at, _)| to_hex(&at.id.0).starts_with(&prefix));
        found.dedup_by_key(|(at, _)| at.id);
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            (None, _) => {
                Err(Problem::caller(Cause::UnknownId, "no attachment here begins with that; look at log show"))
            }
            (Some(_), false) => {
                Err(Problem::caller(Cause::AmbiguousId, "several attachments begin with that; give more of the id"))
            }
        }
    }

    /// The parts of a file that is here have been loaded.
    pub(crate) fn file_loaded(&mut self, at: FileAt, rows: Vec<Row>) -> Answer {
        let file = self.file_of(at).ok_or_else(|| Problem::caller(Cause::UnknownId, "the attachment is gone"))?;
        let mut rows: Vec<Row> = rows.into_iter().filter(|row| row.key.starts_with(&at.id.0)).collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        let parts: Vec<Vec<u8>> = rows.into_iter().filter_map(|row| row.value).collect();
        self.show_file(at, &file, &parts)
    }

    fn show_file(&mut self, at: FileAt, file: &Attached, parts: &[Vec<u8>]) -> Answer {
        self.file = Some(attachment::open(&file.key, at.scope, file.size, parts).map_err(damaged)?);
        let (attachment, name) = (to_hex(&at.id.0), file.name.clone());
        Ok(A::AttachmentGet(GotAttachment { attachment, name, size: file.size }))
    }

    /// `attachments:[{id on name size state}]` of one scope.
    pub(crate) fn attachments_of(&self, scope: ScopeId) -> Vec<Attachment> {
        let files = self.document(scope).map(|d| d.attached()).unwrap_or_default();
        let view = |(_, entry, file): (_, crate::document::view::Entry, Attached)| {
            let at = FileAt { scope, id: file.id };
            let state = match self.held(at) {
                _ if self.table.read(Space::Outbox, &waiting_key(at)).is_some() => FileState::Queued,
                Some(held) if held.damaged == Permit::Yes => FileState::Damaged,
                Some(held) if held.is_whole() => FileState::Here,
                _ => FileState::Away,
            };
            Attachment { id: to_hex(&file.id.0), on: entry.id, name: file.name, size: file.size, state }
        };
        files.into_iter().map(view).collect()
    }
}
