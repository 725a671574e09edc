//! Documents as people see them: plain structs, sorted by receipt, one's own pending entries last. Author and time of an entry come
//! from its receipt; what an author claims is shown as a claim.

use std::collections::{BTreeMap, HashMap, HashSet};

use automerge::{Automerge, ROOT, ReadDoc, ScalarValue, Value};
use stafett_protocol::ids::{Millis, PersonId, ScopeId, from_hex};
use stafett_protocol::limits::EDIT_WINDOW_MILLIS;

use super::accepted::guarded;
use super::facts::EntryFact;
use super::own::Document;
use super::schema::AUTHOR;

/// Any entry of a section.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub id: String,
    /// The verified author; for a pending entry, oneself.
    pub author: Option<PersonId>,
    /// When the home received it; none while it is pending.
    pub received_ms: Option<Millis>,
    pub fields: BTreeMap<String, ScalarValue>,
    order: Option<(u64, u32, u32)>,
}

impl Entry {
    #[must_use]
    pub fn text(&self, field: &str) -> Option<String> {
        match self.fields.get(field) {
            Some(ScalarValue::Str(text)) => Some(text.to_string()),
            _ => None,
        }
    }

    #[must_use]
    pub fn number(&self, field: &str) -> Option<i64> {
        match self.fields.get(field) {
            Some(ScalarValue::Int(number)) => Some(*number),
            _ => None,
        }
    }

    #[must_use]
    pub fn flag(&self, field: &str) -> Option<bool> {
        match self.fields.get(field) {
            Some(ScalarValue::Boolean(flag)) => Some(*flag),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.received_ms.is_none()
    }
}

/// The card: who the child is and who takes part.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CardView {
    pub child_name: String,
    pub born: String,
    pub level: Option<i64>,
    pub status: String,
    pub people: Vec<PersonView>,
    pub meetings: Vec<Entry>,
    pub handovers: Vec<Entry>,
}

/// A person as presented in a card or directory.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonView {
    pub person: PersonId,
    pub name: String,
    pub unit: Option<String>,
    pub title: Option<String>,
}

/// The journal: the list of concerns and what belongs to the whole log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JournalView {
    pub concerns: Vec<ListedConcern>,
    pub notes: Vec<Entry>,
    pub consent_texts: Vec<Entry>,
    pub requests: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ListedConcern {
    pub scope: ScopeId,
    pub title: String,
    pub open: bool,
}

/// A concern with everything in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConcernView {
    pub title: String,
    pub category: Option<String>,
    pub open: bool,
    pub goal: BTreeMap<String, ScalarValue>,
    pub corrections: Vec<Entry>,
    pub measures: Vec<MeasureView>,
    pub glimpses: Vec<GlimpseView>,
    pub comments: Vec<Entry>,
    pub proposals: Vec<Entry>,
}

impl ConcernView {
    /// The goal's sentence.
    #[must_use]
    pub fn goal_text(&self) -> &str {
        match self.goal.get("text") {
            Some(ScalarValue::Str(text)) => text,
            _ => "",
        }
    }
}

/// A measure with what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasureView {
    pub id: String,
    pub author: Option<PersonId>,
    pub received_ms: Option<Millis>,
    pub text: String,
    /// Written at the same time as the text, and kept beside it until somebody writes it anew.
    pub beside: Vec<String>,
    pub arena: String,
    /// A person's id in hexadecimal, `family` or `child`.
    pub responsible: String,
    pub due: Option<String>,
    pub step: Option<i64>,
    /// 1: replaced, 2: wrongly recorded; and by which measure.
    pub superseded: Option<(i64, Option<String>)>,
    /// The first received evaluation counts (G1).
    pub evaluation: Option<Entry>,
    /// Evaluations made meanwhile by others: shown as remarks, never dropped.
    pub remarks: Vec<Entry>,
    /// What each of the family has said of it, in the order of receipt.
    pub marks: Vec<Entry>,
    /// The family's last word (G3): true if nobody of it disagrees. Until it marks itself, what the evaluation says it said.
    pub family_agrees: Option<bool>,
    /// The actor already had an active measure in this concern (E1): the holder is asked.
    pub parked: bool,
    /// Until when its author may change the text (F7).
    pub editable_until_ms: Option<Millis>,
}

/// A glimpse (lysglimt).
#[derive(Debug, Clone, PartialEq)]
pub struct GlimpseView {
    pub id: String,
    pub author: Option<PersonId>,
    pub received_ms: Option<Millis>,
    pub text: String,
    /// What the author says of when it was.
    pub claimed_time: Option<String>,
}

