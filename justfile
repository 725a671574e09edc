# Everyday commands; `just` lists them. Everything here is a plain command that works without just, too.

default:
    @just --list --unsorted

# The whole story of a log on this machine: real server, TLS, separate homes; says what was proved
demo *ARGS:
    cargo run --release --bin stafett -- demo {{ARGS}}

# All suites. Without PostgreSQL's binaries they say what they did not run
test *ARGS:
    cargo test --workspace {{ARGS}}

# Format, lints, supply chain: what .ci/run checks beside the tests
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check bans licenses sources

# The first figures of the performance table, beside the limits of this machine, in one run
bench EDITS="10000":
    cargo build --release --bin stafettd --bin bench
    target/release/bench {{EDITS}}

# Breaks the code on purpose, a property at a time, and shows which test notices; `just sabotage --only SP3` for one
sabotage *ARGS:
    cargo run -p stafett-tests --bin sabotage -- {{ARGS}}

# Every condition of the rules wrong once, in one build: which of them no test of protocol notices (docs/mutants.md)
mutants *FILES:
    tests/mutants/run {{FILES}}

# Long runs of random worlds: `just worlds --seeds 5000 --minutes 60`; a violation prints the command that replays it
worlds *ARGS:
    cargo run --release -p stafett-tests --bin simulate -- {{ARGS}}

# Test vectors after a change of the protocol, and the independent verifier's word on them and on every verdict
vectors:
    UPDATE_VECTORS=1 cargo test --workspace --test suite vectors::committed
    cargo test --workspace --test suite vectors::

# Coverage-guided fuzzing of every target, SECONDS each, from the kept corpus; `just fuzz keep` adds what is new to it
fuzz SECONDS="60" *TARGETS:
    tests/fuzz/run {{SECONDS}} {{TARGETS}}

# Known vulnerabilities; fetches the advisory database
advisories:
    cargo deny check advisories

# As CI does it
ci:
    .ci/run

# Format everything
fmt:
    cargo fmt --all

# The two programs, unoptimised: target/debug/stafettd and target/debug/stafett
build:
    cargo build --workspace --bins

# A municipality's server for trying things out, in DIR
server DIR:
    target/debug/stafettd init --home {{DIR}} --number 3209 --name Ullensaker || true
    target/debug/stafettd serve --home {{DIR}}

# Reference pages of the crates
doc:
    cargo doc --workspace --no-deps --open
