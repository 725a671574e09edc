//! Test vectors (`tests/vectors/*.json`) of every wire and signed type, and the independent verifier in
//! Python (`tests/verifier`) that shares no code with the project and takes the types from docs/protocol.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod crypto;
mod files;
mod objects;
mod python;
mod replay;
mod sealed;
mod source;
mod tamper;
mod verdicts;
mod wire;

use serde_json::Value;
use stafett_client_core::answer::json;
use std::collections::BTreeSet;

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn missing<'s>(wanted: &'s BTreeSet<String>, there: &'s BTreeSet<String>) -> Vec<&'s String> {
    wanted.difference(there).collect()
}

#[test]
fn the_committed_vectors_are_what_the_code_makes() {
    let files = [
        wire::file(),
        objects::signed(),
        objects::hashes(),
        objects::chain(),
        crypto::stream(),
        crypto::codes(),
        crypto::keys(),
        crypto::changes(),
        crypto::letters(),
        sealed::sealed(),
    ];
    files.iter().for_each(files::File::check);
}

/// A type or variant that the page does not define, or that no vector shows, cannot come in unseen.
#[test]
fn every_type_and_variant_of_the_source_stands_on_the_page_and_in_a_vector() {
    let Some(page) = python::verify(&["types"]) else { return };
    let (types, variants) = (texts(&page[0]["types"]), texts(&page[0]["variants"]));
    let source = source::declared();
    assert!(source.structs.len() > 60 && source.variants.len() > 90, "the source was read");
    assert_eq!(missing(&source.structs, &types), [""; 0], "structs without a `tls` block in docs/protocol.md");
    assert_eq!(missing(&source.variants, &variants), [""; 0], "variants without a `tls` block in docs/protocol.md");
    assert_eq!(missing(&variants, &source.variants), [""; 0], "variants on the page that the source does not have");
    let enums = source.variants.iter().map(|v| v.split_once('.').unwrap().0.to_owned());
    let known: BTreeSet<String> = source.structs.iter().cloned().chain(enums).collect();
    assert_eq!(missing(&types, &known), [""; 0], "types on the page that the source does not have");
    let Some(run) = python::verify(&["vectors", files::folder().to_str().unwrap()]) else { return };
    let met = texts(&run[0]["met"]);
    assert_eq!(missing(&source.structs, &met), [""; 0], "structs in no vector: add a sample, then UPDATE_VECTORS=1");
    assert_eq!(missing(&source.variants, &met), [""; 0], "variants in no vector: add a sample, then UPDATE_VECTORS=1");
}

#[test]
fn the_independent_verifier_agrees_with_every_vector() {
    let Some(run) = python::verify(&["vectors", files::folder().to_str().unwrap()]) else { return };
    assert!(run[0]["vectors"].as_u64().unwrap() > 400, "{}", run[0]["vectors"]);
    assert_eq!(run[0]["failures"], serde_json::json!([]));
}

/// The verifier is no rubber stamp: a vector that is altered anywhere fails, one that says `refused` of a good
/// value does, and so does a file that is missing.
#[test]
fn the_independent_verifier_notices_what_is_altered() {
    let folder = tempfile::tempdir().unwrap();
    let failures = |alter: &dyn Fn(&str, &mut Vec<Value>)| {
        for entry in std::fs::read_dir(files::folder()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let mut file: Value = serde_json::from_slice(&std::fs::read(files::folder().join(&name)).unwrap()).unwrap();
            alter(&name, file["vectors"].as_array_mut().unwrap());
            std::fs::write(folder.path().join(&name), file.to_string()).unwrap();
        }
        python::verify(&["vectors", folder.path().to_str().unwrap()])
            .map(|run| run[0]["failures"].as_array().unwrap().len())
    };
    let Some(none) = failures(&|_, _| {}) else { return };
    assert_eq!(none, 0);
    let count = |refused: bool| {
        let mut n = 0;
        for entry in std::fs::read_dir(files::folder()).unwrap() {
            let file: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
            n += file["vectors"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|v| v.get("refused").is_some() == refused && v.get("padded").is_none())
                .count();
        }
        n
    };
    let claims_refused = failures(&|_, all| all.iter_mut().for_each(|v| v["refused"] = "no reason".into())).unwrap();
    assert_eq!(claims_refused, count(false) + 1, "every good vector, and the table of sizes, was called refused");
    let claims_good =
        failures(&|_, all| all.iter_mut().for_each(|v| drop(v.as_object_mut().unwrap().remove("refused")))).unwrap();
    assert!(claims_good >= count(true), "{claims_good} of {}", count(true));
    let swapped = failures(&|name, all| {
        if name == "wire.json" {
            for v in all.iter_mut().filter(|v| v["type"] == "Position" || v["type"] == "SealContext") {
                v["value"] = v["value"].as_str().unwrap().replace("counter: 3", "counter: 4").into();
            }
        }
    });
    assert_eq!(swapped, Some(1), "a field that reads otherwise is noticed");
}

