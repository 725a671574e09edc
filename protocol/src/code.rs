//! Invitation codes: how a person comes to a server, and how the two people authenticate each other's
//! keys without the server in between (`docs/protocol.md` 12).

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
/// So many hexadecimal letters behind a code may be the beginning of the words after it.
const BEHIND: usize = 40;
/// Nobody passes on a longer text than this for a code.
const MOST_TEXT: usize = 64 * 1024;

/// A code as it was passed on, in the letters that codes are made of: spaces, line breaks, dashes, quotation marks and what
/// is not seen are gaps, and a letter that looks like one of ours is meant as that one.
fn folded(text: impl Iterator<Item = char>) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    use unicode_properties::{GeneralCategory as G, UnicodeGeneralCategory as _};
    let gap = |c: &char| {
        let marks = matches!(
            c.general_category(),
            G::Format
                | G::Control
                | G::DashPunctuation
                | G::InitialPunctuation
                | G::FinalPunctuation
                | G::NonspacingMark
        );
        marks || c.is_whitespace() || matches!(c, '\u{2212}' | '\u{2043}' | '_' | '"' | '\'' | '*' | '`')
    };
    let twin = |c: char| match c {
        'o' | 'о' | 'ο' => '0',
        'l' | 'i' | '|' | 'і' | 'ι' => '1',
        'а' | 'α' => 'a',
        'в' | 'β' => 'b',
        'с' | 'ϲ' => 'c',
        'е' | 'ε' => 'e',
        'т' | 'τ' => 't',
        'ѕ' => 's',
        other => other,
    };
    text.nfkc().flat_map(char::to_lowercase).filter(|c| !gap(c)).map(twin).collect()
}

/// Body and checksum at the beginning of a text, if they belong together.
fn body_in(hex: &str) -> Option<Vec<u8>> {
    let (body, sum) = hex.split_at_checked(hex.len().checked_sub(8)?)?;
    let body = bytes_from_hex(body)?;
    (to_hex(hash("code checksum", &[&body]).0.split_at(4).0) == sum).then_some(body)
}

impl Code {
    /// One word: prefix, hexadecimal body, eight digits of checksum against typing errors.
    pub fn to_text(&self) -> String {
        let body = encode(self);
        let sum = hash("code checksum", &[&body]);
        format!("{PREFIX}{}{}", to_hex(&body), to_hex(sum.0.split_at(4).0))
    }

    /// Reads a code as people pass it on: with gaps, other dashes, capital or look-alike letters, words around it. The
    /// checksum says whether what is left is one.
    pub fn from_text(text: &str) -> Result<Self, Malformed> {
        let bad = |why: &str| Malformed { what: "code", why: why.into() };
        let folded = folded(text.chars().take(MOST_TEXT));
        let begins = PREFIX.trim_end_matches('-');
        let mut found = Err(bad("a code begins with stafett1-"));
        for (at, _) in folded.match_indices(begins).take(8) {
            // In the body there are no letters beyond f: what looks like a digit is one.
            let digit = |c: char| match c {
                's' => Some('5'),
                'z' => Some('2'),
                c => c.is_ascii_hexdigit().then_some(c),
            };
            let hex: String =
                folded.get(at + begins.len()..).unwrap_or_default().chars().map_while(digit).take(2048).collect();
            let whole = |behind| hex.get(..hex.len().checked_sub(behind)?).and_then(body_in);
            match (0..BEHIND).find_map(whole) {
                Some(body) => return decode(&body),
                None => found = Err(bad("the code is mistyped or cut off")),
            }
        }
        found
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
    }

    #[test]
    fn a_code_survives_people_and_their_programs() {
        let text = code().to_text();
        let body = text.strip_prefix("stafett1-").unwrap();
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
            text.replace('a', "а").replace('e', "е").replace('c', "с"),
            text.replace('5', "S").replace("Staf", "staf"),
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
