//! The form of values in the client's own rows: MessagePack with named fields, bytes as bytes.

use serde::{Serialize, de::DeserializeOwned};

/// A value could not be written or read back: a fault of this program or of the stored bytes.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("a value cannot be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    #[error("a stored value cannot be read: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
}

/// A value as bytes.
pub fn pack(value: &impl Serialize) -> Result<Vec<u8>, PackError> {
    let mut bytes = Vec::new();
    let to = rmp_serde::Serializer::new(&mut bytes);
    value.serialize(&mut to.with_struct_map().with_bytes(rmp_serde::config::BytesMode::ForceAll))?;
    Ok(bytes)
}

/// A value from bytes.
pub fn unpack<V: DeserializeOwned>(bytes: &[u8]) -> Result<V, PackError> {
    Ok(rmp_serde::from_slice(bytes)?)
}
