//! Names of rows and places that several rooms use.

use stafett_protocol::ids::{Hash, ScopeId};

/// Where received things are kept in [`Space::Mail`].
pub(crate) fn mail_key(kind: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = kind.as_bytes().to_vec();
    key.push(b'/');
    parts.iter().for_each(|p| key.extend_from_slice(p));
    key
}

/// Which file, where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileAt {
    pub scope: ScopeId,
    pub id: Hash,
}
