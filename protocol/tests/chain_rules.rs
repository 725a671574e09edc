//! Order, epochs, counters, roles: what the accept rule asks of every event.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::Access;
use stafett_protocol::event::{Body, Change, Event, Record};
use stafett_protocol::ids::Hash;
use stafett_protocol::limits;
use stafett_protocol::membership::Role;
use stafett_protocol::policy::{Action, can};
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::statement::Statement;

#[test]
fn counters_run_without_gap_and_are_used_once() {
    let world = World::new();
    let mut card = world.family_card();
    let mother = world.device(MOTHER);
    let good = card.event(mother, Body::Change(change()));
    let with = |counter| Event { counter, ..good.clone() };
    assert_eq!(card.submit_event(&world, mother, &with(2)), Err(R::CounterGap));
    assert_eq!(card.submit_event(&world, mother, &with(0)), Err(R::CounterUsed));
    assert_eq!(card.submit_event(&world, mother, &with(u64::MAX)), Err(R::CounterGap));
    assert_eq!(card.submit_event(&world, mother, &good), Ok(()));
    assert_eq!(card.submit_event(&world, mother, &good), Err(R::CounterUsed), "replay");
}

#[test]
fn scope_home_and_generation_must_be_this_ones() {
    let world = World::new();
    let mut card = world.family_card();
    let mother = world.device(MOTHER);
    let good = card.event(mother, Body::Change(change()));
    assert_eq!(card.submit_event(&world, mother, &Event { scope: JOURNAL, ..good.clone() }), Err(R::WrongScope));
    assert_eq!(card.submit_event(&world, mother, &Event { generation: 2, ..good.clone() }), Err(R::WrongGeneration));
    assert_eq!(card.submit_event(&world, mother, &Event { generation: 0, ..good.clone() }), Err(R::WrongGeneration));
    let record = card.record(mother, &good);
    let elsewhere = Context { home: 3201, ..card.context(&world) };
    assert_eq!(card.replica.judge(record, &elsewhere).map(drop), Err(R::WrongHome));
}

#[test]
fn statements_stand_in_the_same_frame_as_changes() {
    let world = World::new();
    let mut card = world.family_card();
    let mother = world.device(MOTHER);
    let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, &world.authority());
    let good = card.event(mother, Body::Statement(Statement::Grant(world.sign_grant(&grant, MOTHER))));
    for (wrong, refusal) in [
        (Event { scope: JOURNAL, ..good.clone() }, R::WrongScope),
        (Event { generation: 2, ..good.clone() }, R::WrongGeneration),
        (Event { counter: 0, ..good.clone() }, R::CounterUsed),
        (Event { counter: 2, ..good.clone() }, R::CounterGap),
    ] {
        assert_eq!(card.submit_event(&world, mother, &wrong), Err(refusal));
    }
    let elsewhere = Context { home: 3201, ..card.context(&world) };
    assert_eq!(card.replica.judge(card.record(mother, &good), &elsewhere).map(drop), Err(R::WrongHome));
    assert_eq!(card.submit_event(&world, mother, &good), Ok(()));
}

#[test]
fn what_a_button_asks_is_answered_for_the_person() {
    let world = World::new();
    let card = world.card_with_reader();
    let asks = |state: &ScopeState, who: Who, action| can(state, world.id(who), action, card.now);
    let mut state = card.state().clone();
    let answers = [MOTHER, PPT, STRANGER].map(|who| asks(&state, who, Action::Change));
    assert_eq!(answers, [Ok(()), Err(R::ReadOnly), Err(R::NotAMember)]);
    state.listed = vec![world.device(PPT).public()];
    assert_eq!(asks(&state, PPT, Action::Renew), Err(R::Listed));
    let bend = |state: &mut ScopeState, devices: Vec<[u8; 32]>| {
        state.membership.members.iter_mut().find(|m| m.person == world.id(PPT)).unwrap().devices = devices;
    };
    bend(&mut state, vec![world.device(PPT).public(), world.device_n(PPT, 1).public()]);
    assert_eq!(asks(&state, PPT, Action::Renew), Ok(()), "another device stays");
    bend(&mut state, vec![]);
    assert_eq!(asks(&state, PPT, Action::Renew), Ok(()), "no device is none that goes");
}

