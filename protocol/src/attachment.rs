//! Attachments: files beside the chain, sealed in parts by their author's device, named in the change that refers
//! to them (`docs/protocol.md` 14). What counts as one in a scope, the chain says ([`crate::state::ScopeState`]);
//! so the root of a transfer covers it, and a new home knows what it has to fetch.

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes, encode};
use crate::ids::{Hash, ScopeId, hash};
use crate::limits::{ATTACHMENT_PART_BYTES, ATTACHMENT_PARTS, ATTACHMENT_STEP_BYTES};

/// Which sealed parts make an attachment, in order.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AttachmentManifest {
    pub scope: ScopeId,
    /// [`attachment_part_hash`] of each.
    pub parts: Vec<Hash>,
}

impl AttachmentManifest {
    /// By which a change names the attachment.
    pub fn id(&self) -> Hash {
        hash("attachment", &[&encode(self)])
    }

    /// Whether there are as many parts as an attachment may have.
    pub fn is_within_limits(&self) -> bool {
        (1..=ATTACHMENT_PARTS).contains(&self.parts.len())
    }

    /// Whether these bytes are that part: of a size that a part has, and with the hash that stands here. Only the last part
    /// is smaller than the others.
    pub fn fits(&self, part: u16, bytes: &[u8]) -> bool {
        let named = self.parts.get(usize::from(part));
        let last = usize::from(part).checked_add(1) == Some(self.parts.len());
        let sized = bytes.len() == ATTACHMENT_PART_BYTES
            || (last
                && (1..ATTACHMENT_PART_BYTES).contains(&bytes.len())
                && bytes.len().is_multiple_of(ATTACHMENT_STEP_BYTES));
        sized && named == Some(&attachment_part_hash(bytes))
    }
}

/// Where one part belongs: also what its seal authenticates beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AttachmentPartContext {
    pub scope: ScopeId,
    /// From 0.
    pub part: u16,
    /// How many there are.
    pub count: u16,
}

/// One part of one attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AttachmentPlace {
    pub scope: ScopeId,
    pub attachment: Hash,
    pub part: u16,
}

/// A sealed part on its way.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AttachmentPart {
    pub place: AttachmentPlace,
    pub bytes: VLBytes,
}

/// Which parts of an announced attachment the home has not; none: it is whole.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct AttachmentWants {
    pub attachment: Hash,
    pub parts: Vec<u16>,
}

/// What the hashes in [`AttachmentManifest::parts`] are made of.
pub fn attachment_part_hash(part: &[u8]) -> Hash {
    hash("attachment part", &[part])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn parts_have_one_place_and_one_size() {
        let (whole, last) = (vec![1; ATTACHMENT_PART_BYTES], vec![2; ATTACHMENT_STEP_BYTES]);
        let parts = vec![attachment_part_hash(&whole), attachment_part_hash(&last)];
        let manifest = AttachmentManifest { scope: ScopeId([1; 16]), parts };
        assert!(manifest.fits(0, &whole) && manifest.fits(1, &last));
        assert!(!manifest.fits(1, &whole) && !manifest.fits(0, &last) && !manifest.fits(2, &last));
        assert!(!manifest.fits(1, &last[1..]), "other bytes");
        // Named in the manifest, and yet no size that a part has.
        for odd in [vec![3; 100], vec![], vec![3; ATTACHMENT_PART_BYTES + ATTACHMENT_STEP_BYTES]] {
            let named = AttachmentManifest { parts: vec![attachment_part_hash(&odd)], ..manifest.clone() };
            assert!(!named.fits(0, &odd), "{} bytes", odd.len());
        }
    }

    #[test]
    fn the_id_covers_scope_and_order_of_the_parts() {
        let parts: Vec<Hash> = (0..3).map(|n| attachment_part_hash(&[n])).collect();
        let manifest = AttachmentManifest { scope: ScopeId([1; 16]), parts: parts.clone() };
        let elsewhere = AttachmentManifest { scope: ScopeId([2; 16]), ..manifest.clone() };
        let turned = AttachmentManifest { parts: parts.iter().rev().copied().collect(), ..manifest.clone() };
        let cut = AttachmentManifest { parts: parts[..2].to_vec(), ..manifest.clone() };
        for other in [elsewhere, turned, cut] {
            assert_ne!(other.id(), manifest.id());
        }
        let sized = |n: usize| AttachmentManifest { parts: vec![Hash([0; 32]); n], ..manifest.clone() };
        assert!(sized(1).is_within_limits() && sized(ATTACHMENT_PARTS).is_within_limits());
        assert!(!sized(0).is_within_limits() && !sized(ATTACHMENT_PARTS + 1).is_within_limits());
    }
}
