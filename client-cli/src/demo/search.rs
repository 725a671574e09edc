//! The leak search: does any name or text of the story lie readable in what a server stores, logs or is sent? Every text is
//! sought as UTF-8, UTF-16, base64 and hexadecimal, plain and inside anything that was deflated.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use miniz_oxide::inflate::{decompress_to_vec_with_limit, decompress_to_vec_zlib_with_limit};

/// Shorter texts would be found by chance in megabytes of ciphertext.
const SHORTEST: usize = 6;
const MOST_INFLATED_BYTES: usize = 64 * 1024 * 1024;
/// A gzip inside a gzip is opened; deeper nesting is not.
const DEPTH: usize = 2;

/// Texts to look for, each in all its forms.
pub struct Search {
    forms: Vec<Form>,
    /// Which first two bytes begin any form: most positions are passed over by one look.
    beginnings: Vec<bool>,
}

struct Form {
    text: usize,
    kind: &'static str,
    bytes: Vec<u8>,
}

/// What was found: which text (by number) in which form.
pub type Found = BTreeSet<(usize, &'static str)>;

impl Search {
    /// Prepares the forms of every text.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms = Vec::new();
        for (text, words) in texts.into_iter().enumerate() {
            for (kind, bytes) in forms_of(words) {
                if bytes.len() >= SHORTEST {
                    forms.push(Form { text, kind, bytes });
                }
            }
        }
        let mut beginnings = vec![false; 1 << 16];
        for form in &forms {
            if let Some(slot) = first_two(&form.bytes).and_then(|index| beginnings.get_mut(index)) {
                *slot = true;
            }
        }
        Self { forms, beginnings }
    }

    /// Every kind of form that a planted marker must be found in.
    pub fn kinds() -> BTreeSet<&'static str> {
        ["utf-8", "utf-16le", "utf-16be", "base64", "hex"].into()
    }

    /// Searches bytes, and what they hold deflated.
    pub fn bytes(&self, bytes: &[u8]) -> Found {
        let mut found = Found::new();
        self.layer(bytes, DEPTH, &mut found);
        found
    }

    /// Searches every file below a directory; gives what was found and how many bytes were looked at.
    pub fn directory(&self, dir: &Path) -> io::Result<(Found, u64)> {
        let mut found = Found::new();
        let mut size = 0;
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                let (inner, inner_size) = self.directory(&path)?;
                found.extend(inner);
                size += inner_size;
            } else if path.is_file() {
                let bytes = std::fs::read(&path)?;
                size += bytes.len() as u64;
                found.extend(self.bytes(&bytes));
            }
        }
        Ok((found, size))
    }

    fn layer(&self, bytes: &[u8], depth: usize, found: &mut Found) {
        let mut rest = bytes;
        while let Some(index) = first_two(rest) {
            if self.beginnings.get(index).copied().unwrap_or(false) {
                for form in self.forms.iter().filter(|form| rest.starts_with(&form.bytes)) {
                    found.insert((form.text, form.kind));
                }
            }
            if depth > 0
                && let Some(inner) = deflated(rest)
            {
                self.layer(&inner, depth - 1, found);
            }
            rest = rest.get(1..).unwrap_or_default();
        }
    }
}

fn first_two(bytes: &[u8]) -> Option<usize> {
    let (first, rest) = bytes.split_first()?;
    Some(usize::from(*first) << 8 | usize::from(*rest.first()?))
}