#[test]
fn the_chain_does_not_break_and_time_does_not_run_back() {
    let world = World::new();
    let mut card = world.family_card();
    let mother = world.device(MOTHER);
    let event = card.event(mother, Body::Change(change()));
    let good = card.record(mother, &event);
    let judge = |record: Record, now| card.replica.judge(record, &world.context(now, None)).map(drop);
    assert_eq!(judge(Record { seq: good.seq + 1, ..good.clone() }, card.now), Err(R::ChainBroken));
    assert_eq!(judge(Record { seq: good.seq - 1, ..good.clone() }, card.now), Err(R::ChainBroken));
    let before = card.state().time - 1;
    assert_eq!(judge(Record { time: before, ..good.clone() }, before), Err(R::TimeBackwards));
    assert_eq!(judge(good.clone(), card.now + 1), Err(R::TimeBackwards), "the context's time is the record's");
    assert_eq!(judge(good.clone(), card.now), Ok(()));
    // What the author saw must be on this chain.
    for (seen, why) in [
        (
            stafett_protocol::event::Position { seq: card.state().position.seq + 1, ..card.state().position },
            "the future",
        ),
        (stafett_protocol::event::Position { head: Hash([1; 32]), ..card.state().position }, "another history"),
        (stafett_protocol::event::Position { seq: 0, head: Hash([1; 32]) }, "another beginning"),
    ] {
        let twisted = Event { seen, ..event.clone() };
        assert_eq!(card.submit_event(&world, mother, &twisted), Err(R::ChainBroken), "{why}");
    }
    // Judged twice, applied once.
    let (one, two) = (
        card.replica.judge(good.clone(), &card.context(&world)).unwrap(),
        card.replica.judge(good, &card.context(&world)).unwrap(),
    );
    card.replica.apply(one).unwrap();
    assert_eq!(card.replica.apply(two).map(drop), Err(R::ChainBroken));
}

#[test]
fn a3_the_signature_is_the_authors() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let (mother, ppt) = (world.device(MOTHER), world.device(PPT));
    let event = card.event(mother, Body::Change(change()));
    assert_eq!(
        card.submit_event(&world, ppt, &event),
        Err(R::BadSignature),
        "signed by the reader in the mother's name"
    );
    assert_eq!(
        card.submit_event(
            &world,
            world.device_n(MOTHER, 1),
            &card.event(world.device_n(MOTHER, 1), Body::Change(change()))
        ),
        Err(R::NotAMember)
    );
    let receipt = Signed::sign(&card.replica.receipt(), &world.municipality);
    assert_eq!(card.replica.confirms(&receipt, &public(&world.municipality)), Ok(()));
    assert_eq!(
        card.replica.confirms(&Signed::sign(&card.replica.receipt(), &mother.key), &public(&world.municipality)),
        Err(R::BadSignature)
    );
    card.write(&world, mother).unwrap();
    assert_eq!(card.replica.confirms(&receipt, &public(&world.municipality)), Err(R::ChainBroken));
}

#[test]
fn r1_a_readers_change_is_refused_whoever_carries_it() {
    let world = World::new();
    let mut card = world.card_with_reader();
    assert_eq!(card.write(&world, world.device(PPT)), Err(R::ReadOnly));
    for who in [MOTHER, FATHER, TEACHER] {
        assert_eq!(card.write(&world, world.device(who)), Ok(()));
    }
}

#[test]
fn an_actor_writes_and_a_custodian_does_not() {
    let world = World::new();
    let mut card = world.family_card();
    let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Contribute);
    world.admit_ppt(&mut card, grant);
    assert_eq!(card.write(&world, world.device(PPT)), Ok(()));
    let custody = world.give(&mut card, world.unit_of(LEADER), Access::Custody);
    card.admit(&world, world.device(TEACHER), LEADER, Role::Custodian, custody, vec![]).unwrap();
    assert_eq!(card.write(&world, world.device(LEADER)), Err(R::ReadOnly));
    let voucher = vec![world.voucher(LEADER, COLLEAGUE, CARD)];
    let colleague = card.admit(&world, world.device(TEACHER), COLLEAGUE, Role::Custodian, custody, voucher);
    assert_eq!(colleague, Err(R::GrantMismatch), "the seat is the leader's alone");
}

