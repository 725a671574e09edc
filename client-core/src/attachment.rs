//! Files as they leave the device: cut into parts, each sealed under the file's own random key, which stands in the
//! change that refers to it (`docs/protocol.md` 14). Where a part belongs is sealed with it.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use stafett_protocol::attachment::{AttachmentManifest, AttachmentPartContext, attachment_part_hash};
use stafett_protocol::codec::encode;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::limits::{ATTACHMENT_BYTES, ATTACHMENT_PART_BYTES, ATTACHMENT_STEP_BYTES};

use crate::keychain::ContentKey;

/// The authentication tag of AES-256-GCM.
const TAG_BYTES: usize = 16;
/// What a part holds.
const PLAIN_BYTES: usize = ATTACHMENT_PART_BYTES - TAG_BYTES;
/// The file's length, before it.
const LENGTH_BYTES: usize = 4;

/// Why a file cannot be sealed, or what came is not the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("a file has between one byte and {ATTACHMENT_BYTES} bytes")]
    Size,
    #[error("a part does not open: wrong key, file or place, or altered")]
    Opening,
    #[error("the parts are not those that the change names")]
    Parts,
}

/// A sealed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub manifest: AttachmentManifest,
    pub parts: Vec<Vec<u8>>,
}

/// In how many parts a file of this size is sealed.
#[must_use]
pub fn parts_of(size: usize) -> u16 {
    u16::try_from(size.saturating_add(LENGTH_BYTES).div_ceil(PLAIN_BYTES)).unwrap_or(u16::MAX)
}

fn cipher(key: &ContentKey, context: &[u8]) -> Aes256Gcm {
    // Every part has a key of its own, and is sealed once: the nonce is fixed.
    Aes256Gcm::new((&*key.derive(&[], "attachment", context)).into())
}

/// Seals a file. `key`: new, for this file alone.
pub fn seal(key: &[u8; 32], scope: ScopeId, file: &[u8]) -> Result<Sealed, FileError> {
    if file.is_empty() || file.len() > ATTACHMENT_BYTES {
        return Err(FileError::Size);
    }
    let key = ContentKey::from_exporter(key).map_err(|_| FileError::Opening)?;
    let mut plain = u32::try_from(file.len()).map_err(|_| FileError::Size)?.to_be_bytes().to_vec();
    plain.extend_from_slice(file);
    let count = parts_of(file.len());
    let mut parts = Vec::with_capacity(usize::from(count));
    for (part, chunk) in (0..).zip(plain.chunks(PLAIN_BYTES)) {
        let mut chunk = chunk.to_vec();
        chunk.resize((chunk.len() + TAG_BYTES).next_multiple_of(ATTACHMENT_STEP_BYTES) - TAG_BYTES, 0);
        let context = encode(&AttachmentPartContext { scope, part, count });
        let payload = Payload { msg: &chunk, aad: &context };
        parts.push(cipher(&key, &context).encrypt(&Nonce::default(), payload).map_err(|_| FileError::Size)?);
    }
    let manifest = AttachmentManifest { scope, parts: parts.iter().map(|part| attachment_part_hash(part)).collect() };
    Ok(Sealed { manifest, parts })
}

/// Opens one part, in its place only.
pub fn open_part(key: &[u8; 32], context: AttachmentPartContext, sealed: &[u8]) -> Result<Vec<u8>, FileError> {
    if sealed.len() > ATTACHMENT_PART_BYTES {
        return Err(FileError::Size);
    }
    let key = ContentKey::from_exporter(key).map_err(|_| FileError::Opening)?;
    let context = encode(&context);
    let payload = Payload { msg: sealed, aad: &context };
    cipher(&key, &context).decrypt(&Nonce::default(), payload).map_err(|_| FileError::Opening)
}

