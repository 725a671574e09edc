//! Several devices of one person: the next one has all before the last one goes, and all of them learn of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stafett_client_core::client::input::{AccessWord, Command as C, Who};
use stafett_protocol::ids::{DeviceId, Municipality};
use stafett_protocol::wire::{Reply, ServerFrame};
use stafett_tests::model::cast::{Cast, cast, concern, list, log, other_school, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::net::Net;
use stafett_tests::model::people::Device;

/// A further device of this person, not yet certified by the first.
fn further(home: &mut ModelHome, first: &mut Device, seed: u8) -> Device {
    let code = text(&first.ask(home, C::DeviceLink).unwrap(), "code");
    first.sync(home);
    let mut device = Device::new(seed);
    device.ask(home, C::DeviceAccept { code, name: format!("nettbrett {seed}") }).unwrap();
    device
}

fn devices(home: &mut ModelHome, of: &mut Device) -> usize {
    list(&of.ask(home, C::DeviceList).unwrap(), "devices").len()
}

fn own_id(home: &mut ModelHome, of: &mut Device) -> String {
    let known = of.ask(home, C::DeviceList).unwrap();
    let this = list(&known, "devices").iter().find(|d| d["this"] == true);
    text(this.unwrap_or_else(|| panic!("{known} {}", of.last_problem())), "device")
}

/// Simulated worlds 9 and 12: a device that went before its successor was in every scope left its person
/// outside of the log for good.
#[test]
fn a_device_goes_only_when_another_has_all_that_it_has() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, mother, .. } = &mut cast;
    let mut second = further(home, mother, 80);
    // Certified, and in no scope yet: its key packages go up with the stream that comes after.
    mother.sync(home);
    second.sync(home);
    let first_id = own_id(home, mother);
    second.ask(home, C::DeviceRemove { device: first_id.clone(), lost: false }).unwrap();
    second.sync(home);
    assert!(second.last_problem().contains("device-needed"), "{}", second.last_problem());
    assert_eq!(devices(home, &mut second), 2, "it still counts");

    mother.sync(home);
    second.sync(home);
    assert_eq!(second.ask(home, C::LogShow { log: log.clone() }).unwrap()["child"], "Ella");
    second.ask(home, C::DeviceRemove { device: first_id, lost: false }).unwrap();
    second.sync(home);
    assert_eq!(devices(home, &mut second), 1);
    let audit = second.ask(home, C::AuditVerify { log }).unwrap();
    assert_eq!(list(&audit, "violations").len(), 0, "{audit}");
}

/// Whoever sells a machine tells the home with it, as long as another device has all of it.
#[test]
fn a_device_says_itself_that_it_goes_and_leaves_nothing_behind() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, mother, mother_id, .. } = &mut cast;
    assert_eq!(mother.ask(home, C::DeviceLeave).unwrap_err().code, "own-device", "the only one is not asked for");
    let mut second = further(home, mother, 80);
    mother.sync(home);
    second.sync(home);
    mother.ask(home, C::DeviceLeave).unwrap();
    mother.sync(home);
    assert!(mother.last_problem().contains("device-needed"), "{}", mother.last_problem());
    for _ in 0..2 {
        mother.sync(home);
        second.sync(home);
    }
    assert_eq!(second.ask(home, C::LogShow { log: log.clone() }).unwrap()["child"], "Ella");
    mother.ask(home, C::DeviceLeave).unwrap();
    mother.sync(home);
    let person = &home.accounts[&mother_id.parse().unwrap()];
    assert_eq!(person.record.devices.len(), 1);
    second.sync(home);
    assert_eq!(list(&second.ask(home, C::AuditVerify { log }).unwrap(), "violations").len(), 0);
}

