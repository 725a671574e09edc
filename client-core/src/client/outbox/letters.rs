//! Letters out and in. Out: a row in the outbox with the plain content, sealed to every device of the
//! recipient when it is sent. In: opened, its signature chain followed, then handed to whom it concerns.

use crate::client::Client;
use crate::client::input::Problem;
use crate::client::people::{self, NameBy, Trust};
use crate::client::scope::Scope;
use crate::client::stream::Sent;
use crate::letter::{self, SealedLetter};
use crate::rows::Space;
use openmls_traits::OpenMlsProvider as _;
use stafett_protocol::code::key_hash;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes, decode, encode};
use stafett_protocol::consent::Voucher;
use stafett_protocol::credential::{NotIdentified, PersonCertificate, PersonKind};
use stafett_protocol::ids::{DeviceId, Municipality, PersonId, ScopeId};
use stafett_protocol::letter::{Content, Letter, LetterBody, Opened};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{Mail, MailItem, Request};
use std::collections::BTreeMap;

/// A letter that waits for the net. To one device where `device` is given, else to all of the person's.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct OutLetter {
    pub to: PersonId,
    pub device: Option<OneDevice>,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct OneDevice {
    pub device: DeviceId,
    pub letter_key: VLBytes,
}

/// Code of what is refused only as long as the own municipality has not added another.
const UNKNOWN_MUNICIPALITY: &str = "unknown-municipality";

pub(crate) fn unknown_municipality(number: Municipality) -> Problem {
    let why = format!("municipality {number:04} is not a peer of your own; its administrator adds it");
    Problem::rule(UNKNOWN_MUNICIPALITY, why)
}

const INFO: &[u8] = b"stafett/1 letter";

/// What is kept of one stranger, ever: requests, notices, assignments, letters that nothing reads yet.
const STRANGER_ROWS: u64 = 256;

fn kept_key(person: PersonId) -> Vec<u8> {
    [b"kept-of/".as_slice(), &person.0].concat()
}

/// Where received things are kept in [`Space::Mail`].
pub(crate) fn mail_key(kind: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = kind.as_bytes().to_vec();
    key.push(b'/');
    parts.iter().for_each(|p| key.extend_from_slice(p));
    key
}

impl Client {
    pub(crate) fn write_letter(&mut self, to: PersonId, content: Content) {
        self.queue("l", encode(&OutLetter { to, device: None, content }));
    }

    /// What letters that have not left this device yet are about.
    pub(crate) fn queued_letters(&self) -> Vec<Content> {
        let letters = self.queued_rows("l").into_iter().filter_map(|(_, value)| decode::<OutLetter>(&value).ok());
        letters.map(|letter| letter.content).collect()
    }

    /// Sends what can be addressed; asks for those whose devices are not known.
    pub(crate) fn send_letters(&mut self) -> Result<(), Problem> {
        let waiting: Vec<(Vec<u8>, OutLetter)> = self
            .queued_rows("l")
            .into_iter()
            .filter_map(|(key, value)| decode::<OutLetter>(&value).ok().map(|letter| (key, letter)))
            .filter(|(key, _)| !self.stream.waits_for(&Sent::Row(key.clone())) && !self.stream.parked.contains(key))
            .filter(|(_, letter)| !letter.device.as_ref().is_some_and(|to| self.awaits_registration(to.device)))
            .collect();
        for (key, out) in waiting {
            let devices = match &out.device {
                Some(one) => vec![(one.device, one.letter_key.clone())],
                None => people::pin(&self.table, out.to)
                    .filter(|_| self.stream.asked.contains(&out.to) && !self.stream.asks_for(out.to))
                    .map(|p| p.devices.into_iter().map(|d| (d.device, d.letter_key)).collect())
                    .unwrap_or_default(),
            };
            if devices.is_empty() {
                self.ask_persons(&[out.to]);
                self.ask_elsewhere(out.to);
                continue;
            }
            // Letters lie at the recipient's own municipality; while it is away they wait here.
            let home = self.person_home(out.to);
            if !self.reach(home) {
                continue;
            }
            let own = self.me()?.device();
            let others: Vec<_> = devices.into_iter().filter(|(device, _)| *device != own).collect();
            let mut letters: Vec<Letter> = vec![];
            for (device, letter_key) in &others {
                // A key that nothing can be sealed to concerns its device alone.
                match self.seal_letter(*device, letter_key.as_slice(), out.to, &out.content) {
                    Ok(letter) => letters.push(letter),
                    Err(problem) => self.report(&problem),
                }
            }
            if letters.is_empty() {
                if !others.is_empty() {
                    self.keep_row(&key, "no-letter-key");
                }
                self.table.delete(Space::Outbox, &key);
                continue;
            }
            self.stream.send(home, Request::Letters(letters), Sent::Row(key));
        }
        Ok(())
    }

