//! The entries of the bench: some 200 bytes that carry their own time and key and compress like prose.

use rustix::time::{ClockId, clock_gettime};

/// The longest an entry's text gets.
const BYTES: usize = 200;

/// Nanoseconds of `CLOCK_MONOTONIC`, the same clock in every process of the machine.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Entry `i`, written now.
pub fn text(i: u64) -> String {
    let mut text = format!("{}|m{i:07}|", now_ns());
    let mut state = i.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
    while text.len() < BYTES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&word((state >> 33) as usize % 512));
        text.push(' ');
    }
    text.truncate(BYTES);
    text
}

/// One of 512 words of two syllables.
fn word(number: usize) -> String {
    const FIRST: [&str; 16] =
        ["ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "ly", "kj"];
    const SECOND: [&str; 32] = [
        "ber", "dan", "fer", "gel", "hen", "kal", "len", "mer", "nen", "per", "rad", "sen", "tar", "ver", "lig", "set",
        "bo", "da", "fe", "gi", "ho", "ke", "la", "me", "ni", "po", "re", "sa", "te", "va", "ske", "tre",
    ];
    [FIRST[number % 16], SECOND[number / 16]].concat()
}

/// When an entry was written, and its key; `None` for what is no entry of the bench.
pub fn read(text: &str) -> Option<(u64, &str)> {
    let (time, rest) = text.split_once('|')?;
    let (key, _) = rest.split_once('|')?;
    Some((time.parse().ok()?, key.strip_prefix('m').filter(|digits| digits.len() == 7).map(|_| key)?))
}
