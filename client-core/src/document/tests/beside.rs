//! Two texts of one moment: both are kept and shown until somebody who knows both writes again, and nobody refuses that.

use std::collections::{BTreeMap, BTreeSet};

use automerge::transaction::Transaction;
use automerge::{ChangeHash, ScalarValue};
use proptest::prelude::*;

use super::super::schema::{Keys, Kind, sections};
use super::*;

/// The teacher at another device.
fn at(device: u8) -> Editor {
    Editor { device: DeviceId([device; 16]), fresh: [device; 8], ..TEACHER.editor() }
}

fn receipt(number: u64, by: &Editor, changes: Vec<Vec<u8>>) -> Received {
    Received { device: by.device, ..TEACHER.event(number, START + number, changes) }
}

fn rewrite(document: &mut Document, by: &Editor, text: &str) -> Vec<u8> {
    document.edit(by, |to| edit::rewrite_measure(to, "school", text)).unwrap().1
}

/// The text that is shown, and those beside it.
fn shown(document: &Document) -> (String, Vec<String>) {
    let measure = document.concern().measures.into_iter().find(|m| m.id == "school").unwrap();
    (measure.text, measure.beside)
}

fn standing(document: &Document) -> BTreeSet<String> {
    let (text, beside) = shown(document);
    beside.into_iter().chain([text]).collect()
}

fn all_take(documents: &mut [Document], event: &Received) {
    for document in documents {
        let outcomes = document.accept(core::slice::from_ref(event)).unwrap().outcomes;
        assert!(outcomes.iter().all(|o| matches!(o, Outcome::Applied(_))), "{outcomes:?}");
    }
}

/// The teacher's computer and tablet with two texts of one moment, and somebody who reads along.
fn two_texts() -> Vec<Document> {
    let (mut here, events) = published();
    let (mut there, readers) = (reader(&events), reader(&events));
    let one = rewrite(&mut here, &at(70), "Skrevet i klasserommet");
    let other = rewrite(&mut there, &at(77), "Skrevet på bussen");
    let mut all = vec![here, there, readers];
    all_take(&mut all, &receipt(2, &at(70), vec![one]));
    all_take(&mut all, &receipt(3, &at(77), vec![other]));
    all
}

#[test]
fn b4_two_texts_written_at_the_same_time_are_both_kept_until_somebody_chooses() {
    let ours = ["Skrevet i klasserommet", "Skrevet på bussen"].map(str::to_owned);
    let choices = |text: &str, beside: &str| [text.to_owned(), beside.to_owned(), "Begge deler".to_owned()];
    for choice in 0..3 {
        let mut all = two_texts();
        let (text, beside) = shown(&all[0]);
        for document in &all {
            assert_eq!(shown(document), (text.clone(), beside.clone()), "everybody is shown the same two");
            assert_eq!(standing(document), BTreeSet::from(ours.clone()), "no words are gone without a trace");
        }
        // Whoever knows both chooses by writing: the one that happens to be shown, the other, or a third.
        let chosen = choices(&text, &beside[0])[choice].clone();
        let change = rewrite(&mut all[1], &at(77), &chosen);
        assert_eq!(shown(&all[1]), (chosen.clone(), vec![]), "at once on the device that chose");
        all_take(&mut all, &receipt(4, &at(77), vec![change]));
        for document in &all {
            assert_eq!(shown(document), (chosen.clone(), vec![]));
        }
    }
}

#[test]
fn b4_a_choice_that_is_refused_is_a_draft_of_the_chosen_text_alone() {
    let mut all = two_texts();
    let chosen = shown(&all[1]).0;
    let change = rewrite(&mut all[1], &at(77), &chosen);
    let drafts = all[1].refuse(&crate::seal::change_hash(&change)).unwrap();
    assert_eq!(drafts[0].lines, [("measures/school/text".to_owned(), chosen)]);
    assert_eq!(standing(&all[1]).len(), 2, "and both stand again");
}

