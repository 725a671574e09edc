//! Servers of several municipalities in memory, and the relay between them: frames for another home go over
//! the device's one stream, in-band, as in the real thing.

use crate::model::home::{ModelHome, ScopeChain};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::MunicipalityKey;
use stafett_protocol::federation::{
    RelayChallenge, RelayFrame, RelayLogin, RelayPayload, RelayedFrame, RelayedPayload,
};
use stafett_protocol::ids::{DeviceId, Municipality, ScopeId, hash};
use stafett_protocol::wire::{ClientFrame, Problem, Reply, Request, ServerFrame};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

/// What a device needs of the world: its own municipality's server, named by its number.
pub trait Net {
    fn now(&self) -> u64;
    fn pass(&mut self, millis: u64);
    fn join(&mut self, number: Municipality, body: &[u8]) -> Result<Vec<u8>, String>;
    fn connect(&mut self, number: Municipality, device: DeviceId) -> bool;
    fn disconnect(&mut self, number: Municipality, device: DeviceId);
    fn frame(&mut self, number: Municipality, device: DeviceId, bytes: &[u8]);
    /// What has come for the device since the last call.
    fn inbound(&mut self, number: Municipality, device: DeviceId) -> Vec<ServerFrame>;
}

impl Net for ModelHome {
    fn now(&self) -> u64 {
        self.now
    }
    fn pass(&mut self, millis: u64) {
        self.now += millis;
    }
    fn join(&mut self, _: Municipality, body: &[u8]) -> Result<Vec<u8>, String> {
        self.join(body)
    }
    fn connect(&mut self, _: Municipality, device: DeviceId) -> bool {
        self.connect(device)
    }
    fn disconnect(&mut self, _: Municipality, device: DeviceId) {
        self.disconnect(device);
    }
    fn frame(&mut self, _: Municipality, device: DeviceId, bytes: &[u8]) {
        self.frame(device, bytes);
    }
    fn inbound(&mut self, _: Municipality, device: DeviceId) -> Vec<ServerFrame> {
        self.open.get_mut(&device).map(std::mem::take).unwrap_or_default()
    }
}

/// One device's way through its own server to another.
#[derive(Clone)]
enum Pipe {
    Challenged([u8; 32]),
    Open,
}

/// What is wrong with a server's clock.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// By so many milliseconds.
    Ahead(i64),
    /// It stands.
    StoppedAt(u64),
}

impl Clock {
    fn reads(self, time: u64) -> u64 {
        match self {
            Self::Ahead(by) => time.saturating_add_signed(by),
            Self::StoppedAt(at) => at,
        }
    }
}

/// The first home is meant where none is named.
#[derive(Clone)]
pub struct Homes {
    time: u64,
    /// Servers whose clocks are wrong.
    clocks: BTreeMap<Municipality, Clock>,
    first: Municipality,
    homes: BTreeMap<Municipality, ModelHome>,
    pipes: BTreeMap<(DeviceId, Municipality), Pipe>,
    /// Servers that no other server reaches now.
    pub away: BTreeSet<Municipality>,
    /// Words of the old home do not come through to the new one.
    pub no_activation: bool,
    /// The old home is not able to commit a move just now.
    pub no_commit: bool,
    /// How many records of a scope a new home fetches for one request, and how many requests it still answers.
    pub fetch_at_once: usize,
    pub fetches: usize,
    /// What new homes have fetched of scopes that come to them.
    pub(crate) fetched: BTreeMap<(Municipality, ScopeId), usize>,
    challenges: u64,
}

impl Deref for Homes {
    type Target = ModelHome;
    fn deref(&self) -> &ModelHome {
        &self.homes[&self.first]
    }
}

impl DerefMut for Homes {
    fn deref_mut(&mut self) -> &mut ModelHome {
        self.homes.get_mut(&self.first).unwrap()
    }
}

fn away() -> Problem {
    Problem { code: "peer-unreachable".into(), detail: "its server does not answer".into(), scope: None }
}

