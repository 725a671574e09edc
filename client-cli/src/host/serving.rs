//! A home that a process holds for as long as it runs: it stays on the stream, takes in what comes, and serves whoever comes
//! to its door, with or without a net. Pages of this process come in by a door of their own.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use stafett_client_core::answer::{Answer as Told, Counts, News};
use stafett_client_core::client::input::{Command as Wish, Input};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::host::callers::Callers;
use crate::host::clock::now_ms;
use crate::host::desk::does;
use crate::host::door::{Answer, Ask, Door, Stand, Visit};
use crate::host::fault::{Exit, Fault};
use crate::host::open_home::{HEARTBEAT, OpenHome, SILENCE, silent};
use crate::host::transport::{Backoff, FrameStream, TransportError};
use crate::host::typed::{Desktop, Typed};

/// A home that is nobody's yet has no server to look for.
const NO_ACCOUNT: Duration = Duration::from_secs(24 * 3600);
/// A server that says no is asked again so often: people read the reason meanwhile.
const REFUSED: Duration = Duration::from_secs(60);

/// Some things are asked of a server once a contact (whether a device that is to be let in has laid out what it takes), so a
/// process that stays for days makes a new contact now and then, and soon after a code was given out or used.
const CONTACT: Duration = Duration::from_secs(600);
const CONTACT_SOON: Duration = Duration::from_secs(15);
/// So long a code is thought of.
const CODE: Duration = Duration::from_secs(900);

type Connecting = Pin<Box<dyn Future<Output = Result<FrameStream, TransportError>>>>;

/// The road to the server, from the one end to the other.
enum Road {
    /// Nobody there; tried again then.
    Away(Instant),
    Opening(Connecting),
    Open(Box<FrameStream>),
}

/// What happens next.
#[allow(clippy::large_enum_variant, reason = "one lives at a time")]
enum Event {
    Visit(Visit),
    NoDoor,
    NoPages,
    TryAgain,
    Opened(Result<FrameStream, TransportError>),
    Frame(Result<Option<Vec<u8>>, TransportError>),
    PatienceOver,
}

/// Who waits for the server, and how long.
struct Waiting {
    visit: Visit,
    until: Option<Instant>,
}

struct Serving<'a> {
    session: &'a mut OpenHome,
    road: Road,
    backoff: Backoff,
    /// Nothing is under way.
    settled: bool,
    waiting: Vec<Waiting>,
    /// What has come since somebody was told.
    news: Vec<News>,
    /// What was shown of this connection.
    shown: Option<Counts>,
    /// Counts what changes, for whoever shows this home.
    turn: watch::Sender<u64>,
    /// Whether a server that says no ends it.
    reads_on: bool,
    /// A rule's reason why there is no connection.
    refused: Option<Fault>,
    /// As people are told: a new contact that is made on purpose is no loss.
    online: bool,
    contact_due: Instant,
    code_until: Instant,
}

/// Serves until a rule ends it, or its pages do; lost connections are tried again. `show` hears the counts whenever something
/// has settled.
pub async fn serve(session: &mut OpenHome, callers: Callers, mut show: impl FnMut(&Counts)) -> Result<(), Fault> {
    let Callers { mut door, pages } = callers;
    let reads_on = pages.is_some();
    let (mut asked, turn) =
        pages.map_or_else(|| (None, watch::Sender::new(0)), |pages| (Some(pages.asked), pages.turn));
    let road = Road::Away(Instant::now());
    let (settled, waiting, news, shown, refused) = (false, vec![], vec![], None, None);
    let backoff = Backoff::fresh();
    let (online, contact_due, code_until) = (false, Instant::now() + CONTACT, Instant::now());
    let mut serving = Serving {
        session,
        road,
        backoff,
        settled,
        waiting,
        news,
        shown,
        turn,
        reads_on,
        refused,
        online,
        contact_due,
        code_until,
    };
    loop {
        match serving.next(&mut door, &mut asked).await {
            Event::Visit(visit) => serving.visited(visit).await?,
            Event::NoDoor => door = None,
            Event::NoPages => return serving.leave().await,
            Event::TryAgain => serving.set_out()?,
            Event::Opened(opened) => serving.opened(opened).await?,
            Event::Frame(heard) => serving.heard(heard).await?,
            Event::PatienceOver => serving.contact_again().await?,
        }
        serving.report(&mut show).await?;
    }
}

