//! What is wrong with what a command says to people, and what of it differs from run to run.

use std::collections::BTreeMap;
use std::path::Path;

/// Words that are English and nothing else, and words of the contract that must not show through.
const ENGLISH: [&str; 24] = [
    "the",
    "and",
    "waiting",
    "active",
    "granted",
    "refused",
    "closed",
    "contribute",
    "custody",
    "unknown",
    "pending",
    "queued",
    "yellow",
    "green",
    "guardian",
    "employee",
    "actor",
    "school",
    "membership",
    "withdrawal",
    "glimpse",
    "measure",
    "sent",
    "key",
];

pub fn judged(language: &str, said: &str, words: &[&str], people: &BTreeMap<String, String>, found: &mut Vec<String>) {
    let mut wrong = |why: &str| found.push(format!("{language} {words:?}: {why}:\n{said}"));
    if said.contains(['{', '}']) {
        wrong("a place is not filled in");
    }
    if said.trim().is_empty() {
        wrong("nothing is said");
    }
    let digits = |part: &str| part.len() >= 4 && part.bytes().take(4).all(|byte| byte.is_ascii_digit());
    if said.split_whitespace().any(|word| digits(word) && word.contains('T') && word.contains(':')) {
        wrong("a time is told as computers write it");
    }
    for line in said.lines() {
        for (id, name) in people {
            if line.contains(id.as_str()) && !said.contains(name.as_str()) {
                wrong("a person is told by id though the name is known");
            }
        }
    }
    if language != "en" {
        // Commands and their arguments are the same in every language.
        let plain: Vec<&str> =
            said.split('«')
                .map(|part| {
                    if part.starts_with("stafett ") {
                        part.split_once('»').map_or("", |(_, after)| after)
                    } else {
                        part
                    }
                })
                .collect();
        let plain = plain.join(" ").to_lowercase();
        for word in plain.split(|c: char| !c.is_alphanumeric() && c != '-') {
            if ENGLISH.contains(&word) {
                wrong(&format!("English: {word}"));
            }
        }
    }
}

/// What differs from run to run is told as what it is.
pub fn steady(said: &str, dir: &Path) -> String {
    let said = said.replace(dir.to_str().unwrap(), "/hjem");
    let mut out = String::new();
    for (at, line) in said.lines().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let mut rest = line;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let hex = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            if word == "stafett1" {
                let code: usize =
                    after.chars().take_while(|c| c.is_alphanumeric() || *c == '-').map(char::len_utf8).sum();
                out.push_str("KODE");
                rest = after.get(code..).unwrap();
                continue;
            }
            let number = word.bytes().all(|b| b.is_ascii_digit());
            match word {
                _ if hex => out.push_str("ID"),
                // Days, hours, ports, counts and the numbers that are read aloud.
                _ if number && !word.is_empty() => out.push('#'),
                _ => out.push_str(word),
            }
            let sign = after.chars().next();
            out.extend(sign);
            rest = after.get(sign.map_or(0, char::len_utf8)..).unwrap();
        }
    }
    out
}
