//! The baton passes (C1, K1–K5, K7, F10, M5): by the holder, to somebody who has accepted, on consent that
//! holds at the receipt; and in no other way. `takeover` has what others do in the holder's place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::{Access, ConsentGrant, Target};
use stafett_protocol::handover::{HandoverAcceptance, HandoverOffer};
use stafett_protocol::ids::Hash;
use stafett_protocol::membership::{Member, Role};
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::signed::{Signed, id_of};
use stafett_protocol::state::Status;
use stafett_protocol::statement::Statement;

/// A card whose baton goes to the colleague by the book, and the offer.
fn inside(world: &World) -> (Chain, HandoverOffer) {
    let card = world.family_card();
    let offer = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), card.basis());
    (card, offer)
}

/// Whether this offer, accepted by `who` and committed by `by`, is let in.
fn tried(world: &World, card: &mut Chain, offer: &HandoverOffer, by: Who, who: Who) -> Result<(), Refusal> {
    card.hand_over(world, offer, by, who)
}

fn holders(card: &Chain) -> usize {
    card.membership().members.iter().filter(|m| m.role == Role::Holder).count()
}

#[test]
fn k2_inside_a_unit_the_baton_passes_on_the_grant_that_is_there() {
    let world = World::new();
    let (mut card, offer) = inside(&world);
    assert_eq!(card.write(&world, world.device(TEACHER)), Ok(()), "K7: until then the old holder is the holder");
    assert_eq!(tried(&world, &mut card, &offer, TEACHER, COLLEAGUE), Ok(()));
    assert_eq!((holders(&card), card.role(&world, COLLEAGUE)), (1, Some(Role::Holder)), "C1");
    assert_eq!(card.role(&world, TEACHER), Some(Role::Archivist));
    assert!(!card.state().may_read(world.device(TEACHER).id(), card.now), "the leaving holder's leaves are listed");
    assert_eq!(card.write(&world, world.device(TEACHER)), Err(R::Listed));
    assert_eq!(card.write(&world, world.device(COLLEAGUE)), Err(R::RemovalFirst));
    card.remove_listed(&world, world.device(COLLEAGUE)).unwrap();
    assert_eq!(card.write(&world, world.device(COLLEAGUE)), Ok(()));
    assert_eq!(card.role(&world, TEACHER), None);
    assert!(card.state().held(world.id(COLLEAGUE), card.now) && !card.state().held(world.id(TEACHER), card.now));
    // The new holder hands on in turn; the old one, with the old offer or a new one, cannot.
    assert_eq!(tried(&world, &mut card, &offer, COLLEAGUE, TEACHER), Err(R::HandoverMismatch));
    let back = world.offer(&card, world.to_unit(LEADER, Some(TEACHER)), card.basis());
    assert_eq!(tried(&world, &mut card, &back, COLLEAGUE, TEACHER), Ok(()));
}

#[test]
fn c1_without_a_handover_nobody_becomes_or_stops_being_the_holder() {
    let world = World::new();
    let (mut card, offer) = inside(&world);
    let plan = |card: &Chain| card.handover_plan(&world, world.agreed(&offer, TEACHER, COLLEAGUE), Some(COLLEAGUE));
    let bare = Plan { handover: None, ..plan(&card) };
    assert_eq!(card.send(&world, world.device(TEACHER), bare), Err(R::HolderByHandover));
    // Two holders, none, or another one than accepted.
    let bent = |card: &Chain, bend: &dyn Fn(&mut Vec<Member>)| {
        let mut membership = plan(card).membership.unwrap();
        bend(&mut membership.members);
        Plan { membership: Some(membership), ..plan(card) }
    };
    let role = |who: Who, role| {
        move |m: &mut Member, w: &World| {
            if m.person == w.id(who) {
                m.role = role
            }
        }
    };
    for (who, as_role) in [(TEACHER, Role::Holder), (COLLEAGUE, Role::Actor), (MOTHER, Role::Holder)] {
        let bend = role(who, as_role);
        let plan = bent(&card, &|members| members.iter_mut().for_each(|m| bend(m, &world)));
        assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(R::HandoverMismatch), "{who} as {as_role:?}");
    }
    let stay = Plan { adds: vec![], ..bent(&card, &|members| members.retain(|m| m.person != world.id(COLLEAGUE))) };
    assert_eq!(card.send(&world, world.device(TEACHER), stay), Err(R::HandoverMismatch));
    // A handover that rewrites nothing, or comes as a resync.
    let renew = Plan { handover: plan(&card).handover, ..Plan::default() };
    assert_eq!(card.send(&world, world.device(TEACHER), renew), Err(R::HandoverMismatch));
    assert_eq!((holders(&card), card.role(&world, TEACHER)), (1, Some(Role::Holder)));
}