    /// Asks for persons once a session, each at their own municipality.
    pub(crate) fn ask_persons(&mut self, persons: &[PersonId]) {
        let mut by_home: BTreeMap<Municipality, Vec<PersonId>> = BTreeMap::new();
        for person in persons {
            by_home.entry(self.person_home(*person)).or_default().push(*person);
        }
        for (home, persons) in by_home {
            self.ask_persons_at(home, &persons);
        }
    }

    pub(crate) fn ask_persons_at(&mut self, home: Municipality, persons: &[PersonId]) {
        let new: Vec<PersonId> = persons.iter().filter(|p| !self.stream.asked.contains(p)).copied().collect();
        if !new.is_empty() && self.reach(home) {
            self.stream.asked.extend(&new);
            self.stream.asked_at.extend(new.iter().map(|p| (*p, home)));
            self.stream.send(home, Request::Persons(new.clone()), Sent::Persons(new));
        }
    }

    /// Somebody of whom only others have spoken is not where we thought: the municipalities that ours works with are
    /// asked, one after another.
    pub(crate) fn ask_elsewhere(&mut self, person: PersonId) {
        if !self.stream.asked.contains(&person) || self.stream.asks_for(person) {
            return;
        }
        let Ok(trusted) = self.me().map(crate::client::me::Me::trusted) else { return };
        for home in trusted.0.iter().map(|m| m.number) {
            if self.stream.asked_at.contains(&(person, home)) {
                continue;
            }
            if self.reach(home) {
                self.stream.asked_at.insert((person, home));
                self.stream.send(home, Request::Persons(vec![person]), Sent::Persons(vec![person]));
                return;
            }
            if self.is_opening(home) {
                return;
            }
        }
    }

