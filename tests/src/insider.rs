//! A member whose program keeps no rules: what a device has stored, used with the real types past its own client.
//! The home that it writes to still judges what it can see.

use crate::model::home::ModelHome;
use crate::model::people::Device;
use automerge::transaction::Transactable as _;
use automerge::{AutoCommit, AutomergeError, ObjId, ObjType, ROOT, ReadDoc as _, legacy};
use openmls_rust_crypto::RustCrypto;
use stafett_client_core::client::Me;
use stafett_client_core::document::Document;
use stafett_client_core::document::gate::{Incarnation, actor_id};
use stafett_client_core::keychain::{ContentKey, KeyChain};
use stafett_client_core::letter;
use stafett_client_core::rows::{Row, Space, Table};
use stafett_client_core::seal;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::event::{Body, Change, Event, SealContext};
use stafett_protocol::ids::{DeviceId, PersonId, ScopeId, to_hex};
use stafett_protocol::letter::{Content, Letter, LetterBody, Opened};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::wire::{Bundle, Envelope, Mail};

pub struct Insider {
    pub me: Me,
    table: Table,
    pub scope: ScopeId,
}

/// A section of a document.
pub fn section(document: &AutoCommit, name: &str) -> ObjId {
    document.get(ROOT, name).unwrap().expect("the section").1
}

impl Insider {
    /// Everything that a device has on its disk now.
    pub fn of(device: &Device, scope: &str) -> Self {
        let row = |((space, key), value): (&(u8, Vec<u8>), &Vec<u8>)| Row {
            space: Space::from_number(*space).unwrap(),
            key: key.clone(),
            value: Some(value.clone()),
        };
        let table = Table::load(device.disk.iter().map(row));
        let me = decode(table.read(Space::Identity, b"me").expect("an account")).unwrap();
        Self { me, table, scope: scope.parse().unwrap() }
    }

    pub fn device(&self) -> DeviceId {
        self.me.device()
    }

    pub fn person(&self) -> PersonId {
        self.me.person
    }

    /// The content key of an epoch, where it was ever here.
    pub fn key(&self, generation: u32, epoch: u64) -> Option<ContentKey> {
        KeyChain::load(&self.table, self.scope, generation).key(epoch).cloned()
    }

    /// Whether the scope's content was ever here.
    pub fn has_document(&self) -> bool {
        matches!(Document::load(&self.table, &self.scope.0, ScopeKind::Concern), Ok(Some(_)))
    }

    fn document(&self, incarnation: Incarnation) -> AutoCommit {
        let document = Document::load(&self.table, &self.scope.0, ScopeKind::Concern).unwrap().expect("a document");
        let mut document = AutoCommit::load(&document.shown().save()).unwrap();
        document.set_actor(actor_id(self.device(), incarnation));
        document
    }

    /// A change that the bare library makes; nobody asked the rules.
    pub fn make(&self, number: u8, edit: impl FnOnce(&mut AutoCommit) -> Result<(), AutomergeError>) -> Vec<u8> {
        let mut document = self.document([number; 8]);
        edit(&mut document).unwrap();
        document.commit();
        document.get_last_local_change().unwrap().raw_bytes().to_vec()
    }

    /// A line of changes of this device, each numbered as far ahead of the one before as a small step of it could be.
    pub fn striding(&self, count: u64) -> Vec<Vec<u8>> {
        let first = self.make(1, |d| self.put_entry(d, "glimpses", "s", "Steg"));
        let first = automerge::Change::from_bytes(first).unwrap().decode();
        let (mut before, mut changes) = (None, vec![]);
        for number in 1..=count {
            let mut change = first.clone();
            let start = (first.start_op.get() + number * ((1 << 20) - 10)).min(u64::from(u32::MAX) - 3);
            change.start_op = start.try_into().unwrap();
            change.seq = number;
            change.deps.extend(before);
            for op in &mut change.operations {
                match &mut op.obj {
                    legacy::ObjectId::Id(legacy::OpId(counter, actor)) if *actor == change.actor_id => {
                        *counter = *counter - first.start_op.get() + start;
                    }
                    _ => op.key = legacy::Key::Map(format!("s{number}").into()),
                }
            }
            let change = automerge::Change::from(change);
            before = Some(change.hash());
            changes.push(change.raw_bytes().to_vec());
        }
        changes
    }

    /// Puts an entry under this person's name.
    pub fn put_entry(&self, to: &mut AutoCommit, name: &str, id: &str, text: &str) -> Result<(), AutomergeError> {
        let entry = to.put_object(section(to, name), id, ObjType::Map)?;
        to.put(&entry, "author", to_hex(&self.person().0))?;
        to.put(&entry, "text", text)
    }

    /// The next event of this device on the chain as the home has it.
    pub fn event(&self, state: &ScopeState, body: Body) -> Event {
        Event {
            scope: self.scope,
            generation: state.membership.generation,
            epoch: state.epoch,
            device: self.device(),
            counter: state.counter(self.device()) + 1,
            seen: state.position,
            body,
        }
    }

    pub fn sign(&self, event: &Event) -> Signed<Event> {
        Signed::sign(event, &self.me.device_key())
    }

    /// Seals these bytes as this device's next change, well in all that the home can see.
    pub fn seal(&self, home: &ModelHome, changes: &[Vec<u8>]) -> Signed<Event> {
        let state = home.scopes[&self.scope].replica.state();
        let (salt, count) = ([9; 32], changes.len() as u16);
        let empty = Change { salt, count, tag: [0; 32], attachments: vec![], sealed: vec![].into() };
        let mut event = self.event(state, Body::Change(empty));
        let key = self.key(event.generation, event.epoch).expect("the present key");
        let header = encode(&SealContext::of(&event, count));
        let binding = seal::Binding { salt, device: event.device, counter: event.counter, header: &header };
        let sealed = seal::seal(&key, &binding, changes).unwrap();
        let tag = seal::change_tag(&key, &salt, changes);
        event.body = Body::Change(Change { salt, count, tag, attachments: vec![], sealed: sealed.into() });
        self.sign(&event)
    }

    pub fn submit(&self, home: &mut ModelHome, event: Signed<Event>) -> Result<(), String> {
        let bundle = Bundle { envelopes: vec![Envelope { event, welcome: None }], letters: vec![] };
        home.submit(self.device(), bundle).map(drop)
    }

    /// Seals and hands in; the home cannot see what is inside.
    pub fn write(&self, home: &mut ModelHome, changes: &[Vec<u8>]) {
        let event = self.seal(home, changes);
        self.submit(home, event).expect("the home sees nothing wrong");
    }
}

/// Who has an account and writes what no client writes: letters with genuine keys and false words.
impl Insider {
    pub fn account(device: &Device) -> Self {
        Self::of(device, &ScopeId::default().to_string())
    }

    /// To every device of a person, sealed and signed as the own client would.
    pub fn write_letter(&self, home: &mut ModelHome, to: PersonId, content: Content) {
        let body = LetterBody { to, written_at: home.now, sender_name: self.me.name.clone(), content };
        let from = self.me.credential().unwrap();
        let opened = encode(&Opened { from, body: Signed::sign(&body, &self.me.device_key()) });
        for record in home.accounts[&to].record.devices.clone() {
            let to = DeviceId::of_key(&record.certificate.peek().unwrap().device_key);
            let key = record.letter_key.as_slice();
            let sealed = letter::seal(&RustCrypto::default(), key, b"stafett/1 letter", &to.0, &opened).unwrap();
            home.post(to, Mail::Letter(Letter { to, kem: sealed.kem.into(), sealed: sealed.sealed.into() }));
        }
    }
}
