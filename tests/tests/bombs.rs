//! R7, R8: what a bomb costs a client, measured in a process of its own. Memory is asserted, time is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use automerge::Change;
use stafett_client_core::document::gate::actor_id;
use stafett_tests::bombs;
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{Cast, cast, concern, log};
use std::fs;
use std::time::Instant;

/// What a change may cost.
const MOST_KIB: u64 = 64 * 1024;

fn kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// By how much resident memory rose at most while `act` ran.
fn peak(act: impl FnOnce()) -> u64 {
    // Linux: the peak begins anew at what is resident now.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = kib("VmRSS");
    act();
    kib("VmHWM").saturating_sub(before)
}

#[test]
fn r7_r8_a_bomb_costs_no_client_more_than_the_limit() {
    // The measure works, and these are bombs: Automerge itself counts five million operations in a few bytes.
    let block = |size: usize| drop(std::hint::black_box(vec![1u8; size]));
    assert!(peak(|| block(200 << 20)) > 150 * 1024);
    let small = bombs::operations(&[7, 7], 200_000);
    assert!(small.len() < 150);
    assert_eq!(Change::from_bytes(small).unwrap().len(), 200_000, "a change like any other to Automerge");

    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let insider = Insider::of(father, &concern);
    let actor = actor_id(insider.device(), [77; 8]);
    let found = [
        ("5 million operations", bombs::operations(actor.to_bytes(), 5_000_001)),
        ("2^40 operations", bombs::operations(actor.to_bytes(), 1 << 40)),
        ("inflates to 200 MiB", bombs::inflating(200 << 20)),
    ];
    for (what, bomb) in found {
        let bytes = bomb.len();
        insider.write(home, &[bomb]);
        for device in [&mut *teacher, &mut *mother] {
            let started = Instant::now();
            let rose = peak(|| device.sync(home));
            println!("{what} in {bytes} bytes: {rose} KiB more, {} ms", started.elapsed().as_millis());
            assert!(rose <= MOST_KIB, "{what}: {rose} KiB");
        }
    }
}
