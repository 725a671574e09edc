//! Key packages: our own at the server for others to add this device with, and those of people to be added.

use crate::client::Client;
use crate::client::input::Problem;
use crate::client::outbox::next::Seat;
use crate::client::scope::group;
use crate::client::stream::Sent;
use crate::rows::Space;
use openmls::prelude::KeyPackage;
use stafett_protocol::code::key_hash;
use stafett_protocol::commit_view::Leaf;
use stafett_protocol::ids::{DeviceId, Municipality, PersonId, PublicKey};
use stafett_protocol::limits::KEY_PACKAGE_MAX_MILLIS;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{KeyPackageOffer, Request};
use std::collections::BTreeMap;

/// One-time key packages kept at the server for others to add this device with.
const KEY_PACKAGES: usize = 20;

/// When this device last laid out key packages, and when it last found all of them gone.
const PUBLISHED: &[u8] = b"packages/published";
const USED_UP: &[u8] = b"packages/used-up";

impl Client {
    pub(crate) fn packages_published(&mut self) {
        self.going.published = true;
        self.table.write(Space::State, PUBLISHED, self.now.to_be_bytes().to_vec());
    }

    /// None are left of those that were laid out and are not too old yet: others have fetched all of them, and until now got
    /// the one of last resort. The owner can see it.
    pub(crate) fn note_packages_left(&mut self, left: u32) {
        self.going.key_packages_left = left;
        let published = self.moment(PUBLISHED).unwrap_or_default();
        if left == 0 && published > 0 && self.now < published.saturating_add(KEY_PACKAGE_MAX_MILLIS) {
            self.table.write(Space::State, USED_UP, self.now.to_be_bytes().to_vec());
        }
    }

    pub(crate) fn packages_used_up(&self) -> Option<u64> {
        self.moment(USED_UP)
    }

    fn moment(&self, key: &[u8]) -> Option<u64> {
        self.table.read(Space::State, key)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// Whether this person's devices may still be let in on this connection: nobody has said yet that they left no key
    /// package, or there is one.
    pub(crate) fn can_be_asked_in(&self, person: PersonId) -> bool {
        let left = self.going.packages.get(&person).is_some_and(|packages| !packages.is_empty());
        left || !self.stream.asked_packages.contains(&person) || self.packages_under_way()
    }

    pub(crate) fn publish_key_packages(&mut self) {
        let Ok(own) = self.me().map(crate::client::me::Me::number) else { return };
        let enough = self.going.key_packages_left as usize >= KEY_PACKAGES / 2;
        if self.going.published || enough || self.stream.waits_for(&Sent::OwnKeyPackages) {
            return;
        }
        match self.key_package_offers() {
            Ok(offers) => self.stream.send(own, Request::PublishKeyPackages(offers), Sent::OwnKeyPackages),
            Err(problem) => self.report(&problem),
        }
    }

    fn key_package_offers(&self) -> Result<Vec<Signed<KeyPackageOffer>>, Problem> {
        let me = self.me()?;
        (0..=KEY_PACKAGES)
            .map(|n| {
                let last_resort = n == 0;
                let package = group::key_package(&self.provider, me, last_resort)?;
                let offer = KeyPackageOffer {
                    device: me.device(),
                    offered_at: self.home_now(),
                    last_resort: last_resort.into(),
                    package: package.into(),
                };
                Ok(Signed::sign(&offer, &me.device_key()))
            })
            .collect()
    }

    /// Asks each person's own municipality for key packages, once. Answers whether some may still come; a
    /// municipality that is away keeps only its own people waiting.
    pub(crate) fn fetch_packages(&mut self, persons: &[PersonId]) -> bool {
        let mut by_home: BTreeMap<Municipality, Vec<PersonId>> = BTreeMap::new();
        for person in persons.iter().filter(|p| !self.stream.asked_packages.contains(p)) {
            by_home.entry(self.person_home(*person)).or_default().push(*person);
        }
        let mut may_come = false;
        for (home, persons) in by_home {
            if self.reach(home) {
                self.stream.asked_packages.extend(&persons);
                let purpose = Sent::KeyPackages(persons.clone());
                self.stream.send(home, Request::FetchKeyPackages(persons), purpose);
                may_come = true;
            }
            may_come |= self.is_opening(home);
        }
        may_come || self.packages_under_way()
    }

    fn packages_under_way(&self) -> bool {
        self.stream.under_way().any(|s| matches!(s, Sent::KeyPackages(_)))
    }

    /// Key packages that came, by the person they can add.
    pub(crate) fn sort_packages(&mut self, offers: Vec<Signed<KeyPackageOffer>>) {
        for offer in offers {
            let Ok(leaf) =
                offer.peek().map_err(Problem::from_malformed).and_then(|o| self.leaf_of(o.package.as_slice()))
            else {
                continue;
            };
            if offer.verify(&leaf.key).is_err() {
                continue;
            }
            let Some(person) = leaf.credential.person.peek().ok().map(|c| c.person) else {
                continue;
            };
            self.going.packages.entry(person).or_default().push(offer);
        }
    }

    fn leaf_of(&self, package: &[u8]) -> Result<Leaf, Problem> {
        let package = group::read_key_package(&self.provider, package)?;
        Ok(Leaf::of(package.leaf_node())?)
    }

    /// The packages that add `person` in a scope: of devices that are not in yet, one of each.
    pub(crate) fn packages_for(&self, seat: &Seat, present: &[PublicKey]) -> Vec<(PublicKey, KeyPackage)> {
        let all = self.packages_of(seat.person, &seat.person_key);
        let new = all.into_iter().filter(|(key, _)| !present.contains(key));
        new.filter_map(|(key, packages)| Some((key, packages.into_iter().next()?))).collect()
    }

    /// All key packages of a person that have come, by device, certified under the pinned key.
    pub(crate) fn packages_of(&self, person: PersonId, person_key: &PublicKey) -> BTreeMap<PublicKey, Vec<KeyPackage>> {
        let Ok(me) = self.me() else { return BTreeMap::new() };
        let trusted = me.trusted();
        let gone = self.removed_devices();
        let offers = self.going.packages.get(&person).map(Vec::as_slice).unwrap_or_default();
        let mut found: BTreeMap<PublicKey, Vec<KeyPackage>> = BTreeMap::new();
        for offer in offers.iter().filter_map(|o| o.peek().ok()) {
            let Ok(package) = group::read_key_package(&self.provider, offer.package.as_slice()) else {
                continue;
            };
            let Ok(leaf) = Leaf::of(package.leaf_node()) else {
                continue;
            };
            let Ok(identity) = leaf.credential.verify(&trusted) else {
                continue;
            };
            let fits = identity.person() == person
                && key_hash(identity.person_key()) == key_hash(person_key)
                && identity.device_key() == &leaf.key
                && !gone.contains(&DeviceId::of_key(&leaf.key));
            if fits {
                found.entry(leaf.key).or_default().push(package);
            }
        }
        found
    }
}