impl Serving<'_> {
    async fn next(&mut self, door: &mut Option<Door>, pages: &mut Option<mpsc::Receiver<Visit>>) -> Event {
        let again = (self.reads_on && matches!(self.road, Road::Open(_))).then_some(self.contact_due);
        let patience = self.waiting.iter().filter_map(|one| one.until).chain(again).min();
        let visitor = async {
            match door {
                Some(door) => door.next().await,
                None => std::future::pending().await,
            }
        };
        let page = async {
            match pages {
                Some(asked) => asked.recv().await,
                None => std::future::pending().await,
            }
        };
        let road = async {
            match &mut self.road {
                Road::Away(until) => {
                    sleep_until(*until).await;
                    Event::TryAgain
                }
                Road::Opening(connecting) => Event::Opened(connecting.await),
                Road::Open(stream) => Event::Frame(stream.next(HEARTBEAT).await),
            }
        };
        let over = async {
            match patience {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            visit = visitor => visit.map_or(Event::NoDoor, Event::Visit),
            visit = page => visit.map_or(Event::NoPages, Event::Visit),
            event = road => event,
            () = over => Event::PatienceOver,
        }
    }

    fn set_out(&mut self) -> Result<(), Fault> {
        self.road = if self.reads_on && !self.session.has_account() {
            Road::Away(Instant::now() + NO_ACCOUNT)
        } else {
            Road::Opening(Box::pin(self.session.road()?))
        };
        Ok(())
    }

    /// On purpose, where nothing is under way.
    async fn contact_again(&mut self) -> Result<(), Fault> {
        let due = self.reads_on && matches!(self.road, Road::Open(_)) && Instant::now() >= self.contact_due;
        if due && self.settled && self.waiting.is_empty() {
            self.leave().await?;
            self.set_out()?;
        } else if due {
            self.contact_due = Instant::now() + CONTACT_SOON;
        }
        Ok(())
    }

    /// Whoever shows this home looks again.
    fn turned(&self) {
        self.turn.send_modify(|turn| *turn = turn.wrapping_add(1));
    }

    /// Nothing that is told once is told here: pages are made over and over.
    fn stand(&self) -> Answer {
        let queued = self.session.unsent();
        let stand = Stand {
            turn: *self.turn.borrow(),
            online: self.online,
            queued,
            refused: self.refused.clone(),
            typed: self.session.desktop().pages().clone(),
            language: self.session.desktop().language.clone(),
        };
        let (problems, drafts) = (vec![], vec![]);
        let counts = Counts { sent: 0, received: 0, refused: 0, queued, problems, given_up: 0, drafts, news: None };
        Answer { stand: Some(stand), ..self.answered(Ok(Told::Sync(counts))) }
    }

    async fn visited(&mut self, visit: Visit) -> Result<(), Fault> {
        match &visit.ask {
            Ask::Wish(wish) => {
                let (outcome, file) = self.perform(wish.clone(), None).await?;
                visit.answer(Answer { file, ..self.answered(outcome) });
            }
            Ask::Say { wish, page } => {
                let (outcome, file) = self.perform(wish.clone(), Some(page)).await?;
                visit.answer(Answer { file, ..self.answered(outcome) });
            }
            Ask::Type { page, fields } => {
                let typed = Typed { fields: fields.clone(), at: now_ms() };
                self.session.keep(Desktop::row(page, &typed)).await?;
                let answer = self.stand();
                visit.answer(answer);
            }
            Ask::Speak { language } => {
                self.session.keep(Desktop::language_row(language)).await?;
                self.turned();
                let answer = self.stand();
                visit.answer(answer);
            }
            Ask::Stand => {
                let answer = self.stand();
                visit.answer(answer);
            }
            // Whoever asks wants to hear of what the server has now, not of what it has sent by itself.
            Ask::Sync => {
                self.leave().await?;
                self.set_out()?;
                self.waiting.push(Waiting { visit, until: None });
            }
            Ask::Reach { millis } => {
                let until = Instant::now() + Duration::from_millis(*millis);
                if matches!(self.road, Road::Away(_)) {
                    self.set_out()?;
                }
                self.waiting.push(Waiting { visit, until: Some(until) });
            }
        }
        Ok(())
    }

    /// A refusal is the visitor's; what cannot be saved ends the process.
    async fn perform(
        &mut self,
        wish: Wish,
        says: Option<&str>,
    ) -> Result<(Result<Told, Fault>, Option<Vec<u8>>), Fault> {
        let comes_in = matches!(wish, Wish::Join { .. } | Wish::DeviceAccept { .. } | Wish::ServerAt { .. });
        // As at the terminal: only where the own server answers is it looked for from now on.
        if let Wish::ServerAt { url } = &wish
            && let Err(fault) = self.session.find_server(url).await
        {
            return Ok((Err(fault), None));
        }
        if matches!(wish, Wish::DeviceLink | Wish::DeviceAccept { .. } | Wish::Join { .. } | Wish::Invite(_)) {
            self.code_until = Instant::now() + CODE;
            self.contact_due = self.contact_due.min(Instant::now() + CONTACT_SOON);
        }
        let does = does(&wish);
        match self.session.step_saying(Input::Command(wish), says).await {
            Ok(step) => {
                if comes_in && matches!(self.road, Road::Away(_)) {
                    self.set_out()?;
                }
                if does {
                    self.turned();
                }
                // A wish that sends nothing leaves what is under way as it was.
                self.settled &= step.frames.is_empty();
                self.send(step.frames).await?;
                let answer =
                    step.answer.ok_or_else(|| Fault::new(Exit::Damaged, "no-answer", "the core did not answer"));
                Ok((answer, step.file))
            }
            Err(fault) if fault.exit == Exit::Damaged => Err(fault),
            Err(fault) => Ok((Err(fault), None)),
        }
    }

    async fn send(&mut self, frames: Vec<Vec<u8>>) -> Result<(), Fault> {
        let Road::Open(stream) = &mut self.road else { return Ok(()) };
        match stream.send(frames).await {
            Ok(()) => Ok(()),
            Err(error) => self.lost(error.into()).await,
        }
    }

    async fn opened(&mut self, opened: Result<FrameStream, TransportError>) -> Result<(), Fault> {
        match opened {
            Ok(stream) => {
                self.road = Road::Open(Box::new(stream));
                (self.shown, self.refused, self.online) = (None, None, true);
                let soon = Instant::now() < self.code_until;
                self.contact_due = Instant::now() + if soon { CONTACT_SOON } else { CONTACT };
                self.turned();
                let step = self.session.steps([Input::Connected]).await?;
                self.news.extend(self.session.describe(&step.news));
                self.settled = step.settled;
                self.send(step.frames).await
            }
            Err(error) => self.lost(error.into()).await,
        }
    }

    async fn heard(&mut self, heard: Result<Option<Vec<u8>>, TransportError>) -> Result<(), Fault> {
        let Road::Open(stream) = &mut self.road else { return Ok(()) };
        match heard {
            Ok(None) if stream.silence() > SILENCE => self.lost(silent().into()).await,
            Ok(None) => match stream.ping().await {
                Ok(()) => Ok(()),
                Err(error) => self.lost(error.into()).await,
            },
            Ok(Some(first)) => match stream.together(Duration::ZERO).await {
                Ok(more) => {
                    let frames = std::iter::once(first).chain(more).map(Input::Frame);
                    let step = self.session.steps(frames).await?;
                    self.news.extend(self.session.describe(&step.news));
                    self.settled = step.settled;
                    self.turned();
                    self.send(step.frames).await
                }
                Err(error) => self.lost(error.into()).await,
            },
            Err(error) => self.lost(error.into()).await,
        }
    }

    /// The stream broke, or never came. A new device may wait for its certificate so, too.
    async fn lost(&mut self, fault: Fault) -> Result<(), Fault> {
        self.leave().await?;
        for one in std::mem::take(&mut self.waiting) {
            one.visit.answer(self.answered(Err(fault.clone())));
        }
        let by_rule = fault.exit != Exit::Unreachable && !self.session.awaits_certificate();
        if by_rule && !self.reads_on {
            return Err(fault);
        }
        self.turned();
        let rest = if by_rule { REFUSED } else { self.backoff.step() };
        (self.refused, self.online) = (by_rule.then_some(fault), false);
        self.road = Road::Away(Instant::now() + rest);
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), Fault> {
        if let Road::Open(stream) = std::mem::replace(&mut self.road, Road::Away(Instant::now())) {
            stream.close().await;
            self.session.step(Input::Disconnected).await?;
        }
        self.settled = false;
        Ok(())
    }

    /// Tells what has settled to whoever waits for it, and to the person in front of this process.
    async fn report(&mut self, show: &mut impl FnMut(&Counts)) -> Result<(), Fault> {
        let now = Instant::now();
        let connected = matches!(self.road, Road::Open(_)) && self.settled;
        let over = |one: &Waiting| one.until.is_some_and(|until| until <= now);
        if !connected && !self.waiting.iter().any(over) {
            return Ok(());
        }
        // Pages ask themselves for what they show; what is told once is left to whoever it is told to.
        if self.reads_on && self.waiting.is_empty() {
            self.backoff = Backoff::fresh();
            self.news.clear();
            return Ok(());
        }
        let counts = self.session.counts().await?;
        let (done, still): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|one| connected || over(one));
        self.waiting = still;
        let told = Counts { news: Some(self.news.clone()), ..counts.clone() };
        for one in done {
            let late = || Fault::new(Exit::Unreachable, "unreachable", "no answer in time");
            one.visit.answer(self.answered(if connected { Ok(Told::Sync(told.clone())) } else { Err(late()) }));
        }
        if connected {
            self.backoff = Backoff::fresh();
            if self.shown.as_ref() != Some(&counts) || !self.news.is_empty() {
                show(&told);
                self.shown = Some(counts);
                self.news.clear();
            }
        }
        Ok(())
    }

    fn answered(&self, outcome: Result<Told, Fault>) -> Answer {
        Answer { outcome, file: None, awaits_certificate: self.session.awaits_certificate(), stand: None }
    }
}
