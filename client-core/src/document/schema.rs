//! What a scope's document looks like. Every document is a map of sections; a section is either one record (`goal`) or a map of entries
//! under an id (`measures`). Nothing lies deeper, there are no lists and no shared text: an entry is written by one person in one
//! change, and only the fields marked `late` may change afterwards. Section maps come from a first change that is the same everywhere.

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, AutoCommit, Change, ObjType, ROOT, ScalarValue};
use stafett_protocol::limits::{ATTACHMENT_BYTES, LINE_CHARS, LONG_CHARS, NAME_CHARS, PASSAGE_CHARS};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::text::turns;

/// A part of a document.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    pub name: &'static str,
    pub keys: Keys,
    pub fields: &'static [Field],
}

/// What names an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// The section is one record.
    None,
    /// An id that its author chose at random. Such entries carry their author's person id.
    Random,
    /// A person's id.
    Person,
    /// A scope's id.
    Scope,
}

/// A field of an entry or record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    /// May be written again after the entry exists; the rules say by whom and how long.
    pub late: bool,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text for people, at most so many characters.
    Text(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number within these bounds.
    Number(i64, i64),
    Flag,
    /// The id of an entry.
    Id,
}

/// The field that names the author of an entry.
pub const AUTHOR: &str = "author";

const NAME: Kind = Kind::Text(NAME_CHARS);
const LINE: Kind = Kind::Text(LINE_CHARS);
/// 32 bytes in hexadecimal: with it the hash that was signed can be made again.
const SALT: Kind = Kind::Text(64);
const TIME: Kind = Kind::Text(40);
const PASSAGE: Kind = Kind::Text(PASSAGE_CHARS);
const LONG: Kind = Kind::Text(LONG_CHARS);
const ARENA: Kind = Kind::Word(&["service", "home", "child"]);
const COLOUR: Kind = Kind::Word(&["green", "yellow", "red"]);

const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true, late: false }
}
const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false, late: false }
}
const fn must_late(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true, late: true }
}
const fn late(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false, late: true }
}
const fn section(name: &'static str, keys: Keys, fields: &'static [Field]) -> Section {
    Section { name, keys, fields }
}

/// A file beside the chain, and the key that opens it.
const FILE: [Field; 4] = [
    may("attachment", Kind::Text(64)),
    may("attachment_key", Kind::Text(64)),
    may("attachment_name", NAME),
    may("attachment_size", Kind::Number(1, ATTACHMENT_BYTES as i64)),
];

const CARD: &[Section] = &[
    section(
        "log",
        Keys::None,
        &[
            late("child_name", NAME),
            late("born", Kind::Text(10)),
            late("level", Kind::Number(1, 3)),
            late("status", Kind::Word(&["active", "passive"])),
        ],
    ),
    section("people", Keys::Person, &[must_late("name", NAME), late("unit", NAME), late("title", NAME)]),
    section(
        "meetings",
        Keys::Random,
        &[
            must("time", TIME),
            may("place", NAME),
            may("agenda", PASSAGE),
            late("state", Kind::Word(&["planned", "held", "cancelled"])),
        ],
    ),
    section("handovers", Keys::Random, &[must("reason", PASSAGE), must("to", NAME)]),
];

const JOURNAL: &[Section] = &[
    section("concerns", Keys::Scope, &[must("title", LINE), late("state", Kind::Word(&["open", "closed"]))]),
    section("notes", Keys::Random, &[must("text", LONG), may("time", TIME), FILE[0], FILE[1], FILE[2], FILE[3]]),
    section("consent_texts", Keys::Random, &[must("text", LONG), must("salt", SALT), may("title", LINE)]),
    section("requests", Keys::Random, &[must("text", PASSAGE), may("time", TIME), late("answer", PASSAGE)]),
];

