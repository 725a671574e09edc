//! What passes between pages and hosts: plain data, and nothing else.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use stafett_client_core::answer::{Me, Moment};
use stafett_client_core::client::input::Command;
use stafett_words::messages::Language;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    Get,
    Post,
}

/// A file that somebody chose in a form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What a person did: followed a link, or sent a form.
#[derive(Clone)]
pub struct Ask {
    pub method: Method,
    /// Without the question mark and what follows.
    pub path: String,
    /// Of the form, or what follows the question mark.
    pub fields: Vec<(String, String)>,
    pub file: Option<UploadedFile>,
    pub language: Language,
    pub now: Timestamp,
    pub zone: TimeZone,
}

/// Whether there is somebody here to answer for. Only where it is `Open` does a host perform what [`crate::wanted`] says;
/// otherwise it asks [`crate::show`] at once, with no answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Home {
    /// Nothing has been made here, or somebody wants to make another one.
    None,
    Locked,
    Open,
}

/// One of several homes on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeHere {
    /// As the host knows it; comes back in [`HostWish::ChooseHome`].
    pub id: String,
    /// What its owner calls it, if that can be told while it is locked.
    pub name: Option<String>,
    /// The one that is shown now.
    pub this: bool,
}

/// What the host knows, and no answer tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub home: Home,
    pub online: bool,
    /// The answer to [`Command::Me`] as of now, where the home is open: who this is, and how much waits.
    pub me: Option<Me>,
    pub homes: Vec<HomeHere>,
    /// Whether the host keeps drafts; forms then save themselves, or have a button for it where there is no script.
    pub keeps_drafts: bool,
}

/// What was typed into a form and not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub fields: BTreeMap<String, String>,
    pub saved: Option<Moment>,
}

/// Drafts by the path that their form is sent to. Passphrases never stand in them. A host that keeps them takes `POST /draft`:
/// the fields of a form, and in `draft-of` where it is sent; to `shell.js` (`X-Stafett`) it answers with the line that says so,
/// to a button with the page that the person came from.
pub type Drafts = BTreeMap<String, Draft>;

/// What only the host can do. It performs the wish before anything else: done, it goes to [`after`]; refused, it asks
/// [`crate::show`] with that one problem as the only answer.
#[derive(Clone, PartialEq, Eq)]
pub enum HostWish {
    /// A new home, unlocked from now on. Its first command is `join`.
    MakeHome {
        passphrase: String,
        join: Command,
    },
    Unlock {
        passphrase: String,
    },
    Lock,
    Language(Language),
    ChangePassphrase {
        old: String,
        new: String,
    },
    /// Of [`Status::homes`]; none: a new one, from the start page.
    ChooseHome(Option<String>),
}

/// Where a wish leads when it was fulfilled.
pub fn after(wish: &HostWish) -> &'static str {
    match wish {
        HostWish::MakeHome { join: Command::Join { .. }, .. } => "/second-device",
        HostWish::MakeHome { .. } | HostWish::Unlock { .. } | HostWish::Lock | HostWish::ChooseHome(_) => "/",
        HostWish::Language(_) | HostWish::ChangePassphrase { .. } => "/me",
    }
}

/// What the host does now.
#[derive(Clone)]
pub enum Reply {
    /// `status` as in HTTP.
    Page { title: String, html: String, status: u16 },
    /// Perform these too, and ask [`crate::show`] again with all answers so far.
    More(Vec<Command>),
    /// Go there (303).
    See(String),
    /// A file to keep. No bytes: those that came beside the last answer.
    File { name: String, mime: &'static str, bytes: Option<Vec<u8>> },
}
