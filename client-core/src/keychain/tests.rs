//! The key chain: walking back, gaps, refusals, rows, and that no key is printed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;

fn scope() -> ScopeId {
    ScopeId([5; 16])
}

fn key(epoch: u64) -> ContentKey {
    ContentKey([epoch as u8 + 1; 32])
}

/// A member that saw every epoch, without links.
fn old_member(epochs: u64) -> KeyChain {
    let mut chain = KeyChain::new(scope(), 1);
    for epoch in 0..=epochs {
        chain.learn_key(epoch, key(epoch)).unwrap();
    }
    chain
}

/// What the chain of events tells a newcomer: every check, and the links but for the gaps.
fn newcomer(member: &KeyChain, epochs: u64, gaps: &[u64]) -> KeyChain {
    let mut chain = KeyChain::new(scope(), 1);
    for epoch in 0..=epochs {
        chain.learn_check(epoch, check(&key(epoch), &member.place(epoch))).unwrap();
        if epoch > 0 && !gaps.contains(&epoch) {
            chain.learn_link(epoch, member.link(epoch).unwrap()).unwrap();
        }
    }
    chain
}

#[test]
fn a_newcomer_walks_back_to_the_first_epoch() {
    let member = old_member(9);
    let mut chain = newcomer(&member, 9, &[]);
    assert_eq!(chain.key(3).map(|key| key.0), None);
    assert_eq!(chain.learn_key(9, key(9)).unwrap(), vec![8, 7, 6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(chain.key(0).unwrap().0, key(0).0);
    assert_eq!(chain.gaps(), Vec::<u64>::new());
}

#[test]
fn the_removed_cannot_walk_forward() {
    let member = old_member(3);
    let mut removed = newcomer(&member, 3, &[]);
    removed.learn_key(2, key(2)).unwrap();
    assert!(removed.key(0).is_some());
    assert!(removed.key(3).is_none());
    let link = member.link(3).unwrap();
    assert_eq!(open_link(&key(2), &link, &member.place(3)).unwrap_err(), KeyError::Link(3));
}

#[test]
fn a_resync_leaves_a_gap_until_it_is_repaired() {
    let member = old_member(5);
    let mut chain = newcomer(&member, 5, &[3]);
    assert_eq!(chain.learn_key(5, key(5)).unwrap(), vec![4, 3]);
    assert_eq!(chain.gaps(), vec![3]);
    assert_eq!(chain.link(3).unwrap_err(), KeyError::Missing(3));
    assert_eq!(chain.learn_link(3, member.link(3).unwrap()).unwrap(), vec![1, 0]);
    assert_eq!(chain.gaps(), Vec::<u64>::new());
}

#[test]
fn a_wrong_link_or_check_is_refused_and_leaves_nothing() {
    let member = old_member(3);
    let mut chain = newcomer(&member, 3, &[2]);
    chain.learn_key(3, key(3)).unwrap();
    let wrong = make_link(&key(2), &key(9), &member.place(2));
    assert_eq!(chain.learn_link(2, wrong).unwrap_err(), KeyError::Check(1));
    assert!(chain.key(1).is_none());
    assert_eq!(chain.gaps(), vec![2]);
    assert_eq!(chain.learn_check(3, [0; 32]).unwrap_err(), KeyError::Differs(3));
    assert_eq!(KeyChain::new(scope(), 1).learn_key(3, key(3)), Ok(vec![]));
    let mut fresh = KeyChain::new(scope(), 1);
    fresh.learn_check(3, [0; 32]).unwrap();
    assert_eq!(fresh.learn_key(3, key(3)).unwrap_err(), KeyError::Check(3));
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
    let member = old_member(3);
    let mut chain = newcomer(&member, 3, &[2]);
    chain.learn_key(3, key(3)).unwrap();
    let mut table = Table::default();
    chain.save(&mut table);
    let _ = table.take_dirty();
    chain.save(&mut table);
    assert!(table.take_dirty().is_empty(), "saving again writes nothing");
    let loaded = KeyChain::load(&table, scope(), 1);
    assert_eq!(loaded.gaps(), vec![2]);
    assert_eq!(loaded.key(2).unwrap().0, key(2).0);
    assert_eq!(KeyChain::load(&table, scope(), 2).newest(), None);
    KeyChain::delete_rows(&mut table, scope());
    assert_eq!(KeyChain::load(&table, scope(), 1).newest(), None);
}

#[test]
fn printing_shows_no_key() {
    let printed = format!("{:?} {:?}", key(1), old_member(1));
    assert_eq!(
        printed,
        "ContentKey(..) KeyChain { scope: ScopeId(05050505050505050505050505050505), generation: 1, \
         keys: {0: ContentKey(..), 1: ContentKey(..)}, checks: {}, links: {}, before: None }"
    );
}

#[test]
fn a_wrong_link_from_before_one_s_time_is_a_gap() {
    let member = old_member(3);
    let mut chain = newcomer(&member, 3, &[2]);
    chain.learn_link(2, make_link(&key(2), &key(9), &member.place(2))).unwrap();
    assert_eq!(chain.learn_key(3, key(3)).unwrap_err(), KeyError::Check(1));
    assert!(chain.key(2).is_some() && chain.key(1).is_none());
    assert_eq!(chain.gaps(), vec![2]);
    let mut table = Table::default();
    newcomer(&member, 3, &[2]).save(&mut table);
    table.write(Space::Keys, &chain.row_key(LINK, 2), make_link(&key(2), &key(9), &member.place(2)));
    chain.save(&mut table);
    let mut chain = KeyChain::load(&table, scope(), 1);
    assert_eq!(chain.gaps(), vec![2], "also after a restart");
    assert_eq!(chain.learn_link(2, member.link(2).unwrap()), Ok(vec![0]));
    assert!(chain.key(1).is_some());
    let mut hostile = KeyChain::new(scope(), 1);
    hostile.learn_check(u64::MAX, [0; 32]).unwrap();
    assert_eq!(hostile.gaps(), vec![u64::MAX], "no walk over epochs that nobody saw");
}

/// Two generations: the second goes on from epoch `from` of the first.
fn refounded(last: u64) -> (KeyChain, KeyChain) {
    let mut old = KeyChain::new(scope(), 1);
    for epoch in 0..=last {
        let key = ContentKey([epoch as u8 + 1; 32]);
        if epoch > 0 {
            let link = make_link(&key, old.key(epoch - 1).unwrap(), &old.place(epoch));
            old.learn_link(epoch, link).unwrap();
        }
        old.learn_check(epoch, check(&key, &old.place(epoch))).unwrap();
        old.learn_key(epoch, key).unwrap();
    }
    let mut new = old.clone().next(None);
    new.learn_key(0, ContentKey([77; 32])).unwrap();
    let carried = new.carry().unwrap();
    assert_eq!(carried.epoch, last);
    (old, new)
}

#[test]
fn a_new_generation_opens_the_one_before_for_a_newcomer() {
    let (old, founder) = refounded(3);
    let carried = founder.before.as_ref().unwrap().carried.clone();
    // What the chain publishes of the old generation, without any key.
    let published = KeyChain { keys: BTreeMap::new(), ..old };
    let mut newcomer = published.clone().next(carried.clone());
    assert!(newcomer.key_of(1, 0).is_none());
    newcomer.learn_key(0, ContentKey([77; 32])).unwrap();
    for epoch in 0..=3 {
        assert_eq!(newcomer.key_of(1, epoch).unwrap().0, [epoch as u8 + 1; 32]);
        assert!(newcomer.counts(1, epoch));
    }
    assert!(!newcomer.counts(1, 4) && !newcomer.counts(3, 0) && newcomer.counts(2, 9));
    let mut stranger = published.clone().next(carried.clone());
    stranger.learn_key(0, ContentKey([78; 32])).unwrap();
    assert!(stranger.key_of(1, 3).is_none(), "another first key opens nothing");
    let mut empty = published.next(None);
    empty.learn_key(0, ContentKey([77; 32])).unwrap();
    assert!(empty.key_of(1, 0).is_none() && !empty.counts(1, 0), "what nothing carries does not count");
}

#[test]
fn generations_come_back_from_their_rows() {
    let (_, second) = refounded(2);
    let mut third = second.next(None);
    third.learn_key(0, ContentKey([88; 32])).unwrap();
    third.carry().unwrap();
    let mut table = Table::default();
    third.save(&mut table);
    let loaded = KeyChain::load(&table, scope(), 3);
    assert_eq!(loaded.key_of(1, 2).unwrap().0, [3; 32]);
    assert!(loaded.counts(1, 2) && !loaded.counts(1, 3) && loaded.counts(2, 0) && !loaded.counts(2, 1));
    KeyChain::forget_generation(&mut table, scope(), 3);
    let without = KeyChain::load(&table, scope(), 3);
    assert!(without.key(0).is_none() && without.key_of(2, 0).is_some() && !without.counts(2, 0));
}
