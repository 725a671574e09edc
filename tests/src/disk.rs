//! A disk that remembers every write and sync, and can show what would be left of it had the power gone at any of them;
//! and one that breaks or fills up.

use crate::vfs::{Disk, Failure, Op};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use std::collections::{BTreeMap, HashSet};
use std::iter::StepBy;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One step as it was taken.
#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    Truncate(u64),
    Sync,
    Delete { synced: bool },
}

impl Step {
    fn of(op: Op<'_>) -> Self {
        match op {
            Op::Write { at, bytes } => Self::Write(at, bytes.to_vec()),
            Op::Truncate(size) => Self::Truncate(size),
            Op::Sync => Self::Sync,
            Op::Delete { synced } => Self::Delete { synced },
        }
    }
}

enum Entry {
    Step(String, Step),
    /// The program has told somebody that this much is done.
    Acknowledged,
}

/// Remembers.
#[derive(Default)]
pub struct Recording {
    tape: Mutex<Vec<Entry>>,
    /// What lay on the disk before the first step.
    base: BTreeMap<String, Vec<u8>>,
    /// What `PRAGMA synchronous` is set to whatever is asked for: the sabotage that must be noticed.
    synchronous: Option<&'static str>,
}

impl Disk for Recording {
    fn step(&self, file: &str, op: Op<'_>) -> Result<(), Failure> {
        self.tape().push(Entry::Step(file.to_owned(), Step::of(op)));
        Ok(())
    }

    fn pragma(&self, name: &str, _value: &str) -> Option<&'static str> {
        self.synchronous.filter(|_| name.eq_ignore_ascii_case("synchronous"))
    }
}

/// One folder of several that one tape is kept of: a file's name begins with the folder's.
pub struct Folder {
    pub name: &'static str,
    pub tape: std::sync::Arc<Recording>,
}

impl Disk for Folder {
    fn step(&self, file: &str, op: Op<'_>) -> Result<(), Failure> {
        self.tape.step(&format!("{}/{file}", self.name), op)
    }
}

/// What is left of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Everything written so far: the process died, the machine did not.
    Clean,
    /// Nothing that was not synced.
    Lost,
    /// Everything, and half of the write under way.
    Torn,
    /// Any part of it, in any order.
    Some,
}

pub const MODES: [Mode; 4] = [Mode::Clean, Mode::Lost, Mode::Torn, Mode::Some];

/// What a crash leaves.
pub struct Crash<'a> {
    /// Before this step.
    pub at: usize,
    pub mode: Mode,
    /// How much had been acknowledged.
    pub acknowledged: usize,
    files: Vec<(&'a str, Vec<u8>)>,
}

impl Crash<'_> {
    /// Lays the files out in an empty folder.
    pub fn lay_out(&self, dir: &Path) {
        for (name, bytes) in &self.files {
            std::fs::write(dir.join(name), bytes).unwrap();
        }
    }
}

#[derive(Default)]
struct File<'a> {
    live: Option<Vec<u8>>,
    durable: Option<Vec<u8>>,
    pending: Vec<&'a Step>,
}

impl Recording {
    /// A disk under a database that was told another `PRAGMA synchronous`.
    pub fn under(synchronous: Option<&'static str>) -> Self {
        Self { synchronous, ..Self::default() }
    }

    /// A disk with files on it.
    pub fn onto(base: BTreeMap<String, Vec<u8>>) -> Self {
        Self { base, ..Self::default() }
    }

