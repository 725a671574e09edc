//! A session that stays on the stream: wishes are sent as they are made, news are taken in as they come.

use std::time::Duration;

use stafett_client_core::answer::Answer as Told;
use stafett_client_core::client::input::{Command as Wish, Input, News};

use crate::host::fault::Fault;
use crate::host::open_home::OpenHome;
use crate::host::transport::FrameStream;

/// How often the server is asked for a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// What messages brought.
pub struct Taken {
    /// Entries that others wrote and that are visible now.
    pub news: Vec<News>,
    /// Nothing is under way.
    pub settled: bool,
}

/// A connected device.
pub struct Live {
    session: OpenHome,
    stream: FrameStream,
    /// What the opening brought.
    news: Vec<News>,
}

impl Live {
    /// Connects and settles.
    pub async fn open(mut session: OpenHome) -> Result<Self, Fault> {
        let mut stream = session.connect().await?;
        let news = session.settle(&mut stream, None).await?;
        Ok(Self { session, stream, news })
    }

    /// What became visible while the stream opened.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Performs a wish: saved, then answered, then on its way.
    pub async fn perform(&mut self, wish: Wish) -> Result<Told, Fault> {
        let step = self.session.step(Input::Command(wish)).await?;
        self.stream.send(step.frames).await?;
        step.answer.ok_or_else(|| Fault::new(crate::host::fault::Exit::Damaged, "no-answer", "the core did not answer"))
    }

    /// Performs wishes that were made together: saved in one transaction, then answered, then on their way.
    pub async fn perform_all(&mut self, wishes: Vec<Wish>) -> Result<Vec<Result<Told, Fault>>, Fault> {
        let steps = self.session.steps(wishes.into_iter().map(Input::Command)).await?;
        self.stream.send(steps.frames).await?;
        Ok(steps.answers)
    }

    /// Takes in one message, if one comes in time. Answers whether one came, and whether nothing is under way now.
    pub async fn next(&mut self, patience: Duration) -> Result<(bool, bool), Fault> {
        match self.stream.next(patience).await? {
            None => Ok((false, false)),
            Some(frame) => Ok((true, self.take(vec![frame]).await?.settled)),
        }
    }

    /// Messages that came together; waits for the first. Nothing is lost if the caller stops waiting.
    pub async fn wait(&mut self) -> Result<Vec<u8>, Fault> {
        loop {
            if let Some(frame) = self.stream.next(HEARTBEAT).await? {
                return Ok(frame);
            }
            self.stream.ping().await?;
        }
    }

    /// Takes in messages: saved in one transaction, then shown, then answered.
    pub async fn take(&mut self, mut frames: Vec<Vec<u8>>) -> Result<Taken, Fault> {
        frames.extend(self.stream.together(Duration::ZERO).await?);
        let steps = self.session.steps(frames.into_iter().map(Input::Frame)).await?;
        self.stream.send(steps.frames).await?;
        Ok(Taken { news: steps.news, settled: steps.settled })
    }

    /// The text of an entry, as it stands now.
    pub fn entry_text(&self, news: &News) -> Option<String> {
        self.session.entry_text(news)
    }

    /// Leaves the stream.
    pub async fn close(mut self) -> Result<OpenHome, Fault> {
        self.stream.close().await;
        self.session.step(Input::Disconnected).await?;
        Ok(self.session)
    }
}
