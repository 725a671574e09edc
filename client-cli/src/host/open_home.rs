//! One device at work: the client core with its rows on disk and its road to the server. It performs effects in the one
//! right order (save, then show, then send) and decides nothing.

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use stafett_client_core::answer::{Answer as Told, Counts, News as ShownNews};
use stafett_client_core::client::Client;
use stafett_client_core::client::input::{Call, CallFailed, Command as Wish, Effects, Input, News, Progress};
use stafett_client_core::rows::Row;
use stafett_protocol::http_signature;
use tokio::time::Instant;

use crate::host::clock::now_ms;
use crate::host::fault::{Exit, Fault, refusal};
use crate::host::home::Home;
use crate::host::recording::Recording;
use crate::host::seal::Seal;
use crate::host::store::Store;
use crate::host::transport::{FrameStream, ServerPlace, TransportError, post};
use crate::host::typed::{Desktop, Typed};

/// How long the server may be silent while the client waits for something.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);
/// How often a waiting client asks for a sign of life.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(20);

type Tell = Box<dyn Fn(&Progress) + Send>;

/// A home, open.
pub struct OpenHome {
    client: Client,
    store: Store,
    recording: Arc<Recording>,
    desktop: Desktop,
    /// Who is told how far a move has come, while the device waits for it.
    progress: Option<Tell>,
    /// Held for its lock until the session ends.
    home: Home,
}

/// What one step leaves to be done outside.
#[derive(Default)]
pub(crate) struct Step {
    pub answer: Option<Told>,
    pub file: Option<Vec<u8>>,
    pub frames: Vec<Vec<u8>>,
    pub news: Vec<News>,
    pub settled: bool,
}

/// What several inputs in a row leave: answers in their order.
#[derive(Default)]
pub(crate) struct Steps {
    pub answers: Vec<Result<Told, Fault>>,
    pub frames: Vec<Vec<u8>>,
    pub news: Vec<News>,
    pub settled: bool,
}

impl OpenHome {
    /// Loads everything this device knows.
    pub async fn open(home: Home, home_key: &[u8; 32], recording: Recording) -> Result<Self, Fault> {
        let mut store = Store::open(&home.database()?, Seal::under(home_key)).await?;
        let mut rows = store.load().await?;
        let desktop = Desktop::take(&mut rows);
        let mut seed = [0u8; 32];
        getrandom::fill(&mut seed).map_err(|error| Fault::new(Exit::Damaged, "randomness", error))?;
        let client = Client::open(rows, seed)?;
        Ok(Self { client, store, recording: Arc::new(recording), desktop, progress: None, home })
    }

    /// The folder of this home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Whether the own server, and no other, answers at this address.
    pub async fn find_server(&self, url: &str) -> Result<(), Fault> {
        let account = self.client.account().ok_or_else(|| Fault::usage("no-account", ""))?;
        let place = ServerPlace::new(url, account.ca)?;
        let stream = self.road_to(place)?.await?;
        stream.close().await;
        Ok(())
    }

    /// The home alone, with nothing open in it.
    pub fn into_home(self) -> Home {
        self.home
    }

    /// From now on `tell` hears how far moves have come.
    pub fn tell_progress(&mut self, tell: impl Fn(&Progress) + Send + 'static) {
        self.progress = Some(Box::new(tell));
    }

    fn told(&self, progress: Option<Progress>) {
        if let (Some(tell), Some(progress)) = (&self.progress, progress) {
            tell(&progress);
        }
    }

    /// Performs a wish to its end and gives the answer.
    pub async fn perform(&mut self, wish: Wish) -> Result<Told, Fault> {
        let step = self.step(Input::Command(wish)).await?;
        step.answer.ok_or_else(|| Fault::new(Exit::Damaged, "no-answer", "the core did not answer"))
    }

    /// A wish whose answer brings a file.
    pub async fn fetch(&mut self, wish: Wish) -> Result<(Told, Vec<u8>), Fault> {
        let step = self.step(Input::Command(wish)).await?;
        step.answer.zip(step.file).ok_or_else(|| Fault::new(Exit::Damaged, "no-answer", "the core did not answer"))
    }

    /// Everything that can be done with the server now. Gives the counts.
    pub async fn sync(&mut self) -> Result<Counts, Fault> {
        self.meet(None).await
    }

