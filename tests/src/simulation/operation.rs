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
    /// A member breaks the rules with its own keys.
    Attack {
        by: usize,
        what: Attack,
    },
    /// So many rounds of the network.
    Network {
        rounds: usize,
    },
}

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Glimpse {
        who: usize,
        log: usize,
        concern: usize,
    },
    Measure {
        who: usize,
        log: usize,
        concern: usize,
    },
    Note {
        who: usize,
        log: usize,
    },
    Evaluate {
        who: usize,
        log: usize,
        concern: usize,
    },
    NewConcern {
        log: usize,
    },
    CloseConcern {
        log: usize,
        concern: usize,
    },
    AskForAccess {
        log: usize,
        concern: usize,
        contribute: bool,
    },
    Consent {
        guardian: usize,
    },
    Refuse {
        guardian: usize,
    },
    NameWhoActs {
        log: usize,
    },
    /// The access of those who do not hold the log.
    Withdraw {
        guardian: usize,
        log: usize,
    },
    /// The consent that the holder's unit holds on: the log rests then.
    WithdrawHold {
        guardian: usize,
        log: usize,
    },
    NewDevice {
        who: usize,
    },
    RemoveDevice {
        who: usize,
    },
    /// It is gone, and its person ends it on another one.
    LoseDevice {
        who: usize,
    },
    /// By the holder, by the leader who has taken over, or by a parent where the log rests.
    OfferBaton {
        by: usize,
        log: usize,
        to: Receiver,
        concern: usize,
    },
    /// Whoever has been offered something takes it, or, as a leader, names an employee.
    AcceptBaton {
        who: usize,
        pass_on: bool,
    },
    DeclineBaton {
        who: usize,
    },
    AbortBaton {
        log: usize,
    },
    Takeover {
        log: usize,
    },
    Sync {
        who: usize,
    },
}

/// To whom the baton is offered. The other unit is the PPT for a log of the school's: in most worlds it belongs to
/// another municipality, and the log moves there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    Colleague,
    OtherUnit,
    PersonOfOtherUnit,
}

/// What a member does whose program keeps no rules; `--mix` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Closes a gap in the key chain with bytes that open nothing.
    JunkLink,
    /// Rejects a commit, founds the scope anew and lets nobody back.
    FoundAlone,
    /// Writes thousands of changes, each numbered a small step ahead of the one before.
    Strides,
    /// Founds the card anew alone, gives the baton to another unit, and then lets everybody back.
    HandsOverAlone,
    /// A unit's leader and employee take over, and name another authority by a decision that nobody has made.
    NamesFamily,
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
    /// Out of every net for so many steps; its person writes on.
    Away { who: usize, steps: usize },
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
    /// The server keeps one message back for good, though the stream stands.
    Withhold { who: usize },
    /// The server sends two messages in the wrong order.
    Swap { who: usize },
    /// One bit of a message is another than the server meant, or than its author.
    Bend { who: usize, bit: usize },
    /// The servers lose each other, or find each other again.
    PeersApart { apart: bool },
    /// What strikes one server, counted among them.
    Home { which: usize, trouble: Trouble },
    /// Lies in wait: strikes at the next move of a log, once its driver has taken in so many messages of it.
    AtMove { after: usize, blow: Blow },
}

/// What strikes one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A copy of its database is taken.
    Copied,
    /// Its database is put back to that copy: it signs nothing.
    PutBack,
    /// Its operator, once everybody has been there, lets it sign again.
    Opened,
    /// Its disk takes nothing more for so many steps.
    DiskFull {
        steps: usize,
    },
    /// Its clock jumps, in seconds, until it is set right.
    Clock {
        by: i64,
    },
    ClockStops,
    ClockRight,
}

/// What strikes a device that moves a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    Crash,
    Cut,
    Away { steps: usize },
    PeersApart,
    ServerRestart,
}

type Draw<T> = fn(&Numbers) -> T;

/// What is drawn with a step, whichever it is.
struct Numbers {
    a: usize,
    b: usize,
    c: usize,
    seconds: i64,
}