const CONCERN: &[Section] = &[
    section(
        "about",
        Keys::None,
        &[must("title", LINE), may("category", NAME), late("state", Kind::Word(&["open", "closed"]))],
    ),
    section(
        "goal",
        Keys::None,
        &[
            must("text", PASSAGE),
            may("present", PASSAGE),
            may("conditions", PASSAGE),
            may("looks_like", PASSAGE),
            may("until", Kind::Text(10)),
            may("success_sign", PASSAGE),
        ],
    ),
    section("corrections", Keys::Random, &[must("of", Kind::Word(&["title", "goal"])), must("text", PASSAGE)]),
    section(
        "measures",
        Keys::Random,
        &[
            must_late("text", PASSAGE),
            must("arena", ARENA),
            // A person's id, `family` or `child`: exactly one responsible (F3, F6).
            must("responsible", Kind::Id),
            may("due", Kind::Text(10)),
            may("time", TIME),
            may("step", Kind::Number(1, 99)),
            late("superseded", Kind::Number(1, 2)),
            late("superseded_by", Kind::Id),
        ],
    ),
    section(
        "evaluations",
        Keys::Random,
        &[
            must("measure", Kind::Id),
            must("result", COLOUR),
            may("text", PASSAGE),
            // As the writer heard it in the meeting; the family's own mark outranks it (G3).
            may("family_agrees", Kind::Flag),
            may("time", TIME),
        ],
    ),
    section(
        "family_marks",
        Keys::Random,
        &[must("measure", Kind::Id), must("agrees", Kind::Flag), may("result", COLOUR), may("text", PASSAGE)],
    ),
    section("glimpses", Keys::Random, &[must("text", PASSAGE), may("time", TIME), FILE[0], FILE[1], FILE[2], FILE[3]]),
    section("comments", Keys::Random, &[must("text", PASSAGE), may("on", Kind::Id), may("time", TIME)]),
    section("proposals", Keys::Random, &[must("text", PASSAGE), may("arena", ARENA), late("adopted", Kind::Id)]),
];

const UNIT: &[Section] = &[
    section("directory", Keys::Person, &[must_late("name", NAME), late("title", NAME), late("active", Kind::Flag)]),
    section(
        "counts",
        Keys::Person,
        &[
            must_late("logs", Kind::Number(0, 100_000)),
            late("open_measures", Kind::Number(0, 100_000)),
            late("overdue", Kind::Number(0, 100_000)),
        ],
    ),
];

const PERSONAL: &[Section] = &[section("notes", Keys::Random, &[must_late("text", LONG), may("time", TIME)])];

/// The sections of a kind of scope.
#[must_use]
pub fn sections(kind: ScopeKind) -> &'static [Section] {
    match kind {
        ScopeKind::Card => CARD,
        ScopeKind::Journal => JOURNAL,
        ScopeKind::Concern => CONCERN,
        ScopeKind::Unit => UNIT,
        ScopeKind::Personal => PERSONAL,
    }
}

impl Section {
    /// The field of this name; every entry under a random id also has an author.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        static AUTHOR_FIELD: Field = must(AUTHOR, Kind::Id);
        match (name, self.keys) {
            (AUTHOR, Keys::Random) => Some(&AUTHOR_FIELD),
            _ => self.fields.iter().find(|field| field.name == name),
        }
    }

    /// Whether an entry may have this key.
    #[must_use]
    pub fn takes_key(&self, key: &str) -> bool {
        match self.keys {
            Keys::None => false,
            Keys::Random => is_id(key),
            Keys::Person | Keys::Scope => {
                key.len() == 32 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            }
        }
    }
}

impl Kind {
    /// Whether a field of this kind may hold the value.
    #[must_use]
    pub fn takes(self, value: &ScalarValue) -> bool {
        match (self, value) {
            (Self::Text(most), ScalarValue::Str(text)) => text.chars().count() <= most && text.chars().all(is_plain),
            (Self::Word(words), ScalarValue::Str(word)) => words.contains(&word.as_str()),
            (Self::Number(least, most), ScalarValue::Int(number)) => (least..=most).contains(number),
            (Self::Flag, ScalarValue::Boolean(_)) => true,
            (Self::Id, ScalarValue::Str(id)) => is_id(id),
            _ => false,
        }
    }
}

