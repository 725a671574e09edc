//! Puts an answer into plain words, by the catalogue: `say.<command>` for the whole, `line.<command>.<list>` for each entry of
//! a list with `also.<command>.<list>.<what>` below it, `head.…` above one that is not empty, `none.…` for one that is.

use crate::terminal::reader::Reader;

/// An answer or an entry of one, ready for the catalogue.
#[derive(Debug, Default)]
pub struct Part {
    /// Said instead of what the catalogue has for the command.
    said: Option<String>,
    places: Vec<(&'static str, String)>,
    lists: Vec<(&'static str, Vec<Part>)>,
}

impl Part {
    /// With what fills the places of its text.
    pub fn of(places: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self { places: places.into_iter().collect(), ..Self::default() }
    }

    /// With more of them.
    #[must_use]
    pub fn and(mut self, places: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.places.extend(places);
        self
    }

    /// Lists of an answer, or what stands below an entry, in the order in which they are told.
    #[must_use]
    pub fn with(mut self, list: &'static str, parts: impl IntoIterator<Item = Part>) -> Self {
        self.lists.push((list, parts.into_iter().collect()));
        self
    }

    /// Said in these words.
    #[must_use]
    pub fn saying(self, said: String) -> Self {
        Self { said: Some(said), ..self }
    }

    /// What fills a place.
    pub fn place(&self, name: &str) -> Option<&str> {
        self.places.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }
}

/// The words for an answer of `command` (for example `log.show`).
pub fn words(to: &Reader<'_>, command: &str, told: &Part) -> String {
    let say = || to.messages.find(&format!("say.{command}")).map(|text| filled(to, text, told));
    let lines = told.said.clone().or_else(say).into_iter().chain(lists(to, command, told));
    lines.collect::<Vec<_>>().join("\n")
}

/// The words for the lists in an answer alone.
pub fn lists(to: &Reader<'_>, command: &str, told: &Part) -> Vec<String> {
    let find = |kind: &str, list: &str| to.messages.find(&format!("{kind}.{command}.{list}"));
    let mut lines = Vec::new();
    for (list, entries) in &told.lists {
        if entries.is_empty() {
            lines.extend(find("none", list).map(str::to_owned));
        } else if let Some(line) = find("line", list) {
            lines.extend(find("head", list).map(str::to_owned));
            for entry in entries {
                lines.push(filled(to, line, entry));
                lines.extend(below(to, command, list, entry));
            }
        }
    }
    lines
}

fn below(to: &Reader<'_>, command: &str, list: &str, entry: &Part) -> Vec<String> {
    let text = |what: &str| to.messages.find(&format!("also.{command}.{list}.{what}"));
    let of_one = |(what, parts): &(&'static str, Vec<Part>)| {
        let text = text(what);
        text.into_iter().flat_map(|text| parts.iter().map(|part| format!("    {}", filled(to, text, part)))).collect()
    };
    entry.lists.iter().flat_map(|one: &_| -> Vec<String> { of_one(one) }).collect()
}

fn filled(to: &Reader<'_>, text: &str, part: &Part) -> String {
    to.messages.fill(text, |name| part.place(name).map_or_else(|| to.absent(), str::to_owned))
}

/// What the catalogue has no place for, and places that nothing fills: both are mistakes.
#[cfg(test)]
pub(crate) fn astray(messages: &crate::terminal::messages::Messages, command: &str, told: &Part) -> Vec<String> {
    use std::collections::BTreeSet;

    fn walk(
        messages: &crate::terminal::messages::Messages,
        (key, below): (String, &str),
        part: &Part,
        given: &mut BTreeSet<String>,
        wanted: &mut BTreeSet<String>,
        wrong: &mut Vec<String>,
    ) {
        let text = messages.find(&key).filter(|_| part.said.is_none()).unwrap_or_default();
        for place in text.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0)) {
            wanted.insert(place.to_owned());
            if part.place(place).is_none() {
                wrong.push(format!("{key}: nothing fills {{{place}}}"));
            }
        }
        given.extend(part.places.iter().map(|(name, _)| (*name).to_owned()));
        for (list, parts) in &part.lists {
            let inner = key.split_once('.').map_or("", |(_, name)| name);
            let at = format!("{below}.{inner}.{list}");
            if messages.find(&at).is_none() {
                wrong.push(format!("{at}: no words"));
            }
            for one in parts {
                walk(messages, (at.clone(), "also"), one, given, wanted, wrong);
            }
        }
    }

    let (mut given, mut wanted, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    walk(messages, (format!("say.{command}"), "line"), told, &mut given, &mut wanted, &mut wrong);
    wrong.extend(given.difference(&wanted).map(|name| format!("{command}: {{{name}}} is shown nowhere")));
    wrong
}