impl Homes {
    /// Municipalities that have added each other as peers.
    pub fn new(homes: Vec<ModelHome>) -> Self {
        let first = homes[0].number;
        let keys: Vec<MunicipalityKey> = homes.iter().map(ModelHome::municipality_key).collect();
        let mut homes: BTreeMap<Municipality, ModelHome> = homes.into_iter().map(|h| (h.number, h)).collect();
        for home in homes.values_mut() {
            let number = home.number;
            home.peers = keys.iter().filter(|k| k.number != number).copied().collect();
        }
        let time = homes.values().map(|h| h.now).max().unwrap();
        Self {
            time,
            clocks: BTreeMap::new(),
            first,
            homes,
            pipes: BTreeMap::new(),
            away: BTreeSet::new(),
            no_activation: false,
            no_commit: false,
            fetch_at_once: usize::MAX,
            fetches: usize::MAX,
            fetched: BTreeMap::new(),
            challenges: 0,
        }
    }

    pub fn at(&mut self, number: Municipality) -> &mut ModelHome {
        self.agree();
        self.homes.get_mut(&number).unwrap()
    }

    /// The whole chain of a scope: the home's that serves it, or, between two homes, the old one's.
    pub fn chain(&self, scope: ScopeId) -> Option<&ScopeChain> {
        let chains = self.homes.values().filter_map(|h| h.scopes.get(&scope));
        chains.max_by_key(|c| c.records.len())
    }

    pub fn scopes(&self) -> BTreeSet<ScopeId> {
        self.homes.values().flat_map(|h| h.scopes.keys().copied()).collect()
    }

    /// One clock for all whose clock is right.
    fn agree(&mut self) {
        self.time = self.now();
        for home in self.homes.values_mut() {
            home.now = self.clocks.get(&home.number).map_or(self.time, |clock| clock.reads(self.time));
        }
    }

    /// A server's clock goes wrong, or right again.
    pub fn set_clock(&mut self, number: Municipality, clock: Option<Clock>) {
        self.agree();
        match clock {
            Some(clock) => self.clocks.insert(number, clock),
            None => self.clocks.remove(&number),
        };
        self.agree();
    }

    fn say(&mut self, own: Municipality, device: DeviceId, id: u32, reply: Reply) {
        if let Some(frames) = self.at(own).open.get_mut(&device) {
            frames.push(ServerFrame { id, reply });
        }
    }

    fn pass_on(&mut self, own: Municipality, device: DeviceId, from: Municipality, bytes: Vec<u8>) {
        let payload = RelayedPayload::Message(bytes.into());
        self.say(own, device, 0, Reply::Relayed(RelayedFrame { from, payload }));
    }

    fn relay(&mut self, own: Municipality, device: DeviceId, id: u32, frame: RelayFrame) {
        let to = frame.to;
        let known = self.at(own).peers.iter().any(|p| p.number == to);
        if !known || self.away.contains(&to) || self.away.contains(&own) {
            self.hang_up(device, to);
            return self.say(own, device, id, Reply::Problem(away()));
        }
        match (frame.payload, self.pipes.get(&(device, to))) {
            (RelayPayload::Open, _) => {
                self.challenges += 1;
                let challenge = hash("model challenge", &[&self.challenges.to_be_bytes()]).0;
                self.pipes.insert((device, to), Pipe::Challenged(challenge));
                self.pass_on(own, device, to, encode(&RelayChallenge { challenge }));
            }
            (RelayPayload::Close, _) => self.hang_up(device, to),
            (RelayPayload::Message(bytes), Some(Pipe::Challenged(challenge))) => {
                let challenge = *challenge;
                if self.log_in(own, device, to, challenge, bytes.as_slice()) {
                    self.pipes.insert((device, to), Pipe::Open);
                } else {
                    self.hang_up(device, to);
                    let payload = RelayedPayload::Closed(away());
                    self.say(own, device, 0, Reply::Relayed(RelayedFrame { from: to, payload }));
                }
            }
            (RelayPayload::Message(bytes), Some(Pipe::Open)) => self.hear(to, device, bytes.as_slice()),
            (RelayPayload::Message(_), None) => self.say(own, device, id, Reply::Problem(away())),
        }
    }