impl Document {
    /// All entries of a section, in the order of receipt; pending ones last.
    #[must_use]
    pub fn entries(&self, section: &str) -> Vec<Entry> {
        // Names are looked up while commits are planned: a document that the library cannot read shows nothing, and stops nothing.
        guarded(|| self.read_entries(section)).unwrap_or_default()
    }

    fn read_entries(&self, section: &str) -> Vec<Entry> {
        let shown = self.shown();
        let Ok(Some((_, object))) = shown.get(ROOT, section) else {
            return Vec::new();
        };
        let mut entries: Vec<Entry> = shown
            .map_range(&object, ..)
            .map(|item| self.entry_of(section, item.key.to_string(), fields_of(shown, &item.id())))
            .collect();
        // None sorts before Some: turn it round so that pending entries come last.
        entries.sort_by(|a, b| (a.order.is_none(), a.order, &a.id).cmp(&(b.order.is_none(), b.order, &b.id)));
        entries
    }

    /// One entry of a section.
    #[must_use]
    pub fn entry(&self, section: &str, id: &str) -> Option<Entry> {
        guarded(|| self.read_entry(section, id)).unwrap_or_default()
    }

    fn read_entry(&self, section: &str, id: &str) -> Option<Entry> {
        let shown = self.shown();
        let (_, object) = shown.get(ROOT, section).ok()??;
        let (_, entry) = shown.get(&object, id).ok()??;
        Some(self.entry_of(section, id.to_owned(), fields_of(shown, &entry)))
    }

    /// How many entries a section has.
    #[must_use]
    pub fn count(&self, section: &str) -> usize {
        let object = || self.shown().get(ROOT, section).ok().flatten();
        guarded(|| object().map_or(0, |(_, object)| self.shown().length(&object))).unwrap_or_default()
    }

    /// The fields of a section that is one record.
    #[must_use]
    pub fn record(&self, section: &str) -> BTreeMap<String, ScalarValue> {
        let read = || match self.shown().get(ROOT, section) {
            Ok(Some((_, object))) => fields_of(self.shown(), &object),
            _ => BTreeMap::new(),
        };
        guarded(read).unwrap_or_default()
    }

    /// What was written to the fields of a record or entry at the same time as what they show: Automerge shows one and keeps
    /// all, until a later writer who knows them writes again.
    #[must_use]
    pub fn beside(&self, section: &str, entry: Option<&str>) -> BTreeMap<String, Vec<String>> {
        guarded(|| self.read_beside(section, entry)).ok().flatten().unwrap_or_default()
    }

    fn read_beside(&self, section: &str, entry: Option<&str>) -> Option<BTreeMap<String, Vec<String>>> {
        let shown = self.shown();
        let (_, mut object) = shown.get(ROOT, section).ok()??;
        if let Some(entry) = entry {
            object = shown.get(&object, entry).ok()??.1;
        }
        let mut beside = BTreeMap::new();
        for item in shown.map_range(&object, ..).filter(|item| item.conflict) {
            let Value::Scalar(first) = item.value.into_value() else { continue };
            let all = shown.get_all(&object, item.key.as_ref()).ok()?;
            let mut others: Vec<String> = all
                .iter()
                .filter_map(|(value, _)| value.as_scalar().filter(|value| **value != *first).map(text_of))
                .collect();
            others.sort_unstable();
            others.dedup();
            if !others.is_empty() {
                beside.insert(item.key.into_owned(), others);
            }
        }
        Some(beside)
    }

    fn entry_of(&self, section: &str, id: String, fields: BTreeMap<String, ScalarValue>) -> Entry {
        let fact: Option<&EntryFact> = self.accepted.facts.entry(section, &id);
        let claimed = match fields.get(AUTHOR) {
            Some(ScalarValue::Str(author)) => from_hex(author).map(PersonId),
            _ => None,
        };
        Entry {
            author: fact.map(|fact| PersonId(fact.author)).or(claimed),
            received_ms: fact.map(|fact| fact.received_ms),
            order: fact.map(|fact| fact.order),
            id,
            fields,
        }
    }

    #[must_use]
    pub fn card(&self) -> CardView {
        let log = self.record("log");
        CardView {
            child_name: text_in(&log, "child_name"),
            born: text_in(&log, "born"),
            level: log.get("level").and_then(ScalarValue::as_i64),
            status: text_in(&log, "status"),
            people: self.people("people"),
            meetings: self.entries("meetings"),
            handovers: self.entries("handovers"),
        }
    }

    /// The people of a card (`people`) or of a unit (`directory`).
    #[must_use]
    pub fn people(&self, section: &str) -> Vec<PersonView> {
        let person = |entry: Entry| {
            let person = from_hex(&entry.id).map(PersonId)?;
            let name = entry.text("name").unwrap_or_default();
            Some(PersonView { person, name, unit: entry.text("unit"), title: entry.text("title") })
        };
        self.entries(section).into_iter().filter_map(person).collect()
    }

