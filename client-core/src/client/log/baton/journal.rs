//! The journal stays with the municipality that it was written in (decision 0013): a log that leaves gets another,
//! which the family consents to with the offer, and which the new holder founds once the log is there.

use super::Offer;
use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::keys::mail_key;
use crate::client::scope::Standing;
use crate::client::scope::planned::Plan;
use crate::document::edit;
use crate::document::view::Entry;
use crate::rows::Space;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::{Access, SignedGrant};
use stafett_protocol::credential::PersonCertificate;
use stafett_protocol::handover::Part;
use stafett_protocol::ids::{LogId, PersonId, ScopeId};
use stafett_protocol::letter::{CarriedJournal, Content, DoneLetter, NamedScope};
use stafett_protocol::membership::{ConsentAuthority, ScopeKind};

/// Words of notes that go along with one move: they stand in two letters beside much else.
const NOTES_BYTES: usize = 64 * 1024;

impl Client {
    /// Under whose consent a scope of this log stands that is not here: the journal that an offer announces.
    pub(crate) fn offered_authority(&self, log: LogId, scope: ScopeId) -> Option<&ConsentAuthority> {
        self.batons().iter().find(|b| b.letter.log == log && b.letter.journal == Some(scope))?;
        let card = self.scopes.get(&self.card_of(log)?)?;
        Some(card.replica.state().authority())
    }

    /// Notes that go along to another municipality: their words of now, which the family is shown with its consent.
    /// Nothing else of the journal leaves.
    pub(super) fn chosen_notes(&self, log: LogId, named: &[String], leaves: bool) -> Result<Vec<String>, Problem> {
        if named.is_empty() {
            return Ok(vec![]);
        }
        if !leaves {
            return Err(Problem::caller(
                Cause::Note,
                "the journal goes along whole; notes are chosen for another municipality",
            ));
        }
        let journals = self.scopes_of(log, ScopeKind::Journal).into_iter().filter_map(|j| self.document(j));
        let notes: Vec<Entry> = journals.flat_map(|j| j.journal().notes).collect();
        let mut chosen: Vec<&Entry> = vec![];
        for prefix in named {
            let prefix = prefix.trim().to_lowercase();
            let found: Vec<&Entry> = notes.iter().filter(|n| n.id.starts_with(&prefix)).collect();
            match found.as_slice() {
                [one] if !prefix.is_empty() => chosen.extend(Some(*one).filter(|one| !chosen.contains(one))),
                [] => return Err(Problem::caller(Cause::UnknownId, "no note here begins with that; look at the log")),
                _ => {
                    return Err(Problem::caller(
                        Cause::AmbiguousId,
                        "several notes begin with that; give more of the id",
                    ));
                }
            }
        }
        let words: Vec<String> = chosen.into_iter().filter_map(|n| n.text("text")).collect();
        match words.iter().map(String::len).sum::<usize>() > NOTES_BYTES {
            true => Err(Problem::caller(Cause::TooLarge, "so many words do not go along at once; choose fewer notes")),
            false => Ok(words),
        }
    }

    /// The family's signatures on the journal to come, that are here.
    fn journal_grants(&self, baton: &Offer) -> Vec<SignedGrant> {
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
    pub(super) fn journal_consented(&self, baton: &Offer) -> bool {
        let Some(journal) = baton.letter.journal else { return true };
        let Some(authority) = self.offered_authority(baton.letter.log, journal) else { return false };
        let holds = |g: &SignedGrant| g.grant.peek().is_ok_and(|grant| grant.access == Access::Hold);
        let signers: Vec<PersonId> = self.journal_grants(baton).into_iter().filter(holds).map(|g| g.signer).collect();
        authority.quorum_met(&signers, self.home_now())
    }

    /// It is done: the new holder of a log that has moved gets what its journal is founded with.
    pub(super) fn tell_done(&mut self, baton: &Offer) {
        let (Some(scope), Some(card), Some(taken)) = (baton.letter.journal, baton.card(), baton.acceptance()) else {
            return;
        };
        let moved = baton.offers().filter(|(o, s)| o.part == Part::Moves && s.kind == ScopeKind::Concern);
        let concerns = moved.map(|(o, s)| NamedScope { scope: o.scope, title: s.title.clone() }).collect();
        let journal =
            CarriedJournal { scope, grants: self.journal_grants(baton), concerns, notes: baton.notes.clone() };
        let letter = DoneLetter { log: baton.letter.log, card: card.scope, offer: baton.id(), journal: Some(journal) };
        self.write_letter(taken.person, Content::HandoverDone(letter));
    }

    /// From the offerer, to whoever has taken the baton.
    pub(crate) fn take_done(&mut self, from: &PersonCertificate, letter: &DoneLetter) -> Result<(), Problem> {
        let baton = self.baton(&letter.offer).filter(|b| b.letter.log == letter.log);
        let ours = baton.is_some_and(|b| {
            b.letter.offerer.person == from.person
                && letter.journal.as_ref().map(|j| j.scope) == b.letter.journal
                && b.card().is_some_and(|offer| offer.scope == letter.card)
        });
        if !ours {
            return Err(Problem::rule(Cause::HandoverDone, "it is not from whoever offered us the baton"));
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
            if here.is_some_and(|s| s.replica.state().holder().is_some_and(|h| h.person == me)) {
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
        // Whatever the letter brings: what the family that decides here has signed for this journal.
        let genuine = |g: &&SignedGrant| {
            let key = state.authority().key(g.signer);
            let grant = key.and_then(|key| g.grant.verify(key).ok());
            grant.is_some_and(|grant| grant.scope == journal.scope && grant.log == state.log())
        };
        let grants: Vec<SignedGrant> = journal.grants.iter().filter(genuine).cloned().collect();
        let id = |access: Access| {
            let of = |g: &&SignedGrant| g.grant.peek().is_ok_and(|grant| grant.access == access);
            grants.iter().find(of).map(|g| g.grant.id())
        };
        let basis =
            id(Access::Hold).ok_or_else(|| Problem::rule(Cause::GrantMissing, "nobody has agreed to the journal"))?;
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
            grants: grants.clone(),
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
