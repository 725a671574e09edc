//! How each thing is written, in the one shape that the rules take. Used inside [`super::Document::edit`].

use automerge::transaction::Transactable;
use automerge::{AutomergeError, ObjType, ROOT, ReadDoc, ScalarValue};
use stafett_protocol::ids::{PersonId, ScopeId, to_hex};

use super::attached::Attached;
use super::schema::AUTHOR;

type Written = Result<(), AutomergeError>;

/// Whose task a measure is (tiltak i tjenesten, hjemme, hos barnet).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arena {
    Service,
    Home,
    Child,
}

/// Who is responsible for a measure: exactly one (F3); at home the guardians together (F6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Responsible {
    Person(PersonId),
    Family,
    Child,
}

/// How an evaluated measure worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Green,
    Yellow,
    Red,
}

impl Arena {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Home => "home",
            Self::Child => "child",
        }
    }

    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Service, Self::Home, Self::Child].into_iter().find(|arena| arena.word() == word)
    }
}

impl Colour {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }

    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Green, Self::Yellow, Self::Red].into_iter().find(|colour| colour.word() == word)
    }
}

impl Responsible {
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Person(person) => to_hex(&person.0),
            Self::Family => "family".into(),
            Self::Child => "child".into(),
        }
    }
}

/// A measure (tiltak) to be published.
#[derive(Debug, Clone)]
pub struct NewMeasure {
    pub id: String,
    pub text: String,
    pub arena: Arena,
    pub responsible: Responsible,
    /// YYYY-MM-DD.
    pub due: Option<String>,
    /// Its place on the stair of small steps (tiltakstrapp).
    pub step: Option<u8>,
}

/// A concern's goal (mål): present tense, conditions, how it looks (A, B, C).
#[derive(Debug, Clone, Default)]
pub struct NewGoal {
    pub text: String,
    pub present: Option<String>,
    pub conditions: Option<String>,
    pub looks_like: Option<String>,
    pub until: Option<String>,
    pub success_sign: Option<String>,
}

