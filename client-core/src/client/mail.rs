//! Mail that has come: opened, its signature chain followed, then handed to the room that it concerns.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::keys::mail_key;
use crate::client::outbox::letters::INFO;
use crate::client::people::{self, Trust, unknown_municipality};
use crate::client::scope::Scope;
use crate::client::stream::Sent;
use crate::letter::{self, SealedLetter};
use crate::rows::Space;
use openmls_traits::OpenMlsProvider as _;
use stafett_protocol::code::key_hash;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::{NotIdentified, PersonCertificate};
use stafett_protocol::ids::{Municipality, PersonId};
use stafett_protocol::letter::{Content, Letter, Opened};
use stafett_protocol::wire::{Mail, MailItem, Request};

/// What is kept of one stranger, ever: requests, notices, assignments, letters that nothing reads yet.
const STRANGER_ROWS: u64 = 256;

fn kept_key(person: PersonId) -> Vec<u8> {
    [b"kept-of/".as_slice(), &person.0].concat()
}

impl Client {
    /// One item of mail: kept or acted on, then acknowledged, in the same transaction as what it brought.
    pub(crate) fn take_mail(&mut self, from: Municipality, item: MailItem) -> Result<(), Problem> {
        let taken = match item.mail {
            Mail::Letter(letter) => self.open_letter(&letter),
            Mail::Welcome(welcome) => self.keep_welcome(from, welcome),
            // The server tells every device of ours; the one that drew the code answers.
            Mail::Joined(notice) if self.drew_another(notice.claim.peek().map(|c| c.ticket)) => Ok(()),
            Mail::DeviceAsks(claim) if self.drew_another(claim.peek().map(|c| c.ticket)) => Ok(()),
            Mail::Joined(notice) => self.joined(&notice),
            Mail::DeviceAsks(claim) => self.device_asks(&claim),
            Mail::Listed(scope) => {
                // Before the greeting everything is synced all the same.
                if self.has_greeted(from) && self.home_of(scope) == from {
                    self.sync_scope(scope);
                }
                Ok(())
            }
        };
        // It waits at the home until its writer's municipality is known.
        if taken.as_ref().is_err_and(|problem| problem.is(Cause::UnknownMunicipality)) {
            return taken;
        }
        self.told.counts.received += 1;
        self.stream.send(from, Request::Acknowledge(vec![item.id]), Sent::Acknowledged);
        taken
    }

    fn open_letter(&mut self, letter: &Letter) -> Result<(), Problem> {
        let me = self.me()?;
        let refused = |e: &dyn core::fmt::Display| Problem::rule(Cause::Letter, e.to_string());
        let sealed = SealedLetter { kem: letter.kem.as_slice().to_vec(), sealed: letter.sealed.as_slice().to_vec() };
        let plain = letter::open(self.provider.crypto(), &me.letter_private(), INFO, &me.device().0, &sealed)
            .map_err(|e| refused(&e))?;
        let opened: Opened = decode(&plain).map_err(|e| refused(&e))?;
        let sender = opened.from.verify(&me.trusted()).map_err(|e| match e {
            NotIdentified::UnknownMunicipality(number) => unknown_municipality(number),
            other => refused(&other),
        })?;
        let body = opened.body.verify(sender.device_key()).map_err(|e| refused(&e))?;
        if body.to != me.person {
            return Err(refused(&"it is for someone else"));
        }
        let invited_by = key_hash(sender.person_key()) == me.inviter;
        let own_bundle = matches!(body.content, Content::DeviceBundle(_));
        let trust = if invited_by { Trust::Authenticated } else { Trust::Certified };
        let certificate = opened.from.person.peek().map_err(|e| refused(&e))?;
        if !own_bundle {
            people::believe(&mut self.table, &certificate, &body.sender_name, trust)?;
        }
        let kept = self.kept_of(certificate.person);
        if kept >= STRANGER_ROWS && self.is_stranger(certificate.person) {
            let why = "somebody who shares no log with you has sent more than is kept; nothing more of theirs is";
            return Err(Problem::rule(Cause::TooManyLetters, why));
        }
        let before = self.table.mark();
        let delivered = self.deliver(&certificate, *sender.device_key(), body.content, opened);
        let added = self.table.grown(Space::Mail, before) as u64;
        if added > 0 {
            let all = kept.saturating_add(added).to_be_bytes().to_vec();
            self.table.write(Space::State, &kept_key(certificate.person), all);
        }
        delivered
    }

