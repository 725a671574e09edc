//! Puts an answer into plain words, by the catalogue: `say.<command>` for the whole, `line.<command>.<list>` for each entry of
//! a list with `also.<command>.<list>.<what>` below it, `head.…` above one that is not empty, `none.…` for one that is.

use crate::reader::Reader;

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

    /// What stands in the place of the command's own text, if anything does.
    pub fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }

    /// The places that something fills.
    pub fn places(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.places.iter().map(|(name, _)| *name)
    }

    /// The lists, in their order.
    pub fn lists(&self) -> &[(&'static str, Vec<Part>)] {
        &self.lists
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
