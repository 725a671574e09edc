//! One insider tries to take a log, to keep others out of it, or to come in by a back door: on real groups, by
//! every rule that stands between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use stafett_protocol::consent::*;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::event::{Body, Carried, Event, Genesis};
use stafett_protocol::ids::Hash;
use stafett_protocol::limits;
use stafett_protocol::membership::{Member, Role, ScopeKind};
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::signed::{Signed, id_of};
use stafett_protocol::state::{GrantStanding, Status};
use stafett_protocol::statement::*;

/// `by` rejects the last commit, or the last founding.
fn reject(world: &World, chain: &mut Chain, by: &Device) -> Result<(), Refusal> {
    let seq = chain.state().last_commit;
    chain.say(world, by, Statement::Reject(Reject { seq, reason: RejectReason::Mls }))
}

/// `by` founds the next generation alone, in the seat that it had.
fn found_anew(world: &World, chain: &mut Chain, by: &Device) -> Result<(), Refusal> {
    let seat = chain.state().before_last_commit.iter().find(|m| m.person == world.id(by.who)).cloned();
    let mut membership = chain.membership().clone();
    let to = KeyPlace { generation: membership.generation, epoch: chain.state().epoch };
    membership.generation += 1;
    membership.members = vec![Member { devices: vec![by.public()], ..seat.ok_or(R::NotAMember)? }];
    let founding = Founding { membership, log_salt: None, card: None, grants: vec![], vouchers: vec![] };
    let Body::Genesis(genesis) = world.genesis_event(by, &founding).body else { panic!("no genesis") };
    let carries = Some(Carried { to, link: vec![9; 48].into() });
    let body = Body::Genesis(Genesis { carries, ..genesis });
    let event = Event { generation: founding.membership.generation, epoch: 0, ..chain.event(by, body) };
    chain.submit_event(world, by, &event)
}

/// Attack A2: rejects the own commit and founds anew alone.
fn take_alone(world: &World, chain: &mut Chain, who: Who) {
    chain.send(world, world.device(who), Plan::default()).unwrap();
    reject(world, chain, world.device(who)).unwrap();
    found_anew(world, chain, world.device(who)).unwrap();
}

fn withdraws(world: &World, chain: &mut Chain, by: Who, target: Target) -> Result<(), Refusal> {
    let statement = world.withdrawal(world.log(), chain.scope(), target, by);
    chain.say(world, world.device(by), statement)
}

#[test]
fn m18_whoever_founds_anew_and_lets_nobody_back_has_taken_nothing() {
    let world = World::new();
    for thief in [TEACHER, MOTHER] {
        let mut card = world.card_with_reader();
        take_alone(&world, &mut card, thief);
        let state = card.state();
        for who in [TEACHER, MOTHER, FATHER, PPT] {
            assert!(state.may_read(world.device(who).id(), card.now), "{who} is served on");
        }
        assert!(!state.may_read(world.device(STRANGER).id(), card.now));
        // Whoever waits writes nothing, lets nobody in, and gives nothing.
        assert_eq!(card.write(&world, world.device(FATHER)), Err(R::NotAMember));
        let waiting = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Contribute, &world.authority());
        let grant = Statement::Grant(world.sign_grant(&waiting, FATHER));
        assert_eq!(card.say(&world, world.device(FATHER), grant), Err(R::NotAMember));
        // The father rejects the founding, founds anew, and lets everybody back.
        reject(&world, &mut card, world.device(FATHER)).unwrap();
        assert_eq!(found_anew(&world, &mut card, world.device(PPT)), Err(R::NotYours), "a reader founds nothing");
        found_anew(&world, &mut card, world.device(FATHER)).unwrap();
        for seat in card.state().readmit.clone() {
            let who = (0..world.people.len()).find(|w| world.id(*w) == seat.person).unwrap();
            if who != FATHER {
                assert_eq!(card.admit(&world, world.device(FATHER), who, seat.role, seat.basis, vec![]), Ok(()));
            }
        }
        let roles = [TEACHER, MOTHER, FATHER, PPT].map(|who| card.role(&world, who).unwrap());
        assert_eq!(roles, [Role::Holder, Role::Guardian, Role::Guardian, Role::Reader]);
    }
}

