//! Everything that can end a command before it is done, as people and scripts see it: a stable code, plain words, a hint,
//! an exit code. One match for each room's errors.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use stafett_client_core::client::input::{Blame, Problem};

use crate::host::home::HomeError;
use crate::host::store::StoreError;
use crate::host::transport::TransportError;

/// Exit codes of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// Saved on this device.
    Done = 0,
    /// A rule says no.
    Refused = 1,
    /// Wrong use.
    Usage = 2,
    /// The server cannot be reached.
    Unreachable = 3,
    /// Damaged data.
    Damaged = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ends without having done its work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// How the process ends.
    pub exit: Exit,
    /// Stable, for scripts; the texts are `fault.<code>` and `hint.<code>` of the catalogue.
    pub code: String,
    /// What fills `{detail}`: a path, an id, the technical reason. Never content of a log.
    pub detail: String,
    /// What fills the other places: how much is allowed, how much it is.
    pub values: Vec<(String, String)>,
}

impl Fault {
    /// Put together by hand.
    pub fn new(exit: Exit, code: &str, detail: impl std::fmt::Display) -> Self {
        Self { exit, code: code.to_owned(), detail: detail.to_string(), values: Vec::new() }
    }

    /// Wrong use.
    pub fn usage(code: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(Exit::Usage, code, detail)
    }
}

impl From<HomeError> for Fault {
    fn from(error: HomeError) -> Self {
        let (exit, code) = match &error {
            HomeError::Missing(_) => (Exit::Usage, "no-home"),
            HomeError::Exists(_) => (Exit::Usage, "home-exists"),
            HomeError::Busy(_) => (Exit::Usage, "home-busy"),
            HomeError::Passphrase => (Exit::Usage, "wrong-passphrase"),
            HomeError::PassphraseSign => (Exit::Usage, "passphrase-sign"),
            HomeError::PassphraseTwice => (Exit::Usage, "passphrase-twice"),
            HomeError::NoPassphrase => (Exit::Usage, "no-passphrase"),
            HomeError::PathLong(_) => (Exit::Usage, "home-path-long"),
            HomeError::Damaged(_) => (Exit::Damaged, "home-damaged"),
            HomeError::Io(_, reason) if no_room(reason) => (Exit::Damaged, "disk-full"),
            HomeError::Io(..) => (Exit::Damaged, "home-unusable"),
        };
        let detail = match &error {
            HomeError::Missing(dir) | HomeError::Exists(dir) | HomeError::Busy(dir) | HomeError::PathLong(dir) => {
                dir.display().to_string()
            }
            HomeError::Damaged(reason) => reason.clone(),
            HomeError::Io(path, reason) => format!("{}: {reason}", path.display()),
            HomeError::Passphrase
            | HomeError::NoPassphrase
            | HomeError::PassphraseSign
            | HomeError::PassphraseTwice => String::new(),
        };
        Self::new(exit, code, detail)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Schema(_) => "store-too-new",
            StoreError::Version(_) => "sqlite-too-old",
            StoreError::Sqlite(error) => of_sqlite(error),
            StoreError::Seal(_) => "store-damaged",
        };
        Self::new(Exit::Damaged, code, error)
    }
}

/// Nothing on the disk is wrong: there is no room for more.
fn no_room(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// What SQLite says tells a disk that takes nothing from a file that is damaged. Neither is the other: who is told of damage
/// gives up what is whole.
fn of_sqlite(error: &sqlx::Error) -> &'static str {
    const FULL: i32 = 13;
    const IO: i32 = 10;
    const READ_ONLY: i32 = 8;
    const CANNOT_OPEN: i32 = 14;
    /// Extended codes of [`IO`] for writing, syncing and truncating: a quota shows itself there.
    const WRITING: [i32; 4] = [3, 4, 5, 6];
    if let sqlx::Error::Io(error) = error {
        return if no_room(error) { "disk-full" } else { "home-unusable" };
    }
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i32>().ok());
    match code.map(|code| (code & 0xff, code >> 8)) {
        Some((FULL, _)) => "disk-full",
        Some((IO, how)) if WRITING.contains(&how) => "disk-full",
        Some((READ_ONLY | CANNOT_OPEN, _)) => "home-unusable",
        _ => "store-damaged",
    }
}

impl From<TransportError> for Fault {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Address(address) => Self::usage("server-address", address),
            TransportError::Unreachable(reason) => Self::new(Exit::Unreachable, "unreachable", reason),
            // Nothing was sent to whoever answered; trying again later may reach the right one.
            TransportError::Identity(reason) => Self::new(Exit::Unreachable, "wrong-server", reason),
            TransportError::Clock(off) => off.fault(),
            TransportError::Refused { status, body } => refusal(status, &body),
            TransportError::Nonsense(reason) => Self::new(Exit::Damaged, "server-nonsense", reason),
        }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let exit = match problem.blame {
            Blame::Rule => Exit::Refused,
            Blame::Caller => Exit::Usage,
            Blame::Net => Exit::Unreachable,
            Blame::Data => Exit::Damaged,
        };
        let values = problem.values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { exit, code: problem.code, detail: problem.message, values }
    }
}

/// A problem document (RFC 9457) names its own code; anything else is just a status.
pub fn refusal(status: u16, body: &str) -> Fault {
    let document: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let text = |key: &str| document.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    let code = text("code").or_else(|| text("type").and_then(|kind| kind.rsplit([':', '/']).next().map(str::to_owned)));
    Fault {
        values: Vec::new(),
        exit: Exit::Refused,
        code: code.filter(|code| is_code(code)).unwrap_or_else(|| "server-refused".to_owned()),
        detail: text("detail").or_else(|| text("title")).unwrap_or_else(|| status.to_string()),
    }
}

/// A server's word becomes a code only if it looks like one.
fn is_code(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-')
        && text != "about-blank"
        && text != "blank"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_documents_keep_their_code() {
        let fault = refusal(403, r#"{"type":"urn:stafett:code-used","detail":"brukt"}"#);
        assert_eq!((fault.code.as_str(), fault.detail.as_str()), ("code-used", "brukt"));
        assert_eq!(refusal(404, "<html>").code, "server-refused");
        assert_eq!(refusal(404, r#"{"type":"about:blank","title":"x"}"#).code, "server-refused");
    }
}
