//! The sealed file.
//!
//! ```text
//! "stafett backup\n" ‖ u32 len(header) ‖ header ‖ part 0 ‖ part 1 ‖ … ‖ last part
//! header = for each who can open it: the file key, sealed to them
//! part n = AES-256-GCM under a key from the file key and the header, nonce n ‖ whether it is the last
//! ```
//!
//! So a part that is changed, left out, put elsewhere, taken from another backup or put behind the end does not open (the
//! construction is STREAM, Hoang et al. 2015; as in age, no crate of which is small).

use std::io::{self, Read, Write};

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use argon2::{Algorithm, Argon2, Params, Version};
use hkdf::Hkdf;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::types::HpkeCiphertext;
use sha2::{Digest as _, Sha256};
use stafett_protocol::SUITE;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes, decode, encode};
use zeroize::Zeroizing;

use super::BackupError;
use super::keys::{Recipients, Secret, fingerprint};
use crate::home::random;

const MAGIC: &[u8; 15] = b"stafett backup\n";
const PART_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 16 * 1024;
/// Whoever gives us a file must not make us work for ever.
const MOST_SLOTS: usize = 4;
const NEW_MEMORY_KIB: u32 = 128 * 1024;
const NEW_PASSES: u32 = 3;
const MEMORY_KIB: std::ops::RangeInclusive<u32> = 19_456..=1_048_576;
const PASSES: std::ops::RangeInclusive<u32> = 2..=16;

pub type FileKey = Zeroizing<[u8; 32]>;

#[derive(Debug, TlsSerialize, TlsDeserialize, TlsSize)]
struct Header {
    slots: Vec<Slot>,
}

/// One way to the file key.
#[derive(Debug, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
enum Slot {
    #[tls_codec(discriminant = 1)]
    Key(KeySlot),
    #[tls_codec(discriminant = 2)]
    Passphrase(PassphraseSlot),
}

#[derive(Debug, TlsSerialize, TlsDeserialize, TlsSize)]
struct KeySlot {
    /// [`fingerprint`] of the public key.
    recipient: [u8; 32],
    kem: VLBytes,
    sealed: VLBytes,
}

#[derive(Debug, TlsSerialize, TlsDeserialize, TlsSize)]
struct PassphraseSlot {
    salt: [u8; 16],
    memory_kib: u32,
    passes: u32,
    sealed: VLBytes,
}

impl KeySlot {
    fn seal(public: &[u8], key: &FileKey) -> Result<Self, BackupError> {
        let recipient = fingerprint(public);
        let sealed = RustCrypto::default()
            .hpke_seal(SUITE.hpke_config(), public, MAGIC, &recipient, &key[..])
            .map_err(|_| BackupError::Sealing)?;
        Ok(Self { recipient, kem: sealed.kem_output, sealed: sealed.ciphertext })
    }

    fn open(&self, secret: &Secret) -> Option<FileKey> {
        let Secret::Key(key) = secret else { return None };
        let pair = key.pair().ok().filter(|pair| fingerprint(&pair.public) == self.recipient)?;
        let input = HpkeCiphertext { kem_output: self.kem.clone(), ciphertext: self.sealed.clone() };
        let opened = RustCrypto::default()
            .hpke_open(SUITE.hpke_config(), &input, &pair.private, MAGIC, &self.recipient)
            .map(Zeroizing::new);
        opened.ok()?.as_slice().try_into().map(Zeroizing::new).ok()
    }
}

impl PassphraseSlot {
    fn seal(passphrase: &str, key: &FileKey) -> Result<Self, BackupError> {
        let salt = random().map_err(|error| BackupError::Io(io::Error::other(error)))?;
        let mut slot = Self { salt, memory_kib: NEW_MEMORY_KIB, passes: NEW_PASSES, sealed: vec![].into() };
        let cipher = slot.cipher(passphrase).ok_or(BackupError::Sealing)?;
        slot.sealed = cipher.encrypt(&Nonce::default(), &key[..]).map_err(|_| BackupError::Sealing)?.into();
        Ok(slot)
    }

