//! How people come: what a new person says to the server.

use super::START;
use super::people::Device;
use ed25519_dalek::SigningKey;
use stafett_protocol::credential::{DeviceCertificate, letter_key_hash};
use stafett_protocol::ids::PersonId;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{JoinClaim, JoinRequest, PersonJoin};

/// What every device of these tests has letters sealed to.
pub fn letter_key() -> Vec<u8> {
    vec![5; 1216]
}

/// What a new person says on joining.
pub fn claim(person_key: &SigningKey, device: &Device, ticket: [u8; 16]) -> JoinRequest {
    let public = person_key.verifying_key().to_bytes();
    let letter_key = letter_key();
    let certificate = DeviceCertificate {
        person: PersonId::of_first_key(&public),
        device_key: device.public(),
        letter_key: letter_key_hash(&letter_key),
        issued_at: START,
    };
    let claim = JoinClaim {
        ticket,
        person_key: public,
        device_key: device.public(),
        device: Signed::sign(&certificate, person_key),
        letter_key: letter_key.into(),
        proof: [0; 32],
        sealed_name: Vec::new().into(),
    };
    JoinRequest::Person(PersonJoin { claim: Signed::sign(&claim, &device.key), key_packages: vec![] })
}
