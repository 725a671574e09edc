//! The key chain: walking back, gaps, junk, refusals, rows, and that no key is printed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use crate::rows::{Space, Table};

const HONEST: DeviceId = DeviceId([1; 16]);
const HOSTILE: DeviceId = DeviceId([2; 16]);

fn scope() -> ScopeId {
    ScopeId([5; 16])
}

fn key(epoch: u64) -> ContentKey {
    ContentKey::from_exporter(&[epoch as u8 + 1; 32]).unwrap()
}

fn at(generation: u32, epoch: u64) -> KeyPlace {
    KeyPlace { generation, epoch }
}

fn link(epoch: u64) -> Vec<u8> {
    make_link(&key(epoch), &key(epoch - 1), &Place { scope: scope(), generation: 1, epoch })
}

/// What the chain of events tells everybody: every check, and the links but for the gaps.
fn newcomer(epochs: u64, gaps: &[u64]) -> KeyChain {
    let mut chain = KeyChain::new(scope(), 1);
    for epoch in 0..=epochs {
        chain.learn_check(epoch, check(&key(epoch), &chain.place(epoch))).unwrap();
        if epoch > 0 && !gaps.contains(&epoch) {
            chain.learn_commit_link(epoch, HONEST, &link(epoch)).unwrap();
        }
    }
    chain
}

/// A member that was there in these epochs.
fn member(epochs: u64, gaps: &[u64], known: impl Iterator<Item = u64>) -> KeyChain {
    let mut chain = newcomer(epochs, gaps);
    known.for_each(|epoch| chain.learn_key(epoch, key(epoch)).unwrap());
    chain
}

fn epochs(chain: &KeyChain) -> Vec<u64> {
    chain.keys.keys().map(|at| at.epoch).collect()
}

fn from_to(chain: &KeyChain) -> Vec<(KeyPlace, KeyPlace)> {
    chain.repairs(HONEST).into_iter().map(|r| (r.from, r.to)).collect()
}

#[test]
fn a_newcomer_walks_back_to_the_first_epoch() {
    let mut chain = newcomer(9, &[]);
    assert!(chain.key(3).is_none());
    chain.learn_key(9, key(9)).unwrap();
    assert_eq!(epochs(&chain), (0..=9).collect::<Vec<_>>());
    assert_eq!(chain.key(0).unwrap().0, key(0).0);
    assert_eq!(from_to(&chain), []);
}

#[test]
fn the_removed_cannot_walk_forward() {
    let mut removed = newcomer(3, &[]);
    removed.learn_key(2, key(2)).unwrap();
    assert!(removed.key(0).is_some());
    assert!(removed.key(3).is_none());
    assert_eq!(open_link(&key(2), &link(3), &removed.place(3)).unwrap_err(), KeyError::Link(3));
}

#[test]
fn a_resync_leaves_a_gap_until_it_is_repaired() {
    let mut chain = newcomer(5, &[3]);
    chain.learn_key(5, key(5)).unwrap();
    assert_eq!((epochs(&chain), from_to(&chain)), (vec![3, 4, 5], vec![]), "what is behind it others must mend");
    let other = member(5, &[3], 0..=5);
    assert_eq!(from_to(&other), [(at(1, 3), at(1, 2))]);
    let repair = other.repairs(HONEST).remove(0);
    assert_eq!(repair.link.as_slice(), link(3));
    chain.learn_link(repair.from, repair.to, HOSTILE, repair.link.as_slice()).unwrap();
    assert_eq!(epochs(&chain), (0..=5).collect::<Vec<_>>());
}

/// Whoever closes a gap with junk, in whatever way, keeps nobody from reading behind it.
#[test]
fn junk_is_not_the_last_word() {
    let place = Place { scope: scope(), generation: 1, epoch: 3 };
    // Nothing; a key that is not the one; what was published elsewhere; another length.
    for junk in [vec![7; 48], make_link(&key(3), &key(9), &place), link(2), vec![7; 47]] {
        for held in [false, true] {
            let mut chain = newcomer(5, &[3]);
            let mut keys = [4, 5].into_iter();
            keys.by_ref().filter(|_| held).for_each(|epoch| chain.learn_key(epoch, key(epoch)).unwrap());
            let answer = chain.learn_commit_link(3, HOSTILE, &junk);
            assert!(answer.is_err() || (!held && junk.len() == 48), "{answer:?}");
            // Its author has spoken: neither a second word of it nor the first counts for more than one.
            assert!(chain.learn_commit_link(3, HOSTILE, &[8; 48]).is_err() || !held);
            chain.learn_commit_link(3, HONEST, &link(3)).unwrap();
            chain.learn_key(5, key(5)).unwrap();
            assert_eq!(epochs(&chain), (0..=5).collect::<Vec<_>>(), "{held} {}", junk.len());
        }
    }
    // Who has both keys sees that no link holds, and publishes one; whose own link it is does not repeat it.
    let mut other = member(5, &[3], 0..=5);
    other.learn_commit_link(3, HOSTILE, &[7; 48]).unwrap_err();
    assert_eq!(from_to(&other), [(at(1, 3), at(1, 2))]);
    assert_eq!(other.repairs(HOSTILE), []);
    other.learn_commit_link(3, HONEST, &link(3)).unwrap();
    assert_eq!(from_to(&other), []);
}

