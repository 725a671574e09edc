//! Logs.

use std::collections::BTreeMap;

use stafett_client_core::answer::{
    Answered, ArchivedLog, ConcernLine, ContinuedLog, DroppedLog, Event, History, Log, LogLine, LogList, LogShown,
    NewLog, Participant, Pending, Quarantined,
};

use super::concern::{files, unread};
use super::{Shown, parts};
use crate::reader::Reader;
use crate::render::Part;

/// Titles of concerns by their ids.
type Titles<'a> = BTreeMap<&'a str, &'a str>;

impl Shown for NewLog {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { log, status, same_child } = self;
        let same = same_child.iter().map(|log| Part::of([("same_child", to.text(log))]));
        Part::of([("log", to.text(log)), ("status", to.word(status.word()))]).with("same_child", same)
    }
}

impl Shown for DroppedLog {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Always so.
        let Self { log, dropped: _ } = self;
        Part::of([("log", to.text(log))])
    }
}

impl Shown for ContinuedLog {
    fn part(&self, _: &Reader<'_>) -> Part {
        // The log was just named, and its parts mean nothing to people.
        let Self { log: _, scopes: _ } = self;
        Part::default()
    }
}

impl Shown for LogList {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { logs } = self;
        Part::default().with("logs", parts(to, logs))
    }
}

impl Shown for LogLine {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Said by name. What needs somebody stands on the page of the day, and the child in the log itself.
        let Self { log, status, child, holder: _, holder_name, home, role: _, born: _, level: _, due: _ } = self;
        Part::of([
            ("log", to.text(log)),
            ("status", to.word(status.word())),
            ("child", to.maybe(child.as_ref())),
            ("holder_name", to.maybe(holder_name.as_ref())),
            ("home", to.maybe(home.as_ref())),
        ])
    }
}

impl Shown for LogShown {
    fn part(&self, to: &Reader<'_>) -> Part {
        match self {
            Self::Here(log) => log.part(to),
            Self::Archived(log) => log.part(to),
        }
    }
}

impl Shown for Log {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self {
            log,
            status,
            child,
            born,
            level,
            beside,
            // Said by name.
            holder: _,
            holder_name,
            holder_verified,
            home,
            answers,
            participants,
            concerns,
            notes,
            attachments,
            handovers,
            offers,
            pending,
            quarantined,
            audited,
        } = self;
        let beside = beside.iter().flatten();
        let beside = beside.map(|(field, texts)| Part::of([("field", to.field(field)), ("beside", to.texts(texts))]));
        let known = titles(concerns);
        let inside = |one: &Participant| {
            let scopes = one.scopes.iter().filter_map(|scope| known.get(scope.as_str())).map(|title| to.text(title));
            let scopes: Vec<String> = scopes.collect();
            let named = (!scopes.is_empty()).then(|| Part::of([("scopes", to.list(scopes))]));
            one.part(to).with("scopes", named)
        };
        Part::of([
            ("log", to.text(log)),
            ("status", to.word(status.word())),
            ("child", to.text(child)),
            ("born", to.time(born)),
            ("level", level.map_or_else(|| to.absent(), |level| level.to_string())),
            ("holder_name", to.maybe(holder_name.as_ref())),
            ("holder_verified", to.word(holder_verified.word())),
            ("home", to.maybe(home.as_ref())),
        ])
        .with("answers", parts(to, answers))
        .with("attachments", files(to, attachments, notes))
        .with("audited", unread(*audited))
        .with("beside", beside)
        .with("concerns", parts(to, concerns))
        .with("handovers", parts(to, handovers))
        .with("notes", parts(to, notes))
        .with("offers", parts(to, offers))
        .with("participants", participants.iter().map(inside))
        .with("pending", pending.iter().map(|one| waiting(to, one, &known)))
        .with("quarantined", quarantined.iter().map(|one| not_taken(to, one, &known)))
    }
}

