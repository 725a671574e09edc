//! Concerns, and what is written in them and in logs.

use stafett_client_core::answer::{
    Attachment, ClosedConcern, Concern, Entry, Evaluation, GotAttachment, Group, Measure, NewConcern, OneMeasure,
    Remark, Responsible, RewrittenMeasure, Written,
};

use super::{Shown, parts};
use crate::reader::Reader;
use crate::render::Part;

impl Shown for NewConcern {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { concern, measure } = self;
        Part::of([("concern", to.text(concern)), ("measure", to.text(measure))])
    }
}

impl Shown for ClosedConcern {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Closed, always.
        let Self { concern, state: _ } = self;
        Part::of([("concern", to.text(concern))])
    }
}

impl Shown for Concern {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self {
            // Was just typed.
            concern: _,
            title,
            category,
            goal,
            state,
            audited,
            measures,
            missing_arenas,
            glimpses,
            attachments,
            comments,
        } = self;
        let missing = missing_arenas.iter().map(|arena| Part::of([("arena", to.word(arena.word()))]));
        Part::of([("title", to.text(title)), ("goal", to.text(goal)), ("state", to.word(state.word()))])
            .with("attachments", files(to, attachments, glimpses))
            .with("audited", unread(*audited))
            .with("category", category.iter().map(|category| Part::of([("category", to.text(category))])))
            .with("comments", parts(to, comments))
            .with("glimpses", parts(to, glimpses))
            .with("measures", parts(to, measures))
            .with("missing_arenas", missing)
    }
}

impl Shown for Measure {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self {
            measure,
            text,
            beside,
            arena,
            responsible,
            due,
            state,
            evaluation,
            family_agrees,
            remarks,
            family,
            author,
            time,
        } = self;
        let responsible = match responsible {
            Responsible::Group(Group::Family) => to.word("family"),
            Responsible::Group(Group::Child) => to.word("child"),
            Responsible::Person(name) => to.text(name),
        };
        Part::of([
            ("measure", to.text(measure)),
            ("text", to.text(text)),
            ("arena", to.open_word(arena)),
            ("responsible", responsible),
            ("due", to.maybe_time(due.as_ref())),
            ("state", to.word(state.word())),
        ])
        .with(
            "author",
            author.iter().map(|author| Part::of([("author", to.text(author)), ("time", to.maybe_time(time.as_ref()))])),
        )
        .with("beside", beside.iter().map(|texts| Part::of([("beside", to.texts(texts))])))
        .with("evaluation", parts(to, evaluation))
        .with("family", parts(to, family))
        .with("family_agrees", family_agrees.map(|agrees| Part::of([("family_agrees", to.yes(agrees))])))
        .with("remarks", parts(to, remarks))
    }
}

impl Shown for Remark {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { result, text, by, time } = self;
        Part::of([
            ("result", result.as_ref().map_or_else(|| to.absent(), |result| to.open_word(result))),
            ("text", to.maybe(text.as_ref())),
            ("by", to.maybe(by.as_ref())),
            ("time", to.maybe_time(time.as_ref())),
        ])
    }
}

impl Shown for Evaluation {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Said of the measure, whoever evaluated it.
        let Self { said, family_agrees: _ } = self;
        said.part(to)
    }
}

impl Shown for Entry {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { id, author, text, time } = self;
        Part::of([
            ("id", to.text(id)),
            ("author", to.maybe(author.as_ref())),
            ("text", to.maybe(text.as_ref())),
            ("time", to.maybe_time(time.as_ref())),
        ])
    }
}

/// Files, each with the entry that it hangs on.
pub(super) fn files(to: &Reader<'_>, files: &[Attachment], entries: &[Entry]) -> Vec<Part> {
    let file = |Attachment { id, on, name, size, state }: &Attachment| {
        let entry = entries.iter().find(|entry| entry.id == *on);
        let part = Part::of([
            ("id", to.text(id)),
            ("name", to.text(name)),
            ("size", size.to_string()),
            ("state", to.word(state.word())),
        ]);
        part.with("on", entry.map(|entry| Part::of([("on", to.maybe(entry.text.as_ref()))])))
    };
    files.iter().map(file).collect()
}

/// A line where not all that is shown has been read.
pub(super) fn unread(audited: bool) -> Option<Part> {
    (!audited).then(Part::default)
}

impl Shown for OneMeasure {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { measure } = self;
        Part::of([("measure", to.text(measure))])
    }
}

impl Shown for RewrittenMeasure {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { measure, replaced } = self;
        let replaced = replaced.iter().map(|text| Part::of([("text", to.text(text))]));
        Part::of([("measure", to.text(measure))]).with("replaced", replaced)
    }
}

impl Shown for Written {
    fn part(&self, to: &Reader<'_>) -> Part {
        // The file hangs on the entry, and is named where that is shown.
        let Self { id, attachment: _ } = self;
        Part::of([("id", to.text(id))])
    }
}

impl Shown for GotAttachment {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Was just typed.
        let Self { attachment: _, name, size } = self;
        Part::of([("name", to.text(name)), ("size", size.to_string())])
    }
}
