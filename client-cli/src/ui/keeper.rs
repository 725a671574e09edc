//! The homes whose pages this process shows, each locked or open. An open one is held here, as by `sync --watch`, or served by
//! the process that holds it already.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use crate::host::callers::{Callers, Pages};
use crate::host::desk;
use crate::host::door::{self, Answer, Ask, Door, DoorKey, Visit};
use crate::host::fault::{Exit, Fault};
use crate::host::home::{Folder, Home};
use crate::host::open_home::OpenHome;
use crate::host::recording::Recording;
use crate::host::serving;

type Key = Zeroizing<[u8; 32]>;

/// Requests of pages that wait for the home.
const WAITING: usize = 32;
/// How often a home that another process holds is asked whether something has changed.
const LOOK: Duration = Duration::from_secs(1);

/// The way to an open home.
#[derive(Clone)]
pub enum Way {
    Here(mpsc::Sender<Visit>),
    /// Another process holds it.
    Beside(PathBuf, Arc<DoorKey>),
}

impl Way {
    /// Asks, and waits for the answer.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, Fault> {
        let gone = || Fault::new(Exit::Unreachable, "holder-gone", "nobody is at the door");
        match self {
            Self::Here(asks) => {
                let (visit, answered) = Visit::here(ask);
                asks.send(visit).await.map_err(|_| gone())?;
                answered.await.map_err(|_| gone())
            }
            Self::Beside(dir, key) => door::visit(dir, key, &ask).await.ok_or_else(gone)?,
        }
    }
}

/// What is known of a home while this process runs.
struct Known {
    dir: PathBuf,
    way: Option<Way>,
    /// Whatever of it is told to nobody: the home goes when it closes.
    in_vain: Arc<AtomicBool>,
    /// Counts what changes, for pages that are open; over locks, too.
    turn: watch::Sender<u64>,
    /// When its person did something last.
    used: tokio::time::Instant,
}

/// How a home is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nobody has come in here yet.
    Nobody,
    Locked,
    Open,
}

struct Order {
    dir: PathBuf,
    key: Key,
    begins: Option<Home>,
    turn: watch::Sender<u64>,
    in_vain: Arc<AtomicBool>,
    answer: oneshot::Sender<Result<Way, Fault>>,
    /// Hears that it closed by itself.
    closed: oneshot::Sender<()>,
}

/// All homes, for whoever answers requests.
#[derive(Clone)]
pub struct Keeper {
    known: Arc<Mutex<Vec<Known>>>,
    orders: mpsc::UnboundedSender<Order>,
}

/// Opens what it is asked to, on the one thread on which homes live.
pub struct Holding(mpsc::UnboundedReceiver<Order>);

impl Holding {
    /// Until nobody can ask any more.
    pub async fn run(mut self) {
        while let Some(order) = self.0.recv().await {
            tokio::task::spawn_local(hold(order));
        }
    }
}

/// One home, from its opening to its close.
async fn hold(order: Order) {
    let Order { dir, key, begins, turn, in_vain, answer, closed } = order;
    let held = match begins {
        Some(home) => Ok(Some(home)),
        None => desk::hold(|| Home::hold(&dir), &dir, || ()).await.map_err(Fault::from),
    };
    let opened = match held {
        Ok(Some(home)) => OpenHome::open(home, &key, Recording::none()).await,
        Ok(None) => {
            beside(&dir, &DoorKey::of(&key), turn, answer).await;
            return;
        }
        Err(fault) => Err(fault),
    };
    let mut session = match opened {
        Ok(session) => session,
        Err(fault) => {
            let _ = answer.send(Err(fault));
            return;
        }
    };
    // Without a door the terminal's commands wait until the pages are locked.
    let door = Door::open(&dir, DoorKey::of(&key)).ok();
    drop(key);
    let (asks, asked) = mpsc::channel(WAITING);
    if answer.send(Ok(Way::Here(asks))).is_err() {
        return;
    }
    let pages = Some(Pages { asked, turn: turn.clone() });
    if serving::serve(&mut session, Callers { door, pages }, |_| ()).await.is_err() {
        // Nothing can be saved any more. Whoever opens it again is told why.
        let _ = closed.send(());
    }
    if in_vain.load(Ordering::Relaxed) {
        session.into_home().discard();
    }
    turn.send_modify(|turn| *turn = turn.wrapping_add(1));
}

