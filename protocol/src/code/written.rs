//! How a code is written: in groups that each bear a letter of their own against typing errors, so that a wrong one is named.

use super::Code;
use crate::codec::{Malformed, decode, encode};
use crate::ids::hash;

const PREFIX: &str = "stafett1";
/// The digits of base 31. Without `i`, `l`, `o`, `s`, `z`, which look like `1`, `0`, `5`, `2`. 31 is prime: no sum below hides
/// one wrong letter, or two that changed places.
const LETTERS: &[u8; 31] = b"0123456789abcdefghjkmnpqrtuvwxy";
const BASE: u64 = LETTERS.len() as u64;
/// So many bytes make one group: ten letters, and the check letter.
const BYTES: usize = 6;
const DIGITS: usize = 10;
/// Nobody passes on a longer text than this for a code.
const MOST_TEXT: usize = 64 * 1024;
/// So many letters of a group are enough to find it.
const SHOWN: usize = 3;

/// Why a text is no code. Groups are counted from one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("a code begins with stafett1-")]
    Beginning,
    #[error("group {group} of the code, which begins with {begins}, is mistyped")]
    Group { group: usize, begins: String },
    #[error("the code is cut off in group {group}")]
    Cut { group: usize },
    #[error("the code is mistyped in two places of one group, or put together from two codes")]
    Whole,
    #[error(transparent)]
    Body(#[from] Malformed),
}

/// A code as it was passed on, in the letters that codes are made of: spaces, line breaks, dashes, quotation marks and what
/// is not seen are gaps, and a letter that looks like one of ours is meant as that one.
fn folded(text: impl Iterator<Item = char>) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};
    let twin = |c: char| match c {
        'o' | 'о' | 'ο' => '0',
        'l' | 'i' | '|' | 'і' | 'ι' => '1',
        'а' | 'α' => 'a',
        'в' | 'β' => 'b',
        'с' | 'ϲ' => 'c',
        'е' | 'ε' => 'e',
        'һ' | 'н' | 'η' => 'h',
        'к' | 'κ' => 'k',
        'м' | 'μ' => 'm',
        'р' | 'ρ' => 'p',
        'т' | 'τ' => 't',
        'υ' => 'u',
        'ν' => 'v',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        'ѕ' => 's',
        other => other,
    };
    let written = |c: &char| c.is_alphanumeric() && c.general_category() != GeneralCategory::NonspacingMark;
    text.nfkc().flat_map(char::to_lowercase).map(twin).filter(written).collect()
}

/// What a letter behind the prefix counts. None of ours is an `s` or `z`: what looks like a digit is one.
fn digit(letter: char) -> Option<u64> {
    let letter = match letter {
        's' => '5',
        'z' => '2',
        other => other,
    };
    LETTERS.iter().zip(0..).find_map(|(one, value)| (char::from(*one) == letter).then_some(value))
}

fn letter(value: u64) -> char {
    let at = usize::try_from(value % BASE).unwrap_or_default();
    LETTERS.get(at).copied().map_or('0', char::from)
}

/// The check digit: each digit times its place plus one, and the group's number, so that groups cannot change places either.
fn check(group: usize, digits: &[u64]) -> u64 {
    let number = u64::try_from(group).unwrap_or_default() % BASE;
    digits.iter().zip(2..).fold(number, |sum, (digit, weight)| sum + digit * weight) % BASE
}

/// The bytes of a written code: how long the body is, the body, four bytes of its hash, zeros to a whole group.
fn laid_out(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    let sum = hash("code checksum", &[body]);
    let mut bytes = [&length, body, sum.0.split_at(4).0].concat();
    bytes.resize(bytes.len().next_multiple_of(BYTES), 0);
    bytes
}

fn group_of(group: usize, bytes: &[u8]) -> String {
    let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let place = |place: u32| number / BASE.pow(place) % BASE;
    let digits: Vec<u64> = (0..DIGITS as u32).rev().map(place).collect();
    digits.iter().copied().chain([check(group, &digits)]).map(letter).collect()
}

/// The bytes of one group, if its letters are right.
fn bytes_of(group: usize, letters: &[char]) -> Option<Vec<u8>> {
    let digits: Vec<u64> = letters.iter().copied().map(digit).collect::<Option<_>>()?;
    let (sum, digits) = digits.split_last()?;
    let number = digits.iter().fold(0, |number, digit| number * BASE + digit);
    let fits = digits.len() == DIGITS && *sum == check(group, digits) && number < 1 << (8 * BYTES);
    fits.then(|| number.to_be_bytes().into_iter().skip(8 - BYTES).collect())
}

/// The code that these letters begin with; what follows it are other words.
pub(super) fn read(letters: &[char]) -> Result<Code, Unread> {
    let mut bytes = Vec::new();
    let mut whole = usize::MAX;
    for (letters, group) in letters.chunks(DIGITS + 1).zip(1..) {
        if letters.len() <= DIGITS {
            return Err(Unread::Cut { group });
        }
        let begins = || letters.iter().take(SHOWN).collect();
        bytes.extend(bytes_of(group, letters).ok_or_else(|| Unread::Group { group, begins: begins() })?);
        if let (1, Some((length, _))) = (group, bytes.split_first_chunk()) {
            whole = laid_out_len(u16::from_be_bytes(*length).into());
        }
        if bytes.len() >= whole {
            let length = bytes.split_first_chunk().map_or(0, |(length, _)| u16::from_be_bytes(*length).into());
            let body = bytes.get(2..2 + length).filter(|body| laid_out(body) == bytes).ok_or(Unread::Whole)?;
            return Ok(decode(body)?);
        }
    }
    Err(Unread::Cut { group: bytes.len() / BYTES + 1 })
}

fn laid_out_len(body: usize) -> usize {
    (2 + body + 4).next_multiple_of(BYTES)
}

/// The written form of an encoded code: the prefix and the groups, with dashes between.
pub fn written(body: &[u8]) -> String {
    let bytes = laid_out(body);
    let groups = bytes.chunks(BYTES).zip(1..).map(|(bytes, group)| group_of(group, bytes));
    groups.fold(PREFIX.to_owned(), |text, group| text + "-" + &group)
}

impl Code {
    pub fn to_text(&self) -> String {
        written(&encode(self))
    }

    /// Reads a code as people pass it on: with gaps, other dashes, capital or look-alike letters, words around it.
    pub fn from_text(text: &str) -> Result<Self, Unread> {
        let folded = folded(text.chars().take(MOST_TEXT));
        let mut found = Err(Unread::Beginning);
        for (at, _) in folded.match_indices(PREFIX).take(8) {
            let letters: Vec<char> = folded.get(at + PREFIX.len()..).unwrap_or_default().chars().collect();
            found = read(&letters);
            if found.is_ok() {
                break;
            }
        }
        found
    }
}