    fn seal_letter(
        &self,
        device: DeviceId,
        letter_key: &[u8],
        to: PersonId,
        content: &Content,
    ) -> Result<Letter, Problem> {
        let me = self.me()?;
        let body = LetterBody { to, written_at: self.now, sender_name: me.name.clone(), content: content.clone() };
        let opened = Opened { from: me.credential()?, body: Signed::sign(&body, &me.device_key()) };
        let SealedLetter { kem, sealed } =
            letter::seal(self.provider.crypto(), letter_key, INFO, &device.0, &encode(&opened))
                .map_err(|e| Problem::rule("letter", e.to_string()))?;
        Ok(Letter { to: device, kem: kem.into(), sealed: sealed.into() })
    }

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
        if taken.as_ref().is_err_and(|problem| problem.code == UNKNOWN_MUNICIPALITY) {
            return taken;
        }
        self.stream.counts.received += 1;
        self.stream.send(from, Request::Acknowledge(vec![item.id]), Sent::Acknowledged);
        taken
    }

    /// The chain is read anew from its beginning: after a withdrawal, where this device is let in again.
    pub(crate) fn read_anew(&mut self, scope: ScopeId) {
        self.forget_scope(scope);
        self.ask_anew(scope);
    }

    pub(crate) fn forget_scope(&mut self, scope: ScopeId) {
        self.scopes.remove(&scope);
        Scope::forget(&mut self.table, scope);
    }

    pub(crate) fn ask_anew(&mut self, scope: ScopeId) {
        self.stream.unblock(scope);
        if self.has_greeted(self.home_of(scope)) {
            self.sync_scope(scope);
        }
    }

    fn open_letter(&mut self, letter: &Letter) -> Result<(), Problem> {
        let me = self.me()?;
        let refused = |e: &dyn core::fmt::Display| Problem::rule("letter", e.to_string());
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
            return Err(Problem::rule("too-many-letters", why));
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
                let withdrawal = signed.withdrawal.peek().map_err(|e| Problem::rule("letter", e.to_string()))?;
                let whole = stafett_protocol::ids::hash("withdrawal letter", &[&encode(&signed)]);
                let key = mail_key("withdrawal", &[&withdrawal.scope.0, &whole.0]);
                // Told once: an old letter shown again does not end a consent that was given anew.
                if self.table.read(Space::Mail, &key).is_some() {
                    return Ok(());
                }
                self.table.write(Space::Mail, &key, encode(&signed));
                self.stream.withdrawals_heard.insert(key);
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
                let end = signed.end.verify(&from.person_key).map_err(|e| Problem::rule("letter", e.to_string()))?;
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
            // Letters that nothing reads yet wait.
            Content::HandoverDone(letter) => self.take_done(from, &letter),
            Content::LateContribution(_) => {
                let key = mail_key("late", &[&opened.body.id().0]);
                self.table.write(Space::Mail, &key, encode(&opened));
                Ok(())
            }
        }
    }

    /// A leader's word on who acts for a granted unit, kept until the grant lets the person in.
    fn keep_assignment(
        &mut self,
        from: &PersonCertificate,
        assignment: &stafett_protocol::letter::Assignment,
    ) -> Result<(), Problem> {
        let refused = |e: &dyn core::fmt::Display| Problem::rule("assignment", e.to_string());
        let employee = assignment.employee.verify(&from.person_key).map_err(|e| refused(&e))?;
        if from.kind != PersonKind::Leader || from.unit != Some(employee.unit) {
            return Err(refused(&"it is not from the leader of that unit"));
        }
        self.check_key(employee.person, &employee.person_key)?;
        // Nobody is another unit's, or nobody's, because a leader says so.
        let pin = people::pin(&self.table, employee.person).filter(|p| p.municipality != 0);
        if pin.is_some_and(|p| p.kind != PersonKind::Employee && p.kind != PersonKind::Leader || p.unit != from.unit) {
            return Err(refused(&"whom it names does not work in that unit"));
        }
        self.note_person_home(employee.person, from.municipality);
        for signed in &assignment.assignments {
            let assigned = signed.verify(&from.person_key).map_err(|e| refused(&e))?;
            if assigned.person != employee.person || assigned.unit != employee.unit {
                return Err(refused(&"certificate and assignment name different people"));
            }
            let scope = assigned.scope;
            let voucher = Voucher { employee: assignment.employee.clone(), assignment: Some(signed.clone()) };
            self.table.write(
                Space::Mail,
                &mail_key("voucher", &[&scope.0, &employee.person.0, &from.person.0]),
                encode(&voucher),
            );
        }
        let believed = people::pin(&self.table, from.person).is_some_and(|p| p.trust >= Trust::Authenticated);
        let by = if believed { NameBy::Introducer } else { NameBy::Leader };
        people::learn_name(&mut self.table, employee.person, &assignment.person_name, by);
        Ok(())
    }

    /// Vouchers that have come for a scope, by person.
    pub(crate) fn vouchers(&self, scope: ScopeId) -> Vec<(PersonId, Voucher)> {
        self.table
            .scan(Space::Mail, &mail_key("voucher", &[&scope.0]))
            .filter_map(|(_, value)| decode::<Voucher>(value).ok())
            .filter_map(|v| v.employee.peek().ok().map(|e| (e.person, v)))
            .collect()
    }
}
