//! What a change writes, read from its operations and never from their visible effect: a change may write beneath another value, or
//! claim to replace a value that lies elsewhere.

use automerge::{Change, ExpandedChange, ObjType, ScalarValue, legacy};
use stafett_protocol::membership::ScopeKind;

use super::history::{Addition, History, Layered, Op, Place, op, op_at};
use super::reason::Reason;
use super::schema::{FIRST_ACTOR, Field, Keys, Section, sections};

/// A new entry with all that its change writes into it.
#[derive(Debug)]
pub struct NewEntry {
    pub section: &'static Section,
    pub key: String,
    pub fields: Vec<(&'static Field, ScalarValue)>,
}

/// A field written in a record or in an entry that was there before.
#[derive(Debug)]
pub struct Write {
    pub section: &'static Section,
    pub entry: Option<String>,
    pub field: &'static Field,
    pub value: ScalarValue,
}

/// Everything that a change writes.
#[derive(Debug, Default)]
pub struct Touch {
    pub entries: Vec<NewEntry>,
    pub writes: Vec<Write>,
}

/// Reads a change. The addition is what the history learns from it.
pub fn read(
    kind: ScopeKind,
    change: &Change,
    expanded: &ExpandedChange,
    history: &Layered<'_, History>,
) -> Result<(Touch, Addition), Reason> {
    let mut reading =
        Reading { sections: sections(kind), history, touch: Touch::default(), addition: Addition::of(change) };
    for (operation, counter) in expanded.operations.iter().zip(change.start_op().get()..) {
        reading.operation(operation, op_at(counter, change.actor_id()).ok_or(Reason::Actor)?)?;
    }
    Ok((reading.touch, reading.addition))
}

/// Records the first change, which makes the sections themselves.
#[must_use]
pub fn first_addition(kind: ScopeKind, change: &Change) -> Addition {
    let mut addition = Addition::of(change);
    for (section, counter) in (0..sections(kind).len()).zip(change.start_op().get()..) {
        addition.objects.push(((counter, FIRST_ACTOR), Place { section, entry: None }));
    }
    addition
}

struct Reading<'a> {
    sections: &'static [Section],
    history: &'a Layered<'a, History>,
    touch: Touch,
    addition: Addition,
}

impl Reading<'_> {
    fn operation(&mut self, write: &legacy::Op, at: Op) -> Result<(), Reason> {
        let (legacy::ObjectId::Id(object), legacy::Key::Map(key), false) = (&write.obj, &write.key, write.insert)
        else {
            // Nothing is ever written beside the sections.
            return Err(Reason::Schema);
        };
        // Nothing is written into what is numbered later: it cannot have been known.
        let object = op(object).filter(|object| object.0 < at.0).ok_or(Reason::UnknownObject)?;
        match &write.action {
            legacy::OpType::Make(ObjType::Map) => self.new_entry(write, object, key, at),
            legacy::OpType::Put(value) => self.value(write, object, key, value, at),
            _ => Err(Reason::Operation),
        }
    }

    fn new_entry(&mut self, write: &legacy::Op, object: Op, key: &str, at: Op) -> Result<(), Reason> {
        let own = self.addition.objects.iter().find(|(made, _)| *made == object).map(|(_, place)| place);
        let place = own.or_else(|| self.history.place(object)).ok_or(Reason::UnknownObject)?.clone();
        let section = self.sections.get(place.section).ok_or(Reason::Schema)?;
        if place.entry.is_some() || !section.takes_key(key) {
            return Err(Reason::Schema);
        }
        if !write.pred.is_empty() || self.touch.entries.iter().any(|new| new.section == section && new.key == key) {
            return Err(Reason::Once);
        }
        self.addition.objects.push((at, Place { section: place.section, entry: Some(key.into()) }));
        self.touch.entries.push(NewEntry { section, key: key.into(), fields: Vec::new() });
        Ok(())
    }

    fn value(&mut self, write: &legacy::Op, object: Op, key: &str, value: &ScalarValue, at: Op) -> Result<(), Reason> {
        // Objects of this change and its new entries stand in the same order.
        let own = self.addition.objects.iter().position(|(made, _)| *made == object);
        let new = own.and_then(|own| self.touch.entries.get_mut(own));
        let place = self.history.place(object);
        let section = match (&new, place) {
            (Some(new), _) => new.section,
            (None, Some(place)) => self.sections.get(place.section).ok_or(Reason::Schema)?,
            (None, None) => return Err(Reason::UnknownObject),
        };
        let field = section.field(key).ok_or(Reason::Schema)?;
        if !field.kind.takes(value) {
            return Err(Reason::Value);
        }
        if let Some(new) = new {
            if !write.pred.is_empty() || new.fields.iter().any(|(known, _)| known.name == field.name) {
                return Err(Reason::Once);
            }
            new.fields.push((field, value.clone()));
        } else if let Some(place) = place {
            let entry = place.entry.clone();
            if entry.is_none() && section.keys != Keys::None {
                return Err(Reason::Schema);
            }
            self.replaced(write, object, field)?;
            self.touch.writes.push(Write { section, entry, field, value: value.clone() });
        }
        if field.late {
            self.addition.late.push((at, (object, field.name)));
        }
        Ok(())
    }

    /// Every value that an operation says it replaces was written to the same field: else it would strike out something elsewhere.
    fn replaced(&self, write: &legacy::Op, object: Op, field: &Field) -> Result<(), Reason> {
        for cited in write.pred.iter() {
            let cited = op(cited).ok_or(Reason::Predecessor)?;
            let here = self.addition.late.iter().find(|(at, _)| *at == cited).map(|(_, written)| *written);
            if here.or_else(|| self.history.late(cited)) != Some((object, field.name)) {
                return Err(Reason::Predecessor);
            }
        }
        Ok(())
    }
}
