//! The home's clock, held against its own past. Consents end by receipt time, and receipt time never goes back: one wrong
//! moment would end all of them for good, and a clock that stands lets whoever has expired read on. So the wall clock is
//! believed only as long as it keeps pace with the time that really passes; else nothing is signed until it is right
//! again, or the operator says that it is (`stafettd clock accept`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stafett_protocol::limits::{
    CLOCK_ABSENCE_MILLIS, CLOCK_BEHIND_MILLIS, CLOCK_DRIFT_PARTS, CLOCK_LEAP_MILLIS, HOME_AHEAD_MILLIS,
};

use crate::db::schema::set_meta;
use crate::db::{Conn, StoreError};
use crate::home::{elapsed_ms, now_ms};
use crate::problem::Fault;
use crate::server::Server;
use crate::signing::{self, Marks};
use crate::store::accounts::to_db;

/// The newest time that this home has vouched for.
pub const NEWEST: &str = "clock";
/// How often the operator has accepted the clock.
pub const ACCEPTS: &str = "clock_accepts";
/// What a running process has found, for `doctor`: see [`Wrong::number`].
pub const FINDING: &str = "clock_wrong";

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How much may have been stamped and not yet be noted in the database.
const NOTE_MILLIS: u64 = 60_000;

/// Why the wall clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Ahead,
    Behind,
}

impl Wrong {
    #[must_use]
    pub fn number(found: Option<Self>) -> i64 {
        match found {
            None => 0,
            Some(Self::Ahead) => 1,
            Some(Self::Behind) => 2,
        }
    }

    #[must_use]
    pub fn of(number: i64) -> Option<Self> {
        match number {
            0 => None,
            1 => Some(Self::Ahead),
            _ => Some(Self::Behind),
        }
    }

    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Ahead => "the clock has jumped ahead",
            Self::Behind => "the clock has stopped or gone back",
        }
    }
}

/// The same moment by the wall clock and by what has really passed.
#[derive(Clone, Copy)]
struct Moment {
    wall: u64,
    elapsed: u64,
}

#[derive(Default)]
struct State {
    /// From where the two are compared; none before the wall clock has been believed.
    anchor: Option<Moment>,
    /// The newest time that was stamped here, or noted by whatever process.
    newest: u64,
    accepts: i64,
}

/// One process's clock.
#[derive(Default)]
pub struct Clock {
    state: Mutex<State>,
    #[cfg(feature = "test-support")]
    turned: Turned,
}

/// The time now, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The best that is known: what has really passed, where the wall clock says something else.
    pub now: u64,
    pub wrong: Option<Wrong>,
}

impl State {
    fn read(&mut self, at: Moment) -> Reading {
        let (expected, from, upto) = match self.anchor {
            Some(anchor) => {
                let passed = at.elapsed.saturating_sub(anchor.elapsed);
                let (expected, drift) = (anchor.wall.saturating_add(passed), passed / CLOCK_DRIFT_PARTS);
                let behind = CLOCK_BEHIND_MILLIS.saturating_add(drift);
                let ahead = CLOCK_LEAP_MILLIS.saturating_add(drift);
                (expected, expected.saturating_sub(behind), expected.saturating_add(ahead))
            }
            // A new home has no past.
            None if self.newest == 0 => (at.wall, 0, u64::MAX),
            None => (at.wall, 0, self.newest.saturating_add(CLOCK_ABSENCE_MILLIS)),
        };
        let from = from.max(self.newest.saturating_sub(CLOCK_BEHIND_MILLIS));
        let wrong = match at.wall {
            wall if wall > upto => Some(Wrong::Ahead),
            wall if wall < from => Some(Wrong::Behind),
            _ => None,
        };
        if wrong.is_none() && self.anchor.is_none() {
            self.anchor = Some(at);
        }
        let now = if wrong.is_none() { at.wall } else { expected };
        Reading { now: now.max(self.newest), wrong }
    }

    /// An accepted clock begins anew, at what was accepted.
    fn adopt(&mut self, marks: &Marks) {
        if marks.accepts == self.accepts {
            self.newest = self.newest.max(marks.newest);
        } else {
            *self = Self { anchor: None, newest: marks.newest, accepts: marks.accepts };
        }
    }
}

impl Clock {
    fn with<T>(&self, act: impl FnOnce(&mut State, Moment) -> T) -> T {
        let at = Moment { wall: self.wall(), elapsed: self.elapsed() };
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), at)
    }

    /// What time it is: by this whoever has expired is served nothing more, whatever the wall clock says.
    pub fn now(&self) -> u64 {
        self.with(|state, at| state.read(at).now)
    }

    /// The time by which something may be deleted: none while the clock is not believed.
    pub fn believed(&self) -> Option<u64> {
        let reading = self.with(|state, at| state.read(at));
        Some(reading.now).filter(|_| reading.wrong.is_none())
    }

    /// The same in the light of what the database remembers.
    pub fn read(&self, marks: &Marks) -> Reading {
        self.with(|state, at| {
            state.adopt(marks);
            state.read(at)
        })
    }

    /// The time to sign with: never before what was signed already, and none while the clock is not believed.
    pub fn stamp(&self, marks: &Marks) -> Result<u64, Fault> {
        self.with(|state, at| {
            state.adopt(marks);
            let Reading { now, wrong } = state.read(at);
            if wrong.is_some() {
                return Err(Fault::ClockJumped);
            }
            state.newest = now;
            Ok(now)
        })
    }

    /// Whether another home may have stamped this moment by now.
    pub fn check_foreign(&self, time: u64) -> Result<(), Fault> {
        if time > self.now().saturating_add(HOME_AHEAD_MILLIS) { Err(Fault::TimeAhead) } else { Ok(()) }
    }

    /// What has really passed, by no clock that can be set.
    pub fn elapsed_ms(&self) -> u64 {
        self.elapsed()
    }

    #[cfg(not(feature = "test-support"))]
    fn wall(&self) -> u64 {
        now_ms()
    }

    #[cfg(not(feature = "test-support"))]
    fn elapsed(&self) -> u64 {
        elapsed_ms()
    }
}

