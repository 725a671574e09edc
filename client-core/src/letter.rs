//! Sealing and opening of letters: hybrid post-quantum HPKE to one device. What stands inside, and who signed it, is
//! `stafett_protocol::letter`'s; this room only turns bytes into an envelope that the servers cannot read.

use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::types::{HpkeCiphertext, HpkeKeyPair, HpkePrivateKey};
use stafett_protocol::limits::LETTER_BYTES;
use zeroize::Zeroizing;

use crate::mls::SUITE;
use crate::seal::padded;

const GCM_TAG_BYTES: usize = 16;
const LENGTH_BYTES: usize = 4;

/// Why a letter cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    #[error("a letter has at most {LETTER_BYTES} bytes sealed")]
    Size,
    #[error("the recipient's key cannot be used")]
    Recipient,
    #[error("the letter does not open: not for this device, or altered")]
    Opening,
    #[error("opened, but not padded as it must be")]
    Padding,
}

/// A sealed letter: the encapsulated key and the ciphertext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedLetter {
    pub kem: Vec<u8>,
    pub sealed: Vec<u8>,
}

/// The key pair of a device for letters, from 32 or more random bytes.
pub fn key_pair(crypto: &RustCrypto, random: &[u8; 32]) -> Result<HpkeKeyPair, LetterError> {
    crypto.derive_hpke_keypair(SUITE.hpke_config(), random).map_err(|_| LetterError::Recipient)
}

/// Seals a letter to a device's key. `info` names the purpose, `aad` is what travels beside it in the clear.
pub fn seal(
    crypto: &RustCrypto,
    recipient: &[u8],
    info: &[u8],
    aad: &[u8],
    plain: &[u8],
) -> Result<SealedLetter, LetterError> {
    let length = u32::try_from(plain.len()).map_err(|_| LetterError::Size)?;
    let size = padded(LENGTH_BYTES + plain.len() + GCM_TAG_BYTES);
    if size > LETTER_BYTES {
        return Err(LetterError::Size);
    }
    let mut message = Zeroizing::new(length.to_be_bytes().to_vec());
    message.extend(plain);
    message.resize(size - GCM_TAG_BYTES, 0);
    let sealed =
        crypto.hpke_seal(SUITE.hpke_config(), recipient, info, aad, &message).map_err(|_| LetterError::Recipient)?;
    Ok(SealedLetter { kem: sealed.kem_output.into(), sealed: sealed.ciphertext.into() })
}

