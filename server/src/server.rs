//! One running server: everything that its connections share.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use stafett_protocol::ids::{DeviceId, PersonId};
use tokio::sync::watch;

use crate::budget::Budgets;
use crate::budget::memory::Memory;
use crate::budget::prefix::Prefix;
use crate::budget::table;
use crate::clock::{self, Clock};
use crate::db::{Conn, Db, StoreError};
use crate::fanout::Fanout;
use crate::federation::{self, Federation};
use crate::intake::Intake;
use crate::municipality::Municipality;
use crate::problem::Fault;
use crate::signing;
use crate::store::accounts;

/// Token buckets; each refused caller is told to wait.
struct Limits {
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

pub struct Server {
    pub db: Db,
    pub clock: Arc<Clock>,
    pub budgets: Arc<Budgets>,
    /// What is held in memory for whom.
    pub memory: Arc<Memory>,
    pub municipality: Arc<Municipality>,
    pub fanout: Arc<Fanout>,
    pub intake: Intake,
    pub federation: Federation,
    /// Turns true when the server drains.
    pub stop: watch::Receiver<bool>,
    limits: Limits,
}

fn quota((per_second, burst): table::Rate) -> Quota {
    Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN))
        .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN))
}

fn package_quota() -> Quota {
    let at_once = NonZeroU32::new(PACKAGES_AT_ONCE).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(PACKAGE_EVERY).unwrap_or(Quota::per_hour(NonZeroU32::MIN)).allow_burst(at_once)
}

impl Server {
    /// Prepares everything; serves nothing yet.
    pub async fn start(
        db: Db,
        municipality: Municipality,
        federation: Federation,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, StoreError> {
        Self::start_by(Arc::default(), db, municipality, federation, stop).await
    }

    /// The same by a given clock.
    pub async fn start_by(
        clock: Arc<Clock>,
        db: Db,
        municipality: Municipality,
        federation: Federation,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, StoreError> {
        let found = clock::begin(&clock, &mut db.reader().await?).await?;
        let municipality = Arc::new(municipality);
        let fanout = Arc::new(Fanout::default());
        federation.peers.refresh(&db).await?;
        let server = Arc::new(Self {
            intake: Intake::new(
                db.clone(),
                Arc::clone(&municipality),
                Arc::clone(&federation.peers),
                Arc::clone(&fanout),
                Arc::clone(&clock),
            ),
            budgets: Arc::new(Budgets::new(Arc::clone(&clock))),
            memory: Arc::clone(&federation.memory),
            clock,
            federation,
            db,
            municipality,
            fanout,
            stop,
            limits: Limits {
                addresses: RateLimiter::keyed(quota(table::PER_PREFIX)),
                devices: RateLimiter::keyed(quota(table::PER_DEVICE)),
                events: RateLimiter::keyed(quota(table::EVENTS_PER_DEVICE)),
                letters: RateLimiter::keyed(quota(table::LETTERS_PER_DEVICE)),
                peers: RateLimiter::keyed(quota(table::PER_PEER)),
                packages: RateLimiter::keyed(package_quota()),
                openings: RateLimiter::keyed(quota(table::PEER_OPENINGS)),
                guests: Mutex::default(),
            },
        });
        tokio::spawn(crate::fanout::listen(Arc::clone(&server)));
        tokio::spawn(clock::follow(Arc::clone(&server), found));
        tokio::spawn(federation::peers::follow(Arc::clone(&server)));
        tokio::spawn(crate::transfer::follow(Arc::clone(&server)));
        tokio::spawn(sweep(Arc::clone(&server)));
        Ok(server)
    }

    /// Neither receipts nor certificates are signed by a restored server, nor by one whose clock is not believed.
    pub async fn may_sign(&self) -> Result<(), Fault> {
        signing::time(&mut self.db.reader().await?, &self.clock).await.map(drop)
    }

    /// One join or stream opening from an address.
    pub fn admit_address(&self, address: Prefix) -> Result<(), Fault> {
        self.limits.addresses.check_key(&address).map_err(|_| Fault::TooManyRequests)
    }

    /// One request on a device's stream.
    pub fn admit_request(&self, device: DeviceId) -> Result<(), Fault> {
        self.limits.devices.check_key(&device).map_err(|_| Fault::TooManyRequests)
    }

    /// Events that a device wants to have accepted.
    pub fn admit_events(&self, device: DeviceId, count: usize) -> Result<(), Fault> {
        admit(&self.limits.events, device, count)
    }

    /// Letters that a device wants to have delivered.
    pub fn admit_letters(&self, device: DeviceId, count: usize) -> Result<(), Fault> {
        admit(&self.limits.letters, device, count)
    }

    /// Whether an asker still gets one-time key packages of this person.
    pub fn may_use_up(&self, asker: Asker, of: PersonId) -> bool {
        self.limits.packages.check_key(&(asker, of)).is_ok()
    }

    /// What a peer, or its guests, want to have done.
    pub fn admit_peer(&self, peer: u16, count: usize) -> Result<(), Fault> {
        admit(&self.limits.peers, peer, count)
    }

    /// One more stream of a guest.
    pub fn admit_guest(&self, peer: u16) -> Result<Guest, Fault> {
        admit(&self.limits.openings, peer, 1)?;
        let mut guests = self.limits.guests.lock().unwrap_or_else(PoisonError::into_inner);
        let open = guests.entry(peer).or_default();
        // One copy is the map's own.
        if Arc::strong_count(open) > table::GUESTS_PER_PEER {
            return Err(Fault::TooManyRequests);
        }
        Ok(Guest(Arc::clone(open)))
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

/// How long a used or expired code is remembered: whoever lost the answer to a join may ask again.
const CODES_KEPT_MS: u64 = 30 * 86_400_000;

/// Forgets what is over: full buckets each minute, so that memory does not grow with every address
/// ever seen, and old codes each hour.
async fn sweep(server: Arc<Server>) {
    let mut stop = server.stop.clone();
    for minute in 0u64.. {
        server.limits.addresses.retain_recent();
        server.limits.devices.retain_recent();
        server.limits.events.retain_recent();
        server.limits.letters.retain_recent();
        server.limits.peers.retain_recent();
        server.limits.openings.retain_recent();
        server.limits.packages.retain_recent();
        server.budgets.sweep();
        if minute % 60 == 0
            && let Some(now) = server.clock.believed()
            && let Err(error) = forget_codes(&server.db, now).await
        {
            tracing::error!(%error, "old codes were not deleted");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
            () = crate::accept::stopped(&mut stop) => return,
        }
    }
}

async fn forget_codes(db: &Db, now: u64) -> Result<(), StoreError> {
    let before = now.saturating_sub(CODES_KEPT_MS);
    db.write::<_, StoreError, _>(move |conn: &mut Conn| {
        Box::pin(async move { accounts::delete_codes(conn, before).await })
    })
    .await
}
