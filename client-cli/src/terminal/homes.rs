//! Homes as a person opens, keys, begins and forgets them: what a passphrase is asked for.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use stafett_client_core::answer::Counts;
use stafett_client_core::client::input::Command as Wish;
use stafett_client_core::client::{check_accept, check_join};
use zeroize::Zeroizing;

use crate::host::desk::{self, Desk};
use crate::host::fault::{Exit, Fault};
use crate::host::home::{Folder, Home, HomeError, is_passphrase_given, new_passphrase, passphrase};
use crate::host::keyring;
use crate::host::open_home::OpenHome;
use crate::host::recording::Recording;
use crate::terminal::app::say;
use crate::terminal::args::{Command, Device, Keyring};
use crate::terminal::here::{Forgotten, Kept, Rewrapped};
use crate::terminal::output::Output;

/// `keyring keep`, `keyring forget`: the only commands that need the home and nothing in it.
pub(super) fn key_in_keyring(dir: &Path, command: Keyring, output: &Output) -> Result<Exit, Fault> {
    let home = Folder::at(dir)?;
    let _lock = home.lock_key()?;
    let name = match command {
        Keyring::Keep => {
            let question = output.messages().say("ask.passphrase", &[]);
            keyring::keep(&home, &*home.unlock(passphrase(&question, None)?.as_bytes())?)?;
            "keyring.keep"
        }
        Keyring::Forget => {
            keyring::forget(&home)?;
            "keyring.forget"
        }
    };
    say(output, name, &Kept { kept: name == "keyring.keep" })?;
    Ok(Exit::Done)
}

/// What makes a home where there is none.
pub(super) fn begins(command: &Command) -> bool {
    matches!(command, Command::Join(_) | Command::Device(Device::Accept { .. }))
}

/// What can be refused before there is a home is refused there, and leaves none behind.
pub(super) fn knock(command: &Command) -> Result<(), Fault> {
    match command {
        Command::Join(join) => check_join(&join.code, join.name.as_deref().unwrap_or_default())?,
        Command::Device(Device::Accept { code, name }) => check_accept(code, name.as_deref().unwrap_or_default())?,
        _ => {}
    }
    Ok(())
}

/// `passphrase`: the same key under another passphrase.
pub(super) fn change_passphrase(dir: &Path, output: &Output) -> Result<Exit, Fault> {
    let home = Folder::at(dir)?;
    let _lock = home.lock_key()?;
    let ask = |key: &str| output.messages().say(key, &[]);
    let key = home.unlock(passphrase(&ask("ask.passphrase"), None)?.as_bytes())?;
    let fresh = new_passphrase(&ask("ask.new_passphrase"), &ask("ask.again"))?;
    keyring::wrap_anew(&home, &key, &fresh)?;
    say(output, "passphrase", &Rewrapped { changed: true })?;
    Ok(Exit::Done)
}

/// So long the server is given to take what waits, and to hear that the device goes.
const FAREWELL: Duration = Duration::from_secs(10);

/// What the server knows of a device that is being wiped; the word in `server`, and in `say.home.forget.<word>`.
async fn farewell(home: &mut OpenHome) -> Result<&'static str, Fault> {
    let refused = |fault: &Fault| fault.code == "not-authenticated";
    if home.perform(Wish::Me).await.is_err() || home.awaits_certificate() {
        return Ok("nobody");
    }
    // What waits here would be lost with the device.
    match home.reach(FAREWELL).await {
        Err(fault) if refused(&fault) => return Ok("told"),
        Err(_) => return Ok("unreachable"),
        Ok(_) => {}
    }
    match home.perform(Wish::DeviceLeave).await {
        Err(fault) if fault.code == "own-device" => return Ok("last"),
        asked => drop(asked?),
    }
    // The server ends the stream with the device, perhaps before its answer has come.
    let needed = |counts: &Counts| counts.problems.iter().any(|one| one.code == "device-needed");
    if home.reach(FAREWELL).await.as_ref().is_ok_and(needed) {
        return Err(Fault::new(Exit::Refused, "home-needed", ""));
    }
    Ok(if home.reach(FAREWELL).await.as_ref().is_err_and(refused) { "told" } else { "unreachable" })
}

