//! The family's switch.

use stafett_client_core::answer::{
    Access, AnsweredRequest, AskedFamily, AskedPart, Authority, Consent, Consents, GrantedPart, Named, PartKind,
    Receipt, Request, RequestTakenBack, Requests, Withdrawn,
};

use super::{Shown, parts};
use crate::reader::Reader;
use crate::render::Part;

impl Shown for Requests {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { requests, refused, taken_back } = self;
        Part::default()
            .with("refused", parts(to, refused))
            .with("requests", parts(to, requests))
            .with("taken_back", parts(to, taken_back))
    }
}

impl Shown for RequestTakenBack {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Said by its child; an id that nobody can answer any more helps nobody.
        let Self { request: _, log: _, child, by, at } = self;
        Part::of([("child", to.maybe(child.as_ref())), ("by", to.text(by)), ("at", to.time(at))])
    }
}

impl Shown for Request {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self {
            request,
            // Said by its child.
            log: _,
            child,
            from,
            from_verified,
            grantee,
            grantee_verified,
            leader,
            scopes,
            access,
            expires,
            moves_to,
            authority,
            problem,
            answered,
            text,
        } = self;
        let Authority { guardians, quorum, of, child: deciding, youth_from } = authority;
        let child_named = deciding.iter().map(|child| Part::of([("authority.child", named(to, child))]));
        let youth = youth_from.iter().map(|from| Part::of([("authority.youth_from", to.time(from))]));
        // A part of a log is named once, however much is asked for it; the widest of it stands before.
        let also = scopes.iter().any(|part| part.access == Access::Custody) && *access != Some(Access::Custody);
        let asked = |AskedPart { scope: _, kind, title, access: _ }: &AskedPart| called(to, title, *kind);
        Part::of([
            ("request", to.text(request)),
            ("child", to.maybe(child.as_ref())),
            ("from", to.text(from)),
            ("from_verified", to.word(from_verified.word())),
            ("grantee", to.text(grantee)),
            ("grantee_verified", to.word(grantee_verified.word())),
            ("scopes", to.list(scopes.iter().map(asked))),
            ("access", access.map_or_else(|| to.absent(), |access| to.word(access.word()))),
            ("expires", to.maybe_time(expires.as_ref())),
            ("authority.guardians", to.list(guardians.iter().map(|one| named(to, one)))),
            ("authority.quorum", quorum.to_string()),
            ("authority.of", of.to_string()),
            ("answered", to.texts(answered)),
            ("text", to.text(text)),
        ])
        .with("authority.child", child_named)
        .with("authority.youth_from", youth)
        .with("custody", also.then(Part::default))
        .with("leader", leader.iter().map(|leader| Part::of([("leader", named(to, leader))])))
        .with("moves_to", moves_to.iter().map(|to_there| Part::of([("moves_to", to.text(to_there))])))
        .with("problem", problem.iter().map(|code| Part::of([("problem", to.fault(code, None))])))
    }
}

/// By name, how far this very key is believed, and what else somebody called them.
fn named(to: &Reader<'_>, one: &Named) -> String {
    let Named { person, name, called, verified } = one;
    let verified = to.word(verified.word());
    let Some(name) = name.told() else {
        return to.messages.say("part.nameless", &[("person", &to.text(person)), ("verified", &verified)]);
    };
    let (name, called) = (to.text(name), called.as_ref().map(|called| to.text(called)));
    match called {
        Some(called) => {
            to.messages.say("part.called", &[("name", &name), ("verified", &verified), ("called", &called)])
        }
        None => to.messages.say("part.person", &[("name", &name), ("verified", &verified)]),
    }
}

/// A part of a log: by its title, else by what kind of part it is.
fn called(to: &Reader<'_>, title: &str, kind: PartKind) -> String {
    if title.is_empty() { to.word(kind.word()) } else { to.text(title) }
}

impl Shown for AnsweredRequest {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Each answer has its own text.
        let Self { request, state: _ } = self;
        Part::of([("request", to.text(request))])
    }
}

impl Shown for AskedFamily {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { request } = self;
        Part::of([("request", to.text(request))])
    }
}

impl Shown for Consents {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { consents } = self;
        Part::default().with("consents", parts(to, consents))
    }
}

impl Shown for Consent {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { id, grantee, scopes, access, expires, state, missing, attested } = self;
        let granted = |GrantedPart { scope: _, kind, title }: &GrantedPart| called(to, title, *kind);
        let missing = Some(missing).filter(|names| !names.is_empty());
        Part::of([
            ("id", to.text(id)),
            ("grantee", to.text(grantee)),
            ("scopes", to.list(scopes.iter().map(granted))),
            ("access", to.word(access.word())),
            ("expires", to.time(expires)),
            ("state", to.word(state.word())),
        ])
        .with("attested", attested.then(Part::default))
        .with("missing", missing.map(|names| Part::of([("missing", to.texts(names))])))
    }
}

impl Shown for Withdrawn {
    fn part(&self, to: &Reader<'_>) -> Part {
        // The statements and parts are for scripts; that it is on its way stands in the text.
        let Self { receipt: Receipt { withdrawals: _, scopes: _, told, at, queued: _ } } = self;
        Part::of([("at", to.time(at)), ("told", to.texts(told))])
    }
}
