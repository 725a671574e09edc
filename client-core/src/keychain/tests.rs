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
         keys: {0: ContentKey(..), 1: ContentKey(..)}, checks: {}, links: {} }"
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
