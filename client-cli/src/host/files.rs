//! Files of this machine that a command reads: within a bound, and only what is a file. What is made goes through
//! `stafett-host`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A directory, a pipe, a device: it may have no end.
    #[error("it is not an ordinary file")]
    NoFile,
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
    #[error("it was written while it was read")]
    Changing,
}

/// The whole of an ordinary file.
pub fn read(path: &Path, most: usize) -> Result<Vec<u8>, Unread> {
    // Before it is opened: opening a pipe waits for whoever writes into it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Unread::NoFile);
    }
    let file = File::open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(Unread::NoFile);
    }
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    if before.len() >= bound {
        return Err(Unread::TooLarge(most));
    }
    let mut bytes = Vec::new();
    (&file).take(bound).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(Unread::TooLarge(most));
    }
    let after = file.metadata()?;
    if after.len() != before.len() || after.modified().ok() != before.modified().ok() {
        return Err(Unread::Changing);
    }
    Ok(bytes)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write as _;

    #[test]
    fn what_has_no_end_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("rør.pdf");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let link = dir.path().join("lenke.pdf");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for endless in [pipe.as_path(), Path::new("/dev/zero"), &link, dir.path()] {
            assert!(matches!(read(endless, 10), Err(Unread::NoFile)), "{}", endless.display());
        }
        assert!(matches!(read(&dir.path().join("nei"), 10), Err(Unread::Io(_))));
    }

    #[test]
    fn what_grows_meanwhile_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, [7; 10]).unwrap();
        assert_eq!(read(&path, 10).unwrap().len(), 10);
        assert!(matches!(read(&path, 9), Err(Unread::TooLarge(9))));
        let (stop, growing) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), path.clone());
        let stopped = std::sync::Arc::clone(&stop);
        let writer = std::thread::spawn(move || {
            let mut file = std::fs::OpenOptions::new().append(true).open(growing).unwrap();
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                file.write_all(&[7; 4096]).unwrap();
                if file.metadata().unwrap().len() > 1 << 26 {
                    file.set_len(10).unwrap();
                }
            }
        });
        for _ in 0..50 {
            match read(&path, 1 << 20) {
                Ok(bytes) => assert!(bytes.len() <= 1 << 20),
                Err(refused) => assert!(matches!(refused, Unread::TooLarge(_) | Unread::Changing), "{refused}"),
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap();
    }
}