    /// The same, as far as it comes within this time. What is not done then is done the next time.
    pub async fn reach(&mut self, patience: Duration) -> Result<Counts, Fault> {
        self.meet(Some(Instant::now() + patience)).await
    }

    async fn meet(&mut self, until: Option<Instant>) -> Result<Counts, Fault> {
        let road = self.connect();
        let connected = match until {
            Some(until) => tokio::time::timeout_at(until, road).await.unwrap_or_else(|_| Err(silent().into())),
            None => road.await,
        };
        let mut stream = match connected {
            // Nobody yet to the server: it waits for the first device, and there is nothing else to do.
            Err(fault) if fault.code == "not-authenticated" && self.client.awaits_certificate() => {
                return self.counts().await;
            }
            other => other?,
        };
        let outcome = self.settle(&mut stream, until).await;
        stream.close().await;
        self.step(Input::Disconnected).await?;
        let news = Some(self.describe(&outcome?));
        Ok(Counts { news, ..self.counts().await? })
    }

    /// What this contact came to, so far.
    pub(crate) async fn counts(&mut self) -> Result<Counts, Fault> {
        counts(self.perform(Wish::SyncCounts).await?)
    }

    /// What has become visible, in a line each; what is no news to people is left out.
    pub(crate) fn describe(&self, news: &[News]) -> Vec<ShownNews> {
        news.iter().filter_map(|one| self.client.describe(one)).collect()
    }

    /// Whether this device waits for its person's first one.
    pub fn awaits_certificate(&self) -> bool {
        self.client.awaits_certificate()
    }

    /// Everything that can be done with the server now; answers what became visible.
    pub(crate) async fn settle(
        &mut self,
        stream: &mut FrameStream,
        until: Option<Instant>,
    ) -> Result<Vec<News>, Fault> {
        let mut step = self.steps([Input::Connected]).await?;
        let mut news = vec![];
        loop {
            stream.send(std::mem::take(&mut step.frames)).await?;
            news.append(&mut step.news);
            if step.settled {
                return Ok(news);
            }
            let left = until.map_or(SILENCE, |until| until.saturating_duration_since(Instant::now()).min(SILENCE));
            let frames = if left.is_zero() { vec![] } else { stream.together(left).await? };
            if frames.is_empty() {
                return Err(silent().into());
            }
            step = self.steps(frames.into_iter().map(Input::Frame)).await?;
        }
    }

    pub(crate) async fn connect(&mut self) -> Result<FrameStream, Fault> {
        Ok(self.road()?.await?)
    }

    /// The way to the server, to be gone without this session: others may use it meanwhile.
    pub(crate) fn road(&self) -> Result<impl Future<Output = Result<FrameStream, TransportError>> + use<>, Fault> {
        let account = self.client.account().ok_or_else(|| Fault::usage("no-account", ""))?;
        self.road_to(ServerPlace::new(&account.url, account.ca)?)
    }

    fn road_to(
        &self,
        place: ServerPlace,
    ) -> Result<impl Future<Output = Result<FrameStream, TransportError>> + use<>, Fault> {
        let account = self.client.account().ok_or_else(|| Fault::usage("no-account", ""))?;
        let key = SigningKey::from_bytes(&account.device_key);
        let recording = Arc::clone(&self.recording);
        Ok(async move {
            let sign = |path: &str, exporter: &[u8; 32]| http_signature::sign("GET", path, &[], exporter, &key);
            FrameStream::open(&place, recording, sign).await
        })
    }

    /// What pages keep in this home.
    pub fn desktop(&self) -> &Desktop {
        &self.desktop
    }

    /// Whether this device is somebody's, or is about to be.
    pub fn has_account(&self) -> bool {
        self.client.account().is_some()
    }

    /// How much waits here to be sent.
    pub fn unsent(&self) -> usize {
        self.client.unsent()
    }

    /// Keeps what is no matter of the core's: on disk when this returns.
    pub async fn keep(&mut self, row: Row) -> Result<(), Fault> {
        self.store.write(std::slice::from_ref(&row)).await?;
        self.desktop.saved(&row);
        Ok(())
    }

    /// One input, and whatever it asks of the disk and of a server before it has an answer.
    pub(crate) async fn step(&mut self, input: Input) -> Result<Step, Fault> {
        self.step_saying(input, None).await
    }

