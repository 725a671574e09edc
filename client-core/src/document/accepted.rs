//! The accepted part of a document: the changes that passed every check, in the order of receipt, and the list of those that did not.
//! One batch gives the same document and the same verdicts as its changes one by one.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Automerge, Change, ChangeHash, ExpandedChange};
use serde::{Deserialize, Serialize};
use stafett_protocol::ids::DeviceId;
use stafett_protocol::limits::{CHANGE_OPERATIONS, PERSON_QUARANTINED};
use stafett_protocol::membership::ScopeKind;

use super::facts::{Facts, NewFacts};
use super::history::{Addition, History, Layered, Undo};
use super::reason::Reason;
use super::rules::Writer;
use super::{gate, outline, room, rules, schema, touch};

/// The changes of one receipted event, opened; its signer and role are verified.
#[derive(Debug, Clone)]
pub struct Received {
    pub device: DeviceId,
    pub writer: Writer,
    pub changes: Vec<Vec<u8>>,
}

/// What became of a received change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Applied([u8; 32]),
    /// It was in the document before.
    Known([u8; 32]),
    Quarantined(Reason),
}

/// The document stands still on this device: the library panicked, or its state is broken. Nothing is quarantined for that; the client
/// loads the document again from its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document stopped on this device and must be loaded again")]
pub struct Stopped;

/// A change that stays out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    pub hash: [u8; 32],
    pub reason: Reason,
    pub person: [u8; 16],
    pub device: [u8; 16],
    /// The event that brought it, and its place there.
    pub event: u64,
    pub place: u32,
}

/// What one accepted batch adds to the stored document.
#[derive(Debug, Default)]
pub struct Step {
    pub outcomes: Vec<Outcome>,
    pub applied: Vec<Change>,
    pub facts: Vec<NewFacts>,
    pub quarantined: Vec<Quarantined>,
}

/// One received change with what it needs for judging.
#[derive(Clone, Copy)]
struct Item<'a> {
    from: &'a Received,
    bytes: &'a [u8],
    place: u32,
    /// The bytes' own verdict, with the operations of its whole event counted.
    outline: Result<(), Reason>,
}

/// A document with all that judging the next change needs.
#[derive(Debug)]
pub struct Accepted {
    pub(super) kind: ScopeKind,
    pub(super) document: Automerge,
    /// Read from the document when first needed.
    history: Option<History>,
    pub(super) facts: Facts,
    pub(super) quarantine: Vec<Quarantined>,
    stopped: bool,
}

/// Runs something that calls Automerge on bytes of others.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, Stopped> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Stopped)
}

/// What is known when a change is judged.
pub(super) struct Known<'a> {
    pub kind: ScopeKind,
    pub history: Layered<'a, History>,
    pub facts: Layered<'a, Facts>,
}

/// Parses and judges a change; the outer error is a panic of the library.
fn examine(item: &Item<'_>, known: &Known<'_>) -> Result<Result<(Change, Addition, NewFacts), Reason>, Stopped> {
    guarded(|| {
        let change = Change::from_bytes(item.bytes.to_vec()).map_err(|_| Reason::NotAChange)?;
        gate::check(&change, item.bytes, item.from.device, &known.history)?;
        let (expanded, addition, new) = judge(&change, &item.from.writer, item.place, known)?;
        // Another encoding of the same operations would not survive saving and loading the document.
        if Change::from(expanded).raw_bytes() != item.bytes {
            return Err(Reason::Encoding);
        }
        Ok((change, addition, new))
    })
}

/// Judges what a change writes.
pub(super) fn judge(
    change: &Change,
    writer: &Writer,
    place: u32,
    known: &Known<'_>,
) -> Result<(ExpandedChange, Addition, NewFacts), Reason> {
    let expanded = change.decode();
    let (touch, addition) = touch::read(known.kind, change, &expanded, &known.history)?;
    let mut new = rules::judge(known.kind, &touch, writer, place, &known.facts)?;
    new.brought = Some(room::take(change, writer, &known.facts)?);
    Ok((expanded, addition, new))
}

impl Accepted {
    /// An empty document of a kind.
    pub fn new(kind: ScopeKind) -> Result<Self, Stopped> {
        let mut document = Automerge::new();
        let first = schema::first_change(kind).ok_or(Stopped)?;
        document.apply_changes([first]).map_err(|_| Stopped)?;
        Ok(Self::from_parts(kind, document, Facts::default(), Vec::new()))
    }

