//! The stream while it is open: requests under way, what came, what was sent. Nothing here is stored: a
//! lost stream is forgotten, and everything that matters stands in rows and chains.

pub(crate) mod line;

use crate::client::keys::FileAt;
use crate::client::stream::line::{Line, Stage};
use stafett_protocol::codec::encode;
use stafett_protocol::federation::{RelayFrame, RelayPayload};
use stafett_protocol::ids::{Municipality, PersonId, ScopeId};
use stafett_protocol::wire::{ClientFrame, Request};
use std::collections::{BTreeMap, BTreeSet};

/// What a request under way was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    Sync,
    Units,
    Persons(Vec<PersonId>),
    KeyPackages(Vec<PersonId>),
    /// A row of the outbox that `Done` finishes.
    Row(Vec<u8>),
    /// Mail that the server may forget now; nothing waits for it.
    Acknowledged,
    OwnKeyPackages,
    /// One envelope of a change or statement: the scope's turn is taken until the answer.
    Event(ScopeId),
    /// The stored bundle that founds or commits.
    Bundle(Vec<ScopeId>),
    /// A new home gets ready for what is moved from this one: the scopes' turns are taken.
    Prepare(Municipality, Vec<ScopeId>),
    /// The old home is asked to hold changes back.
    Hold,
    /// A page of a scope's past.
    History(ScopeId),
    /// The last word of a checkpoint that goes up to here.
    Checkpoint(ScopeId, u64),
    /// A receipt, or records, that the home lacks.
    Return(ScopeId),
    /// A file is announced, or asked how far it is.
    File(FileAt),
    FilePart,
    /// A part of a file that somebody wants.
    FileWanted(FileAt, u16),
    /// Tombstones that were shown to a new home.
    Activate,
    /// A frame for another municipality: answered only where it cannot be passed on.
    Relay(Municipality),
}

/// State of one connection: a line for each municipality, and what is shared by them.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub own: Municipality,
    lines: BTreeMap<Municipality, Line>,
    frames: Vec<Vec<u8>>,
    /// Persons already asked for on this connection, where, and for their key packages.
    pub asked: BTreeSet<PersonId>,
    pub asked_at: BTreeSet<(PersonId, Municipality)>,
    pub asked_packages: BTreeSet<PersonId>,
    /// Homes that were asked again for their word on a bundle that stands in part.
    pub asked_again: BTreeSet<Municipality>,
    /// How often a lost race was run again.
    pub retries: BTreeMap<ScopeId, u32>,
}

/// How often a lost race is run again on one connection before it waits for the next.
pub(crate) const RETRIES: u32 = 20;

impl Stream {
    /// The stream to the own municipality's server is open.
    pub(crate) fn open(&mut self, own: Municipality) {
        *self = Self { own, ..Self::default() };
        self.line_mut(own).stage = Stage::Open;
    }

    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.frames)
    }

    pub fn line(&self, of: Municipality) -> Option<&Line> {
        self.lines.get(&of)
    }

    pub fn line_mut(&mut self, of: Municipality) -> &mut Line {
        self.lines.entry(of).or_default()
    }

    /// The line of the own municipality.
    pub fn own_line(&self) -> Option<&Line> {
        self.lines.get(&self.own)
    }

    /// Sends a request to one municipality's server; nothing happens while it does not listen.
    pub fn send(&mut self, to: Municipality, request: Request, purpose: Sent) {
        let Some(line) = self.lines.get_mut(&to).filter(|l| l.is_open()) else { return };
        let frame = encode(&ClientFrame { id: line.note(purpose), request });
        if to == self.own {
            self.frames.push(frame);
        } else {
            self.relay(to, RelayPayload::Message(frame.into()));
        }
    }

    /// Hands the own server something to pass on.
    pub fn relay(&mut self, to: Municipality, payload: RelayPayload) {
        let own = self.own;
        self.send(own, Request::Relay(RelayFrame { to, payload }), Sent::Relay(to));
    }

    /// Everything under way, at every home.
    pub fn under_way(&self) -> impl Iterator<Item = &Sent> {
        self.lines.values().flat_map(|l| l.sent.values())
    }

    /// Whether a request for this purpose is under way.
    pub fn waits_for(&self, purpose: &Sent) -> bool {
        self.under_way().any(|s| s == purpose)
    }

    /// Whether somebody's devices are being asked for: those known here may not be all.
    pub fn asks_for(&self, person: PersonId) -> bool {
        self.under_way().any(|s| matches!(s, Sent::Persons(asked) if asked.contains(&person)))
    }

    /// Whether an event of this scope is under way: its counter is taken.
    pub fn busy(&self, scope: ScopeId) -> bool {
        self.under_way().any(|s| match s {
            Sent::Event(at) => *at == scope,
            Sent::Bundle(scopes) | Sent::Prepare(_, scopes) => scopes.contains(&scope),
            _ => false,
        })
    }

    /// Homes on whose news plans may stand.
    pub fn informed_homes(&self) -> Vec<Municipality> {
        self.lines.iter().filter(|(_, l)| l.is_informed()).map(|(home, _)| *home).collect()
    }

    /// No line will bring anything more of itself.
    pub fn is_settled(&self) -> bool {
        self.own_line().is_some_and(Line::is_open) && self.lines.values().all(Line::is_settled)
    }

    /// What was decided for these scopes and asked for these persons counts no more: their server is away.
    pub fn forget(&mut self, scopes: &BTreeSet<ScopeId>, persons: &[PersonId]) {
        self.retries.retain(|s, _| !scopes.contains(s));
        for person in persons {
            self.asked.remove(person);
            self.asked_packages.remove(person);
        }
    }
}
