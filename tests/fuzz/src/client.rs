//! What reaches a device from its home: any frame; and, since a seal proves who wrote and not that it is sane, any content
//! of a letter, any event and any change of a member with genuine keys, whom a lying home gives a receipt for each.

use super::super::insider::Insider;
use super::super::model::home::ModelHome;
use super::super::model::people::Device;
use super::super::simulation::operation::{Step, Wish};
use super::super::simulation::world::{MOTHER, TEACHER, World};
use super::super::simulation::{CI, Size};
use super::{Target, numbered};
use crate::common::samples::Samples;
use openmls_rust_crypto::RustCrypto;
use stafett_client_core::client::Me;
use stafett_client_core::client::input::Input;
use stafett_client_core::letter;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::event::{Body, Event, Position, Receipt, Record};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::letter::{Letter, LetterBody, Opened};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{Mail, MailItem, Records, Reply, ServerFrame};

/// First bytes of an input.
const FRAME: u8 = 0;
const LETTER: u8 = 1;
const EVENT: u8 = 2;
const CHANGE: u8 = 3;

/// The mother's device, and who speaks to it.
struct Cast {
    home: ModelHome,
    /// The teacher, who keeps no rule.
    member: Insider,
    reader: Me,
    scopes: Vec<ScopeId>,
    now: u64,
}

fn pushed(reply: Reply) -> Vec<u8> {
    encode(&ServerFrame { id: 0, reply })
}

impl Cast {
    fn letter(&self, body: LetterBody) -> Option<Vec<u8>> {
        let body = LetterBody { to: self.reader.person, ..body };
        let from = self.member.me.credential().ok()?;
        let opened = encode(&Opened { from, body: Signed::sign(&body, &self.member.me.device_key()) });
        let (to, key) = (self.reader.device(), self.reader.letter_public.as_slice());
        let sealed = letter::seal(&RustCrypto::default(), key, b"stafett/1 letter", &to.0, &opened).ok()?;
        let letter = Letter { to, kem: sealed.kem.into(), sealed: sealed.sealed.into() };
        Some(pushed(Reply::Mail(MailItem { id: 1, mail: Mail::Letter(letter) })))
    }

    /// The next record of a scope as this home shows it, whatever the rules say.
    fn record(&self, scope: ScopeId, event: Signed<Event>) -> Vec<u8> {
        let state = self.home.scopes[&scope].replica.state();
        let record = Record { seq: state.position.seq + 1, time: self.now, event };
        let position = Position { seq: record.seq, head: record.head_after(&state.position.head) };
        let receipt = Receipt { scope, home_epoch: state.membership.home_epoch, position, time: record.time };
        let receipt = Signed::sign(&receipt, &self.home.key);
        pushed(Reply::Records(Records { scope, records: vec![record], receipt }))
    }

    fn frame(&self, input: &[u8]) -> Option<Vec<u8>> {
        let (kind, rest) = input.split_first()?;
        match *kind {
            LETTER => self.letter(decode(rest).ok()?),
            EVENT => {
                let (which, body) = rest.split_first()?;
                let scope = self.scopes[usize::from(*which) % self.scopes.len()];
                let state = self.home.scopes[&scope].replica.state();
                let event = Event { scope, ..self.member.event(state, decode::<Body>(body).ok()?) };
                Some(self.record(scope, self.member.sign(&event)))
            }
            CHANGE if rest.len() < 100_000 => {
                Some(self.record(self.member.scope, self.member.seal(&self.home, &[rest.to_vec()])))
            }
            FRAME => Some(rest.to_vec()),
            _ => None,
        }
    }
}

fn handled(device: &mut Device, now: u64, input: Input) {
    let mut next = Some(input);
    while let Some(input) = next.take() {
        let effects = device.client.handle(now, input);
        device.save(&effects);
        next = effects.load.map(|prefixes| Input::Loaded(device.events(&prefixes)));
    }
}

fn seeds(world: &World, cast: &Cast) -> Vec<Vec<u8>> {
    let samples = Samples::new().wire();
    let of = |name: &'static str| samples.iter().filter(move |s| s.of == name).map(|s| s.bytes.clone());
    let heard = world.nodes[MOTHER].device.heard.iter().cloned();
    let frames = heard.chain(of("ServerFrame")).chain([pushed(Reply::Done)]);
    let mut seeds: Vec<Vec<u8>> = frames.map(|bytes| numbered(FRAME.into(), &bytes)).collect();
    seeds.extend(of("LetterBody").map(|bytes| numbered(LETTER.into(), &bytes)));
    let bodies = of("Event").map(|bytes| encode(&decode::<Event>(&bytes).unwrap().body));
    seeds.extend(bodies.map(|body| numbered(EVENT.into(), &numbered(0, &body))));
    for (n, scope) in cast.scopes.iter().enumerate() {
        let bodies = cast.home.scopes[scope].records.iter().map(|record| encode(&record.event.peek().unwrap().body));
        seeds.extend(bodies.map(|body| numbered(EVENT.into(), &numbered(n, &body))));
    }
    let entry = cast.member.make(1, |document| cast.member.put_entry(document, "glimpses", "g", "Leste høyt"));
    seeds.push(numbered(CHANGE.into(), &entry));
    seeds
}

/// K1: whatever comes, a device neither panics nor hangs, and opens again from what it saved.
pub fn target() -> Target {
    let mut world = World::new(3, Size { logs: 1, ..CI });
    world.perform(&Step::Wish(Wish::Glimpse { who: TEACHER, log: 0, concern: 0 }));
    world.sync(TEACHER);
    world.sync(MOTHER);
    let concern = world.logs[0].concerns[0].clone();
    let member = Insider::of(&world.nodes[TEACHER].device, &concern);
    let reader = Insider::of(&world.nodes[MOTHER].device, &concern).me;
    let home = world.history.home.at(world.nodes[MOTHER].device.home).clone();
    let device = reader.device();
    let read = |chain: &super::super::model::home::ScopeChain| {
        chain.replica.state().membership.member_of_device(device).is_some()
    };
    let scopes = home.scopes.iter().filter(|(_, chain)| read(chain)).map(|(scope, _)| *scope).collect();
    let cast = Cast { home, member, reader, scopes, now: world.history.home.now };
    let (seeds, disk) = (seeds(&world, &cast), world.nodes[MOTHER].device.disk.clone());
    assert!(seeds.len() > 40 && cast.scopes.len() > 2, "{} {}", seeds.len(), cast.scopes.len());
    let run = move |input: &[u8]| {
        let Some(frame) = cast.frame(input) else { return };
        let mut device = Device::new(7);
        device.disk = disk.clone();
        device.restart();
        handled(&mut device, cast.now, Input::Connected);
        let before = device.saved.len();
        handled(&mut device, cast.now, Input::Frame(frame));
        if device.saved.len() > before {
            device.restart();
        }
    };
    Target { name: "client", seeds, run: Box::new(run) }
}
