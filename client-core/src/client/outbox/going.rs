//! What of sending counts on this connection alone: uploads, key packages, rows that were put off.

use crate::client::input::Progress;
use crate::client::outbox::files::Upload;
use stafett_protocol::ids::{Hash, Municipality, PersonId};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::KeyPackageOffer;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Going {
    /// How far a move under way has come, until it is told.
    pub moving: Option<Progress>,
    /// Key packages fetched and not used yet.
    pub packages: BTreeMap<PersonId, Vec<Signed<KeyPackageOffer>>>,
    /// Rows of the outbox that the server put off: they wait for the next connection.
    pub parked: BTreeSet<Vec<u8>>,
    /// Own key packages that are left at the server, and whether new ones were laid out.
    pub key_packages_left: u32,
    pub published: bool,
    /// Files on their way to a home.
    pub uploads: BTreeMap<(Municipality, Hash), Upload>,
}