    fn tape(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the last piece of work has been acknowledged.
    pub fn acknowledge(&self) {
        self.tape().push(Entry::Acknowledged);
    }

    /// How many writes, truncations, deletions and syncs there were, and how many of them were syncs.
    pub fn steps(&self) -> (usize, usize) {
        let tape = self.tape();
        let steps = tape.iter().filter(|e| matches!(e, Entry::Step(..))).count();
        (steps, tape.iter().filter(|e| matches!(e, Entry::Step(_, Step::Sync))).count())
    }

    /// Shows the different states that a crash at any step can leave, in these modes; where several crashes leave the
    /// same bytes, the one after the most acknowledgements. Those that [`chosen`] picks are shown. Answers how many there
    /// are.
    pub fn crashes(&self, modes: &[Mode], some: usize, mut show: impl FnMut(Crash<'_>)) -> usize {
        let tape = self.tape();
        let all = states(&tape, modes);
        let shown: HashSet<(usize, Mode)> = chosen(all.len(), some).filter_map(|n| all.get(n)).copied().collect();
        replay(&self.base, &tape, &shown, &mut show);
        all.len()
    }
}

/// Which of `all` cases are tried: about `some`, evenly spread. The environment may ask for more: `STAFETT_CRASH=all`, or
/// `STAFETT_CRASH=3/40`, the third of forty parts that together are all.
pub fn chosen(all: usize, some: usize) -> StepBy<Range<usize>> {
    let (part, parts) = asked_for().unwrap_or((1, all.div_ceil(some).max(1)));
    (part - 1..all).step_by(parts)
}

/// The part that the environment asks for, and of how many.
pub fn asked_for() -> Option<(usize, usize)> {
    let asked = std::env::var("STAFETT_CRASH").ok()?;
    if asked == "all" {
        return Some((1, 1));
    }
    let part = asked.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    let part = part.filter(|(k, n)| (1..=*n).contains(k));
    Some(part.unwrap_or_else(|| panic!("STAFETT_CRASH={asked} is neither `all` nor a part like 3/40")))
}

/// The last moment of each state that differs from all others.
fn states(tape: &[Entry], modes: &[Mode]) -> Vec<(usize, Mode)> {
    let mut last: BTreeMap<(Mode, usize), usize> = BTreeMap::new();
    let (mut at, mut written, mut durable, mut pending) = (0, 0, 0, false);
    for entry in tape.iter().chain([&END]) {
        let Entry::Step(_, step) = entry else { continue };
        for mode in modes {
            let state = match mode {
                Mode::Clean => (Mode::Clean, written),
                Mode::Some if pending => (Mode::Some, at),
                Mode::Lost | Mode::Some => (Mode::Lost, durable),
                Mode::Torn if matches!(step, Step::Write(..)) => (Mode::Torn, at),
                Mode::Torn => continue,
            };
            last.insert(state, at);
        }
        match step {
            Step::Sync | Step::Delete { synced: true } => (durable, pending) = (at, false),
            _ => (written, pending) = (at, true),
        }
        at += 1;
    }
    let mut all: Vec<(usize, Mode)> = last.into_iter().map(|((mode, _), at)| (at, mode)).collect();
    all.sort_unstable();
    all
}

/// Stands for the moment after the last step.
static END: Entry = Entry::Step(String::new(), Step::Sync);

fn replay<'a>(
    base: &'a BTreeMap<String, Vec<u8>>,
    tape: &'a [Entry],
    chosen: &HashSet<(usize, Mode)>,
    show: &mut impl FnMut(Crash<'a>),
) {
    let there = |bytes: &Vec<u8>| File { live: Some(bytes.clone()), durable: Some(bytes.clone()), pending: vec![] };
    let mut files: BTreeMap<&str, File<'_>> = base.iter().map(|(name, bytes)| (name.as_str(), there(bytes))).collect();
    let (mut at, mut acknowledged) = (0, 0);
    for entry in tape.iter().chain([&END]) {
        let Entry::Step(name, step) = entry else {
            acknowledged += 1;
            continue;
        };
        for mode in MODES.into_iter().filter(|mode| chosen.contains(&(at, *mode))) {
            let mut rng = ChaCha20Rng::seed_from_u64(at as u64);
            let left = |(file, content): (&&'a str, &File<'_>)| {
                let under_way = (*file == name).then_some(step);
                left_of(content, mode, under_way, &mut rng).map(|bytes| (*file, bytes))
            };
            let files = files.iter().filter_map(left).collect();
            show(Crash { at, mode, acknowledged, files });
        }
        if !name.is_empty() {
            take(&mut files, name, step);
        }
        at += 1;
    }
}

fn take<'a>(files: &mut BTreeMap<&'a str, File<'a>>, name: &'a str, step: &'a Step) {
    // With the first sync of a journal SQLite syncs the folder: what was deleted before stays deleted.
    let journal = name.ends_with("-wal") || name.ends_with("-journal");
    if journal && matches!(step, Step::Sync) {
        files
            .values_mut()
            .filter(|file| file.live.is_none())
            .for_each(|file| file.take(&Step::Delete { synced: true }));
    }
    files.entry(name).or_default().take(step);
}

fn left_of(file: &File<'_>, mode: Mode, under_way: Option<&Step>, rng: &mut ChaCha20Rng) -> Option<Vec<u8>> {
    match mode {
        Mode::Clean => file.live.clone(),
        Mode::Lost => file.durable.clone(),
        Mode::Torn => {
            let mut live = file.live.clone();
            if let Some(Step::Write(at, bytes)) = under_way {
                let kept = rng.next_u64() as usize % bytes.len().max(1);
                apply(&mut live, &Step::Write(*at, bytes[..kept].to_vec()));
            }
            live
        }
        Mode::Some => {
            let mut left = file.durable.clone();
            for step in file.pending.iter().filter(|_| rng.next_u32().is_multiple_of(2)) {
                apply(&mut left, step);
            }
            left
        }
    }
}

impl<'a> File<'a> {
    fn take(&mut self, step: &'a Step) {
        apply(&mut self.live, step);
        match step {
            Step::Sync | Step::Delete { synced: true } => {
                self.durable.clone_from(&self.live);
                self.pending.clear();
            }
            _ => self.pending.push(step),
        }
    }
}

fn apply(content: &mut Option<Vec<u8>>, step: &Step) {
    match step {
        Step::Write(at, bytes) => {
            let (content, at) = (content.get_or_insert_default(), *at as usize);
            content.resize(content.len().max(at + bytes.len()), 0);
            content[at..at + bytes.len()].copy_from_slice(bytes);
        }
        Step::Truncate(size) => content.get_or_insert_default().resize(*size as usize, 0),
        Step::Sync => {}
        Step::Delete { .. } => *content = None,
    }
}

/// Fails from the n-th step of one kind on, until it is mended.
pub struct Failing {
    failure: Failure,
    syncs: bool,
    left: Mutex<Option<usize>>,
    hit: Mutex<usize>,
}

impl Failing {
    /// The n-th write and all after it fail; the first is 0.
    pub fn writes(failure: Failure, from: usize) -> Self {
        Self { failure, syncs: false, left: Mutex::new(Some(from)), hit: Mutex::new(0) }
    }

    /// The n-th sync and all after it fail.
    pub fn syncs(from: usize) -> Self {
        Self { failure: Failure::Broken, syncs: true, left: Mutex::new(Some(from)), hit: Mutex::new(0) }
    }

    /// There is room again; answers how many steps had failed.
    pub fn mend(&self) -> usize {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.hit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for Failing {
    fn step(&self, _file: &str, op: Op<'_>) -> Result<(), Failure> {
        let counts = match op {
            Op::Write { .. } => !self.syncs,
            Op::Sync => self.syncs,
            Op::Truncate(_) | Op::Delete { .. } => false,
        };
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        match left.as_mut().filter(|_| counts) {
            None => Ok(()),
            Some(0) => {
                *self.hit.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                Err(self.failure)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}
