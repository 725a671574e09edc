//! A hostile member at random: any sequence of events that the keys of one or two members can sign, on real replicas,
//! while honest members answer. After every step nobody reads without consent, there is one holder, the family is in,
//! and there is a way on. `STAFETT_HISTORIES=n` plays more, `STAFETT_SEED=n` the same again; `STAFETT_CAST=name,name` and
//! `STAFETT_BROKEN=name,name` look for less.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

// `moves`: what can happen. `draw`: histories at random. `deeds`, `play`: how they are performed. `facts`, `honest`:
// what the rules say, and what honest clients do. `ledger`, `checks`: what must hold. `shrink`: a list made short.
mod checks;
mod deeds;
mod draw;
mod facts;
mod honest;
mod ledger;
mod moves;
mod play;
mod shrink;

use self::checks::{ALL, Broken, Violation};
use self::draw::history;
use self::moves::Move::*;
use self::moves::P::*;
use self::moves::{Aim, Game, Gift, Move, Rule, Seat, cast};
use self::play::{Start, play, starts};
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the suite looks where nobody says how many histories.
const LOOKS: Duration = Duration::from_secs(25);
/// Histories whose verdicts are written down for the second opinion (`common::verdicts`): each verdict is a line.
const WITNESSED: u64 = 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What an option names, by commas; nothing where it is not set.
fn listed(option: &str) -> Vec<&str> {
    option.split(',').filter(|name| !name.is_empty()).collect()
}

/// A seed's violation as words: the least list, and how to see it again.
fn story(starts: &[Start], seed: u64, casts: &[&str], kinds: &[Broken]) -> Option<String> {
    let (game, steps, found) = history(starts, seed, casts, kinds);
    let (least, violation) = shrink::shrunk(starts, game, &steps, found?);
    let lines: String = least.iter().map(|step| format!("    {step:?},\n")).collect();
    let Game { cast, quorum, young } = game;
    let Violation { kind, what } = violation;
    Some(format!("STAFETT_SEED={seed}: {kind:?}: {what}\n  {:?}, quorum {quorum}, young {young}:\n{lines}", cast.name))
}

/// Plays seeds from `first` on, on every thread some, until `many` are played, time is up, or something is broken.
fn look(first: u64, many: Option<u64>, casts: &[&str], kinds: &[Broken]) {
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(8));
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let on = |n: u64| many.map_or(begun.elapsed() < LOOKS, |many| n < many) && !stop.load(Ordering::Relaxed);
    let worker = || {
        let starts = starts();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if !on(n) {
                return None;
            }
            let played = std::panic::catch_unwind(AssertUnwindSafe(|| story(&starts, first + n, casts, kinds)));
            let found = played.unwrap_or_else(|_| Some(format!("STAFETT_SEED={}: the test itself fails", first + n)));
            if found.is_some() {
                stop.store(true, Ordering::Relaxed);
                return found;
            }
        }
    };
    let found: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|w| w.join().unwrap()).collect()
    });
    let played = next.load(Ordering::Relaxed);
    println!("seeds from {first}: {played} histories in {:?}", begun.elapsed());
    assert!(found.is_empty(), "after {played} histories:\n{}", found.join("\n"));
}

#[test]
fn no_hostile_history_breaks_what_must_hold() {
    let one = number("STAFETT_SEED");
    let clock = || u64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let witnessed = std::env::var_os("STAFETT_VERDICTS").map(|_| WITNESSED);
    let many = one.map(|_| 1).or_else(|| number("STAFETT_HISTORIES")).or(witnessed);
    let option = |name| std::env::var(name).unwrap_or_default();
    let (casts, named) = (option("STAFETT_CAST"), option("STAFETT_BROKEN"));
    let wanted = |kind: &Broken| named.is_empty() || listed(&named).contains(&format!("{kind:?}").as_str());
    let kinds: Vec<Broken> = ALL.into_iter().filter(wanted).collect();
    look(one.unwrap_or_else(clock), many, &listed(&casts), &kinds);
}

/// The checks are no stricter than honest life.
#[test]
fn the_honest_alone_break_nothing() {
    look(1, Some(30), &["nobody"], &ALL);
}

/// Every kind of move is accepted now and then: a history that is refused whole shows nothing. (Only what is said twice,
/// and a few that the rules should refuse, are not asked for.)
#[test]
fn every_move_comes_to_something() {
    let starts = starts();
    let name = |step: &Move| format!("{step:?}").split(' ').next().unwrap().to_owned();
    let mut seen = BTreeSet::new();
    for seed in 1..=100 {
        // Few may bring a decision.
        let casts: &[&str] = if seed % 5 == 0 { &["unit and outsider"] } else { &[] };
        seen.extend(history(&starts, seed, casts, &[]).1.iter().map(name));
    }
    let all = "Answer Authority Close Device HandOver JunkLink LetIn Object Refound Reject Rekey Remove Renew Resync Sign \
               TakeOver Wait Withdraw Withhold Write";
    let never: Vec<&str> = all.split_whitespace().filter(|name| !seen.contains(*name)).collect();
    assert!(never.is_empty(), "never accepted: {never:?}");
}

