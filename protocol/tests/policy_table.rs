//! The table of `policy::allows` stands in a file that people review; this test keeps the two the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_protocol::policy::{Action, ROLES, STATUSES, allows, print_table};
use stafett_protocol::refusal::Refusal;
use std::path::Path;

#[test]
fn the_reviewed_table_is_the_one_that_decides() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy-table.txt");
    let table = print_table();
    if std::env::var_os("UPDATE_POLICY_TABLE").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        reviewed == table,
        "docs/policy-table.txt is not what the policy says. If the change is meant, run\n    \
         UPDATE_POLICY_TABLE=1 cargo test --workspace --test protocol policy_table::\nand have the difference reviewed."
    );
}

#[test]
fn the_table_denies_by_default() {
    for role in ROLES {
        for action in Action::ALL {
            for status in STATUSES {
                let (minor, youth) = (allows(*role, *action, *status, false), allows(*role, *action, *status, true));
                assert!(minor.is_err() || youth.is_ok(), "coming of age takes nothing away: {role:?} {action:?}");
                if *status != STATUSES[0] && matches!(action, Action::Change | Action::Admit) {
                    assert!(youth.is_err(), "no content and no Adds in {status:?}: {role:?}");
                }
                if let Err(refusal) = youth {
                    assert!(Refusal::ALL.contains(&refusal));
                }
            }
        }
    }
}

#[test]
fn every_refusal_has_a_code_of_its_own() {
    let mut codes: Vec<_> = Refusal::ALL.iter().map(|r| r.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Refusal::ALL.len());
}
