//! A contact with the server, and what will not be sent.

use stafett_client_core::answer::{Counts, Draft, Drafts, DroppedDraft, Trouble};

use super::{Shown, parts};
use crate::reader::Reader;
use crate::render::Part;
use crate::summary;

impl Shown for Counts {
    fn part(&self, to: &Reader<'_>) -> Part {
        // In one calm line, and how much was given up in the drafts themselves.
        let Self { sent: _, received: _, refused: _, queued: _, problems, given_up: _, drafts, news: _ } = self;
        Part::default()
            .saying(summary::line(to.messages, self))
            .with("drafts", parts(to, drafts))
            .with("problems", parts(to, problems))
    }
}

impl Shown for Trouble {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { code, message } = self;
        // By the words that its code has, here as where it stops a command.
        Part::of([("message", to.fault(code, Some(message))), ("code", to.text(code))])
    }
}

impl Shown for Drafts {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { drafts } = self;
        Part::default().with("drafts", parts(to, drafts))
    }
}

impl Shown for Draft {
    fn part(&self, to: &Reader<'_>) -> Part {
        // The words are shown; place for place they are for scripts.
        let Self { id, log, scope: _, kind, text, reason: _, problem, at, lines: _ } = self;
        Part::of([
            ("id", to.text(id)),
            ("kind", to.open_word(kind)),
            ("text", to.text(text)),
            ("problem", to.fault(problem, None)),
            ("at", to.time(at)),
        ])
        .with("log", log.iter().map(|log| Part::of([("log_name", to.called(log))])))
    }
}

impl Shown for DroppedDraft {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { draft } = self;
        Part::of([("draft", to.text(draft))])
    }
}