/// What these steps break, of this kind.
fn broken(cast_name: &str, quorum: u8, steps: &[Move], kind: Broken) -> Option<String> {
    let game = Game { cast: cast(cast_name), quorum, young: false };
    played(&Start::new(quorum), game, steps, kind)
}

fn played(start: &Start, game: Game, steps: &[Move], kind: Broken) -> Option<String> {
    play(start, game, steps, &[kind]).err().map(|(at, v)| format!("after step {at}: {}", v.what))
}

/// A guardian rejects whatever commit was the last, founds anew and lets nobody back.
#[test]
fn a2_who_founds_anew_alone_shuts_nobody_of_the_family_up() {
    let guardian = [Reject { by: Father }, Refound { by: Father, back: 0, junk: false }];
    assert_eq!(broken("guardian", 2, &guardian, Broken::FamilyMute), None);
    let holder = [Reject { by: Teacher }, Refound { by: Teacher, back: 1, junk: false }];
    assert_eq!(broken("holder", 2, &holder, Broken::FamilyMute), None);
}

#[test]
fn a2_who_founds_anew_alone_does_not_have_the_log_alone() {
    // Those who are kept out have no key of the generation that they found anew from.
    for (cast, by) in [("holder", Teacher), ("guardian", Father)] {
        let steps = [Reject { by }, Refound { by, back: 0, junk: false }];
        assert_eq!(broken(cast, 2, &steps, Broken::NoWayOn), None, "{cast}");
    }
}

/// A guardian has the log founded anew while it has no holder's consent, and gives it to somebody else before the
/// holder is back.
const EX_HOLDER: [Move; 6] = [
    Withdraw { by: Father, aim: Aim::Hold },
    Sign { by: Father, gift: Gift::HoldSchool, nth: 2 },
    Reject { by: Father },
    Refound { by: Father, back: 1, junk: false },
    HandOver { by: Father, to: Made },
    LetIn { by: Father, who: Teacher, devices: 1, seat: Seat::Kept },
];

#[test]
fn a4_a_log_given_away_after_a_founding_has_one_holder() {
    assert_eq!(broken("guardian", 1, &EX_HOLDER, Broken::TwoHolders), None);
}

#[test]
fn a4_the_holder_of_before_does_not_come_back_without_consent() {
    assert_eq!(broken("guardian", 1, &EX_HOLDER, Broken::Reads), None);
}

#[test]
fn a5_a_reader_cannot_close_a_gap_in_the_key_chain_with_junk() {
    let steps = [Resync { by: Ppt }, JunkLink { by: Ppt, off: 0 }];
    assert_eq!(broken("reader", 2, &steps, Broken::NoPast), None);
}

#[test]
fn a6_a_leader_alone_does_not_put_the_family_out() {
    let steps = [
        TakeOver { by: Leader },
        HandOver { by: Leader, to: Made },
        Authority { by: Leader, to: Rule::Invented, decision: Some(0) },
    ];
    assert_eq!(broken("leader", 2, &steps, Broken::FamilyOut), None);
}

/// Holder, leader and another unit's leader bring one decision, and another beside it: what was said against the first
/// still counts.
#[test]
fn a6_a_second_decision_does_not_take_the_objection_off_the_first() {
    let decides = |nth| Authority { by: Teacher, to: Rule::FatherAlone, decision: Some(nth) };
    let steps = [decides(0), Object { by: Mother, nth: 0 }, decides(1), Wait { days: 8 }, decides(0), decides(1)];
    assert_eq!(broken("unit and outsider", 2, &steps, Broken::FamilyOut), None);
}

/// Whose leader has ended it does not come back on the copy of the leader's word, nor does anybody bring a decision who
/// answers for a unit of another municipality, or for none.
#[test]
fn outsiders_come_in_by_nobody_s_old_word() {
    let back = [LetIn { by: Ppt, who: Former, devices: 1, seat: Seat::Given(Gift::ReadPpt) }];
    assert_eq!(broken("reader and former", 2, &back, Broken::Reads), None);
    for by in [Teacher, Leader] {
        let decides = Authority { by, to: Rule::FatherAlone, decision: Some(0) };
        let steps = [decides, Wait { days: 8 }, decides];
        assert_eq!(broken("holder and foreigner", 2, &steps, Broken::FamilyOut), None, "{by:?}");
    }
}