    /// How much that this person has written was ever kept here.
    fn kept_of(&self, person: PersonId) -> u64 {
        let row = self.table.read(Space::State, &kept_key(person));
        row.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
    }

    /// Somebody of whom nothing is known but that a municipality has certified them.
    fn is_stranger(&self, person: PersonId) -> bool {
        let me = self.me().map(|me| me.person);
        let met = people::pin(&self.table, person).is_some_and(|pin| pin.trust >= Trust::Introduced);
        let shares = |s: &Scope| s.replica.state().membership.member(person).is_some();
        me != Ok(person) && !met && !self.scopes.values().any(shares)
    }

    fn deliver(
        &mut self,
        from: &PersonCertificate,
        device_key: [u8; 32],
        content: Content,
        opened: Opened,
    ) -> Result<(), Problem> {
        match content {
            Content::ConsentRequest(request) => self.keep_request(from.person, &request),
            Content::ConsentAnswer(answer) => self.take_answer(from.person, &answer),
            Content::GrantNotice(notice) => self.take_notice(from, &notice),
            Content::Assignment(assignment) => self.keep_assignment(from, &assignment),
            Content::Withdrawal(signed) => {
                let withdrawal = signed.withdrawal.peek().map_err(|e| Problem::rule(Cause::Letter, e.to_string()))?;
                let whole = stafett_protocol::ids::hash("withdrawal letter", &[&encode(&signed)]);
                let key = mail_key("withdrawal", &[&withdrawal.scope.0, &whole.0]);
                // Told once: an old letter shown again does not end a consent that was given anew.
                if self.table.read(Space::Mail, &key).is_some() {
                    return Ok(());
                }
                self.table.write(Space::Mail, &key, encode(&signed));
                self.withdrawals_heard.insert(key);
                self.heed_withdrawal(&signed)
            }
            Content::Deletion(receipt) => self.take_deletion(device_key, &receipt),
            Content::DeviceBundle(bundle) => self.take_device_bundle(from, &bundle, &opened),
            Content::Employment(employment) => self.take_employment(from, &employment),
            Content::Introduction(introduction) => {
                if people::pin(&self.table, from.person).is_some_and(|p| p.trust >= Trust::Authenticated) {
                    introduction.persons.iter().for_each(|p| self.introduce(p, from.person));
                }
                Ok(())
            }
            Content::EmployeeEnd(signed) => {
                let end =
                    signed.end.verify(&from.person_key).map_err(|e| Problem::rule(Cause::Letter, e.to_string()))?;
                if signed.leader == from.person && self.scopes.contains_key(&end.scope) {
                    // The assignment that it ends lets nobody in again.
                    let voucher = mail_key("voucher", &[&end.scope.0, &end.person.0, &from.person.0]);
                    self.table.delete(Space::Mail, &voucher);
                    self.queue_statement(end.scope, stafett_protocol::statement::Statement::EmployeeEnd(signed));
                }
                Ok(())
            }
            Content::Seen(receipt) => self.take_seen(from.person, &receipt),
            Content::WelcomeAt(at) => self.welcome_waits(&at),
            Content::HandoverOffer(letter) => self.take_offer(from, letter),
            Content::HandoverAnswer(answer) => self.take_offer_answer(from, answer),
            Content::HandoverAborted(letter) => self.take_abort(from, letter),
            Content::Takeover(letter) => self.take_takeover(from.person, &letter),
            Content::TakenBack(letter) => {
                self.request_taken_back(from.person, &letter);
                Ok(())
            }
            // Letters that nothing reads yet wait.
            Content::HandoverDone(letter) => self.take_done(from, &letter),
            Content::LateContribution(_) => {
                let key = mail_key("late", &[&opened.body.id().0]);
                self.table.write(Space::Mail, &key, encode(&opened));
                Ok(())
            }
        }
    }
}
