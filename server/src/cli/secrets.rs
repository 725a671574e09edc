//! What opens backups, as the operator gives it: in the environment, in a file, at the terminal. Never as an argument, which
//! every process of the machine can read.

use std::io::IsTerminal as _;
use std::path::Path;

use stafett_host::read_bounded;
use stafett_protocol::ids::{bytes_from_hex, to_hex};
use zeroize::Zeroizing;

use super::{CliError, grouped};
use crate::backup::keys::{BackupKey, PASSPHRASE_CHARS, Recipients, Secret, fingerprint};
use crate::home::{BACKUP_PUBLIC, Home};

const KEY: &str = "STAFETT_BACKUP_KEY";
/// The second is what `stafett` uses: one person with both programs says it once.
const PASSPHRASES: [&str; 2] = ["STAFETT_BACKUP_PASSPHRASE", "STAFETT_PASSPHRASE"];
const KEY_FILE_BYTES: u64 = 4096;

fn set(name: &str) -> Option<Zeroizing<String>> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(Zeroizing::new)
}

/// To whom this home's backups are sealed, and how that is said.
pub fn recipients(home: &Home) -> Result<(Recipients, Vec<String>), CliError> {
    let mut said = vec![];
    let public = match home.path(BACKUP_PUBLIC).exists() {
        true => {
            let text = home.read_text(BACKUP_PUBLIC)?;
            let public = bytes_from_hex(text.trim())
                .ok_or_else(|| CliError::Damaged(format!("{} cannot be read", home.path(BACKUP_PUBLIC).display())))?;
            said.push(format!("the backup key {}", short(&public)));
            Some(public)
        }
        false => None,
    };
    let given = PASSPHRASES.iter().find_map(|name| set(name).map(|passphrase| (*name, passphrase)));
    let passphrase = match given {
        Some((name, passphrase)) if passphrase.chars().count() < PASSPHRASE_CHARS => {
            return Err(CliError::Refused {
                code: "passphrase-short",
                message: format!("the passphrase in {name} has fewer than {PASSPHRASE_CHARS} letters"),
                hint: "take a longer one, or leave it out: the backup is sealed to the backup key then",
            });
        }
        Some((name, passphrase)) => {
            said.push(format!("the passphrase in {name}"));
            Some(passphrase)
        }
        None => None,
    };
    if said.is_empty() {
        return Err(CliError::Refused {
            code: "no-backup-key",
            message: "nobody could open this backup: the home has no backup key, and no passphrase was given"
                .to_owned(),
            hint: "`stafettd backup key` makes a key, or set STAFETT_BACKUP_PASSPHRASE",
        });
    }
    Ok((Recipients { public, passphrase }, said))
}

/// Everything that this operator can open backups with.
pub fn secrets(key_file: Option<&Path>) -> Result<Vec<Secret>, CliError> {
    let mut secrets = vec![];
    let key = match key_file {
        Some(file) => {
            let bytes = Zeroizing::new(read_bounded(file, KEY_FILE_BYTES)?);
            Some(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
        }
        None => set(KEY),
    };
    if let Some(text) = key {
        let key = BackupKey::from_text(&text).ok_or_else(|| CliError::Refused {
            code: "backup-key-mistyped",
            message: "this is not a backup key, or it is mistyped".to_owned(),
            hint: "it begins with stafett-backup- and was shown by `stafettd init` or `stafettd backup key`",
        })?;
        secrets.push(Secret::Key(key));
    }
    secrets.extend(PASSPHRASES.iter().filter_map(|name| set(name)).map(Secret::Passphrase));
    if secrets.is_empty() && std::io::stdin().is_terminal() {
        let typed = rpassword::prompt_password("Backup key or passphrase: ")?;
        secrets.push(Secret::typed(Zeroizing::new(typed)));
    }
    if secrets.is_empty() {
        return Err(CliError::Refused {
            code: "no-backup-key",
            message: "a backup opens with its key or passphrase, and none was given".to_owned(),
            hint: "set STAFETT_BACKUP_KEY or STAFETT_BACKUP_PASSPHRASE, or give --key-file FILE",
        });
    }
    Ok(secrets)
}

/// Makes this home's backup key. Its public half stays; the key is for the operator alone.
pub fn new_key(home: &Home) -> Result<(Zeroizing<String>, String), CliError> {
    let key = BackupKey::new()?;
    let public = key.pair()?.public;
    home.write(BACKUP_PUBLIC, format!("{}\n", to_hex(&public)).as_bytes())?;
    Ok((key.to_text(), short(&public)))
}

/// What is said with every new key, so that nobody finds out on the day of the fire.
pub fn keep_it(key: &str) -> String {
    format!(
        "BACKUP KEY, shown this once and not kept on this server:\n{key}\n\
         Keep it on paper or in a password store AWAY from this machine. If the machine is lost, only this key \
         (or a passphrase given at each backup) opens a backup; without it everything is lost for good."
    )
}

fn short(public: &[u8]) -> String {
    grouped(&to_hex(fingerprint(public).first_chunk::<8>().map_or(&[], |short| &short[..])))
}