#[test]
fn m18_whoever_is_kept_out_after_a_founding_withdraws_all_the_same() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let mut concern = world.concern(card.state());
    take_alone(&world, &mut card, TEACHER);
    concern.card = Some(card.state().clone());
    concern.now = concern.now.max(card.now);
    // By the place on the card that waits, in a scope where the father has none.
    take_alone(&world, &mut concern, TEACHER);
    assert_eq!(withdraws(&world, &mut concern, FATHER, Target::All), Ok(()));
    assert_eq!(withdraws(&world, &mut card, FATHER, Target::All), Ok(()));
    assert_eq!(card.state().status, Status::Withdrawn);
    assert!(!card.state().may_read(world.device(TEACHER).id(), card.now), "the thief is out");
    assert!(!card.state().may_read(world.device(PPT).id(), card.now), "a seat that waited has ended, too");
    assert!(card.state().may_read(world.device(MOTHER).id(), card.now));
}

#[test]
fn m18_a_seat_that_waits_is_worth_what_gave_it() {
    let world = World::new();
    let mut card = world.card_with_reader();
    take_alone(&world, &mut card, TEACHER);
    let ppt = world.device(PPT);
    withdraws(&world, &mut card, MOTHER, Target::Unit(PPT_UNIT)).unwrap();
    assert!(!card.state().may_read(ppt.id(), card.now));
    assert_eq!(reject(&world, &mut card, ppt), Err(R::NotAMember));
    let mut card = world.card_with_reader();
    take_alone(&world, &mut card, TEACHER);
    card.now = START + 365 * DAY;
    assert!(!card.state().may_read(ppt.id(), card.now), "expired");
    assert_eq!(reject(&world, &mut card, ppt), Err(R::NotAMember));
    assert_eq!(reject(&world, &mut card, world.device(MOTHER)), Ok(()), "the family's seat knows no date");
    // Another device of a person is not theirs to speak with before it has been in.
    assert_eq!(reject(&world, &mut card, world.device_n(MOTHER, 1)), Err(R::NotAMember));
}

/// Attack A4: a holder whom a re-founding has not let back, and whom a handover relieves, comes back.
#[test]
fn m18_a_relieved_holder_does_not_come_back_by_a_founding_before() {
    let world = World::new();
    let mut card = world.family_card();
    let (hold, teacher) = (card.basis(), world.id(TEACHER));
    take_alone(&world, &mut card, MOTHER);
    let family = card.membership().authority.id();
    card.admit(&world, world.device(MOTHER), FATHER, Role::Guardian, family, vec![]).unwrap();
    withdraws(&world, &mut card, MOTHER, Target::Grant(hold)).unwrap();
    assert_eq!(card.state().status_at(card.now), Status::Dormant, "the holder who waits counts as the holder");
    let next = world.give_hold(&mut card, PPT_LEADER, 9);
    let nobody = world.offer(&card, world.to_unit(PPT_LEADER, Some(PPT)), next);
    assert_eq!(card.hand_over(&world, &nobody, MOTHER, PPT), Err(R::HandoverMismatch), "it relieves somebody");
    let offer = stafett_protocol::handover::HandoverOffer { from: teacher, ..nobody };
    card.hand_over(&world, &offer, MOTHER, PPT).unwrap();
    assert_eq!(card.state().present().filter(|m| m.role == Role::Holder).count(), 1);
    assert!(!card.state().may_read(world.device(TEACHER).id(), card.now));
    let back = card.admit(&world, world.device(MOTHER), TEACHER, Role::Holder, hold, vec![]);
    assert_eq!(back, Err(R::HolderByHandover));
}

