//! libFuzzer on one of the targets: `STAFETT_TARGET=judge fuzz DIR -max_total_time=60`. With `STAFETT_SEEDS=DIR` the
//! target's valid objects and its kept corpus are written there first, as the beginning of a working one.
#![no_main]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(dead_code, reason = "the modules of the suites come whole; the `client` target needs a part of them")]

#[path = "../../../protocol/tests/common/mod.rs"]
mod common;
#[path = "../../src/insider.rs"]
mod insider;
#[path = "../../src/model/mod.rs"]
mod model;
#[path = "../../src/simulation/mod.rs"]
mod simulation;
mod targets;

use libfuzzer_sys::fuzz_target;
use std::cell::OnceCell;

thread_local! {
    /// Built once, before the corpus is read; libFuzzer calls from one thread.
    static TARGET: OnceCell<targets::Target> = const { OnceCell::new() };
}

fn chosen() -> targets::Target {
    let name =
        std::env::var("STAFETT_TARGET").unwrap_or_else(|_| panic!("set STAFETT_TARGET to one of {:?}", targets::NAMES));
    let target = targets::target(&name);
    assert_eq!(target.name, name);
    if let Ok(folder) = std::env::var("STAFETT_SEEDS") {
        let kept = targets::kept(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"), &name);
        for (n, seed) in target.seeds.iter().chain(&kept).enumerate() {
            std::fs::write(format!("{folder}/seed-{n}"), seed).expect("the folder is there");
        }
    }
    target
}

fuzz_target!(
    init: TARGET.with(|target| _ = target.get_or_init(chosen)),
    |input: &[u8]| TARGET.with(|target| (target.get_or_init(chosen).run)(input))
);
