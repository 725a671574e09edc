//! Names of things: 16-byte ids that say nothing, and 32-byte SHA-256 hashes. One type per meaning, so
//! that a person's id can never stand where a device's is expected (attacks C3).

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize};
use sha2::{Digest, Sha256};
use std::fmt;

/// A municipality's (kommune) four-digit number.
pub type Municipality = u16;
/// Milliseconds since the Unix epoch, UTC.
pub type Millis = u64;
/// An Ed25519 public key.
pub type PublicKey = [u8; 32];

/// SHA-256 over a domain label and length-prefixed parts; every hash of the protocol is made here.
pub fn hash(label: &str, parts: &[&[u8]]) -> Hash {
    let mut h = Sha256::new();
    h.update(b"stafett/1 ");
    h.update(label.as_bytes());
    h.update([0]);
    for part in parts {
        h.update((part.len() as u64).to_be_bytes());
        h.update(part);
    }
    Hash(h.finalize().into())
}

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The first half: what ids are made of.
    pub fn first_16(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(self.0.split_at(16).0);
        id
    }
}

/// `bytes` as lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// Reads any number of bytes of hexadecimal.
pub fn bytes_from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| std::str::from_utf8(pair).ok().and_then(from_hex::<1>).map(|[b]| b)).collect()
}

/// Reads exactly `N` bytes of hexadecimal.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    // `from_str_radix` alone would take a sign, and one id would have two texts.
    if text.len() != N * 2 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

macro_rules! text_form {
    ($name:ident, $n:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&to_hex(&self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), to_hex(&self.0))
            }
        }
        impl std::str::FromStr for $name {
            type Err = crate::codec::Malformed;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                from_hex::<$n>(text).map(Self).ok_or_else(|| crate::codec::Malformed {
                    what: stringify!($name),
                    why: format!("expected {} hexadecimal digits", $n * 2),
                })
            }
        }
    };
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, TlsSerialize, TlsDeserialize, TlsSize)]
        pub struct $name(pub [u8; 16]);
        text_form!($name, 16);
    };
}

text_form!(Hash, 32);
id!(/// Everything around one child (stafettlogg).
    LogId);
id!(/// One document, one MLS group, one event chain.
    ScopeId);
id!(/// An account: employee, guardian or child.
    PersonId);
id!(/// One installation.
    DeviceId);
id!(/// A unit (virksomhet): school, kindergarten, PPT …
    UnitId);

impl PersonId {
    /// The id of the person whose *first* key this is; it outlives a key change.
    pub fn of_first_key(key: &PublicKey) -> Self {
        Self(hash("person", &[key]).first_16())
    }
}

impl DeviceId {
    /// The id of the device with this key.
    pub fn of_key(key: &PublicKey) -> Self {
        Self(hash("device", &[key]).first_16())
    }
}

impl LogId {
    /// The founder commits to the log's id before anybody sees it; the card's genesis opens it.
    pub fn found(founder_key: &PublicKey, salt: &[u8; 16]) -> Self {
        Self(hash("log", &[founder_key, salt]).first_16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_whole_and_read_back() {
        let id = PersonId([0xab; 16]);
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(id.to_string().parse::<PersonId>(), Ok(id));
        assert!("abc".parse::<PersonId>().is_err());
        assert!("ø".repeat(16).parse::<PersonId>().is_err());
        assert!("zz".repeat(16).parse::<PersonId>().is_err());
        assert!("+a".repeat(16).parse::<PersonId>().is_err());
    }

    #[test]
    fn labels_and_part_borders_separate_hashes() {
        assert_ne!(hash("a", &[b"bc"]), hash("ab", &[b"c"]));
        assert_ne!(hash("a", &[b"b", b"c"]), hash("a", &[b"bc"]));
        assert_ne!(PersonId::of_first_key(&[1; 32]).0, DeviceId::of_key(&[1; 32]).0);
    }
}
