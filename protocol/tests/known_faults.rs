//! Faults that were known of the libraries or of systems like this one, shown not to be here; and that the versions in which
//! they were mended are the ones that are built.

use crate::common::*;
use openmls::prelude::*;
use openmls_traits::signatures::Signer as _;
use stafett_protocol::event::Body;
use tls_codec::{Deserialize as _, Serialize as _};

fn locked(crate_name: &str) -> Vec<String> {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    let entries = lock.split("[[package]]").filter(|entry| entry.contains(&format!("name = \"{crate_name}\"\n")));
    let version = |entry: &str| entry.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().to_owned();
    entries.map(|entry| version(entry).trim_matches('"').to_owned()).collect()
}

/// Whoever changes the version reads the advisories of all between, and then this line.
#[test]
fn the_version_of_the_mls_library_is_the_one_whose_advisories_were_read() {
    // 0.9.1: nested extensions of a peer ended the process (GHSA-gc79-23g3-8g52). 0.9.2: whoever an external commit removed
    // stayed in (GHSA-94v4-rg25-x625).
    assert_eq!(locked("openmls"), ["0.9.2"]);
    assert_eq!(locked("openmls_rust_crypto"), ["0.6.0"]);
}

/// GHSA-94v4-rg25-x625, on the very way of a resync: the device's old state hears that it was put out.
#[test]
fn whoever_an_external_commit_removes_is_out() {
    let world = World::new();
    let mut card = world.family_card();
    let mother = world.device(MOTHER);
    let id = card.with_group(mother, |group| group.group_id().as_slice().to_vec());
    card.with_group(world.device(FATHER), |_| ());
    let mut old = mother.groups.borrow_mut().remove(&id).unwrap();
    let mut fathers = world.device(FATHER).groups.borrow_mut().remove(&id).unwrap();
    let members = fathers.members().count();
    assert!(old.is_active());
    assert_eq!(card.external(&world, mother, mother.with_key()), Ok(()));
    let event = card.envelopes().pop().unwrap().event.peek().unwrap();
    let Body::Commit(commit) = event.body else { panic!() };
    let message = || MlsMessageIn::tls_deserialize_exact(commit.mls.as_slice()).unwrap();
    let take = |group: &mut MlsGroup, device: &Device| {
        let message = message().try_into_protocol_message().unwrap();
        let processed = group.process_message(&device.provider, message).unwrap();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else { panic!() };
        let removed = staged.self_removed();
        group.merge_staged_commit(&device.provider, *staged).unwrap();
        removed
    };
    // The others keep one leaf of hers.
    assert!(!take(&mut fathers, world.device(FATHER)));
    assert_eq!(fathers.members().count(), members);
    assert!(take(&mut old, mother), "her state from before");
    assert!(!old.is_active());
    assert!(old.create_message(&mother.provider, mother, b"still here").is_err());
    let exported = old.export_secret(mother.provider.crypto(), "x", b"", 32);
    let present = fathers.export_secret(world.device(FATHER).provider.crypto(), "x", b"", 32).unwrap();
    assert!(exported.map_or(true, |secret| secret != present));
}

fn sealed_vector(bytes: &[u8]) -> Vec<u8> {
    tls_codec::VLBytes::new(bytes.to_vec()).tls_serialize_detached().unwrap()
}

/// A key package whose hybrid init key is another, signed anew by its device.
pub fn with_init_key(device: &Device, key: &[u8]) -> Vec<u8> {
    let whole = device.key_package().tls_serialize_detached().unwrap();
    // version and suite; the key; leaf, extensions; the signature with its length
    let old = device.key_package();
    let rest_at = 4 + sealed_vector(old.hpke_init_key().as_slice()).len();
    let signature = sealed_vector(&[0; 64]).len();
    let content = [&whole[..4], &sealed_vector(key), &whole[rest_at..whole.len() - signature]].concat();
    let labelled = [sealed_vector(b"MLS 1.0 KeyPackageTBS"), sealed_vector(&content)].concat();
    [content, sealed_vector(&device.sign(&labelled).unwrap())].concat()
}

/// RUSTSEC-2026-0331's kind: a peer's hybrid key that is no key is refused, and ends no process.
#[test]
fn a_malformed_hybrid_key_in_a_key_package_adds_nobody_and_stops_nothing() {
    let world = World::new();
    let card = world.family_card();
    let (teacher, stranger) = (world.device(TEACHER), world.device(STRANGER));
    let good = stranger.key_package().hpke_init_key().as_slice().to_vec();
    assert_eq!(good.len(), 1216);
    let lengths = [0, 1, 31, 32, 33, 1183, 1184, 1185, 1215, 1217, 2432];
    let mut keys: Vec<Vec<u8>> = lengths.iter().map(|n| good.iter().copied().cycle().take(*n).collect()).collect();
    // Coefficients that are none, and a curve point of small order.
    keys.push(vec![0xff; 1216]);
    keys.push([&good[..1184], &[0; 32]].concat());
    for key in keys {
        let length = key.len();
        let bytes = with_init_key(stranger, &key);
        let Ok(read) = KeyPackageIn::tls_deserialize_exact(&bytes) else { continue };
        let Ok(package) = read.validate(teacher.provider.crypto(), ProtocolVersion::Mls10) else { continue };
        card.with_group(teacher, |group| {
            let added = group.add_members(&teacher.provider, teacher, &[package]);
            assert!(added.is_err() || length == 1216, "{length}");
            group.clear_pending_commit(teacher.provider.storage()).unwrap();
        });
    }
    // The control: signed anew with its own key it is taken.
    let bytes = with_init_key(stranger, &good);
    let read = KeyPackageIn::tls_deserialize_exact(&bytes).unwrap();
    let package = read.validate(teacher.provider.crypto(), ProtocolVersion::Mls10).unwrap();
    card.with_group(teacher, |group| assert!(group.add_members(&teacher.provider, teacher, &[package]).is_ok()));
}
