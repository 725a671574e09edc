//! `docs/assurance.md` and the tests that it names: no property without a test, no test that is not there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const PROPERTIES: u8 = 30;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Rows of the table under a heading, as trimmed cells.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let section =
        page.split("\n## ").find(|s| s.starts_with(heading)).unwrap_or_else(|| panic!("no section {heading}"));
    let rows = section.lines().filter(|l| l.starts_with("| SP"));
    rows.map(|l| l.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// Whether the file has a test of this name that runs.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let function = |l: &str| ["fn ", "async fn "].iter().any(|f| l.starts_with(&format!("{f}{name}(")));
    let Some(at) = lines.iter().position(|l| function(l)) else { return false };
    let marks: Vec<&&str> =
        lines.get(..at).unwrap().iter().rev().take_while(|l| l.starts_with("#[") || l.starts_with("//")).collect();
    marks.iter().any(|m| m.starts_with("#[test]") || m.starts_with("#[tokio::test"))
        && !marks.iter().any(|m| m.starts_with("#[ignore"))
}

/// The page's rows: what stands of each property, and its tests as (file, name).
type Held = BTreeMap<String, (String, Vec<(String, String)>)>;

fn read(page: &str) -> Held {
    let mut held: Held = BTreeMap::new();
    for row in table(page, "Properties") {
        let [id, _, stands] = row.as_slice() else { panic!("three cells: {row:?}") };
        assert!(held.insert(id.clone(), (stands.clone(), vec![])).is_none(), "{id} stands there twice");
    }
    for row in table(page, "Tests") {
        let [id, file, names] = row.as_slice() else { panic!("three cells: {row:?}") };
        let tests = &mut held.get_mut(id).unwrap_or_else(|| panic!("{id} is no property of the first table")).1;
        tests.extend(names.split(',').map(|n| (file.replace('`', ""), n.trim().replace('`', ""))));
    }
    held
}

/// Everything that is wrong with the page.
fn faults(held: &Held) -> Vec<String> {
    let mut faults: Vec<String> =
        (1..=PROPERTIES).map(|n| format!("SP{n}")).filter(|id| !held.contains_key(id)).collect();
    for (id, (stands, tests)) in held {
        match (stands.split(':').next().unwrap_or_default(), tests.is_empty()) {
            ("held" | "partly", true) => faults.push(format!("{id} has no test")),
            ("held" | "partly", false) | ("not promised", true) => {}
            ("not promised", false) => faults.push(format!("{id} is not promised and has tests: what do they hold?")),
            (other, _) => faults.push(format!("{id} is neither held, partly held nor not promised: {other}")),
        }
        if stands != "held" && !stands.contains(": ") {
            faults.push(format!("{id} does not say what is missing"));
        }
        for (file, name) in tests {
            let source = fs::read_to_string(root().join(file)).unwrap_or_default();
            if !is_test(&source, name) {
                faults.push(format!("{id} names {file}::{name}, which is no test that runs"));
            }
        }
    }
    faults
}

#[test]
fn every_property_has_tests_and_every_named_test_exists() {
    let held = read(&fs::read_to_string(root().join("docs/assurance.md")).unwrap());
    let mut order: Vec<_> = held.iter().collect();
    order.sort_by_key(|(id, _)| id.trim_start_matches("SP").parse::<u8>().unwrap());
    for (id, (stands, tests)) in order {
        println!("{id:<5} {:>2} tests  {stands}", tests.len());
    }
    assert_eq!(faults(&held), [""; 0]);
}

/// The check itself fails for what it is there to find.
#[test]
fn gaps_in_the_page_are_noticed() {
    let page = fs::read_to_string(root().join("docs/assurance.md")).unwrap();
    let broken = |from: &str, to: &str| {
        assert!(page.contains(from), "{from}");
        faults(&read(&page.replace(from, to))).len()
    };
    assert!(broken("`the_reviewed_table_is_the_one_that_decides`", "`a_test_that_nobody_wrote`") > 0);
    assert!(broken("| SP11 | `", "| SP12 | `") > 0, "SP11 without tests");
    assert!(
        broken(
            "| SP21 | strangers' input costs bounded work | held |\n",
            "\n| SP99 | x | held |\n| SP21 | y | held |\n"
        ) > 0
    );
    assert!(broken("| SP26 | no personal data in logs and errors | held |", "| SP26 | x | believed |") > 0);
    let why = "not promised: no address block; whoever took part until the move is told where the log went";
    assert!(broken(why, "not promised") > 0);
    assert!(broken("`tests/tests/lost.rs`", "`tests/tests/found.rs`") > 0);
    assert!(is_test("#[test]\nfn a() {}", "a") && !is_test("fn a() {}", "a"));
    assert!(!is_test("#[test]\n#[ignore]\nfn a() {}", "a") && !is_test("#[test]\nfn ab() {}", "a"));
}