/// Opens a letter with the device's private key.
pub fn open(
    crypto: &RustCrypto,
    private: &HpkePrivateKey,
    info: &[u8],
    aad: &[u8],
    letter: &SealedLetter,
) -> Result<Vec<u8>, LetterError> {
    if letter.sealed.len() > LETTER_BYTES {
        return Err(LetterError::Size);
    }
    let input = HpkeCiphertext { kem_output: letter.kem.clone().into(), ciphertext: letter.sealed.clone().into() };
    let message =
        crypto.hpke_open(SUITE.hpke_config(), &input, private, info, aad).map_err(|_| LetterError::Opening)?;
    let message = Zeroizing::new(message);
    let (length, rest) = message.split_first_chunk::<LENGTH_BYTES>().ok_or(LetterError::Padding)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| LetterError::Padding)?;
    let (plain, padding) = rest.split_at_checked(length).ok_or(LetterError::Padding)?;
    if padding.iter().any(|byte| *byte != 0) || padded(LENGTH_BYTES + length + GCM_TAG_BYTES) != letter.sealed.len() {
        return Err(LetterError::Padding);
    }
    Ok(plain.to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_letter_opens_for_its_device_and_purpose_only() {
        let crypto = RustCrypto::default();
        let (mine, other) = (key_pair(&crypto, &[1; 32]).unwrap(), key_pair(&crypto, &[2; 32]).unwrap());
        let letter = seal(&crypto, &mine.public, b"letter", b"to", b"Hei").unwrap();
        assert_eq!(open(&crypto, &mine.private, b"letter", b"to", &letter).unwrap(), b"Hei");
        assert_eq!(open(&crypto, &other.private, b"letter", b"to", &letter), Err(LetterError::Opening));
        assert_eq!(open(&crypto, &mine.private, b"invite", b"to", &letter), Err(LetterError::Opening));
        assert_eq!(open(&crypto, &mine.private, b"letter", b"too", &letter), Err(LetterError::Opening));
        for at in [0, 1, 20, letter.sealed.len() - 1] {
            let mut bent = letter.clone();
            bent.sealed[at] ^= 1;
            assert_eq!(open(&crypto, &mine.private, b"letter", b"to", &bent), Err(LetterError::Opening));
        }
        let garbage = SealedLetter { kem: vec![1; 7], sealed: vec![] };
        assert_eq!(open(&crypto, &mine.private, b"letter", b"to", &garbage), Err(LetterError::Opening));
        assert_eq!(seal(&crypto, b"no key", b"letter", b"to", b"Hei"), Err(LetterError::Recipient));
    }

    /// A peer's key or ciphertext that is none is refused at every length, and ends no process.
    #[test]
    fn a_malformed_hybrid_key_or_ciphertext_is_refused() {
        let crypto = RustCrypto::default();
        let mine = key_pair(&crypto, &[1; 32]).unwrap();
        assert_eq!(mine.public.len(), 1216);
        let cut = |bytes: &[u8], n: usize| bytes.iter().copied().cycle().take(n).collect::<Vec<u8>>();
        for length in [0, 1, 31, 32, 33, 1119, 1183, 1184, 1185, 1215, 1217, 2432] {
            let key = cut(&mine.public, length);
            assert_eq!(seal(&crypto, &key, b"letter", b"to", b"Hei"), Err(LetterError::Recipient), "{length}");
        }
        // Numbers that are none, and a curve point that leads nowhere: refused or sealed to nobody, never a panic.
        for key in [vec![0xff; 1216], vec![0; 1216], [&mine.public[..1184], &[0; 32]].concat()] {
            let _ = seal(&crypto, &key, b"letter", b"to", b"Hei");
        }
        let letter = seal(&crypto, &mine.public, b"letter", b"to", b"Hei").unwrap();
        assert_eq!(letter.kem.len(), 1120);
        for length in [0, 1, 31, 32, 1087, 1088, 1089, 1119, 1121, 2240] {
            let bent = SealedLetter { kem: cut(&letter.kem, length), ..letter.clone() };
            assert_eq!(open(&crypto, &mine.private, b"letter", b"to", &bent), Err(LetterError::Opening), "{length}");
        }
        for kem in [vec![0; 1120], vec![0xff; 1120], [&letter.kem[..1088], &[0; 32]].concat()] {
            let bent = SealedLetter { kem, ..letter.clone() };
            assert_eq!(open(&crypto, &mine.private, b"letter", b"to", &bent), Err(LetterError::Opening));
        }
        for length in 0..64 {
            let bent = SealedLetter { sealed: cut(&letter.sealed, length), ..letter.clone() };
            assert_eq!(open(&crypto, &mine.private, b"letter", b"to", &bent), Err(LetterError::Opening), "{length}");
        }
    }

    #[test]
    fn sizes_tell_little_and_are_limited() {
        let crypto = RustCrypto::default();
        let mine = key_pair(&crypto, &[1; 32]).unwrap();
        let size =
            |plain: usize| seal(&crypto, &mine.public, b"", b"", &vec![7; plain]).map(|letter| letter.sealed.len());
        assert_eq!(size(0), Ok(64));
        assert_eq!(size(44), Ok(64));
        assert_eq!(size(45), Ok(128));
        assert_eq!(size(LETTER_BYTES - 20), Ok(LETTER_BYTES));
        assert_eq!(size(LETTER_BYTES - 19), Err(LetterError::Size));
    }

    #[test]
    fn hidden_padding_is_refused() {
        let crypto = RustCrypto::default();
        let mine = key_pair(&crypto, &[1; 32]).unwrap();
        let mut message = vec![0; 48];
        message[47] = 1;
        let hidden = crypto.hpke_seal(SUITE.hpke_config(), &mine.public, b"", b"", &message).unwrap();
        let letter = SealedLetter { kem: hidden.kem_output.into(), sealed: hidden.ciphertext.into() };
        assert_eq!(open(&crypto, &mine.private, b"", b"", &letter), Err(LetterError::Padding));
    }
}