#[test]
fn m5_a_handover_carries_no_other_change() {
    let world = World::new();
    let (mut card, offer) = inside(&world);
    let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
    let plan = |card: &Chain| card.handover_plan(&world, world.agreed(&offer, TEACHER, COLLEAGUE), Some(COLLEAGUE));
    // Somebody else enters by the way, on a grant that would let them in alone.
    let mut more = plan(&card);
    let mut membership = more.membership.take().unwrap();
    membership.members.push(world.founder(PPT_LEADER, Role::Reader, grant));
    more.adds.push(world.device(PPT_LEADER).key_package());
    more.membership = Some(membership.sorted());
    assert_eq!(card.send(&world, world.device(TEACHER), more), Err(R::HandoverMismatch));
    // A guardian's role, a key, a device of the author's own, home and home epoch.
    type Bend<'a> = &'a dyn Fn(&mut stafett_protocol::membership::Membership);
    let mother = |m: &Member| m.person == world.id(MOTHER);
    let bends: [(Bend<'_>, R); 5] = [
        (&|m| m.members.iter_mut().filter(|m| mother(m)).for_each(|m| m.role = Role::Reader), R::HandoverMismatch),
        (&|m| m.members.iter_mut().filter(|m| mother(m)).for_each(|m| m.person_key = [9; 32]), R::HandoverMismatch),
        (&|m| m.home = HAUGESUND, R::MembershipMismatch),
        (&|m| m.home_epoch = 2, R::MembershipMismatch),
        (&|m| m.authority.quorum = 1, R::MembershipMismatch),
    ];
    for (bend, refusal) in bends {
        let mut plan = plan(&card);
        plan.membership.as_mut().map(bend).unwrap();
        assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(refusal));
    }
    let mut own = plan(&card);
    let teacher = world.device_n(TEACHER, 1);
    own.adds.push(teacher.key_package());
    let members = &mut own.membership.as_mut().unwrap().members;
    members.iter_mut().filter(|m| m.person == world.id(TEACHER)).for_each(|m| m.devices.push(teacher.public()));
    own.membership = own.membership.map(|m| m.sorted());
    assert_eq!(card.send(&world, world.device(TEACHER), own), Err(R::HandoverMismatch));
    // Nobody is thrown out by the way.
    let mut out = plan(&card);
    let father = world.device(FATHER).public();
    out.removes.push(father);
    out.membership = out.membership.map(|m| without(m, &[father]));
    assert_eq!(card.send(&world, world.device(TEACHER), out), Err(R::NotYours));
    let honest = plan(&card);
    assert_eq!(card.send(&world, world.device(TEACHER), honest), Ok(()));
}

#[test]
fn f10_k3_nothing_passes_without_the_new_holders_word_on_this_very_offer() {
    let world = World::new();
    let (mut card, offer) = inside(&world);
    let signed = world.sign_offer(&offer, TEACHER);
    let mut answer = |acceptance| {
        let handover = stafett_protocol::handover::Handover { offer: signed.clone(), acceptance };
        let plan = card.handover_plan(&world, handover, Some(COLLEAGUE));
        card.send(&world, world.device(TEACHER), plan)
    };
    let good = world.acceptance(&signed, COLLEAGUE);
    let by = |acceptance: &HandoverAcceptance, who: Who| Some(Signed::sign(acceptance, &world.person(who).key));
    assert_eq!(answer(None), Err(R::NotAccepted));
    assert_eq!(answer(by(&good, TEACHER)), Err(R::BadSignature), "forged");
    let other = HandoverOffer { salt: [2; 16], ..offer.clone() };
    let other = world.acceptance(&world.sign_offer(&other, TEACHER), COLLEAGUE);
    assert_eq!(answer(by(&other, COLLEAGUE)), Err(R::NotAccepted), "for another offer");
    assert_eq!(answer(by(&HandoverAcceptance { scope: JOURNAL, ..good.clone() }, COLLEAGUE)), Err(R::NotAccepted));
    assert_eq!(answer(by(&world.acceptance(&signed, LEADER), LEADER)), Err(R::NotAccepted), "the offer names another");
    let claim = HandoverAcceptance { person: world.id(LEADER), ..good.clone() };
    assert_eq!(answer(by(&claim, COLLEAGUE)), Err(R::NotAccepted), "in another's name");
    let certificate = Signed::sign(&good.certificate.peek().unwrap(), &world.haugesund);
    let claim = HandoverAcceptance { certificate, ..good.clone() };
    assert_eq!(answer(by(&claim, COLLEAGUE)), Err(R::NotIdentified), "certified by nobody");
    let mut guardian = good.certificate.peek().unwrap();
    guardian.unit = Some(PPT_UNIT);
    let certificate = Signed::sign(&guardian, &world.municipality);
    let claim = HandoverAcceptance { certificate, ..good.clone() };
    assert_eq!(answer(by(&claim, COLLEAGUE)), Err(R::NotAccepted), "employed elsewhere");
    let certificate = world.acceptance(&signed, LEADER).certificate;
    let claim = HandoverAcceptance { certificate, ..good.clone() };
    assert_eq!(answer(by(&claim, COLLEAGUE)), Err(R::NotAccepted), "another's certificate");
    let mut elsewhere = good.certificate.peek().unwrap();
    elsewhere.municipality = HAUGESUND;
    let certificate = Signed::sign(&elsewhere, &world.municipality);
    let claim = HandoverAcceptance { certificate, ..good.clone() };
    assert_eq!(answer(by(&claim, COLLEAGUE)), Err(R::NotAccepted), "certified for another municipality");
    assert_eq!(answer(by(&good, COLLEAGUE)), Ok(()));
}

