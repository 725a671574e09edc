//! How a row looks on disk: its name is a MAC and its value is sealed, both under keys derived from the home key, so
//! that the database file tells nothing but counts and sizes.
//!
//! Event rows are the one exception in their *name*: the last eight bytes (the seq) stay in clear behind the MAC of the
//! rest, so that a range of a chain can be read without opening the others.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 12;
const SEQ_BYTES: usize = 8;

/// A row could not be sealed or opened.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SealError {
    /// The bytes were not made by this home key, or not for this place.
    #[error("a stored row does not open under this home's key")]
    Damaged,
    /// The operating system gave no randomness, or a value is too large to seal.
    #[error("this device could not seal a row")]
    Environment,
}

/// The keys that a home's rows live under.
pub struct Seal {
    values: Aes256Gcm,
    names: Zeroizing<[u8; 32]>,
}

impl Seal {
    /// Derives both keys from the home key.
    pub fn under(home_key: &[u8; 32]) -> Self {
        let values = derive(home_key, b"stafett home: values");
        Self { values: Aes256Gcm::new((&*values).into()), names: derive(home_key, b"stafett home: names") }
    }

    /// The name on disk of an ordinary row.
    pub fn name(&self, space: u8, key: &[u8]) -> Vec<u8> {
        let mut input = Vec::with_capacity(key.len() + 1);
        input.push(space);
        input.extend_from_slice(key);
        mac(&self.names, &input).to_vec()
    }

    /// The name on disk of a row whose key ends in a big-endian seq: sorts by seq within one prefix.
    pub fn ordered_name(&self, space: u8, key: &[u8]) -> Vec<u8> {
        match key.len().checked_sub(SEQ_BYTES).and_then(|cut| key.split_at_checked(cut)) {
            Some((prefix, seq)) => self.range_name(space, prefix, seq),
            None => self.name(space, key),
        }
    }

    /// The border of a range of ordered rows.
    pub fn range_name(&self, space: u8, prefix: &[u8], seq: &[u8]) -> Vec<u8> {
        let mut name = self.name(space, prefix);
        name.extend_from_slice(seq);
        name
    }

    /// Seals key and value together for the place `name` in `space`.
    pub fn seal(&self, space: u8, name: &[u8], key: &[u8], value: &[u8]) -> Result<Vec<u8>, SealError> {
        let length = u32::try_from(key.len()).map_err(|_| SealError::Environment)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(4 + key.len() + value.len()));
        plain.extend_from_slice(&length.to_be_bytes());
        plain.extend_from_slice(key);
        plain.extend_from_slice(value);
        let mut nonce = [0u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Environment)?;
        let sealed = self
            .values
            .encrypt(&Nonce::from(nonce), Payload { msg: &plain, aad: &place(space, name) })
            .map_err(|_| SealError::Environment)?;
        let mut out = nonce.to_vec();
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Opens what [`Seal::seal`] made for the same place: the key and the value.
    pub fn open(&self, space: u8, name: &[u8], sealed: &[u8]) -> Result<(Vec<u8>, Vec<u8>), SealError> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Damaged)?;
        let plain = self
            .values
            .decrypt(&Nonce::from(*nonce), Payload { msg: body, aad: &place(space, name) })
            .map_err(|_| SealError::Damaged)?;
        let plain = Zeroizing::new(plain);
        let (length, rest) = plain.split_first_chunk::<4>().ok_or(SealError::Damaged)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SealError::Damaged)?;
        let (key, value) = rest.split_at_checked(length).ok_or(SealError::Damaged)?;
        Ok((key.to_vec(), value.to_vec()))
    }
}

fn place(space: u8, name: &[u8]) -> Vec<u8> {
    let mut aad = Vec::with_capacity(name.len() + 24);
    aad.extend_from_slice(b"stafett row 1");
    aad.push(space);
    aad.extend_from_slice(name);
    aad
}

fn derive(home_key: &[u8; 32], label: &[u8]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(mac(home_key, label))
}

fn mac(key: &[u8; 32], input: &[u8]) -> [u8; 32] {
    // A 32-byte key always fits HMAC; `KeyInit::new` takes exactly the block-padded form and so cannot fail.
    let mut padded = Zeroizing::new([0u8; 64]);
    for (slot, byte) in padded.iter_mut().zip(key) {
        *slot = *byte;
    }
    let mut state = <Hmac<Sha256> as hmac::digest::KeyInit>::new((&*padded).into());
    state.update(input);
    state.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn opens_only_where_it_was_sealed() {
        let seal = Seal::under(&[7; 32]);
        let name = seal.name(1, b"key");
        let sealed = seal.seal(1, &name, b"key", b"value").unwrap();
        assert_eq!(seal.open(1, &name, &sealed).unwrap(), (b"key".to_vec(), b"value".to_vec()));
        assert_eq!(seal.open(2, &name, &sealed), Err(SealError::Damaged));
        assert_eq!(seal.open(1, &seal.name(1, b"kez"), &sealed), Err(SealError::Damaged));
        assert_eq!(Seal::under(&[8; 32]).open(1, &name, &sealed), Err(SealError::Damaged));
        for place in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[place] ^= 1;
            assert_eq!(seal.open(1, &name, &bent), Err(SealError::Damaged));
        }
        assert_eq!(seal.open(1, &name, &sealed[..5]), Err(SealError::Damaged));
    }

    #[test]
    fn ordered_names_sort_by_seq() {
        let seal = Seal::under(&[7; 32]);
        let at = |seq: u64| [&b"scope-scope-1234"[..], &seq.to_be_bytes()].concat();
        assert!(seal.ordered_name(9, &at(2)) < seal.ordered_name(9, &at(300)));
        assert!(!seal.ordered_name(9, &at(2)).windows(5).any(|part| part == b"scope"));
        assert_eq!(seal.ordered_name(9, b"short"), seal.name(9, b"short"));
    }
}