#[test]
fn b4_the_same_text_from_two_devices_is_one_text() {
    let (mut here, events) = published();
    let mut there = reader(&events);
    let changes = [rewrite(&mut here, &at(70), "Samme tekst"), rewrite(&mut there, &at(77), "Samme tekst")];
    let mut all = vec![here, there];
    for (number, (device, change)) in (2..).zip([70, 77].into_iter().zip(changes)) {
        all_take(&mut all, &receipt(number, &at(device), vec![change]));
    }
    assert_eq!(shown(&all[0]), ("Samme tekst".into(), vec![]));
    let again = all[0].edit(&at(70), |to| edit::rewrite_measure(to, "school", "Samme tekst"));
    assert!(matches!(again, Err(EditError::Nothing)), "{again:?}");
}

/// A deletion says nothing and names nobody's words: whoever makes one past their own client strikes out nothing.
#[test]
fn b4_nobody_strikes_out_the_other_text_by_a_deletion() {
    let mut all = two_texts();
    let text = shown(&all[2]).0;
    let strike = forged(&all[2], TEACHER, 9, |d| {
        let measure = entry(d, "measures", "school");
        d.put(&measure, "text", text.as_str())
    });
    let outcome = all[2].accept(&[TEACHER.event(4, START + 4, vec![strike])]).unwrap().outcomes[0];
    assert_eq!(outcome, Outcome::Quarantined(Reason::Operation));
    assert_eq!(standing(&all[2]).len(), 2);
}

/// Who may write a field again, and how: every late field of every document.
fn late_fields() -> Vec<(ScopeKind, &'static str, Keys, &'static str, Kind)> {
    let kinds = [ScopeKind::Card, ScopeKind::Journal, ScopeKind::Concern, ScopeKind::Unit, ScopeKind::Personal];
    let all = kinds.into_iter().flat_map(|kind| sections(kind).iter().map(move |section| (kind, section)));
    let fields = all.flat_map(|(kind, section)| section.fields.iter().map(move |field| (kind, section, field)));
    let late = fields.filter(|(_, _, field)| field.late);
    late.map(|(kind, section, field)| (kind, section.name, section.keys, field.name, field.kind)).collect()
}

/// Three values that a field takes, as far as it takes so many.
fn values(kind: Kind) -> Vec<ScalarValue> {
    let text = |text: &str| ScalarValue::Str(text.into());
    match kind {
        Kind::Text(_) | Kind::Id => ["ett", "annet", "tredje"].map(text).to_vec(),
        Kind::Word(words) => words.iter().copied().cycle().take(3).map(text).collect(),
        Kind::Number(least, most) => [least, least + 1, most].map(ScalarValue::Int).to_vec(),
        Kind::Flag => [true, false, true].map(ScalarValue::Boolean).to_vec(),
    }
}

/// An entry with the fields that it must have.
fn put_whole(to: &mut Transaction<'_>, kind: ScopeKind, name: &str, key: &str) -> Result<(), AutomergeError> {
    let section = sections(kind).iter().find(|one| one.name == name).unwrap();
    let (_, object) = to.get(ROOT, name)?.unwrap();
    let made = to.put_object(&object, key, ObjType::Map)?;
    if section.keys == Keys::Random {
        to.put(&made, "author", hex(TEACHER))?;
    }
    let must = section.fields.iter().filter(|field| field.required);
    must.into_iter().try_for_each(|field| to.put(&made, field.name, values(field.kind)[2].clone()))
}