    pub(super) fn from_parts(kind: ScopeKind, document: Automerge, facts: Facts, quarantine: Vec<Quarantined>) -> Self {
        Self { kind, document, history: None, facts, quarantine, stopped: false }
    }

    /// The hashes of the newest changes.
    #[must_use]
    pub fn heads(&self) -> Vec<[u8; 32]> {
        self.document.get_heads().into_iter().map(|hash| hash.0).collect()
    }

    /// Every change that stays out, in the order of receipt.
    #[must_use]
    pub fn quarantine(&self) -> &[Quarantined] {
        &self.quarantine
    }

    /// The history, once it has been read.
    pub(super) fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    #[cfg(test)]
    pub(super) fn history_mut(&mut self) -> Option<&mut History> {
        self.history.as_mut()
    }

    pub(super) fn read_history_once(&mut self) -> Result<(), Stopped> {
        if self.history.is_none() {
            self.history = Some(self.read_history()?);
        }
        Ok(())
    }

    fn read_history(&self) -> Result<History, Stopped> {
        let mut history = History::default();
        for change in self.document.get_changes(&[]) {
            let addition = if change.actor_id().to_bytes() == schema::FIRST_ACTOR {
                touch::first_addition(self.kind, &change)
            } else {
                let expanded = change.decode();
                touch::read(self.kind, &change, &expanded, &Layered::accepted(&history)).map_err(|_| Stopped)?.1
            };
            history.add(addition);
        }
        Ok(history)
    }

    /// Takes in the changes of receipted events, in the order of receipt.
    pub fn accept(&mut self, events: &[Received]) -> Result<Step, Stopped> {
        if self.stopped {
            return Err(Stopped);
        }
        self.read_history_once()?;
        let items = itemise(events);
        let step = self.run(&items);
        self.stopped = step.is_err();
        step
    }

