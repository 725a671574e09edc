//! What the host answers itself: files, the passphrase, the folder.

use serde::Serialize;
use stafett_client_core::answer::{GotAttachment, Me, Report};

use stafett_words::reader::Reader;
use stafett_words::render::Part;
use stafett_words::shown::{Shown, parts};

/// Who this device is, and where it lies.
#[derive(Debug, Serialize)]
pub struct MeHere {
    #[serde(flatten)]
    pub me: Me,
    /// The folder.
    pub home: String,
    /// Whether the machine's keyring has its key.
    pub kept: bool,
}

impl Shown for MeHere {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { me, home, kept } = self;
        me.part(to).and([("home", to.text(home)), ("kept", to.yes(*kept))])
    }
}

/// An attachment, written to a file.
#[derive(Debug, Serialize)]
pub struct FileWritten {
    #[serde(flatten)]
    pub got: GotAttachment,
    pub file: String,
}

impl Shown for FileWritten {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { got, file } = self;
        got.part(to).and([("file", to.text(file))])
    }
}

/// An export, and what its reader will find in it.
#[derive(Debug, Serialize)]
pub struct Exported {
    #[serde(flatten)]
    pub report: Report,
    pub file: String,
}

impl Shown for Exported {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { report, file } = self;
        // What was written is looked at with `audit verify`; whether a rule is broken is said at once.
        let Report {
            log: _,
            municipalities: _,
            scopes: _,
            from: _,
            to: _,
            events: _,
            checks: _,
            violations,
            unchecked: _,
            forks: _,
        } = report;
        Part::of([("file", to.text(file))]).with("violations", parts(to, violations))
    }
}

/// Whether the machine's keyring has the key now.
#[derive(Debug, Serialize)]
pub struct Kept {
    pub kept: bool,
}

impl Shown for Kept {
    fn part(&self, _: &Reader<'_>) -> Part {
        // Each of the two has its own text.
        let Self { kept: _ } = self;
        Part::default()
    }
}

/// The passphrase is another.
#[derive(Debug, Serialize)]
pub struct Rewrapped {
    pub changed: bool,
}

impl Shown for Rewrapped {
    fn part(&self, _: &Reader<'_>) -> Part {
        // Always so.
        let Self { changed: _ } = self;
        Part::default()
    }
}

/// Everything of ours is gone from the folder.
#[derive(Debug, Serialize)]
pub struct Forgotten {
    pub forgotten: bool,
    pub home: String,
    /// What the server knows of it, in a word.
    pub server: &'static str,
}

impl Shown for Forgotten {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Always so, and what the server knows has a text of its own.
        let Self { forgotten: _, home, server: _ } = self;
        Part::of([("home", to.text(home))])
    }
}