#[test]
fn b4_every_field_that_may_be_written_again_keeps_both_values_and_can_be_settled() {
    let late = late_fields();
    assert!(late.len() > 15, "{late:?}");
    for (kind, section, keys, field, takes) in late {
        let values = values(takes);
        let role = match kind {
            ScopeKind::Unit if section == "directory" => Role::Leader,
            ScopeKind::Unit => Role::Employee,
            ScopeKind::Personal => Role::Own,
            _ => Role::Holder,
        };
        let author = if section == "proposals" || section == "requests" { Role::Guardian } else { role };
        let by = |device: u8, role: Role| Editor { role, ..at(device) };
        let entry = match keys {
            Keys::None => None,
            Keys::Random => Some("e1".to_owned()),
            Keys::Person | Keys::Scope => Some(hex(TEACHER)),
        };
        let entry = entry.as_deref();
        let base = |document: &mut Document| {
            let me = TEACHER.person();
            let mut changes = vec![];
            if kind == ScopeKind::Concern {
                let goal = NewGoal { text: "Mål".into(), ..NewGoal::default() };
                let (by, first) = (by(70, Role::Holder), [measure("school", Responsible::Family)]);
                let made = document.edit(&by, |to| edit::publish_concern(to, me, "Tittel", None, &goal, &first));
                changes.push((by, made.unwrap().1));
            }
            if let Some(key) = entry {
                let made = document.edit(&by(71, author), |to| put_whole(to, kind, section, key));
                changes.push((by(71, author), made.unwrap().1));
            }
            changes
        };
        let mut first = Document::new(kind).unwrap();
        let made = base(&mut first);
        let mut all = vec![Document::new(kind).unwrap(), Document::new(kind).unwrap()];
        let (mut number, mut written) = (1, vec![]);
        let mut take = |all: &mut [Document], by: Editor, change: Vec<u8>| {
            number += 1;
            let writer = Writer { person: by.person, role: by.role, received_ms: START + number, event: number };
            let event = Received { device: by.device, writer, changes: vec![change] };
            all_take(all, &event);
        };
        for (by, change) in made {
            take(&mut all, by, change);
        }
        let write = |document: &mut Document, device: u8, value: &ScalarValue| {
            let put = |to: &mut Transaction<'_>| {
                let (_, mut object) = to.get(ROOT, section)?.unwrap();
                if let Some(key) = entry {
                    object = to.get(&object, key)?.unwrap().1;
                }
                edit::put(to, &object, field, value.clone())
            };
            document.edit(&by(device, role), put).map(|(_, change)| change)
        };
        for (place, value, other) in [(0, &values[0], &values[1]), (1, &values[1], &values[0])] {
            let device = 72 + place as u8;
            // What stands there already is written by way of the other.
            let first = write(&mut all[place], device, value).or_else(|_| write(&mut all[place], device, other));
            let second = write(&mut all[place], device, value).ok();
            written.extend([first.ok(), second].into_iter().flatten().map(|change| (by(device, role), change)));
        }
        for (by, change) in written {
            take(&mut all, by, change);
        }
        let value_of = |document: &Document| match entry {
            Some(key) => document.entry(section, key).unwrap().fields[field].clone(),
            None => document.record(section)[field].clone(),
        };
        let beside = |document: &Document| document.beside(section, entry).remove(field).unwrap_or_default();
        for document in &all {
            assert_eq!(beside(document).len(), 1, "{kind:?} {section} {field}");
        }
        let shown = value_of(&all[0]);
        let chosen = write(&mut all[1], 74, &shown).unwrap();
        take(&mut all, by(74, role), chosen);
        for document in &all {
            assert_eq!((value_of(document), beside(document)), (shown.clone(), vec![]), "{kind:?} {section} {field}");
        }
    }
}

/// What somebody does at one of three devices.
#[derive(Debug, Clone)]
enum Deed {
    /// Writes a text of its own.
    Write(u8),
    /// Writes again one of the texts that stand there.
    Choose(u8, u8),
    Send(u8, u8),
    Read(u8),
    Wait(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (0u8..3).prop_map(Deed::Write),
        2 => (0u8..3, any::<u8>()).prop_map(|(device, which)| Deed::Choose(device, which)),
        2 => (0u8..3, 1u8..4).prop_map(|(device, many)| Deed::Send(device, many)),
        2 => (0u8..3).prop_map(Deed::Read),
        1 => (1u8..4).prop_map(Deed::Wait),
    ]
}

struct Device {
    document: Document,
    read: usize,
    drafts: Vec<String>,
}

