//! A request for consent as it lies with whoever signs: every key in it held to the one known here, judged anew each
//! time by what this device knows, and shown whole, as it will bind.

use crate::answer::{self, AskedPart, Authority, Moment, Name, Named, Requests, Verified};
use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::keys::mail_key;
use crate::client::people::{self, NameBy};
use crate::client::scope::find::withdrawn;
use crate::rows::Space;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::consent::{Access, Grantee, text_hash};
use stafett_protocol::credential::PersonKind;
use stafett_protocol::ids::{Hash, LogId, PersonId, PublicKey, hash};
use stafett_protocol::letter::{ConsentRequest, RequestedGrant};
use stafett_protocol::membership::{AuthorityPerson, ScopeKind};
use stafett_protocol::policy::check_authority;
use std::collections::BTreeSet;

/// A request as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct Received {
    pub from: PersonId,
    pub request: ConsentRequest,
    /// 0 open, 1 signed, 2 refused by this person, who may still say otherwise, 3 nothing to answer any more, 4 taken back.
    pub answer: u8,
}

pub(crate) fn request_id(request: &ConsentRequest) -> Hash {
    hash("consent request", &[&encode(request)])
}

fn differs(why: &str) -> Problem {
    Problem::rule(Cause::AuthorityDiffers, why)
}

/// The same people with the same keys, in whatever order.
fn alike<'a>(
    told: impl Iterator<Item = (PersonId, PublicKey)>,
    bound: impl Iterator<Item = &'a AuthorityPerson>,
) -> bool {
    let (mut told, mut bound): (Vec<_>, Vec<_>) = (told.collect(), bound.map(|g| (g.person, g.key)).collect());
    told.sort_unstable();
    bound.sort_unstable();
    told == bound
}

impl Client {
    /// Takes a request in. What no later news could make right is refused at once, and said.
    pub(crate) fn keep_request(&mut self, from: PersonId, request: &ConsentRequest) -> Result<(), Problem> {
        self.check_form(from, request)?;
        let known = self.knows_log(request.log);
        // Whoever holds is chosen when a log begins; later by a handover, from who may offer it.
        if holds(request) && (known || request.draft.is_none()) {
            self.check_may_come_to_offer(request.log, from)?;
        }
        let believed = people::pin(&self.table, from).is_some_and(|p| p.trust >= people::Trust::Authenticated);
        if let Some(draft) = request.draft.as_ref().filter(|_| believed && !known) {
            draft.guardians.clone().iter().for_each(|g| self.introduce(g, from));
        }
        if let Some((person, _)) = request.grants.first().map(|g| grantee_key(&g.grant.grantee)) {
            let away = request.grants.iter().find_map(|g| g.grant.moves_to);
            self.note_person_home(person, away.unwrap_or_else(|| self.person_home(from)));
        }
        let key = mail_key("request", &[&request_id(request).0]);
        if self.table.read(Space::Mail, &key).is_none() {
            self.table.write(Space::Mail, &key, encode(&Received { from, request: request.clone(), answer: 0 }));
        }
        Ok(())
    }

    fn knows_log(&self, log: LogId) -> bool {
        self.scopes.values().any(|s| s.replica.state().log() == log)
    }

    /// What must hold of a request whatever else is known: it says what it signs, each key in it is the one known here,
    /// and those who shall decide are this person and whom it was told of.
    fn check_form(&self, from: PersonId, request: &ConsentRequest) -> Result<(), Problem> {
        let text = text_hash(&request.salt, &request.text);
        let authority = request.authority.id();
        let whole =
            |g: &RequestedGrant| g.grant.log == request.log && g.grant.authority == authority && g.grant.text == text;
        let of = |g: &RequestedGrant| (g.grant.grantee, g.grant.expires_at);
        let one = request.grants.first().map(of);
        let alike_all = request.grants.iter().all(|g| Some(of(g)) == one);
        let moves = |g: &&RequestedGrant| g.grant.access == Access::Hold;
        let place = request.grants.iter().find(moves).and_then(|g| g.grant.moves_to);
        let placed = request.grants.iter().all(|g| g.grant.moves_to == place.filter(|_| moves(&g)));
        if request.grants.is_empty() || !request.grants.iter().all(whole) || !alike_all || !placed {
            return Err(Problem::rule(Cause::ConsentRequest, "what is to be signed is not what is shown"));
        }
        for grant in &request.grants {
            let (person, key) = grantee_key(&grant.grant.grantee);
            self.check_key(person, &key)?;
        }
        request.authority.persons().try_for_each(|p| self.check_key(p.person, &p.key))?;
        let drafted = request.draft.iter().flat_map(|d| &d.guardians);
        drafted.clone().try_for_each(|g| self.check_key(g.person, &g.person_key))?;
        // Key for key as above: it is this person's own.
        if request.authority.key(self.me()?.person).is_none() {
            return Err(Problem::rule(Cause::NotAnAuthority, "this consent is not yours to give"));
        }
        // Whoever asks for a log of their own would hold what they decide about.
        let asker = if request.draft.is_some() { from } else { PersonId::default() };
        if check_authority(&request.authority, asker).is_err() {
            return Err(differs("those who shall decide cannot"));
        }
        let told = drafted.map(|g| (g.person, g.person_key));
        if request.draft.is_some() && !alike(told, request.authority.guardians.iter()) {
            return Err(differs("others shall decide than the request tells of"));
        }
        Ok(())
    }

