//! Text that compresses like prose: words of two syllables, drawn by a small linear congruential generator.

const FIRST: [&str; 16] =
    ["ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "ly", "kjø"];
const SECOND: [&str; 32] = [
    "ber", "dan", "fer", "gel", "hen", "kal", "len", "mer", "nen", "per", "rad", "sen", "tar", "ver", "lig", "set",
    "bo", "da", "fe", "gi", "ho", "ke", "la", "me", "ni", "po", "re", "sa", "te", "va", "ske", "tre",
];

/// Some 200 bytes for entry `i`.
pub fn text(i: u64) -> String {
    let mut state = i.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
    let mut out = format!("m{i:07} ");
    while out.len() < 195 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = (state >> 33) as usize % 512;
        out.push_str(FIRST[word % 16]);
        out.push_str(SECOND[word / 16]);
        out.push(' ');
    }
    out
}
