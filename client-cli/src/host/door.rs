//! The door of a home that a process holds: a Unix socket in its folder, through which other processes of the same user are
//! served. One visit is one request and one answer. Why it asks for the home key: docs/decisions/0021.

use std::collections::BTreeMap;
use std::path::Path;

use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use stafett_client_core::answer::Answer as Told;
use stafett_client_core::client::input::{Command as Wish, NewAttachment};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::host::fault::{Exit, Fault};
use crate::host::typed::Typed;

/// What a visitor asks for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// As [`crate::host::open_home::OpenHome::fetch`] and `perform`.
    Wish(Wish),
    /// Everything that can be done with the server now.
    Sync,
    /// The same within this time; what takes longer goes on after the answer.
    Reach { millis: u64 },
    /// A wish by which what was typed at a page is said: it is kept no more, in one transaction with the wish.
    Say { wish: Wish, page: String },
    /// What was typed at a page is kept; nothing in the fields is nothing kept.
    Type { page: String, fields: BTreeMap<String, String> },
    /// How it stands here, and what was typed and not said yet.
    Stand,
    /// The language that its pages speak.
    Speak { language: String },
}

impl Ask {
    /// The file that goes beside the words.
    fn file(&mut self) -> Option<&mut NewAttachment> {
        match self {
            Self::Wish(Wish::Attach { file, .. }) | Self::Say { wish: Wish::Attach { file, .. }, .. } => Some(file),
            _ => None,
        }
    }
}

/// How a home stands that a process holds, for pages that show it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stand {
    /// Another number whenever something has changed.
    pub turn: u64,
    pub online: bool,
    /// How much waits here to be sent.
    pub queued: usize,
    /// Why the server does not speak with this device, where that is a rule's doing.
    pub refused: Option<Fault>,
    /// What was typed and not said yet, by the page or form that it was typed for.
    pub typed: BTreeMap<String, Typed>,
    pub language: Option<String>,
}

/// What comes of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub outcome: Result<Told, Fault>,
    #[serde(skip)]
    pub file: Option<Vec<u8>>,
    /// Whether this device waits for its person's first one.
    pub awaits_certificate: bool,
    /// Where it was asked for.
    pub stand: Option<Stand>,
}

/// A request that waits for its answer: from another process, or from this one's own pages.
pub struct Visit {
    pub ask: Ask,
    answer: oneshot::Sender<Answer>,
}

impl Visit {
    /// One of this process, and where its answer comes.
    pub fn here(ask: Ask) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Self { ask, answer }, answered)
    }

    /// The visitor may have gone.
    pub fn answer(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }
}

/// Shows that one has the home key, and is worth nothing for anything else.
pub struct DoorKey(Zeroizing<[u8; 32]>);

impl DoorKey {
    /// Of a home that is open.
    pub fn of(home_key: &[u8; 32]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&mac(home_key, b"stafett door").finalize().into_bytes());
        Self(key)
    }

    /// The same, for whoever shows it over and over.
    pub fn copy(&self) -> Self {
        Self(self.0.clone())
    }

    fn proof(&self, nonce: &[u8]) -> Hmac<Sha256> {
        mac(&self.0, nonce)
    }
}

fn mac(key: &[u8; 32], text: &[u8]) -> Hmac<Sha256> {
    // A key of any length does, so this never falls back to the empty one.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(text);
    mac
}

/// A file of this name stands in every home that is held.
pub const SOCKET: &str = "door";

#[cfg(unix)]
pub use unix::{Door, is_open, visit};

#[cfg(unix)]
mod unix {
    use super::*;
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use stafett_protocol::limits::ATTACHMENT_BYTES;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::sync::{Semaphore, mpsc};
    use tokio::time::timeout;

    /// A name longer than this does not fit in a socket's address (108 bytes on Linux, 104 elsewhere).
    const ADDRESS_BYTES: usize = 100;
    /// A wish in words: every text in it has its own limit, far below.
    const ASK_BYTES: usize = 1024 * 1024;
    /// An answer in words: the export of a log is the longest.
    const ANSWER_BYTES: usize = 1 << 30;
    /// Who says nothing has left.
    const SPEECH: Duration = Duration::from_secs(10);
    /// Visitors at one time; more wait outside.
    const VISITORS: usize = 8;

    /// The socket's address, and what must stay open for it to hold.
    struct Place {
        address: PathBuf,
        _folder: Option<File>,
    }

