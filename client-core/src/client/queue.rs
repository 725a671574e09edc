//! What waits to be sent, as rows: statements, letters, requests, the one bundle at each home. Any room may put something
//! here, and `outbox` alone sends it: so that a scope need not know how.

use crate::client::Client;
use crate::rows::Space;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes, decode, encode};
use stafett_protocol::ids::{DeviceId, Municipality, PersonId, ScopeId};
use stafett_protocol::letter::Content;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::{Bundle, Request};

/// A statement that waits.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct OutStatement {
    pub scope: ScopeId,
    pub statement: Statement,
}

/// Where the one event under way in a scope is kept, as it was sent.
pub(crate) fn sent_key(scope: ScopeId) -> Vec<u8> {
    [b"sent/".as_slice(), &scope.0].concat()
}

/// A letter that waits for the net. To one device where `device` is given, else to all of the person's.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct OutLetter {
    pub to: PersonId,
    pub device: Option<OneDevice>,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct OneDevice {
    pub device: DeviceId,
    pub letter_key: VLBytes,
}

/// Where the one bundle under way at a home is kept.
fn bundle_key(home: Municipality) -> Vec<u8> {
    [b"bundle/".as_slice(), &home.to_be_bytes()].concat()
}

pub(crate) fn moving_key(home: Municipality) -> Vec<u8> {
    [b"moving/".as_slice(), &home.to_be_bytes()].concat()
}

impl Client {
    /// Puts a row into the outbox under `kind`, behind those already there.
    pub(crate) fn queue(&mut self, kind: &str, value: Vec<u8>) {
        let counter =
            self.table.read(Space::State, b"outbox").and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes);
        self.table.write(Space::State, b"outbox", (counter + 1).to_be_bytes().to_vec());
        let key = [kind.as_bytes(), b"/", &counter.to_be_bytes()].concat();
        self.table.write(Space::Outbox, &key, value);
    }

    pub(crate) fn queued_rows(&self, kind: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let prefix = [kind.as_bytes(), b"/"].concat();
        self.table.scan(Space::Outbox, &prefix).map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
    }

    pub(crate) fn queue_request(&mut self, request: &Request) {
        self.queue("r", encode(request));
    }

    pub(crate) fn queue_statement(&mut self, scope: ScopeId, statement: Statement) {
        let value = encode(&OutStatement { scope, statement });
        if !self.queued_rows("s").iter().any(|(_, v)| *v == value) {
            self.queue("s", value);
        }
    }

    pub(crate) fn drop_statement(&mut self, scope: ScopeId, statement: Statement) {
        let value = encode(&OutStatement { scope, statement });
        if let Some((key, _)) = self.queued_rows("s").into_iter().find(|(_, v)| *v == value) {
            self.table.delete(Space::Outbox, &key);
        }
    }

    pub(crate) fn drop_statements(&mut self, scope: ScopeId, over: impl Fn(&Statement) -> bool) {
        for (key, value) in self.queued_rows("s") {
            if decode::<OutStatement>(&value).is_ok_and(|o| o.scope == scope && over(&o.statement)) {
                self.table.delete(Space::Outbox, &key);
            }
        }
    }

    /// What was under way in a scope comes to nothing.
    pub(crate) fn forget_sent(&mut self, scope: ScopeId) {
        self.table.delete(Space::Outbox, &sent_key(scope));
    }

    pub(crate) fn write_letter(&mut self, to: PersonId, content: Content) {
        self.queue("l", encode(&OutLetter { to, device: None, content }));
    }

    /// What letters that have not left this device yet are about.
    pub(crate) fn queued_letters(&self) -> Vec<Content> {
        let letters = self.queued_rows("l").into_iter().filter_map(|(_, value)| decode::<OutLetter>(&value).ok());
        letters.map(|letter| letter.content).collect()
    }

    pub(crate) fn keep_bundle(&mut self, home: Municipality, bundle: &Bundle) {
        self.stream.asked_again.remove(&home);
        self.table.write(Space::Outbox, &bundle_key(home), encode(bundle));
    }

    /// The bundle whose outcome at this home is not known.
    pub(crate) fn open_bundle(&self, home: Municipality) -> Option<Bundle> {
        self.table.read(Space::Outbox, &bundle_key(home)).and_then(|b| decode(b).ok())
    }

    pub(crate) fn drop_bundle(&mut self, home: Municipality) {
        self.table.delete(Space::Outbox, &bundle_key(home));
        self.table.delete(Space::State, &moving_key(home));
    }

    /// Bundles under way, with the homes that they were sent to.
    pub(crate) fn bundles(&self) -> Vec<(Municipality, Bundle)> {
        let home = |key: &[u8]| key.strip_prefix(b"bundle/")?.try_into().ok().map(Municipality::from_be_bytes);
        let rows = self.table.scan(Space::Outbox, b"bundle/");
        rows.filter_map(|(key, value)| Some((home(key)?, decode(value).ok()?))).collect()
    }
}
