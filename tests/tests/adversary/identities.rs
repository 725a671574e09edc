//! A home that lies about who is who (A7, A9, M13, M17).

use super::chain::{glimpse, glimpses};
use ed25519_dalek::SigningKey;
use stafett_client_core::client::input::{AccessWord, Command as C, Invitation, Who};
use stafett_protocol::credential::{DeviceCertificate, DeviceRecord, PersonCertificate, letter_key_hash};
use stafett_protocol::ids::{DeviceId, PersonId};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::Mail;
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{Cast, cast, concern, join, log, text};
use stafett_tests::model::people::Device;

/// The municipality certifies a key of its own for the father, or only a device that he never signed for.
fn impostors(cast: &Cast) -> Vec<(DeviceId, Signed<PersonCertificate>, DeviceRecord)> {
    let father: PersonId = cast.father_id.parse().unwrap();
    let account = &cast.home.accounts[&father];
    let genuine = account.record.certificate.peek().unwrap();
    let (person_key, device_key) = (SigningKey::from_bytes(&[66; 32]), SigningKey::from_bytes(&[67; 32]));
    let public = device_key.verifying_key().to_bytes();
    let letter_key = account.record.devices[0].letter_key.clone();
    let hash = letter_key_hash(letter_key.as_slice());
    let device = DeviceCertificate { person: father, device_key: public, letter_key: hash, issued_at: 1 };
    let person = PersonCertificate { person_key: person_key.verifying_key().to_bytes(), ..genuine };
    let record =
        |by: &SigningKey| DeviceRecord { certificate: Signed::sign(&device, by), letter_key: letter_key.clone() };
    let id = DeviceId::of_key(&public);
    vec![
        (id, Signed::sign(&person, &cast.home.key), record(&person_key)),
        (id, account.record.certificate.clone(), record(&device_key)),
        (id, account.record.certificate.clone(), record(&cast.home.key)),
    ]
}

/// A7: letters to the father, among them what he is asked to sign, go to no device that he did not certify himself.
#[test]
fn a7_a_device_that_the_home_invents_gets_no_letter_and_no_seat() {
    for number in 0..3 {
        let mut cast = cast();
        let log = log(&mut cast);
        let concern = concern(&mut cast, &log);
        let (invented, certificate, device) = impostors(&cast).swap_remove(number);
        let father: PersonId = cast.father_id.parse().unwrap();
        let record = &mut cast.home.accounts.get_mut(&father).unwrap().record;
        record.certificate = certificate;
        record.devices.push(device);
        let Cast { home, teacher, .. } = &mut cast;
        home.add_unit("PPT", "ppt");
        let code = home.add_unit("BUP", "ppt");
        join(home, 12, code, "Leder BUP");
        teacher.sync(home);
        let units = teacher.ask(home, C::Units).unwrap();
        let unit = units["units"].as_array().unwrap().iter().find(|u| u["name"] == "BUP").map(|u| text(u, "unit"));
        let who = Who::Unit(unit.unwrap());
        teacher.ask(home, C::AccessRequest { log, who, scopes: vec![concern], access: AccessWord::Read }).unwrap();
        teacher.sync(home);
        let got = home.mail.get(&invented).map_or(0, Vec::len);
        assert_eq!(got, 0, "impostor {number}: {}", teacher.last_problem());
        let leaves = home.scopes.values().flat_map(|s| s.replica.state().membership.devices());
        assert!(leaves.into_iter().all(|key| DeviceId::of_key(key) != invented));
        let counts = teacher.ask(home, C::SyncCounts).unwrap();
        assert!(!counts["problems"].as_array().unwrap().is_empty(), "impostor {number} is told of: {counts}");
    }
}