#[test]
fn the_custodian_comes_into_a_concern_on_the_cards_grant() {
    let world = World::new();
    let mut card = world.family_card();
    let custody = world.grant(world.log(), CARD, world.unit_of(LEADER), Access::Custody, &world.authority());
    let id = world.give_grant(&mut card, &custody);
    card.admit(&world, world.device(TEACHER), LEADER, Role::Custodian, id, vec![]).unwrap();
    let mut founding = world.log_founding(CONCERN, stafett_protocol::membership::ScopeKind::Concern);
    founding.grants.extend(world.signed_by(&custody, &[MOTHER, FATHER]));
    let event = world.genesis_event(world.device(TEACHER), &founding);
    let mut concern = world.found_event(world.device(TEACHER), event, card.now, Some(card.state())).unwrap();
    concern.now += 1;
    assert_eq!(concern.admit(&world, world.device(TEACHER), LEADER, Role::Reader, id, vec![]), Err(R::GrantMismatch));
    assert_eq!(concern.admit(&world, world.device(TEACHER), LEADER, Role::Custodian, id, vec![]), Ok(()));
}

#[test]
fn who_is_not_on_the_card_is_in_no_concern() {
    let world = World::new();
    let card = world.family_card();
    let mut concern = world.concern(card.state());
    let grant = world.give(&mut concern, world.person_grantee(COACH), Access::Read);
    assert_eq!(concern.admit(&world, world.device(TEACHER), COACH, Role::Reader, grant, vec![]), Err(R::NotOnCard));
    let mut card = world.family_card();
    let on_card = world.give(&mut card, world.person_grantee(COACH), Access::Read);
    card.admit(&world, world.device(TEACHER), COACH, Role::Reader, on_card, vec![]).unwrap();
    concern.card = Some(card.state().clone());
    concern.now = card.now;
    assert_eq!(
        concern.admit(&world, world.device(TEACHER), COACH, Role::Reader, on_card, vec![]),
        Err(R::GrantMissing),
        "two grants"
    );
    assert_eq!(concern.admit(&world, world.device(TEACHER), COACH, Role::Reader, grant, vec![]), Ok(()));
}

#[test]
fn m22_a_change_under_an_old_epoch_is_refused_but_for_60_seconds_after_a_gentle_commit() {
    let world = World::new();
    let mut card = world.family_card();
    let mother = world.device(MOTHER);
    let second = |card: &Chain| card.with(&world, MOTHER, &[1], Role::Guardian, card.membership().authority.id());
    let late = |card: &Chain, back: u64| Event {
        epoch: card.state().epoch - back,
        ..card.event(mother, Body::Change(change()))
    };
    let plan = Plan {
        adds: vec![world.device_n(MOTHER, 1).key_package()],
        membership: Some(second(&card)),
        ..Plan::default()
    };
    card.send(&world, mother, plan).unwrap();
    let began = card.state().epoch_since;
    card.now = began + limits::PREVIOUS_EPOCH_MILLIS;
    let event = late(&card, 1);
    assert_eq!(card.replica.judge(card.record(mother, &event), &card.context(&world)).map(drop), Ok(()));
    card.now += 1;
    assert_eq!(card.submit_event(&world, mother, &event), Err(R::WrongEpoch));
    let future = Event { epoch: card.state().epoch + 1, ..event };
    assert_eq!(card.submit_event(&world, mother, &future), Err(R::WrongEpoch));
    // A commit that removed somebody gives no grace.
    card.remove(&world, mother, &[world.device_n(MOTHER, 1).public()]).unwrap();
    assert_eq!(card.submit_event(&world, mother, &late(&card, 1)), Err(R::WrongEpoch));
    // Nor does a resync, nor two commits ago.
    card.external(&world, world.device(FATHER), world.device(FATHER).with_key()).unwrap();
    assert_eq!(card.submit_event(&world, mother, &late(&card, 1)), Err(R::WrongEpoch));
    card.send(&world, world.device(TEACHER), Plan::default()).unwrap();
    assert_eq!(card.submit_event(&world, mother, &late(&card, 2)), Err(R::WrongEpoch));
    assert_eq!(card.submit_event(&world, mother, &late(&card, 1)), Ok(()));
}

