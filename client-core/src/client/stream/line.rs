//! One line for each municipality. The own server's is the stream itself; another's runs in-band over it: the
//! own server passes the frames on unread, and the peer serves this device as its guest (`docs/protocol.md` 20).

use crate::client::Client;
use crate::client::input::Problem;
use crate::client::people::unknown_municipality;
use crate::client::stream::Sent;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::federation::{RelayChallenge, RelayHello, RelayLogin, RelayPayload};
use stafett_protocol::ids::{Millis, Municipality};
use stafett_protocol::signed::Signed;
use std::collections::BTreeMap;

/// How far a line has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Closed,
    /// The own server was asked to open it; the peer's challenge has not come.
    Opening,
    /// Signed in; waiting mail is coming.
    Open,
    /// The greeting has come: all waiting mail is here.
    Greeted,
    /// Could not be opened, or broke; tried again from then on.
    Down { again_at: Millis },
}

/// What is under way with one municipality's server.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub stage: Stage,
    /// The first sync has ended: plans are made on what the chains say.
    pub synced: bool,
    last_id: u32,
    pub sent: BTreeMap<u32, Sent>,
}

/// Frames for other municipalities whose refusal is still recognized.
const RELAYED_REMEMBERED: u32 = 64;

impl Line {
    /// It broke, or could not be opened.
    pub fn down(again_at: Millis) -> Self {
        Self { stage: Stage::Down { again_at }, ..Self::default() }
    }

    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Greeted)
    }

    /// Notes a request and answers its id.
    pub fn note(&mut self, purpose: Sent) -> u32 {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        if matches!(purpose, Sent::Relay(_)) {
            let (last, old) = (self.last_id, |s: &Sent| matches!(s, Sent::Relay(_)));
            self.sent.retain(|id, s| !old(s) || last.saturating_sub(*id) < RELAYED_REMEMBERED);
        }
        self.sent.insert(self.last_id, purpose);
        self.last_id
    }

    pub fn syncing(&self) -> bool {
        self.sent.values().any(|s| *s == Sent::Sync)
    }

    /// What came is complete: plans may stand on it.
    pub fn is_informed(&self) -> bool {
        self.stage == Stage::Greeted && self.synced && !self.syncing()
    }

    /// Nothing more will come of itself.
    pub fn is_settled(&self) -> bool {
        let waits = self.sent.values().any(|s| !matches!(s, Sent::Acknowledged | Sent::Relay(_)));
        match self.stage {
            Stage::Closed | Stage::Down { .. } => true,
            Stage::Opening | Stage::Open => false,
            Stage::Greeted => self.synced && !waits,
        }
    }
}

impl Client {
    /// Whether that municipality's server listens now; where it is another's and not open yet, it is asked for.
    pub(crate) fn reach(&mut self, to: Municipality) -> bool {
        let now = self.now;
        match self.stream.line(to).map_or(Stage::Closed, |l| l.stage) {
            Stage::Greeted => return true,
            Stage::Opening | Stage::Open => return false,
            Stage::Down { again_at } if now < again_at => return false,
            Stage::Closed | Stage::Down { .. } => {}
        }
        let Ok(me) = self.me() else { return false };
        if to == me.number() || !self.stream.line(me.number()).is_some_and(Line::is_open) {
            return false;
        }
        if me.trusted().key(to).is_none() {
            self.stream.line_mut(to).stage = Stage::Down { again_at: Millis::MAX };
            self.report(&unknown_municipality(to));
            return false;
        }
        *self.stream.line_mut(to) = Line { stage: Stage::Opening, ..Line::default() };
        self.stream.relay(to, RelayPayload::Open);
        false
    }

    /// Whether something may still come of a line that is not open yet.
    pub(crate) fn is_opening(&self, to: Municipality) -> bool {
        self.stream.line(to).is_some_and(|l| matches!(l.stage, Stage::Opening | Stage::Open))
    }

    pub(crate) fn has_greeted(&self, home: Municipality) -> bool {
        self.stream.line(home).is_some_and(|l| l.stage == Stage::Greeted)
    }

    /// The peer's challenge: answered with the device key, for this home and this connection alone.
    pub(crate) fn sign_in(&mut self, home: Municipality, challenge: &[u8]) -> Result<(), Problem> {
        let RelayChallenge { challenge } = decode(challenge).map_err(Problem::from_malformed)?;
        let me = self.me()?;
        let hello = RelayHello { challenge, home, device: me.device() };
        let login = RelayLogin {
            hello: Signed::sign(&hello, &me.device_key()),
            credential: me.credential()?,
            letter_key: me.letter_public.clone(),
        };
        self.stream.line_mut(home).stage = Stage::Open;
        self.stream.relay(home, RelayPayload::Message(encode(&login).into()));
        Ok(())
    }
}