/// How often of their sum each kind of step is drawn.
const WRITING: &[(u32, Draw<Wish>)] = &[
    (22, |n| Wish::Glimpse { who: n.a, log: n.b, concern: n.c }),
    (10, |n| Wish::Measure { who: n.a, log: n.b, concern: n.c }),
    (4, |n| Wish::Note { who: n.a, log: n.b }),
    (4, |n| Wish::Evaluate { who: n.a, log: n.b, concern: n.c }),
    (4, |n| Wish::NewConcern { log: n.a }),
    (16, |n| Wish::Sync { who: n.a }),
];
const ACCESS: &[(u32, Draw<Wish>)] = &[
    (6, |n| Wish::AskForAccess { log: n.a, concern: n.b, contribute: n.c % 2 == 0 }),
    (14, |n| Wish::Consent { guardian: n.a }),
    (5, |n| Wish::NameWhoActs { log: n.a }),
    (3, |n| Wish::Withdraw { guardian: n.a, log: n.b }),
];
const LIFE: &[(u32, Draw<Wish>)] = &[
    (2, |n| Wish::CloseConcern { log: n.a, concern: n.b }),
    (1, |n| Wish::Refuse { guardian: n.a }),
    (1, |n| Wish::WithdrawHold { guardian: n.a, log: n.b }),
    (2, |n| Wish::NewDevice { who: n.a }),
    (1, |n| Wish::RemoveDevice { who: n.a }),
    (1, |n| Wish::LoseDevice { who: n.a }),
    (9, |n| Wish::OfferBaton { by: n.a, log: n.b, to: RECEIVERS[n.c % 3], concern: n.c / 3 }),
    (14, |n| Wish::AcceptBaton { who: n.a, pass_on: n.b % 3 == 0 }),
    (1, |n| Wish::DeclineBaton { who: n.a }),
    (1, |n| Wish::AbortBaton { log: n.a }),
    (1, |n| Wish::Takeover { log: n.a }),
];
const RECEIVERS: [Receiver; 3] = [Receiver::Colleague, Receiver::OtherUnit, Receiver::PersonOfOtherUnit];

const FAULTS: &[(u32, Draw<Fault>)] = &[
    (30, |n| Fault::Crash { who: n.a, saved: n.b % 2 == 0, effects: n.c % 4 }),
    (18, |n| Fault::Cut { who: n.a }),
    (8, |n| Fault::Deaf { who: n.a, rounds: 10 + n.b % 12 * 5 }),
    (8, |n| Fault::Mute { who: n.a, rounds: 10 + n.b % 12 * 5 }),
    (4, |n| Fault::Away { who: n.a, steps: 5 + n.b % 40 }),
    (6, |n| Fault::DiskFull { who: n.a, steps: 1 + n.b % 12 }),
    (4, |n| Fault::Backup { who: n.a }),
    (3, |n| Fault::Restore { who: n.a }),
    (5, |n| Fault::Clock { who: n.a, by: n.seconds }),
    (3, |n| Fault::ServerClock { by: n.seconds.rem_euclid(3600) }),
    (2, |_| Fault::ServerRestart),
    (2, |n| Fault::Replay { who: n.a }),
    (3, |n| Fault::Withhold { who: n.a }),
    (2, |n| Fault::Swap { who: n.a }),
    (4, |n| Fault::Bend { who: n.a, bit: n.b << 10 | n.c }),
    (3, |n| Fault::PeersApart { apart: n.a % 2 == 0 }),
    (6, |n| Fault::AtMove { after: n.a % 7, blow: BLOWS[n.b % 5] }),
];
/// What strikes in worlds where servers ail, too.
const TROUBLES: &[(u32, Draw<Fault>)] = &[
    (4, |n| Fault::Home { which: n.a, trouble: Trouble::Copied }),
    (4, |n| Fault::Home { which: n.a, trouble: Trouble::PutBack }),
    (5, |n| Fault::Home { which: n.a, trouble: Trouble::Opened }),
    (4, |n| Fault::Home { which: n.a, trouble: Trouble::DiskFull { steps: 1 + n.b % 12 } }),
    (3, |n| Fault::Home { which: n.a, trouble: Trouble::Clock { by: n.seconds / 4 } }),
    (2, |n| Fault::Home { which: n.a, trouble: Trouble::ClockStops }),
    (3, |n| Fault::Home { which: n.a, trouble: Trouble::ClockRight }),
];
const BLOWS: [Blow; 5] = [Blow::Crash, Blow::Cut, Blow::Away { steps: 20 }, Blow::PeersApart, Blow::ServerRestart];

