//! Files. A name is never believed: somebody else may have put a file, a link or a pipe there first.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that gets its name once it is whole, and only if nothing has that name. Dropped before, it leaves nothing.
pub struct NewFile {
    draft: NamedTempFile,
    path: PathBuf,
}

impl NewFile {
    /// Begins a file for its owner alone (0600), under a name that nobody can guess, beside the place where it shall be.
    pub fn at(path: &Path) -> io::Result<Self> {
        // Asked now as well: a long work must not be done for nothing. A link counts as there, wherever it leads.
        if std::fs::symlink_metadata(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something of this name already"));
        }
        Ok(Self { draft: draft_beside(path)?, path: path.to_owned() })
    }

    /// Gives the file its name. What came there meanwhile stays, and this fails.
    pub fn finish(self) -> io::Result<()> {
        self.draft.as_file().sync_all()?;
        self.draft.persist_noclobber(&self.path).map_err(|error| error.error)?;
        sync_folder(&self.path)
    }

    /// What has been written so far, to be read again.
    pub fn reopen(&self) -> io::Result<File> {
        self.draft.reopen()
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.draft.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}

/// A whole new file; nothing is written over, no link is followed, nobody else may read it.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::at(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// A whole file in the place of an own one, in an own directory; a link there is replaced, not followed.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = draft_beside(path)?;
    draft.write_all(bytes)?;
    draft.as_file().sync_all()?;
    draft.persist(path).map_err(|error| error.error)?;
    sync_folder(path)
}

/// A file to write on at its end: new, or one that is ours alone.
pub fn append_own(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).custom_flags(unix::NO_LINKS_NO_WAITING);
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    unix::only_ours(&file)?;
    Ok(file)
}

/// A file of our own to read and write, made for us alone if it is not there: no link, and not somebody else's.
pub fn own_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).custom_flags(unix::NO_LINKS_NO_WAITING);
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    unix::made_by_us(&file)?;
    Ok(file)
}

/// A file that somebody named, read whole: a regular one, and of `most` bytes at most, or an error. A pipe or a device
/// could keep us reading for ever.
pub fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why.to_owned());
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // A pipe without a writer would keep `open` itself waiting.
        options.custom_flags(unix::NO_WAITING);
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(wrong("this is not an ordinary file"));
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(wrong("this file is too large")) } else { Ok(bytes) }
}

/// What is left for us on the file system of a path.
#[cfg(unix)]
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Not known here: never too little.
#[cfg(not(unix))]
pub fn free_bytes(_: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn draft_beside(path: &Path) -> io::Result<NamedTempFile> {
    // Made with O_EXCL, a random name and 0600.
    tempfile::Builder::new().prefix(".").suffix(".part").tempfile_in(folder(path))
}

/// A name is on disk when its directory is.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder(path))?.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
mod unix {
    use std::fs::{File, Metadata};
    use std::io;
    use std::os::unix::fs::MetadataExt as _;

    use rustix::fs::OFlags;

    pub const NO_WAITING: i32 = OFlags::NONBLOCK.bits().cast_signed();
    pub const NO_LINKS_NO_WAITING: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();

    /// Whoever made the file, or may write it, chose what is in it and who reads on.
    pub fn only_ours(file: &File) -> io::Result<()> {
        let found = file.metadata()?;
        refused_unless(is_ours(&found) && found.mode() & 0o077 == 0 && found.nlink() == 1)
    }

    /// For what lies in a directory of its own, and is sealed or checked besides.
    pub fn made_by_us(file: &File) -> io::Result<()> {
        refused_unless(is_ours(&file.metadata()?))
    }

    /// Root may work in the home of somebody else.
    fn is_ours(found: &Metadata) -> bool {
        let me = rustix::process::geteuid();
        found.is_file() && (found.uid() == me.as_raw() || me.is_root())
    }

    fn refused_unless(ours: bool) -> io::Result<()> {
        let why = "this file is somebody else's, or open to others";
        if ours { Ok(()) } else { Err(io::Error::new(io::ErrorKind::PermissionDenied, why)) }
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_its_owners_and_never_written_through_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("file"), dir.path().join("other"));
        write_new(&file, b"whole").unwrap();
        assert_eq!((mode(&file), std::fs::read(&file).unwrap().as_slice()), (0o600, &b"whole"[..]));
        assert_eq!(write_new(&file, b"again").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        // Links, also those that lead nowhere yet.
        symlink(&other, dir.path().join("link")).unwrap();
        assert!(write_new(&dir.path().join("link"), b"x").is_err() && !other.exists());
        assert!(append_own(&dir.path().join("link")).is_err() && !other.exists());
        // What comes between beginning and end stays, and no draft is left.
        let late = NewFile::at(&other).unwrap();
        std::fs::write(&other, b"theirs").unwrap();
        assert!(late.finish().is_err());
        assert_eq!(std::fs::read(&other).unwrap(), b"theirs");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_of_ones_own_takes_the_place_of_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (theirs, ours) = (dir.path().join("theirs"), dir.path().join("ours"));
        std::fs::write(&theirs, b"old").unwrap();
        symlink(&theirs, &ours).unwrap();
        replace(&ours, b"key").unwrap();
        assert_eq!(std::fs::read(&theirs).unwrap(), b"old");
        assert_eq!((mode(&ours), std::fs::read(&ours).unwrap().as_slice()), (0o600, &b"key"[..]));
    }

    #[test]
    fn one_writes_on_in_ones_own_file_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        append_own(&file).unwrap().write_all(b"a").unwrap();
        append_own(&file).unwrap().write_all(b"b").unwrap();
        assert_eq!((mode(&file), std::fs::read(&file).unwrap().as_slice()), (0o600, &b"ab"[..]));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(append_own(&file).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(append_own(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn what_never_ends_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"12345").unwrap();
        assert_eq!(read_bounded(&file, 5).unwrap(), b"12345");
        assert!(read_bounded(&file, 4).is_err());
        assert!(read_bounded(Path::new("/dev/zero"), 1 << 20).is_err());
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(read_bounded(&pipe, 5).is_err(), "and does not wait for a writer");
    }
}
