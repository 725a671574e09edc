//! Bytes from outside (attacks of group W, `tests/tests/adversary/catalogue.txt`): every decoder is exact, has one encoding for each value,
//! never panics; every signature holds for its own type, bytes and key alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::samples::{Samples, code};
use crate::common::*;
use proptest::prelude::*;
use stafett_protocol::code::Code;
use stafett_protocol::codec::{VLBytes, decode, encode};
use stafett_protocol::event::{Body, Commit, Event};
use stafett_protocol::http_signature;
use stafett_protocol::replica::Replica;

#[test]
fn w2_every_sample_reads_back_and_no_shorter_or_longer_one_does() {
    for sample in Samples::new().wire() {
        assert_eq!((sample.again)(&sample.bytes).as_ref(), Some(&sample.bytes), "{}", sample.name);
        for cut in 0..sample.bytes.len() {
            assert!((sample.again)(&sample.bytes[..cut]).is_none(), "{} cut at {cut}", sample.name);
        }
        let mut longer = sample.bytes.clone();
        longer.push(0);
        assert!((sample.again)(&longer).is_none(), "W4: {} with a trailing byte", sample.name);
    }
}

#[test]
fn w4_no_value_has_two_encodings() {
    for sample in Samples::new().wire() {
        let bits = sample.bytes.len().min(1500) * 8;
        for bit in 0..bits {
            let mut bent = sample.bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            // What still decodes must be another value, encoded in its own one way.
            if let Some(again) = (sample.again)(&bent) {
                assert_eq!(again, bent, "{} bit {bit}", sample.name);
            }
        }
    }
    for long in [&[0x40, 0x01, 0xaa][..], &[0x80, 0, 0, 0x01, 0xaa], &[0xc0, 0, 0, 0, 0, 0, 0, 1, 0xaa]] {
        assert!(decode::<VLBytes>(long).is_err(), "a length longer than need be: {long:x?}");
        assert!(decode::<Vec<u8>>(long).is_err(), "{long:x?}");
    }
}

#[test]
fn w5_huge_lengths_are_errors_before_anything_is_allocated() {
    for head in [&[0xbf, 0xff, 0xff, 0xff][..], &[0xff; 8], &[0xc0, 0, 0, 1, 0, 0, 0, 0]] {
        let mut bytes = head.to_vec();
        bytes.extend([0; 64]);
        assert!(decode::<VLBytes>(&bytes).is_err());
        assert!(decode::<Vec<VLBytes>>(&bytes).is_err());
        assert!(decode::<String>(&bytes).is_err());
    }
}

#[test]
fn w3_every_flipped_bit_of_every_signed_object_is_refused() {
    let signer = public(&key("signer"));
    for sample in Samples::new().signed() {
        assert!((sample.accepts)(&sample.bytes, &signer), "{}", sample.label);
        for bit in 0..sample.bytes.len() * 8 {
            let mut bent = sample.bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(!(sample.accepts)(&bent, &signer), "{} bit {bit}", sample.label);
        }
        for cut in 0..sample.bytes.len() {
            assert!(!(sample.accepts)(&sample.bytes[..cut], &signer), "W7: {} cut at {cut}", sample.label);
        }
        assert!(!(sample.accepts)(&sample.bytes, &public(&key("another"))), "{}", sample.label);
        assert!(!(sample.accepts)(&sample.bytes, &[0; 32]), "{}: the key of small order", sample.label);
        assert!(!(sample.accepts)(&sample.bytes, &[0xff; 32]), "{}: no key at all", sample.label);
    }
}

#[test]
fn w11_a_signature_holds_for_its_own_type_alone() {
    let signer = public(&key("signer"));
    let samples = Samples::new().signed();
    assert_eq!(samples.len(), 28, "every signable type has its sample");
    for (i, from) in samples.iter().enumerate() {
        for (j, to) in samples.iter().enumerate() {
            assert_eq!((to.accepts)(&from.bytes, &signer), i == j, "{} taken for {}", from.label, to.label);
        }
    }
}

#[test]
fn w8_every_shorter_mls_message_in_a_commit_is_refused() {
    let world = World::new();
    let card = world.family_card();
    let mother = world.device(MOTHER);
    let (commit, _) = card.commit(mother, Plan::default());
    let event = card.event(mother, Body::Commit(commit.clone()));
    let judge = |commit: Commit| {
        let event = Event { body: Body::Commit(commit), ..event.clone() };
        card.replica.judge(card.record(mother, &event), &card.context(&world)).map(drop)
    };
    assert_eq!(judge(commit.clone()), Ok(()));
    let (mls, info) = (commit.mls.as_slice().to_vec(), commit.group_info.as_slice().to_vec());
    for cut in (0..mls.len()).step_by(3) {
        assert!(judge(Commit { mls: mls[..cut].to_vec().into(), ..commit.clone() }).is_err(), "commit at {cut}");
    }
    for cut in (0..info.len()).step_by(7) {
        assert!(judge(Commit { group_info: info[..cut].to_vec().into(), ..commit.clone() }).is_err(), "info at {cut}");
    }
    for other in [&info, &card.group_info, &vec![0; 300]] {
        assert!(judge(Commit { mls: other.clone().into(), ..commit.clone() }).is_err());
    }
}