/// What people are about in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// They write, and nobody's rights change.
    Writing,
    /// They write, and the PPT comes and goes.
    Access,
    /// Everything: devices, the baton, moves.
    Life,
    /// The same, and servers ail: they are put back, full, and their clocks go wrong.
    Ailing,
    /// Everything, and a hostile member.
    Attacked(Attack),
}

/// As the option of `simulate`.
const WORDS: &[(Mix, &str)] = &[
    (Mix::Writing, "writing"),
    (Mix::Access, "access"),
    (Mix::Life, "life"),
    (Mix::Ailing, "ailing"),
    (Mix::Attacked(Attack::JunkLink), "junk-link"),
    (Mix::Attacked(Attack::FoundAlone), "found-alone"),
    (Mix::Attacked(Attack::Strides), "strides"),
    (Mix::Attacked(Attack::HandsOverAlone), "hands-over-alone"),
    (Mix::Attacked(Attack::NamesFamily), "names-family"),
];

impl std::fmt::Display for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = WORDS.iter().find(|(mix, _)| mix == self).map(|(_, word)| *word);
        f.write_str(word.expect("every mix has a word"))
    }
}

impl std::str::FromStr for Mix {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let mix = WORDS.iter().find(|(_, w)| *w == word).map(|(mix, _)| *mix);
        mix.ok_or_else(|| format!("a mix is one of {:?}", WORDS.iter().map(|(_, w)| w).collect::<Vec<_>>()))
    }
}

impl Mix {
    fn wishes(self) -> Vec<(u32, Draw<Wish>)> {
        match self {
            Self::Writing => WRITING.to_vec(),
            Self::Access => [WRITING, ACCESS].concat(),
            Self::Life | Self::Ailing | Self::Attacked(_) => [WRITING, ACCESS, LIFE].concat(),
        }
    }

    fn faults(self) -> Vec<(u32, Draw<Fault>)> {
        match self {
            Self::Ailing => [FAULTS, TROUBLES].concat(),
            _ => FAULTS.to_vec(),
        }
    }
}

fn pick<T>(rng: &mut ChaCha20Rng, table: &[(u32, Draw<T>)]) -> T {
    let mut n = |most: u32| (rng.next_u32() % most) as usize;
    let (a, b, c, seconds) = (n(1024), n(1024), n(1024), i64::from(n(200_000) as u32) - 100_000);
    let mut drawn = rng.next_u32() % table.iter().map(|(weight, _)| weight).sum::<u32>();
    let mut kinds = table.iter();
    loop {
        let (weight, draw) = kinds.next().expect("within the sum");
        if drawn < *weight {
            return draw(&Numbers { a, b, c, seconds });
        }
        drawn -= weight;
    }
}

/// The steps of a seed.
pub fn draw(seed: u64, size: Size) -> Vec<Step> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0x5747_4146_4554_5421);
    let (wishes, faults) = (size.mix.wishes(), size.mix.faults());
    // Some worlds are calm, some are not.
    let storm = rng.next_u32() % 40;
    let attack = match size.mix {
        Mix::Attacked(what) => Some(what),
        _ => None,
    };
    (0..size.steps)
        .map(|_| match rng.next_u32() % 100 {
            99 if attack.is_some() => {
                let (by, what) = (rng.next_u32() as usize % 1024, attack.expect("there is one"));
                Step::Attack { by, what }
            }
            drawn if drawn < storm => Step::Fault(pick(&mut rng, &faults)),
            drawn if drawn < storm + 25 => Step::Network { rounds: (rng.next_u32() % 60) as usize },
            _ => Step::Wish(pick(&mut rng, &wishes)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::CI;
    use super::*;

    #[test]
    fn a_seed_draws_the_same_steps_again() {
        let size = Size { logs: 1, steps: 300, mix: Mix::Life, ..CI };
        assert_eq!(draw(7, size), draw(7, size));
        assert_ne!(draw(7, size), draw(8, size));
    }
}