/// What a test has turned this one clock by.
#[cfg(feature = "test-support")]
#[derive(Default)]
struct Turned {
    wall: std::sync::atomic::AtomicI64,
    elapsed: std::sync::atomic::AtomicI64,
}

#[cfg(feature = "test-support")]
impl Clock {
    fn wall(&self) -> u64 {
        now_ms().saturating_add_signed(self.turned.wall.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn elapsed(&self) -> u64 {
        elapsed_ms().saturating_add_signed(self.turned.elapsed.load(std::sync::atomic::Ordering::Relaxed))
    }

    /// Tests only: what the wall clock says.
    pub fn wall_ms(&self) -> u64 {
        self.wall()
    }

    /// Tests only: the wall clock is set wrong; nothing has passed.
    pub fn set_wrong(&self, by_ms: i64) {
        self.turned.wall.fetch_add(by_ms, std::sync::atomic::Ordering::Relaxed);
    }

    /// Tests only: time passes, and the wall clock stands.
    pub fn stand(&self, for_ms: i64) {
        self.turned.elapsed.fetch_add(for_ms, std::sync::atomic::Ordering::Relaxed);
    }

    /// Tests only: time passes.
    pub fn pass(&self, ms: i64) {
        self.set_wrong(ms);
        self.stand(ms);
    }
}

/// Looks at the clock before anything is served.
pub async fn begin(clock: &Clock, conn: &mut Conn) -> Result<Option<Wrong>, StoreError> {
    let found = clock.read(&signing::marks(conn).await?).wrong;
    say(found);
    Ok(found)
}

fn say(found: Option<Wrong>) {
    // Each line a fixed text: nothing of anybody comes into the log by one.
    match found {
        Some(Wrong::Ahead) => tracing::error!("the clock has jumped ahead; nothing is signed until it is right"),
        Some(Wrong::Behind) => {
            tracing::error!("the clock has stopped or gone back; nothing is signed until it is right")
        }
        None => {}
    }
}

/// Notes the time, and what is wrong with it, until the server stops: whether somebody is served by then or not, the
/// next start knows how far this one has come.
pub async fn follow(server: Arc<Server>, mut found: Option<Wrong>) {
    let mut stop = server.stop.clone();
    let mut told = None;
    loop {
        match look(&server, told).await {
            Ok(seen) => {
                if seen != found {
                    match seen {
                        Some(_) => say(seen),
                        None => tracing::info!("the clock is believed again"),
                    }
                }
                (found, told) = (seen, Some(seen));
            }
            Err(error) => tracing::error!(%error, "the clock was not noted"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = crate::accept::stopped(&mut stop) => return,
        }
    }
}

/// Writes only what is new: what was found, and the time once a minute.
async fn look(server: &Arc<Server>, told: Option<Option<Wrong>>) -> Result<Option<Wrong>, StoreError> {
    let marks = signing::marks(&mut server.db.reader().await?).await?;
    let reading = server.clock.read(&marks);
    let stale = reading.now >= marks.newest.saturating_add(NOTE_MILLIS);
    if told == Some(reading.wrong) && (reading.wrong.is_some() || !stale) {
        return Ok(reading.wrong);
    }
    let server = Arc::clone(server);
    let db = server.db.clone();
    db.write(move |conn: &mut Conn| Box::pin(async move { note(conn, &server.clock).await })).await
}

async fn note(conn: &mut Conn, clock: &Clock) -> Result<Option<Wrong>, StoreError> {
    // The row is the lock: what the operator accepts meanwhile is not written over.
    raise(conn, 0).await?;
    let reading = clock.read(&signing::marks(conn).await?);
    set_meta(conn, FINDING, Wrong::number(reading.wrong)).await?;
    if reading.wrong.is_none() {
        raise(conn, reading.now).await?;
    }
    Ok(reading.wrong)
}

async fn raise(conn: &mut Conn, now: u64) -> Result<(), StoreError> {
    conn.execute(
        "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = CASE WHEN meta.value < excluded.value THEN excluded.value ELSE meta.value END",
        crate::args![NEWEST, to_db(now)],
    )
    .await?;
    Ok(())
}

/// The operator's word that it is now: whatever was stamped before.
pub async fn accept(conn: &mut Conn, now: u64) -> Result<(), StoreError> {
    set_meta(conn, NEWEST, to_db(now)).await?;
    conn.execute(
        "INSERT INTO meta (name, value) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET value = meta.value + 1",
        crate::args![ACCEPTS],
    )
    .await?;
    set_meta(conn, FINDING, 0).await
}
