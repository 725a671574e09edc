//! Invitation codes: how a person comes to a server, and how the two people authenticate each other's
//! keys without the server in between (`docs/protocol.md` 12).

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize};
use crate::ids::{Hash, Municipality, PersonId, PublicKey, hash};
use hmac::{Hmac, Mac};
use sha2::Sha256;

mod written;

pub use written::{Unread, written};

/// Everything in a code; printed as groups of letters, or as a QR code.
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
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::written::read;
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

    /// Behind the prefix and its dash, without the dashes between the groups.
    fn letters(text: &str) -> Vec<char> {
        text.strip_prefix("stafett1-").unwrap().chars().filter(|c| *c != '-').collect()
    }

    #[test]
    fn every_wrong_letter_of_a_code_and_every_two_that_changed_places_name_their_group() {
        for code in [code(), Code { secret: None, url: "https://stafett.kommune.example:4433".into(), ..code() }] {
            let right = letters(&code.to_text());
            for at in 0..right.len() {
                for other in "0123456789abcdefghjkmnpqrtuvwxyæ".chars().filter(|c| *c != right[at]) {
                    let mut wrong = right.clone();
                    wrong[at] = other;
                    let group = at / 11 + 1;
                    let begins = wrong.iter().skip(at / 11 * 11).take(3).collect();
                    assert_eq!(read(&wrong), Err(Unread::Group { group, begins }), "{other} at {at}");
                }
                let mut swapped = right.clone();
                if at + 1 < right.len() && right[at] != right[at + 1] {
                    swapped.swap(at, at + 1);
                    assert!(matches!(read(&swapped), Err(Unread::Group { group, .. }) if group == at / 11 + 1), "{at}");
                }
                // What is cut off is said where it ends.
                assert_eq!(read(&right[..at]), Err(Unread::Cut { group: at / 11 + 1 }));
            }
            let groups: Vec<&[char]> = right.chunks(11).collect();
            for at in 1..groups.len() {
                let mut moved = groups.clone();
                moved.swap(at - 1, at);
                assert!(matches!(read(&moved.concat()), Err(Unread::Group { .. } | Unread::Whole)), "{at}");
            }
        }
        for at in 0..9 {
            let mut wrong: Vec<char> = code().to_text().chars().collect();
            wrong[at] = if at == 8 { 'x' } else { 'w' };
            let said = Code::from_text(&wrong.into_iter().collect::<String>());
            assert!(matches!(said, Err(Unread::Beginning | Unread::Group { group: 1, .. })), "{at}: {said:?}");
        }
    }

    #[test]
    fn a_letter_left_out_or_too_many_mostly_names_its_group_and_is_never_taken() {
        let right = letters(&code().to_text());
        let mut named = 0;
        for at in 0..right.len() {
            let (mut short, mut long) = (right.clone(), right.clone());
            short.remove(at);
            long.insert(at, if right[at] == 'k' { 'm' } else { 'k' });
            for wrong in [short, long] {
                let said = read(&wrong).unwrap_err();
                named += usize::from(
                    matches!(said, Unread::Group { group, .. } | Unread::Cut { group } if group == at / 11 + 1),
                );
            }
        }
        assert!(named * 100 >= right.len() * 2 * 95, "{named} of {}", right.len() * 2);
    }

    #[test]
    fn a_code_survives_copying() {
        let text = code().to_text();
        let (a, b) = text.split_at(40);
        assert_eq!(Code::from_text(&format!(" {a}\n {b} ")).unwrap(), code());
        // 155 bytes: hardly longer than in hexadecimal without any group's check.
        assert!(text.len() < 350, "{}", text.len());
        for group in text.split('-').skip(1) {
            assert_eq!(group.len(), 11, "{text}");
        }
    }

    #[test]
    fn a_code_survives_people_and_their_programs() {
        let text = code().to_text();
        let body: String = letters(&text).into_iter().collect();
        let broken: Vec<&str> = body.as_bytes().chunks(16).map(|part| std::str::from_utf8(part).unwrap()).collect();
        for passed_on in [
            text.to_uppercase(),
            text.replace('-', "\u{2013}"),
            text.replace('-', "\u{2011}"),
            text.replace('-', "\u{2212} "),
            text.replace('-', ""),
            text.replace('0', "O"),
            text.replace('0', "о"),
            text.replace('1', "l"),
            text.replace('1', "I"),
            text.replace('a', "а").replace('e', "е").replace('c', "с").replace('x', "х").replace('p', "р"),
            format!("stafett1{}", body.replace('5', "S").replace('2', "Z").replace('1', "|")),
            format!("> {}", text.replace('-', "-\n> ")),
            format!("stafett1-{}", broken.join("-\r\n")),
            format!("stafett1 \u{2014} {}", broken.join("\u{200b}")),
            format!("«{text}».\nHilsen Tone"),
            format!("\u{feff}Koden din: \"{text}\""),
            format!("stafett join --code {text} --name Ella"),
            format!("{text}\u{ad}\u{200f}"),
            text.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect(),
        ] {
            assert_eq!(Code::from_text(&passed_on), Ok(code()), "{passed_on}");
        }
        assert!(Code::from_text(&"stafett1-".repeat(100_000)).is_err());
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