    #[must_use]
    pub fn journal(&self) -> JournalView {
        let listed = |entry: Entry| {
            let scope = from_hex(&entry.id).map(ScopeId)?;
            let open = entry.text("state").as_deref() != Some("closed");
            Some(ListedConcern { scope, title: entry.text("title").unwrap_or_default(), open })
        };
        JournalView {
            concerns: self.entries("concerns").into_iter().filter_map(listed).collect(),
            notes: self.entries("notes"),
            consent_texts: self.entries("consent_texts"),
            requests: self.entries("requests"),
        }
    }

    #[must_use]
    pub fn concern(&self) -> ConcernView {
        let about = self.record("about");
        let category = text_in(&about, "category");
        ConcernView {
            title: text_in(&about, "title"),
            category: (!category.is_empty()).then_some(category),
            open: text_in(&about, "state") != "closed",
            goal: self.record("goal"),
            corrections: self.entries("corrections"),
            measures: self.measures(),
            glimpses: self.entries("glimpses").into_iter().map(glimpse).collect(),
            comments: self.entries("comments"),
            proposals: self.entries("proposals"),
        }
    }

    fn measures(&self) -> Vec<MeasureView> {
        let mut evaluations: HashMap<String, Vec<Entry>> = HashMap::new();
        for evaluation in self.entries("evaluations") {
            evaluations.entry(evaluation.text("measure").unwrap_or_default()).or_default().push(evaluation);
        }
        let mut marks: HashMap<String, Vec<Entry>> = HashMap::new();
        for mark in self.entries("family_marks") {
            marks.entry(mark.text("measure").unwrap_or_default()).or_default().push(mark);
        }
        let mut busy = HashSet::new();
        let view = |entry: Entry| {
            let mut evaluated = evaluations.remove(&entry.id).unwrap_or_default().into_iter();
            let family = marks.remove(&entry.id).unwrap_or_default();
            let mut measure = measure(entry, evaluated.next(), family);
            measure.beside = self.beside("measures", Some(&measure.id)).remove("text").unwrap_or_default();
            measure.remarks = evaluated.collect();
            let active = measure.evaluation.is_none() && measure.superseded.is_none();
            let one_person = !matches!(measure.responsible.as_str(), "family" | "child");
            measure.parked = active && one_person && !busy.insert(measure.responsible.clone());
            measure
        };
        self.entries("measures").into_iter().map(view).collect()
    }
}

fn measure(entry: Entry, evaluation: Option<Entry>, marks: Vec<Entry>) -> MeasureView {
    let heard = evaluation.as_ref().and_then(|evaluation| evaluation.flag("family_agrees"));
    // Later marks of the same person stand in place of earlier ones.
    let last: BTreeMap<Option<PersonId>, bool> =
        marks.iter().map(|mark| (mark.author, mark.flag("agrees").unwrap_or_default())).collect();
    let said = (!last.is_empty()).then(|| last.values().all(|agrees| *agrees));
    MeasureView {
        text: entry.text("text").unwrap_or_default(),
        beside: Vec::new(),
        arena: entry.text("arena").unwrap_or_default(),
        responsible: entry.text("responsible").unwrap_or_default(),
        due: entry.text("due"),
        step: entry.number("step"),
        superseded: entry.number("superseded").map(|how| (how, entry.text("superseded_by"))),
        family_agrees: said.or(heard),
        editable_until_ms: entry.received_ms.map(|received| received.saturating_add(EDIT_WINDOW_MILLIS)),
        evaluation,
        remarks: Vec::new(),
        marks,
        parked: false,
        author: entry.author,
        received_ms: entry.received_ms,
        id: entry.id,
    }
}

fn glimpse(entry: Entry) -> GlimpseView {
    GlimpseView {
        text: entry.text("text").unwrap_or_default(),
        claimed_time: entry.text("time"),
        author: entry.author,
        received_ms: entry.received_ms,
        id: entry.id,
    }
}

fn text_of(value: &ScalarValue) -> String {
    match value {
        ScalarValue::Str(text) => text.to_string(),
        other => other.to_string(),
    }
}

fn text_in(fields: &BTreeMap<String, ScalarValue>, field: &str) -> String {
    match fields.get(field) {
        Some(ScalarValue::Str(text)) => text.to_string(),
        _ => String::new(),
    }
}

fn fields_of(shown: &Automerge, object: &automerge::ObjId) -> BTreeMap<String, ScalarValue> {
    let scalar = |item: automerge::iter::MapRangeItem<'_>| match item.value.into_value() {
        Value::Scalar(value) => Some((item.key.into_owned(), value.into_owned())),
        Value::Object(_) => None,
    };
    shown.map_range(object, ..).filter_map(scalar).collect()
}
