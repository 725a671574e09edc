//! Who may ask for how much now: token buckets for addresses, devices and peers, and the places of guests.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use stafett_protocol::ids::{DeviceId, PersonId};

use crate::budget::prefix::Prefix;
use crate::budget::table;
use crate::problem::Fault;

/// Token buckets; each refused caller is told to wait.
pub struct Admission {
    addresses: DefaultKeyedRateLimiter<Prefix>,
    devices: DefaultKeyedRateLimiter<DeviceId>,
    events: DefaultKeyedRateLimiter<DeviceId>,
    letters: DefaultKeyedRateLimiter<DeviceId>,
    peers: DefaultKeyedRateLimiter<u16>,
    packages: DefaultKeyedRateLimiter<(Asker, PersonId)>,
    openings: DefaultKeyedRateLimiter<u16>,
    /// Open guest streams of each municipality: as many copies as there are streams.
    guests: Mutex<HashMap<u16, Arc<()>>>,
}

/// One-time key packages of one person that one asker gets at once, and how long until one more: fewer than a device lays
/// out. Whoever asks for more gets the one of last resort, so that nobody uses up what others are to be met with.
const PACKAGES_AT_ONCE: u32 = 10;
const PACKAGE_EVERY: Duration = Duration::from_secs(2 * 3600);

/// Who fetches key packages. All guests of a municipality are one: its server could invent people.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    Person(PersonId),
    Peer(u16),
}

/// One guest's place; dropping it frees the place.
pub struct Guest(#[expect(dead_code, reason = "counted by being kept")] Arc<()>);

fn quota((per_second, burst): table::Rate) -> Quota {
    Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN))
        .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN))
}

fn package_quota() -> Quota {
    let at_once = NonZeroU32::new(PACKAGES_AT_ONCE).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(PACKAGE_EVERY).unwrap_or(Quota::per_hour(NonZeroU32::MIN)).allow_burst(at_once)
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            addresses: RateLimiter::keyed(quota(table::PER_PREFIX)),
            devices: RateLimiter::keyed(quota(table::PER_DEVICE)),
            events: RateLimiter::keyed(quota(table::EVENTS_PER_DEVICE)),
            letters: RateLimiter::keyed(quota(table::LETTERS_PER_DEVICE)),
            peers: RateLimiter::keyed(quota(table::PER_PEER)),
            packages: RateLimiter::keyed(package_quota()),
            openings: RateLimiter::keyed(quota(table::PEER_OPENINGS)),
            guests: Mutex::default(),
        }
    }
}

impl Admission {
    /// One join or stream opening from an address.
    pub fn address(&self, address: Prefix) -> Result<(), Fault> {
        self.addresses.check_key(&address).map_err(|_| Fault::TooManyRequests)
    }

    /// One request on a device's stream.
    pub fn request(&self, device: DeviceId) -> Result<(), Fault> {
        self.devices.check_key(&device).map_err(|_| Fault::TooManyRequests)
    }

    /// Events that a device wants to have accepted.
    pub fn events(&self, device: DeviceId, count: usize) -> Result<(), Fault> {
        admit(&self.events, device, count)
    }

    /// Letters that a device wants to have delivered.
    pub fn letters(&self, device: DeviceId, count: usize) -> Result<(), Fault> {
        admit(&self.letters, device, count)
    }

    /// Whether an asker still gets one-time key packages of this person.
    pub fn may_use_up(&self, asker: Asker, of: PersonId) -> bool {
        self.packages.check_key(&(asker, of)).is_ok()
    }

    /// What a peer, or its guests, want to have done.
    pub fn peer(&self, peer: u16, count: usize) -> Result<(), Fault> {
        admit(&self.peers, peer, count)
    }

    /// One more stream of a guest.
    pub fn guest(&self, peer: u16) -> Result<Guest, Fault> {
        admit(&self.openings, peer, 1)?;
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        let open = guests.entry(peer).or_default();
        // One copy is the map's own.
        if Arc::strong_count(open) > table::GUESTS_PER_PEER {
            return Err(Fault::TooManyRequests);
        }
        Ok(Guest(Arc::clone(open)))
    }

    /// Forgets full buckets, so that memory does not grow with every address ever seen.
    pub fn sweep(&self) {
        self.addresses.retain_recent();
        self.devices.retain_recent();
        self.events.retain_recent();
        self.letters.retain_recent();
        self.peers.retain_recent();
        self.openings.retain_recent();
        self.packages.retain_recent();
    }
}

fn admit<K: Clone + Eq + Hash>(limiter: &DefaultKeyedRateLimiter<K>, device: K, count: usize) -> Result<(), Fault> {
    let Some(count) = u32::try_from(count).ok().and_then(NonZeroU32::new) else {
        return Ok(());
    };
    match limiter.check_key_n(&device, count) {
        Ok(Ok(())) => Ok(()),
        _ => Err(Fault::TooManyRequests),
    }
}
