//! libFuzzer on one of the targets: `STAFETT_TARGET=judge fuzz tests/fuzz/corpus/judge -max_total_time=60`. With
//! `STAFETT_SEEDS=DIR` the target's valid objects are written there first, as the beginning of a corpus.
#![no_main]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../../protocol/tests/common/mod.rs"]
mod common;
mod targets;

use libfuzzer_sys::fuzz_target;
use std::cell::OnceCell;

thread_local! {
    /// Built once; libFuzzer calls from one thread.
    static TARGET: OnceCell<targets::Target> = const { OnceCell::new() };
}

fn chosen() -> targets::Target {
    let name =
        std::env::var("STAFETT_TARGET").unwrap_or_else(|_| panic!("set STAFETT_TARGET to one of {:?}", targets::NAMES));
    let target = targets::target(&name);
    if let Ok(folder) = std::env::var("STAFETT_SEEDS") {
        for (n, seed) in target.seeds.iter().enumerate() {
            std::fs::write(format!("{folder}/seed-{n}"), seed).expect("the folder is there");
        }
    }
    target
}

fuzz_target!(|input: &[u8]| TARGET.with(|target| (target.get_or_init(chosen).run)(input)));