/// The same, as far as the home can be opened at all. A wrong passphrase ends it: who has it can say goodbye with it.
async fn tell_server(home: Home, folder: &Folder, output: &Output) -> Result<(Home, &'static str), Fault> {
    if !folder.is_set_up() {
        return Ok((home, "nobody"));
    }
    let key = match home_key(folder, output) {
        Ok(key) => key,
        Err(fault) if fault.code == "no-home" => return Ok((home, "nobody")),
        Err(fault) if fault.code == "no-passphrase" => return Ok((home, "locked")),
        Err(fault) if fault.code == "wrong-passphrase" => return Err(Fault::usage("forget-passphrase", "")),
        Err(_) => return Ok((home, "damaged")),
    };
    // What cannot be opened can still be deleted.
    let Ok(mut open) = OpenHome::open(home, &key, Recording::none()).await else {
        return Ok((Home::hold(folder.dir())?, "damaged"));
    };
    let told = farewell(&mut open).await?;
    Ok((open.into_home(), told))
}

/// `home forget`: the server hears of it, and everything that is ours goes from the folder, once the person has said so.
pub(super) async fn forget(dir: &Path, yes: bool, offline: bool, output: &Output) -> Result<Exit, Fault> {
    let folder = Folder::at(dir)?;
    let messages = output.messages();
    let shown = dir.display().to_string();
    let sure = yes || {
        let can_ask = std::io::stdin().is_terminal() && !output.is_json();
        let mut line = String::new();
        if can_ask {
            eprint!("{} ", messages.say("ask.forget", &[("dir", &shown)]));
            std::io::stdin().read_line(&mut line).map_err(|error| Fault::usage("file", error))?;
        }
        line.trim().to_uppercase() == messages.say("word.sure", &[])
    };
    if !sure {
        return Err(Fault::usage("not-sure", ""));
    }
    // Nobody works in what goes.
    let waits = || eprintln!("{}", messages.say("say.waiting", &[]));
    let home = desk::hold(|| Home::hold(dir), dir, waits).await?;
    let home = home.ok_or_else(|| Fault::usage("home-busy", &shown))?;
    let (home, told) = if offline { (home, "offline") } else { tell_server(home, &folder, output).await? };
    // A keyring that is not there keeps nothing.
    let _ = keyring::forget(&folder);
    home.discard();
    say(output, &format!("home.forget.{told}"), &Forgotten { forgotten: true, home: shown, server: told })?;
    Ok(Exit::Done)
}

/// Opens the home; only `join` and `device accept` make one.
pub(super) async fn open(
    dir: &Path,
    command: &Command,
    recording: Recording,
    output: &Output,
) -> Result<(Desk, Zeroizing<[u8; 32]>), Fault> {
    let waits = || eprintln!("{}", output.messages().say("say.waiting", &[]));
    if begins(command) {
        // Whoever is served there is somebody already.
        let home = desk::hold(|| Home::hold_new(dir), dir, waits).await?;
        let home = home.ok_or_else(|| Fault::new(Exit::Refused, "home-in-use", dir.display()))?;
        let key = new_home_key(&home, output)?;
        return Ok((Desk::Own(Box::new(OpenHome::open(home, &key, recording).await?)), key));
    }
    // A person who is asked for the passphrase keeps nobody waiting.
    let folder = Folder::at(dir)?;
    let key = home_key(&folder, output)?;
    Ok((Desk::open(&folder, &key, recording, waits).await?, key))
}

/// For a home that begins.
fn new_home_key(home: &Home, output: &Output) -> Result<Zeroizing<[u8; 32]>, Fault> {
    if !home.is_begun() || !home.is_set_up() {
        return home_key(home, output);
    }
    let ask = |key: &str| output.messages().say(key, &[]);
    let given = passphrase(&ask("ask.new_passphrase"), Some(&ask("ask.again")))?;
    Ok(home.begin(given.as_bytes())?)
}

fn home_key(home: &Folder, output: &Output) -> Result<Zeroizing<[u8; 32]>, Fault> {
    let ask = |key: &str| output.messages().say(key, &[]);
    if !home.is_set_up() {
        return Ok(home.set_up(passphrase(&ask("ask.new_passphrase"), Some(&ask("ask.again")))?.as_bytes())?);
    }
    if home.is_begun() {
        // Nobody has come in yet: a passphrase that does not fit says so, and nothing more.
        let given = passphrase(&ask("ask.passphrase"), None)?;
        return match home.unlock(given.as_bytes()) {
            Err(HomeError::Passphrase) => Err(HomeError::Missing(home.dir().to_owned()).into()),
            other => Ok(other?),
        };
    }
    if let Some(key) = keyring::recall(home).filter(|_| !is_passphrase_given()) {
        return Ok(key);
    }
    Ok(home.unlock(passphrase(&ask("ask.passphrase"), None)?.as_bytes())?)
}

/// What was begun for a code that does not count is nobody's.
pub(super) fn discard(desk: Desk) {
    if let Desk::Own(session) = desk {
        session.into_home().discard();
    }
}
