//! Whatever an authenticated device sends to its home: any bytes as a frame, any body that it signs, and well-formed bundles
//! that were taken apart and put together otherwise. A refusal is one of the protocol's, and leaves nothing behind.

use super::served::{Answered, Beginning, PEOPLE, Served, account};
use super::{Target, numbered};
use crate::common::samples::Samples;
use crate::common::*;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::{Access, Target as Ends};
use stafett_protocol::event::{Body, Event};
use stafett_protocol::letter::Letter;
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::*;
use std::cell::RefCell;

/// First bytes of an input.
const FRAME: u8 = 0;
const BODY: u8 = 1;
const BUNDLE: u8 = 2;

/// What a home may answer beside the rules' own refusals. Neither `internal` nor `unavailable` is among them.
const CODES: [&str; 20] = [
    "malformed",
    "too-large",
    "name",
    "no-such-route",
    "not-authenticated",
    "code-invalid",
    "not-allowed",
    "unit-exists",
    "inconsistent",
    "too-many-requests",
    "mailbox-full",
    "device-needed",
    "too-many-devices",
    "relay-closed",
    "quota-exceeded",
    "time-ahead",
    "clock-jumped",
    "peer-unknown",
    "peer-answer",
    "peer-unreachable",
];

struct Cast {
    world: World,
    chains: [Chain; 3],
    /// Bundles that would be accepted, each with its author.
    bundles: Vec<(Who, Bundle)>,
}

fn bundle(device: &Device, event: &Event, welcome: Option<Vec<u8>>) -> Bundle {
    let envelope = Envelope { event: Signed::sign(event, &device.key), welcome: welcome.map(Into::into) };
    Bundle { envelopes: vec![envelope], letters: vec![] }
}

impl Cast {
    fn new() -> Self {
        let world = World::new();
        let blind = |mut chain: Chain| {
            chain.blind = true;
            chain
        };
        let mut card = blind(world.card());
        world.add_family(&mut card);
        let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
        world.admit_ppt(&mut card, grant);
        let founding = world.log_founding(CONCERN, ScopeKind::Concern);
        let mut concern = blind(world.found(world.device(TEACHER), &founding, Some(card.state())).unwrap());
        world.add_family(&mut concern);
        let personal = blind(world.found(world.device(MOTHER), &world.personal_founding(MOTHER), None).unwrap());
        let bundles = bundles(&world, &card, &concern, grant);
        Self { world, chains: [card, concern, personal], bundles }
    }

    /// Whose stream it is, and the frame.
    fn frame(&self, input: &[u8]) -> Option<(Who, Vec<u8>)> {
        let (kind, rest) = input.split_first()?;
        let (which, rest) = rest.split_first()?;
        let who = PEOPLE[usize::from(*which) % PEOPLE.len()];
        let submitted = |bundle| encode(&ClientFrame { id: 7, request: Request::Submit(bundle) });
        match *kind {
            FRAME => Some((who, rest.to_vec())),
            BODY => {
                let (scope, body) = rest.split_first()?;
                let device = self.world.device(who);
                let event = self.chains[usize::from(*scope) % 3].event(device, decode::<Body>(body).ok()?);
                Some((who, submitted(bundle(device, &event, None))))
            }
            BUNDLE => {
                let (author, bundle) = self.bent(usize::from(*which), rest);
                Some((author, submitted(bundle)))
            }
            _ => None,
        }
    }

    /// One of the bundles after a list of steps, each three bytes: what is done, and to what.
    fn bent(&self, which: usize, steps: &[u8]) -> (Who, Bundle) {
        let (mut author, mut bundle) = self.bundles[which % self.bundles.len()].clone();
        for step in steps.chunks_exact(3).take(16) {
            let [what, at, other] = [step[0], step[1], step[2]];
            let (_, theirs) = &self.bundles[usize::from(other) % self.bundles.len()];
            let envelopes = &mut bundle.envelopes;
            let at = usize::from(at) % envelopes.len().max(1);
            match what % 10 {
                0 if !envelopes.is_empty() => drop(envelopes.remove(at)),
                1 if at < envelopes.len() => envelopes.push(envelopes[at].clone()),
                2 => envelopes.reverse(),
                3 => envelopes.extend(theirs.envelopes.first().cloned()),
                4 => author = PEOPLE[usize::from(other) % PEOPLE.len()],
                5 => {
                    let to = self.world.device(PEOPLE[usize::from(other) % PEOPLE.len()]).id();
                    bundle.letters.push(Letter { to, kem: vec![other; 32].into(), sealed: vec![other; at + 1].into() });
                }
                6 if at < envelopes.len() => {
                    envelopes[at].welcome = theirs.envelopes.first().and_then(|envelope| envelope.welcome.clone());
                }
                7 if at < envelopes.len() => envelopes[at].event = cut(&envelopes[at].event, other),
                _ if at < envelopes.len() => {
                    let event = envelopes[at].event.peek().unwrap();
                    envelopes[at].event = self.signed_anew(event, what / 10, other);
                }
                _ => {}
            }
        }
        (author, bundle)
    }

    /// The same event with another word in its head, signed by whoever it now says it is of.
    fn signed_anew(&self, event: Event, what: u8, other: u8) -> Signed<Event> {
        let small = i64::from(other as i8);
        let mut event = event;
        match what % 8 {
            0 => event.scope = self.chains[usize::from(other) % 3].scope(),
            1 => event.generation = event.generation.wrapping_add_signed(small as i32),
            2 => event.epoch = event.epoch.wrapping_add_signed(small),
            3 => event.counter = event.counter.wrapping_add_signed(small),
            4 => event.device = self.world.device(PEOPLE[usize::from(other) % PEOPLE.len()]).id(),
            5 => event.seen = self.chains[usize::from(other) % 3].state().position,
            6 => event.seen.seq = event.seen.seq.wrapping_add_signed(small),
            _ => event.scope.0[15] ^= other,
        }
        let device = self.world.by_id(event.device);
        Signed::sign(&event, &device.key)
    }
}

