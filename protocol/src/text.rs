//! What people write: put right where nothing is lost by it, held to one list of limits, and refused with what is wrong.
//! Asked at the first door (a command of the client, `unit add`, `init`, joining), so that no later door says no.
//!
//! Characters are counted as Unicode scalar values of the composed form (NFC): people count «å» as one, every program counts
//! the same in every year, and no single character can be endless, as a grapheme cluster can.

use core::fmt;

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use crate::limits;

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One line; nothing in it that is not seen.
    Name,
    /// Lines as they were written.
    Passage,
}

/// One thing that people write, and how much of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// What a refusal calls it; stable, the words for it stand in each program.
    pub what: &'static str,
    pub most: usize,
    form: Form,
}

const fn name(what: &'static str, most: usize) -> Field {
    Field { what, most, form: Form::Name }
}
const fn passage(what: &'static str, most: usize) -> Field {
    Field { what, most, form: Form::Passage }
}

/// The one list.
pub const PERSON: Field = name("name", limits::PERSON_NAME_CHARS);
pub const CHILD: Field = name("child", limits::PERSON_NAME_CHARS);
pub const UNIT: Field = name("unit", limits::NAME_CHARS);
pub const UNIT_KIND: Field = name("kind", limits::NAME_CHARS);
pub const MUNICIPALITY: Field = name("municipality", limits::NAME_CHARS);
pub const CATEGORY: Field = name("category", limits::NAME_CHARS);
pub const TITLE: Field = name("title", limits::LINE_CHARS);
pub const GOAL: Field = passage("goal", limits::PASSAGE_CHARS);
pub const MEASURE: Field = passage("measure", limits::PASSAGE_CHARS);
pub const EVALUATION: Field = passage("evaluation", limits::PASSAGE_CHARS);
pub const GLIMPSE: Field = passage("glimpse", limits::PASSAGE_CHARS);
pub const COMMENT: Field = passage("comment", limits::PASSAGE_CHARS);
pub const REASON: Field = passage("reason", limits::PASSAGE_CHARS);
pub const NOTE: Field = passage("note", limits::LONG_CHARS);
const FILE_NAME: Field = name("file", limits::PERSON_NAME_CHARS);

/// Why something that was written is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nothing in it is seen.
    Empty,
    TooLong {
        given: usize,
    },
    /// A control character: no keyboard writes it, and a terminal would obey it.
    Control(char),
}

/// What is not taken, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit {
    pub field: &'static Field,
    pub why: Why,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Field { what, most, .. } = self.field;
        match self.why {
            Why::Empty => write!(f, "the {what} has no letters that can be seen"),
            Why::TooLong { given } => write!(f, "the {what} takes {most} characters at most, and this has {given}"),
            Why::Control(c) => write!(f, "the {what} holds a control character (U+{:04X})", u32::from(c)),
        }
    }
}

impl std::error::Error for Unfit {}

impl Field {
    /// The text as it is kept, or why it is not taken.
    pub fn take(&'static self, text: &str) -> Result<String, Unfit> {
        let unfit = |why| Unfit { field: self, why };
        let text = put_right(text, self.form).map_err(|c| unfit(Why::Control(c)))?;
        if !text.chars().any(is_seen) {
            return Err(unfit(Why::Empty));
        }
        match text.chars().count() {
            given if given > self.most => Err(unfit(Why::TooLong { given })),
            _ => Ok(text),
        }
    }

