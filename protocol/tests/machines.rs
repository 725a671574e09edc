//! The two sides of a transfer, input by input: duplicated, reordered, replayed, late, for another home or
//! another home epoch (F3, F4, F8, F11). The model in `tests/` runs the same functions exhaustively.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::event::{Body, Event, Position, Record};
use stafett_protocol::ids::Hash;
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::signed::{Signed, id_of};
use stafett_protocol::transfer::{
    HomeAccept, Source, SourceInput as S, SourceOutput as Out, Target, TargetInput as T, TargetOutput as Answer,
    TargetStanding, accept_of,
};
use stafett_protocol::wire::Envelope;

fn at(seq: u64) -> Position {
    Position { seq, head: Hash([u8::try_from(seq).unwrap(); 32]) }
}

/// What `to` accepts of offer `offer` on the chain up to `seq`.
fn accept(to: u16, seq: u64, offer: u8) -> HomeAccept {
    HomeAccept {
        scope: CARD,
        log: stafett_protocol::ids::LogId([1; 16]),
        from: HOME,
        to,
        home_epoch: 2,
        extends: at(seq),
        envelope: Hash([offer; 32]),
        offer: Hash([offer; 32]),
        root: Hash([3; 32]),
    }
}

fn source(source: &mut Source, input: S<'_>) -> Result<Out, R> {
    let (next, output) = source.step(input)?;
    *source = next;
    Ok(output)
}

fn target(target: &mut Target, input: T<'_>) -> Result<Answer, R> {
    let (next, output) = target.step(input)?;
    *target = next;
    Ok(output)
}

fn commit(home: &mut Source, accept: &HomeAccept, own: &HomeAccept) -> Result<Out, R> {
    source(home, S::Commit { accept, own })
}

fn ask(home: &mut Source, accept: &HomeAccept, seq: u64) -> Result<Out, R> {
    source(home, S::Ask { accept, head: at(seq) })
}

#[test]
fn the_old_home_moves_once_and_says_so_for_ever() {
    let (mut home, a) = (Source::default(), accept(HAUGESUND, 7, 1));
    assert_eq!(source(&mut home, S::Append), Ok(Out::Received));
    assert_eq!(ask(&mut home, &a, 7), Ok(Out::Undecided));
    assert_eq!(commit(&mut home, &a, &a), Ok(Out::Tombstone));
    let stands = home.clone();
    // F3: the same again, in any order.
    assert_eq!(commit(&mut home, &a, &a), Ok(Out::Tombstone));
    assert_eq!(ask(&mut home, &a, 8), Ok(Out::Tombstone));
    assert_eq!(source(&mut home, S::Append), Err(R::Moved), "F7: nothing at the old home epoch after it");
    assert_eq!(source(&mut home, S::Abort { offer: a.offer }), Err(R::Moved), "too late");
    assert_eq!(home, stands);
}

#[test]
fn f4_of_two_offers_one_is_committed_and_the_other_home_is_freed() {
    let mut home = Source::default();
    let (b, c) = (accept(HAUGESUND, 7, 1), accept(4601, 7, 2));
    assert_eq!(commit(&mut home, &b, &b), Ok(Out::Tombstone));
    assert_eq!(commit(&mut home, &c, &c), Err(R::Moved));
    assert_eq!(ask(&mut home, &c, 8), Ok(Out::Never));
    assert_eq!(source(&mut home, S::Abort { offer: c.offer }), Ok(Out::TakenBack), "and may be taken back");
    assert_eq!(ask(&mut home, &b, 8), Ok(Out::Tombstone));
    let mut other = Target::default();
    target(&mut other, T::Prepare { accept: &c }).unwrap();
    assert_eq!(target(&mut other, T::Tombstone { accept: id_of(&b), position: at(8) }), Err(R::AcceptMismatch));
    assert_eq!(target(&mut other, T::Release { accept: id_of(&c) }), Ok(Answer::Released));
    assert_eq!(other.standing, TargetStanding::Nothing);
}