    fn open(&self, secret: &Secret) -> Option<FileKey> {
        let Secret::Passphrase(passphrase) = secret else { return None };
        let opened = self.cipher(passphrase)?.decrypt(&Nonce::default(), self.sealed.as_slice()).map(Zeroizing::new);
        opened.ok()?.as_slice().try_into().map(Zeroizing::new).ok()
    }

    /// The key belongs to this salt alone, and seals one thing: the nonce may be constant.
    fn cipher(&self, passphrase: &str) -> Option<Aes256Gcm> {
        if !MEMORY_KIB.contains(&self.memory_kib) || !PASSES.contains(&self.passes) {
            return None;
        }
        let parameters = Params::new(self.memory_kib, self.passes, 1, Some(32)).ok()?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(passphrase.as_bytes(), &self.salt, &mut key[..])
            .ok()?;
        Some(Aes256Gcm::new((&*key).into()))
    }
}

/// The cipher of the parts, and which part is next.
struct Parts {
    cipher: Aes256Gcm,
    next: u64,
}

impl Parts {
    /// The key hangs on the header: another header, and nothing opens.
    fn under(key: &FileKey, header: &[u8]) -> Result<Self, BackupError> {
        let mut own = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(Sha256::digest(header).as_slice()), &key[..])
            .expand(b"stafett backup parts", &mut own[..])
            .map_err(|_| BackupError::Sealing)?;
        Ok(Self { cipher: Aes256Gcm::new((&*own).into()), next: 0 })
    }

    fn nonce(&mut self, last: bool) -> Nonce<aes_gcm::aes::cipher::consts::U12> {
        let mut nonce = [0; 12];
        for (to, from) in nonce.iter_mut().skip(3).zip(self.next.to_be_bytes().into_iter().chain([u8::from(last)])) {
            *to = from;
        }
        self.next = self.next.saturating_add(1);
        nonce.into()
    }
}

/// Takes plain bytes, writes a sealed file.
pub struct Sealing<W> {
    to: W,
    parts: Parts,
    pending: Zeroizing<Vec<u8>>,
}

impl<W: Write> Sealing<W> {
    /// Writes the header; answers the file key, too, so that the writer can read what it wrote.
    pub fn begin(mut to: W, recipients: &Recipients) -> Result<(Self, FileKey), BackupError> {
        let key: FileKey = random().map(Zeroizing::new).map_err(|error| BackupError::Io(io::Error::other(error)))?;
        let mut slots = vec![];
        if let Some(public) = &recipients.public {
            slots.push(Slot::Key(KeySlot::seal(public, &key)?));
        }
        if let Some(passphrase) = &recipients.passphrase {
            slots.push(Slot::Passphrase(PassphraseSlot::seal(passphrase, &key)?));
        }
        let header = encode(&Header { slots });
        let length = u32::try_from(header.len()).map_err(|_| BackupError::Sealing)?;
        to.write_all(MAGIC)?;
        to.write_all(&length.to_be_bytes())?;
        to.write_all(&header)?;
        let parts = Parts::under(&key, &header)?;
        Ok((Self { to, parts, pending: Zeroizing::new(Vec::with_capacity(PART_BYTES)) }, key))
    }

    fn put(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.parts.nonce(last);
        let sealed = self.parts.cipher.encrypt(&nonce, self.pending.as_slice());
        let sealed = sealed.map_err(|_| io::Error::other("a part cannot be sealed"))?;
        self.pending.clear();
        self.to.write_all(&sealed)
    }

