//! A session that stays on the stream: wishes are sent as they are made, news are taken in as they come.

use std::time::Duration;

use serde_json::Value;
use stafett_client_core::client::input::{Command as Wish, Input};

use crate::fault::Fault;
use crate::session::Session;
use crate::transport::FrameStream;

/// A connected device.
pub struct Live {
    session: Session,
    stream: FrameStream,
}

impl Live {
    /// Connects and settles.
    pub async fn open(mut session: Session) -> Result<Self, Fault> {
        let mut stream = session.connect().await?;
        session.settle(&mut stream).await?;
        Ok(Self { session, stream })
    }

    /// Performs a wish: saved, then answered, then on its way.
    pub async fn perform(&mut self, wish: Wish) -> Result<Value, Fault> {
        let step = self.session.step(Input::Command(wish)).await?;
        self.stream.send(step.frames).await?;
        step.answer.ok_or_else(|| Fault::new(crate::fault::Exit::Damaged, "no-answer", "the core did not answer"))
    }

    /// Takes in one message, if one comes in time. Answers whether one came, and whether nothing is under way now.
    pub async fn next(&mut self, patience: Duration) -> Result<(bool, bool), Fault> {
        match self.stream.next(patience).await? {
            None => Ok((false, false)),
            Some(frame) => {
                let step = self.session.step(Input::Frame(frame)).await?;
                self.stream.send(step.frames).await?;
                Ok((true, step.settled))
            }
        }
    }

    /// Leaves the stream.
    pub async fn close(mut self) -> Result<Session, Fault> {
        self.stream.close().await;
        self.session.step(Input::Disconnected).await?;
        Ok(self.session)
    }
}