/// Another process holds it: it is asked there, and looked at for changes as long as its pages are open.
async fn beside(dir: &Path, key: &DoorKey, turn: watch::Sender<u64>, answer: oneshot::Sender<Result<Way, Fault>>) {
    // Asked once before it counts as open: the key must fit there, too.
    let key = Arc::new(key.copy());
    let way = Way::Beside(dir.to_owned(), Arc::clone(&key));
    let looked = way.ask(Ask::Stand).await;
    let (first, told) = match looked {
        Ok(answered) => (answered.stand.map(|stand| stand.turn), answer.send(Ok(way.clone()))),
        Err(fault) => (None, answer.send(Err(fault))),
    };
    drop(way);
    let (mut last, weak) = (first, Arc::downgrade(&key));
    drop(key);
    if told.is_err() || last.is_none() {
        return;
    }
    loop {
        tokio::time::sleep(LOOK).await;
        // Locked: nobody has the key any more.
        let Some(key) = weak.upgrade() else { return };
        let way = Way::Beside(dir.to_owned(), key);
        let now = way.ask(Ask::Stand).await.ok().and_then(|answer| answer.stand);
        let now = now.map(|stand| stand.turn);
        if now != last {
            turn.send_modify(|turn| *turn = turn.wrapping_add(1));
        }
        last = now;
    }
}

impl Keeper {
    /// Of no homes yet, and what opens them.
    pub fn new() -> (Self, Holding) {
        let (orders, ordered) = mpsc::unbounded_channel();
        (Self { known: Arc::default(), orders }, Holding(ordered))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<Known>) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn of<T>(&self, home: usize, act: impl FnOnce(&mut Known) -> T) -> Option<T> {
        self.with(|known| known.get_mut(home).map(act))
    }

    /// Shows this folder, too, and gives its place.
    pub fn add(&self, dir: PathBuf) -> usize {
        self.with(|known| {
            let there = known.iter().position(|one| one.dir == dir);
            there.unwrap_or_else(|| {
                let (turn, used) = (watch::Sender::new(0), tokio::time::Instant::now());
                known.push(Known { dir, way: None, in_vain: Arc::default(), turn, used });
                known.len() - 1
            })
        })
    }

    /// All folders, in the order in which they came.
    pub fn dirs(&self) -> Vec<PathBuf> {
        self.with(|known| known.iter().map(|one| one.dir.clone()).collect())
    }

    pub fn dir(&self, home: usize) -> Option<PathBuf> {
        self.of(home, |one| one.dir.clone())
    }

    pub fn presence(&self, home: usize) -> Option<Presence> {
        self.of(home, |one| {
            if one.way.is_some() {
                return Presence::Open;
            }
            match Folder::at(&one.dir) {
                Ok(folder) if !folder.is_begun() => Presence::Locked,
                _ => Presence::Nobody,
            }
        })
    }

    /// To an open home.
    pub fn way(&self, home: usize) -> Option<Way> {
        self.of(home, |one| one.way.clone())?
    }

    /// Hears of every change, also that it was locked or opened.
    pub fn turn(&self, home: usize) -> Option<watch::Receiver<u64>> {
        self.of(home, |one| one.turn.subscribe())
    }

    /// Its person does something.
    pub fn used(&self, home: usize) {
        self.of(home, |one| one.used = tokio::time::Instant::now());
    }

    /// Opens a home; `begins` where it has just been made, and is held.
    pub async fn open(&self, home: usize, key: Key, begins: Option<Home>) -> Result<Way, Fault> {
        let none = || Fault::usage("no-home", "");
        let (in_vain, (answer, answered)) = (Arc::new(AtomicBool::new(false)), oneshot::channel());
        let (closed, closes) = oneshot::channel();
        let (dir, turn) = self.of(home, |one| (one.dir.clone(), one.turn.clone())).ok_or_else(none)?;
        let order = Order { dir, key, begins, turn: turn.clone(), in_vain: Arc::clone(&in_vain), answer, closed };
        self.orders.send(order).map_err(|_| none())?;
        let way = answered.await.map_err(|_| none())??;
        self.of(home, |one| {
            (one.way, one.used) = (Some(way.clone()), tokio::time::Instant::now());
            one.in_vain = Arc::clone(&in_vain);
        });
        turn.send_modify(|turn| *turn = turn.wrapping_add(1));
        let keeper = self.clone();
        tokio::spawn(async move {
            let Ok(()) = closes.await else { return };
            keeper.of(home, |one| {
                // It may have been opened again meanwhile.
                if Arc::ptr_eq(&one.in_vain, &in_vain) {
                    one.way = None;
                }
            });
        });
        Ok(way)
    }

    /// Its key leaves this process, once what is under way is done.
    pub fn lock(&self, home: usize) {
        self.of(home, |one| {
            if one.way.take().is_some() {
                one.turn.send_modify(|turn| *turn = turn.wrapping_add(1));
            }
        });
    }

    /// The same for one in which nobody has come in, which goes.
    pub fn discard(&self, home: usize) {
        self.of(home, |one| one.in_vain.store(true, Ordering::Relaxed));
        self.lock(home);
    }

    /// Locks what nobody has used for so long.
    pub fn lock_idle(&self, after: Duration) {
        let idle = self.with(|known| {
            let old = |one: &Known| one.way.is_some() && one.used.elapsed() >= after;
            known.iter().enumerate().filter(|(_, one)| old(one)).map(|(at, _)| at).collect::<Vec<_>>()
        });
        idle.into_iter().for_each(|home| self.lock(home));
    }
}
