//! Letting go of a scope: keys and content go, and whoever was there before gets a signed word of it.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::group;
use crate::rows::Space;
use openmls_traits::OpenMlsProvider as _;
use stafett_protocol::consent::DeletionReceipt;
use stafett_protocol::event::{Body, Event, Record};
use stafett_protocol::handover::Part;
use stafett_protocol::ids::{Millis, PersonId, ScopeId};
use stafett_protocol::letter::Content;
use stafett_protocol::signed::Signed;

/// That this device has given a scope away, and has not read so.
fn handed_key(scope: ScopeId) -> Vec<u8> {
    [b"handed/".as_slice(), &scope.0].concat()
}

impl Client {
    /// Access has ended: keys and content go, the family gets a signed word of it.
    pub(crate) fn leave(&mut self, scope: ScopeId) -> Result<(), Problem> {
        let me = self.me()?;
        let (device, key) = (me.device(), me.device_key());
        let Some(s) = self.scopes.get_mut(&scope) else {
            return Ok(());
        };
        let state = s.replica.state();
        let left_at = state.position.seq;
        let receipt = DeletionReceipt { scope, device, seq: left_at, wiped_at: self.now };
        let family: Vec<PersonId> = state.authority().persons().map(|p| p.person).collect();
        if let Some(mut mls) = group::load(&self.provider, &state.membership) {
            mls.delete(self.provider.storage()).map_err(group::mls_problem)?;
        }
        // One's own words that nobody has received stay with their writer, as drafts.
        let unsent = s.document.pending().next().map(|p| p.hash);
        let drafts = unsent.map_or_else(Vec::new, |hash| s.document.refuse(&hash).unwrap_or_default());
        s.wipe(&mut self.table)?;
        self.table.delete(Space::State, &[b"resync/".as_slice(), &scope.0].concat());
        self.forget_handed_over(scope);
        self.keep_drafts(scope, &drafts, "withdrawn");
        self.drop_queue(scope, "withdrawn");
        self.draft_foundings_under(scope, "withdrawn");
        self.wipe_files(scope);
        let receipt = Signed::sign(&receipt, &key);
        for person in family {
            self.write_letter(person, Content::Deletion(receipt.clone()));
        }
        match self.welcome(scope).is_some_and(|w| !w.is_lost() && w.seq > left_at) {
            true => self.read_anew(scope),
            false => self.welcome_used(scope),
        }
        Ok(())
    }

    /// The home has taken in a handover of ours, in a scope where we know of less than stands before it.
    pub(crate) fn note_handed_over(&mut self, scope: ScopeId, event: &Signed<Event>) {
        let Ok(Body::Commit(commit)) = event.peek().map(|event| event.body) else { return };
        let me = self.me().map(|me| me.person).unwrap_or_default();
        let offer = commit.handover.and_then(|handover| handover.offer.offer.peek().ok());
        if offer.is_some_and(|offer| offer.part == Part::Moves && offer.from == me) {
            self.table.write(Space::State, &handed_key(scope), vec![]);
        }
    }

    /// Whether this device has given a scope away, by the home's own word.
    pub(crate) fn has_handed_over(&self, scope: ScopeId) -> bool {
        self.table.read(Space::State, &handed_key(scope)).is_some()
    }

    fn forget_handed_over(&mut self, scope: ScopeId) {
        self.table.delete(Space::State, &handed_key(scope));
    }

    /// What removes this device must be over by its own clock, too: by somebody's statement, by an own device, or because
    /// its time has come here. Else it is read again with the next connection.
    pub(crate) fn check_over(&self, scope: ScopeId, by: &Event, time: Millis) -> Result<(), Problem> {
        let (Some(s), Ok(me)) = (self.scopes.get(&scope), self.me()) else { return Ok(()) };
        let state = s.replica.state();
        let by_own = state.membership.member_of_device(by.device).is_some_and(|m| m.person == me.person);
        if by_own || time <= self.now || state.listed.contains(&me.device_public()) {
            return Ok(());
        }
        let why = "the municipality ends access here at a time that has not come by this device's clock; nothing is wiped \
                   until it has: set the clock of this device right, and if it is, tell the municipality";
        Err(Problem::rule(Cause::Clock, why))
    }

    /// Records of such a time stop their scope on this connection.
    pub(crate) fn check_times(&mut self, scope: ScopeId, records: &[Record]) -> Result<(), Problem> {
        let checked = records.iter().try_for_each(|record| self.check_time(record.time));
        if checked.is_err() {
            self.following.blocked.insert(scope);
            self.following.unplanned.insert(scope);
        }
        checked
    }
}