/// Attack A9: back after a founding with one of two devices, out when the certificate ends, and in again.
#[test]
fn c18_who_has_left_after_a_founding_does_not_come_back_by_what_was_before() {
    let world = World::new();
    let mut card = world.family_card();
    let basis = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
    let short = EmployeeCertificate { expires_at: START + 40 * DAY, ..world.certificate(PPT_LEADER, PPT) };
    let voucher = world.voucher_of(PPT_LEADER, &short, Some(&world.assignment(PPT_LEADER, PPT, CARD)));
    let membership = Some(card.with(&world, PPT, &[0, 1], Role::Reader, basis));
    let adds = vec![world.device(PPT).key_package(), world.device_n(PPT, 1).key_package()];
    let plan = Plan { adds, membership, vouchers: vec![voucher], ..Plan::default() };
    card.send(&world, world.device(TEACHER), plan).unwrap();
    take_alone(&world, &mut card, TEACHER);
    card.admit(&world, world.device(TEACHER), PPT, Role::Reader, basis, vec![]).unwrap();
    card.now = START + 40 * DAY;
    card.remove_listed(&world, world.device(TEACHER)).unwrap();
    let back = card.admit(&world, world.device(TEACHER), PPT, Role::Reader, basis, vec![]);
    assert_eq!(back, Err(R::VoucherMissing), "nobody has vouched for them since");
    let state = card.state();
    assert!(state.readmit.iter().chain(&state.before_last_commit).all(|m| m.person != world.id(PPT)));
}

/// A family of which either may consent alone.
fn either(world: &World) -> Chain {
    let one = world.authority_of(&[MOTHER, FATHER], 1);
    let mut card = world.found(world.device(TEACHER), &world.card_founding_under(&one, &[MOTHER]), None).unwrap();
    world.add_family(&mut card);
    card
}

fn grants(world: &World, card: &mut Chain, grantee: Grantee, salt: u8, who: &[Who]) -> Hash {
    let grant = world.grant(world.log(), CARD, grantee, Access::Read, card.state().authority());
    let grant = ConsentGrant { salt: [salt; 16], ..grant };
    for signed in world.signed_by(&grant, who) {
        card.say(world, world.device(TEACHER), Statement::Grant(signed)).unwrap();
    }
    id_of(&grant)
}

/// Attack A10: the mother's no to a person is evaded by granting the unit, and the reverse.
#[test]
fn c22_a_no_to_a_person_or_a_unit_is_not_evaded_by_the_other() {
    for named in [true, false] {
        let world = World::new();
        let target = if named { Target::Person(world.id(PPT)) } else { Target::Unit(PPT_UNIT) };
        let voucher = || vec![world.voucher(PPT_LEADER, PPT, CARD)];
        let mut card = either(&world);
        let first = grants(&world, &mut card, world.unit_of(PPT_LEADER), 1, &[FATHER]);
        card.admit(&world, world.device(TEACHER), PPT, Role::Reader, first, voucher()).unwrap();
        withdraws(&world, &mut card, MOTHER, target).unwrap();
        card.remove_listed(&world, world.device(MOTHER)).unwrap();
        for (salt, grantee) in [(2, world.unit_of(PPT_LEADER)), (3, world.person_grantee(PPT))] {
            let alone = grants(&world, &mut card, grantee, salt, &[FATHER]);
            let back = card.admit(&world, world.device(TEACHER), PPT, Role::Reader, alone, voucher());
            assert_eq!(back, Err(R::GrantWaiting), "{target:?} {grantee:?}");
            let grant = world.grant(world.log(), CARD, grantee, Access::Read, card.state().authority());
            let hers = world.sign_grant(&ConsentGrant { salt: [salt; 16], ..grant }, MOTHER);
            card.say(&world, world.device(MOTHER), Statement::Grant(hers)).unwrap();
            let back = card.admit(&world, world.device(TEACHER), PPT, Role::Reader, alone, voucher());
            assert_eq!(back, Ok(()), "with her own signature");
            withdraws_salted(&world, &mut card, MOTHER, target, salt);
            withdraws_salted(&world, &mut card, MOTHER, Target::Grant(alone), salt + 10);
            card.remove_listed(&world, world.device(MOTHER)).unwrap();
        }
        // Somebody of the unit who has never been in is of the unit all the same.
        if target == Target::Unit(PPT_UNIT) {
            let named = grants(&world, &mut card, world.person_grantee(PPT_TWO), 7, &[FATHER]);
            assert_eq!(card.state().grant(&named).unwrap().standing(card.now), GrantStanding::InForce);
            let in_by_name = card.admit(&world, world.device(TEACHER), PPT_TWO, Role::Reader, named, vec![]);
            assert_eq!(in_by_name, Err(R::GrantWaiting));
        }
    }
}