    /// The same of what may be left out; where nothing is seen, nothing was written.
    pub fn take_some(&'static self, text: &str) -> Result<Option<String>, Unfit> {
        match self.take(text) {
            Err(Unfit { why: Why::Empty, .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// What somebody else's program says: nothing to refuse any more, so whatever does not fit is left out. Empty where
    /// nothing is seen in it.
    #[must_use]
    pub fn shown(&self, text: &str) -> String {
        let plain: String = text.chars().filter(|c| !c.is_control() || is_break(*c) || *c == '\t').collect();
        let text: String = put_right(&plain, self.form).unwrap_or_default().chars().take(self.most).collect();
        if text.chars().any(is_seen) { text.trim().to_owned() } else { String::new() }
    }
}

/// The name of a file as others see and keep it: no path, no turned ending, and its ending stays when it is cut.
#[must_use]
pub fn file_name(name: &str) -> String {
    /// Endings are short; what is longer is part of the name.
    const ENDING_CHARS: usize = 10;
    let whole = Field { most: usize::MAX, ..FILE_NAME }.shown(name);
    let apart = |c: char| if matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') { '-' } else { c };
    let whole: String = whole.chars().map(apart).collect();
    let whole = whole.trim_start_matches(['.', '-', ' ']);
    let (stem, ending) = match whole.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ending.chars().count() <= ENDING_CHARS => (stem, ending),
        _ => (whole, "pdf"),
    };
    let room = FILE_NAME.most.saturating_sub(ending.chars().count() + 1);
    let stem: String = stem.chars().take(room).collect();
    let stem = if stem.chars().any(is_seen) { stem.trim_end() } else { "vedlegg" };
    format!("{stem}.{ending}")
}

/// Composed, with one kind of line end, and without what turns the direction of the text around it.
fn put_right(text: &str, form: Form) -> Result<String, char> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.nfc().peekable();
    while let Some(c) = rest.next() {
        if c == '\r' && rest.peek() == Some(&'\n') {
            continue;
        }
        match (c, form) {
            (c, Form::Passage) if is_break(c) => out.push('\n'),
            ('\t', Form::Passage) => out.push('\t'),
            (c, Form::Name) if is_break(c) || c.is_whitespace() => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            (c, _) if c.is_control() => return Err(c),
            (c, _) if turns(c) || c == '\u{feff}' => {}
            // Joiners shape letters (Persian, emoji); nothing else that is not seen belongs in a name.
            (c, Form::Name) if c.general_category() == GeneralCategory::Format && !is_joiner(c) => {}
            (c, _) => out.push(c),
        }
    }
    Ok(out.trim().to_owned())
}

/// Ends a line, whoever's program wrote it: Unix, old Mac, Word's soft break, form feed, NEL, Unicode's own.
fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Embeds, overrides or isolates a direction: works on what stands around the text, too. The marks of one place (LRM, RLM,
/// ALM) do not, and Arabic and Hebrew need them.
#[must_use]
pub fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether people see something where this stands.
fn is_seen(c: char) -> bool {
    /// Letters and signs by their category, and blank all the same: fillers of Hangul, the empty braille cell.
    const BLANK: [char; 5] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}', '\u{2800}'];
    use GeneralCategory as G;
    let category = c.general_category();
    let unseen = matches!(
        category,
        G::Control
            | G::Format
            | G::NonspacingMark
            | G::EnclosingMark
            | G::SpaceSeparator
            | G::LineSeparator
            | G::ParagraphSeparator
    );
    !unseen && !BLANK.contains(&c)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ordinary_pasted_text_is_taken_and_put_right() {
        for (pasted, kept) in [
            ("Linje 1\r\nLinje 2\rLinje 3", "Linje 1\nLinje 2\nLinje 3"),
            ("Word\u{b}bryter", "Word\nbryter"),
            ("a\u{c}b\u{85}c\u{2028}d\u{2029}e", "a\nb\nc\nd\ne"),
            ("\u{feff}Hei\u{feff}", "Hei"),
            ("10\u{a0}km\tvidere", "10\u{a0}km\tvidere"),
            ("lekse\u{ad}hjelp", "lekse\u{ad}hjelp"),
            ("שלום!\u{200f}", "שלום!\u{200f}"),
            ("نص\u{61c} 3", "نص\u{61c} 3"),
            ("Hilsen \u{2068}Ella\u{2069}", "Hilsen Ella"),
            ("fil\u{202e}fdp.exe", "filfdp.exe"),
            ("bla\u{30a}ba\u{308}r", "blåbär"),
            ("- foo", "- foo"),
            ("  \n to\n linjer \n", "to\n linjer"),
        ] {
            assert_eq!(GLIMPSE.take(pasted).as_deref(), Ok(kept), "{pasted:?}");
            assert_eq!(GLIMPSE.take(kept).as_deref(), Ok(kept), "put right once and for all");
        }
    }

    #[test]
    fn names_are_one_line_that_is_seen() {
        for (given, kept) in [
            (" مريم\u{200f} ", "مريم"),
            ("Tone\u{2066}Dahl", "ToneDahl"),
            ("Anne\r\nLi", "Anne Li"),
            ("Anne\u{a0} \u{2009}Li", "Anne Li"),
            ("Bjo\u{2060}rn\u{200b}", "Bjorn"),
            ("بی\u{200c}تا", "بی\u{200c}تا"),
            ("👩\u{200d}👧", "👩\u{200d}👧"),
            ("A\u{30a}se", "Åse"),
        ] {
            assert_eq!(PERSON.take(given).as_deref(), Ok(kept), "{given:?}");
        }
        for nothing in [
            "",
            " ",
            "\u{200b}",
            "\u{3164}",
            "\u{2800}\u{ad}",
            "\u{200f}\u{202e}",
            "\u{301}",
            "\u{fe0f}",
            "\u{200d}",
            "\r\n",
        ] {
            assert_eq!(PERSON.take(nothing).unwrap_err().why, Why::Empty, "{nothing:?}");
            assert_eq!(GLIMPSE.take(nothing).unwrap_err().why, Why::Empty, "{nothing:?}");
            assert_eq!(GLIMPSE.take_some(nothing), Ok(None));
            assert_eq!(PERSON.shown(nothing), "");
        }
        assert_eq!(PERSON.take("A\u{1b}[31mB").unwrap_err().why, Why::Control('\u{1b}'));
        assert_eq!(PERSON.shown("A\u{1b}[31mB\u{202e}"), "A[31mB");
    }

    #[test]
    fn characters_are_counted_as_people_count_them() {
        let most = GLIMPSE.most;
        assert!(GLIMPSE.take(&"æ".repeat(most)).is_ok());
        assert!(GLIMPSE.take(&"a\u{30a}".repeat(most)).is_ok(), "composed first, then counted");
        let refused = GLIMPSE.take(&"æ".repeat(most + 1)).unwrap_err();
        assert_eq!(refused.why, Why::TooLong { given: most + 1 });
        assert!(refused.to_string().contains(&most.to_string()));
        assert_eq!(PERSON.shown(&"å".repeat(900)).chars().count(), PERSON.most);
    }

    #[test]
    fn file_names_lead_nowhere_and_keep_their_ending() {
        for (given, kept) in [
            ("../../etc/passwd.pdf", "etc-passwd.pdf"),
            ("..\\x.PDF", "x.PDF"),
            ("-rf.pdf", "rf.pdf"),
            ("a\nb.pdf", "a b.pdf"),
            ("skjult\u{202e}fdp.exe.pdf", "skjultfdp.exe.pdf"),
            ("bla\u{30a}bær.pdf", "blåbær.pdf"),
            (".pdf", "pdf.pdf"),
            ("", "vedlegg.pdf"),
            ("\u{3164}.pdf", "vedlegg.pdf"),
            ("CON:", "CON-.pdf"),
        ] {
            assert_eq!(file_name(given), kept, "{given:?}");
        }
        let long = file_name(&format!("{}.pdf", "x".repeat(240)));
        assert!(long.ends_with("x.pdf") && long.chars().count() == FILE_NAME.most, "{long}");
    }
}
