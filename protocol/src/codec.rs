//! One way to turn a type into bytes and back: `tls_codec` (RFC 8446 presentation language with the
//! variable-length vectors of RFC 9420), exact: trailing or missing bytes are errors.

pub use tls_codec::{Deserialize, Serialize, Size, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

/// Why bytes from outside are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what}: {why}")]
pub struct Malformed {
    /// The type that was expected.
    pub what: &'static str,
    /// The decoder's words; never contains input bytes.
    pub why: String,
}

fn short_name<T>() -> &'static str {
    std::any::type_name::<T>().rsplit("::").next().unwrap_or("value")
}

/// Encodes. Fails only for vectors beyond 2^30 bytes, which the limits exclude long before.
pub fn encode<T: Serialize + Size>(value: &T) -> Vec<u8> {
    // A Vec<u8> writer cannot fail, and no length in the protocol comes near the codec's bound.
    value.tls_serialize_detached().unwrap_or_default()
}

/// Decodes the whole of `bytes`; refuses what is longer or shorter than one `T`.
pub fn decode<T: Deserialize + Size>(bytes: &[u8]) -> Result<T, Malformed> {
    T::tls_deserialize_exact(bytes)
        .map_err(|e| Malformed { what: short_name::<T>(), why: format!("{e:?}").chars().take(80).collect() })
}
