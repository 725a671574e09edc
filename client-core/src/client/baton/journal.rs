//! The journal stays with the municipality that it was written in (decision 0013): a log that leaves gets another,
//! which the family consents to with the offer, and which the new holder founds once the log is there.

use super::Baton;
use crate::client::Client;
use crate::client::founding::Plan;
use crate::client::input::Problem;
use crate::client::post::mail_key;
use crate::client::scope::Standing;
use crate::document::edit;
use crate::rows::Space;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::{Access, SignedGrant};
use stafett_protocol::credential::PersonCertificate;
use stafett_protocol::handover::Part;
use stafett_protocol::ids::{LogId, PersonId, ScopeId};
use stafett_protocol::letter::{CarriedJournal, Content, DoneLetter, NamedScope};
use stafett_protocol::membership::{ConsentAuthority, ScopeKind};

impl Client {
    /// Under whose consent a scope of this log stands that is not here: the journal that an offer announces.
    pub(in crate::client) fn offered_authority(&self, log: LogId, scope: ScopeId) -> Option<&ConsentAuthority> {
        self.batons().iter().find(|b| b.letter.log == log && b.letter.journal == Some(scope))?;
        let card = self.scopes.get(&self.card_of(log)?)?;
        Some(card.replica.state().authority())
    }

    /// The family's signatures on the journal to come, that are here.
    fn journal_grants(&self, baton: &Baton) -> Vec<SignedGrant> {
        let (Some(journal), log) = (baton.letter.journal, baton.letter.log) else { return vec![] };
        let Some(authority) = self.offered_authority(log, journal) else { return vec![] };
        let all = self.table.scan(Space::State, b"grant/").filter_map(|(_, v)| decode::<SignedGrant>(v).ok());
        let genuine = |g: &SignedGrant| {
            let key = authority.key(g.signer)?;
            let grant = g.grant.verify(key).ok()?;
            (grant.scope == journal && grant.log == log).then_some(())
        };
        all.filter(|g| genuine(g).is_some()).collect()
    }

    /// Whether the family has agreed to the journal that this offer needs, if it needs one.
    pub(super) fn journal_consented(&self, baton: &Baton) -> bool {
        let Some(journal) = baton.letter.journal else { return true };
        let Some(authority) = self.offered_authority(baton.letter.log, journal) else { return false };
        let holds = |g: &SignedGrant| g.grant.peek().is_ok_and(|grant| grant.access == Access::Hold);
        let signers: Vec<PersonId> = self.journal_grants(baton).into_iter().filter(holds).map(|g| g.signer).collect();
        authority.quorum_met(&signers, self.home_now())
    }

    /// It is done: the new holder of a log that has moved gets what its journal is founded with.
    pub(super) fn tell_done(&mut self, baton: &Baton) {
        let (Some(scope), Some(card), Some(taken)) = (baton.letter.journal, baton.card(), baton.acceptance()) else {
            return;
        };
        let moved = baton.offers().filter(|(o, s)| o.part == Part::Moves && s.kind == ScopeKind::Concern);
        let concerns = moved.map(|(o, s)| NamedScope { scope: o.scope, title: s.title.clone() }).collect();
        let journal = CarriedJournal { scope, grants: self.journal_grants(baton), concerns, notes: vec![] };
        let letter = DoneLetter { log: baton.letter.log, card: card.scope, offer: baton.id(), journal: Some(journal) };
        self.write_letter(taken.person, Content::HandoverDone(letter));
    }

    /// From the offerer, to whoever has taken the baton.
    pub(in crate::client) fn take_done(
        &mut self,
        from: &PersonCertificate,
        letter: &DoneLetter,
    ) -> Result<(), Problem> {
        let baton = self.baton(&letter.offer).filter(|b| b.letter.log == letter.log);
        let ours = baton.is_some_and(|b| {
            b.letter.offerer.person == from.person && letter.journal.as_ref().map(|j| j.scope) == b.letter.journal
        });
        if !ours {
            return Err(Problem::rule("handover-done", "it is not from whoever offered us the baton"));
        }
        self.table.write(Space::Mail, &mail_key("done", &[&letter.offer.0]), encode(letter));
        Ok(())
    }

    /// Plans the journal of a log that has come here, once its card is.
    pub(super) fn found_journals(&mut self) -> Result<(), Problem> {
        let waiting = self.table.scan(Space::Mail, b"done/").map(|(key, value)| (key.to_vec(), value.to_vec()));
        for (key, value) in waiting.collect::<Vec<_>>() {
            let letter: Option<DoneLetter> = decode(&value).ok();
            let Some((card, journal)) = letter.and_then(|l| Some((l.card, l.journal?))) else {
                self.table.delete(Space::Mail, &key);
                continue;
            };
            let me = self.me()?.person;
            let here = self.scopes.get(&card).filter(|s| s.standing == Standing::Member);
            if here.is_some_and(|s| s.replica.state().membership.holder().is_some_and(|h| h.person == me)) {
                self.table.delete(Space::Mail, &key);
                self.found_journal(card, journal)?;
            }
        }
        Ok(())
    }

    fn found_journal(&mut self, card: ScopeId, journal: CarriedJournal) -> Result<(), Problem> {
        let state = self.card_state(card)?;
        if self.scopes.contains_key(&journal.scope) || self.foundings.contains_key(&journal.scope) {
            return Ok(());
        }
        let id = |access: Access| {
            let of = |g: &&SignedGrant| g.grant.peek().is_ok_and(|grant| grant.access == access);
            journal.grants.iter().find(of).map(|g| g.grant.id())
        };
        let basis =
            id(Access::Hold).ok_or_else(|| Problem::rule("grant-missing", "nobody has agreed to the journal"))?;
        let (scope, me) = (journal.scope, self.me()?.person);
        self.plan_scope(Plan {
            scope,
            kind: ScopeKind::Journal,
            log: state.log(),
            log_salt: None,
            card: Some(card),
            authority: state.authority().clone(),
            basis,
            custody: id(Access::Custody),
            grants: journal.grants.clone(),
        })?;
        for concern in &journal.concerns {
            self.edit(scope, |to| edit::list_concern(to, concern.scope, &concern.title))?;
        }
        for note in &journal.notes {
            let entry = stafett_protocol::ids::to_hex(&self.random::<16>());
            self.edit(scope, |to| edit::add_text(to, me, "notes", &entry, note))?;
        }
        Ok(())
    }
}
