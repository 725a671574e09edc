//! Who may write what: the content rules of the domain, as one table. The server cannot see them kept, so every client asks here, for
//! its own edits and for everyone's changes alike. Whatever no row allows is refused.

use stafett_protocol::ids::{Millis, PersonId, to_hex};
use stafett_protocol::limits::EDIT_WINDOW_MILLIS;
use stafett_protocol::membership::{Role, ScopeKind};

use automerge::ScalarValue;

use super::facts::{EVALUATIONS, EntryFact, Facts, NewFacts};
use super::history::Layered;
use super::reason::Reason;
use super::schema::{AUTHOR, Keys};
use super::touch::{NewEntry, Touch, Write};

/// Which entries a role may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Any,
    /// One's own: under one's own id, or written by oneself.
    Own,
    /// Of a measure for which one is responsible.
    Responsible,
}

/// What is done in a section: adding an entry or first filling a record, or writing a late field again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Create,
    Write(&'static str),
    /// Any late field.
    WriteAny,
}

/// One line of the table.
#[derive(Debug)]
pub struct Rule {
    pub kind: ScopeKind,
    pub section: &'static str,
    pub act: Act,
    pub allowed: &'static [(Role, Whose)],
}

const fn rule(kind: ScopeKind, section: &'static str, act: Act, allowed: &'static [(Role, Whose)]) -> Rule {
    Rule { kind, section, act, allowed }
}

use Act::{Create, Write as Again, WriteAny};
use Role::{Actor, Child, Employee, Guardian, Holder, Leader};
use ScopeKind::{Card, Concern, Journal, Personal, Unit};
use Whose::{Any, Own, Responsible};

const HOLDER: &[(Role, Whose)] = &[(Holder, Any)];
const FAMILY: &[(Role, Whose)] = &[(Guardian, Any), (Child, Any)];
/// Everyone who is part of the work writes glimpses and comments (I1): parents, child, actors, holder.
const PARTICIPANTS: &[(Role, Whose)] = &[(Holder, Any), (Actor, Any), (Guardian, Any), (Child, Any)];
const PRESENTED: &[(Role, Whose)] = &[(Holder, Any), (Actor, Own), (Guardian, Own), (Child, Own)];

/// The whole table. `rules.txt` beside this file shows it for review.
pub const RULES: &[Rule] = &[
    rule(Card, "log", Create, HOLDER),
    rule(Card, "log", WriteAny, HOLDER),
    rule(Card, "people", Create, PRESENTED),
    rule(Card, "people", WriteAny, PRESENTED),
    rule(Card, "meetings", Create, HOLDER),
    rule(Card, "meetings", Again("state"), HOLDER),
    rule(Card, "handovers", Create, HOLDER),
    rule(Journal, "concerns", Create, HOLDER),
    rule(Journal, "concerns", Again("state"), HOLDER),
    rule(Journal, "notes", Create, HOLDER),
    rule(Journal, "consent_texts", Create, HOLDER),
    rule(Journal, "requests", Create, FAMILY),
    rule(Journal, "requests", Again("answer"), HOLDER),
    // E11: title and goal have no edit window; corrections are added beside them.
    rule(Concern, "about", Create, HOLDER),
    rule(Concern, "about", Again("state"), HOLDER),
    rule(Concern, "goal", Create, HOLDER),
    rule(Concern, "corrections", Create, HOLDER),
    rule(Concern, "measures", Create, HOLDER),
    // F7: by its author, for eight hours; the window is checked below.
    rule(Concern, "measures", Again("text"), &[(Holder, Own)]),
    rule(Concern, "measures", Again("superseded"), HOLDER),
    rule(Concern, "measures", Again("superseded_by"), HOLDER),
    rule(Concern, EVALUATIONS, Create, &[(Holder, Any), (Actor, Responsible)]),
    // G3: child and family have the last word.
    rule(Concern, "family_marks", Create, FAMILY),
    rule(Concern, "glimpses", Create, PARTICIPANTS),
    rule(Concern, "comments", Create, PARTICIPANTS),
    rule(Concern, "proposals", Create, FAMILY),
    rule(Concern, "proposals", Again("adopted"), HOLDER),
    rule(Unit, "directory", Create, &[(Leader, Any)]),
    rule(Unit, "directory", WriteAny, &[(Leader, Any)]),
    rule(Unit, "counts", Create, &[(Leader, Own), (Employee, Own)]),
    rule(Unit, "counts", WriteAny, &[(Leader, Own), (Employee, Own)]),
    rule(Personal, "notes", Create, &[(Role::Own, Any)]),
    rule(Personal, "notes", WriteAny, &[(Role::Own, Any)]),
];

/// Which entries of a section a role may write in this way; none if no rule allows it.
#[must_use]
pub fn allowed(kind: ScopeKind, section: &str, act: Act, role: Role) -> Option<Whose> {
    let fits = |rule: &&Rule| {
        let acts = rule.act == act || (rule.act == WriteAny && matches!(act, Again(_)));
        rule.kind == kind && rule.section == section && acts
    };
    let lines = RULES.iter().filter(fits).flat_map(|rule| rule.allowed);
    lines.filter(|(allowed, _)| *allowed == role).map(|(_, whose)| *whose).next()
}