/// Everybody counts the same links: else a hostile device could show a right one to those who look now, and take it
/// from those who come later.
#[test]
fn of_each_device_the_first_link_counts() {
    let mut chain = newcomer(5, &[3]);
    chain.learn_commit_link(3, HOSTILE, &link(3)).unwrap();
    chain.learn_commit_link(3, HOSTILE, &[7; 48]).unwrap();
    chain.learn_key(5, key(5)).unwrap();
    assert_eq!(epochs(&chain), (0..=5).collect::<Vec<_>>());
    let mut chain = newcomer(5, &[3]);
    chain.learn_commit_link(3, HOSTILE, &[7; 48]).unwrap();
    chain.learn_commit_link(3, HOSTILE, &link(3)).unwrap();
    let present = member(5, &[3], 0..=5);
    let mut present = KeyChain { links: chain.links.clone(), ..present };
    present.walk_back(at(1, 3));
    assert_eq!(from_to(&present), [(at(1, 3), at(1, 2))], "who is there sees what a newcomer will see");
}

/// A commit with a false check takes its own epoch out of the chain for ever; a bridge leads over it.
#[test]
fn a_bridge_leads_over_an_epoch_whose_key_nobody_can_check() {
    let mut chain = newcomer(2, &[]);
    chain.learn_check(3, [9; 32]).unwrap();
    chain.learn_commit_link(3, HOSTILE, &link(3)).unwrap();
    for epoch in [4, 5] {
        chain.learn_check(epoch, check(&key(epoch), &chain.place(epoch))).unwrap();
        chain.learn_commit_link(epoch, HONEST, &link(epoch)).unwrap();
    }
    let mut newcomer = chain.clone();
    chain.learn_key(2, key(2)).unwrap();
    for holder in [&mut chain, &mut newcomer] {
        holder.learn_key(5, key(5)).unwrap();
    }
    assert_eq!(epochs(&newcomer), [4, 5]);
    let bridge = chain.repairs(HONEST).remove(0);
    assert_eq!((bridge.from, bridge.to), (at(1, 4), at(1, 2)));
    newcomer.learn_link(bridge.from, bridge.to, HONEST, bridge.link.as_slice()).unwrap();
    assert_eq!(epochs(&newcomer), [0, 1, 2, 4, 5]);
}

/// Two bridges under one key are sealed apart: what differs between them tells nothing of the keys inside.
#[test]
fn bridges_under_one_key_share_no_keystream() {
    let place = |generation, epoch| Place { scope: scope(), generation, epoch };
    let (from, first, second) = (place(2, 0), place(1, 6), place(1, 7));
    let sealed = |older: &ContentKey, to: &Place| make_bridge(&key(9), older, &from, to);
    let (a, b) = (sealed(&key(6), &first), sealed(&key(7), &second));
    let difference: Vec<u8> = a.iter().zip(&b).take(32).map(|(a, b)| a ^ b).collect();
    assert_ne!(difference, [7 ^ 8; 32]);
    assert_eq!(open_bridge(&key(9), &a, &from, &first).unwrap().0, key(6).0);
    assert!(open_bridge(&key(9), &a, &from, &second).is_none() && open_bridge(&key(9), &b, &from, &first).is_none());
    assert!(open_bridge(&key(8), &a, &from, &first).is_none());
}

