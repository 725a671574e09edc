//! A log moves to another municipality: the commit that says so, whose receipts count before and after,
//! what stays behind, and what the new home founds (K1, K5, C1).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::{Access, ConsentGrant};
use stafett_protocol::event::Receipt;
use stafett_protocol::handover::{HandoverAbort, HandoverOffer, SignedAbort};
use stafett_protocol::ids::{DeviceId, Hash, LogId, Municipality, ScopeId};
use stafett_protocol::membership::{Membership, Role, ScopeKind};
use stafett_protocol::policy::{is_complete, may_abort, may_offer};
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::{Signed, id_of};
use stafett_protocol::state::{ScopeState, Status};

const NEW_JOURNAL: ScopeId = ScopeId([0xD1; 16]);

/// A card that Haugesund may have, and the offer to its teacher.
fn leaving(world: &World) -> (Chain, HandoverOffer) {
    let mut card = world.family_card();
    let basis = world.give_hold(&mut card, HAUGESUND_LEADER, 5);
    let offer = world.offer(&card, world.to_unit(HAUGESUND_LEADER, Some(HAUGESUND_TEACHER)), basis);
    (card, offer)
}

fn go(world: &World, chain: &mut Chain, offer: &HandoverOffer) -> Result<(), Refusal> {
    chain.hand_over(world, offer, TEACHER, HAUGESUND_TEACHER)
}

/// The card after its move, and after the old holder is out.
fn moved(world: &World) -> Chain {
    let (mut card, offer) = leaving(world);
    go(world, &mut card, &offer).unwrap();
    card.remove_listed(world, world.device(HAUGESUND_TEACHER)).unwrap();
    card
}

#[test]
fn k1_the_commit_that_gives_the_baton_away_names_the_new_home() {
    let world = World::new();
    let (mut card, offer) = leaving(&world);
    let before = card.state().position.seq;
    assert_eq!(go(&world, &mut card, &offer), Ok(()));
    assert_eq!((card.membership().home, card.membership().home_epoch), (HAUGESUND, 2));
    assert_eq!(card.role(&world, HAUGESUND_TEACHER), Some(Role::Holder));
    let moves: Vec<_> = card.state().moves.iter().map(|m| (m.seq, m.from, m.home_epoch)).collect();
    assert_eq!(moves, [(before + 1, HOME, 1)]);
    // From here on the old home takes nothing, and the new one does.
    card.remove_listed(&world, world.device(HAUGESUND_TEACHER)).unwrap();
    let mother = world.device(MOTHER);
    let event = card.event(mother, stafett_protocol::event::Body::Change(change()));
    let record = card.record(mother, &event);
    let at = |home| card.replica.judge(record.clone(), &Context { home, ..card.context(&world) }).map(drop);
    assert_eq!((at(HOME), at(HAUGESUND)), (Err(R::WrongHome), Ok(())));
}

#[test]
fn a_move_needs_consent_to_this_municipality_and_a_holder_in_its_service() {
    let world = World::new();
    let (mut card, offer) = leaving(&world);
    let authority = card.state().authority().clone();
    let hold = |salt: u8, leader, moves_to: Option<Municipality>| ConsentGrant {
        salt: [salt; 16],
        moves_to,
        ..world.grant(world.log(), CARD, world.unit_of(leader), Access::Hold, &authority)
    };
    for (salt, moves_to) in [(1, None), (2, Some(4601))] {
        let basis = world.give_grant(&mut card, &hold(salt, HAUGESUND_LEADER, moves_to));
        let elsewhere = HandoverOffer { basis, ..offer.clone() };
        assert_eq!(go(&world, &mut card, &elsewhere), Err(R::MoveNotConsented), "{moves_to:?}");
    }
    // Nor does a consent to a move hand the log over here.
    let basis = world.give_grant(&mut card, &hold(3, LEADER, Some(HAUGESUND)));
    let here = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), basis);
    assert_eq!(card.hand_over(&world, &here, TEACHER, COLLEAGUE), Err(R::MoveNotConsented));
    // A school of this municipality that calls itself the other one's.
    let mut to = world.to_unit(LEADER, Some(COLLEAGUE));
    to.municipality = HAUGESUND;
    let there = world.offer(&card, to, basis);
    assert_eq!(card.hand_over(&world, &there, TEACHER, COLLEAGUE), Err(R::NotIdentified));
    // Access to read never moves a log.
    let read = ConsentGrant { access: Access::Read, ..hold(4, HAUGESUND_LEADER, Some(HAUGESUND)) };
    let statement = stafett_protocol::statement::Statement::Grant(world.sign_grant(&read, MOTHER));
    assert_eq!(card.say(&world, world.device(MOTHER), statement), Err(R::GrantMismatch));
    assert_eq!(go(&world, &mut card, &offer), Ok(()));
}

