//! Backups: the whole server in one file that only its operator can open, and that nobody can alter unnoticed.
//!
//! [`keys`] says who can open one, [`sealed`] how the file is cut into parts that stand in one order only, [`contents`] what
//! is in it. The commands are in [`crate::cli`].

pub mod contents;
pub mod keys;
pub mod sealed;

/// Why a backup is not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("this file is not a backup")]
    NotABackup,
    #[error("the backup does not open: another key or passphrase is needed, or its beginning was changed")]
    Closed,
    #[error("the backup is damaged: {0}; nothing of it was used")]
    Damaged(&'static str),
    #[error("the backup was written by another version of this program")]
    Version,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the backup cannot be sealed")]
    Sealing,
}