    fn run(&mut self, items: &[Item<'_>]) -> Result<Step, Stopped> {
        let mut step = Step::default();
        let mut undo: Vec<(Undo, NewFacts)> = Vec::new();
        let mut barred: HashSet<ChangeHash> = self.quarantine.iter().map(|out| ChangeHash(out.hash)).collect();
        for item in items {
            let outcome = match self.admit(item, &barred)? {
                Ok((change, back, new)) => {
                    let hash = change.hash().0;
                    undo.push((back, new.clone()));
                    step.facts.push(new);
                    step.applied.push(change);
                    Outcome::Applied(hash)
                }
                Err(Outcome::Quarantined(reason)) => {
                    let out = item.quarantined(reason);
                    if self.remembers(&out, &step.quarantined) {
                        barred.insert(ChangeHash(out.hash));
                        step.quarantined.push(out);
                    }
                    Outcome::Quarantined(reason)
                }
                Err(outcome) => outcome,
            };
            step.outcomes.push(outcome);
        }
        let changes = step.applied.clone();
        if changes.is_empty() || guarded(|| self.document.apply_changes(changes))?.is_ok() {
            self.quarantine.extend(step.quarantined.iter().cloned());
            return Ok(step);
        }
        // The library refuses the batch as a whole: find out which change it is that it does not take.
        while let Some((back, new)) = undo.pop() {
            self.facts.take_back(&new);
            if let Some(history) = self.history.as_mut() {
                history.take_back(back);
            }
        }
        self.one_by_one(items)
    }

    /// Whether there is room to remember one more of its person's; what is not remembered stays out all the same.
    fn remembers(&self, out: &Quarantined, more: &[Quarantined]) -> bool {
        self.quarantine.iter().chain(more).filter(|known| known.person == out.person).count() < PERSON_QUARANTINED
    }

    fn one_by_one(&mut self, items: &[Item<'_>]) -> Result<Step, Stopped> {
        if let [item] = items {
            let out = Some(item.quarantined(Reason::Unappliable)).filter(|out| self.remembers(out, &[]));
            self.quarantine.extend(out.clone());
            let outcomes = vec![Outcome::Quarantined(Reason::Unappliable)];
            return Ok(Step { outcomes, quarantined: Vec::from_iter(out), ..Step::default() });
        }
        let mut all = Step::default();
        for item in items {
            let step = self.run(core::slice::from_ref(item))?;
            all.outcomes.extend(step.outcomes);
            all.applied.extend(step.applied);
            all.facts.extend(step.facts);
            all.quarantined.extend(step.quarantined);
        }
        Ok(all)
    }

    /// Judges a change and adds it to history and facts; applying it to the document comes later, for the whole batch.
    fn admit(
        &mut self,
        item: &Item<'_>,
        barred: &HashSet<ChangeHash>,
    ) -> Result<Result<(Change, Undo, NewFacts), Outcome>, Stopped> {
        if let Err(reason) = item.outline {
            return Ok(Err(Outcome::Quarantined(reason)));
        }
        let history = self.history.as_mut().ok_or(Stopped)?;
        let hash = crate::seal::change_hash(item.bytes);
        if Layered::accepted(&*history).contains(&ChangeHash(hash)) {
            return Ok(Err(Outcome::Known(hash)));
        }
        let known =
            Known { kind: self.kind, history: Layered::accepted(&*history), facts: Layered::accepted(&self.facts) };
        match examine(item, &known)? {
            Ok((change, addition, new)) => {
                let back = history.add(addition);
                self.facts.add(&new);
                Ok(Ok((change, back, new)))
            }
            Err(Reason::UnknownDependency) => {
                let change = guarded(|| Change::from_bytes(item.bytes.to_vec()))?;
                let follows = change.is_ok_and(|change| change.deps().iter().any(|hash| barred.contains(hash)));
                let reason = if follows { Reason::QuarantinedDependency } else { Reason::UnknownDependency };
                Ok(Err(Outcome::Quarantined(reason)))
            }
            Err(reason) => Ok(Err(Outcome::Quarantined(reason))),
        }
    }
}

impl Item<'_> {
    fn quarantined(&self, reason: Reason) -> Quarantined {
        Quarantined {
            hash: crate::seal::change_hash(self.bytes),
            reason,
            person: self.from.writer.person.0,
            device: self.from.device.0,
            event: self.from.writer.event,
            place: self.place,
        }
    }
}

fn itemise(events: &[Received]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    for from in events {
        let mut operations = 0usize;
        for (bytes, place) in from.changes.iter().zip(0u32..) {
            let outline = outline::scan(bytes).and_then(|more| {
                operations = operations.saturating_add(more);
                if operations > CHANGE_OPERATIONS { Err(Reason::Operations) } else { Ok(()) }
            });
            items.push(Item { from, bytes, place, outline });
        }
    }
    items
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::tests::*;
    use super::super::{Editor, edit};
    use super::*;

    /// A concern, and events of which one change is refused.
    fn mixed() -> (Accepted, Vec<Received>) {
        let (mut document, published) = published();
        let mut events = Vec::new();
        for number in 0..6u64 {
            let id = format!("g{number}");
            let editor = Editor { now_ms: START + number, ..MOTHER.editor() };
            let edited = document.edit(&editor, |to| edit::add_glimpse(to, MOTHER.person(), &id, "Et smil", None));
            let who = if number == 5 { PPT } else { MOTHER };
            events.push(who.event(number + 2, START, vec![edited.unwrap().1]));
        }
        (reader(&published).accepted, events)
    }

    #[test]
    fn what_was_added_can_be_taken_back() {
        let (mut accepted, events) = mixed();
        accepted.read_history_once().unwrap();
        let (history, facts) = (accepted.read_history().unwrap(), accepted.facts.clone());
        let mut added = Vec::new();
        for item in &itemise(&events) {
            added.extend(accepted.admit(item, &HashSet::new()).unwrap().ok());
        }
        assert_eq!(added.len(), 5);
        assert_ne!(accepted.facts, facts);
        while let Some((_, undo, new)) = added.pop() {
            accepted.facts.take_back(&new);
            accepted.history.as_mut().unwrap().take_back(undo);
        }
        assert_eq!(accepted.facts, facts);
        assert_eq!(accepted.history.unwrap(), history);
    }

    #[test]
    fn one_by_one_gives_what_the_batch_gives() {
        let ((mut at_once, events), (mut singly, _)) = (mixed(), mixed());
        singly.read_history_once().unwrap();
        let (a, b) = (at_once.accept(&events).unwrap(), singly.one_by_one(&itemise(&events)).unwrap());
        assert_eq!(a.outcomes, b.outcomes);
        assert_eq!((a.facts, a.quarantined), (b.facts, b.quarantined));
        assert_eq!(at_once.heads(), singly.heads());
    }

    #[test]
    fn a_document_that_stopped_stays_stopped() {
        let (mut accepted, events) = mixed();
        accepted.stopped = true;
        assert_eq!(accepted.accept(&events).unwrap_err(), Stopped);
        assert_eq!(guarded(|| -> () { panic!("as the library would") }), Err(Stopped));
    }
}
