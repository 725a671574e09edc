//! Everything that a page knows when it is shown: what was asked for, who looks, what was typed, and the words.

use std::collections::BTreeMap;

use jiff::civil::Date;
use stafett_client_core::answer::{Account, LogRole, Me, Moment, Participant};
use stafett_client_core::client::input::Problem;
use stafett_words::problems;
use stafett_words::reader::{Reader, printable};

use crate::border::{Ask, Drafts, Status, UploadedFile};

/// A path that fits a line of the tables, and the ids in it.
pub struct Call<'a> {
    pub path: &'a str,
    ids: BTreeMap<&'static str, &'a str>,
    fields: &'a [(String, String)],
    pub file: Option<&'a UploadedFile>,
}

impl<'a> Call<'a> {
    /// Where the path fits: each `{name}` takes one step of it.
    pub fn matching(pattern: &'static str, path: &'a str) -> Option<Self> {
        let (wanted, given) = (pattern.split('/'), path.split('/'));
        if wanted.clone().count() != given.clone().count() {
            return None;
        }
        let mut ids = BTreeMap::new();
        for (wanted, given) in wanted.zip(given) {
            match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                // An id is written in these signs alone; whatever else stands there never reaches a page or the core.
                Some(name) if !given.is_empty() && given.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
                    ids.insert(name, given);
                }
                None if wanted == given => {}
                _ => return None,
            }
        }
        Some(Self { path, ids, fields: &[], file: None })
    }

    pub fn nowhere(ask: &'a Ask) -> Self {
        Self { path: &ask.path, ids: BTreeMap::new(), fields: &[], file: None }
    }

    pub fn asked(self, ask: &'a Ask) -> Self {
        Self { fields: &ask.fields, file: ask.file.as_ref().filter(|file| !file.bytes.is_empty()), ..self }
    }

    /// An id in the path.
    pub fn id(&self, name: &str) -> &'a str {
        self.ids.get(name).copied().unwrap_or_default()
    }

    /// The same, for a command.
    pub fn owned(&self, name: &str) -> String {
        self.id(name).to_owned()
    }

    /// A pattern with the ids of this path in it.
    pub fn path_to(&self, pattern: &str) -> String {
        let step = |step: &str| match step.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => self.owned(name),
            None => step.to_owned(),
        };
        pattern.split('/').map(step).collect::<Vec<_>>().join("/")
    }

    /// What was typed, without space around it.
    pub fn field(&self, name: &str) -> &'a str {
        self.raw(name).trim()
    }

    /// What was typed, to the letter.
    pub fn raw(&self, name: &str) -> &'a str {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str()).unwrap_or_default()
    }

    /// Everything that was written in words; no secrets, and nothing that was chosen.
    pub fn written(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        const PROSE: [&str; 10] = ["text", "reason", "title", "a", "b", "c", "service", "home", "child", "name"];
        let prose = self.fields.iter().filter(|(name, text)| PROSE.contains(&name.as_str()) && !text.trim().is_empty());
        prose.map(|(_, text)| text.as_str())
    }

    /// What was ticked.
    pub fn every(&self, name: &str) -> Vec<String> {
        let named = self.fields.iter().filter(|(known, text)| known == name && !text.trim().is_empty());
        named.map(|(_, text)| text.trim().to_owned()).collect()
    }

    /// What was typed, if anything was.
    pub fn given(&self, name: &str) -> Option<String> {
        Some(self.field(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

/// Why a form was not taken: what to mend, and at which field.
#[derive(Debug, Clone, Default)]
pub struct Trouble {
    /// Field and key of the text.
    pub fields: Vec<(&'static str, &'static str)>,
    /// What the core says, in words.
    pub said: Option<String>,
}

impl Trouble {
    /// A field that must be filled in.
    pub fn at(field: &'static str, key: &'static str) -> Self {
        Self { fields: vec![(field, key)], said: None }
    }

    pub fn of_problem(view: &View<'_>, problem: &Problem) -> Self {
        Self { fields: vec![], said: Some(view.problem(problem)) }
    }

    /// Trouble, if any of these is not filled in.
    pub fn unless_filled(call: &Call<'_>, must: &[(&'static str, &'static str)]) -> Result<(), Self> {
        let fields: Vec<_> = must.iter().copied().filter(|(field, _)| call.field(field).is_empty()).collect();
        if fields.is_empty() { Ok(()) } else { Err(Self { fields, said: None }) }
    }
}

/// What a page is made from, besides the answers.
pub struct View<'a> {
    pub ask: &'a Ask,
    pub call: Call<'a>,
    pub status: &'a Status,
    pub drafts: &'a Drafts,
    pub to: &'a Reader<'a>,
    pub trouble: Option<Trouble>,
}

impl<'a> View<'a> {
    pub fn new(ask: &'a Ask, call: Call<'a>, status: &'a Status, drafts: &'a Drafts, to: &'a Reader<'a>) -> Self {
        Self { ask, call, status, drafts, to, trouble: None }
    }

    /// A text of the pages.
    pub fn say(&self, key: &str) -> String {
        self.to.messages.say(&format!("page.{key}"), &[])
    }

    /// The same, with something filled in.
    pub fn with(&self, key: &str, values: &[(&str, &str)]) -> String {
        self.to.messages.say(&format!("page.{key}"), values)
    }

    /// A number of things, by a key for one and a key for many.
    pub fn many(&self, key: &str, many: usize) -> String {
        let key = if many == 1 { format!("{key}.one") } else { format!("{key}.many") };
        self.with(&key, &[("many", &many.to_string())])
    }

    /// A fixed word, as pages say it, or else as it is said everywhere.
    pub fn word(&self, word: &str) -> String {
        let own = self.to.messages.find(&format!("page.word.{word}"));
        own.map_or_else(|| self.to.word(word), str::to_owned)
    }

    /// What happened and what to do now. The terminal's ways name commands; pages have their own.
    pub fn problem(&self, problem: &Problem) -> String {
        let Problem { code, message, blame: _, values } = problem;
        let value = |name: &str| {
            let found = values.iter().find(|(known, _)| *known == name).map(|(_, text)| text.clone());
            match (name, found) {
                ("code", _) => printable(code),
                ("what", Some(field)) => self.to.field(&field),
                (_, Some(text)) => printable(&text),
                (_, None) => printable(message),
            }
        };
        let messages = self.to.messages;
        let own = |kind: &str| messages.find(&format!("page.{kind}.{code}"));
        let happened = own("fault").or_else(|| problems::text(messages, code));
        let happened = happened.or_else(|| messages.find("fault.by-rule"));
        let shared = || messages.find(&format!("page.way.{}", problems::way_on(code)?));
        let typed = |hint: &&str| !["stafett ", "--", "STAFETT"].iter().any(|word| hint.contains(word));
        let hint = own("hint").or_else(shared);
        let hint = hint.or_else(|| problems::way(messages, code).filter(typed));
        let hint = hint.or_else(|| messages.find("page.way.other"));
        let parts = [happened, hint].into_iter().flatten().map(|text| messages.fill(text, value));
        parts.collect::<Vec<_>>().join(" ")
    }

    pub fn me(&self) -> Option<&'a Me> {
        self.status.me.as_ref()
    }

    /// What the municipality certified whoever looks as.
    pub fn account(&self) -> Option<Account> {
        self.me().and_then(|me| me.role)
    }

    pub fn is_me(&self, person: &str) -> bool {
        self.me().is_some_and(|me| me.person == person)
    }

    /// What whoever looks is in a log.
    pub fn role(&self, participants: &[Participant]) -> Option<LogRole> {
        participants.iter().find(|one| self.is_me(&one.person)).map(|one| one.role)
    }

    /// Today, by the clock on the wall.
    pub fn today(&self) -> Date {
        self.ask.zone.to_datetime(self.ask.now).date()
    }

    /// The day of a moment, where its hour says nothing to people.
    pub fn day(&self, at: &Moment) -> String {
        let day: String = at.as_str().chars().take(10).collect();
        self.to.time(&day.into())
    }

    /// How many days until then; fewer than none: since then.
    pub fn days_until(&self, day: &Moment) -> Option<i32> {
        let day: Date = day.as_str().parse().ok()?;
        (day - self.today()).get_days().into()
    }

    /// Whole years since then.
    pub fn age(&self, born: &Moment) -> Option<i16> {
        let (born, today): (Date, Date) = (born.as_str().parse().ok()?, self.today());
        let had = (today.month(), today.day()) >= (born.month(), born.day());
        Some(today.year() - born.year() - i16::from(!had)).filter(|age| (0..130).contains(age))
    }
}
