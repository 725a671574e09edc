//! `catalogue.txt` is whole: every id of the groups stands there, with a test that exists or the reason why not.

use stafett_tests::named_tests::{NamedTest, root};
use std::collections::BTreeMap;

/// How many ids each group has (`tests/tests/adversary/catalogue.txt`; the supply chain, X, is CI's).
const GROUPS: &[(&str, usize)] = &[
    ("W", 12),
    ("A", 12),
    ("M", 27),
    ("C", 15),
    ("R", 16),
    ("F", 18),
    ("S", 16),
    ("N", 8),
    ("L", 11),
    ("K", 13),
    ("P", 10),
];

/// Ids whose attack succeeds against the bare libraries: they must be shown, not excused.
const FAIL_ON_BARE_LIBRARIES: &[&str] =
    &["W7", "W8", "M1", "M2", "M3", "M13", "M19", "M22", "R4", "R5", "R6", "R7", "R8", "R10", "R15", "S3", "L1"];

#[derive(Default)]
struct Row {
    tests: Vec<NamedTest>,
    reasons: Vec<String>,
}

fn rows(text: &str) -> Result<BTreeMap<String, Row>, String> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (id, rest) = line.split_once(char::is_whitespace).ok_or_else(|| format!("what is this? {line}"))?;
        let (row, rest) = (rows.entry(id.to_owned()).or_default(), rest.trim());
        if rest.starts_with("not built: ") || rest.starts_with("part: ") {
            row.reasons.push(rest.to_owned());
        } else {
            row.tests.push(NamedTest::parse(rest)?);
        }
    }
    Ok(rows)
}

fn faults(text: &str) -> Vec<String> {
    let mut rows = match rows(text) {
        Ok(rows) => rows,
        Err(why) => return vec![why],
    };
    let mut faults = vec![];
    let ids = GROUPS.iter().flat_map(|(group, count)| (1..=*count).map(move |n| format!("{group}{n}")));
    for id in ids {
        let Some(row) = rows.remove(&id) else {
            faults.push(format!("{id} is missing"));
            continue;
        };
        let excused = row.reasons.iter().any(|r| r.starts_with("not built: "));
        if row.tests.is_empty() != excused {
            faults.push(format!("{id} must be shown or excused, one of them"));
        }
        if excused && FAIL_ON_BARE_LIBRARIES.contains(&id.as_str()) {
            faults.push(format!("{id} may not be excused"));
        }
        faults.extend(row.tests.iter().filter_map(|t| t.check().err()).map(|why| format!("{id}: {why}")));
    }
    faults.extend(rows.into_keys().map(|id| format!("{id} is no id of the catalogue")));
    faults
}

#[test]
fn every_attack_of_the_catalogue_is_shown_or_excused() {
    let text = std::fs::read_to_string(root().join("tests/tests/adversary/catalogue.txt")).unwrap();
    assert_eq!(faults(&text), [""; 0]);
    let rows = rows(&text).unwrap();
    let shown = rows.values().filter(|r| !r.tests.is_empty()).count();
    println!("{shown} of {} attacks are shown", rows.len());
    // The check notices what it is there for.
    for (from, to) in [
        ("\nW2 ", "\nW99 "),
        ("w4_no_value_has_two_encodings", "w4_a_test_that_nobody_wrote"),
        ("M22 protocol/tests/chain_rules.rs::m22_a", "M22 not built: too hard; m22_a"),
        ("\nA6  not built: ", "\nA6  part: "),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(!faults(&text.replace(from, to)).is_empty(), "{from}");
    }
}