#[test]
fn k4_a_reason_and_a_recipient_the_units_leader_or_somebody_named() {
    let world = World::new();
    let (mut card, offer) = inside(&world);
    let unreasoned = HandoverOffer { reason: Hash::default(), ..offer.clone() };
    assert_eq!(tried(&world, &mut card, &unreasoned, TEACHER, COLLEAGUE), Err(R::ReasonMissing));
    let mut nobody = offer.clone();
    (nobody.to.unit, nobody.to.person) = (None, None);
    assert_eq!(tried(&world, &mut card, &nobody, TEACHER, COLLEAGUE), Err(R::HandoverMismatch));
    // To the unit: nobody of another unit, no parent, and no employee without the leader's word.
    let to_unit = HandoverOffer { to: world.to_unit(LEADER, None), ..offer.clone() };
    assert_eq!(tried(&world, &mut card, &to_unit, TEACHER, PPT), Err(R::NotAccepted));
    assert_eq!(tried(&world, &mut card, &to_unit, TEACHER, MOTHER), Err(R::NotAccepted));
    let mut unvouched = card.handover_plan(&world, world.agreed(&to_unit, TEACHER, COLLEAGUE), Some(COLLEAGUE));
    unvouched.vouchers.clear();
    assert_eq!(card.send(&world, world.device(TEACHER), unvouched), Err(R::VoucherMissing));
    let mut may_not = world.certificate(LEADER, COLLEAGUE);
    may_not.may_hold = stafett_protocol::consent::Permit::No;
    let mut plan = card.handover_plan(&world, world.agreed(&to_unit, TEACHER, COLLEAGUE), Some(COLLEAGUE));
    plan.vouchers = vec![world.voucher_of(LEADER, &may_not, None)];
    assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(R::VoucherMissing), "C15");
    // The leader takes it personally.
    assert_eq!(tried(&world, &mut card, &to_unit, TEACHER, LEADER), Ok(()));
    assert_eq!(card.role(&world, LEADER), Some(Role::Holder));
}