#[test]
fn the_independent_verifier_replays_audit_exports() {
    let exports: Vec<Value> = (1..=3).map(replay::export).collect();
    let Some(reports) = replay::reports(&exports.iter().collect::<Vec<_>>()) else { return };
    for (export, report) in exports.iter().zip(&reports) {
        println!("{report}");
        assert_eq!(report["violations"], serde_json::json!([]));
        assert_eq!(report["events"].as_u64().unwrap() as usize, export["records"].as_array().unwrap().len());
        assert!(report["checks"].as_u64().unwrap() > 200, "{report}");
    }
}

/// Every way to bend a log is noticed by the verifier and by our own audit, for the reason that it should be.
#[test]
fn bent_audit_exports_are_noticed_by_both() {
    let log = tamper::Log::new();
    let honest = log.export(&log.honest());
    let bent: Vec<_> = log.by_exporter().into_iter().chain(log.by_home()).collect();
    let exports: Vec<&Value> = std::iter::once(&honest).chain(bent.iter().map(|(_, _, export)| export)).collect();
    let ours = |export: &Value| stafett_client_core::audit::verify_export(export).map(|r| json(&r.answer()));
    assert_eq!(ours(&honest).unwrap()["violations"], serde_json::json!([]));
    let Some(reports) = replay::reports(&exports) else { return };
    assert_eq!(reports[0]["violations"], serde_json::json!([]), "the honest log");
    let (named, report) = (&reports[0], ours(&honest).unwrap());
    assert_eq!((&named["log"], named["scopes"].as_array().unwrap().len()), (&honest["log"], 3));
    assert_eq!(named["municipalities"][0]["key"], honest["municipalities"][0]["key"]);
    assert_eq!(named["scopes"], report["scopes"]);
    assert!(named["unchecked"].as_array().unwrap().iter().any(|one| one == "absent-scopes"), "{named}");
    assert_eq!(reports[0]["events"], exports[0]["records"].as_array().unwrap().len());
    let mut faults = vec![];
    for ((what, rule, export), report) in bent.iter().zip(&reports[1..]) {
        let found: Vec<&str> =
            report["violations"].as_array().unwrap().iter().map(|v| v["rule"].as_str().unwrap()).collect();
        println!("{what}: {found:?}");
        if !found.iter().any(|r| r.contains(rule))
            || found.is_empty()
            || found.iter().any(|r| r.contains("cannot be read"))
        {
            faults.push(format!("verifier: {what}: {found:?}"));
        }
        let our = ours(export).unwrap_or_default();
        let found: Vec<&str> =
            our["violations"].as_array().into_iter().flatten().map(|v| v["rule"].as_str().unwrap()).collect();
        if !our.is_null() && (found.is_empty() || !found.iter().any(|r| r.contains(rule))) {
            faults.push(format!("audit verify: {what}: {found:?}"));
        }
        // What a report is of, both say alike.
        for part in ["log", "municipalities", "scopes", "from", "to", "unchecked"] {
            if !our.is_null() && our[part] != report[part] {
                faults.push(format!("{what}: {part}: {} {}", our[part], report[part]));
            }
        }
    }
    assert!(bent.len() > 20);
    let [whole, usurped] = tamper::moved();
    let reports = replay::reports(&[&whole, &usurped]).unwrap();
    assert_eq!(reports[0]["violations"], serde_json::json!([]), "a log that has moved");
    let found = reports[1]["violations"].to_string();
    assert!(found.contains("receipt-not-of-home"), "F7, the old home goes on after the move: {found}");
    assert_eq!(ours(&whole).unwrap()["violations"], serde_json::json!([]), "a log that has moved, by our own audit");
    let found = ours(&usurped).unwrap()["violations"].to_string();
    assert!(found.contains("receipt-not-of-home"), "F7, by our own audit: {found}");
    assert_eq!(faults, [""; 0]);
}

/// Two programs, written apart, from one page: the same verdict on every record that the tests of the accept
/// rule try, allowed or not.
#[test]
fn w10_the_independent_verifier_gives_the_same_verdicts() {
    let folder = verdicts::collect();
    let Some(report) = verdicts::judge(folder.path()) else { return };
    println!("{} verdicts, {} of them yes", report["cases"], report["accepted"]);
    assert_eq!(report["differing"], serde_json::json!([]));
    assert_eq!(report["unknown"], 0, "every chain was followed from its first record");
    assert!(report["cases"].as_u64() > Some(3000) && report["accepted"].as_u64() > Some(500), "{report}");
    let turned = verdicts::contradict(folder.path());
    let report = verdicts::judge(folder.path()).unwrap();
    assert!(turned > 0 && report["differing"].as_array().unwrap().len() == turned, "{turned}: {report}");
}