    /// Writes the last part; without it the file is none.
    pub fn finish(mut self) -> io::Result<W> {
        self.put(true)?;
        self.to.flush()?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full part goes only when more follows: the last one must be marked.
        if self.pending.len() == PART_BYTES {
            self.put(false)?;
        }
        let taken = bytes.len().min(PART_BYTES - self.pending.len());
        self.pending.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a sealed file; what it hands out has been authenticated, in this place of this file.
pub struct OpenBackup<R> {
    from: R,
    parts: Parts,
    /// The next sealed part: whether it is the last is known once nothing follows.
    ahead: Vec<u8>,
    plain: Zeroizing<Vec<u8>>,
    at: usize,
    ended: bool,
}

impl<R: Read> OpenBackup<R> {
    /// Opens with any of `secrets`.
    pub fn with_secrets(from: R, secrets: &[Secret]) -> Result<(Self, FileKey), BackupError> {
        Self::begin(from, |header| {
            let header: Header = decode(header).map_err(|_| BackupError::NotABackup)?;
            if header.slots.len() > MOST_SLOTS {
                return Err(BackupError::NotABackup);
            }
            let mut ways = header.slots.iter().flat_map(|slot| secrets.iter().map(move |secret| (slot, secret)));
            let key = ways.find_map(|(slot, secret)| match slot {
                Slot::Key(slot) => slot.open(secret),
                Slot::Passphrase(slot) => slot.open(secret),
            });
            key.ok_or(BackupError::Closed)
        })
    }

    /// Opens with the file key itself.
    pub fn with_key(from: R, key: &FileKey) -> Result<Self, BackupError> {
        Self::begin(from, |_| Ok(key.clone())).map(|(opened, _)| opened)
    }

    fn begin(
        mut from: R,
        find: impl FnOnce(&[u8]) -> Result<FileKey, BackupError>,
    ) -> Result<(Self, FileKey), BackupError> {
        let short = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BackupError::NotABackup,
            _ => BackupError::Io(error),
        };
        let (mut magic, mut length) = ([0; MAGIC.len()], [0; 4]);
        from.read_exact(&mut magic).map_err(short)?;
        from.read_exact(&mut length).map_err(short)?;
        let length = u32::from_be_bytes(length) as usize;
        if magic != *MAGIC || length > HEADER_BYTES {
            return Err(BackupError::NotABackup);
        }
        let mut header = vec![0; length];
        from.read_exact(&mut header).map_err(short)?;
        let key = find(&header)?;
        let parts = Parts::under(&key, &header)?;
        let ahead = read_part(&mut from)?;
        Ok((Self { from, parts, ahead, plain: Zeroizing::default(), at: 0, ended: false }, key))
    }

    fn next_part(&mut self) -> io::Result<()> {
        let sealed = std::mem::take(&mut self.ahead);
        self.ahead = read_part(&mut self.from)?;
        let last = self.ahead.is_empty();
        let nonce = self.parts.nonce(last);
        let opened = self.parts.cipher.decrypt(&nonce, Payload::from(sealed.as_slice()));
        self.plain = opened.map(Zeroizing::new).map_err(|_| altered())?;
        (self.at, self.ended) = (0, last);
        Ok(())
    }
}

fn altered() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a part was changed, moved, left out or added")
}

/// A whole sealed part, or what is left of the file.
fn read_part(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut part = Vec::with_capacity(PART_BYTES + TAG_BYTES);
    from.take((PART_BYTES + TAG_BYTES) as u64).read_to_end(&mut part)?;
    Ok(part)
}