/// Says it again, where something is left of it to end.
fn withdraws_salted(world: &World, card: &mut Chain, by: Who, target: Target, salt: u8) {
    let statement = world.withdrawal_salted(world.log(), CARD, target, by, salt);
    let said = card.say(world, world.device(by), statement);
    assert!(matches!(said, Ok(()) | Err(R::NothingToWithdraw)), "{said:?}");
}

/// Attack A14: another municipality certifies a leader of a unit of ours.
#[test]
fn a7_another_municipality_s_leader_founds_no_unit_scope_of_ours() {
    let world = World::new();
    let device = world.device(HAUGESUND_LEADER);
    let person = world.person(HAUGESUND_LEADER);
    let home = stafett_protocol::credential::PersonCertificate {
        municipality: HAUGESUND,
        person: person.id,
        person_key: person.public(),
        kind: PersonKind::Leader,
        unit: Some(SCHOOL),
        issued_at: START,
    };
    device.credential.borrow_mut().person = Signed::sign(&home, &world.haugesund);
    let mut founding = world.unit_founding();
    let basis = own_basis(&world, HAUGESUND_LEADER);
    founding.membership.members = vec![world.founder(HAUGESUND_LEADER, Role::Leader, basis)];
    assert_eq!(world.found(device, &founding, None).err(), Some(R::NotYours));
    // Nor does she enter one that is there.
    let mut unit = world.found(world.device(LEADER), &world.unit_founding(), None).unwrap();
    let entered = unit.admit(&world, world.device(LEADER), HAUGESUND_LEADER, Role::Leader, basis, vec![]);
    assert_eq!(entered, Err(R::VoucherInvalid));
}

/// Attack A15: a new concern brings a copy of a custody grant that the family has withdrawn.
#[test]
fn c14_a_new_concern_revives_no_grant_that_was_withdrawn() {
    let world = World::new();
    let mut card = world.family_card();
    world.seat_custodian(&mut card, LEADER);
    let custody = card.membership().member(world.id(LEADER)).unwrap().basis;
    let copies: Vec<_> = {
        let grant = &card.state().grant(&custody).unwrap().grant;
        world.signed_by(grant, &[MOTHER, FATHER])
    };
    let mut founding = world.log_founding(CONCERN, ScopeKind::Concern);
    founding.grants.extend(copies);
    let teacher = world.device(TEACHER);
    assert!(world.found(teacher, &founding, Some(card.state())).is_ok());
    withdraws(&world, &mut card, MOTHER, Target::Grant(custody)).unwrap();
    assert_eq!(world.found(teacher, &founding, Some(card.state())).err(), Some(R::GrantWithdrawn));
    let never = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Custody, &world.authority());
    let mut founding = world.log_founding(CONCERN, ScopeKind::Concern);
    founding.grants.extend(world.signed_by(&never, &[MOTHER, FATHER]));
    assert_eq!(world.found(teacher, &founding, Some(card.state())).err(), Some(R::GrantMissing), "not the card's");
}

/// Attack A17: a receipt of a device that never was in.
#[test]
fn c20_a_device_that_never_was_in_has_nothing_to_wipe() {
    let world = World::new();
    let mut card = world.card_with_reader();
    let receipt = |device: &Device| {
        let receipt = DeletionReceipt { scope: CARD, device: device.id(), seq: 1, wiped_at: START };
        let receipt = Signed::sign(&receipt, &device.key);
        Statement::Deletion(DeletionWitness { device_key: device.public(), receipt })
    };
    let say = |card: &mut Chain, device: &Device| card.say(&world, world.device(MOTHER), receipt(device));
    assert_eq!(say(&mut card, world.device(STRANGER)), Err(R::NotAMember));
    assert_eq!(say(&mut card, world.device(PPT)), Err(R::Malformed), "it is in");
    withdraws(&world, &mut card, MOTHER, Target::Unit(PPT_UNIT)).unwrap();
    card.remove_listed(&world, world.device(MOTHER)).unwrap();
    assert_eq!(say(&mut card, world.device(PPT)), Ok(()));
    assert_eq!(say(&mut card, world.device(PPT)), Err(R::AlreadySigned), "once");
    // In scopes that are no card, too.
    let mut concern = world.concern(card.state());
    assert_eq!(concern.say(&world, world.device(MOTHER), receipt(world.device(PPT))), Err(R::Malformed));
}

