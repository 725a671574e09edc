//! Tags and seals that are too short (W7): a comparison over the shorter of two lengths would take them.

use super::chain::{copy_of, glimpse, glimpses};
use stafett_client_core::keychain::{ContentKey, KeyChain, make_link, open_link};
use stafett_client_core::{letter, seal};
use stafett_protocol::event::{Body, Event};
use stafett_protocol::ids::{DeviceId, ScopeId};
use stafett_protocol::limits::OWN_UPDATE_MAX_MILLIS;
use stafett_protocol::statement::Statement;
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{Cast, cast, concern, log};

/// A tag of 32 bytes with its length before it.
const TAG: usize = 33;

/// The commit with its two tags cut to these lengths; lengths are encoded anew.
fn cut(mls: &[u8], confirmation: usize, membership: usize) -> Vec<u8> {
    let (rest, tags) = mls.split_at(mls.len() - 2 * TAG);
    assert!(tags[0] == 32 && tags[TAG] == 32, "two tags of 32 bytes end the message");
    let tag = |at: usize, length: usize| [&[length as u8][..], &tags[at + 1..at + 1 + length]].concat();
    [rest.to_vec(), tag(0, confirmation), tag(TAG, membership)].concat()
}

/// The home cannot check these tags: it takes the commit under its author's signature. No member follows it.
#[test]
fn w7_shorter_tags_of_a_commit_are_refused_by_every_member() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, mother, father, .. } = &mut cast;
    let scope: ScopeId = concern.parse().unwrap();
    let insider = Insider::of(father, &concern);
    // The father's renewal, as his honest program makes it, in a world of its own.
    let mut aside = home.clone();
    aside.now += OWN_UPDATE_MAX_MILLIS + 1;
    father.sync(&mut aside);
    let of_father = |r: &&stafett_protocol::event::Record| r.event.peek().unwrap().device == insider.device();
    let record = aside.scopes[&scope].records.iter().rev().find(of_father).unwrap();
    let event = record.event.peek().unwrap();
    let Body::Commit(commit) = event.body.clone() else { panic!("a renewal") };
    for (confirmation, membership, good) in
        [(32, 32, true), (0, 32, false), (31, 32, false), (32, 0, false), (32, 31, false), (1, 1, false)]
    {
        let (mut home, mut mother) = (home.clone(), copy_of(mother));
        home.now = aside.now;
        let mut bent = event.clone();
        let mut changed = commit.clone();
        changed.mls = cut(commit.mls.as_slice(), confirmation, membership).into();
        bent.body = Body::Commit(changed);
        if insider.submit(&mut home, insider.sign(&bent)).is_err() {
            assert!(!good, "the whole one is taken");
            continue;
        }
        // The first sync stops at the commit, the next says so on the chain and founds the scope anew without it.
        mother.sync(&mut home);
        mother.sync(&mut home);
        glimpse(&mut home, &mut mother, &concern, "Hei");
        let events: Vec<Event> = home.scopes[&scope].records.iter().map(|r| r.event.peek().unwrap()).collect();
        let rejects = |e: &&Event| matches!(e.body, Body::Statement(Statement::Reject(_)));
        assert_eq!(events.iter().any(|e| rejects(&e)), !good, "{confirmation} {membership}");
        let under_it = |e: &&Event| matches!(e.body, Body::Change(_)) && e.epoch > event.epoch && e.generation == 1;
        let sealed = events.iter().any(|e| under_it(&e));
        assert_eq!(sealed, good, "{confirmation} {membership}: sealed under a key that nobody confirmed");
        assert_eq!(glimpses(&mut mother, &mut home, &concern), ["Hei"], "{}", mother.last_problem());
    }
}

#[test]
fn w7_no_shorter_seal_letter_or_link_opens() {
    let key = |byte| ContentKey::from_exporter(&[byte; 32]).unwrap();
    let binding = seal::Binding { salt: [1; 32], device: DeviceId([2; 16]), counter: 3, header: b"header" };
    let changes = vec![vec![7; 50]];
    let sealed = seal::seal(&key(1), &binding, &changes).unwrap();
    assert_eq!(seal::open(&key(1), &binding, &sealed).unwrap(), changes);
    for length in 0..sealed.len() {
        assert!(seal::open(&key(1), &binding, &sealed[..length]).is_err(), "a seal of {length} bytes");
    }
    let place = KeyChain::new(ScopeId([4; 16]), 1).place(2);
    let link = make_link(&key(2), &key(1), &place);
    assert!(open_link(&key(2), &link, &place).is_ok());
    for length in 0..link.len() {
        assert!(open_link(&key(2), &link[..length], &place).is_err(), "a link of {length} bytes");
    }
    for length in (0..64).filter(|l| *l != 32) {
        assert!(ContentKey::from_exporter(&vec![1; length]).is_err(), "a key of {length} bytes");
    }
    let crypto = openmls_rust_crypto::RustCrypto::default();
    let pair = letter::key_pair(&crypto, &[5; 32]).unwrap();
    let whole = letter::seal(&crypto, &pair.public, b"info", b"aad", b"Hei").unwrap();
    let open = |l: &letter::SealedLetter| letter::open(&crypto, &pair.private, b"info", b"aad", l);
    assert_eq!(open(&whole).unwrap(), b"Hei");
    for length in 0..whole.sealed.len() {
        let shorter = letter::SealedLetter { sealed: whole.sealed[..length].to_vec(), ..whole.clone() };
        assert!(open(&shorter).is_err(), "a letter of {length} bytes");
    }
    for length in (0..whole.kem.len()).step_by(97) {
        let shorter = letter::SealedLetter { kem: whole.kem[..length].to_vec(), ..whole.clone() };
        assert!(open(&shorter).is_err(), "an encapsulated key of {length} bytes");
    }
}
