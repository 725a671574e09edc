//! Whoever reads: the catalogue of their language, the names that are known here, and the clock on their wall. Each kind of
//! value is put into words in one way.

use jiff::tz::TimeZone;
use stafett_client_core::answer::{AuditRule, Moment, Name, Word};

use crate::messages::Messages;
use crate::names::Names;
use crate::{dates, problems};

/// For whom an answer is put into words.
pub struct Reader<'a> {
    /// In their language.
    pub messages: &'a Messages,
    names: &'a Names,
    zone: TimeZone,
}

impl<'a> Reader<'a> {
    /// Who reads in this language, knows these names and lives there.
    pub fn new(messages: &'a Messages, names: &'a Names, zone: TimeZone) -> Self {
        Self { messages, names, zone }
    }

    /// What stands where nothing is known.
    pub fn absent(&self) -> String {
        self.messages.say("word.absent", &[])
    }

    /// What somebody wrote.
    pub fn text(&self, text: &str) -> String {
        if text.is_empty() { self.absent() } else { printable(text) }
    }

    /// The same, where there may be nothing.
    pub fn maybe(&self, text: Option<&String>) -> String {
        text.map_or_else(|| self.absent(), |text| self.text(text))
    }

    /// What somebody is called here, or that nobody has named them.
    pub fn name(&self, name: &Name) -> String {
        name.told().map_or_else(|| self.word("unnamed"), |name| self.text(name))
    }

    /// A fixed word of the contract.
    pub fn word(&self, word: &str) -> String {
        self.messages.find(&format!("word.{word}")).map_or_else(|| self.text(word), str::to_owned)
    }

    /// A field of something that was written.
    pub fn field(&self, name: &str) -> String {
        self.messages.find(&format!("field.{name}")).map_or_else(|| self.text(name), str::to_owned)
    }

    /// A word of a set that is kept elsewhere.
    pub fn open_word(&self, word: &Word) -> String {
        self.word(word.as_str())
    }

    /// A rule that a record breaks: the audit's own have words; what the rules of the protocol refuse is told with its code.
    pub fn broken(&self, rule: &Word) -> String {
        let own = AuditRule::ALL.iter().find(|own| own.word() == rule.as_str());
        let refused = || self.messages.say("word.refused-record", &[("code", rule.as_str())]);
        own.map_or_else(refused, |own| self.word(own.word()))
    }

    /// A moment or a day.
    pub fn time(&self, at: &Moment) -> String {
        dates::shown(self.messages, at.as_str(), &self.zone).unwrap_or_else(|| self.text(at.as_str()))
    }

    /// The same, where there may be none.
    pub fn maybe_time(&self, at: Option<&Moment>) -> String {
        at.map_or_else(|| self.absent(), |at| self.time(at))
    }

    /// Yes or no.
    pub fn yes(&self, yes: bool) -> String {
        self.messages.say(if yes { "word.yes" } else { "word.no" }, &[])
    }

    /// One after the other; what stands twice in a row once.
    pub fn list(&self, all: impl IntoIterator<Item = String>) -> String {
        let mut all: Vec<String> = all.into_iter().collect();
        all.dedup();
        if all.is_empty() { self.absent() } else { all.join(", ") }
    }

    /// Texts that somebody wrote, one after the other.
    pub fn texts(&self, all: &[String]) -> String {
        self.list(all.iter().map(|text| self.text(text)))
    }

    /// Who or what an id stands for; the id where nobody has named it.
    pub fn called(&self, id: &str) -> String {
        self.text(self.names.of(id).unwrap_or(id))
    }

    /// The same, where there may be nobody.
    pub fn maybe_called(&self, id: Option<&String>) -> String {
        id.map_or_else(|| self.absent(), |id| self.called(id))
    }

    /// What an id is called, if it has a name here.
    pub fn known(&self, id: &str) -> Option<String> {
        self.names.of(id).map(|name| self.text(name))
    }

    /// What a problem's code means and what to do; its own words where the catalogue has none.
    pub fn fault(&self, code: &str, detail: Option<&str>) -> String {
        let messages = self.messages;
        let detail = printable(detail.unwrap_or(code));
        let filled =
            |text: &str| messages.fill(text, |name| if name == "code" { code.to_owned() } else { detail.clone() });
        let text = problems::text(messages, code).map(filled);
        let hint = problems::way(messages, code).map(filled);
        // Words of nobody's language say less than that a rule said no, and which.
        let unknown = || if detail == code { messages.say("fault.by-rule", &[("code", code)]) } else { detail.clone() };
        [Some(text.unwrap_or_else(unknown)), hint].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// What others wrote may not steer this terminal, nor turn the direction of its lines.
pub fn printable(text: &str) -> String {
    let steers = |letter: char| letter.is_control() && letter != '\n';
    let turns = |letter: char| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|letter| if steers(letter) || turns(letter) { '\u{fffd}' } else { letter }).collect()
}
