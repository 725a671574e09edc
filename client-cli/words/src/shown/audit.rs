//! What a replay found.

use stafett_client_core::answer::{Fork, HeldAgainst, Report, SeenPart, Violation};

use super::{Shown, parts};
use crate::reader::Reader;
use crate::render::Part;

impl Shown for Report {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { log, municipalities, scopes, from, to: until, events, checks, violations, unchecked, forks } = self;
        let unchecked = unchecked.iter().map(|word| Part::of([("reason", to.open_word(word))]));
        Part::of([
            ("log_name", to.called(log)),
            ("from", to.maybe_time(from.as_ref())),
            ("to", to.maybe_time(until.as_ref())),
            ("events", events.to_string()),
            ("checks", checks.to_string()),
        ])
        .with("forks", parts(to, forks))
        .with("municipalities", parts(to, municipalities))
        .with("scopes", parts(to, scopes))
        .with("unchecked", unchecked)
        .with("violations", parts(to, violations))
    }
}

impl Shown for HeldAgainst {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Its fingerprint is what people compare.
        let Self { number, key: _, fingerprint } = self;
        Part::of([("number", number.to_string()), ("fingerprint", to.text(fingerprint))])
    }
}

impl Shown for SeenPart {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { scope: _, kind, records, from, to: until } = self;
        Part::of([
            ("kind", kind.map_or_else(|| to.absent(), |kind| to.word(kind.word()))),
            ("records", records.to_string()),
            ("from", to.time(from)),
            ("to", to.time(until)),
        ])
    }
}

impl Shown for Violation {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { scope, seq, rule } = self;
        Part::of([
            ("rule", to.broken(rule)),
            ("scope_name", to.known(scope).unwrap_or_else(|| to.absent())),
            ("seq", seq.to_string()),
        ])
    }
}

impl Shown for Fork {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { scope, seq, receipts } = self;
        Part::of([
            ("scope_name", to.known(scope).unwrap_or_else(|| to.absent())),
            ("seq", seq.to_string()),
            ("receipts", to.texts(receipts)),
        ])
    }
}