#[derive(Default)]
struct Story {
    chain: Vec<Received>,
    devices: Vec<Device>,
    hours: u64,
    /// What each change said, and the changes that stood before its writer then.
    said: BTreeMap<[u8; 32], (String, BTreeSet<[u8; 32]>)>,
}

impl Story {
    fn read(&mut self, device: usize) {
        let Device { document, read, drafts } = &mut self.devices[device];
        let delivered = document.accept(&self.chain[*read..]).unwrap();
        *read = self.chain.len();
        drafts.extend(delivered.drafts.iter().flat_map(|draft| draft.lines.iter().map(|(_, text)| text.clone())));
    }

    fn write(&mut self, device: usize, text: String) {
        let editor = Editor { now_ms: START + self.hours * 3_600_000, ..at(80 + device as u8) };
        let document = &mut self.devices[device].document;
        let seen = document.shown().get_changes(&[]).iter().map(|change| change.hash().0).collect();
        match document.edit(&editor, |to| edit::rewrite_measure(to, "school", &text)) {
            Ok((_, change)) => drop(self.said.insert(crate::seal::change_hash(&change), (text, seen))),
            Err(EditError::Nothing | EditError::Refused(Reason::Window)) => {}
            Err(refused) => panic!("an honest edit is refused: {refused:?}"),
        }
    }

    fn act(&mut self, deed: &Deed) {
        match *deed {
            Deed::Write(device) => self.write(device.into(), format!("Tekst {}", self.said.len())),
            Deed::Choose(device, which) => {
                let texts: Vec<String> = standing(&self.devices[usize::from(device)].document).into_iter().collect();
                self.write(device.into(), texts[usize::from(which) % texts.len()].clone());
            }
            Deed::Send(device, many) => {
                self.read(device.into());
                let pending = self.devices[usize::from(device)].document.pending().take(many.into());
                let changes: Vec<_> = pending.map(|pending| pending.bytes.clone()).collect();
                if !changes.is_empty() {
                    let (number, by) = (self.chain.len() as u64 + 1, at(80 + device));
                    let event = TEACHER.event(number, START + self.hours * 3_600_000 + number, changes);
                    self.chain.push(Received { device: by.device, ..event });
                }
                self.read(device.into());
            }
            Deed::Read(device) => self.read(device.into()),
            Deed::Wait(hours) => self.hours += u64::from(hours),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn b4_no_text_is_gone_unless_somebody_who_saw_it_wrote_again(deeds in proptest::collection::vec(deed(), 1..40)) {
        let (_, chain) = published();
        let device = |_| Device { document: reader(&chain), read: chain.len(), drafts: vec![] };
        let mut story = Story { devices: (0..3).map(device).collect(), chain: chain.clone(), ..Story::default() };
        deeds.iter().for_each(|deed| story.act(deed));
        (0..3).for_each(|device| story.read(device));
        let whole = reader(&story.chain);
        let stays = standing(&whole);
        let stands = |hash: &[u8; 32]| whole.accepted.document.get_change_meta_by_hash(&ChangeHash(*hash)).is_some();
        let accepted: Vec<_> = story.said.iter().filter(|(hash, _)| stands(hash)).collect();
        for (hash, (text, _)) in &accepted {
            let replaced = accepted.iter().any(|(_, (_, seen))| seen.contains(*hash));
            prop_assert!(stays.contains(text) || replaced, "{text} is gone; there are {stays:?}");
        }
        // What was written and is not in the document waits, or is a draft of the device that wrote it.
        for (number, device) in story.devices.iter().enumerate() {
            if device.document.pending().len() == 0 {
                prop_assert_eq!(shown(&device.document), shown(&whole), "device {}", number);
            }
        }
        for (hash, (text, _)) in &story.said {
            let waits = story.devices.iter().any(|d| d.document.pending().any(|p| p.hash == *hash));
            let draft = story.devices.iter().any(|d| d.drafts.contains(text));
            prop_assert!(waits || draft || stands(hash), "{text} is neither sent, nor waits, nor is a draft");
        }
    }
}
