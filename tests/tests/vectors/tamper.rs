//! One log, whole and honest, and the ways in which an exporter, a home and its friends among the members may
//! bend it. Each says which rule must notice.

use crate::common::*;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use stafett_client_core::answer::json;
use stafett_client_core::audit;
use stafett_protocol::codec::decode;
use stafett_protocol::consent::{Access, Target};
use stafett_protocol::event::{Body, Event, Position, Receipt, Record};
use stafett_protocol::ids::{Hash, ScopeId, to_hex};
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::Statement;

/// A card that has moved to Haugesund, with both homes' receipts; and the same with a record that the old home
/// took after it had let go.
pub fn moved() -> [Value; 2] {
    let world = World::new();
    let mut card = world.family_card();
    let basis = world.give_hold(&mut card, HAUGESUND_LEADER, 5);
    let offer = world.offer(&card, world.to_unit(HAUGESUND_LEADER, Some(HAUGESUND_TEACHER)), basis);
    card.hand_over(&world, &offer, TEACHER, HAUGESUND_TEACHER).unwrap();
    let last_of_old = Signed::sign(&card.replica.receipt(), &world.municipality);
    card.remove_listed(&world, world.device(HAUGESUND_TEACHER)).unwrap();
    let newest = card.replica.receipt();
    let export = |receipts| json(&audit::export(&card.records, receipts, &world.trusted, world.log()));
    let usurped = Receipt { home_epoch: 1, ..newest };
    [
        export(vec![last_of_old.clone(), Signed::sign(&newest, &world.haugesund)]),
        export(vec![last_of_old, Signed::sign(&usurped, &world.municipality)]),
    ]
}

/// Everything of a log, with every key in hand.
pub struct Log {
    pub world: World,
    card: Chain,
    concern: Chain,
    journal: Chain,
}

/// Records of all scopes, and receipts.
pub struct Copy {
    pub records: Vec<Record>,
    pub receipts: Vec<Signed<Receipt>>,
}

fn signed(world: &World, scope: ScopeId, records: &[Record]) -> Signed<Receipt> {
    resigned(scope, records, &world.municipality)
}

fn resigned(scope: ScopeId, records: &[Record], key: &SigningKey) -> Signed<Receipt> {
    let last = records.last().unwrap();
    let head = records.iter().fold(Hash::default(), |head, r| r.head_after(&head));
    let position = Position { seq: last.seq, head };
    Signed::sign(&Receipt { scope, home_epoch: 1, position, time: last.time }, key)
}

fn scope_of(record: &Record) -> ScopeId {
    record.event.peek().unwrap().scope
}

impl Log {
    /// Family, holder, a reader who comes, goes and comes back; two devices; a concern and a journal.
    pub fn new() -> Self {
        let world = World::new();
        let mut card = world.family_card();
        let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
        world.admit_ppt(&mut card, grant);
        for who in [MOTHER, TEACHER, FATHER] {
            card.write(&world, world.device(who)).unwrap();
        }
        let mut concern = world.concern(card.state());
        let grant = world.give(&mut concern, world.unit_of(PPT_LEADER), Access::Contribute);
        concern.card = Some(card.state().clone());
        world.admit_ppt(&mut concern, grant);
        concern.write(&world, world.device(PPT)).unwrap();
        card.now = card.now.max(concern.now);
        let withdrawal = world.withdrawal(world.log(), CONCERN, Target::Unit(PPT_UNIT), FATHER);
        concern.say(&world, world.device(FATHER), withdrawal).unwrap();
        concern.remove_listed(&world, world.device(MOTHER)).unwrap();
        concern.write(&world, world.device(MOTHER)).unwrap();
        let founding = world.log_founding(JOURNAL, ScopeKind::Journal);
        let mut journal = world.found(world.device(TEACHER), &founding, Some(card.state())).unwrap();
        journal.now = card.now + 1;
        world.add_family(&mut journal);
        Self { world, card, concern, journal }
    }

    fn chains(&self) -> [&Chain; 3] {
        [&self.card, &self.concern, &self.journal]
    }

    pub fn honest(&self) -> Copy {
        let receipts = self.chains().map(|c| signed(&self.world, c.scope(), &c.records)).to_vec();
        Copy { records: self.chains().iter().flat_map(|c| c.records.clone()).collect(), receipts }
    }

    pub fn export(&self, copy: &Copy) -> Value {
        json(&audit::export(&copy.records, copy.receipts.clone(), &self.world.trusted, self.world.log()))
    }