/// The fields of an entry, gathered; absent ones are left out.
#[derive(Debug, Default)]
struct Fields(Vec<(&'static str, ScalarValue)>);

impl Fields {
    fn by(author: PersonId) -> Self {
        Self::default().text(AUTHOR, to_hex(&author.0))
    }

    fn value(mut self, field: &'static str, value: impl Into<ScalarValue>) -> Self {
        self.0.push((field, value.into()));
        self
    }

    fn text(self, field: &'static str, text: impl AsRef<str>) -> Self {
        self.value(field, text.as_ref())
    }

    fn maybe(self, field: &'static str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(field, text),
            None => self,
        }
    }
}

fn section_of(to: &impl ReadDoc, section: &str) -> Result<automerge::ObjId, AutomergeError> {
    let found = to.get(ROOT, section)?.map(|(_, object)| object);
    found.ok_or_else(|| AutomergeError::InvalidObjId(section.into()))
}

fn add(to: &mut impl Transactable, section: &str, key: &str, fields: Fields) -> Written {
    let section = section_of(to, section)?;
    let entry = to.put_object(&section, key, ObjType::Map)?;
    fields.0.into_iter().try_for_each(|(field, value)| put(to, &entry, field, value))
}

fn set(to: &mut impl Transactable, section: &str, entry: Option<&str>, fields: Fields) -> Written {
    let mut object = section_of(to, section)?;
    if let Some(key) = entry {
        let found = to.get(&object, key)?.map(|(_, entry)| entry);
        object = found.ok_or_else(|| AutomergeError::InvalidObjId(key.into()))?;
    }
    fields.0.into_iter().try_for_each(|(field, value)| put(to, &object, field, value))
}

/// Writes a field. Where several values stand side by side, the library takes the shown one, written again, for a wish to
/// strike the others out, and makes a deletion, which no reader takes. So one of the others is written first: then the
/// choice is a value like any other, and names all that it replaces.
pub(super) fn put(to: &mut impl Transactable, object: &automerge::ObjId, field: &str, value: ScalarValue) -> Written {
    let standing: Vec<ScalarValue> =
        to.get_all(object, field)?.into_iter().filter_map(|(v, _)| v.as_scalar().cloned()).collect();
    let shown = to.get(object, field)?.and_then(|(v, _)| v.as_scalar().cloned());
    if standing.len() > 1 && shown.as_ref() == Some(&value) {
        match standing.into_iter().find(|other| *other != value) {
            Some(other) => to.put(object, field, other)?,
            // All say the same: there is nothing to choose.
            None => return Ok(()),
        }
    }
    to.put(object, field, value)
}

/// Publishes a concern with its goal and its first measures, all at once (E12).
pub fn publish_concern(
    to: &mut impl Transactable,
    author: PersonId,
    title: &str,
    category: Option<&str>,
    goal: &NewGoal,
    measures: &[NewMeasure],
) -> Written {
    set(to, "about", None, Fields::default().text("title", title).maybe("category", category).text("state", "open"))?;
    let fields = Fields::default()
        .text("text", &goal.text)
        .maybe("present", goal.present.as_deref())
        .maybe("conditions", goal.conditions.as_deref())
        .maybe("looks_like", goal.looks_like.as_deref())
        .maybe("until", goal.until.as_deref())
        .maybe("success_sign", goal.success_sign.as_deref());
    set(to, "goal", None, fields)?;
    measures.iter().try_for_each(|measure| add_measure(to, author, measure))
}

pub fn add_measure(to: &mut impl Transactable, author: PersonId, measure: &NewMeasure) -> Written {
    let mut fields = Fields::by(author)
        .text("text", &measure.text)
        .text("arena", measure.arena.word())
        .text("responsible", measure.responsible.word())
        .maybe("due", measure.due.as_deref());
    if let Some(step) = measure.step {
        fields = fields.value("step", i64::from(step));
    }
    add(to, "measures", &measure.id, fields)
}

/// Rewrites a measure's text: its author, within eight hours (F7).
pub fn rewrite_measure(to: &mut impl Transactable, id: &str, text: &str) -> Written {
    set(to, "measures", Some(id), Fields::default().text("text", text))
}

/// Marks a measure as wrongly recorded (feilregistrert): replaced by another one, or simply ended (F8, F9).
pub fn supersede_measure(to: &mut impl Transactable, id: &str, by: Option<&str>) -> Written {
    let alternative: i64 = if by.is_some() { 1 } else { 2 };
    set(to, "measures", Some(id), Fields::default().value("superseded", alternative).maybe("superseded_by", by))
}

pub fn evaluate(
    to: &mut impl Transactable,
    author: PersonId,
    id: &str,
    measure: &str,
    result: Colour,
    text: Option<&str>,
    family_agrees: bool,
) -> Written {
    let mut fields = Fields::by(author).text("measure", measure).text("result", result.word()).maybe("text", text);
    if family_agrees {
        fields = fields.value("family_agrees", true);
    }
    add(to, "evaluations", id, fields)
}

/// The family's word on whether a measure worked: the last one (G3).
pub fn mark_as_family(
    to: &mut impl Transactable,
    author: PersonId,
    id: &str,
    measure: &str,
    (result, agrees): (Colour, bool),
    text: Option<&str>,
) -> Written {
    let fields = Fields::by(author).text("measure", measure).value("agrees", agrees).text("result", result.word());
    add(to, "family_marks", id, fields.maybe("text", text))
}

/// A glimpse (lysglimt); `time` is the author's claim of when it was.
pub fn add_glimpse(to: &mut impl Transactable, author: PersonId, id: &str, text: &str, time: Option<&str>) -> Written {
    add(to, "glimpses", id, Fields::by(author).text("text", text).maybe("time", time))
}

/// Hangs a sealed file on an entry that is added in the same change (I4).
pub fn attach(to: &mut impl Transactable, section: &str, id: &str, file: &Attached) -> Written {
    let fields = Fields::default()
        .text("attachment", to_hex(&file.id.0))
        .text("attachment_key", to_hex(&file.key))
        .text("attachment_name", &file.name)
        .value("attachment_size", i64::try_from(file.size).unwrap_or(i64::MAX));
    set(to, section, Some(id), fields)
}

pub fn add_comment(to: &mut impl Transactable, author: PersonId, id: &str, text: &str, on: Option<&str>) -> Written {
    add(to, "comments", id, Fields::by(author).text("text", text).maybe("on", on))
}

/// A measure that family or child propose (F11).
pub fn propose(to: &mut impl Transactable, author: PersonId, id: &str, text: &str, arena: Option<Arena>) -> Written {
    add(to, "proposals", id, Fields::by(author).text("text", text).maybe("arena", arena.map(Arena::word)))
}

/// The holder made a measure of a proposal.
pub fn adopt_proposal(to: &mut impl Transactable, id: &str, measure: &str) -> Written {
    set(to, "proposals", Some(id), Fields::default().text("adopted", measure))
}

/// Corrects the title or the goal, which stay as they were published (E11). `of` is `title` or `goal`.
pub fn add_correction(to: &mut impl Transactable, author: PersonId, id: &str, of: &str, text: &str) -> Written {
    add(to, "corrections", id, Fields::by(author).text("of", of).text("text", text))
}

/// Who the child is.
pub fn describe_child(to: &mut impl Transactable, name: &str, born: &str, level: u8) -> Written {
    let fields = Fields::default().text("child_name", name).text("born", born).value("level", i64::from(level));
    set(to, "log", None, fields.text("status", "active"))
}

pub fn set_level(to: &mut impl Transactable, level: u8) -> Written {
    set(to, "log", None, Fields::default().value("level", i64::from(level)))
}

/// Writes who a person is, into the card or a unit's directory. Writing again changes what differs.
pub fn present_person(
    to: &mut impl Transactable,
    section: &str,
    person: PersonId,
    name: &str,
    unit: Option<&str>,
    title: Option<&str>,
) -> Written {
    let key = to_hex(&person.0);
    let fields = Fields::default().text("name", name).maybe("unit", unit).maybe("title", title);
    if to.get(section_of(to, section)?, &key)?.is_some() {
        set(to, section, Some(&key), fields)
    } else {
        add(to, section, &key, fields)
    }
}

/// Why the baton passed, and to whom: written by who holds.
pub fn note_handover(to: &mut impl Transactable, author: PersonId, id: &str, reason: &str, receiver: &str) -> Written {
    add(to, "handovers", id, Fields::by(author).text("reason", reason).text("to", receiver))
}

/// Enters a concern in the journal's list.
pub fn list_concern(to: &mut impl Transactable, scope: ScopeId, title: &str) -> Written {
    add(to, "concerns", &to_hex(&scope.0), Fields::default().text("title", title).text("state", "open"))
}

pub fn set_listed_state(to: &mut impl Transactable, scope: ScopeId, open: bool) -> Written {
    let state = Fields::default().text("state", if open { "open" } else { "closed" });
    set(to, "concerns", Some(&to_hex(&scope.0)), state)
}

/// A note (notat), or what the family asks for: `section` is `notes` or `requests`.
pub fn add_text(to: &mut impl Transactable, author: PersonId, section: &str, id: &str, text: &str) -> Written {
    add(to, section, id, Fields::by(author).text("text", text))
}

pub fn answer_request(to: &mut impl Transactable, id: &str, answer: &str) -> Written {
    set(to, "requests", Some(id), Fields::default().text("answer", answer))
}
