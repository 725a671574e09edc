//! R13: whoever reads the same chain, in whatever portions, has the same document and the same quarantine; R15: saving and loading
//! changes neither.

use proptest::prelude::*;

use super::*;
use crate::rows::Table;

/// One thing that somebody does, as drawn by proptest.
#[derive(Debug, Clone)]
enum Deed {
    Glimpse(u8),
    Comment(u8),
    Rewrite(u8),
    Evaluate(u8),
    FamilyMark(u8),
    /// Past one's own client, with what the rules refuse.
    Forge(u8),
    /// Reads the chain up to its end.
    Sync(u8),
    /// Sends the oldest pending edits, as many as given.
    Send(u8, u8),
    /// The home's clock.
    Wait(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = 0u8..5;
    prop_oneof![
        who.clone().prop_map(Deed::Glimpse),
        who.clone().prop_map(Deed::Comment),
        who.clone().prop_map(Deed::Rewrite),
        who.clone().prop_map(Deed::Evaluate),
        who.clone().prop_map(Deed::FamilyMark),
        who.clone().prop_map(Deed::Forge),
        who.clone().prop_map(Deed::Sync),
        (who, 1u8..4).prop_map(|(who, many)| Deed::Send(who, many)),
        (1u8..5).prop_map(Deed::Wait),
    ]
}

const PEOPLE: [Who; 5] = [TEACHER, MOTHER, CHILD, NURSE, PPT];

struct World {
    chain: Vec<Received>,
    readers: Vec<(Document, usize)>,
    now: Millis,
    made: u32,
}

impl World {
    fn new() -> Self {
        let (_, chain) = published();
        let readers = PEOPLE.iter().map(|_| (reader(&chain), chain.len())).collect();
        Self { chain, readers, now: START, made: 0 }
    }

    fn edit(
        &mut self,
        who: u8,
        change: impl Fn(&mut automerge::transaction::Transaction<'_>, PersonId, &str) -> Result<(), AutomergeError>,
    ) {
        let person = PEOPLE[who as usize];
        self.made += 1;
        let id = format!("e{}", self.made);
        let editor = Editor { now_ms: self.now, ..person.editor() };
        let result = self.readers[who as usize].0.edit(&editor, |to| change(to, person.person(), &id));
        assert!(!matches!(result, Err(EditError::Stopped(_))));
    }

    fn send(&mut self, who: u8, changes: Vec<Vec<u8>>) {
        if !changes.is_empty() {
            let number = self.chain.len() as u64 + 1;
            self.chain.push(PEOPLE[who as usize].event(number, self.now, changes));
        }
    }

    fn sync(&mut self, who: u8) {
        let (document, read) = &mut self.readers[who as usize];
        document.accept(&self.chain[*read..]).unwrap();
        *read = self.chain.len();
    }

    fn act(&mut self, deed: &Deed) {
        match *deed {
            Deed::Glimpse(who) => self.edit(who, |to, me, id| edit::add_glimpse(to, me, id, "Et smil", None)),
            Deed::Comment(who) => self.edit(who, |to, me, id| edit::add_comment(to, me, id, "Fint", None)),
            Deed::Rewrite(who) => self.edit(who, |to, _, id| edit::rewrite_measure(to, "home", id)),
            Deed::Evaluate(who) => {
                self.edit(who, |to, me, id| edit::evaluate(to, me, id, "nurse", edit::Colour::Green, None, false));
            }
            Deed::FamilyMark(who) => {
                self.edit(who, |to, me, id| edit::mark_as_family(to, me, id, "home", (edit::Colour::Green, true), None))
            }
            Deed::Forge(who) => {
                self.made += 1;
                let (person, id) = (PEOPLE[who as usize], format!("e{}", self.made));
                let fields = [("author", hex(person)), ("text", "t".into()), ("of", "goal".into())];
                let change = forged(&self.readers[who as usize].0, person, 200 + who, |d| {
                    put_entry(d, "corrections", &id, &fields.each_ref().map(|(field, value)| (*field, value.as_str())))
                });
                self.send(who, vec![change]);
            }
            Deed::Sync(who) => self.sync(who),
            Deed::Send(who, many) => {
                // The next event goes out once the one before has been read back.
                self.sync(who);
                let pending = self.readers[who as usize].0.pending().take(many as usize);
                let changes = pending.map(|pending| pending.bytes.clone()).collect();
                self.send(who, changes);
                self.sync(who);
            }
            Deed::Wait(hours) => self.now += u64::from(hours) * 3_600_000,
        }
    }
}

fn quarantine(document: &Document) -> Vec<Quarantined> {
    document.accepted().quarantine().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn r13_all_readers_agree(deeds in proptest::collection::vec(deed(), 1..40), cuts in proptest::collection::vec(1usize..6, 40)) {
        let mut world = World::new();
        deeds.iter().for_each(|deed| world.act(deed));
        (0..5).for_each(|who| world.sync(who));
        let whole = reader(&world.chain);
        // In any portions, with a restart after each.
        let mut portions = Document::new(ScopeKind::Concern).unwrap();
        let (mut table, mut read) = (Table::default(), 0);
        for cut in cuts {
            let until = (read + cut).min(world.chain.len());
            portions.accept(&world.chain[read..until]).unwrap();
            read = until;
            portions.save(&mut table, b"doc").unwrap();
            portions = Document::load(&table, b"doc", ScopeKind::Concern).unwrap().unwrap();
        }
        portions.accept(&world.chain[read..]).unwrap();
        for other in world.readers.iter().map(|(document, _)| document).chain([&portions]) {
            prop_assert_eq!(other.accepted().heads(), whole.accepted().heads());
            prop_assert_eq!(quarantine(other), quarantine(&whole));
            prop_assert_eq!(&other.accepted.facts, &whole.accepted.facts);
        }
        prop_assert_eq!(portions.concern(), whole.concern());
        let saved = automerge::Automerge::load(&whole.accepted.document.save()).unwrap();
        prop_assert_eq!(saved.get_heads(), whole.accepted.document.get_heads());
    }
}

#[test]
fn ten_thousand_changes_in_one_batch_are_those_one_by_one() {
    let (mut author, events) = published();
    let mut changes = Vec::new();
    for number in 0..10_000 {
        let measure = measure(&format!("m{number:07}"), Responsible::Person(TEACHER.person()));
        changes.push(author.edit(&TEACHER.editor(), |to| edit::add_measure(to, TEACHER.person(), &measure)).unwrap().1);
    }
    let events: Vec<Received> = changes
        .chunks(100)
        .zip(2..)
        .map(|(some, number)| TEACHER.event(number, START, some.to_vec()))
        .fold(events, |mut events, event| {
            events.push(event);
            events
        });
    let at_once = reader(&events);
    let mut in_parts = Document::new(ScopeKind::Concern).unwrap();
    events.chunks(25).for_each(|some| drop(in_parts.accept(some).unwrap()));
    assert_eq!(at_once.count("measures"), 10_003);
    assert_eq!(at_once.accepted().heads(), in_parts.accepted().heads());
    author.accept(&events[1..]).unwrap();
    assert_eq!(author.pending().len(), 0);
    assert_eq!(author.accepted().heads(), at_once.accepted().heads());
}