#[test]
fn a_wrong_link_or_check_is_refused_and_leaves_nothing() {
    let mut chain = newcomer(3, &[2]);
    chain.learn_key(3, key(3)).unwrap();
    let wrong = make_link(&key(2), &key(9), &chain.place(2));
    assert_eq!(chain.learn_commit_link(2, HOSTILE, &wrong).unwrap_err(), KeyError::Link(2));
    assert!(chain.key(1).is_none());
    assert_eq!(chain.learn_check(3, [0; 32]).unwrap_err(), KeyError::Differs(3));
    assert_eq!(KeyChain::new(scope(), 1).learn_key(3, key(3)), Ok(()));
    let mut fresh = KeyChain::new(scope(), 1);
    fresh.learn_check(3, [0; 32]).unwrap();
    assert_eq!(fresh.learn_key(3, key(3)).unwrap_err(), KeyError::Check(3));
    let mut late = KeyChain::new(scope(), 1);
    late.learn_key(3, key(3)).unwrap();
    assert_eq!(late.learn_check(3, [0; 32]).unwrap_err(), KeyError::Check(3));
    assert_eq!(late.learn_key(3, key(4)).unwrap_err(), KeyError::Differs(3));
    // Of an epoch that published no check no key is taken from a link, whatever opens.
    let mut unchecked = KeyChain::new(scope(), 1);
    unchecked.learn_key(2, key(2)).unwrap();
    unchecked.learn_commit_link(2, HOSTILE, &wrong).unwrap();
    assert_eq!(epochs(&unchecked), [2]);
    assert_eq!(unchecked.learn_commit_link(0, HONEST, &[1; 48]), Err(KeyError::Link(0)));
    assert!(unchecked.learn_link(at(1, 2), at(1, 2), HONEST, &[1; 48]).is_err(), "a link leads back");
}

#[test]
fn a_link_holds_for_one_place_only() {
    let here = Place { scope: scope(), generation: 1, epoch: 4 };
    let link = make_link(&key(4), &key(3), &here);
    assert_eq!(link.len(), LINK_BYTES);
    for elsewhere in
        [Place { scope: ScopeId([6; 16]), ..here }, Place { generation: 2, ..here }, Place { epoch: 5, ..here }]
    {
        assert!(open_link(&key(4), &link, &elsewhere).is_err());
        assert_ne!(check(&key(4), &here), check(&key(4), &elsewhere));
    }
    for at in 0..link.len() {
        let mut bent = link.clone();
        bent[at] ^= 1;
        assert!(open_link(&key(4), &bent, &here).is_err());
    }
}

#[test]
fn a_chain_comes_back_from_its_rows_and_goes_with_them() {
    let mut chain = newcomer(3, &[2]);
    chain.learn_key(3, key(3)).unwrap();
    chain.learn_commit_link(2, HOSTILE, &[7; 48]).unwrap_err();
    let mut table = Table::default();
    chain.save(&mut table);
    let _ = table.take_dirty();
    chain.save(&mut table);
    assert!(table.take_dirty().is_empty(), "saving again writes nothing");
    let mut loaded = KeyChain::load(&table, scope(), 1);
    assert_eq!(format!("{loaded:?}"), format!("{chain:?}"));
    loaded.learn_commit_link(2, HONEST, &link(2)).unwrap();
    assert_eq!(epochs(&loaded), [0, 1, 2, 3]);
    assert_eq!(KeyChain::load(&table, scope(), 2).newest(), None);
    assert_eq!(KeyChain::load(&table, ScopeId([4; 16]), 1).newest(), None);
    table.write(Space::Keys, &[&scope().0[..], &[0; 5]].concat(), vec![1]);
    assert_eq!(epochs(&KeyChain::load(&table, scope(), 1)), [2, 3], "a damaged row is left out");
    // A row that another try of this device has left.
    let mut other = KeyChain::new(scope(), 1);
    other.learn_key(2, key(9)).unwrap();
    other.save(&mut table);
    let loaded = KeyChain::load(&table, scope(), 1);
    assert_eq!(epochs(&loaded), [2, 3]);
    assert_eq!(
        loaded.key(2).unwrap().0,
        key(2).0,
        "what does not fit its check is left out; the link brings the right one"
    );
    KeyChain::delete_rows(&mut table, scope());
    assert_eq!(KeyChain::load(&table, scope(), 1).newest(), None);
}

#[test]
fn printing_shows_no_key() {
    let mut chain = KeyChain::new(scope(), 1);
    chain.learn_key(1, key(1)).unwrap();
    let printed = format!("{:?} {chain:?}", key(1));
    assert_eq!(
        printed,
        "ContentKey(..) KeyChain { scope: ScopeId(05050505050505050505050505050505), generation: 1, \
         keys: {KeyPlace { generation: 1, epoch: 1 }: ContentKey(..)}, checks: {}, links: {}, carried: {} }"
    );
}

