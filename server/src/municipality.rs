//! What the server signs as: the municipality with its number, address and key.

use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};
use stafett_protocol::code::{Code, key_hash};
use stafett_protocol::credential::{Municipalities, MunicipalityKey, PersonCertificate};
use stafett_protocol::event::Receipt;
use stafett_protocol::federation::PeerFile;
use stafett_protocol::ids::PublicKey;
use stafett_protocol::signed::{Signable, Signed};

use crate::certs::{self, CertificateError};
use crate::home::Home;

/// This municipality, able to sign.
pub struct Municipality {
    pub number: u16,
    name: String,
    url: String,
    /// SHA-256 of the authority's certificate, which clients pin.
    ca: [u8; 32],
    key: SigningKey,
    public: PublicKey,
}

impl Municipality {
    /// Reads the keys of a home.
    pub fn of(home: &Home) -> Result<Self, CertificateError> {
        let pem = home.read_text("ca.pem").map_err(|_| CertificateError::Damaged)?;
        let key = home.municipality_key().map_err(|_| CertificateError::Damaged)?;
        Ok(Self {
            number: home.settings.number,
            name: home.settings.name.clone(),
            url: home.settings.url.clone(),
            ca: Sha256::digest(certs::authority_der(&pem)?).into(),
            public: key.verifying_key().to_bytes(),
            key,
        })
    }

    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The keys that credentials may chain to.
    #[must_use]
    pub fn trusted(&self) -> Municipalities {
        Municipalities(vec![MunicipalityKey { number: self.number, key: self.public }])
    }

    /// A code of the server's own: no secret, the municipality key in the inviter's place.
    #[must_use]
    pub fn code(&self, ticket: [u8; 16]) -> Code {
        Code {
            municipality: self.number,
            url: self.url.clone(),
            ca: self.ca,
            municipality_key: key_hash(&self.public),
            ticket,
            secret: None,
            inviter: key_hash(&self.public),
            person: None,
        }
    }

    /// What peers are told of this server.
    #[must_use]
    pub fn describe(&self, ca: &[u8]) -> Signed<PeerFile> {
        let description = PeerFile {
            number: self.number,
            name: self.name.clone(),
            url: self.url.clone(),
            ca: ca.to_vec().into(),
            key: self.public,
        };
        Signed::sign(&description, &self.key)
    }

    /// Signs what a home says of itself and of its scopes' moves.
    #[must_use]
    pub fn sign<T: Signable>(&self, value: &T) -> Signed<T> {
        Signed::sign(value, &self.key)
    }

    #[must_use]
    pub fn certify(&self, certificate: &PersonCertificate) -> Signed<PersonCertificate> {
        Signed::sign(certificate, &self.key)
    }

    #[must_use]
    pub fn receipt(&self, receipt: &Receipt) -> Signed<Receipt> {
        Signed::sign(receipt, &self.key)
    }
}