#[test]
fn m5_home_and_home_epoch_change_together_in_a_move_and_never_else() {
    let world = World::new();
    let (mut card, offer) = leaving(&world);
    let bends: [&dyn Fn(&mut Membership); 4] =
        [&|m| m.home = HOME, &|m| m.home = 4601, &|m| m.home_epoch = 1, &|m| m.home_epoch = 3];
    for bend in bends {
        let handover = world.agreed(&offer, TEACHER, HAUGESUND_TEACHER);
        let mut plan = card.handover_plan(&world, handover, Some(HAUGESUND_TEACHER));
        plan.membership.as_mut().map(bend).unwrap();
        assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(R::MembershipMismatch));
    }
    let mut plain = card.membership().clone();
    (plain.home, plain.home_epoch) = (HAUGESUND, 2);
    let plan = Plan { membership: Some(plain), ..Plan::default() };
    assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(R::MembershipMismatch));
}

#[test]
fn the_moving_commit_is_the_old_homes_last_word_and_the_next_record_the_new_homes_first() {
    let world = World::new();
    let (mut card, offer) = leaving(&world);
    let (old, new) = (public(&world.municipality), public(&world.haugesund));
    go(&world, &mut card, &offer).unwrap();
    let last = card.replica.receipt();
    assert_eq!((last.home_epoch, card.replica.signer()), (1, HOME));
    assert_eq!(card.replica.confirms(&Signed::sign(&last, &world.municipality), &old), Ok(()));
    let usurped = Receipt { home_epoch: 2, ..last };
    assert_eq!(card.replica.confirms(&Signed::sign(&usurped, &world.haugesund), &new), Err(R::ChainBroken));
    card.remove_listed(&world, world.device(HAUGESUND_TEACHER)).unwrap();
    let first = card.replica.receipt();
    assert_eq!((first.home_epoch, card.replica.signer()), (2, HAUGESUND));
    assert_eq!(card.replica.confirms(&Signed::sign(&first, &world.haugesund), &new), Ok(()));
    // F7: a receipt at the old home epoch after the move stands for nothing.
    let late = Receipt { home_epoch: 1, ..first };
    assert_eq!(card.replica.confirms(&Signed::sign(&late, &world.municipality), &old), Err(R::ChainBroken));
    let state = card.state();
    assert_eq!((state.home_at(1), state.home_at(last.position.seq)), ((HOME, 1), (HOME, 1)));
    assert_eq!(state.home_at(first.position.seq), (HAUGESUND, 2));
}

#[test]
fn f5_whoever_replays_the_same_records_has_the_same_root_and_nobody_else() {
    let world = World::new();
    let (mut card, offer) = leaving(&world);
    let copy = Replica::restore(&card.replica.snapshot()).unwrap();
    assert_eq!(copy.root(), card.replica.root());
    let replay = |records: &[stafett_protocol::event::Record]| -> Result<Hash, ()> {
        let at = |time| Context { home: HOME, ..world.context(time, None) };
        let (mut replica, _) =
            stafett_protocol::replica::found(records[0].clone(), &at(records[0].time)).map_err(|_| ())?;
        for record in &records[1..] {
            replica.take(record.clone(), &at(record.time)).map_err(|_| ())?;
        }
        Ok(replica.root())
    };
    assert_eq!(replay(&card.records), Ok(card.replica.root()));
    assert_ne!(replay(&card.records[..card.records.len() - 1]), Ok(card.replica.root()), "truncated");
    let mut later = card.records.clone();
    later.last_mut().unwrap().time += 1;
    assert_ne!(replay(&later), Ok(card.replica.root()), "at another time");
    go(&world, &mut card, &offer).unwrap();
    assert_ne!(copy.root(), card.replica.root());
}

