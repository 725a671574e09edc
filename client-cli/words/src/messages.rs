//! Every word that a person reads, in one catalogue of three languages. `messages/*.txt` holds one `key = text` a line;
//! `{name}` is a place to fill in, `\n` a new line.

use std::collections::BTreeMap;

/// What people may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Bokmål, where nobody chose.
    Bokmaal,
    /// Nynorsk.
    Nynorsk,
    /// English.
    English,
}

impl Language {
    /// The first that is known among what somebody has set (`nn_NO.UTF-8`, `en`, …), or bokmål.
    pub fn among(set: impl IntoIterator<Item = String>) -> Self {
        set.into_iter().find_map(|value| Self::named(&value)).unwrap_or(Self::Bokmaal)
    }

    fn named(value: &str) -> Option<Self> {
        let name: String = value.chars().take_while(char::is_ascii_alphabetic).collect();
        match name.to_ascii_lowercase().as_str() {
            "nb" | "no" => Some(Self::Bokmaal),
            "nn" => Some(Self::Nynorsk),
            "en" => Some(Self::English),
            _ => None,
        }
    }

    /// What is said everywhere, and what only pages say.
    fn texts(self) -> [&'static str; 2] {
        match self {
            Self::Bokmaal => [include_str!("../../messages/nb.txt"), include_str!("../../messages/pages.nb.txt")],
            Self::Nynorsk => [include_str!("../../messages/nn.txt"), include_str!("../../messages/pages.nn.txt")],
            Self::English => [include_str!("../../messages/en.txt"), include_str!("../../messages/pages.en.txt")],
        }
    }
}

/// The catalogue in one language.
pub struct Messages {
    texts: BTreeMap<&'static str, &'static str>,
}

impl Messages {
    /// Reads the catalogue of a language.
    pub fn of(language: Language) -> Self {
        Self { texts: language.texts().into_iter().flat_map(entries).collect() }
    }

    /// The text of a key, if there is one.
    pub fn find(&self, key: &str) -> Option<&'static str> {
        self.texts.get(key).copied()
    }

    /// Every key that has a text.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.texts.keys().copied()
    }

    /// The text of a key with its places filled in; a missing key shows itself.
    pub fn say(&self, key: &str, values: &[(&str, &str)]) -> String {
        let value = |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        self.find(key).map_or_else(|| key.to_owned(), |text| fill(text, |name| value(name).unwrap_or_default()))
    }

    /// A number in the words of a row: the third.
    pub fn nth(&self, number: &str) -> String {
        let at = number.parse::<usize>().unwrap_or_default();
        let words = self.find("word.nth").unwrap_or_default();
        at.checked_sub(1).and_then(|at| words.split(' ').nth(at)).map_or_else(|| format!("{number}."), str::to_owned)
    }

    /// A text of this catalogue with its places filled in.
    pub fn fill(&self, text: &str, value: impl Fn(&str) -> String) -> String {
        fill(text, value)
    }
}

/// Fills each `{name}` once, in one pass: what is filled in is never searched again.
fn fill(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(&before.replace("\\n", "\n"));
        let Some((name, behind)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        out.push_str(&value(name));
        rest = behind;
    }
    out.push_str(&rest.replace("\\n", "\n"));
    out
}

fn entries(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, text)| (key.trim(), text.trim()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    fn places(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name)).collect()
    }

    #[test]
    fn the_three_languages_have_the_same_keys_and_places() {
        let reference = Messages::of(Language::Bokmaal);
        assert!(reference.texts.len() > 50);
        for language in [Language::Bokmaal, Language::Nynorsk, Language::English] {
            let other = Messages::of(language);
            let keys = |messages: &Messages| messages.texts.keys().copied().collect::<BTreeSet<_>>();
            assert_eq!(keys(&reference), keys(&other), "{language:?}");
            for (key, text) in &other.texts {
                assert_eq!(places(reference.find(key).unwrap()), places(text), "{language:?} {key}");
                assert!(!text.is_empty());
            }
            let lines = language
                .texts()
                .into_iter()
                .flat_map(str::lines)
                .filter(|line| !line.is_empty() && !line.starts_with('#'));
            assert_eq!(lines.count(), other.texts.len(), "{language:?}: a line without ' = ', or a key twice");
        }
    }

    #[test]
    fn filling_in() {
        let value = |name: &str| if name == "x" { "{y}".to_owned() } else { format!("<{name}>") };
        assert_eq!(fill("a {x} {y} {", value), "a {y} <y> {");
    }

    #[test]
    fn languages_by_name() {
        assert_eq!(Language::named("nn_NO.UTF-8"), Some(Language::Nynorsk));
        assert_eq!(Language::named("en"), Some(Language::English));
        assert_eq!(Language::named("C.UTF-8"), None);
    }
}