    /// A frame at the home that it is meant for.
    fn hear(&mut self, at: Municipality, device: DeviceId, bytes: &[u8]) {
        let frame: ClientFrame = decode(bytes).expect("the client's frames are well-formed");
        if self.no_commit && matches!(frame.request, Request::CommitTransfer(_)) {
            let problem = Problem { code: "unavailable".into(), detail: "try again".into(), scope: None };
            return self.say(at, device, frame.id, Reply::Problem(problem));
        }
        match self.transfer(at, device, &frame.request) {
            Some(reply) => self.say(at, device, frame.id, reply),
            None => self.at(at).frame(device, bytes),
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &ModelHome> {
        self.homes.values()
    }

    /// Whether the guest is let in: not with another challenge than its own, which may have been bent on its way.
    fn log_in(
        &mut self,
        own: Municipality,
        device: DeviceId,
        to: Municipality,
        challenge: [u8; 32],
        bytes: &[u8],
    ) -> bool {
        let login: RelayLogin = decode(bytes).expect("the client's login is well-formed");
        let identity = login.credential.verify(&self.at(to).trusted()).expect("its credential holds here");
        let hello = login.hello.verify(identity.device_key()).expect("its signature holds");
        assert_eq!((hello.home, hello.device), (to, device));
        assert_eq!((identity.municipality(), identity.device()), (own, device));
        if hello.challenge != challenge {
            return false;
        }
        self.at(to).connect_guest(device);
        true
    }

    fn hang_up(&mut self, device: DeviceId, to: Municipality) {
        if self.pipes.remove(&(device, to)).is_some() {
            self.at(to).disconnect(device);
        }
    }

    /// Another municipality is cut off, in the middle of what its guests are doing.
    pub fn cut_off(&mut self, number: Municipality) {
        self.away.insert(number);
        let pipes: Vec<_> = self.pipes.keys().filter(|(_, to)| *to == number).copied().collect();
        for (device, to) in pipes {
            self.hang_up(device, to);
            let owner = self.homes.values().find(|h| h.open.contains_key(&device)).map(|h| h.number);
            if let Some(own) = owner {
                let payload = RelayedPayload::Closed(away());
                self.say(own, device, 0, Reply::Relayed(RelayedFrame { from: to, payload }));
            }
        }
    }
}

impl Net for Homes {
    fn now(&self) -> u64 {
        let right = self.homes.values().filter(|h| !self.clocks.contains_key(&h.number)).map(|h| h.now);
        right.max().map_or(self.time, |now| now.max(self.time))
    }
    fn pass(&mut self, millis: u64) {
        self.time = self.now() + millis;
        self.agree();
    }
    fn join(&mut self, number: Municipality, body: &[u8]) -> Result<Vec<u8>, String> {
        self.at(number).join(body)
    }
    fn connect(&mut self, number: Municipality, device: DeviceId) -> bool {
        self.at(number).connect(device)
    }
    fn disconnect(&mut self, number: Municipality, device: DeviceId) {
        let pipes: Vec<_> = self.pipes.keys().filter(|(d, _)| *d == device).copied().collect();
        pipes.into_iter().for_each(|(device, to)| self.hang_up(device, to));
        self.at(number).disconnect(device);
    }
    fn frame(&mut self, number: Municipality, device: DeviceId, bytes: &[u8]) {
        let frame: ClientFrame = decode(bytes).expect("the client's frames are well-formed");
        match frame.request {
            Request::Relay(relay) => self.relay(number, device, frame.id, relay),
            _ => self.hear(number, device, bytes),
        }
    }
    fn inbound(&mut self, number: Municipality, device: DeviceId) -> Vec<ServerFrame> {
        let pipes: Vec<Municipality> = self.pipes.keys().filter(|(d, _)| *d == device).map(|(_, to)| *to).collect();
        for from in pipes {
            let frames = self.at(from).open.get_mut(&device).map(std::mem::take).unwrap_or_default();
            frames.iter().for_each(|f| self.pass_on(number, device, from, encode(f)));
        }
        self.at(number).open.get_mut(&device).map(std::mem::take).unwrap_or_default()
    }
}
