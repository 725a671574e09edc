//! The table of sabotages fits the code: every place is there exactly once, every named test exists, and each
//! property that is built has two. Running it is `cargo run -p stafett-tests --bin sabotage`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use stafett_tests::named_tests::root;
use stafett_tests::sabotage::table;
use std::collections::BTreeMap;
use std::fs;

/// Properties that have no sabotage, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("SP25", "no audit log of the server's own"),
    ("SP28", "what is built is CI's: pinned versions, bans, licences"),
    ("SP29", "no address block yet: whoever is in a log learns its home"),
];

#[test]
fn every_sabotage_has_its_place_and_its_test() {
    let mut faults = vec![];
    for sabotage in table().unwrap() {
        let text = fs::read_to_string(root().join(&sabotage.file)).unwrap_or_default();
        match sabotage.apply(&text) {
            Err(why) => faults.push(why),
            Ok(after) if after == text => faults.push(format!("{}: nothing changes", sabotage.what)),
            Ok(_) => {}
        }
        faults.extend(sabotage.test.check().err());
        faults.extend(sabotage.test.arguments().err());
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn each_property_that_is_built_has_two() {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for sabotage in table().unwrap() {
        println!("{} | {} | {}", sabotage.property, sabotage.what, sabotage.test);
        found.entry(sabotage.property).or_default().push(sabotage.what);
    }
    for number in 1..=30 {
        let property = format!("SP{number}");
        let count = found.remove(&property).map_or(0, |s| s.len());
        let without = WITHOUT.iter().any(|(p, _)| *p == property);
        assert!(count >= 2 || without, "{property} has {count}");
        assert!(count == 0 || !without, "{property} is said to have none");
    }
    assert!(found.is_empty(), "no such property: {found:?}");
}