/// The file from all of its parts; `size` as the change says.
pub fn open(key: &[u8; 32], scope: ScopeId, size: usize, parts: &[Vec<u8>]) -> Result<Vec<u8>, FileError> {
    let count = parts_of(size);
    if parts.len() != usize::from(count) || !(1..=ATTACHMENT_BYTES).contains(&size) {
        return Err(FileError::Parts);
    }
    let mut plain = Vec::with_capacity(parts.len() * PLAIN_BYTES);
    for (part, sealed) in (0..).zip(parts) {
        plain.extend(open_part(key, AttachmentPartContext { scope, part, count }, sealed)?);
    }
    let length = u32::try_from(size).map_err(|_| FileError::Size)?;
    let rest = plain.strip_prefix(&length.to_be_bytes()).ok_or(FileError::Parts)?;
    let (file, padding) = rest.split_at_checked(size).ok_or(FileError::Parts)?;
    if padding.len() >= ATTACHMENT_STEP_BYTES || padding.iter().any(|byte| *byte != 0) {
        return Err(FileError::Parts);
    }
    Ok(file.to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use stafett_protocol::limits::ATTACHMENT_PARTS;

    const KEY: [u8; 32] = [1; 32];
    const SCOPE: ScopeId = ScopeId([2; 16]);

    fn file(size: usize) -> Vec<u8> {
        (0..size).map(|n| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
    }

    #[test]
    fn every_size_comes_back_and_tells_no_more_than_its_step() {
        let edge = PLAIN_BYTES - LENGTH_BYTES;
        let step = ATTACHMENT_STEP_BYTES - TAG_BYTES - LENGTH_BYTES;
        for size in [1, step, step + 1, edge - 1, edge, edge + 1, 2 * PLAIN_BYTES, ATTACHMENT_BYTES] {
            let sealed = seal(&KEY, SCOPE, &file(size)).unwrap();
            assert!(sealed.manifest.is_within_limits(), "{size}");
            assert_eq!(sealed.parts.len(), usize::from(parts_of(size)));
            for (part, bytes) in (0..).zip(&sealed.parts) {
                assert!(sealed.manifest.fits(part, bytes), "{size}: part {part} of {} bytes", bytes.len());
            }
            assert_eq!(open(&KEY, SCOPE, size, &sealed.parts).unwrap(), file(size));
        }
        assert_eq!(usize::from(parts_of(ATTACHMENT_BYTES)), ATTACHMENT_PARTS);
        let sizes = |size| seal(&KEY, SCOPE, &file(size)).unwrap().parts.iter().map(Vec::len).sum::<usize>();
        assert_eq!((sizes(1), sizes(step), sizes(step + 1)), (65_536, 65_536, 131_072));
        assert_eq!(seal(&KEY, SCOPE, &[]), Err(FileError::Size));
        assert_eq!(seal(&KEY, SCOPE, &vec![0; ATTACHMENT_BYTES + 1]), Err(FileError::Size));
    }

    #[test]
    fn a_part_opens_in_its_own_file_scope_and_place_alone() {
        let size = 2 * PLAIN_BYTES + 5;
        let Sealed { parts, manifest } = seal(&KEY, SCOPE, &file(size)).unwrap();
        assert_eq!(manifest.parts.len(), 3);
        assert_eq!(open(&[9; 32], SCOPE, size, &parts), Err(FileError::Opening), "another key");
        assert_eq!(open(&KEY, ScopeId([3; 16]), size, &parts), Err(FileError::Opening), "another scope");
        let turned = [parts[1].clone(), parts[0].clone(), parts[2].clone()];
        assert_eq!(open(&KEY, SCOPE, size, &turned), Err(FileError::Opening), "another order");
        assert_eq!(open(&KEY, SCOPE, size, &parts[..2]), Err(FileError::Parts), "cut");
        assert_eq!(open(&KEY, SCOPE, PLAIN_BYTES + 5, &parts[..2]), Err(FileError::Opening), "said to be shorter");
        assert_eq!(open(&KEY, SCOPE, size - 1, &parts), Err(FileError::Parts), "another size");
        let longer = [parts.clone(), vec![parts[2].clone()]].concat();
        assert_eq!(open(&KEY, SCOPE, size, &longer), Err(FileError::Parts));
        for at in [0, parts[1].len() / 2, parts[1].len() - 1] {
            let mut bent = parts.clone();
            bent[1][at] ^= 1;
            assert_eq!(open(&KEY, SCOPE, size, &bent), Err(FileError::Opening));
        }
    }

    #[test]
    fn no_size_from_outside_takes_memory() {
        for size in [0, ATTACHMENT_BYTES + 1, usize::MAX] {
            assert_eq!(open(&KEY, SCOPE, size, &[]), Err(FileError::Parts));
        }
        let context = AttachmentPartContext { scope: SCOPE, part: 0, count: 1 };
        assert_eq!(open_part(&KEY, context, &vec![0; ATTACHMENT_PART_BYTES + 1]), Err(FileError::Size));
        assert_eq!(open_part(&KEY, context, &[]), Err(FileError::Opening));
    }
}