#[test]
fn k1_to_another_unit_on_the_familys_consent_and_the_old_unit_lets_go() {
    let world = World::new();
    let mut card = world.family_card();
    world.seat_custodian(&mut card, LEADER);
    let old = card.basis();
    let custody = card.membership().member(world.id(LEADER)).unwrap().basis;
    let to = world.to_unit(PPT_LEADER, Some(PPT));
    let on = |card: &Chain, basis| world.offer(card, to, basis);
    let own = on(&card, old);
    assert_eq!(tried(&world, &mut card, &own, TEACHER, PPT), Err(R::GrantMismatch), "the school's consent");
    let unknown = on(&card, Hash([9; 32]));
    assert_eq!(tried(&world, &mut card, &unknown, TEACHER, PPT), Err(R::GrantMissing));
    let read = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
    let reading = on(&card, read);
    assert_eq!(tried(&world, &mut card, &reading, TEACHER, PPT), Err(R::GrantMismatch));
    // Half the family, withdrawn, expired.
    let authority = card.state().authority().clone();
    let hold = |salt: u8, days: u64| ConsentGrant {
        salt: [salt; 16],
        expires_at: START + days * DAY,
        ..world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Hold, &authority)
    };
    let half = hold(7, 300);
    card.say(&world, world.device(MOTHER), Statement::Grant(world.sign_grant(&half, MOTHER))).unwrap();
    let halved = on(&card, id_of(&half));
    assert_eq!(tried(&world, &mut card, &halved, TEACHER, PPT), Err(R::GrantWaiting));
    let (short, taken) = (hold(8, 1), hold(9, 300));
    for grant in [&short, &taken] {
        world.give_grant(&mut card, grant);
    }
    let withdrawn = world.withdrawal_salted(world.log(), CARD, Target::Grant(id_of(&taken)), FATHER, 3);
    card.say(&world, world.device(FATHER), withdrawn).unwrap();
    let (expired, gone) = (on(&card, id_of(&short)), on(&card, id_of(&taken)));
    assert_eq!(tried(&world, &mut card, &gone, TEACHER, PPT), Err(R::GrantWithdrawn));
    card.now += 2 * DAY;
    assert_eq!(tried(&world, &mut card, &expired, TEACHER, PPT), Err(R::GrantExpired));
    // B10: who has withdrawn signs, too; then it holds.
    let fresh = world.give_grant(&mut card, &hold(10, 300));
    let offer = on(&card, fresh);
    assert_eq!(tried(&world, &mut card, &offer, TEACHER, PPT), Ok(()));
    let state = card.state();
    assert!([old, custody].iter().all(|id| state.grant(id).unwrap().ended_at != 0), "the old unit keeps nothing");
    assert_eq!(state.grant(&read).unwrap().ended_at, 0, "what else the family consented to stays");
    for who in [TEACHER, LEADER] {
        assert!(!state.may_read(world.device(who).id(), card.now), "{who} is on the way out");
    }
    card.remove_listed(&world, world.device(PPT)).unwrap();
    assert_eq!(card.write(&world, world.device(PPT)), Ok(()));
}

#[test]
fn only_who_holds_offers_and_only_the_offerer_commits() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let offer = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), card.basis());
    for by in [MOTHER, PPT] {
        assert_eq!(tried(&world, &mut card, &offer, by, COLLEAGUE), Err(R::NotYours), "offered by {by}");
    }
    // The holder's own offer in the hands of somebody else; another's signature under the holder's name.
    let plan = card.handover_plan(&world, world.agreed(&offer, TEACHER, COLLEAGUE), Some(COLLEAGUE));
    assert_eq!(card.send(&world, world.device(MOTHER), plan), Err(R::NotYours));
    let mut forged = world.agreed(&offer, MOTHER, COLLEAGUE);
    forged.offer.by = world.id(TEACHER);
    let plan = card.handover_plan(&world, forged, Some(COLLEAGUE));
    assert_eq!(card.send(&world, world.device(TEACHER), plan), Err(R::BadSignature));
    for wrong in [
        HandoverOffer { scope: JOURNAL, ..offer.clone() },
        HandoverOffer { log: stafett_protocol::ids::LogId([1; 16]), ..offer.clone() },
        HandoverOffer { from: world.id(MOTHER), ..offer.clone() },
        world.closing(&card, offer.to),
    ] {
        assert_eq!(tried(&world, &mut card, &wrong, TEACHER, COLLEAGUE), Err(R::HandoverMismatch), "{wrong:?}");
    }
    // Neither a guardian, nor the holder again on the grant that is there.
    let own = HandoverOffer { to: world.to_unit(LEADER, Some(TEACHER)), ..offer.clone() };
    assert_eq!(tried(&world, &mut card, &own, TEACHER, TEACHER), Err(R::MembershipMismatch));
    assert_eq!(tried(&world, &mut card, &offer, TEACHER, COLLEAGUE), Ok(()));
}

#[test]
fn the_same_holder_goes_on_under_a_fresh_consent() {
    let world = World::new();
    let mut card = world.family_card();
    let fresh = world.give_hold(&mut card, LEADER, 5);
    let offer = world.offer(&card, world.to_unit(LEADER, Some(TEACHER)), fresh);
    assert_eq!(tried(&world, &mut card, &offer, TEACHER, TEACHER), Ok(()));
    assert_eq!((holders(&card), card.basis()), (1, fresh));
    assert_eq!(card.write(&world, world.device(TEACHER)), Ok(()), "nobody has to go");
}

