//! Requests that their asker has taken back: nothing is signed for them any more, and whoever was asked is told so.

use crate::answer::{Moment, RequestTakenBack};
use crate::client::input::{Cause, Problem};
use crate::client::keys::mail_key;
use crate::client::log::request::Received;
use crate::client::{Client, people};
use crate::rows::Space;
use stafett_protocol::codec::encode;
use stafett_protocol::ids::{Hash, Millis, PersonId};
use stafett_protocol::letter::TakenBack;
use stafett_protocol::signed::id_of;

/// So long it is shown.
const SHOWN_MILLIS: Millis = 30 * 24 * 60 * 60 * 1000;

/// [`Received::answer`] of such a request.
const TAKEN_BACK: u8 = 4;

fn taken_back_key(request: &Hash) -> Vec<u8> {
    mail_key("taken-back", &[&request.0])
}

impl Client {
    /// Counts for the requests of the person who writes, and for no other.
    pub(crate) fn request_taken_back(&mut self, from: PersonId, letter: &TakenBack) {
        // A yes to a log that is there stands on its chain: that is withdrawn, not taken back.
        let is_there = self.scopes.values().any(|s| s.replica.state().log() == letter.log);
        let open = |received: &Received| matches!(received.answer, 0 | 2) || (received.answer == 1 && !is_there);
        let asked = |received: &Received| {
            let mut ids = received.request.grants.iter().map(|requested| id_of(&requested.grant));
            received.from == from && received.request.log == letter.log && ids.any(|id| letter.requested.contains(&id))
        };
        let known = self.requests().into_iter().filter(|(_, received)| asked(received) && open(received));
        for (id, mut received) in known.collect::<Vec<_>>() {
            received.answer = TAKEN_BACK;
            self.table.write(Space::Mail, &mail_key("request", &[&id.0]), encode(&received));
            self.table.write(Space::Mail, &taken_back_key(&id), self.now.to_be_bytes().to_vec());
        }
    }

    fn taken_back(&self) -> impl Iterator<Item = (Hash, Received)> {
        self.requests().into_iter().filter(|(_, received)| received.answer == TAKEN_BACK)
    }

    /// For the list of what is asked: what was, not long ago.
    pub(crate) fn taken_back_view(&self) -> Vec<RequestTakenBack> {
        let view = |(id, received): (Hash, Received)| {
            let at = self.table.read(Space::Mail, &taken_back_key(&id))?.try_into().ok().map(Millis::from_be_bytes)?;
            (self.now < at.saturating_add(SHOWN_MILLIS)).then(|| RequestTakenBack {
                request: id.to_string(),
                log: received.request.log.to_string(),
                child: self.child_asked_for(&received.request),
                by: self.name_of(received.from),
                at: Moment::at(at),
            })
        };
        self.taken_back().filter_map(view).collect()
    }

    /// Why a request that begins so cannot be answered any more, if that is why.
    pub(crate) fn why_unanswerable(&self, prefix: &str) -> Option<Problem> {
        people::unique("request", prefix, self.taken_back().map(|(id, _)| id)).ok()?;
        Some(Problem::rule(Cause::TakenBack, "whoever asked has taken it back"))
    }
}