/// Who wrote a change, and when its event was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    pub person: PersonId,
    pub role: Role,
    pub received_ms: Millis,
    /// The number of the event in its chain.
    pub event: u64,
}

/// Judges all that a change writes, before the facts of those accepted earlier. The answer is what the facts gain.
pub fn judge(
    kind: ScopeKind,
    touch: &Touch,
    writer: &Writer,
    place: u32,
    facts: &Layered<'_, Facts>,
) -> Result<NewFacts, Reason> {
    let mut new = NewFacts::default();
    for (entry, within) in touch.entries.iter().zip(0..) {
        let fact = created(kind, entry, touch, writer, (writer.event, place, within), facts)?;
        new.entries.push((entry.section.name.into(), entry.key.clone(), fact));
    }
    for write in &touch.writes {
        if let Some(written) = written(kind, write, writer, facts)? {
            if new.writes(written.0, written.1) && !write.field.late {
                return Err(Reason::Once);
            }
            new.written.push((written.0.into(), written.1.into()));
        }
    }
    complete(kind, &new, facts)?;
    Ok(new)
}

fn created(
    kind: ScopeKind,
    entry: &NewEntry,
    touch: &Touch,
    writer: &Writer,
    order: (u64, u32, u32),
    facts: &Layered<'_, Facts>,
) -> Result<EntryFact, Reason> {
    let section = entry.section;
    if facts.entry(section.name, &entry.key).is_some() {
        return Err(Reason::Once);
    }
    let text = |name: &str| {
        entry.fields.iter().find(|(field, _)| field.name == name).and_then(|(_, value)| match value {
            ScalarValue::Str(text) => Some(text.to_string()),
            _ => None,
        })
    };
    if section
        .fields
        .iter()
        .any(|field| field.required && !entry.fields.iter().any(|(given, _)| given.name == field.name))
    {
        return Err(Reason::Missing);
    }
    let me = to_hex(&writer.person.0);
    if section.keys == Keys::Random && text(AUTHOR).as_deref() != Some(&me) {
        return Err(Reason::Author);
    }
    let measure = text("measure");
    // A measure may be written and evaluated in one change.
    let own_measure = |id: &str| {
        let new = touch.entries.iter().find(|new| new.section.name == "measures" && new.key == id)?;
        let given = new.fields.iter().find(|(field, _)| field.name == "responsible")?;
        given.1.as_str().map(str::to_owned)
    };
    let responsible = match &measure {
        Some(id) => {
            let known = facts.entry("measures", id).and_then(|fact| fact.responsible.clone());
            Some(known.or_else(|| own_measure(id)).ok_or(Reason::Missing)?)
        }
        None => None,
    };
    let holds = match allowed(kind, section.name, Create, writer.role).ok_or(Reason::Role)? {
        Any => true,
        Own => section.keys == Keys::Random || entry.key == me,
        Responsible => responsible.as_deref() == Some(&me),
    };
    if !holds {
        return Err(Reason::Role);
    }
    // G1: once. Two who evaluate offline are both kept, and the first received counts.
    let again = |id: &String| facts.has_evaluated(writer.person, id);
    if section.name == EVALUATIONS && measure.as_ref().is_some_and(again) {
        return Err(Reason::Once);
    }
    Ok(EntryFact {
        author: writer.person.0,
        received_ms: writer.received_ms,
        order,
        responsible: text("responsible"),
        measure,
    })
}

/// Judges a write outside new entries; the answer is the record's field, if it is one.
fn written(
    kind: ScopeKind,
    write: &Write,
    writer: &Writer,
    facts: &Layered<'_, Facts>,
) -> Result<Option<(&'static str, &'static str)>, Reason> {
    let (section, field) = (write.section, write.field);
    let first = write.entry.is_none() && !facts.is_written(section.name, field.name);
    if !first && !field.late {
        return Err(Reason::Once);
    }
    let act = if first { Create } else { Again(field.name) };
    let whose = allowed(kind, section.name, act, writer.role).ok_or(Reason::Role)?;
    let Some(key) = &write.entry else {
        return Ok(first.then_some((section.name, field.name)));
    };
    // Without a fact the entry is new in this very change, whose fields never come here, or unknown.
    let fact = facts.entry(section.name, key).ok_or(Reason::UnknownObject)?;
    let own = if section.keys == Keys::Random { fact.is_by(writer.person) } else { *key == to_hex(&writer.person.0) };
    if whose != Any && !own {
        return Err(Reason::Role);
    }
    // F7: by receipt times alone, since clocks of devices prove nothing.
    let measure_text = kind == Concern && section.name == "measures" && field.name == "text";
    if measure_text && writer.received_ms.saturating_sub(fact.received_ms) > EDIT_WINDOW_MILLIS {
        return Err(Reason::Window);
    }
    Ok(None)
}

/// E12: a concern appears with its title, its goal and its first measure at once, and nothing comes before that.
fn complete(kind: ScopeKind, new: &NewFacts, facts: &Layered<'_, Facts>) -> Result<(), Reason> {
    let published = facts.is_written("about", "title");
    if kind != Concern || published {
        return Ok(());
    }
    let measured = new.entries.iter().any(|(section, ..)| section == "measures");
    if new.writes("about", "title") && new.writes("goal", "text") && measured {
        Ok(())
    } else {
        Err(Reason::Incomplete)
    }
}
