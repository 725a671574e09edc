//! HTTP message signatures (RFC 9421) of the request that opens a device's stream: method, path and
//! content digest (RFC 9530), with the TLS exporter value (RFC 9266 in spirit) as nonce. Bound to its
//! connection, the signature needs no clock and cannot be replayed.

use crate::ids::{DeviceId, PublicKey, to_hex};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// The label given to both TLS exporters (RFC 8446 7.5); no context, 32 bytes.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-stafett-stream";

/// The three header values of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureHeaders {
    /// `Content-Digest`
    pub content_digest: String,
    /// `Signature-Input`
    pub signature_input: String,
    /// `Signature`
    pub signature: String,
}

/// `sha-256=:…:` of a body.
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", base64(&Sha256::digest(body)))
}

fn parameters(device: DeviceId, exporter: &[u8; 32]) -> String {
    format!(
        "(\"@method\" \"@path\" \"content-digest\");alg=\"ed25519\";keyid=\"{device}\";nonce=\"{}\"",
        to_hex(exporter)
    )
}

fn base(method: &str, path: &str, digest: &str, parameters: &str) -> String {
    format!(
        "\"@method\": {method}\n\"@path\": {path}\n\"content-digest\": {digest}\n\"@signature-params\": {parameters}"
    )
}

/// Signs a request with the device key.
pub fn sign(method: &str, path: &str, body: &[u8], exporter: &[u8; 32], key: &SigningKey) -> SignatureHeaders {
    let digest = content_digest(body);
    let parameters = parameters(DeviceId::of_key(&key.verifying_key().to_bytes()), exporter);
    let signature = key.sign(base(method, path, &digest, &parameters).as_bytes());
    SignatureHeaders {
        content_digest: digest,
        signature_input: format!("stafett={parameters}"),
        signature: format!("stafett=:{}:", base64(&signature.to_bytes())),
    }
}

/// The device that claims to have signed; look its key up, then [`verify`].
pub fn claimed_device(signature_input: &str) -> Option<DeviceId> {
    let (_, rest) = signature_input.split_once(";keyid=\"")?;
    rest.split_once('"')?.0.parse().ok()
}

/// Whether the request on this very connection was signed by `key`. There is exactly one form of the
/// headers; anything else is refused.
pub fn verify(
    method: &str,
    path: &str,
    body: &[u8],
    exporter: &[u8; 32],
    key: &PublicKey,
    headers: &SignatureHeaders,
) -> bool {
    let digest = content_digest(body);
    let parameters = parameters(DeviceId::of_key(key), exporter);
    let signature = headers
        .signature
        .strip_prefix("stafett=:")
        .and_then(|s| s.strip_suffix(':'))
        .and_then(from_base64)
        .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    let (Some(signature), Ok(key)) = (signature, VerifyingKey::from_bytes(key)) else {
        return false;
    };
    headers.content_digest == digest
        && headers.signature_input == format!("stafett={parameters}")
        && key
            .verify_strict(base(method, path, &digest, &parameters).as_bytes(), &Signature::from_bytes(&signature))
            .is_ok()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_own_request_and_connection_only() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let h = sign("GET", "/v1/stream", b"", &[1; 32], &key);
        assert_eq!(claimed_device(&h.signature_input), Some(DeviceId::of_key(&public)));
        assert!(verify("GET", "/v1/stream", b"", &[1; 32], &public, &h));
        assert!(!verify("POST", "/v1/stream", b"", &[1; 32], &public, &h));
        assert!(!verify("GET", "/v1/join", b"", &[1; 32], &public, &h));
        assert!(!verify("GET", "/v1/stream", b"x", &[1; 32], &public, &h));
        assert!(!verify("GET", "/v1/stream", b"", &[2; 32], &public, &h), "replayed on another connection");
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes();
        assert!(!verify("GET", "/v1/stream", b"", &[1; 32], &other, &h));
        for cut in 0..h.signature.len() {
            let short = SignatureHeaders { signature: h.signature.chars().take(cut).collect(), ..h.clone() };
            assert!(!verify("GET", "/v1/stream", b"", &[1; 32], &public, &short), "W7 at {cut}");
        }
    }
}
