//! `docs/domain.md`: every rule of the domain stands there once, and what it names exists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_tests::named_tests::{NamedTest, root};
use std::collections::BTreeMap;
use std::fs;

/// How many rules each area of the domain has.
const AREAS: [(&str, usize); 14] = [
    ("A", 18),
    ("B", 10),
    ("C", 22),
    ("D", 5),
    ("E", 12),
    ("F", 12),
    ("G", 7),
    ("H", 8),
    ("I", 7),
    ("J", 2),
    ("K", 11),
    ("L", 5),
    ("M", 13),
    ("1b.", 11),
];

/// Issues that bring what is missing.
const ISSUES: [&str; 5] = ["13", "14", "15", "16", "17"];

struct Rule {
    rule: String,
    stands: String,
    files: Vec<String>,
    tests: Vec<String>,
}

fn named(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the page; a row of another form, or an id that stands there twice, is a fault.
fn rules(page: &str) -> Result<BTreeMap<String, Rule>, String> {
    let mut rules = BTreeMap::new();
    for line in
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Id") && !line.starts_with("| -"))
    {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, rule, stands, files, tests] = cells.as_slice() else { return Err(format!("five cells: {line}")) };
        let row =
            Rule { rule: (*rule).to_owned(), stands: (*stands).to_owned(), files: named(files), tests: named(tests) };
        if rules.insert((*id).to_owned(), row).is_some() {
            return Err(format!("{id} stands there twice"));
        }
    }
    Ok(rules)
}

fn issues(text: &str) -> bool {
    text.split(", ").take_while(|word| word.chars().all(|c| c.is_ascii_digit())).all(|issue| ISSUES.contains(&issue))
        && text.starts_with(|c: char| c.is_ascii_digit())
}

fn faults(page: &str) -> Vec<String> {
    let rules = match rules(page) {
        Ok(rules) => rules,
        Err(why) => return vec![why],
    };
    let mut faults = vec![];
    let ids: Vec<String> =
        AREAS.iter().flat_map(|(area, many)| (1..=*many).map(move |n| format!("{area}{n}"))).collect();
    faults.extend(ids.iter().filter(|id| !rules.contains_key(*id)).map(|id| format!("{id} is missing")));
    faults.extend(rules.keys().filter(|id| !ids.contains(id)).map(|id| format!("{id} is no rule")));
    for (id, row) in &rules {
        let (kind, why) = row.stands.split_once(": ").unwrap_or((&row.stands, ""));
        let held = !row.files.is_empty() && !row.tests.is_empty();
        let fits = match kind {
            "built" => held && why.is_empty(),
            // What is missing, and in brackets who brings it.
            "in part" => held && why.rsplit_once(" (").is_some_and(|(_, by)| issues(by.trim_end_matches(')'))),
            "not built" => row.tests.is_empty() && issues(why),
            "outside" => row.tests.is_empty() && !why.is_empty(),
            _ => false,
        };
        if !fits || row.rule.len() < 10 {
            faults.push(format!("{id} does not say where it stands: {} | {}", row.rule, row.stands));
        }
        faults.extend(row.files.iter().filter(|f| !root().join(f).is_file()).map(|f| format!("{id} names {f}")));
        let wrong = |test: &String| NamedTest::parse(test).and_then(|test| test.check()).err();
        faults.extend(row.tests.iter().filter_map(wrong).map(|why| format!("{id}: {why}")));
    }
    faults
}

/// A test that carries a rule's id and says what it holds stands beside that rule.
fn tests_of_the_domain() -> Vec<String> {
    let file = "client-core/src/document/tests/domain.rs";
    let source = fs::read_to_string(root().join(file)).unwrap();
    let names = source.split("\nfn ").skip(1).filter_map(|rest| rest.split_once('(')).map(|(name, _)| name);
    let carries = |name: &&str| {
        let mut signs = name.chars();
        signs.next().is_some_and(|c| ('a'..='m').contains(&c)) && signs.next().is_some_and(|c| c.is_ascii_digit())
    };
    names.filter(carries).map(|name| format!("{file}::{name}")).collect()
}

#[test]
fn every_rule_of_the_domain_says_where_it_stands_and_names_what_exists() {
    let page = fs::read_to_string(root().join("docs/domain.md")).unwrap();
    let found = faults(&page);
    assert!(found.is_empty(), "{found:#?}");
    let rules = rules(&page).unwrap();
    let tests = tests_of_the_domain();
    assert!(tests.len() >= 9, "{tests:?}");
    for test in tests {
        let name = test.rsplit("::").next().unwrap();
        // `f3_f8_…`: all ids in front.
        let ids = name.split('_').take_while(|word| {
            word.len() > 1
                && word[1..].chars().all(|c| c.is_ascii_digit())
                && word.starts_with(|c: char| c.is_alphabetic())
        });
        for id in ids.map(str::to_uppercase) {
            let row = rules.get(&id).unwrap_or_else(|| panic!("{test} carries {id}, which is no rule"));
            assert!(row.tests.contains(&test), "{id} does not name {test}");
        }
    }
    let mut many: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rules.values() {
        *many.entry(row.stands.split(':').next().unwrap()).or_default() += 1;
    }
    println!("rules of the domain: {many:?}");
}

#[test]
fn the_check_finds_a_page_that_has_rotted() {
    let page = fs::read_to_string(root().join("docs/domain.md")).unwrap();
    for (was, is) in [
        ("| A2 |", "| A1 |"),
        ("| A2 |", "| Z2 |"),
        ("client-core/src/client/log/mod.rs`", "client-core/src/client/log/gone.rs`"),
        ("e11_title_and_goal", "e11_title_or_goal"),
        ("not built: 17 |", "not built |"),
        ("| built |", "| wonderful |"),
    ] {
        assert!(page.contains(was) && !faults(&page.replacen(was, is, 1)).is_empty(), "{was} → {is}");
    }
}
