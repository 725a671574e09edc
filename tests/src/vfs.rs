//! SQLite's door to the disk, with us in the doorway. The only `unsafe` of the project.
//!
//! Why unsafe: SQLite tells of its writes and syncs only through the C interface of a VFS, and no safe crate wraps the
//! library that sqlx links. Why so little of it: our VFS is a copy of the platform's own one. A file is opened by the
//! original; for a file in a watched folder five of its methods are replaced by ours, which first ask a [`Disk`] and then
//! call the original. Our own words about a file lie right behind the original's in the memory that SQLite reserves for
//! it (`szOsFile`), so all other methods get the very pointer they expect.
//!
//! Syncs of watched files never reach the real disk: what would be durable is for the [`Disk`] to say.
#![allow(unsafe_code, reason = "the C interface of SQLite, see above")]

use libsqlite3_sys as ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What SQLite is about to do to a file.
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    Write {
        at: u64,
        bytes: &'a [u8],
    },
    Truncate(u64),
    Sync,
    /// `synced`: the folder is synced with it.
    Delete {
        synced: bool,
    },
}

/// What the disk answers instead of doing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// EIO
    Broken,
    /// ENOSPC
    Full,
}

/// Who decides about the files of a folder. Called in the order of SQLite's calls.
pub trait Disk: Send + Sync {
    fn step(&self, file: &str, op: Op<'_>) -> Result<(), Failure>;

    /// Another value for a `PRAGMA`, no longer than the one that was asked for.
    fn pragma(&self, _name: &str, _value: &str) -> Option<&'static str> {
        None
    }
}

type Watch = (PathBuf, Arc<dyn Disk>);

static WATCHES: Mutex<Vec<Watch>> = Mutex::new(Vec::new());

/// The platform's VFS, of which ours is a copy.
struct Original {
    vfs: *mut ffi::sqlite3_vfs,
    file_bytes: usize,
}

// SAFETY: SQLite's default VFS is made for use from any thread, and is never freed.
unsafe impl Send for Original {}
// SAFETY: as above.
unsafe impl Sync for Original {}

static ORIGINAL: OnceLock<Original> = OnceLock::new();

/// Our words about an open, watched file.
#[repr(C)]
struct Watched {
    /// The file's methods: the original's, five of them ours.
    methods: ffi::sqlite3_io_methods,
    original: *const ffi::sqlite3_io_methods,
    /// Owned; freed when the file is closed.
    place: *mut Place,
}

struct Place {
    name: String,
    disk: Arc<dyn Disk>,
}

/// From now on `disk` hears of every step in this folder. For databases that are opened after this.
pub fn watch(dir: &Path, disk: Arc<dyn Disk>) {
    install();
    let dir = dir.canonicalize().expect("the folder is there");
    let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    watches.retain(|(watched, _)| *watched != dir);
    watches.push((dir, disk));
}

fn install() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // SAFETY: plain calls of SQLite; what is registered lives for ever (leaked on purpose).
        unsafe {
            assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
            let vfs = ffi::sqlite3_vfs_find(std::ptr::null());
            assert!(!vfs.is_null());
            // Our words start at a multiple of 16, whatever the original needs.
            let file_bytes = ((*vfs).szOsFile as usize).next_multiple_of(16);
            assert!(ORIGINAL.set(Original { vfs, file_bytes }).is_ok());
            let ours = Box::leak(Box::new(*vfs));
            ours.szOsFile = (file_bytes + size_of::<Watched>()) as c_int;
            ours.zName = c"stafett-test".as_ptr();
            ours.pNext = std::ptr::null_mut();
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            assert_eq!(ffi::sqlite3_vfs_register(ours, 1), ffi::SQLITE_OK);
        }
    });
}

fn original() -> &'static Original {
    ORIGINAL.get().expect("installed before it is called")
}

/// Who watches this path, and the file's name there.
fn place_of(path: *const c_char) -> Option<Place> {
    if path.is_null() {
        return None;
    }
    // SAFETY: SQLite hands over a string that ends in zero and lives during the call.
    let path = Path::new(unsafe { CStr::from_ptr(path) }.to_str().ok()?);
    let watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    let (dir, disk) = watches.iter().find(|(dir, _)| path.parent() == Some(dir))?;
    let name = path.strip_prefix(dir).ok()?.to_str()?.to_owned();
    Some(Place { name, disk: Arc::clone(disk) })
}

