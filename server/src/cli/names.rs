//! Names that this server takes: one rule at every door (`init`, `unit add`, an administrator's stream, peer files). They
//! are printed in lines and lists, where a name with a line break of its own would be a line of somebody's making.

/// Longest name or kind.
pub const NAME_CHARS: usize = 200;

/// Whether it is a name that stays in its line and can be seen.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    let seen = |c: char| !c.is_whitespace() && !is_invisible(c);
    name.chars().count() <= NAME_CHARS && name.chars().any(seen) && !name.chars().any(steers)
}

/// Control characters, line and paragraph separators, and those that turn the direction of what follows.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Characters that take no place: alone they would be a name that nobody sees.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_line_and_is_seen() {
        for good in ["Solvang skole", "Ullensaker", "Helsestasjon 2 (øst)", "Ráhkkanjárga skuvla", "مدرسة"] {
            assert!(is_plain(good), "{good}");
        }
        let long = "x".repeat(NAME_CHARS + 1);
        for bad in [
            "",
            " ",
            "\u{200B}",
            "\u{200F}\u{2060} ",
            "a\nok    keys: present",
            "a\rb",
            "a\u{2028}b",
            "a\u{1b}[31m",
            "a\u{85}b",
            "a\u{202E}b",
            "a\u{2066}b",
            &long,
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }
}