/// A9: the number on one person's screen does not pass for another's.
#[test]
fn a9_the_number_of_one_person_does_not_verify_another() {
    let mut cast = cast();
    let Cast { home, teacher, mother, mother_id, father_id, .. } = &mut cast;
    let of = |device: &mut Device, home: &mut _, person: &str, number: Option<String>| {
        device.ask(home, C::Verify { person: person.to_owned(), number }).unwrap()
    };
    let mothers = text(&of(teacher, home, mother_id, None), "number");
    let fathers = text(&of(teacher, home, father_id, None), "number");
    assert_ne!(mothers, fathers);
    assert_eq!(of(teacher, home, mother_id, Some(fathers))["matches"], false);
    let teacher_id = text(&teacher.ask(home, C::DeviceList).unwrap(), "person");
    assert_eq!(text(&of(mother, home, &teacher_id, None), "number"), mothers, "both see the same number");
    assert_eq!(of(teacher, home, mother_id, Some(mothers))["matches"], true);
}

/// M13: a Welcome that was spoilt on the way. The device is let in all the same, and nobody else is disturbed.
#[test]
fn m13_a_spoilt_welcome_keeps_nobody_out() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let code = text(&mother.ask(home, C::DeviceLink).unwrap(), "code");
    mother.sync(home);
    let mut second = Device::new(50);
    second.ask(home, C::DeviceAccept { code, name: "nettbrett".into() }).unwrap();
    mother.sync(home);
    second.sync(home);
    mother.sync(home);
    let mut spoilt = 0;
    for item in home.mail.get_mut(&second.id.unwrap()).unwrap() {
        if let Mail::Welcome(welcome) = &mut item.mail {
            let mut bytes = welcome.welcome.as_slice().to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            welcome.welcome = bytes.into();
            spoilt += 1;
        }
    }
    assert!(spoilt >= 3, "card, journal and concern");
    for _ in 0..3 {
        second.sync(home);
        mother.sync(home);
    }
    glimpse(home, teacher, &concern, "Til alle");
    second.sync(home);
    assert_eq!(glimpses(&mut second, home, &concern), ["Til alle"], "{}", second.last_problem());
}

/// M17: key packages that are another person's, spoilt, or without the device's signature let nobody in.
#[test]
fn m17_only_key_packages_that_the_device_signed_are_used() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, leader, teacher, mother, father, .. } = &mut cast;
    // A new employee who will be asked in: the home hands out the father's packages in the leader's colours.
    let invitation = Invitation::Employee { may_hold: false, may_act: true };
    let code = text(&leader.ask(home, C::Invite(invitation)).unwrap(), "code");
    leader.sync(home);
    let (nurse, person) = join(home, 30, code, "Nina Nurse");
    let (nurse_device, father_device) = (nurse.id.unwrap(), father.id.unwrap());
    let genuine = home.packages[&nurse_device].clone();
    let foreign = home.packages[&father_device].clone();
    let insider = Insider::of(father, &concern);
    let resigned = genuine.iter().map(|o| Signed::sign(&o.peek().unwrap(), &insider.me.device_key())).collect();
    let unit = text(&teacher.ask(home, C::Units).unwrap()["units"][0], "unit");
    let who = Who::Unit(unit);
    let request =
        C::AccessRequest { log: log.clone(), who, scopes: vec![concern.clone()], access: AccessWord::Contribute };
    teacher.ask(home, request).unwrap();
    teacher.sync(home);
    for guardian in [&mut *mother, &mut *father] {
        stafett_tests::model::cast::sign(home, guardian);
    }
    teacher.sync(home);
    leader.sync(home);
    leader.ask(home, C::UnitAssign { log, person, scopes: vec![] }).unwrap();
    leader.sync(home);
    let seats = |home: &stafett_tests::model::home::ModelHome| {
        home.scopes[&concern.parse().unwrap()].replica.state().membership.members.len()
    };
    let before = seats(home);
    for packages in [foreign, resigned] {
        home.packages.insert(nurse_device, packages);
        teacher.sync(home);
        assert_eq!(seats(home), before, "{}", teacher.last_problem());
    }
    home.packages.insert(nurse_device, genuine);
    teacher.sync(home);
    teacher.sync(home);
    assert_eq!(seats(home), before + 1, "the genuine one lets her in: {}", teacher.last_problem());
}
