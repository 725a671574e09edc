//! A log that will not be: whoever was asked to consent to it hears that nothing is asked any more.

use crate::client::Client;
use crate::client::queue::OutLetter;
use crate::rows::Space;
use stafett_protocol::codec::decode;
use stafett_protocol::ids::{Hash, LogId, PersonId};
use stafett_protocol::letter::{Content, TakenBack};

fn unasked_key(log: LogId) -> Vec<u8> {
    [b"unasked/".as_slice(), &log.0].concat()
}

impl Client {
    /// Takes back what was asked for a log that this device drafted, before the draft goes. Whoever was not told yet is not
    /// told whom it was about; and since a lost answer leaves open whether they were, everybody hears that it is over.
    pub(crate) fn take_back_request(&mut self, log: LogId) {
        let own = self.me.as_ref().map(|me| me.person);
        let plans = || self.foundings.values().map(|founding| &founding.plan).filter(|plan| plan.log == log);
        // What joins a log that is there was never asked for by itself.
        let asked = |plan: &&crate::client::scope::planned::Plan| plan.custody.is_some();
        let requested: Vec<Hash> =
            plans().filter(asked).flat_map(|plan| [Some(plan.basis), plan.custody]).flatten().collect();
        let mut people: Vec<PersonId> =
            plans().filter(asked).flat_map(|plan| plan.authority.persons().map(|person| person.person)).collect();
        people.sort_unstable();
        people.dedup();
        for (key, value) in self.queued_rows("l") {
            let content = decode::<OutLetter>(&value).map(|letter| letter.content);
            if matches!(content, Ok(Content::ConsentRequest(request)) if request.log == log) {
                self.table.delete(Space::Outbox, &key);
            }
        }
        for person in people.into_iter().filter(|person| Some(*person) != own) {
            self.write_letter(person, Content::TakenBack(TakenBack { log, requested: requested.clone() }));
        }
        self.table.write(Space::State, &unasked_key(log), vec![]);
    }

    /// Whether this device has taken back what it asked for this log. An answer may have been under way.
    pub(crate) fn is_unasked(&self, log: LogId) -> bool {
        self.table.read(Space::State, &unasked_key(log)).is_some()
    }
}
