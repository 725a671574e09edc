//! Homes as a person at a page finds, opens, begins and keys them.

use std::path::{Path, PathBuf};

use stafett_client_core::client::input::Command as Wish;
use stafett_client_core::client::{check_accept, check_join};
use zeroize::Zeroizing;

use crate::host::door::Ask;
use crate::host::fault::{Exit, Fault};
use crate::host::home::{Folder, Home, HomeError, is_passphrase_given};
use crate::host::keyring;
use crate::host::passphrase::prepared;
use crate::ui::keeper::{Keeper, Presence};

/// A folder is looked at so far: homes lie in it, or right below it.
const MOST: usize = 64;

/// Where homes are below this folder, itself included; where there is none, it is the place for the first.
pub fn find(root: &Path) -> Vec<PathBuf> {
    let is_home = |dir: &PathBuf| dir.join("home.json").is_file();
    let below = std::fs::read_dir(root).into_iter().flatten().filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut below: Vec<PathBuf> = below.filter(is_home).take(MOST).collect();
    below.sort();
    let own = root.to_owned();
    if is_home(&own) || below.is_empty() {
        below.insert(0, own);
    }
    below
}

/// A folder for one more home.
pub fn fresh(root: &Path) -> Option<PathBuf> {
    if !root.join("home.json").exists() && find(root).len() == 1 {
        return Some(root.to_owned());
    }
    (2..MOST).map(|number| root.join(number.to_string())).find(|dir| !dir.exists())
}

/// What a passphrase that was typed means; refused where no keyboard writes it.
fn meant(typed: &str) -> Result<Zeroizing<String>, Fault> {
    if typed.is_empty() {
        return Err(HomeError::NoPassphrase.into());
    }
    Ok(prepared(typed).ok_or(HomeError::PassphraseSign)?)
}

/// Deriving a key takes a moment, and memory: pages are answered meanwhile.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::new(Exit::Damaged, "runtime", error))?
}

/// Opens a home for whoever knows its passphrase.
pub async fn unlock(keeper: &Keeper, home: usize, typed: &str) -> Result<(), Fault> {
    let dir = keeper.dir(home).ok_or_else(|| Fault::usage("no-home", ""))?;
    let given = meant(typed)?;
    let key = aside(move || Ok(Folder::at(&dir)?.unlock(given.as_bytes())?)).await?;
    keeper.open(home, key, None).await.map(drop)
}

/// Opens it as the terminal would without asking: by the environment's passphrase or the machine's keyring.
pub async fn unlock_unasked(keeper: &Keeper, home: usize) -> Result<(), Fault> {
    if keeper.presence(home) != Some(Presence::Locked) {
        return Ok(());
    }
    let dir = keeper.dir(home).ok_or_else(|| Fault::usage("no-home", ""))?;
    if is_passphrase_given() {
        let given = crate::host::home::passphrase("", None)?;
        return unlock(keeper, home, &given).await;
    }
    match keyring::recall(&Folder::at(&dir)?) {
        Some(key) => keeper.open(home, key, None).await.map(drop),
        None => Ok(()),
    }
}

/// Makes a home and comes in by a code; leaves none behind where the code does not count.
pub async fn begin(keeper: &Keeper, home: usize, wish: Wish, typed: &str) -> Result<(), Fault> {
    let nowhere = || Fault::usage("no-home", "");
    match &wish {
        Wish::Join { code, name } => check_join(code, name)?,
        Wish::DeviceAccept { code, name } => check_accept(code, name)?,
        _ => return Err(nowhere()),
    }
    let (given, dir) = (meant(typed)?, keeper.dir(home).ok_or_else(nowhere)?);
    let made_here = !dir.join("home.json").exists();
    let begun = Folder::at(&dir).map_or(true, |folder| folder.is_begun());
    if !begun {
        return Err(HomeError::Exists(dir).into());
    }
    let (made, key) = aside(move || {
        let made = Home::hold_new(&dir)?;
        let key = made.begin(given.as_bytes())?;
        Ok((made, key))
    })
    .await?;
    let way = keeper.open(home, key, Some(made)).await?;
    let outcome = way.ask(Ask::Wish(wish)).await.and_then(|answer| answer.outcome);
    match outcome {
        Ok(_) => {
            if let Some(dir) = keeper.dir(home) {
                Folder::at(&dir)?.is_somebodys();
            }
            Ok(())
        }
        // A home that was made for a code which was refused is nobody's. Where no answer came the code may count: the same
        // passphrase takes it up again.
        Err(fault) => {
            if made_here && fault.exit == Exit::Refused {
                keeper.discard(home)
            } else {
                keeper.lock(home)
            }
            Err(fault)
        }
    }
}

/// The same key under another passphrase.
pub async fn change_passphrase(dir: PathBuf, old: &str, fresh: &str) -> Result<(), Fault> {
    let (old, fresh) = (meant(old)?, meant(fresh)?);
    aside(move || {
        let folder = Folder::at(&dir)?;
        let _lock = folder.lock_key()?;
        let key = folder.unlock(old.as_bytes())?;
        keyring::wrap_anew(&folder, &key, &fresh)
    })
    .await
}