    /// A home that signs a card of its own making: these records, one after the other.
    fn colluding(&self, card: Vec<Record>) -> Copy {
        let mut copy = self.honest();
        copy.records.retain(|r| scope_of(r) != CARD);
        copy.receipts.retain(|r| r.peek().unwrap().scope != CARD);
        copy.receipts.push(signed(&self.world, CARD, &card));
        copy.records.extend(card);
        copy
    }

    /// The card, and behind it what a member's device signs and no honest home takes.
    fn with_event(&self, device: &Device, edit: impl FnOnce(&mut Event), body: Body) -> Copy {
        let mut event = self.card.event(device, body);
        edit(&mut event);
        let record = self.card.record(device, &event);
        self.colluding([&self.card.records[..], &[record]].concat())
    }

    fn says(&self, who: Who, statement: Statement) -> Copy {
        self.with_event(self.world.device(who), |_| {}, Body::Statement(statement))
    }

    fn commits(&self, who: Who, plan: Plan) -> Copy {
        let device = self.world.device(who);
        let (commit, _) = self.card.commit(device, plan);
        self.with_event(device, |_| {}, Body::Commit(commit))
    }

    /// By whoever passes a file on, without any key.
    pub fn by_exporter(&self) -> Vec<(&'static str, &'static str, Value)> {
        let at = |seq: u64| move |r: &Record| scope_of(r) == CARD && r.seq == seq;
        let edited = |edit: &dyn Fn(&mut Copy)| {
            let mut copy = self.honest();
            edit(&mut copy);
            self.export(&copy)
        };
        let last = self.card.records.len() as u64;
        let stranger = |copy: &mut Copy| {
            let receipt = copy.receipts[0].peek().unwrap();
            copy.receipts[0] = Signed::sign(&receipt, &key("another"));
        };
        let mut other_key = self.export(&self.honest());
        other_key["municipalities"][0]["key"] = to_hex(&public(&key("another"))).into();
        let mut other_log = self.export(&self.honest());
        other_log["log"] = "00".repeat(16).into();
        let (number, stranger_key) = (other_key["municipalities"][0]["number"].clone(), key("another"));
        let mut second_key = edited(&|c| {
            c.records.retain(|r| !at(last)(r));
            let card: Vec<Record> = c.records.iter().filter(|r| scope_of(r) == CARD).cloned().collect();
            c.receipts[0] = resigned(CARD, &card, &stranger_key);
        });
        let keys = second_key["municipalities"].as_array_mut().unwrap();
        keys.push(json!({"number": number, "key": to_hex(&public(&stranger_key))}));
        let mut bent = self.export(&self.honest());
        let text = bent["records"][8].as_str().unwrap().to_owned();
        bent["records"][8] = flip(&text).into();
        vec![
            ("one bit of a record flipped", "", bent),
            ("the last record left out", "another-history", edited(&|c| c.records.retain(|r| !at(last)(r)))),
            ("a record in the middle left out", "chain-broken", edited(&|c| c.records.retain(|r| !at(5)(r)))),
            ("two records in each other's place", "", edited(&|c| swap(&mut c.records))),
            (
                "another receipt time",
                "another-history",
                edited(&|c| c.records.iter_mut().filter(|r| at(last)(r)).for_each(|r| r.time += 1)),
            ),
            ("a receipt signed by somebody else", "receipt-not-of-home", edited(&stranger)),
            ("another municipality's key", "", other_key),
            ("another log's name", "other-log", other_log),
            ("cut, and signed anew under a second key for the home", "named-twice", second_key),
            ("nothing at all", "no-records", edited(&|c| *c = Copy { records: vec![], receipts: vec![] })),
            (
                "without its card",
                "no-card",
                edited(&|c| {
                    c.records.retain(|r| scope_of(r) != CARD);
                    c.receipts.retain(|r| r.peek().unwrap().scope != CARD);
                }),
            ),
            ("a scope left out", "scope-left-out", edited(&|c| c.records.retain(|r| scope_of(r) != CONCERN))),
            ("no receipts", "no-receipt", edited(&|c| c.receipts.clear())),
        ]
    }