fn forms_of(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let utf8 = text.as_bytes();
    let mut forms = vec![
        ("utf-8", utf8.to_vec()),
        ("utf-8", text.to_lowercase().into_bytes()),
        ("utf-8", text.to_uppercase().into_bytes()),
        ("utf-16le", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("utf-16be", text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("hex", hex::encode(utf8).into_bytes()),
        ("hex", hex::encode_upper(utf8).into_bytes()),
        // As JSON escapes what is not ASCII.
        ("utf-8", escaped(text)),
    ];
    // Whatever stands before the text shifts its base64 by nought, one or two bytes.
    for (shift, before) in [&[][..], &[0], &[0, 0]].into_iter().enumerate() {
        let shifted = [before, utf8].concat();
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(("base64", middle(&encoded, shift, utf8.len())));
        }
    }
    forms
}

/// The letters of a base64 text that do not depend on what stands before or behind.
fn middle(encoded: &str, shift: usize, length: usize) -> Vec<u8> {
    let unstable_head = if shift == 0 { 0 } else { shift + 1 };
    let unstable_tail = usize::from(!(shift + length).is_multiple_of(3));
    let end = encoded.len().saturating_sub(unstable_tail);
    encoded.as_bytes().get(unstable_head..end).unwrap_or_default().to_vec()
}

fn escaped(text: &str) -> Vec<u8> {
    let mut out = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\u{unit:04x}")),
        }
    }
    out.into_bytes()
}

/// What begins here, if it is gzip or zlib; a stream that breaks off gives what it held until then.
fn deflated(bytes: &[u8]) -> Option<Vec<u8>> {
    let result = match bytes {
        [0x1f, 0x8b, 8, flags, ..] => decompress_to_vec_with_limit(gzip_body(bytes, *flags)?, MOST_INFLATED_BYTES),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => decompress_to_vec_zlib_with_limit(bytes, MOST_INFLATED_BYTES),
        _ => return None,
    };
    let inner = result.unwrap_or_else(|failure| failure.output);
    (inner.len() >= SHORTEST).then_some(inner)
}

fn gzip_body(bytes: &[u8], flags: u8) -> Option<&[u8]> {
    let mut rest = bytes.get(10..)?;
    if flags & 4 != 0 {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        rest = behind.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for bit in [8, 16] {
        if flags & bit != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & 2 != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

/// A marker in every form, plain and gzipped: what a search must find before it may find nothing.
pub fn planted(marker: &str) -> Vec<u8> {
    let utf16 = |to: fn(u16) -> [u8; 2]| marker.encode_utf16().flat_map(to).collect::<Vec<u8>>();
    let plain = [
        b"--".to_vec(),
        marker.as_bytes().to_vec(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        STANDARD_NO_PAD.encode(format!("?{marker}?")).into_bytes(),
        hex::encode(marker).into_bytes(),
    ]
    .concat();
    gzip(&plain)
}

/// A gzip file around `bytes` (without a name; the checksum is left empty, nobody here checks it).
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend(miniz_oxide::deflate::compress_to_vec(bytes, 6));
    out.extend([0; 8]);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn finds_every_form_of_a_planted_marker() {
        let search = Search::of(["noe annet", "blå-markør-17"]);
        let planted = planted("blå-markør-17");
        let kinds = |found: &Found| found.iter().map(|(_, kind)| *kind).collect::<BTreeSet<_>>();
        let found = search.bytes(&planted);
        assert_eq!(kinds(&found), Search::kinds());
        assert!(found.iter().all(|(text, _)| *text == 1));
        // Inside another gzip, behind noise; and a broken end.
        let wrapped = [&[9u8; 100][..], &gzip(&planted)].concat();
        assert_eq!(kinds(&search.bytes(&wrapped)), Search::kinds());
        assert!(!search.bytes(&wrapped[..wrapped.len() - 9]).is_empty());
    }

    #[test]
    fn base64_is_found_at_every_alignment() {
        let search = Search::of(["Ella arbeider"]);
        for before in ["", "x", "xy", "xyz"] {
            let encoded = STANDARD_NO_PAD.encode(format!("{before}Ella arbeider med lekser"));
            assert_eq!(search.bytes(encoded.as_bytes()), Found::from([(0, "base64")]), "{before}");
        }
    }

    #[test]
    fn finds_nothing_in_nothing() {
        let mut noise = vec![0u8; 200_000];
        getrandom::fill(&mut noise).unwrap();
        assert!(Search::of(["Ella arbeider", "Tangen"]).bytes(&noise).is_empty());
        assert!(Search::of(["abc"]).forms.iter().all(|form| form.bytes.len() >= SHORTEST));
    }
}
