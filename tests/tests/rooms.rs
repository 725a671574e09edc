//! The rooms of the client (`docs/architecture.md`): a room uses those before it and no other. Read from the sources: paths
//! that are named, methods of `Client` by the file that has them, and fields that belong to a room.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up; two rooms of one height do not know each other.
const ROOMS: &[(&str, u8)] = &[("stream", 1), ("scope", 2), ("outbox", 3), ("joining", 4), ("log", 4)];

/// Where rooms meet: these may call every room, and no room calls them.
const MEETING: &[&str] = &["mod", "frames", "mail", "steps"];

/// Fields of `Client` that are a room's own.
const FIELDS: &[(&str, &str)] = &[
    ("following", "scope"),
    ("rebuilt", "scope"),
    ("parted", "scope"),
    ("going", "outbox"),
    ("withdrawals_heard", "log"),
];

/// Arrows that run upward all the same: file, what it uses, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("scope/resync.rs", "was_told_too_much", "what a letter told of a withdrawal is kept in log; a scope only asks"),
    ("outbox/next.rs", "log::withdrawal::ends", "what a withdrawal ends is said once, beside the withdrawal itself"),
];

/// A file of the client, without comments and tests.
struct Source {
    path: String,
    code: String,
}

/// Name and height of the room that a module of `client` belongs to.
fn room(module: &str) -> (&str, u8) {
    let known = ROOMS.iter().find(|(name, _)| *name == module).copied();
    let meets = || MEETING.contains(&module).then_some(("meeting", 5));
    known.or_else(meets).unwrap_or(("ground", 0))
}

fn room_of(path: &str) -> (&str, u8) {
    let first = path.split('/').next().unwrap();
    room(first.strip_suffix(".rs").unwrap_or(first))
}

fn runs_upward(from: (&str, u8), to: (&str, u8)) -> bool {
    to.1 > from.1 || (to.1 == from.1 && to.0 != from.0)
}

fn word_at(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// What is written behind each `mark`.
fn words_after<'t>(code: &'t str, mark: &'t str) -> impl Iterator<Item = &'t str> {
    code.match_indices(mark).map(move |(at, _)| &code[at + mark.len()..])
}

/// Comments and tests away, and each chain of calls on one line.
fn plain(text: &str) -> String {
    let shown = text.split("#[cfg(test)]").next().unwrap();
    let mut code = String::new();
    for line in shown.lines().map(|l| l.split("//").next().unwrap().trim()) {
        if !line.starts_with('.') {
            code.push('\n');
        }
        code.push_str(line);
    }
    code
}

/// Paths below `crate::client`, as they are named in `use` lines and elsewhere.
fn paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in words_after(code, "crate::client::") {
        let inside = rest.strip_prefix('{').map(|list| list.split('}').next().unwrap());
        let path = |text: &str| {
            let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
            text[..end].trim_end_matches(':').to_owned()
        };
        match inside {
            Some(list) => found.extend(list.split(',').map(|item| path(item.trim()))),
            None => drop(found.insert(path(rest))),
        }
    }
    found
}

/// Methods of `Client`, by the file that has them.
fn owners(sources: &[Source]) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    for source in sources {
        for block in words_after(&source.code, "\nimpl Client {") {
            let block = block.split("\nimpl ").next().unwrap();
            for method in words_after(block, "fn ").map(word_at) {
                owners.insert(method.to_owned(), source.path.clone());
            }
        }
    }
    owners
}

/// Every use of another room in a file: what is used, and the room that has it.
fn uses(source: &Source, owners: &BTreeMap<String, String>) -> Vec<(String, (String, u8))> {
    let mut used = vec![];
    let mut note = |what: &str, (name, height): (&str, u8)| used.push((what.to_owned(), (name.to_owned(), height)));
    for path in paths(&source.code) {
        note(&path, room(path.split("::").next().unwrap()));
    }
    for mark in ["self.", "Self::", "Client::"] {
        for rest in words_after(&source.code, mark) {
            let word = word_at(rest);
            let field = FIELDS.iter().find(|(name, _)| mark == "self." && *name == word);
            let called = rest[word.len()..].starts_with('(') || mark != "self.";
            match (field, owners.get(word)) {
                (Some((name, of)), _) => note(name, room(of)),
                (None, Some(file)) if called => note(word, room_of(file)),
                _ => {}
            }
        }
    }
    used
}

/// Arrows that run upward, as `file: what`, and how many uses were seen.
fn upward(sources: &[Source]) -> (BTreeSet<(String, String)>, usize) {
    let owners = owners(sources);
    let (mut found, mut seen) = (BTreeSet::new(), 0);
    for source in sources {
        let from = room_of(&source.path);
        for (what, (name, height)) in uses(source, &owners) {
            seen += 1;
            if runs_upward(from, (&name, height)) {
                found.insert((source.path.clone(), what));
            }
        }
    }
    (found, seen)
}

fn sources() -> Vec<Source> {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("client-core/src/client");
    let (mut folders, mut found): (Vec<PathBuf>, Vec<Source>) = (vec![client.clone()], vec![]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let path = entry.strip_prefix(&client).unwrap().display().to_string();
                found.push(Source { path, code: plain(&fs::read_to_string(&entry).unwrap()) });
            }
        }
    }
    found
}

#[test]
fn a_room_uses_only_those_before_it() {
    let (found, seen) = upward(&sources());
    assert!(seen > 1000, "only {seen} uses were seen: the sources were not read");
    let known = |(file, what): &(String, String)| EXCEPTIONS.iter().any(|(f, w, _)| f == file && w == what);
    let new: Vec<_> = found.iter().filter(|arrow| !known(arrow)).collect();
    assert!(new.is_empty(), "a lower room answers what is to be done, and a higher one does it: {new:#?}");
    let gone = EXCEPTIONS.iter().filter(|(f, w, _)| !found.contains(&((*f).to_owned(), (*w).to_owned())));
    let gone: Vec<_> = gone.collect();
    assert!(gone.is_empty(), "these have been mended, and need no exception: {gone:#?}");
}

#[test]
fn an_arrow_that_runs_upward_is_noticed() {
    let file = |path: &str, text: &str| Source { path: path.into(), code: plain(text) };
    let outbox = || file("outbox/mod.rs", "\nimpl Client {\n    pub(crate) fn sends(&mut self) {}\n}\n");
    let noticed = |path: &str, text: &str| !upward(&[outbox(), file(path, text)]).0.is_empty();
    assert!(noticed("scope/x.rs", "use crate::client::outbox::Going;"));
    assert!(noticed("scope/x.rs", "use crate::client::{Client, outbox::Going};"));
    assert!(noticed("stream/x.rs", "fn f(s: &crate::client::scope::Scope) {}"));
    assert!(noticed("scope/x.rs", "impl Client { fn f(&mut self) { self\n    .sends() } }"));
    assert!(noticed("people.rs", "impl Client { fn f(&mut self) { self.going.parked.clear() } }"));
    assert!(noticed("joining/x.rs", "use crate::client::log::units;"));
    assert!(noticed("log/x.rs", "use crate::client::frames;"));
    assert!(!noticed("log/x.rs", "impl Client { fn f(&mut self) { self.sends(); self.going.parked.clear() } }"));
    assert!(!noticed("mail.rs", "use crate::client::log::units;\nuse crate::client::people;"));
    assert!(!noticed("scope/x.rs", "// self.sends()\nuse crate::client::stream::Sent;"));
}
