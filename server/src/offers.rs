//! Key packages and device certificates from outside: what they must be before they are stored.

use openmls::prelude::{MlsMessageBodyIn, MlsMessageIn, ProtocolVersion};
use openmls_rust_crypto::RustCrypto;
use stafett_protocol::commit_view::Leaf;
use stafett_protocol::credential::{DeviceCertificate, Municipalities, letter_key_hash};
use stafett_protocol::ids::{DeviceId, PersonId, PublicKey};
use stafett_protocol::limits::{
    CLOCK_SKEW_SHOWN_MILLIS, KEY_PACKAGE_BYTES, KEY_PACKAGE_MAX_MILLIS, KEY_PACKAGES_PER_DEVICE, LETTER_KEY_BYTES,
};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::KeyPackageOffer;
use tls_codec::{Deserialize as _, Size as _};

use crate::problem::Fault;

/// A hybrid public key (X-Wing: ML-KEM-768 and X25519), for letters and in key packages. To one of another length nobody
/// can seal anything.
const HYBRID_KEY_BYTES: usize = LETTER_KEY_BYTES;
/// Its length, as MLS writes it.
const LENGTH_BYTES: usize = 2;

/// A certificate by this person's key for this device, naming this letter key.
pub fn check_device(
    signed: &Signed<DeviceCertificate>,
    person: PersonId,
    person_key: &PublicKey,
    letter_key: &[u8],
) -> Result<DeviceCertificate, Fault> {
    let certificate = signed.verify(person_key).map_err(|_| Fault::Inconsistent)?;
    let fits = certificate.person == person
        && certificate.letter_key == letter_key_hash(letter_key)
        && letter_key.len() == HYBRID_KEY_BYTES;
    if fits { Ok(certificate) } else { Err(Fault::Inconsistent) }
}

/// Key packages of one device, each signed by it, fresh, whole, and with the device's own leaf inside.
pub fn check_packages(
    offers: &[Signed<KeyPackageOffer>],
    person: PersonId,
    device_key: &PublicKey,
    trusted: &Municipalities,
    now: u64,
) -> Result<Vec<KeyPackageOffer>, Fault> {
    if offers.len() > KEY_PACKAGES_PER_DEVICE {
        return Err(Fault::TooLarge);
    }
    offers
        .iter()
        .map(|signed| {
            let offer = signed.verify(device_key).map_err(|_| Fault::Inconsistent)?;
            let fresh = offer.offered_at <= now.saturating_add(CLOCK_SKEW_SHOWN_MILLIS)
                && offer.offered_at > now.saturating_sub(KEY_PACKAGE_MAX_MILLIS);
            if offer.device != DeviceId::of_key(device_key) || !fresh {
                return Err(Fault::Inconsistent);
            }
            check_package(offer.package.as_slice(), person, device_key, trusted)?;
            Ok(offer)
        })
        .collect()
}

fn check_package(
    package: &[u8],
    person: PersonId,
    device_key: &PublicKey,
    trusted: &Municipalities,
) -> Result<(), Fault> {
    if package.len() > KEY_PACKAGE_BYTES {
        return Err(Fault::TooLarge);
    }
    let message = MlsMessageIn::tls_deserialize_exact(package).map_err(|_| Fault::Inconsistent)?;
    let MlsMessageBodyIn::KeyPackage(package) = message.extract() else {
        return Err(Fault::Inconsistent);
    };
    let package = package.validate(&RustCrypto::default(), ProtocolVersion::Mls10).map_err(|_| Fault::Inconsistent)?;
    let leaf = Leaf::of(package.leaf_node())?;
    let identity = leaf.credential.verify(trusted).map_err(|_| Fault::Inconsistent)?;
    let whole = |key: &[u8]| key.len() == HYBRID_KEY_BYTES;
    let fits = package.ciphersuite() == stafett_protocol::SUITE
        && whole(package.hpke_init_key().as_slice())
        && package.leaf_node().encryption_key().tls_serialized_len() == HYBRID_KEY_BYTES + LENGTH_BYTES
        && leaf.key == *device_key
        && identity.device_key() == device_key
        && identity.person() == person;
    if fits { Ok(()) } else { Err(Fault::Inconsistent) }
}