    /// A folder whose path is too long is named by a handle on it, where the system can.
    fn place(dir: &Path) -> io::Result<Place> {
        let path = dir.join(SOCKET);
        if path.as_os_str().len() <= ADDRESS_BYTES {
            return Ok(Place { address: path, _folder: None });
        }
        if !cfg!(target_os = "linux") {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the home's path is too long for a socket"));
        }
        let folder = File::open(dir)?;
        let address = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()));
        Ok(Place { address, _folder: Some(folder) })
    }

    /// The door, open as long as this lives.
    pub struct Door {
        asked: mpsc::Receiver<Visit>,
        path: PathBuf,
        listening: tokio::task::JoinHandle<()>,
    }

    impl Door {
        /// Opens it. Whoever holds the home's lock may: a socket that is there was left by a process that is gone.
        pub fn open(dir: &Path, key: DoorKey) -> io::Result<Self> {
            let path = dir.join(SOCKET);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let place = place(dir)?;
            let listener = UnixListener::bind(&place.address)?;
            // The umask has kept others out since it was made.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            let (asks, asked) = mpsc::channel(VISITORS);
            let listening = tokio::spawn(listen(listener, Arc::new(key), asks));
            Ok(Self { asked, path, listening })
        }

        /// The next who asks for something.
        pub async fn next(&mut self) -> Option<Visit> {
            self.asked.recv().await
        }
    }

    impl Drop for Door {
        fn drop(&mut self) {
            self.listening.abort();
            // What stays there is taken for what it is by the next.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    async fn listen(listener: UnixListener, key: Arc<DoorKey>, asks: mpsc::Sender<Visit>) {
        let room = Arc::new(Semaphore::new(VISITORS));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                // Out of handles, most likely: others will be closed.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (key, asks) = (Arc::clone(&key), asks.clone());
            tokio::spawn(async move {
                // Whoever breaks off harms nobody.
                let _ = receive(stream, &key, &asks).await;
                drop(place);
            });
        }
    }

    /// One visit: who it is, whether the home is open to them, what they ask.
    async fn receive(mut stream: UnixStream, key: &DoorKey, asks: &mpsc::Sender<Visit>) -> io::Result<()> {
        is_us(&stream)?;
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        let asked = async {
            stream.write_all(&nonce).await?;
            let mut proof = [0; 32];
            stream.read_exact(&mut proof).await?;
            key.proof(&nonce).verify_slice(&proof).map_err(|_| io::ErrorKind::PermissionDenied)?;
            let (head, file) = hear(&mut stream, ASK_BYTES).await?;
            Ok::<_, io::Error>((serde_json::from_slice::<Ask>(&head)?, file))
        };
        let (mut ask, file) = timeout(SPEECH, asked).await.map_err(|_| io::ErrorKind::TimedOut)??;
        if let (Some(place), Some(bytes)) = (ask.file(), file) {
            place.bytes = bytes;
        }
        let (visit, answered) = Visit::here(ask);
        asks.send(visit).await.map_err(io::Error::other)?;
        let answer = answered.await.map_err(io::Error::other)?;
        let head = serde_json::to_vec(&answer)?;
        timeout(SPEECH, tell(&mut stream, &head, answer.file.as_deref())).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Whether anybody is there. The socket of a process that was killed refuses.
    pub async fn is_open(dir: &Path) -> bool {
        let Ok(place) = place(dir) else { return false };
        UnixStream::connect(&place.address).await.is_ok_and(|stream| is_us(&stream).is_ok())
    }

    /// The other way: asks whoever holds the home; `None` where nobody answers at its door.
    pub async fn visit(dir: &Path, key: &DoorKey, ask: &Ask) -> Option<Result<Answer, Fault>> {
        let place = place(dir).ok()?;
        let mut stream = UnixStream::connect(&place.address).await.ok()?;
        is_us(&stream).ok()?;
        Some(speak(&mut stream, key, ask).await.map_err(|error| Fault::new(Exit::Unreachable, "holder-gone", error)))
    }

    async fn speak(stream: &mut UnixStream, key: &DoorKey, ask: &Ask) -> io::Result<Answer> {
        let mut nonce = [0; 32];
        stream.read_exact(&mut nonce).await?;
        stream.write_all(&key.proof(&nonce).finalize().into_bytes()).await?;
        let file = match ask {
            Ask::Wish(Wish::Attach { file, .. }) | Ask::Say { wish: Wish::Attach { file, .. }, .. } => {
                Some(file.bytes.as_slice())
            }
            _ => None,
        };
        tell(stream, &serde_json::to_vec(ask)?, file).await?;
        let (head, file) = hear(stream, ANSWER_BYTES).await?;
        Ok(Answer { file, ..serde_json::from_slice(&head)? })
    }

    fn is_us(stream: &UnixStream) -> io::Result<()> {
        if stafett_host::is_us(stream.peer_cred()?.uid()) {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    /// Two lengths, the words, and the file that they are about, if any.
    async fn tell(stream: &mut UnixStream, head: &[u8], file: Option<&[u8]>) -> io::Result<()> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
        stream.write_all(&length(head)?.to_be_bytes()).await?;
        // One more than its length: an empty file is not none.
        let after = file.map(length).transpose()?.map_or(0, |length| length.saturating_add(1));
        stream.write_all(&after.to_be_bytes()).await?;
        stream.write_all(head).await?;
        stream.write_all(file.unwrap_or_default()).await?;
        stream.flush().await
    }

    async fn hear(stream: &mut UnixStream, most: usize) -> io::Result<(Vec<u8>, Option<Vec<u8>>)> {
        let (head, after) = (stream.read_u32().await? as usize, stream.read_u32().await? as usize);
        if head > most || after > ATTACHMENT_BYTES + 1 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let words = exactly(stream, head).await?;
        let file = if after > 0 { Some(exactly(stream, after - 1).await?) } else { None };
        Ok((words, file))
    }

    /// Room is made as the bytes come, not as they are promised.
    async fn exactly(stream: &mut UnixStream, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        stream.take(length as u64).read_to_end(&mut bytes).await?;
        if bytes.len() == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Elsewhere there is no such door: who comes second waits for the lock.
#[cfg(not(unix))]
pub async fn is_open(_: &Path) -> bool {
    false
}

#[cfg(not(unix))]
pub async fn visit(_: &Path, _: &DoorKey, _: &Ask) -> Option<Result<Answer, Fault>> {
    None
}

/// Elsewhere it never opens.
#[cfg(not(unix))]
pub struct Door;

#[cfg(not(unix))]
impl Door {
    pub fn open(_: &Path, _: DoorKey) -> std::io::Result<Self> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    pub async fn next(&mut self) -> Option<Visit> {
        None
    }
}
