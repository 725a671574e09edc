//! TLS as Stafett means it: version 1.3 only, hybrid post-quantum key exchange first, and no trust in any public
//! authority: the server's chain must end in the one CA certificate whose hash the invitation code carried.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

/// SHA-256 over the DER of a CA certificate.
pub type CaHash = [u8; 32];

/// A client configuration that trusts exactly one CA.
pub fn pinned(ca: CaHash) -> Result<Arc<ClientConfig>, Error> {
    configured(ca, false)
}

/// The same, whatever this device's clock says: to ask the server for the time, and for nothing else.
pub fn pinned_at_any_time(ca: CaHash) -> Result<Arc<ClientConfig>, Error> {
    configured(ca, true)
}

/// Whether everything about a certificate is right but the time.
#[must_use]
pub fn is_time(error: &Error) -> bool {
    valid_at(error).is_some()
}

/// A moment at which a certificate that was refused for the time is valid.
fn valid_at(error: &Error) -> Option<UnixTime> {
    let seconds = match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            not_after.as_secs().saturating_sub(1)
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            not_before.as_secs().saturating_add(1)
        }
        _ => return None,
    };
    Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

fn configured(ca: CaHash, any_time: bool) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(PinnedCa { ca, any_time, provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // rustls' word for "a verifier of our own"; ours is stricter than the usual one
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Nothing is kept between connections, and nothing of a stranger's is inflated.
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    config.cert_decompressors = vec![];
    Ok(Arc::new(config))
}

/// The hash that a code would carry for this certificate.
pub fn ca_hash(der: &[u8]) -> CaHash {
    Sha256::digest(der).into()
}

#[derive(Debug)]
struct PinnedCa {
    ca: CaHash,
    any_time: bool,
    provider: Arc<CryptoProvider>,
}

impl PinnedCa {
    fn verify_at(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (ca, between) =
            intermediates.split_last().ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        if ca_hash(ca) != self.ca {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, between, server_name, ocsp_response, now)
    }
}

/// Leaf and authority each have a first and a last day.
const TIMES: usize = 4;

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let at = |time| self.verify_at(end_entity, intermediates, server_name, ocsp_response, time);
        let first = match at(now) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        let Some(mut time) = valid_at(&first) else { return Err(first) };
        // The time is checked before the signatures: that it is wrong says nothing of the rest, which counts more.
        for _ in 0..TIMES {
            match at(time) {
                Ok(verified) if self.any_time => return Ok(verified),
                Ok(_) => return Err(first),
                Err(error) => match valid_at(&error) {
                    Some(other) => time = other,
                    None => return Err(error),
                },
            }
        }
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
