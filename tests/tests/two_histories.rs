//! A home whose disk was put back without a word signs a second history. It is a matter of the scopes where that happened:
//! they stop, with proof; the family or the holder founds them anew on what the home has now; nobody's words are lost,
//! and what was withdrawn stays withdrawn.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_client_core::client::input::{Command as C, WithdrawTarget};
use stafett_protocol::event::Body;
use stafett_protocol::ids::ScopeId;
use stafett_tests::model::cast::{Cast, cast, concern, list, log, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::people::Device;

/// The disk of the home becomes an old copy, and nobody knows; or its operator has opened it too early.
fn put_back(cast: &mut Cast, old: &ModelHome) {
    cast.home.put_back(old);
    cast.home.open_again();
}

fn say(home: &mut ModelHome, by: &mut Device, concern: &str, words: &str) {
    by.ask(home, C::Glimpse { concern: concern.into(), text: words.into() }).unwrap();
    by.sync(home);
}

fn rounds(cast: &mut Cast, times: usize) {
    let Cast { home, leader, teacher, mother, father, .. } = cast;
    for _ in 0..times {
        for device in [&mut *teacher, &mut *mother, &mut *father, &mut *leader] {
            device.sync(home);
        }
        home.now += 60_000;
    }
}

fn glimpses(home: &mut ModelHome, device: &mut Device, concern: &str) -> Vec<String> {
    let seen = device.ask(home, C::ConcernShow { concern: concern.into() }).unwrap();
    let mut all: Vec<String> = list(&seen, "glimpses").iter().map(|g| text(g, "text")).collect();
    all.sort();
    all
}

fn status(home: &mut ModelHome, device: &mut Device) -> String {
    text(&device.ask(home, C::LogList).unwrap()["logs"][0], "status")
}

/// Somebody whose device knows nothing of what is gone writes first. `more`: how much the mother has written before.
fn forked(more: usize) -> (Cast, String, String) {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    rounds(&mut cast, 2);
    let old = cast.home.clone();
    for n in 0..more {
        say(&mut cast.home, &mut cast.mother, &homework, &format!("mor {n}"));
    }
    put_back(&mut cast, &old);
    say(&mut cast.home, &mut cast.father, &homework, "far");
    (cast, log, homework)
}

/// Whoever has seen more notices, however long either history is; the home goes on serving everybody else.
#[test]
fn s10_two_histories_are_noticed_however_long_either_is_and_stop_their_scope_alone() {
    for more in [1, 2, 5] {
        let (mut cast, log, homework) = forked(more);
        for _ in 0..2 {
            cast.mother.sync(&mut cast.home);
        }
        assert_eq!(status(&mut cast.home, &mut cast.mother), "stopped", "{more}: {}", cast.mother.last_problem());
        let proof = cast.mother.ask(&mut cast.home, C::AuditVerify { log: log.clone() }).unwrap();
        assert_eq!(list(&proof, "forks").len(), 1, "{more}: {proof}");
        // It spreads by letter: nobody is shown words as sent that others do not have.
        rounds(&mut cast, 2);
        assert_eq!(status(&mut cast.home, &mut cast.father), "stopped", "{more}: {}", cast.father.last_problem());
        // The card and everything else go on.
        assert!(!cast.home.ailing(), "{more}: the home signs");
        cast.teacher.ask(&mut cast.home, C::Note { log: log.clone(), text: "Det går videre".into() }).unwrap();
        cast.teacher.sync(&mut cast.home);
        let seen = cast.mother.ask(&mut cast.home, C::LogShow { log: log.clone() });
        assert!(seen.is_ok(), "{more}: {seen:?} {homework}");
    }
}

/// The way on from where the home is now: a guardian says so, and who has seen more comes over with all that is theirs.
#[test]
fn s10_the_family_goes_on_from_two_histories_and_nobodys_words_are_lost() {
    for more in [1, 2, 5] {
        let (mut cast, log, homework) = forked(more);
        rounds(&mut cast, 3);
        cast.father.ask(&mut cast.home, C::LogContinue { log: log.clone() }).unwrap();
        rounds(&mut cast, 6);
        let mut all: Vec<String> = (0..more).map(|n| format!("mor {n}")).collect();
        all.insert(0, "far".into());
        let Cast { home, teacher, mother, father, .. } = &mut cast;
        for device in [teacher, mother, father] {
            assert_eq!(status(home, device), "active", "{more}: {}", device.last_problem());
            assert_eq!(glimpses(home, device, &homework), all, "{more}: {}", device.last_problem());
        }
        // What was proved stays proved.
        let proof = cast.mother.ask(&mut cast.home, C::AuditVerify { log: log.clone() }).unwrap();
        assert_eq!(list(&proof, "forks").len(), 1, "{more}: {proof}");
    }
}

/// The way on from the other side: who may found anew has seen more than the home has now, and takes over what it has.
#[test]
fn s10_who_has_seen_more_leads_the_log_on() {
    let (mut cast, log, homework) = forked(3);
    rounds(&mut cast, 3);
    cast.mother.ask(&mut cast.home, C::LogContinue { log: log.clone() }).unwrap();
    rounds(&mut cast, 8);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    for device in [teacher, mother, father] {
        assert_eq!(glimpses(home, device, &homework), ["far", "mor 0", "mor 1", "mor 2"], "{}", device.last_problem());
    }
}

/// Denial wins: a withdrawal that stood in the history that is gone comes into the one that goes on.
#[test]
fn s10_c4_a_withdrawal_of_the_other_history_is_carried_over() {
    let mut cast = cast();
    let log = log(&mut cast);
    let homework = concern(&mut cast, &log);
    rounds(&mut cast, 2);
    let old = cast.home.clone();
    let consents = cast.mother.ask(&mut cast.home, C::ConsentList { log: log.clone() }).unwrap();
    let custody = list(&consents, "consents").iter().find(|c| c["access"] == "custody").unwrap();
    let target = WithdrawTarget::Grant(text(custody, "id"));
    cast.mother.ask(&mut cast.home, C::ConsentWithdraw { log: log.clone(), target }).unwrap();
    cast.mother.sync(&mut cast.home);
    // The letters of that time are lost with the disk.
    put_back(&mut cast, &old);
    cast.home.mail.values_mut().for_each(Vec::clear);
    say(&mut cast.home, &mut cast.father, &homework, "far");
    rounds(&mut cast, 3);
    cast.father.ask(&mut cast.home, C::LogContinue { log: log.clone() }).unwrap();
    rounds(&mut cast, 8);
    let concern: ScopeId = homework.parse().unwrap();
    let chain = &cast.home.scopes[&concern];
    let leader = cast.leader.id.unwrap();
    assert!(!chain.replica.state().may_read(leader, cast.home.now), "{}", cast.mother.last_problem());
}

/// Only who may found a scope anew leads on, and only where there is something to lead on from.
#[test]
fn s10_nobody_leads_on_without_need_or_right() {
    let (mut cast, log, _) = forked(2);
    rounds(&mut cast, 3);
    assert_eq!(cast.leader.ask(&mut cast.home, C::LogContinue { log: log.clone() }).unwrap_err().code, "not-yours");
    let Cast { home, father, .. } = &mut cast;
    father.ask(home, C::LogContinue { log: log.clone() }).unwrap();
    rounds(&mut cast, 6);
    let again = cast.father.ask(&mut cast.home, C::LogContinue { log }).unwrap_err();
    assert_eq!(again.code, "nothing-stopped", "{again:?}");
    let founded = |chain: &stafett_tests::model::home::ScopeChain| {
        let events = chain.records.iter().map(|r| r.event.peek().unwrap());
        events.filter(|e| matches!(e.body, Body::Genesis(_))).count()
    };
    let anew = cast.home.scopes.values().filter(|chain| founded(chain) > 1).count();
    assert_eq!(anew, 1, "what has one history stays as it is");
}