#[test]
fn k5_the_journal_stays_behind_closed_and_a_concern_as_the_family_chose() {
    let world = World::new();
    let card = world.family_card();
    let to = world.to_unit(HAUGESUND_LEADER, Some(HAUGESUND_TEACHER));
    let mut journal = {
        let founding = world.log_founding(JOURNAL, ScopeKind::Journal);
        world.found(world.device(TEACHER), &founding, Some(card.state())).unwrap()
    };
    world.add_family(&mut journal);
    let basis = world.give_hold(&mut journal, HAUGESUND_LEADER, 5);
    let along = world.offer(&journal, to, basis);
    assert_eq!(go(&world, &mut journal, &along), Err(R::HandoverMismatch), "no second home holds its id");
    let closing = world.closing(&journal, to);
    assert_eq!(journal.close_over(&world, &closing, TEACHER), Ok(()));
    assert_eq!(journal.status_and_home(), (Status::Closed, HOME));
    let mut concern = world.concern(card.state());
    let mut chosen = {
        let founding = world.log_founding(ScopeId([0xC3; 16]), ScopeKind::Concern);
        world.found(world.device(TEACHER), &founding, Some(card.state())).unwrap()
    };
    world.add_family(&mut chosen);
    let basis = world.give_hold(&mut chosen, HAUGESUND_LEADER, 5);
    let along = world.offer(&chosen, to, basis);
    chosen.card = None;
    assert_eq!(go(&world, &mut chosen, &along), Ok(()));
    assert_eq!(chosen.status_and_home(), (Status::Active, HAUGESUND));
    let closing = world.closing(&concern, to);
    assert_eq!(concern.close_over(&world, &closing, TEACHER), Ok(()));
    assert_eq!(concern.status_and_home(), (Status::Closed, HOME));
}

#[test]
fn inside_a_municipality_the_journal_goes_along() {
    let world = World::new();
    let card = world.family_card();
    let founding = world.log_founding(JOURNAL, ScopeKind::Journal);
    let mut journal = world.found(world.device(TEACHER), &founding, Some(card.state())).unwrap();
    journal.card = None;
    let to = world.to_unit(LEADER, Some(COLLEAGUE));
    let closing = world.closing(&journal, to);
    assert_eq!(journal.close_over(&world, &closing, TEACHER), Err(R::HandoverMismatch));
    let offer = world.offer(&journal, to, journal.basis());
    assert_eq!(journal.hand_over(&world, &offer, TEACHER, COLLEAGUE), Ok(()));
}

/// The new holder's journal in Haugesund, as the family consented to it.
fn new_journal(world: &World, moves_to: Option<Municipality>) -> Founding {
    let authority = world.authority();
    let grant = ConsentGrant {
        moves_to,
        ..world.grant(world.log(), NEW_JOURNAL, world.unit_of(HAUGESUND_LEADER), Access::Hold, &authority)
    };
    let founder = world.founder(HAUGESUND_TEACHER, Role::Holder, id_of(&grant));
    let mut membership = world.membership(NEW_JOURNAL, ScopeKind::Journal, &authority, founder);
    (membership.home, membership.home_epoch) = (HAUGESUND, 2);
    let certificate = world.certificate(HAUGESUND_LEADER, HAUGESUND_TEACHER);
    Founding {
        membership,
        log_salt: None,
        card: Some(CARD),
        grants: world.signed_by(&grant, &[MOTHER, FATHER]),
        vouchers: vec![world.voucher_of(HAUGESUND_LEADER, &certificate, None)],
    }
}