/// SAFETY of all that follows: SQLite calls these as its documentation says, with pointers that are good for the call; a
/// watched file's memory was laid out by [`open`].
unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let orig = original();
    // SAFETY: see above.
    unsafe {
        let Some(open) = (*orig.vfs).xOpen else { return ffi::SQLITE_CANTOPEN };
        let code = open(orig.vfs, name, file, flags, out);
        if code != ffi::SQLITE_OK || (*file).pMethods.is_null() {
            return code;
        }
        if let Some(place) = place_of(name) {
            let watched = watched(file);
            let methods = (*file).pMethods;
            let mut ours = *methods;
            // Without memory maps: everything goes through reads and writes.
            ours.iVersion = ours.iVersion.min(2);
            ours.xClose = Some(close);
            ours.xWrite = Some(write);
            ours.xTruncate = Some(truncate);
            ours.xSync = Some(sync);
            ours.xFileControl = Some(control);
            watched.write(Watched { methods: ours, original: methods, place: Box::into_raw(Box::new(place)) });
            (*file).pMethods = &raw const (*watched).methods;
        }
        code
    }
}

unsafe fn watched(file: *mut ffi::sqlite3_file) -> *mut Watched {
    // SAFETY: `szOsFile` leaves room for it behind the original's file.
    unsafe { file.cast::<u8>().add(original().file_bytes).cast::<Watched>() }
}

/// Asks the disk about a step of this file.
unsafe fn ask(file: *mut ffi::sqlite3_file, op: Op<'_>) -> Result<&'static ffi::sqlite3_io_methods, c_int> {
    // SAFETY: only watched files have methods that come here; the original's methods are static.
    unsafe {
        let watched = &*watched(file);
        let place = &*watched.place;
        place.disk.step(&place.name, op).map_err(|failure| code_of(failure, op))?;
        Ok(&*watched.original)
    }
}

fn code_of(failure: Failure, op: Op<'_>) -> c_int {
    match (failure, op) {
        (Failure::Full, _) => ffi::SQLITE_FULL,
        (Failure::Broken, Op::Write { .. }) => ffi::SQLITE_IOERR_WRITE,
        (Failure::Broken, Op::Truncate(_)) => ffi::SQLITE_IOERR_TRUNCATE,
        (Failure::Broken, Op::Sync) => ffi::SQLITE_IOERR_FSYNC,
        (Failure::Broken, Op::Delete { .. }) => ffi::SQLITE_IOERR_DELETE,
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: see `open`. The original closes a file that looks as it left it.
    unsafe {
        let watched = watched(file).read();
        drop(Box::from_raw(watched.place));
        (*file).pMethods = watched.original;
        match (*watched.original).xClose {
            Some(close) => close(file),
            None => ffi::SQLITE_OK,
        }
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, bytes: c_int, at: i64) -> c_int {
    // SAFETY: see `open`; `from` holds that many bytes.
    unsafe {
        let slice = std::slice::from_raw_parts(from.cast::<u8>(), bytes as usize);
        match ask(file, Op::Write { at: at as u64, bytes: slice }) {
            Ok(original) => original.xWrite.map_or(ffi::SQLITE_MISUSE, |write| write(file, from, bytes, at)),
            Err(code) => code,
        }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: see `open`.
    unsafe {
        match ask(file, Op::Truncate(size as u64)) {
            Ok(original) => original.xTruncate.map_or(ffi::SQLITE_MISUSE, |truncate| truncate(file, size)),
            Err(code) => code,
        }
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: see `open`.
    unsafe { ask(file, Op::Sync).map_or_else(|code| code, |_| ffi::SQLITE_OK) }
}

unsafe extern "C" fn control(file: *mut ffi::sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: see `open`; for a pragma the argument is SQLite's own array of three strings, the last of them its copy of
    // the value, which we may shorten in place.
    unsafe {
        let watched = &*watched(file);
        if op == ffi::SQLITE_FCNTL_PRAGMA {
            let words = argument.cast::<*mut c_char>();
            let (name, value) = (*words.add(1), *words.add(2));
            if !name.is_null() && !value.is_null() {
                let (name, old) = (CStr::from_ptr(name).to_str(), CStr::from_ptr(value).to_str());
                if let (Ok(name), Ok(old)) = (name, old)
                    && let Some(new) = (*watched.place).disk.pragma(name, old)
                {
                    assert!(new.len() <= old.len(), "there is no room for a longer value");
                    value.copy_from_nonoverlapping(new.as_ptr().cast(), new.len());
                    *value.add(new.len()) = 0;
                }
            }
        }
        match (*watched.original).xFileControl {
            Some(control) => control(file, op, argument),
            None => ffi::SQLITE_NOTFOUND,
        }
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    let orig = original();
    if let Some(place) = place_of(name) {
        let op = Op::Delete { synced: sync_folder != 0 };
        if let Err(failure) = place.disk.step(&place.name, op) {
            return code_of(failure, op);
        }
    }
    // SAFETY: see `open`.
    unsafe { (*orig.vfs).xDelete.map_or(ffi::SQLITE_OK, |delete| delete(orig.vfs, name, 0)) }
}