/// The holder rejects the very commit that let the family in, and founds anew alone.
#[test]
fn a2_who_rejects_the_commit_that_let_the_family_in_puts_nobody_of_it_out() {
    let game = Game { cast: cast("holder"), quorum: 2, young: true };
    let steps = [Reject { by: Teacher }, Refound { by: Teacher, back: 0, junk: false }];
    for kind in [Broken::FamilyOut, Broken::FamilyMute, Broken::NoWayOn] {
        assert_eq!(played(&Start::young(2), game, &steps, kind), None);
    }
}

/// An employee rejects a commit, comes back with one of two devices, and goes when the certificate runs out.
#[test]
fn a9_an_employee_does_not_come_back_without_a_voucher() {
    let steps = [
        Renew { by: Ppt, junk: false },
        Reject { by: Ppt },
        Withhold { by: Ppt },
        Wait { days: 31 },
        Answer { by: Father, pick: 0 },
        Answer { by: Teacher, pick: 0 },
    ];
    assert_eq!(broken("reader", 2, &steps, Broken::Reads), None);
}

/// An employee who is let in by name, too, and sent back to the seat of before by a rejection, is there no longer than the
/// leader's certificate says.
#[test]
fn a9_whom_a_rejection_sends_back_stays_no_longer_than_before() {
    let steps = [
        Sign { by: Mother, gift: Gift::ReadPptByName, nth: 1 },
        LetIn { by: Father, who: Ppt, devices: 1, seat: Seat::Given(Gift::ReadPptByName) },
        Reject { by: Ppt },
        Wait { days: 31 },
    ];
    assert_eq!(broken("guardian and employee", 1, &steps, Broken::Reads), None);
}

/// One guardian of two says no, and the other, whose word is enough, yes.
#[test]
fn a10_whoever_withdrew_from_a_person_is_asked_before_they_come_back() {
    for (aim, gift) in [
        (Aim::Person(Ppt), Gift::ReadPpt),
        (Aim::Person(Ppt), Gift::ReadPptByName),
        (Aim::PptUnit, Gift::ReadPptByName),
    ] {
        let steps = [
            Withdraw { by: Mother, aim },
            Wait { days: 1 },
            Sign { by: Father, gift, nth: 0 },
            LetIn { by: Father, who: Ppt, devices: 1, seat: Seat::Given(gift) },
        ];
        assert_eq!(broken("guardian", 1, &steps, Broken::Reads), None, "{aim:?}, {gift:?}");
    }
}

#[test]
fn a10_a_guardian_is_not_dropped_by_the_other() {
    let steps = [Authority { by: Father, to: Rule::FatherAlone, decision: None }];
    assert_eq!(broken("guardian", 1, &steps, Broken::FamilyOut), None);
}

/// Who came back with the very commit that is rejected next.
#[test]
fn a_second_reject_loses_nobody_who_has_just_come_back() {
    let steps = [
        Reject { by: Ppt },
        Answer { by: Teacher, pick: 0 },
        LetIn { by: Teacher, who: Father, devices: 1, seat: Seat::Kept },
        LetIn { by: Teacher, who: Mother, devices: 1, seat: Seat::Kept },
        Reject { by: Father },
        Refound { by: Father, back: 0, junk: false },
    ];
    assert_eq!(broken("guardian and employee", 2, &steps, Broken::FamilyOut), None);
}

/// A founder's link to what was before is junk: those who were there give the true one.
#[test]
fn junk_carried_into_the_next_generation_is_not_the_last_word() {
    let steps = [Reject { by: Father }, Refound { by: Father, back: 0, junk: true }];
    let back = [Mother, Teacher].map(|who| LetIn { by: Father, who, devices: 1, seat: Seat::Kept });
    assert_eq!(broken("guardian", 2, &[&steps[..], &back].concat(), Broken::NoPast), None);
}

/// A reader's commit that nobody can process, and another one before anybody has answered: the newest key that the others
/// have is of an epoch that a re-founding may not carry.
#[test]
fn two_commits_that_nobody_can_process_do_not_end_the_log() {
    let steps = [Renew { by: Ppt, junk: true }, Resync { by: Ppt }];
    assert_eq!(broken("reader", 2, &steps, Broken::NoWayOn), None);
}

/// A resync, and a re-founding before anybody has repaired its gap: the next generation knows of no gap.
#[test]
fn a_gap_stays_repairable_in_the_next_generation() {
    let steps = [Resync { by: Father }, Reject { by: Father }, Refound { by: Father, back: 0, junk: false }];
    let back = [Mother, Teacher].map(|who| LetIn { by: Father, who, devices: 1, seat: Seat::Kept });
    assert_eq!(broken("guardian", 2, &[&steps[..], &back].concat(), Broken::NoPast), None);
}