    /// Whether it can be signed now, by what is known here now.
    pub(crate) fn check_request(&self, from: PersonId, request: &ConsentRequest) -> Result<(), Problem> {
        self.check_form(from, request)?;
        if !request.authority.may_sign(self.me()?.person, self.home_now()) {
            return Err(Problem::rule(Cause::NotAnAuthority, "this consent is not yours to give now"));
        }
        match self.knows_log(request.log) {
            true => self.check_known_log(from, request)?,
            false => self.check_new_log(request)?,
        }
        request.grants.iter().try_for_each(|g| self.check_leader(&g.grant.grantee))
    }

    /// A log that begins: in parts of its own.
    fn check_new_log(&self, request: &ConsentRequest) -> Result<(), Problem> {
        if request.draft.is_none() {
            return Err(Problem::rule(Cause::UnknownScope, "this part of the log is not here yet; sync first"));
        }
        let begins = |g: &RequestedGrant| {
            matches!(g.kind, ScopeKind::Card | ScopeKind::Journal) && !self.scopes.contains_key(&g.grant.scope)
        };
        match request.grants.iter().all(begins) {
            true => Ok(()),
            false => Err(Problem::rule(Cause::GrantMismatch, "the request is not about the log that it names")),
        }
    }

    /// A log that exists: whatever the letter says of a new one, every scope must be one of it that we are in, under the
    /// authority in force, and a holder's seat is asked for by who may offer it.
    fn check_known_log(&self, from: PersonId, request: &ConsentRequest) -> Result<(), Problem> {
        let card = self.card_state(self.member_card(request.log)?)?;
        if request.authority != *card.authority() {
            return Err(differs("the request names others than those who decide in this log"));
        }
        for requested in &request.grants {
            let scope = requested.grant.scope;
            if self.offered_authority(request.log, scope).is_some() {
                continue;
            }
            let unknown = || Problem::rule(Cause::UnknownScope, "this part of the log is not here yet; sync first");
            let state = self.scopes.get(&scope).map(|s| s.replica.state()).ok_or_else(unknown)?;
            if state.log() != request.log || *state.authority() != request.authority {
                return Err(Problem::rule(Cause::GrantMismatch, "the request is not about the log that it names"));
            }
        }
        if holds(request) {
            self.check_may_offer(request.log, from)?;
        }
        Ok(())
    }

    /// A unit is stood for by whom the municipality certifies as its leader, or by whom the family has consented to.
    fn check_leader(&self, grantee: &Grantee) -> Result<(), Problem> {
        let Grantee::Unit(unit) = grantee else { return Ok(()) };
        let granted =
            |s: &crate::client::scope::Scope| s.replica.state().grants.iter().any(|f| f.grant.grantee == *grantee);
        if self.scopes.values().any(granted) {
            return Ok(());
        }
        let pin = people::pin(&self.table, unit.leader).filter(|p| p.municipality != 0);
        match pin {
            Some(pin) if pin.kind == PersonKind::Leader && pin.unit == Some(unit.unit) => Ok(()),
            Some(_) => Err(Problem::rule(Cause::NotTheLeader, "the person whom it names does not lead that unit")),
            None => Err(Problem::rule(Cause::LeaderUnknown, "the leader's key is not here yet; sync first")),
        }
    }

    pub(crate) fn requests(&self) -> Vec<(Hash, Received)> {
        self.table
            .scan(Space::Mail, b"request/")
            .filter_map(|(_, value)| decode::<Received>(value).ok())
            .map(|r| (request_id(&r.request), r))
            .collect()
    }

