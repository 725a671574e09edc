//! The platform's keyring (the kernel's on Linux, Keychain, Credential Manager): whoever wants it is asked for the
//! passphrase once and not by every command. It keeps the home key, never the passphrase; the passphrase still opens.

use keyring::{Entry, Error};
use zeroize::Zeroizing;

use crate::host::fault::{Exit, Fault};
use crate::host::home::Folder;

const SERVICE: &str = "stafett";

/// The entry of this very home: one that was made anew in the same folder has another name.
fn entry(home: &Folder) -> Result<Entry, Fault> {
    Entry::new(SERVICE, &home.name()?).map_err(|error| unusable(&error))
}

fn unusable(error: &Error) -> Fault {
    Fault::new(Exit::Usage, "no-keyring", error)
}

/// The home key, if it was kept. A keyring that is not there, or is locked, is no reason not to ask a person.
pub fn recall(home: &Folder) -> Option<Zeroizing<[u8; 32]>> {
    let kept = Zeroizing::new(entry(home).ok()?.get_secret().ok()?);
    <[u8; 32]>::try_from(kept.as_slice()).ok().map(Zeroizing::new)
}

/// Keeps the home key until it is forgotten; on Linux at most until the machine restarts.
pub fn keep(home: &Folder, key: &[u8; 32]) -> Result<(), Fault> {
    let entry = entry(home)?;
    entry.set_secret(key).map_err(|error| {
        // Outside of a login session it may be stored half: better not at all.
        let _ = entry.delete_credential();
        unusable(&error)
    })
}

/// From now on the passphrase is asked again. Nothing was kept: that is fine, too.
pub fn forget(home: &Folder) -> Result<(), Fault> {
    match entry(home)?.delete_credential() {
        Ok(()) | Err(Error::NoEntry) => Ok(()),
        Err(error) => Err(unusable(&error)),
    }
}

/// Another passphrase for the same key. A keyring's entry goes by the wrapping, which is another from then on.
pub fn wrap_anew(home: &Folder, key: &[u8; 32], passphrase: &str) -> Result<(), Fault> {
    let kept = recall(home).is_some();
    if kept {
        forget(home)?;
    }
    home.wrap(key, passphrase.as_bytes())?;
    if kept { keep(home, key) } else { Ok(()) }
}
