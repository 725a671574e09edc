//! Documentation that does not rot: links lead somewhere, codes and modules that are named exist, and the
//! normative page names what the code has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use stafett_protocol::refusal::Refusal;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every page of the project, relative to its root.
fn pages() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("README.md")];
    for folder in ["docs", "docs/decisions", "certs"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            if name.to_string_lossy().ends_with(".md") {
                found.push(Path::new(folder).join(name));
            }
        }
    }
    found
}

/// Text outside of fenced blocks, where a bracket is no link.
fn prose(text: &str) -> String {
    text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// What stands between `open` and `close`, everywhere.
fn between<'t>(text: &'t str, open: &str, close: char) -> Vec<&'t str> {
    text.split(open).skip(1).filter_map(|rest| rest.split_once(close)).map(|(inside, _)| inside).collect()
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let plain = heading.to_lowercase().replace('`', "");
    plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    let lines = prose(text);
    lines.lines().filter(|l| l.starts_with('#')).map(|l| anchor(l.trim_start_matches('#').trim())).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = vec![];
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        for link in between(&prose(&text), "](", ')') {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => root().join(&page),
                path => root().join(page.parent().unwrap()).join(path),
            };
            let found = target.exists()
                && (heading.is_empty() || anchors(&fs::read_to_string(&target).unwrap()).contains(heading));
            if !found {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

#[test]
fn the_protocol_page_names_every_refusal() {
    let page = read("docs/protocol.md");
    let missing: Vec<_> =
        Refusal::ALL.iter().map(|r| r.code()).filter(|c| !page.contains(&format!("| `{c}` |"))).collect();
    assert!(missing.is_empty(), "refusals that docs/protocol.md does not list: {missing:?}");
}

#[test]
fn the_protocol_page_names_every_label_of_a_signature() {
    let page = read("docs/protocol.md");
    let source = read("protocol/src/labels.rs");
    let table = source.split_once("\nsignable! {").unwrap().1.split_once("\n}").unwrap().0.to_owned();
    let labels = between(&table, "=> \"", '"');
    assert!(labels.len() >= 18, "the table of labels was found");
    for label in labels {
        assert!(page.contains(&format!("| `{label}` |")), "label {label:?} is not in docs/protocol.md");
    }
}

#[test]
fn the_protocol_page_names_every_problem_of_the_server() {
    let page = read("docs/protocol.md");
    let source = read("server/src/problem.rs");
    let table = source.split_once("fn kind(").unwrap().1.split_once("\n    }").unwrap().0.to_owned();
    let codes = between(&table, ", \"", '"');
    assert!(codes.len() >= 10, "the table of problems was found");
    for code in codes {
        assert!(page.contains(&format!("| `{code}` (")), "problem {code:?} is not in docs/protocol.md");
    }
}

#[test]
fn modules_that_the_pages_name_exist() {
    for page in ["docs/architecture.md", "docs/protocol.md", "certs/README.md"] {
        let text = read(page);
        let named = between(&text, "`", '`').into_iter().chain(text.split('`'));
        let sources: BTreeSet<&str> =
            named.filter(|n| n.contains("/src/") && !n.contains(char::is_whitespace) && n.contains('.')).collect();
        for source in &sources {
            assert!(root().join(source).is_file(), "{page} names {source}, which is not there");
        }
        assert!(page != "docs/architecture.md" || sources.len() > 40, "modules were found");
    }
}

#[test]
fn nothing_here_reads_what_is_outside() {
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        assert!(!text.contains("../shared"), "{} points out of the project", page.display());
    }
}

/// `unsafe` stands in one file of the tests, and nowhere else in the project.
#[test]
fn one_file_alone_is_unsafe() {
    let mut found = vec![];
    let mut folders: Vec<PathBuf> =
        ["protocol", "client-core", "client-cli", "server", "tests"].iter().map(|room| root().join(room)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let allows = text.lines().any(|l| l.trim_start().starts_with("#!") && l.contains("unsafe_code"));
                found.extend(allows.then(|| path.strip_prefix(root()).unwrap().display().to_string()));
            }
        }
    }
    assert_eq!(found, ["tests/src/vfs.rs"]);
    for room in ["protocol", "client-core", "client-cli", "server"] {
        assert!(read(&format!("{room}/Cargo.toml")).contains("[lints]\nworkspace = true"), "{room} forbids it");
    }
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""));
}

#[test]
fn the_readme_has_its_two_commands() {
    let text = read("README.md");
    for command in ["$ cargo run --bin stafett -- demo\n", "$ cargo test --workspace\n"] {
        assert!(text.contains(command), "{command}");
    }
}

/// Every source of the project, relative to its root.
fn sources() -> Vec<PathBuf> {
    let rooms = ["protocol", "client-core", "client-cli", "host", "server", "tests"];
    let (mut folders, mut found): (Vec<PathBuf>, Vec<PathBuf>) = (rooms.map(PathBuf::from).to_vec(), vec![]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 400, "sources were found");
    found
}

#[test]
fn every_source_is_short_and_says_what_it_is_for() {
    let text = |path: &PathBuf| fs::read_to_string(root().join(path)).unwrap();
    let long: Vec<_> = sources().into_iter().filter(|path| text(path).lines().count() > 400).collect();
    assert!(long.is_empty(), "longer than 400 lines: {long:#?}");
    let mute: Vec<_> = sources().into_iter().filter(|path| !text(path).starts_with("//!")).collect();
    assert!(mute.is_empty(), "without a first line that says what it is for: {mute:#?}");
}

#[test]
fn pages_that_comments_name_are_in_the_project() {
    let mut strange = vec![];
    for path in sources() {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for line in text.lines().filter(|line| line.trim_start().starts_with("//")) {
            let pages = between(line, "`", '`').into_iter().filter(|page| page.ends_with(".md"));
            strange.extend(
                pages.filter(|page| !root().join(page).is_file()).map(|page| format!("{}: {page}", path.display())),
            );
        }
    }
    assert!(strange.is_empty(), "pages that nobody who reads this has: {strange:#?}");
}