#[test]
fn the_new_holder_founds_a_journal_of_its_own_at_the_cards_home_epoch() {
    let world = World::new();
    let card = moved(&world);
    let founder = world.device(HAUGESUND_TEACHER);
    let found = |founding: &Founding| world.found(founder, founding, Some(card.state())).map(drop);
    let honest = new_journal(&world, Some(HAUGESUND));
    for (epoch, refusal) in [(0, R::WrongGeneration), (1, R::WrongHome), (3, R::WrongHome)] {
        let mut wrong = honest.clone();
        wrong.membership.home_epoch = epoch;
        assert_eq!(found(&wrong), Err(refusal), "home epoch {epoch}");
    }
    assert_eq!(found(&new_journal(&world, Some(4601))), Err(R::MoveNotConsented));
    let mut by_old = world.log_founding(NEW_JOURNAL, ScopeKind::Journal);
    (by_old.membership.home, by_old.membership.home_epoch) = (HAUGESUND, 2);
    assert_eq!(world.found(world.device(TEACHER), &by_old, Some(card.state())).map(drop), Err(R::NotOnCard));
    assert_eq!(found(&honest), Ok(()));
    assert_eq!(found(&new_journal(&world, None)), Ok(()), "the scope is new: it does not move");
    // No other kind of scope begins later than at its first home.
    let mut late = world.card_founding();
    late.membership.home_epoch = 2;
    assert_eq!(world.found(world.device(TEACHER), &late, None).map(drop), Err(R::WrongGeneration));
}

#[test]
fn at_the_new_home_the_baton_passes_as_anywhere_and_the_log_may_come_back() {
    let world = World::new();
    let mut card = moved(&world);
    let leader = world.to_unit(HAUGESUND_LEADER, None);
    let inside = world.offer(&card, leader, card.basis());
    assert_eq!(card.hand_over(&world, &inside, HAUGESUND_TEACHER, HAUGESUND_LEADER), Ok(()));
    card.remove_listed(&world, world.device(HAUGESUND_LEADER)).unwrap();
    assert_eq!(card.membership().home_epoch, 2);
    let authority = card.state().authority().clone();
    let grant = ConsentGrant {
        moves_to: Some(HOME),
        salt: [9; 16],
        ..world.grant(world.log(), CARD, world.unit_of(LEADER), Access::Hold, &authority)
    };
    let basis = world.give_grant(&mut card, &grant);
    let back = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), basis);
    assert_eq!(card.hand_over(&world, &back, HAUGESUND_LEADER, COLLEAGUE), Ok(()));
    assert_eq!((card.membership().home, card.membership().home_epoch), (HOME, 3));
    assert_eq!((card.replica.signer(), card.replica.receipt().home_epoch), (HAUGESUND, 2));
    card.remove_listed(&world, world.device(COLLEAGUE)).unwrap();
    assert_eq!((card.replica.signer(), card.replica.receipt().home_epoch), (HOME, 3));
}

#[test]
fn f15_another_municipality_reads_on_an_offer_that_could_be_committed_now_and_on_no_other() {
    let world = World::new();
    let (mut card, offer) = leaving(&world);
    let asks = |card: &Chain, offer: &HandoverOffer, by: Who| {
        may_offer(card.state(), &card.context(&world), &world.sign_offer(offer, by)).map(|o| o.to.municipality)
    };
    assert_eq!(asks(&card, &offer, TEACHER), Ok(HAUGESUND));
    assert_eq!(asks(&card, &offer, MOTHER), Err(R::NotYours));
    assert_eq!(asks(&card, &HandoverOffer { basis: Hash([1; 32]), ..offer.clone() }, TEACHER), Err(R::GrantMissing));
    let end = world.withdrawal_salted(
        world.log(),
        CARD,
        stafett_protocol::consent::Target::Unit(HAUGESUND_SCHOOL),
        FATHER,
        3,
    );
    card.say(&world, world.device(FATHER), end).unwrap();
    assert_eq!(asks(&card, &offer, TEACHER), Err(R::GrantWithdrawn));
}

