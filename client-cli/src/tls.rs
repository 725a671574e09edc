//! TLS as Stafett means it: version 1.3 only, hybrid post-quantum key exchange first, and no trust in any public
//! authority: the server's chain must end in the one CA certificate whose hash the invitation code carried.

use std::sync::Arc;

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
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(PinnedCa { ca, provider: Arc::clone(&provider) });
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
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
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