    /// The same, by which what was typed at a page is said: once it is taken it stands in one place alone, never in none.
    pub(crate) async fn step_saying(&mut self, input: Input, page: Option<&str>) -> Result<Step, Fault> {
        let mut next = Some(input);
        let mut done = Step::default();
        while let Some(input) = next.take() {
            let mut effects: Effects = self.client.handle(now_ms(), input);
            let said = page
                .filter(|_| matches!(effects.answer, Some(Ok(_))))
                .map(|page| Desktop::row(page, &Typed::default()));
            effects.rows.extend(said.clone());
            self.store.write(&effects.rows).await?;
            said.iter().for_each(|row| self.desktop.saved(row));
            done.frames.extend(effects.frames);
            done.news.extend(effects.news);
            done.settled = effects.settled;
            done.file = effects.file.or(done.file);
            self.told(effects.progress);
            if let Some(answer) = effects.answer {
                done.answer = Some(answer?);
            }
            if let Some(prefixes) = effects.load {
                next = Some(Input::Loaded(self.load(&prefixes).await?));
            } else if let Some(call) = effects.call {
                next = Some(Input::CallAnswered(self.call(call).await?));
            }
        }
        Ok(done)
    }

    /// Inputs that came together: handled in their order, saved in one transaction, and only then shown and sent. What the
    /// last of them asks of the disk is answered at once; none may ask for a call.
    pub(crate) async fn steps(&mut self, inputs: impl IntoIterator<Item = Input>) -> Result<Steps, Fault> {
        let mut done = Steps::default();
        let mut wanted = self.handle_all(inputs, &mut done).await?;
        while let Some(prefixes) = wanted {
            let loaded = Input::Loaded(self.load(&prefixes).await?);
            wanted = self.handle_all([loaded], &mut done).await?;
        }
        Ok(done)
    }

    /// Handles and saves; answers what the last input asks of the disk.
    async fn handle_all(
        &mut self,
        inputs: impl IntoIterator<Item = Input>,
        done: &mut Steps,
    ) -> Result<Option<Vec<Vec<u8>>>, Fault> {
        let (mut rows, mut wanted) = (Vec::new(), None);
        for input in inputs {
            let effects: Effects = self.client.handle(now_ms(), input);
            rows.extend(effects.rows);
            done.frames.extend(effects.frames);
            done.news.extend(effects.news);
            done.settled = effects.settled;
            self.told(effects.progress);
            done.answers.extend(effects.answer.map(|answer| answer.map_err(Fault::from)));
            wanted = effects.load;
        }
        self.store.write(&rows).await?;
        Ok(wanted)
    }

    /// The text of an entry, as it stands now.
    pub fn entry_text(&self, news: &News) -> Option<String> {
        self.client.entry_text(news)
    }

    async fn load(&mut self, prefixes: &[Vec<u8>]) -> Result<Vec<Row>, Fault> {
        let mut rows = Vec::new();
        for prefix in prefixes {
            rows.extend(self.store.events(prefix, 0, u64::MAX).await?);
        }
        Ok(rows)
    }

    /// Who answers and is not the server, or cannot be believed for the time, is told at once, and as what it is.
    async fn call(&self, call: Call) -> Result<Result<Vec<u8>, CallFailed>, Fault> {
        let answer = match ServerPlace::new(&call.url, call.ca) {
            Ok(place) => post(&place, call.path, call.body, &self.recording).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(body) => Ok(Ok(body)),
            Err(TransportError::Refused { status, body }) => {
                let fault = refusal(status, &body);
                Ok(Err(CallFailed::Refused { code: fault.code, detail: fault.detail }))
            }
            Err(error @ (TransportError::Identity(_) | TransportError::Clock(_))) => Err(error.into()),
            Err(other) => Ok(Err(CallFailed::Unreachable(other.to_string()))),
        }
    }
}

/// The counts in an answer that must be of them.
pub(crate) fn counts(told: Told) -> Result<Counts, Fault> {
    match told {
        Told::Sync(counts) => Ok(counts),
        other => Err(Fault::new(Exit::Damaged, "no-answer", other.name())),
    }
}

pub(crate) fn silent() -> TransportError {
    TransportError::Unreachable("the server does not answer".to_owned())
}
