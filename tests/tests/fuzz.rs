//! The fuzz targets (`tests/fuzz`) without a fuzzer: valid objects, bent at random, the same each time for one seed. What
//! CI can run; `just fuzz` looks further, guided by coverage.
//!
//! A failure prints target, seed and number; `STAFETT_SEED=n` starts from another seed, `STAFETT_FUZZ=n` runs n inputs of
//! each target.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use stafett_tests::{insider, model, simulation};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

fn below(rng: &mut ChaCha20Rng, bound: usize) -> usize {
    (rng.next_u64() % bound.max(1) as u64) as usize
}

/// Numbers at which lengths and counters go wrong.
const EDGES: [u8; 8] = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff];

/// One valid object, bent in one to six places: bits, edges of lengths, parts cut out, doubled, or taken from others.
fn bent(rng: &mut ChaCha20Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[below(rng, seeds.len())].clone();
    for _ in 0..=below(rng, 6) {
        let at = below(rng, bytes.len());
        let length = below(rng, bytes.len() - at).min(64);
        match below(rng, 8) {
            _ if bytes.is_empty() => bytes.push(EDGES[below(rng, EDGES.len())]),
            0 | 1 => bytes[at] ^= 1 << below(rng, 8),
            2 | 3 => bytes[at] = EDGES[below(rng, EDGES.len())],
            4 => drop(bytes.drain(at..at + length)),
            5 => {
                let part = bytes[at..at + length].to_vec();
                bytes.splice(at..at, part);
            }
            6 => {
                let other = &seeds[below(rng, seeds.len())];
                let from = below(rng, other.len());
                let part = other[from..].iter().take(64).copied();
                bytes.splice(at..at + length, part);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// Runs inputs of one target; a panic says how to see it again.
fn run(name: &str, inputs: u64, seeds: &[Vec<u8>], target: impl Fn(&[u8])) {
    let (seed, inputs) = (number("STAFETT_SEED", 1), number("STAFETT_FUZZ", inputs));
    for kept in seeds {
        target(kept);
    }
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    for n in 0..inputs {
        let input = bent(&mut rng, seeds);
        if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            panic!("{name}: STAFETT_SEED={seed}, input {n}: {hex}");
        }
    }
    println!("{name}: STAFETT_SEED={seed}, {inputs} inputs from {} valid ones", seeds.len());
}

fn run_target(name: &str, inputs: u64) {
    let target = targets::target(name);
    assert_eq!(target.name, name);
    let kept = targets::kept(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus"), name);
    let seeds = [target.seeds, kept].concat();
    run(name, inputs, &seeds, target.run);
}

#[test]
fn any_bytes_as_any_type() {
    run_target("decode", 60_000);
}

#[test]
fn any_text_as_a_code_or_a_header() {
    run_target("text", 20_000);
}

#[test]
fn any_bytes_as_a_stored_replica() {
    run_target("snapshot", 3000);
}

#[test]
fn any_body_before_the_accept_rule() {
    run_target("judge", 4000);
}

#[test]
fn any_bytes_as_a_change() {
    run_target("gate", 600);
}

#[test]
fn any_bytes_as_what_mls_reads() {
    run_target("mls", 2000);
}

#[test]
fn any_file_as_an_audit_export() {
    run_target("audit", 1000);
}

/// K1: whatever the server says or a member seals, a client neither panics nor hangs, and opens again from what it saved.
#[test]
fn k1_any_frame_at_a_client() {
    run_target("client", 400);
}

#[test]
fn any_request_at_the_intake() {
    run_target("intake", 300);
}

#[test]
fn any_bytes_at_the_websocket_border() {
    run_target("border", 1500);
}

#[test]
fn the_suite_tries_every_target() {
    let source = include_str!("fuzz.rs");
    for name in targets::NAMES {
        assert!(source.contains(&format!("run_target(\"{name}\"")), "{name}");
    }
    let usual = format!("targets=${{*:-{}}}", targets::NAMES.join(" "));
    assert!(include_str!("../fuzz/run").contains(&usual), "tests/fuzz/run: {usual}");
}
