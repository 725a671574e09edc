//! What goes through TLS, written down in clear for whoever wants to search it. Only `demo` and tests ask for it, by
//! `--record FILE`; it holds what the server sees anyway, and nothing that stays on the device.
//!
//! It is taken above WebSocket masking (masked bytes would hide any leak from a search).

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;

/// Which way the bytes went.
#[derive(Clone, Copy)]
pub enum Direction {
    /// To the server.
    Sent,
    /// From the server.
    Received,
}

/// A file that takes everything, or nothing at all.
#[derive(Default)]
pub struct Recording {
    file: Option<Mutex<File>>,
}

impl Recording {
    /// Records nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Appends to `path`, which is new or ours alone.
    pub fn to(path: &Path) -> io::Result<Self> {
        let file = stafett_host::append_own(path)?;
        Ok(Self { file: Some(Mutex::new(file)) })
    }

    /// Writes one piece down, whole and without breaks, so that a search cannot miss what spans two lines.
    pub fn note(&self, direction: Direction, bytes: &[u8]) {
        let Some(file) = &self.file else { return };
        let Ok(mut file) = file.lock() else { return };
        let arrow: &[u8] = match direction {
            Direction::Sent => b"\n>> ",
            Direction::Received => b"\n<< ",
        };
        // A recording that fails must not stop the client; the demo notices, since its planted marker is then missing.
        let _ = file.write_all(arrow).and_then(|()| file.write_all(bytes));
    }
}
