//! The baton.

use stafett_client_core::answer::{Handed, HandedConcern, Handover, Offer, OfferPassed, OfferStep, Offers, TakenOver};

use super::{Shown, parts};
use crate::reader::Reader;
use crate::render::Part;

impl Shown for OfferStep {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Each step has its own text.
        let Self { offer, state: _ } = self;
        Part::of([("offer", to.text(offer))])
    }
}

impl Shown for OfferPassed {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { offer, state: _, person } = self;
        Part::of([("offer", to.text(offer)), ("person_name", to.called(person))])
    }
}

impl Shown for Offers {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { offers } = self;
        Part::default().with("offers", parts(to, offers))
    }
}

impl Shown for Offer {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self {
            offer,
            // Said by its child.
            log: _,
            child,
            side,
            from,
            to: recipient,
            holder,
            kind,
            municipality,
            state,
            reason,
            concerns,
            waiting,
            words,
            at,
        } = self;
        let handed = |which: Handed| -> Vec<String> {
            let such = concerns.iter().filter(|HandedConcern { concern: _, title: _, part }| *part == which);
            such.map(|one| to.text(&one.title)).collect()
        };
        let closes = Some(handed(Handed::Closes)).filter(|titles| !titles.is_empty());
        let words = Some(words).filter(|words| !words.is_empty());
        Part::of([
            ("offer", to.text(offer)),
            ("child", to.text(child)),
            ("from", to.text(from)),
            ("to", to.text(recipient)),
            ("kind", to.word(kind.word())),
            ("state", to.word(state.word())),
            ("reason", to.text(reason)),
            ("concerns", to.list(handed(Handed::Moves))),
            ("waiting", to.list(waiting.iter().map(|waits| to.word(waits.word())))),
        ])
        .with("closes", closes.map(|titles| Part::of([("closes", to.list(titles))])))
        .with("holder", holder.iter().map(|holder| Part::of([("holder", to.text(holder))])))
        .with("municipality", municipality.iter().map(|number| Part::of([("municipality", to.text(number))])))
        .with("side", [Part::of([("side", to.word(side.word())), ("at", to.time(at))])])
        .with("words", words.map(|words| Part::of([("words", to.text(words))])))
    }
}

impl Shown for Handover {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { id: _, from, to: recipient, reason, at } = self;
        Part::of([
            ("from", to.maybe(from.as_ref())),
            ("to", to.maybe(recipient.as_ref())),
            ("reason", to.maybe(reason.as_ref())),
            ("at", to.maybe_time(at.as_ref())),
        ])
    }
}

impl Shown for TakenOver {
    fn part(&self, to: &Reader<'_>) -> Part {
        // The statement is for scripts; that it is on its way stands in the text.
        let Self { log, takeover: _, queued: _ } = self;
        Part::of([("log_name", to.called(log))])
    }
}