/// Lost or stolen before its successor was let in: it goes at once.
#[test]
fn a_lost_device_goes_though_nobody_else_has_what_it_has() {
    let mut cast = cast();
    log(&mut cast);
    let Cast { home, mother, .. } = &mut cast;
    let mut second = further(home, mother, 81);
    mother.sync(home);
    second.sync(home);
    let first = own_id(home, mother);
    second.ask(home, C::DeviceRemove { device: first, lost: true }).unwrap();
    second.sync(home);
    assert_eq!(devices(home, &mut second), 1, "{}", second.last_problem());
    assert!(!home.connect(mother.id.unwrap()), "its home turns it away");
}

/// The removal of its leaves, signed by a device of ours, tells every other device that one is gone.
#[test]
fn a_persons_other_devices_learn_that_one_is_gone() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, mother, father, .. } = &mut cast;
    let mut second = further(home, mother, 81);
    let mut third = further(home, mother, 82);
    for _ in 0..3 {
        for device in [&mut *mother, &mut second, &mut third] {
            device.sync(home);
        }
    }
    let second_id = own_id(home, &mut second);
    mother.ask(home, C::DeviceRemove { device: second_id.clone(), lost: false }).unwrap();
    mother.sync(home);
    third.sync(home);
    let known = third.ask(home, C::DeviceList).unwrap();
    assert!(list(&known, "devices").iter().all(|d| d["device"] != second_id.as_str()), "{known}");
    // Nobody lets it in again, and the others' devices are not touched by it.
    third.sync(home);
    mother.sync(home);
    father.sync(home);
    assert!(!home.connect(second.id.unwrap()), "its home turns it away");
    let audit = father.ask(home, C::AuditVerify { log }).unwrap();
    assert_eq!(list(&audit, "violations").len(), 0, "{audit}");
}

/// A home whose word on people comes later than whatever else it has to say.
struct Slow<'h>(&'h mut ModelHome, Vec<ServerFrame>);

impl Net for Slow<'_> {
    fn now(&self) -> u64 {
        self.0.now
    }
    fn pass(&mut self, millis: u64) {
        self.0.pass(millis);
    }
    fn join(&mut self, _: Municipality, body: &[u8]) -> Result<Vec<u8>, String> {
        self.0.join(body)
    }
    fn connect(&mut self, _: Municipality, device: DeviceId) -> bool {
        self.0.connect(device)
    }
    fn disconnect(&mut self, _: Municipality, device: DeviceId) {
        self.0.disconnect(device);
    }
    fn frame(&mut self, _: Municipality, device: DeviceId, bytes: &[u8]) {
        self.0.frame(device, bytes);
    }
    fn inbound(&mut self, number: Municipality, device: DeviceId) -> Vec<ServerFrame> {
        let (late, mut now): (Vec<_>, Vec<_>) =
            self.0.inbound(number, device).into_iter().partition(|f| matches!(f.reply, Reply::Persons(_)));
        if !late.is_empty() {
            now.push(ServerFrame { id: 0, reply: Reply::Done });
        }
        now.extend(std::mem::replace(&mut self.1, late));
        now
    }
}

/// Simulated world 5000053: a letter that was written while its reader's devices were being asked for went to those that
/// were known from before; the newest device never learned where its Welcome was.
#[test]
fn a_letter_waits_until_its_reader_s_devices_are_known() {
    let mut cast = cast();
    let log = log(&mut cast);
    let _nes = other_school(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let mut second = further(home, mother, 83);
    mother.sync(home);
    second.sync(home);
    teacher.sync(home);
    let device = second.id.unwrap();
    let letters = |home: &ModelHome| home.mail.get(&device).map_or(0, Vec::len);
    assert_eq!(letters(home), 0, "all is read");
    // A request for consent goes to every device of both parents. The teacher has known the mother's first one for long.
    let unit = text(&list(&teacher.ask(home, C::Units).unwrap(), "units")[1], "unit");
    let (who, scopes) = (Who::Unit(unit), vec![concern]);
    let asked = teacher.ask(home, C::AccessRequest { log, who, scopes, access: AccessWord::Read });
    assert!(asked.is_ok(), "{asked:?}");
    teacher.sync(&mut Slow(home, vec![]));
    assert_eq!(letters(home), 1, "{}", teacher.last_problem());
}
