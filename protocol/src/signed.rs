//! A signed object is bytes plus signature. The bytes that were signed are kept and passed on as they
//! came; nothing is encoded again to be verified. Every type has its own label, so that a signature
//! on one can never be taken for another (attacks C4, W11).

use crate::codec::{
    Deserialize, Malformed, Serialize, Size, TlsDeserialize, TlsSerialize, TlsSize, VLBytes, decode, encode,
};
use crate::ids::{Hash, PublicKey, hash};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::marker::PhantomData;

/// A type that can be signed: its label is part of what is signed.
pub trait Signable: Serialize + Deserialize + Size {
    /// The domain-separation label, unique in the protocol.
    const LABEL: &'static str;
}

/// Why a signed object is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotGenuine {
    /// The signature does not match bytes, label and key.
    #[error("the signature on {0} does not match")]
    Signature(&'static str),
    /// The key is not a valid Ed25519 key.
    #[error("the key of {0} is not an Ed25519 key")]
    Key(&'static str),
    /// The signed bytes are not one exact `T`.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Bytes of one `T` and an Ed25519 signature over its label and those bytes.
#[derive(TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Signed<T> {
    bytes: VLBytes,
    signature: [u8; 64],
    #[tls_codec(skip)]
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), signature: self.signature, of: PhantomData }
    }
}
impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.signature == other.signature
    }
}
impl<T> Eq for Signed<T> {}
impl<T: Signable> std::fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signed<{}>({} bytes)", T::LABEL, self.bytes.as_slice().len())
    }
}

fn signing_input(label: &str, bytes: &[u8]) -> Vec<u8> {
    let mut input = Vec::with_capacity(16 + label.len() + bytes.len());
    input.extend_from_slice(b"stafett/1 signed ");
    input.extend_from_slice(label.as_bytes());
    input.push(0);
    input.extend_from_slice(bytes);
    input
}

impl<T: Signable> Signed<T> {
    /// Signs. Ed25519 is deterministic: no randomness is used.
    pub fn sign(value: &T, key: &SigningKey) -> Self {
        let bytes = encode(value);
        let signature = key.sign(&signing_input(T::LABEL, &bytes)).to_bytes();
        Self { bytes: bytes.into(), signature, of: PhantomData }
    }

    /// The value, if `key` signed these very bytes.
    pub fn verify(&self, key: &PublicKey) -> Result<T, NotGenuine> {
        let key = VerifyingKey::from_bytes(key).map_err(|_| NotGenuine::Key(T::LABEL))?;
        key.verify_strict(&signing_input(T::LABEL, self.bytes.as_slice()), &Signature::from_bytes(&self.signature))
            .map_err(|_| NotGenuine::Signature(T::LABEL))?;
        Ok(self.peek()?)
    }

    /// The value **unverified**: to find out whose key to verify with, never more.
    pub fn peek(&self) -> Result<T, Malformed> {
        decode(self.bytes.as_slice())
    }

    /// The bytes that were signed.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// What other objects call this one by: the hash of label and signed bytes, without the signature,
    /// so that several signers of one body name the same thing.
    pub fn id(&self) -> Hash {
        hash(T::LABEL, &[self.bytes.as_slice()])
    }
}

/// The [`Signed::id`] that `value` will have once signed.
pub fn id_of<T: Signable>(value: &T) -> Hash {
    hash(T::LABEL, &[&encode(value)])
}
