//! What happens in a world, as data: people's wishes, and faults. Numbers pick from what there is at that moment (modulo
//! its count), so that a step means something whichever others were left out.

use super::Size;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// One step of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Wish(Wish),
    Fault(Fault),
    /// So many rounds of the network.
    Network {
        rounds: usize,
    },
}

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Glimpse { who: usize, log: usize, concern: usize },
    Measure { who: usize, log: usize, concern: usize },
    Note { who: usize, log: usize },
    Evaluate { who: usize, log: usize, concern: usize },
    NewConcern { log: usize },
    CloseConcern { log: usize, concern: usize },
    AskForAccess { log: usize, concern: usize, contribute: bool },
    Consent { guardian: usize },
    Refuse { guardian: usize },
    NameWhoActs { log: usize },
    Withdraw { guardian: usize, log: usize },
    NewDevice { who: usize },
    RemoveDevice { who: usize },
    Sync { who: usize },
}

/// What strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before it saves, or after; `effects` of what it wanted to send still go out.
    Crash { who: usize, saved: bool, effects: usize },
    /// The stream breaks; what is on its way is lost.
    Cut { who: usize },
    /// For a while nothing reaches this device, though what it sends arrives.
    Deaf { who: usize, rounds: usize },
    /// For a while nothing that this device sends arrives.
    Mute { who: usize, rounds: usize },
    /// The disk takes nothing more for a while: whoever wants to save stops.
    DiskFull { who: usize, steps: usize },
    /// A backup of this device's disk is taken.
    Backup { who: usize },
    /// The device is set back to its last backup.
    Restore { who: usize },
    /// The device's clock jumps, in seconds.
    Clock { who: usize, by: i64 },
    /// The server's clock jumps forward, or stands for a while.
    ServerClock { by: i64 },
    /// The server stops and starts: every stream breaks.
    ServerRestart,
    /// The server sends an old message once more.
    Replay { who: usize },
    /// The servers lose each other, or find each other again.
    PeersApart { apart: bool },
}

/// Weights: how often of a hundred each kind of step is drawn.
fn wish(rng: &mut ChaCha20Rng) -> Wish {
    let n = |rng: &mut ChaCha20Rng| (rng.next_u32() % 1024) as usize;
    let (a, b, c) = (n(rng), n(rng), n(rng));
    match rng.next_u32() % 100 {
        0..24 => Wish::Glimpse { who: a, log: b, concern: c },
        24..36 => Wish::Measure { who: a, log: b, concern: c },
        36..41 => Wish::Note { who: a, log: b },
        41..45 => Wish::Evaluate { who: a, log: b, concern: c },
        45..49 => Wish::NewConcern { log: a },
        49..51 => Wish::CloseConcern { log: a, concern: b },
        51..58 => Wish::AskForAccess { log: a, concern: b, contribute: c % 2 == 0 },
        58..70 => Wish::Consent { guardian: a },
        70..71 => Wish::Refuse { guardian: a },
        71..77 => Wish::NameWhoActs { log: a },
        77..81 => Wish::Withdraw { guardian: a, log: b },
        81..83 => Wish::NewDevice { who: a },
        83..84 => Wish::RemoveDevice { who: a },
        _ => Wish::Sync { who: a },
    }
}

fn fault(rng: &mut ChaCha20Rng) -> Fault {
    let who = (rng.next_u32() % 1024) as usize;
    let some = (rng.next_u32() % 12) as usize;
    let seconds = i64::from(rng.next_u32() % 200_000) - 100_000;
    match rng.next_u32() % 100 {
        0..35 => Fault::Crash { who, saved: some < 6, effects: some / 3 },
        35..55 => Fault::Cut { who },
        55..63 => Fault::Deaf { who, rounds: 10 + some * 5 },
        63..71 => Fault::Mute { who, rounds: 10 + some * 5 },
        71..77 => Fault::DiskFull { who, steps: 1 + some },
        77..81 => Fault::Backup { who },
        81..84 => Fault::Restore { who },
        84..90 => Fault::Clock { who, by: seconds },
        90..93 => Fault::ServerClock { by: seconds.rem_euclid(3600) },
        93..95 => Fault::ServerRestart,
        95..98 => Fault::PeersApart { apart: some < 6 },
        _ => Fault::Replay { who },
    }
}

/// The steps of a seed.
pub fn draw(seed: u64, size: Size) -> Vec<Step> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0x5747_4146_4554_5421);
    // Some worlds are calm, some are not.
    let storm = rng.next_u32() % 40;
    (0..size.steps)
        .map(|_| match rng.next_u32() % 100 {
            drawn if drawn < storm => Step::Fault(fault(&mut rng)),
            drawn if drawn < storm + 25 => Step::Network { rounds: (rng.next_u32() % 60) as usize },
            _ => Step::Wish(wish(&mut rng)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_steps_again() {
        let size = Size { logs: 1, steps: 300 };
        assert_eq!(draw(7, size), draw(7, size));
        assert_ne!(draw(7, size), draw(8, size));
    }
}
