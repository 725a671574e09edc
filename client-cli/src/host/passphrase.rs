//! Passphrases as they were meant, whatever keyboard typed them: the profile OpaqueString of RFC 8265. A Mac writes «å» as
//! two letters and Linux as one; without this a home could not be opened where it was moved to.
//!
//! Ours over `unicode-normalization`, not `precis-profiles`: that crate makes its tables with seven others at build time, for
//! four steps.

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory as G, UnicodeGeneralCategory as _};
use zeroize::Zeroizing;

/// The passphrase as it is hashed; `None` where it is empty or holds what no keyboard writes.
pub fn prepared(given: &str) -> Option<Zeroizing<String>> {
    // From a file or a command a line end comes along that nobody meant.
    let given = given.strip_suffix('\n').unwrap_or(given);
    let given = given.strip_suffix('\r').unwrap_or(given);
    let space = |c: char| if c.general_category() == G::SpaceSeparator { ' ' } else { c };
    let text: Zeroizing<String> = Zeroizing::new(given.chars().map(space).nfc().collect());
    (!text.is_empty() && text.chars().all(is_free)).then_some(text)
}

/// What RFC 8264 takes in free text: no controls, nothing unseen, nothing that is no character yet.
fn is_free(c: char) -> bool {
    let unseen = matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{fe00}'..='\u{fe0f}' | '\u{34f}');
    !unseen
        && !matches!(
            c.general_category(),
            G::Control
                | G::Format
                | G::Surrogate
                | G::PrivateUse
                | G::Unassigned
                | G::LineSeparator
                | G::ParagraphSeparator
        )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_passphrase_whatever_keyboard_typed_it() {
        let meant = prepared("blåbærsyltetøy på lørdag").unwrap();
        for typed in [
            "bla\u{30a}bærsyltetøy pa\u{30a} lørdag",
            "blåbærsyltetøy\u{a0}på\u{2003}lørdag",
            "blåbærsyltetøy på lørdag\n",
            "blåbærsyltetøy på lørdag\r\n",
        ] {
            assert_eq!(*prepared(typed).unwrap(), *meant, "{typed:?}");
        }
        // Nothing else is made the same: case, width and inner spaces count.
        for other in [
            "Blåbærsyltetøy på lørdag",
            "blåbærsyltetøy  på lørdag",
            " blåbærsyltetøy på lørdag",
            "ｂlåbærsyltetøy på lørdag",
        ] {
            assert_ne!(*prepared(other).unwrap(), *meant, "{other:?}");
        }
        for none in ["", "\n", "a\u{7}b", "a\u{200b}b", "a\tb", "\u{e000}", "a\nb"] {
            assert!(prepared(none).is_none(), "{none:?}");
        }
    }
}