/// One bit of the signature is another.
fn cut(event: &Signed<Event>, bit: u8) -> Signed<Event> {
    let mut bytes = encode(event);
    let last = bytes.len() - 1 - usize::from(bit / 8);
    bytes[last] ^= 1 << (bit % 8);
    decode(&bytes).unwrap_or_else(|_| event.clone())
}

fn bundles(world: &World, card: &Chain, concern: &Chain, grant: stafett_protocol::ids::Hash) -> Vec<(Who, Bundle)> {
    let (teacher, mother, father) = (world.device(TEACHER), world.device(MOTHER), world.device(FATHER));
    let of = |chain: &Chain, device: &Device, body: Body| bundle(device, &chain.event(device, body), None);
    let ends = |target| Body::Statement(world.withdrawal(world.log(), card.scope(), target, MOTHER));
    let given =
        world.grant(world.log(), concern.scope(), world.unit_of(PPT_LEADER), Access::Contribute, &world.authority());
    let given = world.sign_grant(&given, FATHER);
    let mut all = vec![
        (MOTHER, of(card, mother, Body::Change(change()))),
        (TEACHER, of(concern, teacher, Body::Change(change()))),
        (MOTHER, of(card, mother, ends(Ends::Grant(grant)))),
        (MOTHER, of(card, mother, ends(Ends::All))),
        (FATHER, of(concern, father, Body::Statement(Statement::Grant(given)))),
    ];
    let founded = world.genesis_event(father, &world.personal_founding(FATHER));
    all.push((FATHER, bundle(father, &founded, None)));
    let founded = world.genesis_event(teacher, &world.log_founding(JOURNAL, ScopeKind::Journal));
    all.push((TEACHER, bundle(teacher, &founded, None)));
    // The baton passes in the whole log at once: commits that add somebody, with a Welcome.
    let offer = world.offer(card, world.to_unit(LEADER, Some(COLLEAGUE)), card.basis());
    let (commit, welcome) =
        card.commit(teacher, card.handover_plan(world, world.agreed(&offer, TEACHER, COLLEAGUE), Some(COLLEAGUE)));
    let handed = bundle(teacher, &card.event(teacher, Body::Commit(commit)), welcome);
    let offer = world.offer(concern, world.to_unit(LEADER, Some(COLLEAGUE)), concern.basis());
    let (commit, welcome) = concern
        .commit(teacher, concern.handover_plan(world, world.agreed(&offer, TEACHER, COLLEAGUE), Some(COLLEAGUE)));
    let also = bundle(teacher, &concern.event(teacher, Body::Commit(commit)), welcome);
    let both = [handed.envelopes, also.envelopes].concat();
    all.push((TEACHER, Bundle { envelopes: both, letters: vec![] }));
    all
}

fn seeds(cast: &Cast) -> Vec<Vec<u8>> {
    let samples = Samples::new();
    let frames = samples.wire().into_iter().filter(|sample| sample.of == "ClientFrame");
    let mut seeds: Vec<Vec<u8>> = frames.map(|sample| numbered(FRAME.into(), &numbered(3, &sample.bytes))).collect();
    let bodies = [samples.event.body.clone(), samples.commit.body.clone()].into_iter();
    let played = cast.bundles.iter().map(|(_, bundle)| bundle.envelopes[0].event.peek().unwrap().body);
    for (n, body) in bodies.chain(played).enumerate() {
        seeds.push(numbered(BODY.into(), &numbered(n, &numbered(n / 3, &encode(&body)))));
    }
    for n in 0..cast.bundles.len() {
        seeds.push(numbered(BUNDLE.into(), &numbered(n, &[])));
        for what in 0..10 {
            seeds.push(numbered(BUNDLE.into(), &numbered(n, &[what, 0, n as u8 + what])));
        }
    }
    for field in 0..8 {
        seeds.push(numbered(BUNDLE.into(), &numbered(usize::from(field), &[9 + 10 * field, 0, 1])));
    }
    seeds
}

fn check(answered: &Answered) {
    for code in &answered.refused {
        let is_a_rules = Refusal::ALL.iter().any(|refusal| refusal.code() == code);
        assert!(is_a_rules || CODES.contains(&code.as_str()), "{code}");
    }
    assert!(answered.refused.is_empty() || !answered.changed, "{:?}, and something was stored", answered.refused);
}

pub fn target() -> Target {
    let cast = Cast::new();
    let beginning = Beginning::of(&cast.world, &cast.chains.each_ref());
    // Well-formed ones are accepted: else whatever is bent would be refused for nothing.
    for (n, (who, bundle)) in cast.bundles.iter().enumerate() {
        let frame = encode(&ClientFrame { id: 7, request: Request::Submit(bundle.clone()) });
        let answered = beginning.serve().ask(&account(cast.world.device(*who), &cast.world), &frame);
        assert!(answered.changed && answered.refused.is_empty(), "bundle {n}: {:?}", answered.refused);
    }
    let served: RefCell<Option<Served>> = RefCell::default();
    let seeds = seeds(&cast);
    let run = move |input: &[u8]| {
        let Some((who, frame)) = cast.frame(input) else { return };
        let mut served = served.borrow_mut();
        let server = served.get_or_insert_with(|| beginning.serve());
        let answered = server.ask(&account(cast.world.device(who), &cast.world), &frame);
        if answered.changed {
            *served = None;
        }
        check(&answered);
    };
    Target { name: "intake", seeds, run: Box::new(run) }
}