#[test]
fn changes_and_statements_stay_within_their_limits() {
    let world = World::new();
    let mut card = world.family_card();
    let mother = world.device(MOTHER);
    let sized = |n: usize| Body::Change(Change { sealed: vec![0; n].into(), ..change() });
    assert_eq!(card.submit(&world, mother, sized(limits::CHANGE_EVENT_BYTES)), Ok(()));
    assert_eq!(card.submit(&world, mother, sized(limits::CHANGE_EVENT_BYTES + 1)), Err(R::TooLarge));
    let counted = |count| Body::Change(Change { count, ..change() });
    assert_eq!(card.submit(&world, mother, counted(0)), Err(R::TooLarge));
    assert_eq!(card.submit(&world, mother, counted(10_000)), Ok(()));
    assert_eq!(card.submit(&world, mother, counted(10_001)), Err(R::TooLarge));
    let link = vec![0; limits::STATEMENT_BYTES];
    let at = |epoch| stafett_protocol::statement::KeyPlace { generation: 1, epoch };
    let heavy = stafett_protocol::statement::LinkRepair { from: at(1), to: at(0), link: link.into() };
    let heavy = Statement::LinkRepair(heavy);
    assert_eq!(card.say(&world, mother, heavy), Err(R::TooLarge));
}

#[test]
fn the_chain_says_which_attachments_there_are() {
    use stafett_protocol::ids::Hash;
    let world = World::new();
    let mut card = world.card_with_reader();
    let (mother, reader) = (world.device(MOTHER), world.device(PPT));
    let naming = |ids: &[u8]| {
        let attachments = ids.iter().map(|id| Hash([*id; 32])).collect();
        Body::Change(Change { attachments, ..change() })
    };
    let before = card.replica.root();
    assert_eq!(card.submit(&world, reader, naming(&[1])), Err(R::ReadOnly), "a reader attaches nothing");
    assert_eq!(card.submit(&world, mother, naming(&[1, 2, 2])), Ok(()));
    assert_eq!(card.state().attachments, [Hash([1; 32]), Hash([2; 32])]);
    assert_ne!(card.replica.root(), before);
    // The list counts in the root, not only the head: another list on the very same chain has another root.
    let (mut other, now) = (card.state().clone(), card.replica.root());
    other.attachments.pop();
    assert_ne!(card.replica.ahead(other).unwrap().root(), now);
    assert_eq!(card.submit(&world, mother, naming(&[2, 3, 4, 5])), Ok(()), "named again: once is enough");
    assert_eq!(card.submit(&world, mother, naming(&[6, 7, 8, 9, 10])), Err(R::TooManyAttachments), "in one change");
    let mut next = 6;
    while card.state().attachments.len() + 4 <= limits::SCOPE_ATTACHMENTS {
        let some: Vec<u8> = (0..4).map(|n| next + n).collect();
        let attachments = some.iter().map(|id| Hash([[*id; 16], [1; 16]].concat().try_into().unwrap())).collect();
        card.submit(&world, mother, Body::Change(Change { attachments, ..change() })).unwrap();
        next = next.wrapping_add(4);
    }
    assert_eq!(card.submit(&world, mother, naming(&[250, 251, 252, 253])), Err(R::TooManyAttachments), "in one scope");
    card.write(&world, mother).unwrap();
}

#[test]
fn a_removed_devices_deletion_receipt_is_its_own() {
    use stafett_protocol::consent::{DeletionReceipt, DeletionWitness, Target};
    let world = World::new();
    let mut card = world.card_with_reader();
    let (ppt, mother) = (world.device(PPT), world.device(MOTHER));
    let receipt = DeletionReceipt { scope: CARD, device: ppt.id(), seq: 3, wiped_at: START };
    let witness = |receipt: &DeletionReceipt, key: &Device| {
        Statement::Deletion(DeletionWitness { device_key: ppt.public(), receipt: Signed::sign(receipt, &key.key) })
    };
    assert_eq!(card.say(&world, mother, witness(&receipt, ppt)), Err(R::Malformed), "it is still in");
    card.say(&world, mother, world.withdrawal(world.log(), CARD, Target::Unit(PPT_UNIT), MOTHER)).unwrap();
    card.remove_listed(&world, mother).unwrap();
    assert_eq!(card.say(&world, mother, witness(&receipt, mother)), Err(R::BadSignature));
    assert_eq!(
        card.say(&world, mother, witness(&DeletionReceipt { scope: JOURNAL, ..receipt.clone() }, ppt)),
        Err(R::Malformed)
    );
    assert_eq!(
        card.say(&world, mother, witness(&DeletionReceipt { device: mother.id(), ..receipt.clone() }, ppt)),
        Err(R::Malformed)
    );
    assert_eq!(card.say(&world, mother, witness(&receipt, ppt)), Ok(()));
}

