//! What a replica asks of bytes before any rule is asked, and what it tells of them (found by the mutants of `replica.rs`,
//! `signed.rs` and `consent.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use openmls::prelude::*;
use stafett_protocol::codec::{VLBytes, decode, encode};
use stafett_protocol::consent::{Access, Permit};
use stafett_protocol::event::{Body, Event, Genesis, Record};
use stafett_protocol::limits;
use stafett_protocol::membership::Role;
use stafett_protocol::refusal::Refusal as R;
use stafett_protocol::replica::{self, group_id};
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::Statement;
use tls_codec::Serialize as _;

/// Founding the card with a group of one's own making.
fn founded(world: &World, alter: impl FnOnce(&Device, &mut Genesis)) -> Result<(), R> {
    let device = world.device(TEACHER);
    let mut event = world.genesis_event(device, &world.card_founding());
    let Body::Genesis(genesis) = &mut event.body else { panic!("no genesis") };
    alter(device, genesis);
    world.found_event(device, event, START, None).map(drop)
}

fn described(device: &Device, group: &MlsGroup, genesis: &mut Genesis) {
    let info = group.export_group_info(device.provider.crypto(), device, false).unwrap();
    genesis.group_info = info.tls_serialize_detached().unwrap().into();
    genesis.tree = group.export_ratchet_tree().tls_serialize_detached().unwrap().into();
}

#[test]
fn m16_a_group_of_another_suite_is_no_beginning() {
    let world = World::new();
    let membership = world.card_founding().membership;
    let with = |suite: Ciphersuite| {
        founded(&world, |device, genesis| {
            let types = [stafett_protocol::membership::Membership::extension_type(), ExtensionType::LastResort];
            let able = Capabilities::new(None, Some(&[suite]), Some(&types), None, Some(&[CredentialType::Basic]));
            let config = MlsGroupCreateConfig::builder()
                .ciphersuite(suite)
                .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
                .capabilities(able)
                .lifetime(Lifetime::init(0, u64::MAX))
                .with_group_context_extensions(extensions(&membership))
                .build();
            let id = group_id(CARD, 1);
            device.groups.borrow_mut().remove(id.as_slice());
            MlsGroup::load(device.provider.storage(), &id).unwrap().unwrap().delete(device.provider.storage()).unwrap();
            let made = MlsGroup::new_with_group_id(&device.provider, device, &config, id, device.with_key());
            described(device, &made.unwrap(), genesis);
        })
    };
    assert_eq!(with(stafett_protocol::SUITE), Ok(()));
    assert_eq!(with(Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519), Err(R::MlsRefused));
}

#[test]
fn m27_a_beginning_is_epoch_0_with_two_extensions_in_record_1() {
    let world = World::new();
    let later = |device: &Device, genesis: &mut Genesis| {
        let mut groups = device.groups.borrow_mut();
        let group = groups.get_mut(group_id(CARD, 1).as_slice()).unwrap();
        group.self_update(&device.provider, device, LeafNodeParameters::default()).unwrap();
        group.merge_pending_commit(&device.provider).unwrap();
        described(device, group, genesis);
    };
    assert_eq!(founded(&world, later), Err(R::WrongGeneration));
    let more = |device: &Device, genesis: &mut Genesis| {
        let founding = world.card_founding();
        let all = vec![founding.membership.to_extension(), Extension::ExternalSenders(vec![])];
        *genesis = world.genesis(device, &founding, extensions_with(all));
    };
    assert_eq!(founded(&world, more), Err(R::ExtensionsChanged));
    let device = world.device(TEACHER);
    let event = Signed::sign(&world.genesis_event(device, &world.card_founding()), &device.key);
    let at =
        |seq| replica::found(Record { seq, time: START, event: event.clone() }, &world.context(START, None)).map(drop);
    assert_eq!([at(1), at(2)], [Ok(()), Err(R::ChainBroken)]);
}

#[test]
fn what_is_too_large_is_not_read_to_find_out_what_it_is() {
    let world = World::new();
    let card = world.card();
    let noise = |length| {
        let bytes = [encode(&VLBytes::from(vec![0xff; length])), vec![0; 64]].concat();
        let record = Record { seq: 2, time: card.now, event: decode::<Signed<Event>>(&bytes).unwrap() };
        card.replica.judge(record, &card.context(&world)).map(drop)
    };
    assert_eq!([noise(100), noise(limits::BUNDLE_BYTES + 1)], [Err(R::Malformed), Err(R::TooLarge)]);
}

#[test]
fn a_change_alters_no_facts_and_a_statement_does() {
    let world = World::new();
    let card = world.family_card();
    let mother = world.device(MOTHER);
    let judged = |body| card.judge(&world, &card.record(mother, &card.event(mother, body))).unwrap();
    let written = judged(Body::Change(change()));
    assert!(!written.changes_facts() && written.next_state().is_none());
    let grant = world.grant(world.log(), CARD, world.unit_of(PPT_LEADER), Access::Read, &world.authority());
    let said = judged(Body::Statement(Statement::Grant(world.sign_grant(&grant, MOTHER))));
    assert!(said.changes_facts() && said.next_state().is_some_and(|state| state.grants.len() == 2));
}

#[test]
fn each_members_municipality_is_the_one_that_certified_them() {
    let world = World::new();
    let mut card = world.family_card();
    let grant = world.give(&mut card, world.unit_of(HAUGESUND_LEADER), Access::Read);
    card.admit(&world, world.device(TEACHER), HAUGESUND_LEADER, Role::Reader, grant, vec![]).unwrap();
    let of = |who: Who| card.replica.municipality_of(world.id(who));
    assert_eq!([TEACHER, MOTHER, HAUGESUND_LEADER].map(of), [Some(HOME), Some(HOME), Some(HAUGESUND)]);
    assert_eq!(of(COACH), None);
}

#[test]
fn the_same_party_and_the_same_signed_object() {
    let world = World::new();
    let parties = [world.person_grantee(COACH), world.person_grantee(MOTHER), world.unit_of(LEADER)];
    for (n, one) in parties.iter().enumerate() {
        for (m, other) in parties.iter().enumerate() {
            assert_eq!(one.is_same_party(other), n == m, "{n} {m}");
        }
    }
    assert_eq!([false, true].map(Permit::from), [Permit::No, Permit::Yes]);
    let grant = world.hold_grant(CARD, &world.authority());
    let [one, other] = [MOTHER, FATHER].map(|who| world.sign_grant(&grant, who).grant);
    assert!(one == one.clone() && one != other, "another signature");
    let mut bytes = encode(&one);
    bytes[10] ^= 1;
    assert!(decode::<Signed<stafett_protocol::consent::ConsentGrant>>(&bytes).unwrap() != one, "other bytes");
}
