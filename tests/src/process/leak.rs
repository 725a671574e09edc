//! Searches what a server keeps for words that it must not know: as UTF-8, UTF-16, base64 (each alignment) and
//! hexadecimal (dumps of PostgreSQL show bytes so). A search that finds nothing counts only after it found a marker.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const MARKER: &str = "plantet blåbær 4711";

/// Asserts that none of the words lies in any of the files below these folders.
pub fn nothing_leaked(words: &[&str], folders: &[&Path]) {
    for folder in folders {
        let planted = folder.join("planted");
        for (kind, bytes) in forms(MARKER) {
            fs::write(&planted, [b"before".as_slice(), &bytes, b"behind"].concat()).unwrap();
            assert!(!found(&[MARKER], &planted).is_empty(), "a planted marker is not found as {kind}");
        }
        fs::remove_file(&planted).unwrap();
        let leaks = found(words, folder);
        assert!(leaks.is_empty(), "readable in {}: {leaks:?}", folder.display());
    }
}

/// Which words lie where, in which form.
pub fn found(words: &[&str], at: &Path) -> BTreeSet<String> {
    let forms: Vec<(&str, &str, Vec<u8>)> =
        words.iter().flat_map(|word| forms(word).into_iter().map(|(kind, bytes)| (*word, kind, bytes))).collect();
    let mut leaks = BTreeSet::new();
    for file in files(at) {
        let bytes = fs::read(&file).unwrap_or_default();
        let mut begins = vec![false; 1 << 16];
        forms.iter().for_each(|(_, _, form)| begins[pair(form)] = true);
        for at in 0..bytes.len().saturating_sub(1) {
            if begins[pair(&bytes[at..])] {
                let here = forms.iter().filter(|(_, _, form)| bytes[at..].starts_with(form));
                leaks.extend(here.map(|(word, kind, _)| format!("{word} as {kind} in {}", file.display())));
            }
        }
    }
    leaks
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

fn files(at: &Path) -> Vec<std::path::PathBuf> {
    if !at.is_dir() {
        return vec![at.to_owned()];
    }
    fs::read_dir(at).unwrap().flatten().flat_map(|entry| files(&entry.path())).filter(|file| file.is_file()).collect()
}

fn forms(word: &str) -> Vec<(&'static str, Vec<u8>)> {
    let utf8 = word.as_bytes();
    let mut forms = vec![
        ("UTF-8", utf8.to_vec()),
        ("UTF-16LE", word.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16BE", word.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("hex", utf8.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()),
    ];
    for shift in 0..3 {
        let shifted = [vec![0; shift], utf8.to_vec()].concat();
        // Letters that hold bits of a neighbour differ from place to place.
        let (head, tail) = ([0, 2, 3][shift], usize::from(!shifted.len().is_multiple_of(3)));
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(("base64", encoded.as_bytes()[head..encoded.len() - tail].to_vec()));
        }
    }
    forms
}
