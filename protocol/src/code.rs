//! Invitation codes: how a person comes to a server, and how the two people authenticate each other's
//! keys without the server in between (design `protocol.md` 5).

use crate::codec::{Malformed, TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use crate::ids::{Hash, Municipality, PersonId, PublicKey, bytes_from_hex, hash, to_hex};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Everything in a code; printed as one word, or as a QR code.
#[derive(Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Code {
    pub municipality: Municipality,
    /// `https://host:port`
    pub url: String,
    /// SHA-256 of the server's CA certificate (DER).
    pub ca: [u8; 32],
    /// SHA-256-based hash of the municipality key ([`key_hash`]).
    pub municipality_key: Hash,
    /// The one-time part that the server knows the hash of.
    pub ticket: [u8; 16],
    /// 128 bits that the server never gets; absent in `stafettd`'s own codes.
    pub secret: Option<[u8; 16]>,
    /// [`key_hash`] of the inviter's person key, or of the municipality key.
    pub inviter: Hash,
    /// Whose further device this is; absent when a new person joins.
    pub person: Option<PersonId>,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({:04})", self.municipality)
    }
}

const PREFIX: &str = "stafett1-";

impl Code {
    /// One word: prefix, hexadecimal body, eight digits of checksum against typing errors.
    pub fn to_text(&self) -> String {
        let body = encode(self);
        let sum = hash("code checksum", &[&body]);
        format!("{PREFIX}{}{}", to_hex(&body), to_hex(sum.0.split_at(4).0))
    }

    /// Reads a code; spaces and line breaks from copying are ignored.
    pub fn from_text(text: &str) -> Result<Self, Malformed> {
        let bad = |why: &str| Malformed { what: "code", why: why.into() };
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let hex = compact.strip_prefix(PREFIX).ok_or_else(|| bad("a code begins with stafett1-"))?;
        if hex.len() > 2048 || hex.len() < 10 || !hex.is_ascii() {
            return Err(bad("the code is not whole"));
        }
        let (body, sum) = hex.split_at(hex.len() - 8);
        let body = bytes_from_hex(body).ok_or_else(|| bad("the code has a wrong letter"))?;
        if to_hex(hash("code checksum", &[&body]).0.split_at(4).0) != sum {
            return Err(bad("the code is mistyped or cut off"));
        }
        decode(&body)
    }
}

/// How a code names a key.
pub fn key_hash(key: &PublicKey) -> Hash {
    hash("key", &[key])
}

/// How the server stores a ticket.
pub fn ticket_hash(ticket: &[u8; 16]) -> Hash {
    hash("ticket", &[ticket])
}

/// The MAC by which joiner and inviter authenticate a key under the code's secret.
pub fn proof(secret: &[u8; 16], purpose: Proof, ticket: &[u8; 16], parts: &[&[u8]]) -> [u8; 32] {
    let message = hash(purpose.label(), &[ticket.as_slice(), &hash("proof parts", parts).0]);
    // HMAC takes a key of any length.
    match <Hmac<Sha256> as Mac>::new_from_slice(secret) {
        Ok(mac) => mac.chain_update(message.0).finalize().into_bytes().into(),
        Err(_) => [0; 32],
    }
}

/// Whether `given` is that MAC; constant time, exact length.
pub fn proof_holds(given: &[u8; 32], secret: &[u8; 16], purpose: Proof, ticket: &[u8; 16], parts: &[&[u8]]) -> bool {
    use subtle::ConstantTimeEq;
    proof(secret, purpose, ticket, parts).ct_eq(given).into()
}

/// What a proof is for: a proof for one purpose proves nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Of a new person's key.
    Person,
    /// Of a further device's keys.
    Device,
    /// Key for the sealed name.
    NameKey,
}

impl Proof {
    fn label(self) -> &'static str {
        match self {
            Self::Person => "proof of person key",
            Self::Device => "proof of device key",
            Self::NameKey => "name key",
        }
    }
}

/// The number that two people read to each other in `verify`: the same on both sides, 12 groups of 5 digits.
pub fn comparison_number(a: (PersonId, &PublicKey), b: (PersonId, &PublicKey)) -> String {
    let (first, second) = if a.0 <= b.0 { (a, b) } else { (b, a) };
    let digest = hash("comparison number", &[&first.0.0, first.1, &second.0.0, second.1]);
    let more = hash("comparison number, second half", &[&digest.0]);
    digest
        .0
        .chunks(5)
        .take(6)
        .chain(more.0.chunks(5).take(6))
        .map(|five| {
            let n = five.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
            format!("{:05}", n % 100_000)
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn code() -> Code {
        Code {
            municipality: 3209,
            url: "https://127.0.0.1:4433".into(),
            ca: [1; 32],
            municipality_key: Hash([2; 32]),
            ticket: [3; 16],
            secret: Some([4; 16]),
            inviter: Hash([5; 32]),
            person: None,
        }
    }

    #[test]
    fn a_code_survives_copying_and_tells_typing_errors() {
        let text = code().to_text();
        let (a, b) = text.split_at(40);
        assert_eq!(Code::from_text(&format!(" {a}\n {b} ")).unwrap(), code());
        for i in 9..text.len() {
            let mut wrong = text.clone().into_bytes();
            let byte = wrong.get_mut(i).unwrap();
            *byte = if *byte == b'0' { b'1' } else { b'0' };
            assert!(Code::from_text(&String::from_utf8(wrong).unwrap()).is_err(), "position {i}");
        }
        assert!(Code::from_text(text.split_at(60).0).is_err());
        assert!(Code::from_text("æøå").is_err());
    }

    #[test]
    fn proofs_are_bound_to_secret_purpose_ticket_and_parts() {
        let good = proof(&[1; 16], Proof::Person, &[2; 16], &[b"key"]);
        assert!(proof_holds(&good, &[1; 16], Proof::Person, &[2; 16], &[b"key"]));
        assert!(!proof_holds(&good, &[9; 16], Proof::Person, &[2; 16], &[b"key"]));
        assert!(!proof_holds(&good, &[1; 16], Proof::Device, &[2; 16], &[b"key"]));
        assert!(!proof_holds(&good, &[1; 16], Proof::Person, &[9; 16], &[b"key"]));
        assert!(!proof_holds(&good, &[1; 16], Proof::Person, &[2; 16], &[b"ke", b"y"]));
    }

    #[test]
    fn both_sides_read_the_same_number() {
        let (a, b) = ((PersonId([1; 16]), &[1; 32]), (PersonId([2; 16]), &[2; 32]));
        assert_eq!(comparison_number(a, b), comparison_number(b, a));
        assert_ne!(comparison_number(a, b), comparison_number(a, (PersonId([2; 16]), &[3; 32])));
        assert_eq!(comparison_number(a, b).split(' ').count(), 12);
    }
}
