//! The leader steps in for a holder who is ill, on leave or gone (K8): said on the card with a reason, before
//! anything else, so that the family sees it.

use crate::answer::{Moment, Pending, TakenOver};
use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::keys::mail_key;
use crate::rows::Space;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::handover::{Part, Reason};
use stafett_protocol::ids::{LogId, PersonId, ScopeId};
use stafett_protocol::letter::{Content, TakeoverLetter};
use stafett_protocol::membership::Role;
use stafett_protocol::policy::{Context, may_hand_over};
use stafett_protocol::refusal::Refusal;
use stafett_protocol::statement::{Statement, Takeover};

impl Client {
    /// From the home's receipt on the leader may hand over in the holder's place, and the family knows why.
    pub(crate) fn baton_takeover(&mut self, log: &str, words: &str) -> Result<TakenOver, Problem> {
        let log = self.log(log)?;
        let card = self.member_card(log)?;
        self.audited(log)?;
        let state = self.card_state(card)?;
        let me = self.me()?.person;
        if state.membership.member(me).is_none_or(|m| m.role != Role::Custodian) {
            return Err(Problem::rule(Cause::NotYours, "only the leader to whom the family gave custody takes over"));
        }
        if self.check_hands_over(card, me, Part::Moves).is_ok() {
            return Err(Problem::rule(Cause::Unchanged, "you have taken over already; offer the baton now"));
        }
        let reason = self.reason(words)?;
        self.keep_reason(log, &reason);
        self.queue_statement(card, Statement::Takeover(Takeover { reason: reason.hash() }));
        for person in self.told(&state) {
            self.write_letter(person, Content::Takeover(TakeoverLetter { log, reason: reason.clone() }));
        }
        Ok(TakenOver { log: log.to_string(), takeover: reason.hash().to_string(), queued: true })
    }

    /// Whether whoever writes could come to offer the baton of this log. What gives them the right, a takeover
    /// or a withdrawal, may stand on the chain and not be here yet.
    pub(crate) fn check_may_come_to_offer(&self, log: LogId, person: PersonId) -> Result<(), Problem> {
        let state = self.card_state(self.member_card(log)?)?;
        let role = state.membership.member(person).map(|m| m.role);
        match role {
            Some(role) if role.is_family() || matches!(role, Role::Holder | Role::Custodian) => Ok(()),
            _ => Err(Refusal::NotYours.into()),
        }
    }

    /// Whether whoever asks may offer the baton of this log now.
    pub(crate) fn check_may_offer(&self, log: LogId, person: PersonId) -> Result<(), Problem> {
        self.check_hands_over(self.member_card(log)?, person, Part::Moves)
    }

    /// Whether this person may hand the scope over now, or close it in a handover: the policy's word.
    pub(super) fn check_hands_over(&self, scope: ScopeId, person: PersonId, part: Part) -> Result<(), Problem> {
        let state = self.card_state(scope)?;
        let card = state.card.filter(|card| *card != scope).and_then(|card| self.scopes.get(&card));
        let trusted = self.me()?.trusted();
        let (now, home) = (self.home_now(), state.membership.home);
        let context = Context { now, home, trusted: &trusted, card: card.map(|card| card.replica.state()) };
        may_hand_over(&state, &context, person, part)?;
        Ok(())
    }

    fn keep_reason(&mut self, log: LogId, reason: &Reason) {
        self.table.write(Space::Mail, &mail_key("takeover", &[&log.0, &reason.hash().0]), encode(reason));
    }

    /// Words for a takeover; they count where the card has their hash, by the custodian who said them.
    pub(crate) fn take_takeover(&mut self, from: PersonId, letter: &TakeoverLetter) -> Result<(), Problem> {
        let card = self.member_card(letter.log)?;
        let state = self.card_state(card)?;
        let custodian = state.membership.member(from).is_some_and(|m| m.role == Role::Custodian);
        let said = state.takeovers.iter().any(|t| t.by == from);
        if custodian || said {
            self.keep_reason(letter.log, &letter.reason);
        }
        Ok(())
    }

    /// Who has taken over when and why, as the card says.
    pub(crate) fn takeovers(&self, log: LogId, card: ScopeId) -> Vec<Pending> {
        let Some(state) = self.scopes.get(&card).map(|s| s.replica.state()) else { return vec![] };
        state
            .takeovers
            .iter()
            .map(|t| {
                let kept = self.table.read(Space::Mail, &mail_key("takeover", &[&log.0, &t.reason.0]));
                let words = kept.and_then(|bytes| decode::<Reason>(bytes).ok()).map(|r| r.text);
                let (by, at) = (self.name_of(t.by), Moment::at(t.at));
                Pending::Takeover { id: t.reason.to_string(), by, at, reason: words }
            })
            .collect()
    }
}
