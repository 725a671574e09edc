//! The payload of a change event: Automerge changes of one author, packed, compressed, padded and sealed under the epoch's content key.
//! Every event has a key of its own, derived with a random salt, so that a restored backup can never repeat a nonce.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, Mac};
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use sha2::{Digest, Sha256};
use stafett_protocol::checkpoint::CheckpointHead;
use stafett_protocol::codec::encode;
use stafett_protocol::ids::DeviceId;
use stafett_protocol::limits::{
    CHANGE_EVENT_BYTES, CHANGE_INFLATED_BYTES, CHANGE_OPERATIONS, CHECKPOINT_BYTES, CHECKPOINT_STEP_BYTES,
};
use subtle::ConstantTimeEq;

use crate::keychain::ContentKey;

/// The authentication tag of AES-256-GCM.
const GCM_TAG_BYTES: usize = 16;
/// The length of the compressed part, before it.
const LENGTH_BYTES: usize = 4;
/// Bytes of a change chunk before what its hash covers: magic and checksum.
const UNHASHED_BYTES: usize = 8;

/// Why a payload cannot be made or opened. The verdict depends on the bytes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("more than {CHANGE_EVENT_BYTES} bytes sealed")]
    SealedSize,
    #[error("more than {CHANGE_INFLATED_BYTES} bytes when inflated")]
    InflatedSize,
    #[error("no change, or more than {CHANGE_OPERATIONS}")]
    Count,
    #[error("does not open: wrong key, place or author, or altered")]
    Opening,
    #[error("opened, but not packed as it must be")]
    Packing,
    #[error("the tag does not fit the changes")]
    Tag,
}

/// What binds a payload to its event.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Random, new for every event; travels in the clear.
    pub salt: [u8; 32],
    pub device: DeviceId,
    pub counter: u64,
    /// The event's clear header as it is signed.
    pub header: &'a [u8],
}

/// The hash by which Automerge names an uncompressed change.
#[must_use]
pub fn change_hash(change: &[u8]) -> [u8; 32] {
    Sha256::digest(change.get(UNHASHED_BYTES..).unwrap_or_default()).into()
}

/// The tag that stands in the clear header: it proves to members which changes are inside, and lets nobody guess them.
#[must_use]
pub fn change_tag(key: &ContentKey, salt: &[u8; 32], changes: &[Vec<u8>]) -> [u8; 32] {
    let tag_key = key.derive(salt, "change tag", &[]);
    // An HMAC takes keys of any length; the digest of nothing would match no tag.
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(tag_key.as_ref()) else {
        return [0; 32];
    };
    for change in changes {
        mac.update(&change_hash(change));
    }
    mac.finalize().into_bytes().into()
}

/// Whether the header's tag belongs to these changes.
pub fn verify_tag(key: &ContentKey, salt: &[u8; 32], changes: &[Vec<u8>], tag: &[u8; 32]) -> Result<(), SealError> {
    let made = change_tag(key, salt, changes);
    if bool::from(made.ct_eq(tag)) { Ok(()) } else { Err(SealError::Tag) }
}

/// Seals changes of one author.
pub fn seal(key: &ContentKey, binding: &Binding<'_>, changes: &[Vec<u8>]) -> Result<Vec<u8>, SealError> {
    let packed = pack(changes)?;
    let compressed = compress_to_vec(&packed, 6);
    let length = u32::try_from(compressed.len()).map_err(|_| SealError::SealedSize)?;
    let mut plain = length.to_be_bytes().to_vec();
    plain.extend(compressed);
    plain.resize(padded(plain.len() + GCM_TAG_BYTES) - GCM_TAG_BYTES, 0);
    let payload = Payload { msg: &plain, aad: binding.header };
    let sealed = cipher(key, binding).encrypt(&Nonce::default(), payload).map_err(|_| SealError::SealedSize)?;
    if sealed.len() > CHANGE_EVENT_BYTES { Err(SealError::SealedSize) } else { Ok(sealed) }
}

