//! What an account can learn of others, or take from them, by asking without end.

use crate::common::*;
use crate::people::published;
use crate::support::moving::account;
use crate::support::*;
use stafett_protocol::ids::{DeviceId, PersonId};
use stafett_protocol::letter::Letter;
use stafett_protocol::wire::*;

/// A stranger fetches until only the key package of last resort is left: for the stranger, and for nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn one_asker_does_not_use_up_anothers_key_packages() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    for who in [MOTHER, STRANGER, TEACHER] {
        account(&world, who, &server).await;
    }
    let mother = world.device(MOTHER);
    let mut mothers = server.open(&mother.key).await.unwrap();
    let laid_out: Vec<_> = (0..=20).map(|n| published(mother, n == 0)).collect();
    assert_eq!(mothers.ask(Request::PublishKeyPackages(laid_out.clone())).await, Reply::Done);
    let ask = async |client: &mut Client| {
        let Reply::KeyPackages(mut got) = client.ask(Request::FetchKeyPackages(vec![world.id(MOTHER)])).await else {
            panic!()
        };
        got.remove(0)
    };
    let mut strangers = server.open(&world.device(STRANGER).key).await.unwrap();
    let mut once = 0;
    for _ in 0..60 {
        once += usize::from(ask(&mut strangers).await != laid_out[0]);
    }
    assert_eq!(once, 10);
    assert_eq!(ask(&mut strangers).await, laid_out[0], "let in all the same");
    let mut teachers = server.open(&world.device(TEACHER).key).await.unwrap();
    assert_ne!(ask(&mut teachers).await, laid_out[0]);
    drop(mothers);
    let mothers = server.open(&mother.key).await.unwrap();
    let left = mothers.pushed.iter().find_map(|r| if let Reply::Welcome(g) = r { Some(g.key_packages) } else { None });
    assert_eq!(left, Some(9), "the owner is told");
}

/// The answers are the same for a device that reads, one that sleeps, one that was removed and one that never was; and
/// nothing comes back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_by_asking_who_is_there() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    for who in [MOTHER, FATHER, STRANGER] {
        account(&world, who, &server).await;
    }
    let phone = world.device_n(MOTHER, 1);
    let mut mothers = server.open(&world.device(MOTHER).key).await.unwrap();
    let asked = certified(&world, MOTHER, asking(&world, MOTHER, phone));
    assert_eq!(mothers.ask(Request::CertifyDevice(asked)).await, Reply::Done);
    assert_eq!(mothers.ask(removal(phone, false)).await, Reply::Done);
    let mut strangers = server.open(&world.device(STRANGER).key).await.unwrap();
    strangers.pushed.clear();
    let letter = |to| Request::Letters(vec![Letter { to, kem: vec![1].into(), sealed: vec![2; 64].into() }]);
    // Awake, asleep, removed, never there.
    let sleeping = world.device(FATHER).id();
    for to in [world.device(MOTHER).id(), sleeping, phone.id(), DeviceId([0x5a; 16])] {
        assert_eq!(strangers.ask(letter(to)).await, Reply::Done);
    }
    // It is read, saved and forgotten by one of them; by the other not.
    let is_mail = |reply| if let Reply::Mail(item) = reply { Some(item.id) } else { None };
    let id = mothers.push_until(is_mail).await;
    assert_eq!(mothers.ask(Request::Acknowledge(vec![id])).await, Reply::Done);
    for to in [world.device(MOTHER).id(), sleeping] {
        assert_eq!(strangers.ask(letter(to)).await, Reply::Done);
    }
    assert!(strangers.pushed.is_empty(), "no receipt, no presence: {:?}", strangers.pushed);
    // Of people that there are not the answer is empty, as of people without keys.
    let nobody = PersonId([0x5a; 16]);
    assert_eq!(strangers.ask(Request::Persons(vec![nobody])).await, Reply::Persons(vec![]));
    for person in [nobody, world.id(FATHER)] {
        assert_eq!(strangers.ask(Request::FetchKeyPackages(vec![person])).await, Reply::KeyPackages(vec![]));
    }
    // What a look-up shows is what letters need, and the same whoever is awake.
    let Reply::Persons(found) = strangers.ask(Request::Persons(vec![world.id(MOTHER), world.id(FATHER)])).await else {
        panic!()
    };
    assert!(found.iter().all(|person| person.devices.len() == 1 && person.employee.is_none()));
}