/// Attack A13: one guardian fills the facts; the other can consent and refuse all the same.
#[test]
fn l9_nobody_uses_up_the_room_that_another_needs_to_say_yes_or_no() {
    let world = World::new();
    let card = either(&world);
    let mut state = card.state().clone();
    let grant = |n: u32| {
        let mut salt = [0; 16];
        salt[..4].copy_from_slice(&n.to_be_bytes());
        let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, card.state().authority());
        ConsentGrant { salt, ..grant }
    };
    for n in 0..limits::GRANTS_PER_SIGNER as u32 {
        state.grants.push(stafett_protocol::state::GrantFact {
            id: id_of(&grant(n)),
            grant: grant(n),
            signers: vec![world.id(FATHER)],
            attested: vec![],
            in_force_since: 1,
            ended_at: 0,
        });
    }
    let signs = |n: u32, who: Who| {
        let statement = Statement::Grant(world.sign_grant(&grant(n), who));
        world.said(&state, TEACHER, statement).map(drop)
    };
    assert_eq!(signs(9999, FATHER), Err(R::TooManyGrants));
    assert_eq!((signs(9999, MOTHER), signs(1, MOTHER)), (Ok(()), Ok(())));
    for n in 0..limits::REVOKED_GRANTS as u32 {
        let id = id_of(&grant(20_000 + n));
        state.revoked.push(stafett_protocol::state::Revoked { id, by: world.id(FATHER) });
    }
    let revokes = |who: Who| {
        let target = Target::Grant(id_of(&grant(40_000)));
        world.said(&state, who, world.withdrawal(world.log(), CARD, target, who)).map(drop)
    };
    assert_eq!((revokes(FATHER), revokes(MOTHER)), (Err(R::TooMany), Ok(())));
}

#[test]
fn l9_a_log_has_few_guardians_and_its_founding_is_small() {
    let world = World::new();
    let mut many = world.authority();
    for n in 0..limits::GUARDIANS as u8 {
        let key = public(&key(&format!("guardian {n}")));
        let person = stafett_protocol::ids::PersonId::of_first_key(&key);
        many.guardians.push(stafett_protocol::membership::AuthorityPerson { person, key });
    }
    let teacher = world.device(TEACHER);
    let refused = world.found(teacher, &world.card_founding_under(&many, &[MOTHER, FATHER]), None).err();
    assert_eq!(refused, Some(R::TooMany));
    let founding = world.card_founding();
    let mut event = world.genesis_event(teacher, &founding);
    let Body::Genesis(genesis) = &mut event.body else { panic!("no genesis") };
    genesis.vouchers = vec![genesis.vouchers[0].clone(); 1000];
    assert_eq!(world.found_event(teacher, event, START, None).err(), Some(R::TooLarge));
}

/// Found by a hostile history: the mother withdraws everything after the school's own consent had ended already.
#[test]
fn c22_who_withdraws_everything_says_no_to_whoever_was_here_before_too() {
    let world = World::new();
    let mut card = either(&world);
    let first = grants(&world, &mut card, world.unit_of(PPT_LEADER), 1, &[FATHER]);
    card.admit(&world, world.device(TEACHER), PPT, Role::Reader, first, vec![world.voucher(PPT_LEADER, PPT, CARD)])
        .unwrap();
    withdraws(&world, &mut card, FATHER, Target::Unit(PPT_UNIT)).unwrap();
    withdraws(&world, &mut card, MOTHER, Target::All).unwrap();
    let alone = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, card.state().authority());
    let alone = ConsentGrant { salt: [2; 16], ..alone };
    card.say(&world, world.device(FATHER), Statement::Grant(world.sign_grant(&alone, FATHER))).unwrap();
    assert_eq!(card.state().grant(&id_of(&alone)).unwrap().standing(card.now), GrantStanding::Waiting, "she is asked");
}