#[test]
fn w3_a_bent_commit_is_refused_unless_only_the_tags_that_a_server_cannot_check_are_bent() {
    let world = World::new();
    let card = world.family_card();
    let mother = world.device(MOTHER);
    let (commit, _) = card.commit(mother, Plan::default());
    let event = card.event(mother, Body::Commit(commit.clone()));
    let mls = commit.mls.as_slice();
    // Confirmation and membership tag, each with its length: the last 66 bytes.
    for at in (0..mls.len() - 66).step_by(5) {
        let mut bent = mls.to_vec();
        bent[at] ^= 0x10;
        let event = Event { body: Body::Commit(Commit { mls: bent.into(), ..commit.clone() }), ..event.clone() };
        assert!(card.replica.judge(card.record(mother, &event), &card.context(&world)).is_err(), "at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn w1_random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        thread_local!(static DECODERS: Vec<crate::common::samples::Sample> = Samples::new().wire());
        thread_local!(static VERIFIERS: Vec<crate::common::samples::SignedSample> = Samples::new().signed());
        DECODERS.with(|all| for sample in all { let _ = (sample.again)(&bytes); });
        prop_assert!(VERIFIERS.with(|all| all.iter().all(|sample| !(sample.accepts)(&bytes, &[1; 32]))));
        prop_assert!(Replica::restore(&bytes).is_err());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert!(Code::from_text(&text).is_err());
        let with_prefix = Code::from_text(&format!("stafett1-{text}"));
        prop_assert!(with_prefix.is_err());
        let _ = http_signature::claimed_device(&text);
    }

    #[test]
    fn w1_samples_with_random_splices_never_panic(at in any::<prop::sample::Index>(), which in any::<prop::sample::Index>(), splice in proptest::collection::vec(any::<u8>(), 0..24)) {
        thread_local!(static DECODERS: Vec<crate::common::samples::Sample> = Samples::new().wire());
        DECODERS.with(|all| {
            let sample = which.get(all);
            let mut bytes = sample.bytes.clone();
            let at = at.index(bytes.len());
            bytes.splice(at..at, splice.iter().copied());
            if let Some(again) = (sample.again)(&bytes) {
                prop_assert_eq!(again, bytes, "{}", &sample.name);
            }
            Ok(())
        })?;
    }

    #[test]
    fn codes_read_back_from_text_and_no_other_text_reads(text in "\\PC{0,80}", letters in "[0-9a-y]{0,400}") {
        prop_assert!(Code::from_text(&text).is_err());
        let with_prefix = Code::from_text(&format!("stafett1-{letters}"));
        prop_assert!(with_prefix.is_err());
        prop_assert_eq!(Code::from_text(&code().to_text()).unwrap(), code());
    }

    #[test]
    fn w8_random_bytes_as_mls_never_panic(mls in proptest::collection::vec(any::<u8>(), 0..300)) {
        thread_local!(static CARD: (World, Chain) = { let world = World::new(); let card = world.card(); (world, card) });
        CARD.with(|(world, card)| {
            let teacher = world.device(TEACHER);
            let commit = Commit { mls: mls.clone().into(), group_info: mls.clone().into(), link: None, check: Default::default(), welcome: None, vouchers: vec![], handover: None };
            let event = card.event(teacher, Body::Commit(commit));
            let record = card.record(teacher, &event);
            prop_assert_eq!(card.replica.judge(record, &card.context(world)).map(drop), Err(Refusal::MlsRefused));
            Ok(())
        })?;
    }
}

#[test]
fn c3_ids_of_one_kind_are_never_another() {
    use stafett_protocol::ids::{DeviceId, LogId, PersonId, hash};
    let key = [7; 32];
    assert_ne!(PersonId::of_first_key(&key).0, DeviceId::of_key(&key).0);
    assert_ne!(LogId::found(&key, &[0; 16]).0, LogId::found(&key, &[1; 16]).0);
    assert_ne!(hash("a", &[b"", b"b"]), hash("a", &[b"b", b""]));
    assert_ne!(encode(&PersonId([1; 16])), encode(&DeviceId([2; 16])));
}