    /// Who stands for the units that somebody asks for and is not known here is asked for.
    pub(crate) fn ask_requested(&mut self) -> Result<(), Problem> {
        let open = self.requests().into_iter().filter(|(_, r)| r.answer == 0);
        let people = open.flat_map(|(_, r)| r.request.grants).map(|g| grantee_key(&g.grant.grantee).0);
        let me = self.me()?.person;
        let new: Vec<PersonId> = people
            .filter(|p| *p != me && people::pin(&self.table, *p).is_none())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        self.ask_persons(&new);
        new.into_iter().for_each(|person| self.ask_elsewhere(person));
        Ok(())
    }

    pub(crate) fn consent_pending(&self) -> Requests {
        let open = self.requests().into_iter().filter(|(_, r)| r.answer == 0);
        let requests = open.map(|(id, r)| self.request_view(id, &r)).collect();
        // A no can become a yes as long as there is something to say yes to.
        let still = |r: &Received| r.answer == 2 && self.check_request(r.from, &r.request).is_ok();
        let refused = self.requests().into_iter().filter(|(_, r)| still(r));
        let refused = refused.map(|(id, r)| self.request_view(id, &r)).collect();
        Requests { requests, refused, taken_back: self.taken_back_view() }
    }

    fn request_view(&self, id: Hash, received: &Received) -> answer::Request {
        let request = &received.request;
        let first = request.grants.first();
        // Our own names of unit and concern where we have them; the asker's words only where we have not.
        let own_name = |grantee: &Grantee| match grantee {
            Grantee::Unit(unit) => self.known_units().into_iter().find(|u| u.unit == unit.unit).map(|u| u.name),
            Grantee::Person(p) => self.told_name(p.person),
        };
        let grantee = first
            .map(|g| own_name(&g.grant.grantee).unwrap_or_else(|| people::clean(&g.grantee_name)))
            .unwrap_or_default();
        let key = first.map(|g| grantee_key(&g.grant.grantee));
        let trust = key.map_or(Verified::Unknown, |(person, key)| self.key_trust(person, &key));
        let leader = first.and_then(|g| match g.grant.grantee {
            Grantee::Unit(unit) => Some(self.person_view(unit.leader, &unit.leader_key, None)),
            Grantee::Person(_) => None,
        });
        let scopes = request
            .grants
            .iter()
            .map(|g| {
                let title = Some(self.scope_title(g.grant.scope))
                    .filter(|t| !t.is_empty())
                    .unwrap_or_else(|| g.scope_title.clone());
                let kind = self.scopes.get(&g.grant.scope).map_or(g.kind, crate::client::scope::Scope::kind);
                AskedPart { scope: g.grant.scope.to_string(), kind: kind.into(), title, access: g.grant.access.into() }
            })
            .collect();
        // On the card everyone only reads; what is asked for is the most that any of the parts gives.
        let asked = || request.grants.iter().map(|g| g.grant.access);
        let widest = asked().filter(|a| *a != Access::Custody).max().or_else(|| asked().max());
        let problem = self.check_request(received.from, request).err().map(|p| p.code);
        let moves_to = request.grants.iter().find_map(|g| g.grant.moves_to).map(|m| format!("{m:04}"));
        answer::Request {
            request: id.to_string(),
            log: request.log.to_string(),
            child: self.child_asked_for(request),
            from: self.name_of(received.from),
            from_verified: self.person_trust(received.from),
            grantee,
            grantee_verified: trust,
            leader,
            scopes,
            access: widest.map(Into::into),
            expires: first.map(|g| Moment::at(g.grant.expires_at)),
            moves_to,
            authority: self.authority_view(request),
            problem,
            answered: self.signers_of(request),
            text: request.text.clone(),
        }
    }

    /// Who has said yes already, as far as the log's own chains tell it.
    fn signers_of(&self, request: &ConsentRequest) -> Vec<String> {
        let asked: Vec<Hash> = request.grants.iter().map(|g| stafett_protocol::signed::id_of(&g.grant)).collect();
        let facts =
            self.scopes.values().flat_map(|s| &s.replica.state().grants).filter(|fact| asked.contains(&fact.id));
        let signers: BTreeSet<PersonId> = facts.flat_map(|fact| fact.signers.iter().copied()).collect();
        signers.into_iter().map(|person| self.name_of(person)).collect()
    }

    /// Of a log that is here the child on its card, whatever the letter says.
    pub(crate) fn child_asked_for(&self, request: &ConsentRequest) -> Option<String> {
        if !self.knows_log(request.log) {
            return request.draft.as_ref().map(|d| people::clean(&d.child_name));
        }
        let card = self.card_of(request.log).and_then(|card| self.document(card));
        card.map(|d| d.card().child_name)
    }