#[test]
fn an_offer_that_was_taken_back_is_never_committed_however_late() {
    let (mut home, a) = (Source::default(), accept(HAUGESUND, 7, 1));
    for _ in 0..2 {
        assert_eq!(source(&mut home, S::Abort { offer: a.offer }), Ok(Out::TakenBack));
    }
    assert_eq!(home.aborted.len(), 1);
    assert_eq!(commit(&mut home, &a, &a), Err(R::TransferAborted));
    assert_eq!(ask(&mut home, &a, 7), Ok(Out::Never));
    assert_eq!(source(&mut home, S::Append), Ok(Out::Received), "the log goes on here");
    // Another offer may follow.
    let again = accept(HAUGESUND, 7, 2);
    assert_eq!(commit(&mut home, &again, &a), Err(R::TransferAborted), "under whatever acceptance");
    assert_eq!(commit(&mut home, &again, &again), Ok(Out::Tombstone));
}

#[test]
fn an_acceptance_that_was_let_go_makes_room_for_another_of_the_same_offer() {
    let (mut home, mut new) = (Source::default(), Target::default());
    let a = accept(HAUGESUND, 7, 1);
    let again = HomeAccept { envelope: Hash([9; 32]), ..a.clone() };
    assert_eq!(target(&mut new, T::Prepare { accept: &a }), Ok(Answer::Accepted));
    assert_eq!(target(&mut new, T::Prepare { accept: &again }), Err(R::Bound), "it might be committed yet");
    for _ in 0..2 {
        assert_eq!(source(&mut home, S::Drop { accept: &a }), Ok(Out::Never));
    }
    assert_eq!(home.dropped.len(), 1);
    assert_eq!(commit(&mut home, &a, &a), Err(R::TransferAborted));
    assert_eq!(ask(&mut home, &a, 7), Ok(Out::Never), "whoever asks hears the same");
    assert_eq!(ask(&mut home, &again, 7), Ok(Out::Undecided), "the offer stands");
    assert_eq!(target(&mut new, T::Release { accept: id_of(&a) }), Ok(Answer::Released));
    assert_eq!(target(&mut new, T::Prepare { accept: &again }), Ok(Answer::Accepted));
    assert_eq!(commit(&mut home, &again, &again), Ok(Out::Tombstone));
    // Too late for the one that stands; for any other it is true for ever.
    assert_eq!(source(&mut home, S::Drop { accept: &again }), Ok(Out::Tombstone));
    assert_eq!(source(&mut home, S::Drop { accept: &a }), Ok(Out::Never));
    assert_eq!(ask(&mut home, &again, 8), Ok(Out::Tombstone));
}

#[test]
fn f5_an_acceptance_of_anything_else_is_not_committed() {
    let own = accept(HAUGESUND, 7, 1);
    let mut home = Source::default();
    for stale in [6, 8] {
        let stale = accept(HAUGESUND, stale, 1);
        assert_eq!(commit(&mut home, &stale, &own), Err(R::StaleAccept));
    }
    let forked = HomeAccept { extends: Position { head: Hash([9; 32]), ..own.extends }, ..own.clone() };
    assert_eq!(commit(&mut home, &forked, &own), Err(R::StaleAccept));
    let wrong = [
        HomeAccept { root: Hash([9; 32]), ..own.clone() },
        HomeAccept { envelope: Hash([9; 32]), ..own.clone() },
        HomeAccept { offer: Hash([9; 32]), ..own.clone() },
        HomeAccept { to: 4601, ..own.clone() },
        HomeAccept { from: 4601, ..own.clone() },
        HomeAccept { home_epoch: 3, ..own.clone() },
        HomeAccept { home_epoch: 1, ..own.clone() },
        HomeAccept { scope: JOURNAL, ..own.clone() },
    ];
    for wrong in wrong {
        assert_eq!(commit(&mut home, &wrong, &own), Err(R::AcceptMismatch), "{wrong:?}");
    }
    assert_eq!(home, Source::default());
}