#[test]
fn units_admit_employees_on_their_leaders_word_alone() {
    let world = World::new();
    let mut unit = world.found(world.device(LEADER), &world.unit_founding(), None).unwrap();
    unit.now += 1;
    let leader = world.device(LEADER);
    let basis = own_basis(&world, COLLEAGUE);
    let voucher = |by, who| vec![world.voucher_of(by, &world.certificate(by, who), None)];
    assert_eq!(unit.admit(&world, leader, COLLEAGUE, Role::Employee, basis, vec![]), Err(R::VoucherMissing));
    assert_eq!(
        unit.admit(&world, leader, PPT, Role::Employee, basis, voucher(PPT_LEADER, PPT)),
        Err(R::VoucherMissing)
    );
    assert_eq!(
        unit.admit(&world, leader, COLLEAGUE, Role::Leader, basis, voucher(LEADER, COLLEAGUE)),
        Err(R::VoucherInvalid)
    );
    assert_eq!(
        unit.admit(&world, leader, COLLEAGUE, Role::Reader, basis, voucher(LEADER, COLLEAGUE)),
        Err(R::NotYours)
    );
    assert_eq!(unit.admit(&world, leader, COLLEAGUE, Role::Employee, basis, voucher(LEADER, COLLEAGUE)), Ok(()));
    assert_eq!(unit.write(&world, world.device(COLLEAGUE)), Ok(()));
    let by_colleague =
        unit.admit(&world, world.device(COLLEAGUE), TEACHER, Role::Employee, basis, voucher(LEADER, TEACHER));
    assert_eq!(by_colleague, Err(R::NotYours));
    assert_eq!(unit.remove(&world, leader, &[world.device(COLLEAGUE).public()]), Err(R::NotYours), "needs a statement");
    unit.say(&world, leader, world.employee_end(LEADER, COLLEAGUE, unit.scope())).unwrap();
    assert_eq!(unit.write(&world, world.device(COLLEAGUE)), Err(R::Listed));
    assert_eq!(unit.remove_listed(&world, leader), Ok(()));
}

#[test]
fn a_personal_scope_holds_its_persons_devices_and_nobody_else() {
    let world = World::new();
    let mut own = world.found(world.device(MOTHER), &world.personal_founding(MOTHER), None).unwrap();
    own.now += 1;
    let basis = own_basis(&world, MOTHER);
    let membership = Some(own.with(&world, MOTHER, &[1, 2], Role::Own, basis));
    let adds = vec![world.device_n(MOTHER, 1).key_package(), world.device_n(MOTHER, 2).key_package()];
    own.send(&world, world.device(MOTHER), Plan { adds, membership, ..Plan::default() }).unwrap();
    assert_eq!(own.write(&world, world.device_n(MOTHER, 2)), Ok(()));
    assert_eq!(own.admit(&world, world.device(MOTHER), FATHER, Role::Own, basis, vec![]), Err(R::NotYours));
    assert_eq!(own.admit(&world, world.device(MOTHER), FATHER, Role::Guardian, basis, vec![]), Err(R::NotYours));
    let last = world.device_n(MOTHER, 2);
    let others = [world.device(MOTHER).public(), world.device_n(MOTHER, 1).public()];
    assert_eq!(own.remove(&world, last, &others), Ok(()), "a lost device goes by its person's own word");
}

#[test]
fn a_snapshot_judges_as_the_replica_does() {
    let world = World::new();
    let card = world.card_with_reader();
    let bytes = card.replica.snapshot();
    let back = Replica::restore(&bytes).unwrap();
    assert_eq!(back.snapshot(), bytes);
    for (who, answer) in [(MOTHER, Ok(())), (PPT, Err(R::ReadOnly)), (STRANGER, Err(R::NotAMember))] {
        let event = card.event(world.device(who), Body::Change(change()));
        let record = card.record(world.device(who), &event);
        assert_eq!(back.judge(record.clone(), &card.context(&world)).map(drop), answer);
        assert_eq!(card.replica.judge(record, &card.context(&world)).map(drop), answer);
    }
    let (commit, _) = card.commit(world.device(FATHER), Plan::default());
    let event = card.event(world.device(FATHER), Body::Commit(commit));
    let mut back = back;
    assert_eq!(back.take(card.record(world.device(FATHER), &event), &card.context(&world)).map(drop), Ok(()));
    for at in (0..bytes.len()).step_by(97) {
        let mut bent = bytes.clone();
        bent[at] ^= 4;
        assert!(Replica::restore(&bent).is_err(), "at {at}");
        assert!(Replica::restore(&bytes[..at]).is_err(), "cut at {at}");
    }
}
