//! The server's own certificate authority and the certificate that it shows.
//!
//! Clients pin the authority's hash, which is in every code; no public authority is involved. The
//! server's leaf is made anew at each start and every week, so that its private key is never on disk.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use time::{Duration, OffsetDateTime};

/// A certificate that could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("the certificate authority's file cannot be read")]
    Damaged,
}

/// The authority as `init` stores it.
pub struct Authority {
    pub number: u16,
    pub name: String,
    pub certificate_pem: String,
    pub key_pem: String,
}

/// What TLS shows: leaf, authority, and the leaf's key.
pub struct Shown {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

const AUTHORITY_DAYS: i64 = 3653;
const LEAF_DAYS: i64 = 30;

/// Makes an authority for ten years. It may sign server certificates only, and no further authority.
pub fn new_authority(number: u16, name: &str) -> Result<Authority, CertificateError> {
    let key = KeyPair::generate()?;
    let certificate = authority_params(number, name).self_signed(&key)?;
    Ok(Authority { number, name: name.to_owned(), certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// The same name and usages each time: what a leaf says of its issuer comes from here.
fn authority_params(number: u16, name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Stafett {number:04} {name}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, AUTHORITY_DAYS);
    params
}

/// Makes this start's server certificate for `host` and the loopback names.
pub fn new_leaf(authority: &Authority, host: &str) -> Result<Shown, CertificateError> {
    let issuer =
        Issuer::new(authority_params(authority.number, &authority.name), KeyPair::from_pem(&authority.key_pem)?);
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let is_wildcard = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    if !is_wildcard && !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, host);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, LEAF_DAYS);
    let leaf = params.signed_by(&key, &issuer)?;
    Ok(Shown {
        chain: vec![leaf.der().clone(), authority_der(&authority.certificate_pem)?],
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
    })
}

/// The authority's DER bytes: their SHA-256 is what clients pin.
pub fn authority_der(pem: &str) -> Result<CertificateDer<'static>, CertificateError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateError::Damaged)
}

fn set_validity(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    // An hour back, for clients whose clock is behind.
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(days);
}
