//! Time: old secrets go (M23), long absence (N6), clocks that are far off (K5).

use super::chain::{glimpse, glimpses};
use stafett_client_core::client::input::Command as C;
use stafett_client_core::rows::Space;
use stafett_protocol::ids::{DeviceId, Municipality};
use stafett_protocol::limits::OWN_UPDATE_MAX_MILLIS;
use stafett_protocol::wire::ServerFrame;
use stafett_tests::model::cast::{Cast, cast, concern, log};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::net::Net;
use stafett_tests::model::people::Device;

const DAY: u64 = 86_400_000;

/// Bytes that MLS keeps on a device.
fn mls_bytes(device: &Device) -> usize {
    device
        .disk
        .iter()
        .filter(|((space, _), _)| *space == Space::Mls as u8)
        .map(|((_, key), value)| key.len() + value.len())
        .sum()
}

/// M23, SP6: each month every device renews its leaf; what MLS keeps does not grow with the epochs behind.
#[test]
fn m23_old_leaves_are_renewed_and_no_past_epochs_secrets_are_kept() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let scope = concern.parse().unwrap();
    let (mut sizes, mut epochs) = (vec![], vec![]);
    for _ in 0..6 {
        home.now += OWN_UPDATE_MAX_MILLIS.min(31 * DAY) + DAY;
        for device in [&mut *teacher, &mut *mother, &mut *father] {
            device.sync(home);
        }
        for device in [&mut *teacher, &mut *mother, &mut *father] {
            device.sync(home);
        }
        sizes.push(mls_bytes(teacher));
        epochs.push(home.scopes[&scope].replica.state().epoch);
    }
    assert!(epochs.windows(2).all(|pair| pair[0] < pair[1]), "each month renews: {epochs:?}");
    let (first, last) = (sizes[1], sizes[5]);
    assert!(last < first + first / 10, "secrets of past epochs are kept: {sizes:?} over {epochs:?}");
}

/// N6: the consents have run out meanwhile. What was written before is read, what waits stays with its writer.
#[test]
fn n6_a_device_that_was_away_for_400_days_comes_back() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    mother.ask(home, C::Glimpse { concern: concern.clone(), text: "Skrevet før reisen".into() }).unwrap();
    glimpse(home, teacher, &concern, "Mens hun var borte");
    for _ in 0..13 {
        home.now += 31 * DAY;
        teacher.sync(home);
        father.sync(home);
    }
    let epoch = home.scopes[&concern.parse().unwrap()].replica.state().epoch;
    assert!(epoch > 10, "the others have renewed: {epoch}");
    mother.restart();
    for _ in 0..2 {
        mother.sync(home);
    }
    let shown = glimpses(mother, home, &concern);
    assert!(shown.contains(&"Mens hun var borte".to_owned()), "{shown:?} {}", mother.last_problem());
    let show = mother.ask(home, C::LogShow { log }).unwrap();
    assert_eq!(show["status"], "dormant", "nobody has renewed the consents: {show}");
    let waits = show["pending"].as_array().unwrap().len();
    assert!(waits == 1 || shown.contains(&"Skrevet før reisen".to_owned()), "her words are lost: {show}");
}

/// A home as seen from a device whose clock is off.
pub struct Skewed<'a>(pub &'a mut ModelHome, pub i64);

impl Net for Skewed<'_> {
    fn now(&self) -> u64 {
        self.0.now.saturating_add_signed(self.1)
    }
    fn pass(&mut self, millis: u64) {
        self.0.pass(millis);
    }
    fn join(&mut self, number: Municipality, body: &[u8]) -> Result<Vec<u8>, String> {
        Net::join(self.0, number, body)
    }
    fn connect(&mut self, number: Municipality, device: DeviceId) -> bool {
        Net::connect(self.0, number, device)
    }
    fn disconnect(&mut self, number: Municipality, device: DeviceId) {
        Net::disconnect(self.0, number, device);
    }
    fn frame(&mut self, number: Municipality, device: DeviceId, bytes: &[u8]) {
        Net::frame(self.0, number, device, bytes);
    }
    fn inbound(&mut self, number: Municipality, device: DeviceId) -> Vec<ServerFrame> {
        self.0.inbound(number, device)
    }
}

/// K5: neither lock-out nor another order, whatever a device believes the time to be.
#[test]
fn k5_a_device_whose_clock_is_years_off_writes_and_reads() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let mut told = vec![];
    for off in [DAY as i64, -(DAY as i64), 3650 * DAY as i64] {
        // One word from the home, and the device knows; also later without the net.
        mother.sync(&mut Skewed(home, off));
        mother.restart();
        let words = format!("Klokka går {off} feil");
        let text = words.clone();
        mother.ask(&mut Skewed(home, off), C::Glimpse { concern: concern.clone(), text }).unwrap();
        mother.sync(&mut Skewed(home, off));
        told.push(words);
        let words = format!("Svar {}", told.len());
        glimpse(home, teacher, &concern, &words);
        told.push(words);
    }
    mother.sync(home);
    assert_eq!(glimpses(mother, home, &concern), told, "{}", mother.last_problem());
    assert_eq!(glimpses(teacher, home, &concern), told);
    // So far behind that the home could say anything: she is told, and her words wait until the clock is right.
    for off in [-3650 * DAY as i64, i64::MIN / 2] {
        let words = format!("Klokka går {off} feil");
        let text = words.clone();
        mother.ask(&mut Skewed(home, off), C::Glimpse { concern: concern.clone(), text }).unwrap();
        mother.sync(&mut Skewed(home, off));
        assert!(mother.last_problem().contains("\"clock\""), "{}", mother.last_problem());
        mother.restart();
        mother.sync(home);
        told.push(words);
        glimpse(home, teacher, &concern, "Svar");
        told.push("Svar".to_owned());
    }
    mother.sync(home);
    assert_eq!(glimpses(mother, home, &concern), told, "{}", mother.last_problem());
    assert_eq!(glimpses(teacher, home, &concern), told);
}