#[test]
fn a_handover_whose_commit_nobody_can_process_stands_all_the_same() {
    let world = World::new();
    let (mut card, offer) = inside(&world);
    tried(&world, &mut card, &offer, TEACHER, COLLEAGUE).unwrap();
    let reject = stafett_protocol::statement::Reject {
        seq: card.state().position.seq,
        reason: stafett_protocol::statement::RejectReason::Mls,
    };
    card.say(&world, world.device(MOTHER), Statement::Reject(reject)).unwrap();
    let mut founding = world.card_founding();
    let membership = card.membership().clone();
    let mother = membership.member(world.id(MOTHER)).unwrap().clone();
    founding.membership =
        stafett_protocol::membership::Membership { generation: 2, members: vec![mother], ..membership };
    founding.grants.clear();
    let mut genesis = world.genesis(world.device(MOTHER), &founding, extensions(&founding.membership));
    let to = stafett_protocol::statement::KeyPlace { generation: 1, epoch: card.state().epoch };
    genesis.carries = Some(stafett_protocol::event::Carried { to, link: vec![9; 48].into() });
    let mut event = card.event(world.device(MOTHER), stafett_protocol::event::Body::Genesis(genesis));
    (event.generation, event.epoch) = (2, 0);
    card.submit_event(&world, world.device(MOTHER), &event).unwrap();
    let back: Vec<_> = card.state().readmit.iter().map(|m| (m.person, m.role)).collect();
    assert!(back.contains(&(world.id(COLLEAGUE), Role::Holder)), "the new holder comes back as such");
    assert!(!back.iter().any(|(p, _)| *p == world.id(TEACHER)), "the old one does not");
}

#[test]
fn the_table_of_the_other_scopes_follows_the_card() {
    let world = World::new();
    let mut card = world.family_card();
    let mut concern = world.concern(card.state());
    card.now = concern.now;
    let to = world.to_unit(LEADER, Some(COLLEAGUE));
    let offer = world.offer(&concern, to, concern.basis());
    concern.card = Some(card.state().clone());
    assert_eq!(tried(&world, &mut concern, &offer, TEACHER, COLLEAGUE), Err(R::NotOnCard), "the card goes first");
    let first = world.offer(&card, to, card.basis());
    let at = card.now;
    tried(&world, &mut card, &first, TEACHER, COLLEAGUE).unwrap();
    (concern.card, concern.now) = (Some(card.state().clone()), at);
    assert_eq!(tried(&world, &mut concern, &offer, TEACHER, COLLEAGUE), Ok(()), "in the same bundle");
    assert_eq!(concern.status_and_home(), (Status::Active, HOME));
}

#[test]
fn k5_a_concern_that_is_not_sent_is_closed_and_stays_the_familys() {
    let world = World::new();
    let mut card = world.card_with_reader();
    world.seat_custodian(&mut card, LEADER);
    let mut concern = world.concern(card.state());
    world.seat_custodian(&mut concern, LEADER);
    let offer = world.closing(&concern, world.to_unit(PPT_LEADER, None));
    let grounded = HandoverOffer { basis: concern.basis(), ..offer.clone() };
    assert_eq!(concern.close_over(&world, &grounded, TEACHER), Err(R::HandoverMismatch));
    assert_eq!(concern.hand_over(&world, &offer, TEACHER, PPT), Err(R::HandoverMismatch), "nobody enters");
    assert_eq!(concern.close_over(&world, &offer, MOTHER), Err(R::NotYours));
    assert_eq!(concern.close_over(&world, &offer, TEACHER), Ok(()));
    assert_eq!(concern.state().status, Status::Closed);
    let roles = [MOTHER, FATHER, TEACHER, LEADER].map(|who| concern.role(&world, who).unwrap());
    assert_eq!(roles, [Role::Guardian, Role::Guardian, Role::Archivist, Role::Custodian]);
    assert!(concern.state().may_read(world.device(TEACHER).id(), concern.now), "an archivist reads");
    for who in [MOTHER, TEACHER] {
        let refusal = if who == MOTHER { R::NotActive } else { R::ReadOnly };
        assert_eq!(concern.write(&world, world.device(who)), Err(refusal));
    }
    let reopen = Statement::Close(stafett_protocol::statement::Closing::Reopened);
    assert_eq!(concern.say(&world, world.device(TEACHER), reopen), Err(R::NotYours));
    let again = world.offer(&concern, world.to_unit(LEADER, Some(COLLEAGUE)), offer.basis);
    assert_eq!(tried(&world, &mut concern, &again, MOTHER, COLLEAGUE), Err(R::NotActive), "closed is closed");
}