impl<R: Read> Read for OpenBackup<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_part()?;
        }
        let rest = self.plain.get(self.at..).unwrap_or_default();
        let taken = rest.len().min(to.len());
        for (to, from) in to.iter_mut().zip(rest) {
            *to = *from;
        }
        self.at += taken;
        Ok(taken)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::keys::BackupKey;
    use super::*;

    fn sealed(bytes: &[u8], key: &BackupKey) -> Vec<u8> {
        let public = Some(key.pair().unwrap().public);
        let (mut sealing, _) = Sealing::begin(vec![], &Recipients { public, passphrase: None }).unwrap();
        sealing.write_all(bytes).unwrap();
        sealing.finish().unwrap()
    }

    fn opened(file: &[u8], secrets: &[Secret]) -> Result<Vec<u8>, BackupError> {
        let mut plain = vec![];
        OpenBackup::with_secrets(file, secrets)?.0.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn every_change_of_a_sealed_file_is_refused() {
        let key = BackupKey::new().unwrap();
        let plain: Vec<u8> = (0..3 * PART_BYTES).map(|n| (n % 251) as u8).collect();
        let other = sealed(&plain, &key);
        let secrets = [Secret::Key(key)];
        let Secret::Key(key) = &secrets[0] else { unreachable!() };
        for length in [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, plain.len()] {
            let file = sealed(&plain[..length], key);
            assert_eq!(opened(&file, &secrets).unwrap(), plain[..length]);
            let steps = (0..file.len()).step_by(997).chain(0..file.len().min(1400)).chain([file.len() - 1]);
            for at in steps {
                let mut bent = file.clone();
                bent[at] ^= 1;
                assert!(opened(&bent, &secrets).is_err(), "a bit at {at} of {length}");
            }
            for cut in [1, TAG_BYTES, PART_BYTES + TAG_BYTES, PART_BYTES + TAG_BYTES + 1] {
                let cut = file.len().saturating_sub(cut);
                assert!(opened(&file[..cut], &secrets).is_err(), "cut at {cut} of {length}");
            }
            for more in [vec![0], file[file.len() - TAG_BYTES..].to_vec(), file.clone()] {
                assert!(opened(&[file.clone(), more].concat(), &secrets).is_err(), "something behind {length}");
            }
        }
        let file = sealed(&plain, key);
        let body = file.len() - 3 * (PART_BYTES + TAG_BYTES);
        let part =
            |file: &[u8], n: usize| file[body + n * (PART_BYTES + TAG_BYTES)..][..PART_BYTES + TAG_BYTES].to_vec();
        let of = |parts: &[Vec<u8>]| [&file[..body], &parts.concat()].concat();
        assert_eq!(of(&[part(&file, 0), part(&file, 1), part(&file, 2)]), file);
        for parts in [
            vec![part(&file, 1), part(&file, 0), part(&file, 2)],
            vec![part(&file, 0), part(&file, 2)],
            vec![part(&file, 0), part(&file, 0), part(&file, 2)],
            vec![part(&file, 0), part(&file, 1), part(&file, 1), part(&file, 2)],
            vec![part(&other, 0), part(&file, 1), part(&file, 2)],
        ] {
            assert!(opened(&of(&parts), &secrets).is_err());
        }
    }

    #[test]
    fn only_the_right_key_or_passphrase_opens() {
        let key = BackupKey::new().unwrap();
        let passphrase = || Zeroizing::new("tolv bokstaver og flere".to_owned());
        let recipients = Recipients { public: Some(key.pair().unwrap().public), passphrase: Some(passphrase()) };
        let (mut sealing, _) = Sealing::begin(vec![], &recipients).unwrap();
        sealing.write_all(b"alt").unwrap();
        let file = sealing.finish().unwrap();
        let with = |secret: Secret| opened(&file, &[secret]);
        assert_eq!(with(Secret::Key(key)).unwrap(), b"alt");
        assert_eq!(with(Secret::Passphrase(passphrase())).unwrap(), b"alt");
        for wrong in [Secret::Key(BackupKey::new().unwrap()), Secret::typed(Zeroizing::new("en annen".into()))] {
            assert!(matches!(with(wrong), Err(BackupError::Closed)));
        }
        assert!(matches!(opened(&file, &[]), Err(BackupError::Closed)));
        assert!(matches!(opened(b"SQLite format 3\0 and so on", &[]), Err(BackupError::NotABackup)));
    }
}