fn is_id(key: &str) -> bool {
    (1..=64).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// No control characters but line ends and tabs, and nothing that turns the direction of what stands around the text (R16).
fn is_plain(c: char) -> bool {
    (!c.is_control() || matches!(c, '\n' | '\t')) && !turns(c)
}

/// The actor of the first change.
pub(crate) const FIRST_ACTOR: [u8; 24] = [0; 24];

/// The first change of every document of a kind: its empty sections. Each client makes it for itself, all the same bytes; were it made
/// by whoever writes first, two devices offline would make two maps, and one would hide the other.
#[must_use]
pub fn first_change(kind: ScopeKind) -> Option<Change> {
    let mut document = AutoCommit::new().with_actor(ActorId::from(&FIRST_ACTOR[..]));
    for section in sections(kind) {
        document.put_object(ROOT, section.name, ObjType::Map).ok()?;
    }
    document.commit_with(CommitOptions::default().with_time(0))?;
    document.get_last_local_change()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KINDS: [ScopeKind; 5] =
        [ScopeKind::Card, ScopeKind::Journal, ScopeKind::Concern, ScopeKind::Unit, ScopeKind::Personal];

    #[test]
    fn first_changes_never_change() {
        let hashes = KINDS.map(|kind| first_change(kind).unwrap().hash().to_string()[..8].to_string());
        let known = ["4751cfa3", "884353d6", "dfd8173c", "8d7c3814", "4e19a45c"];
        assert_eq!(hashes, known, "the bytes of first changes are part of the protocol");
    }

    #[test]
    fn names_fit_the_outline() {
        for section in KINDS.into_iter().flat_map(sections) {
            assert!(section.name.len() <= super::super::outline::KEY_BYTES);
            assert!(section.fields.iter().all(|field| is_id(field.name)));
        }
    }

    #[test]
    fn values_are_checked_on_both_sides() {
        let text = |text: &str| ScalarValue::Str(text.into());
        assert!(Kind::Text(3).takes(&text("påå")), "in characters, so that nobody pays for their alphabet");
        assert!(!Kind::Text(3).takes(&text("pååå")));
        assert!(Kind::Text(9).takes(&text("שלום!\u{200f}")));
        assert!(Kind::Text(99).takes(&text("to\nlinjer 👍🏽")));
        for hostile in ["\u{202e}snu", "\u{2066}", "\u{0}", "\u{7f}", "\u{1b}[31m"] {
            assert!(!Kind::Text(99).takes(&text(hostile)), "{hostile:?}");
        }
        assert!(ARENA.takes(&text("home")) && !ARENA.takes(&text("Home")));
        assert!(Kind::Number(1, 3).takes(&ScalarValue::Int(3)));
        assert!(!Kind::Number(1, 3).takes(&ScalarValue::Int(0)) && !Kind::Number(1, 3).takes(&ScalarValue::Int(4)));
        assert!(!Kind::Number(1, 3).takes(&ScalarValue::Uint(2)), "one form only");
        assert!(Kind::Flag.takes(&ScalarValue::Boolean(true)) && !Kind::Flag.takes(&ScalarValue::Null));
        assert!(Kind::Id.takes(&text("m0000001")) && !Kind::Id.takes(&text("a b")) && !Kind::Id.takes(&text("")));
    }

    #[test]
    fn keys_are_checked() {
        let people = sections(ScopeKind::Card).iter().find(|section| section.name == "people").unwrap();
        assert!(people.takes_key(&"0a".repeat(16)));
        assert!(!people.takes_key(&"0A".repeat(16)) && !people.takes_key("0a"));
        assert!(people.field(AUTHOR).is_none());
        let log = sections(ScopeKind::Card).iter().find(|section| section.name == "log").unwrap();
        assert!(!log.takes_key("x"));
    }
}