/// Opens a payload. Nothing larger than the limits is ever allocated.
pub fn open(key: &ContentKey, binding: &Binding<'_>, sealed: &[u8]) -> Result<Vec<Vec<u8>>, SealError> {
    if sealed.len() > CHANGE_EVENT_BYTES {
        return Err(SealError::SealedSize);
    }
    let payload = Payload { msg: sealed, aad: binding.header };
    let plain = cipher(key, binding).decrypt(&Nonce::default(), payload).map_err(|_| SealError::Opening)?;
    let (length, rest) = plain.split_first_chunk::<LENGTH_BYTES>().ok_or(SealError::Packing)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SealError::Packing)?;
    let (compressed, padding) = rest.split_at_checked(length).ok_or(SealError::Packing)?;
    if padded(LENGTH_BYTES + length + GCM_TAG_BYTES) != sealed.len() || padding.iter().any(|byte| *byte != 0) {
        return Err(SealError::Packing);
    }
    let packed =
        decompress_to_vec_with_limit(compressed, CHANGE_INFLATED_BYTES).map_err(|failure| match failure.status {
            miniz_oxide::inflate::TINFLStatus::HasMoreOutput => SealError::InflatedSize,
            _ => SealError::Packing,
        })?;
    unpack(&packed)
}

/// The header of a checkpoint without its parts: what its seal authenticates.
fn checkpoint_header(head: &CheckpointHead) -> Vec<u8> {
    encode(&CheckpointHead { parts: vec![], ..head.clone() })
}

fn checkpoint_cipher(key: &ContentKey, head: &CheckpointHead) -> Aes256Gcm {
    Aes256Gcm::new((&*key.derive(&head.salt, "checkpoint", &head.author)).into())
}

/// Seals a compacted document; the size is rounded up, so that it tells little.
pub fn seal_checkpoint(key: &ContentKey, head: &CheckpointHead, document: &[u8]) -> Result<Vec<u8>, SealError> {
    let length = u32::try_from(document.len()).map_err(|_| SealError::SealedSize)?;
    let mut plain = length.to_be_bytes().to_vec();
    plain.extend_from_slice(document);
    plain.resize((plain.len() + GCM_TAG_BYTES).next_multiple_of(CHECKPOINT_STEP_BYTES) - GCM_TAG_BYTES, 0);
    let payload = Payload { msg: &plain, aad: &checkpoint_header(head) };
    let sealed = checkpoint_cipher(key, head).encrypt(&Nonce::default(), payload).map_err(|_| SealError::SealedSize)?;
    if sealed.len() > CHECKPOINT_BYTES + CHECKPOINT_STEP_BYTES { Err(SealError::SealedSize) } else { Ok(sealed) }
}

/// Opens a checkpoint's joined parts.
pub fn open_checkpoint(key: &ContentKey, head: &CheckpointHead, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    if sealed.len() > CHECKPOINT_BYTES + CHECKPOINT_STEP_BYTES {
        return Err(SealError::SealedSize);
    }
    let payload = Payload { msg: sealed, aad: &checkpoint_header(head) };
    let plain = checkpoint_cipher(key, head).decrypt(&Nonce::default(), payload).map_err(|_| SealError::Opening)?;
    let (length, rest) = plain.split_first_chunk::<LENGTH_BYTES>().ok_or(SealError::Packing)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SealError::Packing)?;
    let (document, padding) = rest.split_at_checked(length).ok_or(SealError::Packing)?;
    let fits = sealed.len().is_multiple_of(CHECKPOINT_STEP_BYTES) && padding.iter().all(|byte| *byte == 0);
    if fits && padding.len() < CHECKPOINT_STEP_BYTES { Ok(document.to_vec()) } else { Err(SealError::Packing) }
}

/// The size to which a length is rounded up: steps of 64 bytes until 1 KiB, then Padmé (at most 12 % more).
#[must_use]
pub fn padded(length: usize) -> usize {
    if length <= 1024 {
        return length.next_multiple_of(64).max(64);
    }
    let exponent = length.ilog2();
    let kept = exponent.ilog2() + 1;
    length.next_multiple_of(1 << exponent.saturating_sub(kept))
}

