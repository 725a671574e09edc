//! A home at which a person's wishes are carried out: held by this process, or by another one that serves us at its door.
//! Two processes that come at once queue.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stafett_client_core::answer::{Answer as Told, Counts};
use stafett_client_core::client::input::{Command as Wish, Progress};

use crate::host::door::{self, Answer, Ask, DoorKey};
use crate::host::fault::{Exit, Fault};
use crate::host::home::{Folder, Home, HomeError};
use crate::host::open_home::{OpenHome, counts};
use crate::host::recording::Recording;

/// How often a home that another process holds is looked at again.
const LOOK: Duration = Duration::from_millis(40);
/// A command is done sooner, and a long `sync` is worth being told of.
const WAIT: Duration = Duration::from_secs(30);
/// So long it waits without a word.
const SILENT: Duration = Duration::from_secs(1);

/// A home, ready for wishes.
pub enum Desk {
    Own(Box<OpenHome>),
    /// Another process holds it.
    Beside(Beside),
}

/// The way to the process that holds the home.
pub struct Beside {
    dir: PathBuf,
    key: DoorKey,
    awaits_certificate: bool,
}

/// Whether a wish leaves anything at all, if only here.
pub fn does(wish: &Wish) -> bool {
    let here =
        matches!(wish, Wish::Join { .. } | Wish::DeviceAccept { .. } | Wish::ServerAt { .. } | Wish::DraftDrop { .. });
    here || changes(wish)
}

/// Whether a wish leaves something for others, or for another device of the same person.
pub fn changes(wish: &Wish) -> bool {
    match wish {
        // These two speak with the server themselves.
        Wish::Join { .. } | Wish::DeviceAccept { .. } | Wish::ServerAt { .. } => false,
        Wish::DeviceList
        | Wish::InviteList
        | Wish::People { .. }
        | Wish::Units
        | Wish::Verify { number: None, .. }
        | Wish::LogList
        | Wish::Me
        | Wish::LogShow { .. }
        | Wish::LogHistory { .. }
        | Wish::ConsentPending
        | Wish::ConsentList { .. }
        | Wish::BatonList
        | Wish::ConcernShow { .. }
        | Wish::AttachmentGet { .. }
        | Wish::Drafts
        | Wish::DraftDrop { .. }
        | Wish::SyncCounts
        | Wish::AuditVerify { .. }
        | Wish::AuditExport { .. } => false,
        _ => true,
    }
}

/// How long a command waits for a home that is in use: `STAFETT_WAIT`, in seconds.
fn patience() -> Duration {
    let told = std::env::var("STAFETT_WAIT").ok().and_then(|text| text.trim().parse().ok());
    told.map_or(WAIT, Duration::from_secs)
}

/// Waits until this process holds the home; `None` where another one serves it. `waits` is called once, when it takes long.
pub async fn hold(
    hold: impl Fn() -> Result<Home, HomeError>,
    dir: &Path,
    waits: impl FnOnce(),
) -> Result<Option<Home>, HomeError> {
    let (began, mut waits) = (Instant::now(), Some(waits));
    loop {
        match hold() {
            Err(HomeError::Busy(_)) if door::is_open(dir).await => return Ok(None),
            Err(HomeError::Busy(_)) if began.elapsed() < patience() => {}
            other => return other.map(Some),
        }
        if began.elapsed() > SILENT
            && let Some(waits) = waits.take()
        {
            waits();
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Desk {
    /// The home in this folder, for whoever has its key.
    pub async fn open(
        folder: &Folder,
        key: &[u8; 32],
        recording: Recording,
        waits: impl FnOnce(),
    ) -> Result<Self, Fault> {
        let dir = folder.dir();
        Ok(match hold(|| Home::hold(dir), dir, waits).await? {
            Some(home) => Self::Own(Box::new(OpenHome::open(home, key, recording).await?)),
            None => Self::Beside(Beside { dir: dir.to_owned(), key: DoorKey::of(key), awaits_certificate: false }),
        })
    }

    /// Performs a wish to its end and gives the answer.
    pub async fn perform(&mut self, wish: Wish) -> Result<Told, Fault> {
        match self {
            Self::Own(session) => session.perform(wish).await,
            Self::Beside(beside) => beside.ask(&Ask::Wish(wish)).await?.outcome,
        }
    }

    /// A wish whose answer brings a file.
    pub async fn fetch(&mut self, wish: Wish) -> Result<(Told, Vec<u8>), Fault> {
        match self {
            Self::Own(session) => session.fetch(wish).await,
            Self::Beside(beside) => {
                let answer = beside.ask(&Ask::Wish(wish)).await?;
                let none = || Fault::new(Exit::Damaged, "no-answer", "the answer has no file");
                Ok((answer.outcome?, answer.file.ok_or_else(none)?))
            }
        }
    }

    /// Everything that can be done with the server now. Gives the counts.
    pub async fn sync(&mut self) -> Result<Counts, Fault> {
        match self {
            Self::Own(session) => session.sync().await,
            Self::Beside(beside) => counts(beside.ask(&Ask::Sync).await?.outcome?),
        }
    }

    /// The same, as far as it comes within this time.
    pub async fn reach(&mut self, patience: Duration) -> Result<Counts, Fault> {
        match self {
            Self::Own(session) => session.reach(patience).await,
            Self::Beside(beside) => {
                let millis = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
                counts(beside.ask(&Ask::Reach { millis }).await?.outcome?)
            }
        }
    }

    /// Whether this device waits for its person's first one.
    pub fn awaits_certificate(&self) -> bool {
        match self {
            Self::Own(session) => session.awaits_certificate(),
            Self::Beside(beside) => beside.awaits_certificate,
        }
    }

    /// From now on `tell` hears how far moves have come; a home that another holds tells it there.
    pub fn tell_progress(&mut self, tell: impl Fn(&Progress) + Send + 'static) {
        if let Self::Own(session) = self {
            session.tell_progress(tell);
        }
    }
}

impl Beside {
    /// One visit, to its end.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Result<Answer, Fault> {
        let gone = || Fault::new(Exit::Unreachable, "holder-gone", "nobody is at the door");
        let answer = door::visit(&self.dir, &self.key, ask).await.ok_or_else(gone)??;
        self.awaits_certificate = answer.awaits_certificate;
        Ok(answer)
    }
}
