//! Tests of the document room: a few people with devices, a home that gives numbers and times, and hostile members.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod beside;
mod convergence;
mod domain;
mod hostile;
mod living;

use automerge::transaction::Transactable;
use automerge::{AutoCommit, AutomergeError, ObjId, ObjType, ROOT, ReadDoc};
use stafett_protocol::ids::{DeviceId, Millis, PersonId, to_hex};
use stafett_protocol::membership::{Role, ScopeKind};

use super::edit::{self, Arena, NewGoal, NewMeasure, Responsible};
use super::gate::actor_id;
use super::*;

/// A person with one device.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    pub number: u8,
    pub role: Role,
}

pub const TEACHER: Who = Who { number: 1, role: Role::Holder };
pub const MOTHER: Who = Who { number: 2, role: Role::Guardian };
pub const CHILD: Who = Who { number: 3, role: Role::Child };
pub const NURSE: Who = Who { number: 4, role: Role::Actor };
pub const PPT: Who = Who { number: 5, role: Role::Reader };

pub const START: Millis = 1_790_000_000_000;

impl Who {
    pub fn person(self) -> PersonId {
        PersonId([self.number; 16])
    }

    pub fn device(self) -> DeviceId {
        DeviceId([self.number + 100; 16])
    }

    pub fn editor(self) -> Editor {
        Editor { person: self.person(), device: self.device(), role: self.role, now_ms: START, fresh: [self.number; 8] }
    }

    pub fn event(self, number: u64, received_ms: Millis, changes: Vec<Vec<u8>>) -> Received {
        let writer = Writer { person: self.person(), role: self.role, received_ms, event: number };
        Received { device: self.device(), writer, changes }
    }
}

pub fn measure(id: &str, responsible: Responsible) -> NewMeasure {
    let arena = if responsible == Responsible::Family { Arena::Home } else { Arena::Service };
    NewMeasure { id: id.into(), text: format!("Tiltak {id}"), arena, responsible, due: None, step: None }
}

/// The change that publishes the guide's concern, and a document that has it.
pub fn published() -> (Document, Vec<Received>) {
    let mut document = Document::new(ScopeKind::Concern).unwrap();
    let goal = NewGoal { text: "Ella gjør lekser hver dag".into(), ..NewGoal::default() };
    let measures = [
        measure("school", Responsible::Person(TEACHER.person())),
        measure("home", Responsible::Family),
        measure("nurse", Responsible::Person(NURSE.person())),
    ];
    let (_, change) = document
        .edit(&TEACHER.editor(), |to| {
            edit::publish_concern(to, TEACHER.person(), "Ella arbeider med lekser", None, &goal, &measures)
        })
        .unwrap();
    let events = vec![TEACHER.event(1, START, vec![change])];
    assert!(matches!(document.accept(&events).unwrap().outcomes[..], [Outcome::Applied(_)]));
    assert_eq!(document.pending().len(), 0);
    (document, events)
}

/// Another reader of the same chain.
pub fn reader(events: &[Received]) -> Document {
    let mut document = Document::new(ScopeKind::Concern).unwrap();
    document.accept(events).unwrap();
    document
}

/// What someone writes with the bare library, past all rules of their own client.
pub fn forged(
    from: &Document,
    who: Who,
    incarnation: u8,
    edit: impl FnOnce(&mut AutoCommit) -> Result<(), AutomergeError>,
) -> Vec<u8> {
    let mut document = AutoCommit::load(&from.accepted.document.save()).unwrap();
    document.set_actor(actor_id(who.device(), [incarnation; 8]));
    edit(&mut document).unwrap();
    document.commit();
    document.get_last_local_change().unwrap().raw_bytes().to_vec()
}

pub fn section(document: &AutoCommit, name: &str) -> ObjId {
    document.get(ROOT, name).unwrap().unwrap().1
}

pub fn entry(document: &AutoCommit, name: &str, key: &str) -> ObjId {
    document.get(section(document, name), key).unwrap().unwrap().1
}

/// Puts a whole entry with text fields.
pub fn put_entry(
    document: &mut AutoCommit,
    name: &str,
    key: &str,
    fields: &[(&str, &str)],
) -> Result<(), AutomergeError> {
    let section = section(document, name);
    let entry = document.put_object(section, key, ObjType::Map)?;
    fields.iter().try_for_each(|(field, value)| document.put(&entry, *field, *value))
}

/// The verdict on one change, which must leave the document usable.
pub fn verdict(document: &mut Document, event: &Received) -> Outcome {
    let outcome = document.accept(core::slice::from_ref(event)).unwrap().outcomes[0];
    let id = format!("after-{}", event.writer.event);
    let (_, change) = document
        .edit(&TEACHER.editor(), |to| edit::add_glimpse(to, TEACHER.person(), &id, "Det går fint", None))
        .expect("the document stays usable");
    let next = TEACHER.event(event.writer.event + 1000, START, vec![change]);
    assert!(matches!(document.accept(&[next]).unwrap().outcomes[..], [Outcome::Applied(_)]));
    outcome
}

pub fn hex(who: Who) -> String {
    to_hex(&who.person().0)
}