#[test]
fn a_chain_that_went_on_frees_who_waits_at_an_older_head() {
    let (mut home, a) = (Source::default(), accept(HAUGESUND, 7, 1));
    assert_eq!(ask(&mut home, &a, 7), Ok(Out::Undecided));
    assert_eq!(ask(&mut home, &a, 8), Ok(Out::Never));
    let own = accept(HAUGESUND, 8, 1);
    assert_eq!(commit(&mut home, &a, &own), Err(R::StaleAccept), "and never it is");
}

#[test]
fn f11_the_new_home_is_bound_until_the_old_ones_word_and_serves_only_then() {
    let (mut home, a) = (Target::default(), accept(HAUGESUND, 7, 1));
    let tombstone = T::Tombstone { accept: id_of(&a), position: at(8) };
    assert_eq!(target(&mut home, T::Append), Err(R::UnknownScope));
    assert_eq!(target(&mut home, tombstone), Err(R::AcceptMismatch), "nothing was accepted");
    assert_eq!(target(&mut home, T::Prepare { accept: &a }), Ok(Answer::Accepted));
    assert_eq!(target(&mut home, T::Prepare { accept: &a }), Ok(Answer::Accepted), "a lost answer is asked again");
    assert_eq!(target(&mut home, T::Append), Err(R::NotActivated));
    // A year later, after a restart: what was stored is what counts.
    let stored = stafett_protocol::codec::encode(&home);
    let mut home: Target = stafett_protocol::codec::decode(&stored).unwrap();
    for position in [at(7), at(9)] {
        let elsewhere = T::Tombstone { accept: id_of(&a), position };
        assert_eq!(target(&mut home, elsewhere), Err(R::AcceptMismatch));
    }
    assert_eq!(target(&mut home, tombstone), Ok(Answer::Serves));
    assert_eq!(target(&mut home, tombstone), Ok(Answer::Serves), "F3: again");
    assert_eq!(target(&mut home, T::Append), Ok(Answer::Received));
    assert_eq!(target(&mut home, T::Prepare { accept: &a }), Ok(Answer::Accepted), "replayed");
    assert_eq!(target(&mut home, T::Prepare { accept: &accept(HAUGESUND, 9, 2) }), Err(R::AcceptMismatch));
    assert_eq!(target(&mut home, T::Release { accept: id_of(&a) }), Err(R::AcceptMismatch), "never let go again");
    // Words about another acceptance are about another acceptance.
    let other = id_of(&accept(HAUGESUND, 9, 2));
    let elsewhere = T::Tombstone { accept: other, position: at(8) };
    assert_eq!(target(&mut home, elsewhere), Err(R::AcceptMismatch));
    assert_eq!(target(&mut home, T::Release { accept: other }), Ok(Answer::Released));
    assert_eq!(home.standing, TargetStanding::Active(a));
}

#[test]
fn the_new_home_promises_one_thing_at_a_time() {
    let mut home = Target::default();
    let (first, other) = (accept(HAUGESUND, 7, 1), accept(HAUGESUND, 7, 2));
    target(&mut home, T::Prepare { accept: &first }).unwrap();
    assert_eq!(target(&mut home, T::Prepare { accept: &other }), Err(R::Bound), "either could be committed");
    assert_eq!(target(&mut home, T::Prepare { accept: &accept(HAUGESUND, 6, 2) }), Err(R::Bound));
    // The old home's own records lead past it: a new round.
    let next = accept(HAUGESUND, 9, 1);
    assert_eq!(target(&mut home, T::Prepare { accept: &next }), Ok(Answer::Accepted));
    assert_eq!(home.standing, TargetStanding::Bound(next.clone()));
    // Taken back: freed, once and for good for that acceptance, open for another.
    assert_eq!(target(&mut home, T::Release { accept: id_of(&first) }), Ok(Answer::Released));
    assert_eq!(home.standing, TargetStanding::Bound(next.clone()), "an older one frees nothing");
    for _ in 0..2 {
        assert_eq!(target(&mut home, T::Release { accept: id_of(&next) }), Ok(Answer::Released));
    }
    assert_eq!(
        (&home.standing, home.freed.as_slice()),
        (&TargetStanding::Nothing, [id_of(&first), id_of(&next)].as_slice())
    );
    assert_eq!(target(&mut home, T::Prepare { accept: &next }), Err(R::TransferAborted));
    let tombstone = T::Tombstone { accept: id_of(&next), position: at(10) };
    assert_eq!(target(&mut home, tombstone), Err(R::AcceptMismatch), "late, after the old home's no");
    assert_eq!(target(&mut home, T::Prepare { accept: &accept(HAUGESUND, 9, 3) }), Ok(Answer::Accepted));
}