    /// Who will decide, as the signature binds it.
    fn authority_view(&self, request: &ConsentRequest) -> Authority {
        let authority = &request.authority;
        let called = |person: PersonId| {
            let drafted = request.draft.iter().flat_map(|d| &d.guardians).find(|g| g.person == person);
            drafted.map(|g| people::clean(&g.name))
        };
        let view = |p: &AuthorityPerson| self.person_view(p.person, &p.key, called(p.person));
        let from = Some(authority.youth_from).filter(|from| *from != 0 && authority.child.is_some());
        Authority {
            guardians: authority.guardians.iter().map(view).collect(),
            quorum: authority.quorum,
            of: authority.guardians.len(),
            child: authority.child.as_ref().map(view),
            youth_from: from.map(Moment::at),
        }
    }

    /// A person as known here, with the trust of this very key; and what the letter calls them, where that is another
    /// name than the one known.
    fn person_view(&self, person: PersonId, key: &PublicKey, called: Option<String>) -> Named {
        let name = self.known_name(person);
        let called = called.filter(|called| !called.is_empty() && Some(called) != name.as_ref());
        Named {
            person: person.to_string(),
            name: Name::of(person, name),
            called,
            verified: self.key_trust(person, key),
        }
    }

    /// A key that somebody gives for a person is the one that is known here. Where none is, the person's id must come
    /// from it: a later key is met with its person, or compared.
    pub(crate) fn check_key(&self, person: PersonId, key: &PublicKey) -> Result<(), Problem> {
        let fits = match self.known_key(person) {
            Some(known) => known == *key,
            None => PersonId::of_first_key(key) == person,
        };
        match fits {
            true => Ok(()),
            false => {
                Err(Problem::rule(Cause::KeyDiffers, "somebody is named with another key than the one known here"))
            }
        }
    }

    /// The own key, the pinned one, or the one with which a person is in a log here.
    fn known_key(&self, person: PersonId) -> Option<PublicKey> {
        if let Some(me) = self.me.as_ref().filter(|m| m.person == person) {
            return me.person_public().ok();
        }
        let in_log = || self.scopes.values().find_map(|s| s.replica.state().key_of(person).copied());
        people::pin(&self.table, person).map(|p| p.person_key).or_else(in_log)
    }

    /// How this key of a person is believed here. Another key than the pinned one never shares its trust.
    fn key_trust(&self, person: PersonId, key: &PublicKey) -> Verified {
        if self.me.as_ref().is_some_and(|m| m.person == person && m.person_public().is_ok_and(|own| own == *key)) {
            return Verified::Myself;
        }
        let pin = people::pin(&self.table, person).filter(|p| p.person_key == *key);
        pin.map_or(Verified::Unknown, |p| p.trust.into())
    }

    fn person_trust(&self, person: PersonId) -> Verified {
        self.known_key(person).map_or(Verified::Unknown, |key| self.key_trust(person, &key))
    }

    /// Names that the asker used of whom nobody else has named, once this person has agreed to them.
    pub(crate) fn learn_grantees(&mut self, request: &ConsentRequest) {
        for requested in &request.grants {
            let name = people::clean(&requested.grantee_name);
            match requested.grant.grantee {
                Grantee::Person(p) => people::learn_name(&mut self.table, p.person, &name, NameBy::Asker),
                Grantee::Unit(unit) => {
                    let key = mail_key("unit-name", &[&unit.unit.0]);
                    if self.table.read(Space::State, &key).is_none() {
                        self.table.write(Space::State, &key, name.into_bytes());
                    }
                }
            }
        }
    }

    /// The request that begins so, as it is kept, and where. One that was refused can be granted.
    pub(crate) fn open_request(&self, prefix: &str, agree: bool) -> Result<(Vec<u8>, Received), Problem> {
        let open = |r: &Received| r.answer == 0 || (agree && r.answer == 2);
        let open: Vec<Hash> = self.requests().into_iter().filter(|(_, r)| open(r)).map(|(id, _)| id).collect();
        let id = people::unique("request", prefix, open);
        let id = id.map_err(|unknown| self.why_unanswerable(prefix).unwrap_or(unknown))?;
        let key = mail_key("request", &[&id.0]);
        let received = self.table.read(Space::Mail, &key).and_then(|b| decode(b).ok()).ok_or_else(withdrawn)?;
        Ok((key, received))
    }
}

fn holds(request: &ConsentRequest) -> bool {
    request.grants.iter().any(|g| g.grant.access == Access::Hold)
}

/// Whose key a grant pins.
fn grantee_key(grantee: &Grantee) -> (PersonId, PublicKey) {
    match grantee {
        Grantee::Unit(unit) => (unit.leader, unit.leader_key),
        Grantee::Person(p) => (p.person, p.person_key),
    }
}
