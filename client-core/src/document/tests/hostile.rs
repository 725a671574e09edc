//! Changes that the library would take and we must not (attacks R1, R4–R9, R11, R12).

use automerge::{Change, ExpandedChange, ScalarValue, legacy};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

fn refused(outcome: Outcome) -> Reason {
    match outcome {
        Outcome::Quarantined(reason) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn glimpse(document: &mut AutoCommit, who: Who, id: &str) -> Result<(), AutomergeError> {
    put_entry(document, "glimpses", id, &[("author", &hex(who)), ("text", "Et smil")])
}

/// The change after something was altered in it, encoded anew.
fn altered(change: &[u8], alter: impl FnOnce(&mut ExpandedChange)) -> Vec<u8> {
    let mut expanded = Change::from_bytes(change.to_vec()).unwrap().decode();
    alter(&mut expanded);
    Change::from(expanded).raw_bytes().to_vec()
}

#[test]
fn a_well_made_change_is_taken() {
    let (mut document, _) = published();
    let change = forged(&document, MOTHER, 1, |d| glimpse(d, MOTHER, "g"));
    assert!(matches!(verdict(&mut document, &MOTHER.event(2, START, vec![change])), Outcome::Applied(_)));
    assert_eq!(document.entry("glimpses", "g").unwrap().author, Some(MOTHER.person()));
}

#[test]
fn r1_a_reader_writes_nothing() {
    let (mut document, _) = published();
    let change = forged(&document, PPT, 1, |d| glimpse(d, PPT, "g"));
    assert_eq!(refused(verdict(&mut document, &PPT.event(2, START, vec![change]))), Reason::Role);
    assert_eq!(document.accepted().quarantine().len(), 1);
}

#[test]
fn r4_another_device_s_actor_is_refused_and_its_owner_goes_on() {
    let (mut document, _) = published();
    let genuine = forged(&document, MOTHER, 1, |d| glimpse(d, MOTHER, "g"));
    // The very bytes, and a change of one's own making, under the mother's actor.
    let stolen = CHILD.event(2, START, vec![genuine.clone()]);
    assert_eq!(refused(verdict(&mut document, &stolen)), Reason::Actor);
    let made = forged(&document, MOTHER, 1, |d| glimpse(d, CHILD, "h"));
    assert_eq!(refused(verdict(&mut document, &CHILD.event(3, START, vec![made]))), Reason::Actor);
    assert!(matches!(verdict(&mut document, &MOTHER.event(4, START, vec![genuine])), Outcome::Applied(_)));
    let free = altered(&forged(&document, MOTHER, 2, |d| glimpse(d, MOTHER, "i")), |change| {
        change.actor_id = automerge::ActorId::from(&[7u8; 5][..]);
    });
    assert_eq!(refused(verdict(&mut document, &MOTHER.event(5, START, vec![free]))), Reason::Actor);
}

#[test]
fn r5_the_first_received_of_two_versions_wins() {
    let (mut document, _) = published();
    let first = forged(&document, MOTHER, 1, |d| glimpse(d, MOTHER, "g1"));
    let second = forged(&document, MOTHER, 1, |d| glimpse(d, MOTHER, "g2"));
    assert!(matches!(verdict(&mut document, &MOTHER.event(2, START, vec![first.clone()])), Outcome::Applied(_)));
    assert_eq!(refused(verdict(&mut document, &MOTHER.event(3, START, vec![second]))), Reason::Sequence);
    assert!(matches!(verdict(&mut document, &MOTHER.event(4, START, vec![first])), Outcome::Known(_)));
    let next = forged(&document, MOTHER, 1, |d| glimpse(d, MOTHER, "g3"));
    let skipping = altered(&next, |change| change.seq = 3);
    assert_eq!(refused(verdict(&mut document, &MOTHER.event(5, START, vec![skipping]))), Reason::Sequence);
    assert!(matches!(verdict(&mut document, &MOTHER.event(6, START, vec![next])), Outcome::Applied(_)));
}

/// The change with its operations numbered from `start`, those that it cites of its own among them.
fn numbered_from(change: &[u8], start: u64) -> Vec<u8> {
    altered(change, |change| {
        let before = change.start_op.get();
        change.start_op = start.try_into().unwrap();
        for op in &mut change.operations {
            if let legacy::ObjectId::Id(legacy::OpId(counter, actor)) = &mut op.obj
                && *actor == change.actor_id
            {
                *counter = *counter - before + start;
            }
        }
    })
}

#[test]
fn r6_operation_numbers_go_on_from_the_dependencies() {
    let (mut document, _) = published();
    let honest = forged(&document, MOTHER, 1, |d| glimpse(d, MOTHER, "g"));
    let next = u64::from(Change::from_bytes(honest.clone()).unwrap().start_op());
    for (start, event) in [(u64::from(u32::MAX) - 1, 1), (next + (1 << 20), 2), (next + 1, 3), (next - 1, 4)] {
        let event = MOTHER.event(event, START, vec![numbered_from(&honest, start)]);
        assert_eq!(refused(verdict(&mut document, &event)), Reason::StartOperation);
    }
    assert!(matches!(verdict(&mut document, &MOTHER.event(5, START, vec![honest])), Outcome::Applied(_)));
}

#[test]
fn r6_nothing_is_numbered_beyond_the_bound() {
    use super::history::Addition;
    let (mut document, _) = published();
    let honest = forged(&document, MOTHER, 1, |d| glimpse(d, MOTHER, "g"));
    let last = stafett_protocol::limits::DOCUMENT_LAST_OPERATION;
    let (hash, actor) = (automerge::ChangeHash([7; 32]), automerge::ActorId::from(&[7u8; 24][..]));
    let (objects, late) = (Vec::new(), Vec::new());
    document.accepted.read_history_once().unwrap();
    let history = document.accepted.history_mut().unwrap();
    history.add(Addition { hash, actor, sequence: 1, max_op: last - 1, objects, late });
    let change = altered(&numbered_from(&honest, last), |change| change.deps.push(hash));
    let outcome = document.accept(&[MOTHER.event(2, START, vec![change])]).unwrap().outcomes[0];
    assert_eq!(outcome, Outcome::Quarantined(Reason::Room));
}

/// Each step is small, the sum is not: numbers would run over what the library can count.
#[test]
fn r6_thousands_of_small_steps_carry_the_numbers_nowhere() {
    let (mut document, _) = published();
    let honest = forged(&document, MOTHER, 1, |d| glimpse(d, MOTHER, "g"));
    let first = u64::from(Change::from_bytes(honest.clone()).unwrap().start_op());
    // One step ends at the very bound, the last at what the library can count.
    let (brim, end) = (stafett_protocol::limits::DOCUMENT_LAST_OPERATION - 2, u64::from(u32::MAX) - 3);
    let (mut changes, mut before, mut start) = (Vec::new(), None, first);
    for number in 1..=4_100u64 {
        let next = start + (1 << 20) - 10;
        start = if start < brim && brim < next { brim } else { next.min(end) };
        let change = altered(&numbered_from(&honest, start), |change| {
            change.seq = number;
            change.deps.extend(before);
            for op in &mut change.operations {
                if let legacy::OpType::Make(_) = op.action {
                    op.key = legacy::Key::Map(format!("g{number}").into());
                }
            }
        });
        before = Some(Change::from_bytes(change.clone()).unwrap().hash());
        changes.push(change);
    }
    for (changes, event) in changes.chunks(500).zip(2..) {
        document.accept(&[MOTHER.event(event, START, changes.to_vec())]).expect("the document does not stop");
    }
    let (_, change) = document
        .edit(&TEACHER.editor(), |to| edit::add_glimpse(to, TEACHER.person(), "after", "Det går fint", None))
        .expect("the document stays usable");
    assert!(matches!(verdict(&mut document, &TEACHER.event(90, START, vec![change])), Outcome::Applied(_)));
}

/// Every honest change names all that nobody has built on yet: one member must not make that list too long for it.
#[test]
fn r6_one_member_s_loose_ends_stay_few() {
    let (mut document, _) = published();
    let loose: Vec<_> =
        (0..100u8).map(|n| forged(&document, MOTHER, n, |d| glimpse(d, MOTHER, &format!("g{n}")))).collect();
    let outcomes = document.accept(&[MOTHER.event(2, START, loose)]).unwrap().outcomes;
    document
        .edit(&TEACHER.editor(), |to| edit::add_glimpse(to, TEACHER.person(), "after", "Det går fint", None))
        .expect("others can write on");
    assert!(matches!(outcomes[7], Outcome::Applied(_)), "a few devices may write without a net at once");
    assert_eq!(outcomes[8], Outcome::Quarantined(Reason::LooseEnds));
    // Once somebody has built on them all, there is room again.
    let joined = document.pending().map(|pending| pending.bytes.clone()).collect();
    document.accept(&[TEACHER.event(3, START, joined)]).unwrap();
    let again = forged(&document, MOTHER, 200, |d| glimpse(d, MOTHER, "again"));
    assert!(matches!(verdict(&mut document, &MOTHER.event(4, START, vec![again])), Outcome::Applied(_)));
}

#[test]
fn r7_an_event_counts_the_operations_of_all_its_changes() {
    let (document, events) = published();
    let mut writer = AutoCommit::load(&document.accepted.document.save()).unwrap();
    writer.set_actor(actor_id(MOTHER.device(), [1; 8]));
    let mut changes = Vec::new();
    for number in 0..101 {
        for part in 0..33 {
            glimpse(&mut writer, MOTHER, &format!("g{number}-{part}")).unwrap();
        }
        writer.commit();
        changes.push(writer.get_last_local_change().unwrap().raw_bytes().to_vec());
    }
    // 99 operations each: 101 changes make 9,999; one more is too many.
    glimpse(&mut writer, MOTHER, "last").unwrap();
    writer.commit();
    changes.push(writer.get_last_local_change().unwrap().raw_bytes().to_vec());
    let outcomes = reader(&events).accept(&[MOTHER.event(2, START, changes)]).unwrap().outcomes;
    assert!(outcomes[..101].iter().all(|outcome| matches!(outcome, Outcome::Applied(_))));
    assert_eq!(outcomes[101], Outcome::Quarantined(Reason::Operations));
}

#[test]
fn r9_bytes_that_are_no_change_of_ours() {
    let (mut document, _) = published();
    let good = forged(&document, MOTHER, 1, |d| glimpse(d, MOTHER, "g"));
    let mut bad = good.clone();
    bad[5] ^= 1;
    assert_eq!(refused(verdict(&mut document, &MOTHER.event(2, START, vec![bad]))), Reason::Checksum);
    let saved = document.accepted.document.save();
    assert_eq!(refused(verdict(&mut document, &MOTHER.event(3, START, vec![saved]))), Reason::ChunkType);
    let extra = altered(&good, |change| change.extra_bytes = vec![1]);
    assert_eq!(refused(verdict(&mut document, &MOTHER.event(4, START, vec![extra]))), Reason::Extras);
    let deleting = forged(&document, TEACHER, 9, |d| {
        let measures = section(d, "measures");
        d.delete(measures, "home")
    });
    assert_eq!(refused(verdict(&mut document, &TEACHER.event(5, START, vec![deleting]))), Reason::Operation);
    assert!(document.entry("measures", "home").is_some());
}

#[test]
fn r11_orphans_are_refused_and_kept_nowhere() {
    let (mut document, _) = published();
    for number in 0..50u8 {
        let orphan = altered(&forged(&document, MOTHER, number, |d| glimpse(d, MOTHER, "g")), |change| {
            change.deps.push(automerge::ChangeHash([number; 32]));
        });
        let event = MOTHER.event(u64::from(number) + 2, START, vec![orphan]);
        let outcome = document.accept(&[event]).unwrap().outcomes[0];
        assert_eq!(outcome, Outcome::Quarantined(Reason::UnknownDependency));
    }
    assert!(document.accepted.document.get_missing_deps(&[]).is_empty());
}

#[test]
fn what_depends_on_a_quarantined_change_falls_with_it() {
    let (mut document, _) = published();
    let mut writer = AutoCommit::load(&document.accepted.document.save()).unwrap();
    writer.set_actor(actor_id(MOTHER.device(), [1; 8]));
    put_entry(&mut writer, "measures", "own", &[("author", &hex(MOTHER))]).unwrap();
    writer.commit();
    let bad = writer.get_last_local_change().unwrap().raw_bytes().to_vec();
    glimpse(&mut writer, MOTHER, "g").unwrap();
    writer.commit();
    let follower = writer.get_last_local_change().unwrap().raw_bytes().to_vec();
    let outcomes = document.accept(&[MOTHER.event(2, START, vec![bad, follower])]).unwrap().outcomes;
    assert_eq!(
        outcomes,
        vec![Outcome::Quarantined(Reason::Missing), Outcome::Quarantined(Reason::QuarantinedDependency)]
    );
}

#[test]
fn r12_nothing_is_struck_out_from_elsewhere() {
    let (mut document, _) = published();
    // A glimpse whose text claims to replace the goal's text: the library would make the goal disappear.
    let goal = {
        let saved = AutoCommit::load(&document.accepted.document.save()).unwrap();
        let (_, object) = saved.get(section(&saved, "goal"), "text").unwrap().unwrap();
        let ObjId::Id(counter, actor, _) = object else { panic!("an id") };
        legacy::OpId::new(counter, &actor)
    };
    let honest = forged(&document, MOTHER, 1, |d| glimpse(d, MOTHER, "g"));
    let striking = altered(&honest, |change| {
        let text = change.operations.last_mut().unwrap();
        text.pred = vec![goal.clone()].into();
    });
    assert_eq!(refused(verdict(&mut document, &MOTHER.event(2, START, vec![striking]))), Reason::Once);
    // The same from a field that may be written again.
    let rewriting = forged(&document, TEACHER, 9, |d| {
        let measure = entry(d, "measures", "home");
        d.put(measure, "text", "Ny tekst")
    });
    let striking = altered(&rewriting, |change| {
        let text = change.operations.last_mut().unwrap();
        text.pred = text.pred.iter().cloned().chain([goal]).collect();
    });
    assert_eq!(refused(verdict(&mut document, &TEACHER.event(3, START, vec![striking]))), Reason::Predecessor);
    assert_eq!(document.concern().goal_text(), "Ella gjør lekser hver dag");
    assert!(matches!(verdict(&mut document, &TEACHER.event(4, START, vec![rewriting])), Outcome::Applied(_)));
}

#[test]
fn r12_schema_values_and_authors() {
    let (mut document, _) = published();
    let long = "x".repeat(4_001);
    type Forgery<'a> = Box<dyn FnOnce(&mut AutoCommit) -> Result<(), AutomergeError> + 'a>;
    let cases: Vec<(Reason, Forgery<'_>)> = vec![
        (Reason::Schema, Box::new(|d| d.put(ROOT, "note", "x"))),
        (Reason::Schema, Box::new(|d| d.put_object(ROOT, "measures", ObjType::Map).map(drop))),
        (Reason::Schema, Box::new(|d| put_entry(d, "glimpses", "a b", &[]))),
        (Reason::Schema, Box::new(|d| put_entry(d, "glimpses", "g", &[("colour", "red")]))),
        (Reason::Schema, Box::new(|d| d.put(section(d, "glimpses"), "text", "x"))),
        (
            Reason::Schema,
            Box::new(|d| {
                let nested = d.put_object(section(d, "glimpses"), "g", ObjType::Map)?;
                d.put_object(nested, "text", ObjType::Map).map(drop)
            }),
        ),
        (Reason::Value, Box::new(|d| put_entry(d, "glimpses", "g", &[("text", &long)]))),
        (Reason::Value, Box::new(|d| put_entry(d, "glimpses", "g", &[("text", "\u{202e}snudd")]))),
        (
            Reason::Value,
            Box::new(|d| {
                let entry = d.put_object(section(d, "glimpses"), "g", ObjType::Map)?;
                d.put(entry, "text", ScalarValue::Int(1))
            }),
        ),
        (Reason::Missing, Box::new(|d| put_entry(d, "glimpses", "g", &[("author", &hex(MOTHER))]))),
        (Reason::Author, Box::new(|d| glimpse(d, TEACHER, "g"))),
        (Reason::Author, Box::new(|d| put_entry(d, "glimpses", "g", &[("text", "uten navn")]))),
        (Reason::Once, Box::new(|d| put_entry(d, "glimpses", "there", &[("author", &hex(MOTHER)), ("text", "over")]))),
        (
            Reason::Role,
            Box::new(|d| {
                let fields = [
                    ("author", hex(MOTHER)),
                    ("text", "t".into()),
                    ("arena", "home".into()),
                    ("responsible", "family".into()),
                ];
                let fields = fields.each_ref().map(|(field, value)| (*field, value.as_str()));
                put_entry(d, "measures", "m", &fields)
            }),
        ),
        (
            Reason::Once,
            Box::new(|d| {
                let entry = d.put_object(section(d, "glimpses"), "g", ObjType::Map)?;
                d.put(&entry, "author", hex(MOTHER))?;
                d.put(&entry, "text", "en")?;
                d.put(&entry, "text", "to")
            }),
        ),
    ];
    let there = forged(&document, MOTHER, 77, |d| glimpse(d, MOTHER, "there"));
    document.accept(&[MOTHER.event(2, START, vec![there])]).unwrap();
    for (number, (reason, forgery)) in cases.into_iter().enumerate() {
        let change = forged(&document, MOTHER, number as u8, forgery);
        let event = MOTHER.event(number as u64 + 3, START, vec![change]);
        assert_eq!(verdict(&mut document, &event), Outcome::Quarantined(reason), "case {number}");
    }
    assert_eq!(document.entry("glimpses", "there").unwrap().text("text").unwrap(), "Et smil");
}

#[test]
fn r14_an_author_s_clock_moves_nothing() {
    let (mut document, _) = published();
    let at = |document: &Document, number: usize, time: i64| {
        let change = forged(document, MOTHER, number as u8, |d| glimpse(d, MOTHER, &format!("g{number}")));
        let change = altered(&change, |change| change.time = time);
        MOTHER.event(number as u64 + 2, START + number as u64, vec![change])
    };
    for (number, time) in [4_102_444_800, -1, 0, 1 << 40, -1 << 40].into_iter().enumerate() {
        let event = at(&document, number, time);
        assert!(matches!(document.accept(&[event]).unwrap().outcomes[0], Outcome::Applied(_)));
    }
    // The library adds differences of times: far ones overflow and panic.
    for time in [i64::MIN, i64::MAX, (1 << 40) + 1] {
        let event = at(&document, 5, time);
        assert_eq!(document.accept(&[event]).unwrap().outcomes[0], Outcome::Quarantined(Reason::Time));
    }
    let order: Vec<String> = document.concern().glimpses.into_iter().map(|glimpse| glimpse.id).collect();
    assert_eq!(order, ["g0", "g1", "g2", "g3", "g4"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    /// R10: mutated changes with a repaired checksum neither stop the document nor get in unnoticed.
    #[test]
    fn r10_mutations_never_stop_a_document(edits in proptest::collection::vec((9usize..400, any::<u8>()), 1..4)) {
        let (mut document, _) = published();
        let mut change = forged(&document, MOTHER, 1, |d| glimpse(d, MOTHER, "g"));
        let length = change.len();
        for (at, byte) in edits {
            change[9 + at % (length - 9)] = byte;
        }
        let sum = Sha256::digest(&change[8..]);
        change[4..8].copy_from_slice(&sum[..4]);
        let outcome = document.accept(&[MOTHER.event(2, START, vec![change])]);
        prop_assert!(outcome.is_ok(), "stopped");
        let saved = document.accepted.document.save();
        let loaded = automerge::Automerge::load(&saved);
        prop_assert!(loaded.is_ok(), "what was accepted loads again");
        prop_assert_eq!(loaded.unwrap().get_heads(), document.accepted.document.get_heads());
    }
}
