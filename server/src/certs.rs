//! The server's own certificate authority and the certificate that it shows.
//!
//! Clients pin the authority's hash, which is in every code; other municipalities pin the authority
//! itself, which is in the peer file; no public authority is involved. The leaves that the server shows
//! to clients and to peers are made anew at each start and every day, so that no leaf's private key is
//! ever on disk.

use std::net::IpAddr;

use crate::federation::certificate_name;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, string::Ia5String,
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
const SERVER_DAYS: i64 = 30;
/// Between servers a certificate is as good as a key: short.
const CLIENT_DAYS: i64 = 7;

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
    params.subject_alt_names = certificate_names(number);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, AUTHORITY_DAYS);
    params
}

fn certificate_names(number: u16) -> Vec<SanType> {
    // The name has no letter that IA5 lacks.
    Ia5String::try_from(certificate_name(number)).map(SanType::DnsName).into_iter().collect()
}

/// Makes a server certificate for `host`, the loopback names and the municipality's number.
pub fn new_leaf(authority: &Authority, host: &str) -> Result<Shown, CertificateError> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let is_wildcard = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    if !is_wildcard && !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    issue(authority, names, ExtendedKeyUsagePurpose::ServerAuth, SERVER_DAYS)
}

/// Makes the certificate that this server shows as a client of other municipalities' servers.
pub fn new_client_leaf(authority: &Authority) -> Result<Shown, CertificateError> {
    issue(authority, vec![], ExtendedKeyUsagePurpose::ClientAuth, CLIENT_DAYS)
}

fn issue(
    authority: &Authority,
    names: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
    days: i64,
) -> Result<Shown, CertificateError> {
    let issuer =
        Issuer::new(authority_params(authority.number, &authority.name), KeyPair::from_pem(&authority.key_pem)?);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.subject_alt_names.extend(certificate_names(authority.number));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, certificate_name(authority.number));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, days);
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

/// Whether a PEM text is a private key that certificates can be signed with.
#[must_use]
pub fn is_key(pem: &str) -> bool {
    KeyPair::from_pem(pem).is_ok()
}

/// When a certificate ends, in milliseconds since 1970. No crate of ours reads that out of a certificate: the verifier does
/// not ask it of an authority that is pinned.
#[must_use]
pub fn ends_ms(certificate: &[u8]) -> Option<u64> {
    let (_, certificate, _) = der(certificate)?;
    let (_, mut fields, _) = der(certificate)?;
    if fields.first() == Some(&0xA0) {
        fields = der(fields)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields = der(fields)?.2;
    }
    let (_, validity, _) = der(fields)?;
    let (tag, end, _) = der(der(validity)?.2)?;
    let text = std::str::from_utf8(end).ok()?.strip_suffix('Z')?;
    // UTCTime leaves the century out: until 2049.
    let text = if tag == 0x17 { format!("20{text}") } else { text.to_owned() };
    let form = time::macros::format_description!("[year][month][day][hour][minute][second]");
    let end = time::PrimitiveDateTime::parse(&text, form).ok()?.assume_utc();
    u64::try_from(end.unix_timestamp()).ok()?.checked_mul(1000)
}

/// One element of DER: tag, content, what follows.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = bytes.split_first_chunk::<2>()?;
    let more = usize::from(length & 0x7F);
    let (length, rest) = match length {
        0..0x80 => (more, rest),
        _ if more <= 4 => {
            let (long, rest) = rest.split_at_checked(more)?;
            (long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_from_it() {
        let authority = new_authority(3209, "Ullensaker").unwrap();
        let days = |ms: u64| {
            let now = OffsetDateTime::now_utc().unix_timestamp() as u64;
            (ms / 1000 + 60 - now) / 86_400
        };
        let ends = ends_ms(&authority_der(&authority.certificate_pem).unwrap()).unwrap();
        assert_eq!(days(ends), AUTHORITY_DAYS as u64);
        let leaf = new_leaf(&authority, "127.0.0.1").unwrap();
        assert_eq!(days(ends_ms(&leaf.chain[0]).unwrap()), SERVER_DAYS as u64);
        // Beyond 2049 the time is written with its century.
        let mut params = authority_params(3209, "Ullensaker");
        set_validity(&mut params, 36_500);
        let long = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(days(ends_ms(long.der()).unwrap()), 36_500);
        for cut in 0..long.der().len() {
            let _ = ends_ms(&long.der()[..cut]);
        }
    }
}