#[test]
fn both_homes_make_the_same_acceptance_of_the_same_commit() {
    let world = World::new();
    let mut card = world.family_card();
    let basis = world.give_hold(&mut card, HAUGESUND_LEADER, 5);
    let offer = world.offer(&card, world.to_unit(HAUGESUND_LEADER, Some(HAUGESUND_TEACHER)), basis);
    let handover = world.agreed(&offer, TEACHER, HAUGESUND_TEACHER);
    let plan = card.handover_plan(&world, handover, Some(HAUGESUND_TEACHER));
    let teacher = world.device(TEACHER);
    let (commit, welcome) = card.commit(teacher, plan);
    let event = card.event(teacher, Body::Commit(commit));
    let envelope = Envelope { event: Signed::sign(&event, &teacher.key), welcome: welcome.map(Into::into) };
    let record = |time| Record { seq: card.state().position.seq + 1, time, event: envelope.event.clone() };
    let judge = |time| {
        let context = Context { now: time, ..card.context(&world) };
        card.replica.judge(record(time), &context).unwrap()
    };
    // The new home judges before the old one, by its own clock.
    let (there, here) = (judge(card.now), judge(card.now + 5000));
    let accept = accept_of(&card.replica, &there, &envelope).unwrap();
    assert_eq!(accept_of(&card.replica, &here, &envelope), Ok(accept.clone()));
    assert_eq!((accept.from, accept.to, accept.home_epoch), (HOME, HAUGESUND, 2));
    assert_eq!((accept.extends, accept.offer), (card.state().position, id_of(&offer)));
    let other = Envelope { welcome: None, ..envelope.clone() };
    assert_ne!(accept_of(&card.replica, &here, &other).unwrap(), accept, "the Welcome is part of it");
    // It is this commit's, on this scope's replica.
    let again = Event { counter: event.counter + 1, ..event };
    let another = Envelope { event: Signed::sign(&again, &teacher.key), ..envelope.clone() };
    assert_eq!(accept_of(&card.replica, &here, &another), Err(R::AcceptMismatch));
    let concern = world.concern(card.state());
    assert_eq!(accept_of(&concern.replica, &here, &envelope), Err(R::AcceptMismatch));
    // What moves nothing is accepted by nobody: neither a handover at home, nor a change.
    let basis = world.give_hold(&mut card, PPT_LEADER, 6);
    let offer = world.offer(&card, world.to_unit(PPT_LEADER, Some(PPT)), basis);
    let plan = card.handover_plan(&world, world.agreed(&offer, TEACHER, PPT), Some(PPT));
    let (commit, welcome) = card.commit(teacher, plan);
    let event = card.event(teacher, Body::Commit(commit));
    let record = card.record(teacher, &event);
    let judged = card.replica.judge(record.clone(), &card.context(&world)).unwrap();
    let envelope = Envelope { event: record.event, welcome: welcome.map(Into::into) };
    assert_eq!(accept_of(&card.replica, &judged, &envelope), Err(R::AcceptMismatch));
    let event = card.event(teacher, Body::Change(change()));
    let record = card.record(teacher, &event);
    let judged = card.replica.judge(record.clone(), &card.context(&world)).unwrap();
    let envelope = Envelope { event: record.event, welcome: None };
    assert_eq!(accept_of(&card.replica, &judged, &envelope), Err(R::AcceptMismatch));
}
