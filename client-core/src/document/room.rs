//! How much room a document has, and whose it is. What is written once stays for ever, so one member must not be able to take what all
//! others need: each has a share, and when the document as a whole is full, a reserve.

use automerge::Change;
use stafett_protocol::limits::{
    DOCUMENT_BYTES, DOCUMENT_OPERATIONS, PERSON_BYTES, PERSON_LOOSE_ENDS, PERSON_OPERATIONS, RESERVED_BYTES,
    RESERVED_OPERATIONS,
};

use super::facts::{Brought, Facts, Used};
use super::history::Layered;
use super::reason::Reason;
use super::rules::Writer;

const SHARE: Used = Used { operations: PERSON_OPERATIONS, bytes: PERSON_BYTES };
const RESERVE: Used = Used { operations: RESERVED_OPERATIONS, bytes: RESERVED_BYTES };
const WHOLE: Used = Used { operations: DOCUMENT_OPERATIONS, bytes: DOCUMENT_BYTES };

impl Used {
    fn within(self, bound: Self) -> bool {
        self.operations <= bound.operations && self.bytes <= bound.bytes
    }

    /// What a change takes up.
    #[must_use]
    pub fn by(change: &Change) -> Self {
        Self { operations: change.len() as u64, bytes: change.raw_bytes().len() as u64 }
    }
}

/// Whether a person who would have brought so much has room for it, where all together would have brought so much.
fn fits(person: Used, all: Used) -> bool {
    person.within(RESERVE) || (person.within(SHARE) && all.within(WHOLE))
}

/// Judges whether there is room for a change; the answer is what the facts gain by it.
pub fn take(change: &Change, writer: &Writer, facts: &Layered<'_, Facts>) -> Result<Brought, Reason> {
    let (person, size) = (writer.person.0, Used::by(change));
    let pending = |count: &dyn Fn(&Facts) -> Used| facts.pending.map_or_else(Used::default, count);
    let own = facts.accepted.used_by(&person).and(pending(&|facts| facts.used_by(&person)));
    let all = facts.accepted.used().and(pending(&Facts::used));
    if !fits(own.and(size), all.and(size)) {
        return Err(Reason::Room);
    }
    let depends = |hash: &[u8; 32]| change.deps().iter().any(|dependency| dependency.0 == *hash);
    let layers = [Some(facts.accepted), facts.pending].into_iter().flatten();
    let joined: Vec<_> =
        layers.flat_map(Facts::loose).filter(|(hash, _)| depends(hash)).map(|(h, p)| (*h, *p)).collect();
    // One's own edits build on all that there is here; how they lie beside others shows when they are received.
    let beside = facts.accepted.loose().filter(|(hash, by)| **by == person && !depends(hash)).count();
    if facts.pending.is_none() && beside >= PERSON_LOOSE_ENDS {
        return Err(Reason::LooseEnds);
    }
    Ok(Brought { hash: change.hash().0, person, size, joined })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::*;
    use super::super::{EditError, Outcome, edit};
    use super::*;
    use crate::document::facts::NewFacts;
    use stafett_protocol::ids::PersonId;

    fn took(person: PersonId, operations: u64, bytes: u64) -> NewFacts {
        let size = Used { operations, bytes };
        let brought = Brought { hash: [person.0[0]; 32], person: person.0, size, joined: Vec::new() };
        NewFacts { brought: Some(brought), ..NewFacts::default() }
    }

    #[test]
    fn one_member_fills_its_own_share_and_nobody_else_s() {
        for (operations, bytes) in [(PERSON_OPERATIONS - 1, 0), (0, PERSON_BYTES - 1)] {
            let (mut document, _) = published();
            document.accepted.facts.add(&took(MOTHER.person(), operations, bytes));
            let own =
                document.edit(&MOTHER.editor(), |to| edit::add_glimpse(to, MOTHER.person(), "g", "Et smil", None));
            assert!(matches!(own, Err(EditError::Refused(Reason::Room))), "a clear word before anything is sent");
            let change = forged(&document, MOTHER, 1, |d| {
                put_entry(d, "glimpses", "g", &[("author", &hex(MOTHER)), ("text", "Et smil")])
            });
            assert_eq!(
                verdict(&mut document, &MOTHER.event(2, START, vec![change])),
                Outcome::Quarantined(Reason::Room)
            );
        }
    }

    #[test]
    fn in_a_full_document_everybody_has_a_reserve() {
        let (mut document, _) = published();
        (100..104).for_each(|n| document.accepted.facts.add(&took(PersonId([n; 16]), DOCUMENT_OPERATIONS / 4, 0)));
        let glimpse = |document: &mut super::super::Document, id: &str| {
            document.edit(&MOTHER.editor(), |to| edit::add_glimpse(to, MOTHER.person(), id, "Et smil", None)).map(drop)
        };
        glimpse(&mut document, "first").unwrap();
        document.accepted.facts.add(&took(MOTHER.person(), RESERVED_OPERATIONS, 0));
        assert!(matches!(glimpse(&mut document, "second"), Err(EditError::Refused(Reason::Room))));
        document
            .edit(&TEACHER.editor(), |to| edit::add_glimpse(to, TEACHER.person(), "third", "Et smil", None))
            .unwrap();
    }

    #[test]
    fn of_one_person_s_junk_only_so_much_is_remembered() {
        use stafett_protocol::limits::PERSON_QUARANTINED;
        let (mut document, events) = published();
        let junk = |from: u64| (from..from + 700).map(|n| n.to_be_bytes().repeat(8)).collect::<Vec<_>>();
        let chain = [CHILD.event(2, START, junk(0)), CHILD.event(3, START, junk(700)), PPT.event(4, START, junk(9))];
        let outcomes = document.accept(&chain).unwrap().outcomes;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Quarantined(_))));
        assert_eq!(document.accepted().quarantine().len(), PERSON_QUARANTINED + 700);
        // In portions it is the same.
        let mut portions = reader(&events);
        chain.iter().for_each(|event| drop(portions.accept(core::slice::from_ref(event)).unwrap()));
        assert_eq!(portions.accepted().quarantine(), document.accepted().quarantine());
        assert_eq!(portions.digest(), document.digest());
    }

    #[test]
    fn no_edit_is_begun_that_could_not_be_numbered() {
        use super::super::history::Addition;
        let (mut document, _) = published();
        document.accepted.read_history_once().unwrap();
        let hash = automerge::ChangeHash([7; 32]);
        let actor = automerge::ActorId::from(&[7u8; 24][..]);
        let max_op = stafett_protocol::limits::DOCUMENT_LAST_OPERATION;
        let (objects, late) = (Vec::new(), Vec::new());
        document.accepted.history_mut().unwrap().add(Addition { hash, actor, sequence: 1, max_op, objects, late });
        let full = document.edit(&MOTHER.editor(), |to| edit::add_glimpse(to, MOTHER.person(), "g", "Et smil", None));
        assert!(matches!(full, Err(EditError::Refused(Reason::Room))), "{full:?}");
    }
}
