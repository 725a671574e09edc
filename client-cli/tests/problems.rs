//! Every code with which anything is refused says what happened and what to do now, in three languages. The core's are an enum;
//! the others are read from the sources, so that a new one cannot be forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use stafett_client_core::client::input::Cause;
use stafett_client_core::document::Reason;
use stafett_words::messages::{Language, Messages};
use stafett_words::problems;

/// Where a code begins, in the sources named behind it.
const MADE: [(&str, &str); 4] = [
    ("client-cli/src", "Fault::usage("),
    ("client-cli/src", "Fault::new("),
    ("client-cli/src/host/fault.rs", "(Exit::Usage, "),
    ("client-cli/src/host/fault.rs", "(Exit::Damaged, "),
];

/// Tests make some up.
const INVENTED: [&str; 3] = ["never-heard-of", "code", "why"];

fn sources(at: &Path, found: &mut Vec<PathBuf>) {
    if at.is_dir() {
        fs::read_dir(at).unwrap().for_each(|entry| sources(&entry.unwrap().path(), found));
    } else if at.extension().is_some_and(|ending| ending == "rs") && !at.to_string_lossy().contains("test") {
        found.push(at.to_owned());
    }
}

/// The first text between here and the end of the call's first line or two, if it looks like a code.
fn code_at(rest: &str) -> Option<String> {
    let near: String = rest.chars().take(60).collect();
    let (before, after) = near.split_once('"')?;
    let plain = |c: char| c.is_ascii_lowercase() || c == '-';
    let argument = before.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || ":,_(".contains(c));
    let (code, _) = after.split_once('"')?;
    (argument && code.len() > 2 && code.chars().all(plain)).then(|| code.to_owned())
}

fn codes() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut codes: BTreeSet<String> = Cause::ALL.iter().map(|cause| cause.word().to_owned()).collect();
    codes.extend(Reason::ALL.iter().map(|reason| reason.code().to_owned()));
    // Of events that open under no key.
    codes.insert("change-unreadable".to_owned());
    for (place, made) in MADE {
        let mut files = Vec::new();
        sources(&root.join(place), &mut files);
        assert!(!files.is_empty(), "{place}");
        for file in files {
            let text = fs::read_to_string(file).unwrap();
            // What stands in the unit tests of a file is nobody's refusal.
            let text = text.split("#[cfg(test)]").next().unwrap();
            codes.extend(text.match_indices(made).filter_map(|(at, _)| code_at(&text[at + made.len()..])));
        }
    }
    // The server's table: every code is a text of it that stands alone.
    let table = fs::read_to_string(root.join("server/src/problem.rs")).unwrap();
    let table = table.split("#[cfg(test)]").next().unwrap();
    codes.extend(table.match_indices("=> (StatusCode::").filter_map(|(at, _)| code_at(&table[at + 4..])));
    codes.extend(table.match_indices("=> \"").filter_map(|(at, _)| code_at(&table[at + 3..])));
    // The policy's: a name, its code, its English.
    let policy = fs::read_to_string(root.join("protocol/src/refusal.rs")).unwrap();
    let named = |line: &str| line.trim().split_once(" \"").and_then(|(_, rest)| code_at(&format!("\"{rest}")));
    codes.extend(policy.lines().filter_map(named));
    codes.retain(|code| !INVENTED.contains(&code.as_str()));
    codes
}

#[test]
fn every_refusal_says_what_happened_and_what_to_do_in_three_languages() {
    let codes = codes();
    assert!(codes.len() > 150, "{}", codes.len());
    let mut wanting = Vec::new();
    for (name, language) in [("nb", Language::Bokmaal), ("nn", Language::Nynorsk), ("en", Language::English)] {
        let messages = Messages::of(language);
        for code in &codes {
            let Some(text) = problems::text(&messages, code) else {
                wanting.push(format!("{name} {code}: no words"));
                continue;
            };
            // Some say in the same breath what to do: a command, or something to do with one's own hands.
            let way =
                problems::way(&messages, code).is_some() || text.matches(". ").count() > 0 || text.contains("stafett ");
            if !way {
                wanting.push(format!("{name} {code}: no way on: {text}"));
            }
            let english = [" the ", " and ", " is ", " not ", " was ", " with "];
            if name != "en" && english.iter().any(|word| text.contains(word)) {
                wanting.push(format!("{name} {code}: English: {text}"));
            }
        }
    }
    assert!(wanting.is_empty(), "{}:\n{}", wanting.len(), wanting.join("\n"));
}