    /// By the home, with its own signature, and by members who help it.
    pub fn by_home(&self) -> Vec<(&'static str, &'static str, Value)> {
        let (world, card) = (&self.world, &self.card);
        let device = |who| world.device(who);
        let grant =
            world.grant(world.log(), CARD, world.person_grantee(COACH), Access::Read, &card.membership().authority);
        let half = self.admitted_on_half_a_consent(&grant);
        let forged = world.withdrawal(world.log(), CARD, Target::Unit(PPT_UNIT), STRANGER);
        let Statement::Withdrawal(mut in_her_name) = forged else { panic!("a withdrawal") };
        in_her_name.signer = world.id(MOTHER);
        let elsewhere = world.withdrawal(world.log(), CONCERN, Target::Unit(PPT_UNIT), MOTHER);
        let without_teacher = Plan {
            removes: vec![device(TEACHER).public()],
            membership: Some(card.without(&[device(TEACHER).public()])),
            ..Plan::default()
        };
        let promoted = card.with(world, PPT, &[], Role::Actor, card.membership().member(world.id(PPT)).unwrap().basis);
        let replayed = Record { seq: card.records.len() as u64 + 1, ..card.records[7].clone() };
        let mut earlier = card.records.clone();
        earlier.last_mut().unwrap().time = START - 1;
        let mut two = self.honest();
        two.receipts.push(signed(world, CARD, &earlier));
        let change = || Body::Change(change());
        let mut without_grant = card.records.clone();
        without_grant.remove(3);
        (3..without_grant.len()).for_each(|i| without_grant[i].seq -= 1);
        vec![
            ("a reader writes", "read-only", self.export(&self.with_event(device(PPT), |_| {}, change()))),
            ("a stranger writes", "not-a-member", self.export(&self.with_event(device(STRANGER), |_| {}, change()))),
            ("let in on half a consent", "grant-waiting", self.export(&half)),
            (
                "a withdrawal in the mother's name",
                "signature",
                self.export(&self.says(MOTHER, Statement::Withdrawal(in_her_name))),
            ),
            (
                "the mother removes the holder",
                "holder-by-handover",
                self.export(&self.commits(MOTHER, without_teacher)),
            ),
            (
                "a reader made an actor",
                "grant-mismatch",
                self.export(&self.commits(TEACHER, Plan { membership: Some(promoted), ..Plan::default() })),
            ),
            (
                "an event received a second time",
                "",
                self.export(&self.colluding([&card.records[..], &[replayed]].concat())),
            ),
            ("a withdrawal signed for another scope", "grant-mismatch", self.export(&self.says(MOTHER, elsewhere))),
            (
                "an event under a counter too high",
                "counter-gap",
                self.export(&self.with_event(device(MOTHER), |e| e.counter += 1, change())),
            ),
            (
                "an event under an epoch long past",
                "wrong-epoch",
                self.export(&self.with_event(device(MOTHER), |e| e.epoch = 0, change())),
            ),
            (
                "an author who saw another history",
                "chain-broken",
                self.export(&self.with_event(device(MOTHER), |e| e.seen.head = Hash([1; 32]), change())),
            ),
            ("time that runs back", "", self.export(&self.colluding(earlier))),
            ("two receipts for one place", "another-history", self.export(&two)),
            ("a consent struck out of the chain", "", self.export(&self.colluding(without_grant))),
        ]
    }

    /// The coach enters on a grant that one of two guardians has signed.
    fn admitted_on_half_a_consent(&self, grant: &stafett_protocol::consent::ConsentGrant) -> Copy {
        let (world, device) = (&self.world, self.world.device(TEACHER));
        let basis = stafett_protocol::signed::id_of(grant);
        let membership = Some(self.card.with(world, COACH, &[0], Role::Reader, basis));
        let adds = vec![world.device(COACH).key_package()];
        let (commit, _) = self.card.commit(device, Plan { adds, membership, ..Plan::default() });
        let signs =
            self.card.event(world.device(MOTHER), Body::Statement(Statement::Grant(world.sign_grant(grant, MOTHER))));
        let signs = self.card.record(world.device(MOTHER), &signs);
        let enters = self.card.event(device, Body::Commit(commit));
        let enters = Record { seq: signs.seq + 1, ..self.card.record(device, &enters) };
        self.colluding([&self.card.records[..], &[signs, enters]].concat())
    }
}

fn flip(hex: &str) -> String {
    let mut bytes = stafett_protocol::ids::bytes_from_hex(hex).unwrap();
    let at = bytes.len() - 80;
    bytes[at] ^= 1;
    let _: Record = decode(&bytes).unwrap();
    to_hex(&bytes)
}

/// Two neighbours of the card change places.
fn swap(records: &mut [Record]) {
    let at = records.iter().position(|r| scope_of(r) == CARD && r.seq == 7).unwrap();
    records.swap(at, at + 1);
    for (i, record) in records.iter_mut().enumerate().skip(at).take(2) {
        (record.seq, record.time) = (7 + (i - at) as u64, START + 6 + (i - at) as u64);
    }
}