/// Two generations, as the founder of the second has them, who knows the first up to epoch `last`; and what everybody
/// knows of the first, which had two epochs more.
fn refounded(last: u64) -> (KeyChain, KeyChain, Carried) {
    let mut founder = member(last + 2, &[], 0..=last).next(None, HONEST);
    founder.learn_check(0, check(&key(76), &founder.place(0))).unwrap();
    founder.learn_key(0, key(76)).unwrap();
    let carried = founder.carry(HONEST).unwrap();
    assert_eq!(carried.to, at(1, last));
    (founder, newcomer(last + 2, &[]), carried)
}

/// Somebody who comes into the second generation, with keys of the first or none.
fn follower(first: KeyChain, carried: Option<&Carried>) -> KeyChain {
    let mut chain = first.next(carried, HONEST);
    chain.learn_check(0, check(&key(76), &chain.place(0))).unwrap();
    chain.learn_key(0, key(76)).unwrap();
    chain
}

fn of_first(chain: &KeyChain) -> Vec<u64> {
    (0..9).filter(|epoch| chain.key_of(1, *epoch).is_some()).collect()
}

#[test]
fn a_new_generation_opens_the_one_before_for_a_newcomer() {
    let (_, first, carried) = refounded(3);
    let newcomer = follower(first.clone(), Some(&carried));
    assert_eq!(of_first(&newcomer), [0, 1, 2, 3]);
    assert!(newcomer.counts(1) && newcomer.counts(2) && !newcomer.counts(3));
    let mut stranger = first.clone().next(Some(&carried), HONEST);
    stranger.learn_key(0, key(77)).unwrap();
    assert!(stranger.key_of(1, 3).is_none(), "another first key opens nothing");
    let empty = follower(first, None);
    assert!(empty.key_of(1, 0).is_none() && !empty.counts(1), "what nothing carries does not count");
}

/// The founder could not process the last commits of the generation before, or says so: who has their keys carries on
/// what was written under them. So too where what the founder sealed is junk.
#[test]
fn what_a_founder_leaves_out_of_the_keys_another_publishes() {
    let (mut founder, first, carried) = refounded(3);
    assert_eq!(from_to(&founder), [], "it does not know what it lacks");
    let junk = Carried { to: at(1, 5), link: vec![7; 48].into() };
    for carried in [&carried, &junk] {
        let mut other = first.clone();
        other.learn_key(5, key(5)).unwrap();
        let other = follower(other, Some(carried));
        let repairs = other.repairs(HOSTILE);
        assert_eq!(repairs.iter().map(|r| (r.from, r.to)).collect::<Vec<_>>(), [(at(2, 0), at(1, 5))]);
        let mut newcomer = follower(first.clone(), Some(carried));
        for chain in [&mut newcomer, &mut founder] {
            chain.learn_link(repairs[0].from, repairs[0].to, HOSTILE, repairs[0].link.as_slice()).unwrap();
            assert_eq!(of_first(chain), [0, 1, 2, 3, 4, 5]);
        }
    }
}

/// A founder whose genesis publishes a false check cuts nobody off either: the bridge starts from the first key that
/// can be checked.
#[test]
fn a_false_check_in_a_genesis_is_bridged() {
    let (_, first, carried) = refounded(3);
    let mut published = first.clone().next(Some(&carried), HOSTILE);
    published.learn_check(0, [9; 32]).unwrap();
    published.learn_check(1, check(&key(78), &published.place(1))).unwrap();
    let mut newcomer = published.clone();
    newcomer.learn_key(1, key(78)).unwrap();
    assert_eq!(of_first(&newcomer), Vec::<u64>::new());
    published.take_from(&member(5, &[], 0..=5));
    published.learn_key(1, key(78)).unwrap();
    let bridge = published.repairs(HONEST).remove(0);
    assert_eq!((bridge.from, bridge.to), (at(2, 1), at(1, 5)));
    newcomer.learn_link(bridge.from, bridge.to, HONEST, bridge.link.as_slice()).unwrap();
    assert_eq!(of_first(&newcomer), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn generations_come_back_from_their_rows() {
    let (second, ..) = refounded(2);
    let mut third = second.next(None, HONEST);
    third.learn_key(0, key(87)).unwrap();
    third.carry(HONEST).unwrap();
    let mut table = Table::default();
    third.save(&mut table);
    let loaded = KeyChain::load(&table, scope(), 3);
    assert_eq!(loaded.key_of(1, 2).unwrap().0, key(2).0);
    assert!(loaded.counts(1) && loaded.counts(2));
    KeyChain::forget_generation(&mut table, scope(), 3);
    let without = KeyChain::load(&table, scope(), 3);
    assert!(without.key(0).is_none() && without.key_of(2, 0).is_some() && !without.counts(2));
    assert!(KeyChain::load(&table, scope(), 2).counts(1));
}