impl Shown for ArchivedLog {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Nobody is there that this device would know of, and nothing comes any more.
        let Self { log, status, holder: _, participants: _, concerns, offers, pending, quarantined: _ } = self;
        let absent =
            ["child", "born", "level", "holder_name", "holder_verified", "home"].map(|name| (name, to.absent()));
        let titles = titles(concerns);
        let known = [("log", to.text(log)), ("status", to.word(status.word()))];
        Part::of(known.into_iter().chain(absent))
            .with("concerns", parts(to, concerns))
            .with("offers", parts(to, offers))
            .with("pending", pending.iter().map(|one| waiting(to, one, &titles)))
    }
}

impl Shown for Answered {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { person: _, name, answer } = self;
        Part::of([("name", to.text(name)), ("answer", to.word(answer.word()))])
    }
}

impl Shown for Participant {
    fn part(&self, to: &Reader<'_>) -> Part {
        // The parts that they are in are told by their titles, which the log has.
        let Self { person, name, unit, role, access, scopes: _, verified } = self;
        Part::of([
            ("person", to.text(person)),
            ("name", to.name(name)),
            ("unit", to.maybe(unit.as_ref())),
            ("role", to.word(role.word())),
            ("access", to.word(access.word())),
            ("verified", to.word(verified.word())),
        ])
    }
}

impl Shown for ConcernLine {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { concern, title, state } = self;
        Part::of([("concern", to.text(concern)), ("title", to.text(title)), ("state", to.word(state.word()))])
    }
}

/// Concerns by their ids, as this very answer names them.
fn titles(concerns: &[ConcernLine]) -> Titles<'_> {
    concerns.iter().map(|one| (one.concern.as_str(), one.title.as_str())).collect()
}

fn place(to: &Reader<'_>, scope: &str, titles: &Titles<'_>) -> Option<Part> {
    titles.get(scope).map(|title| Part::of([("title", to.text(title))]))
}

fn waiting(to: &Reader<'_>, one: &Pending, titles: &Titles<'_>) -> Part {
    let part = |kind: &str, reason: String| Part::of([("kind", to.word(kind)), ("reason", reason)]);
    // Where the words of a draft are, its own command tells; ids are for scripts.
    match one {
        Pending::Offer { id: _, state, reason } => {
            part("offer", to.text(reason)).with("state", [Part::of([("state", to.word(state.word()))])])
        }
        Pending::HolderKey { id: _, reason } => part("holder-key", to.open_word(reason)),
        Pending::Takeover { id: _, by, at, reason } => part("takeover", to.maybe(reason.as_ref()))
            .with("by", [Part::of([("by", to.text(by)), ("at", to.time(at))])]),
        Pending::Change { id: _, scope, reason } => {
            part("change", to.open_word(reason)).with("title", place(to, scope, titles))
        }
        Pending::Draft { id: _, scope, reason, lines: _ } => {
            part("draft", to.fault(reason, None)).with("title", place(to, scope, titles))
        }
    }
}

fn not_taken(to: &Reader<'_>, one: &Quarantined, titles: &Titles<'_>) -> Part {
    let (kind, scope, person, reason) = match one {
        Quarantined::Change { id: _, scope, person, reason } => ("change", scope, Some(person), reason),
        Quarantined::Event { id: _, scope, reason } => ("event", scope, None, reason),
        Quarantined::Scope { id: _, scope, reason } => ("scope", scope, None, reason),
    };
    Part::of([("kind", to.word(kind)), ("reason", to.fault(reason, None))])
        .with("person", person.map(|person| Part::of([("person_name", to.called(person))])))
        .with("title", place(to, scope, titles))
}

impl Shown for History {
    fn part(&self, to: &Reader<'_>) -> Part {
        // The log was just named.
        let Self { log: _, events } = self;
        Part::default().with("events", parts(to, events))
    }
}

impl Shown for Event {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Its place on a chain is for scripts.
        let Self { seq: _, time, scope, part, kind, author, brought_by } = self;
        Part::of([
            ("time", to.time(time)),
            ("kind", to.open_word(kind)),
            ("author", to.maybe(author.as_ref())),
            ("part", to.known(scope).unwrap_or_else(|| to.word(part.word()))),
        ])
        .with("brought_by", brought_by.iter().map(|name| Part::of([("brought_by", to.text(name))])))
    }
}
