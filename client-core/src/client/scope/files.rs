//! Files of a scope as rows: sealed ones that wait beside their edit, and what is here of others.

use crate::client::Client;
use crate::client::keys::FileAt;
use crate::document::attached::Attached;
use crate::rows::Space;
use stafett_protocol::attachment::AttachmentManifest;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::consent::Permit;
use stafett_protocol::ids::{Hash, ScopeId};

/// A sealed file that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct Waiting {
    pub manifest: AttachmentManifest,
    pub section: String,
    pub entry: String,
}

/// What of a file is on this device.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct Held {
    pub count: u16,
    /// Of the parts that are here, in order.
    pub parts: Vec<Hash>,
    /// What came is not what the change names.
    pub damaged: Permit,
}

impl Held {
    pub fn is_whole(&self) -> bool {
        self.parts.len() == usize::from(self.count)
    }
}

/// Where the outbox keeps the manifest, and the parts behind it. Neither is an edit of its own.
const WAITING: &[u8] = b"file/";

const WAITING_PART: &[u8] = b"file-part/";

pub(crate) fn waiting_key(at: FileAt) -> Vec<u8> {
    [WAITING, &at.scope.0, &at.id.0].concat()
}

pub(crate) fn waiting_part_key(id: &Hash, part: u16) -> Vec<u8> {
    [WAITING_PART, &id.0, &part.to_be_bytes()].concat()
}

fn held_key(at: FileAt) -> Vec<u8> {
    [b"attachment/".as_slice(), &at.scope.0, &at.id.0].concat()
}

/// Among the rows on demand: as an event's, the last eight bytes count.
pub(crate) fn part_key(id: &Hash, part: u16) -> Vec<u8> {
    [id.0.as_slice(), &u64::from(part).to_be_bytes()].concat()
}

/// Rows of the outbox that are no edit of their own.
pub(crate) fn is_file(key: &[u8]) -> bool {
    key.starts_with(WAITING) || key.starts_with(WAITING_PART)
}

impl Client {
    pub(crate) fn waiting_files(&self, scope: ScopeId) -> Vec<(FileAt, Waiting)> {
        let prefix = [WAITING, &scope.0].concat();
        let rows = self.table.scan(Space::Outbox, &prefix).filter_map(|(_, value)| decode::<Waiting>(value).ok());
        rows.map(|w| (FileAt { scope, id: w.manifest.id() }, w)).collect()
    }

    pub(crate) fn drop_waiting(&mut self, at: FileAt, manifest: &AttachmentManifest) {
        for (part, _) in (0..).zip(&manifest.parts) {
            self.table.delete(Space::Outbox, &waiting_part_key(&at.id, part));
        }
        self.table.delete(Space::Outbox, &waiting_key(at));
    }

    pub(crate) fn hold(&mut self, at: FileAt, held: &Held) {
        self.table.write(Space::State, &held_key(at), encode(held));
    }

    pub(crate) fn held(&self, at: FileAt) -> Option<Held> {
        self.table.read(Space::State, &held_key(at)).and_then(|row| decode(row).ok())
    }

    /// The parts go, and what was known of them.
    pub(crate) fn erase_file(&mut self, at: FileAt, held: &Held) {
        (0..held.count).for_each(|part| self.table.erase(&part_key(&at.id, part)));
        self.table.delete(Space::State, &held_key(at));
    }

    /// Access has ended: files go with the rest.
    pub(crate) fn wipe_files(&mut self, scope: ScopeId) {
        for (at, waiting) in self.waiting_files(scope) {
            self.drop_waiting(at, &waiting.manifest);
        }
        for (at, held) in self.held_files(scope) {
            self.erase_file(at, &held);
        }
    }

    pub(crate) fn held_files(&self, scope: ScopeId) -> Vec<(FileAt, Held)> {
        let prefix = [b"attachment/".as_slice(), &scope.0].concat();
        let rows = self.table.scan(Space::State, &prefix);
        let read = |(key, value): (&[u8], &[u8])| {
            let id = Hash(key.get(prefix.len()..)?.try_into().ok()?);
            Some((FileAt { scope, id }, decode(value).ok()?))
        };
        rows.filter_map(read).collect()
    }

    pub(crate) fn file_of(&self, at: FileAt) -> Option<Attached> {
        let files = self.document(at.scope)?.attached().into_iter();
        files.map(|(_, _, file)| file).find(|file| file.id == at.id)
    }

    /// A change of ours stands: the files that it names are kept here as everyone keeps them.
    pub(crate) fn files_stand(&mut self, scope: ScopeId, named: &[Hash]) {
        for (at, Waiting { manifest, .. }) in self.waiting_files(scope) {
            if !named.contains(&at.id) {
                continue;
            }
            for (part, _) in (0..).zip(&manifest.parts) {
                if let Some(bytes) = self.table.read(Space::Outbox, &waiting_part_key(&at.id, part)) {
                    let bytes = bytes.to_vec();
                    self.table.write(Space::Event, &part_key(&at.id, part), bytes);
                }
            }
            let count = u16::try_from(manifest.parts.len()).unwrap_or(u16::MAX);
            self.hold(at, &Held { count, parts: manifest.parts.clone(), damaged: Permit::No });
            self.drop_waiting(at, &manifest);
        }
    }
}
