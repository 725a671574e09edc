//! Logs.

use stafett_client_core::answer::{
    Answered, ArchivedLog, ConcernLine, ContinuedLog, DroppedLog, Event, History, Log, LogLine, LogList, LogShown,
    NewLog, Participant, Pending, Quarantined,
};

use super::{Shown, parts};
use crate::terminal::reader::Reader;
use crate::terminal::render::Part;

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
        // Said by name.
        let Self { log, status, child, holder: _, holder_name, home } = self;
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
            beside: _,
            // Said by name.
            holder: _,
            holder_name,
            holder_verified: _,
            home,
            answers,
            participants,
            concerns,
            notes,
            attachments,
            handovers,
            offers: _,
            pending,
            quarantined,
            audited: _,
        } = self;
        Part::of([
            ("log", to.text(log)),
            ("status", to.word(status.word())),
            ("child", to.text(child)),
            ("born", to.time(born)),
            ("level", level.map_or_else(|| to.absent(), |level| level.to_string())),
            ("holder_name", to.maybe(holder_name.as_ref())),
            ("home", to.maybe(home.as_ref())),
        ])
        .with("answers", parts(to, answers))
        .with("attachments", parts(to, attachments))
        .with("concerns", parts(to, concerns))
        .with("handovers", parts(to, handovers))
        .with("notes", parts(to, notes))
        .with("participants", parts(to, participants))
        .with("pending", parts(to, pending))
        .with("quarantined", parts(to, quarantined))
    }
}

impl Shown for ArchivedLog {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Nobody is there that this device would know of, and nothing comes any more.
        let Self { log, status, holder: _, participants: _, concerns, offers: _, pending, quarantined: _ } = self;
        let absent = ["child", "born", "level", "holder_name", "home"].map(|name| (name, to.absent()));
        let known = [("log", to.text(log)), ("status", to.word(status.word()))];
        Part::of(known.into_iter().chain(absent))
            .with("concerns", parts(to, concerns))
            .with("pending", parts(to, pending))
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
        let Self { person, name, unit, role, access, scopes: _, verified } = self;
        Part::of([
            ("person", to.text(person)),
            ("name", to.text(name)),
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

impl Shown for Pending {
    fn part(&self, to: &Reader<'_>) -> Part {
        let (kind, reason) = match self {
            Self::Offer { id: _, state: _, reason } => ("offer", to.text(reason)),
            Self::HolderKey { id: _, reason } => ("holder-key", to.open_word(reason)),
            Self::Takeover { id: _, by: _, at: _, reason } => ("takeover", to.maybe(reason.as_ref())),
            Self::Change { id: _, scope: _, reason } => ("change", to.open_word(reason)),
            Self::Draft { id: _, scope: _, reason, lines: _ } => ("draft", to.word(reason)),
        };
        Part::of([("kind", to.word(kind)), ("reason", reason)])
    }
}

impl Shown for Quarantined {
    fn part(&self, to: &Reader<'_>) -> Part {
        let (kind, reason) = match self {
            Self::Change { id: _, scope: _, person: _, reason } => ("change", reason),
            Self::Event { id: _, scope: _, reason } => ("event", reason),
            Self::Scope { id: _, scope: _, reason } => ("scope", reason),
        };
        Part::of([("kind", to.word(kind)), ("reason", to.text(reason))])
    }
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
        let Self { seq: _, time, scope, part, kind, author } = self;
        Part::of([
            ("time", to.time(time)),
            ("kind", to.open_word(kind)),
            ("author", to.maybe(author.as_ref())),
            ("part", to.title(scope).unwrap_or_else(|| to.word(part.word()))),
        ])
    }
}