fn cipher(key: &ContentKey, binding: &Binding<'_>) -> Aes256Gcm {
    let mut context = [0; 24];
    let (device, counter) = context.split_at_mut(16);
    device.copy_from_slice(&binding.device.0);
    counter.copy_from_slice(&binding.counter.to_be_bytes());
    Aes256Gcm::new((&*key.derive(&binding.salt, "change", &context)).into())
}

/// Changes one after the other, each with its length before it.
fn pack(changes: &[Vec<u8>]) -> Result<Vec<u8>, SealError> {
    if changes.is_empty() || changes.len() > CHANGE_OPERATIONS {
        return Err(SealError::Count);
    }
    let mut packed = Vec::with_capacity(changes.iter().map(|change| change.len() + LENGTH_BYTES).sum());
    for change in changes {
        let length = u32::try_from(change.len()).map_err(|_| SealError::InflatedSize)?;
        packed.extend(length.to_be_bytes());
        packed.extend(change);
    }
    if packed.len() > CHANGE_INFLATED_BYTES { Err(SealError::InflatedSize) } else { Ok(packed) }
}

fn unpack(mut packed: &[u8]) -> Result<Vec<Vec<u8>>, SealError> {
    let mut changes = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk::<LENGTH_BYTES>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SealError::Packing)?;
        let (change, rest) = rest.split_at_checked(length).ok_or(SealError::Packing)?;
        if changes.len() == CHANGE_OPERATIONS {
            return Err(SealError::Count);
        }
        changes.push(change.to_vec());
        packed = rest;
    }
    match (packed.is_empty(), changes.is_empty()) {
        (false, _) => Err(SealError::Packing),
        (true, true) => Err(SealError::Count),
        (true, false) => Ok(changes),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn key() -> ContentKey {
        ContentKey::from_exporter(&[1; 32]).unwrap()
    }

    const BINDING: Binding<'_> = Binding { salt: [2; 32], device: DeviceId([3; 16]), counter: 4, header: b"header" };

    /// Seals any plaintext, as a hostile member could.
    fn seal_raw(compressed: &[u8], announced: usize, fill: u8) -> Vec<u8> {
        let mut plain = (announced as u32).to_be_bytes().to_vec();
        plain.extend(compressed);
        plain.resize(padded(plain.len() + GCM_TAG_BYTES) - GCM_TAG_BYTES, fill);
        cipher(&key(), &BINDING).encrypt(&Nonce::default(), Payload { msg: &plain, aad: b"header" }).unwrap()
    }

    #[test]
    fn opens_only_in_its_own_envelope() {
        let sealed = seal(&key(), &BINDING, &[vec![9; 40]]).unwrap();
        assert_eq!(open(&key(), &BINDING, &sealed).unwrap(), vec![vec![9; 40]]);
        let other = ContentKey::from_exporter(&[8; 32]).unwrap();
        assert_eq!(open(&other, &BINDING, &sealed), Err(SealError::Opening));
        for wrong in [
            Binding { salt: [0; 32], ..BINDING },
            Binding { device: DeviceId([0; 16]), ..BINDING },
            Binding { counter: 5, ..BINDING },
            Binding { header: b"other", ..BINDING },
        ] {
            assert_eq!(open(&key(), &wrong, &sealed), Err(SealError::Opening));
        }
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert_eq!(open(&key(), &BINDING, &bent), Err(SealError::Opening));
        }
    }

    #[test]
    fn an_inflating_payload_stops_at_the_limit() {
        let fits = compress_to_vec(&pack(&[vec![0; CHANGE_INFLATED_BYTES - LENGTH_BYTES]]).unwrap(), 6);
        assert!(open(&key(), &BINDING, &seal_raw(&fits, fits.len(), 0)).is_ok());
        for size in [CHANGE_INFLATED_BYTES + 1, 128 << 20] {
            let bomb = compress_to_vec(&vec![0; size], 6);
            assert!(bomb.len() < CHANGE_EVENT_BYTES);
            assert_eq!(open(&key(), &BINDING, &seal_raw(&bomb, bomb.len(), 0)), Err(SealError::InflatedSize));
        }
        assert_eq!(seal(&key(), &BINDING, &[vec![0; CHANGE_INFLATED_BYTES]]), Err(SealError::InflatedSize));
    }

    #[test]
    fn packing_has_one_form() {
        let good = compress_to_vec(&pack(&[vec![1, 2, 3]]).unwrap(), 6);
        assert!(open(&key(), &BINDING, &seal_raw(&good, good.len(), 0)).is_ok());
        assert_eq!(open(&key(), &BINDING, &seal_raw(&good, good.len(), 7)), Err(SealError::Packing));
        assert_eq!(open(&key(), &BINDING, &seal_raw(&good, 5000, 0)), Err(SealError::Packing));
        assert_eq!(open(&key(), &BINDING, &seal_raw(&good, good.len() - 1, 0)), Err(SealError::Packing));
        let cut = compress_to_vec(&[0, 0, 0, 9, 1], 6);
        assert_eq!(open(&key(), &BINDING, &seal_raw(&cut, cut.len(), 0)), Err(SealError::Packing));
        let none = compress_to_vec(&[], 6);
        assert_eq!(open(&key(), &BINDING, &seal_raw(&none, none.len(), 0)), Err(SealError::Count));
        assert_eq!(open(&key(), &BINDING, &vec![0; CHANGE_EVENT_BYTES + 1]), Err(SealError::SealedSize));
    }

    #[test]
    fn too_much_is_not_sealed() {
        let noise: Vec<u8> = (0..300_000u32).flat_map(|at| Sha256::digest(at.to_be_bytes())[..1].to_vec()).collect();
        assert_eq!(seal(&key(), &BINDING, &[noise]), Err(SealError::SealedSize));
        assert_eq!(seal(&key(), &BINDING, &[]), Err(SealError::Count));
        assert_eq!(seal(&key(), &BINDING, &vec![vec![1]; CHANGE_OPERATIONS + 1]), Err(SealError::Count));
        assert!(seal(&key(), &BINDING, &vec![vec![1]; CHANGE_OPERATIONS]).is_ok());
    }

    #[test]
    fn the_tag_depends_on_key_salt_and_changes() {
        let changes = vec![vec![1; 20], vec![2; 20]];
        let tag = change_tag(&key(), &[2; 32], &changes);
        verify_tag(&key(), &[2; 32], &changes, &tag).unwrap();
        assert_eq!(verify_tag(&key(), &[3; 32], &changes, &tag), Err(SealError::Tag));
        assert_eq!(verify_tag(&key(), &[2; 32], &changes[..1], &tag), Err(SealError::Tag));
        let other = ContentKey::from_exporter(&[8; 32]).unwrap();
        assert_eq!(verify_tag(&other, &[2; 32], &changes, &tag), Err(SealError::Tag));
    }

    #[test]
    fn sizes_come_in_steps() {
        let steps =
            [(0, 64), (64, 64), (65, 128), (1024, 1024), (1025, 1088), (2048, 2048), (2049, 2176), (262_144, 262_144)];
        for (length, size) in steps {
            assert_eq!(padded(length), size, "{length}");
        }
        for length in 0..70_000 {
            assert!(padded(length) >= length);
            assert_eq!(padded(padded(length)), padded(length));
            assert!(length < 1024 || padded(length) * 100 <= length * 112, "{length}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_opens(changes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..20)) {
            let sealed = seal(&key(), &BINDING, &changes).unwrap();
            prop_assert_eq!(padded(sealed.len()), sealed.len());
            prop_assert_eq!(open(&key(), &BINDING, &sealed).unwrap(), changes);
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..2000), announced in 0usize..3000) {
            let _ = open(&key(), &BINDING, &noise);
            let _ = open(&key(), &BINDING, &seal_raw(&noise, announced, 0));
        }
    }
}