#[test]
fn an_offer_is_taken_back_by_who_could_make_it_or_by_the_family() {
    let world = World::new();
    let (card, offer) = leaving(&world);
    let id = id_of(&offer);
    let abort = HandoverAbort { log: world.log(), scope: CARD, offer: id };
    let asks = |abort: &HandoverAbort, by: Who, key: Who| {
        let signed = SignedAbort { by: world.id(by), abort: Signed::sign(abort, &world.person(key).key) };
        may_abort(card.state(), &card.context(&world), &signed)
    };
    assert_eq!((asks(&abort, TEACHER, TEACHER), asks(&abort, MOTHER, MOTHER)), (Ok(id), Ok(id)));
    assert_eq!(asks(&abort, TEACHER, PPT), Err(R::BadSignature));
    assert_eq!(asks(&abort, HAUGESUND_TEACHER, HAUGESUND_TEACHER), Err(R::NotAMember));
    assert_eq!(asks(&HandoverAbort { scope: JOURNAL, ..abort }, TEACHER, TEACHER), Err(R::HandoverMismatch));
    let foreign = HandoverAbort { log: LogId::default(), ..abort };
    assert_eq!(asks(&foreign, TEACHER, TEACHER), Err(R::HandoverMismatch));
}

#[test]
fn c1_a_bundle_that_hands_over_leaves_no_open_scope_behind() {
    let world = World::new();
    let before = world.family_card();
    let other = |id: u8| {
        let mut state = world.concern(before.state()).state().clone();
        state.membership.scope = ScopeId([id; 16]);
        state
    };
    let (sent, left) = (other(1), other(2));
    let mut card = before.state().clone();
    let give = |state: &mut ScopeState| {
        let colleague = world.id(COLLEAGUE);
        state.membership.members.iter_mut().filter(|m| m.role == Role::Holder).for_each(|m| m.person = colleague);
    };
    give(&mut card);
    let (mut gone, mut closed) = (sent.clone(), left.clone());
    give(&mut gone);
    closed.status = Status::Closed;
    let (one, two) = (sent.scope(), left.scope());
    let now = before.now;
    let (teachers, leaders) = ([world.device(TEACHER).id()], [world.device(LEADER).id()]);
    let complete = |handed: &[ScopeId], log: &[&ScopeState]| is_complete(&teachers, handed, log.iter().copied(), now);
    let partial = Err(R::HandoverPartial);
    assert_eq!(complete(&[], &[&card, &sent, &left]), Ok(()), "no handover, no question");
    assert_eq!(complete(&[], &[&sent]), Ok(()), "wherever the card is");
    assert_eq!(complete(&[CARD, one, two], &[&card, &gone, &closed]), Ok(()));
    assert_eq!(complete(&[CARD, one], &[&card, &gone, &left]), partial, "an open concern is left");
    assert_eq!(complete(&[CARD, one, two], &[&card, &sent, &closed]), partial, "another holder than the card's");
    let mut away = gone.clone();
    away.membership.home = HAUGESUND;
    assert_eq!(complete(&[CARD, one, two], &[&card, &away, &closed]), partial, "to another home than the card");
    assert_eq!(complete(&[one, two], &[before.state(), &sent, &closed]), partial, "closed without the card");
    assert_eq!(complete(&[one], &[&gone]), partial, "a log without its card");
    let mut dormant = left.clone();
    dormant.status = Status::Dormant;
    assert_eq!(complete(&[CARD, one], &[&card, &gone, &dormant]), Ok(()), "nobody can hand over what is dormant");
    assert_eq!(complete(&[one], &[&card, &gone, &left]), Ok(()), "a dormant concern woken, to the card's holder");
    // What the relieved holder has kept to themselves holds up nobody else.
    let mut kept = left.clone();
    kept.membership.members.retain(|m| m.role == Role::Holder);
    let by = |devices: &[DeviceId], log: &[&ScopeState]| is_complete(devices, &[CARD, one], log.iter().copied(), now);
    assert_eq!(by(&leaders, &[&card, &gone, &kept]), Ok(()), "nobody else is in it");
    assert_eq!(by(&teachers, &[&card, &gone, &kept]), partial, "its own holder can hand it over");
    assert_eq!(by(&leaders, &[&card, &gone, &left]), partial, "the family reads it");
    // What was begun on a device that is gone, before anybody else was let in, holds up its holder no longer either.
    assert_eq!(by(&[], &[&card, &gone, &kept]), Ok(()), "nobody can hand it over any more");
    assert_eq!(by(&[], &[&card, &gone, &left]), partial, "the family reads it");
}
