//! Offering the baton: to a colleague, to another unit, to another municipality. What the family must agree to
//! is asked for at once; nothing changes hands before the new holder has accepted (K3).

use super::{Offer, Reached, Side};
use crate::answer::{OfferState, OfferStep};
use crate::client::input::{Cause, Problem, Who};
use crate::client::log::{Words, custody_text};
use crate::client::scope::Standing;
use crate::client::{Client, people};
use stafett_protocol::consent::{Access, ConsentGrant, Grantee, PersonGrantee, UnitGrantee};
use stafett_protocol::credential::PersonKind;
use stafett_protocol::handover::{Destination, HandoverAbort, HandoverOffer, Part, Reason, SignedAbort, SignedOffer};
use stafett_protocol::ids::{Hash, LogId, PersonId, ScopeId};
use stafett_protocol::letter::{
    AbortLetter, ConsentRequest, Content, NamedPerson, OfferLetter, OfferedScope, RequestedGrant,
};
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::signed::{Signed, id_of};
use stafett_protocol::state::{ScopeState, Status};

/// To whom, in signed form and in words.
struct Recipient {
    to: Destination,
    unit: UnitGrantee,
    /// Whose letter it is: the person, or the unit's leader.
    addressee: PersonId,
    name: String,
}

/// One scope of the log and what becomes of it.
struct Handed {
    scope: ScopeId,
    kind: ScopeKind,
    part: Part,
}

impl Client {
    /// K1, K4, K5: whoever carries the baton, or stands in for who does, offers it with a reason.
    pub(crate) fn baton_offer(
        &mut self,
        log: &str,
        (to, municipality): (&str, Option<&str>),
        (concerns, notes): (&[String], &[String]),
        words: &str,
    ) -> Result<OfferStep, Problem> {
        let log = self.log(log)?;
        let card = self.member_card(log)?;
        self.audited(log)?;
        let words = self.reason(words)?;
        let state = self.card_state(card)?;
        let me = self.me()?.person;
        self.check_hands_over(card, me, Part::Moves)?;
        self.check_no_offer(log)?;
        let holder = state.holder().map(|h| h.person).unwrap_or_default();
        let recipient = self.recipient(to, &state)?;
        if municipality.is_some_and(|m| m.parse() != Ok(recipient.to.municipality)) {
            return Err(Problem::caller(Cause::UnknownMunicipality, "whom you name belongs to another municipality"));
        }
        let leaves = recipient.to.municipality != state.membership.home;
        let journal = leaves.then(|| ScopeId(self.random()));
        let family = state.authority().key(recipient.addressee).is_some();
        if recipient.addressee == holder || family {
            return Err(Problem::rule(
                Cause::NotAHolder,
                "offer the baton to somebody else, and to nobody of the family",
            ));
        }
        let present = state.hold_grant().map(|f| f.grant.grantee);
        let same_unit = state.status_at(self.home_now()) == Status::Active
            && present.is_some_and(|g| g.is_same_party(&Grantee::Unit(recipient.unit)));
        let handed = self.handed(log, concerns, (same_unit, leaves))?;
        let notes = self.chosen_notes(log, notes, leaves)?;
        let (bases, request) = match same_unit {
            true => (self.present_bases(&handed), None),
            false => self.fresh_bases(&state, &recipient, &handed, (journal, &notes), &words.text)?,
        };
        let mut letter = self.offer_letter(log, holder, &recipient, &handed, &bases, words)?;
        letter.journal = journal;
        let baton = Offer {
            side: Side::Offered,
            progress: Reached::Open,
            letter,
            notes,
            acceptances: vec![],
            voucher: None,
            words: String::new(),
            at: self.now,
        };
        self.keep_baton(&baton);
        self.send_offer(&baton, &state, recipient.addressee);
        if let Some(request) = request {
            self.send_request(&request)?;
        }
        Ok(OfferStep { offer: baton.id().to_string(), state: OfferState::Open })
    }

    pub(crate) fn card_state(&self, card: ScopeId) -> Result<ScopeState, Problem> {
        let state = self.scopes.get(&card).map(|s| s.replica.state().clone());
        state.ok_or_else(crate::client::scope::find::withdrawn)
    }

    fn check_no_offer(&self, log: LogId) -> Result<(), Problem> {
        let open = |b: &Offer| b.letter.log == log && b.side == Side::Offered && b.progress.is_under_way();
        match self.batons().iter().any(open) {
            true => Err(Problem::rule(Cause::OfferOpen, "an offer is under way; abort it before you make another")),
            false => Ok(()),
        }
    }

    /// A unit by its id, whose leader then accepts or names an employee; or a person by theirs.
    fn recipient(&self, to: &str, card: &ScopeState) -> Result<Recipient, Problem> {
        match self.unit(to) {
            Ok(unit) => {
                let municipality = self.unit_home(unit.unit);
                let (unit, name) = self.pinned_unit(&unit.unit.to_string(), card)?;
                let to = Destination { municipality, unit: Some(unit), person: None };
                Ok(Recipient { to, unit, addressee: unit.leader, name })
            }
            Err(problem) if problem.is(Cause::AmbiguousId) => Err(problem),
            Err(_) => {
                let pin = self.acquaintance(self.person(to)?)?;
                let works = matches!(pin.kind, PersonKind::Employee | PersonKind::Leader);
                let unit = pin.unit.filter(|_| works).ok_or_else(|| {
                    Problem::rule(Cause::NotAHolder, "the baton is carried by an employee or leader of a unit")
                })?;
                let municipality = self.unit_home(unit);
                let (unit, _) = self.pinned_unit(&unit.to_string(), card)?;
                let person = PersonGrantee { person: pin.person, person_key: pin.person_key };
                let to = Destination { municipality, unit: Some(unit), person: Some(person) };
                Ok(Recipient { to, unit, addressee: pin.person, name: self.name_of(pin.person) })
            }
        }
    }

    /// The unit as the present grant pins it, where it is the same; else as it is known here.
    fn pinned_unit(&self, unit: &str, card: &ScopeState) -> Result<(UnitGrantee, String), Problem> {
        let unit = self.unit(unit)?;
        match card.hold_grant().map(|f| f.grant.grantee) {
            Some(Grantee::Unit(present)) if present.unit == unit.unit => Ok((present, unit.name)),
            _ => match self.grantee(&Who::Unit(unit.unit.to_string()))? {
                (Grantee::Unit(pinned), name) => Ok((pinned, name)),
                (Grantee::Person(_), _) => Err(Problem::rule(Cause::NoLeader, "the unit has no leader here")),
            },
        }
    }

    /// Every scope of the log that can be handed over now: card, journal and the chosen concerns move, the others
    /// are closed; where the log leaves the municipality its journal is, too. What is dormant or withdrawn under an
    /// active card stays as the family left it, and is closed where the holder may and did not choose it.
    fn handed(
        &self,
        log: LogId,
        concerns: &[String],
        (same_unit, leaves): (bool, bool),
    ) -> Result<Vec<Handed>, Problem> {
        if self.foundings.values().any(|f| f.plan.log == log) {
            return Err(Problem::rule(Cause::ConcernUnsent, "a part of the log has not been sent yet; sync first"));
        }
        let me = self.me()?.person;
        let can = |scope: &ScopeId, part| self.check_hands_over(*scope, me, part);
        let here = |scope: &ScopeId| self.scopes.get(scope).is_some_and(|s| s.standing != Standing::Withdrawn);
        let all: Vec<ScopeId> = self.scopes_of(log, ScopeKind::Concern).into_iter().filter(here).collect();
        let movable = || all.iter().copied().filter(|scope| can(scope, Part::Moves).is_ok()).collect::<Vec<_>>();
        let whole = concerns.is_empty() || matches!(concerns, [one] if one == "all");
        let chosen = match concerns {
            [] if !same_unit && !all.is_empty() => {
                return Err(Problem::caller(
                    Cause::Concern,
                    "which concerns go along? name them with --concern, or say all or none",
                ));
            }
            [one] if one == "none" => vec![],
            _ if whole => movable(),
            named => {
                let one = |c: &String| {
                    let scope = people::unique("concern", c, all.iter().copied())?;
                    can(&scope, Part::Moves).map(|()| scope)
                };
                named.iter().map(one).collect::<Result<_, _>>()?
            }
        };
        // Of what was not chosen nothing but the open ones; where all go, the rest is left alone.
        let part = |scope: &ScopeId| if chosen.contains(scope) { Part::Moves } else { Part::Closes };
        let fixed = [ScopeKind::Card, ScopeKind::Journal].into_iter().flat_map(|kind| {
            let part = if leaves && kind == ScopeKind::Journal { Part::Closes } else { Part::Moves };
            self.scopes_of(log, kind).into_iter().map(move |scope| Handed { scope, kind, part })
        });
        let concerns = all.iter().filter(|scope| chosen.contains(scope) || !whole);
        let concerns = concerns.map(|s| Handed { scope: *s, kind: ScopeKind::Concern, part: part(s) });
        Ok(fixed.chain(concerns).filter(|h| here(&h.scope) && can(&h.scope, h.part).is_ok()).collect())
    }

    /// Within the unit the new holder stands on the grant that stands.
    fn present_bases(&self, handed: &[Handed]) -> Vec<Hash> {
        let basis = |h: &Handed| {
            let holder = self.scopes.get(&h.scope).and_then(|s| s.replica.state().holder());
            holder.filter(|_| h.part == Part::Moves).map(|h| h.basis).unwrap_or_default()
        };
        handed.iter().map(basis).collect()
    }

    /// Another unit, or a dormant log: the family signs anew, scope by scope; the new leader's seat with it.
    fn fresh_bases(
        &mut self,
        card: &ScopeState,
        recipient: &Recipient,
        handed: &[Handed],
        (journal, notes): (Option<ScopeId>, &[String]),
        reason: &str,
    ) -> Result<(Vec<Hash>, Option<ConsentRequest>), Problem> {
        let (authority, log) = (card.authority().clone(), card.log());
        // Only with the baton does a log move.
        let moves_to = journal.map(|_| recipient.to.municipality);
        let grantee = Grantee::Unit(recipient.unit);
        let grantee_name = self.unit_name(recipient.unit.unit);
        let titles: Vec<String> =
            handed.iter().filter(|h| h.part == Part::Moves).map(|h| self.scope_title(h.scope)).collect();
        let titles: Vec<String> = titles.into_iter().filter(|t| !t.is_empty()).collect();
        let leader = self.name_of(recipient.unit.leader);
        let place = moves_to.map_or_else(String::new, |m| format!(" i kommune {m:04}, og loggen flytter dit"));
        let text = format!(
            "Stafetten går til {grantee_name}{place}, med {}. {}Grunn: {reason}. {}",
            if titles.is_empty() { "ingen oppmerksomheter".to_owned() } else { titles.join(", ") },
            notes_text(journal, notes),
            custody_text(&leader)
        );
        let words = Words { salt: self.random(), text };
        let mut bases = vec![];
        let mut grants: Vec<RequestedGrant> = vec![];
        for h in handed {
            if h.part == Part::Closes {
                bases.push(Hash::default());
                continue;
            }
            let scope_title = self.scope_title(h.scope);
            let requested = |grant: ConsentGrant| RequestedGrant {
                grant,
                kind: h.kind,
                scope_title: scope_title.clone(),
                grantee_name: grantee_name.clone(),
            };
            for access in [Access::Hold, Access::Custody] {
                let grant = self.new_grant(log, h.scope, grantee, access, &authority, &words);
                let grant = ConsentGrant { moves_to: moves_to.filter(|_| access == Access::Hold), ..grant };
                bases.extend((access == Access::Hold).then(|| id_of(&grant)));
                grants.push(requested(grant));
            }
        }
        // The new holder's own journal, which does not exist yet.
        for (scope, access) in journal.into_iter().flat_map(|j| [(j, Access::Hold), (j, Access::Custody)]) {
            let grant = self.new_grant(log, scope, grantee, access, &authority, &words);
            let grant = ConsentGrant { moves_to: moves_to.filter(|_| access == Access::Hold), ..grant };
            let (kind, grantee_name) = (ScopeKind::Journal, grantee_name.clone());
            grants.push(RequestedGrant { grant, kind, scope_title: String::new(), grantee_name });
        }
        let Words { text, salt } = words;
        Ok((bases, Some(ConsentRequest { log, draft: None, authority, grants, text, salt })))
    }

    fn offer_letter(
        &mut self,
        log: LogId,
        from: PersonId,
        recipient: &Recipient,
        handed: &[Handed],
        bases: &[Hash],
        reason: Reason,
    ) -> Result<OfferLetter, Problem> {
        let me = self.me()?;
        let (by, person_key, name, key) = (me.person, me.person_public()?, me.name.clone(), me.person_key()?);
        let mut scopes = vec![];
        for (h, basis) in handed.iter().zip(bases) {
            let offer = HandoverOffer {
                log,
                scope: h.scope,
                from,
                to: recipient.to,
                part: h.part,
                basis: *basis,
                reason: reason.hash(),
                salt: self.random(),
            };
            let offer = SignedOffer { by, offer: Signed::sign(&offer, &key) };
            scopes.push(OfferedScope { offer, kind: h.kind, title: self.scope_title(h.scope) });
        }
        let child_name = self.card_of(log).and_then(|c| self.document(c)).map(|d| d.card().child_name);
        Ok(OfferLetter {
            log,
            child_name: child_name.unwrap_or_default(),
            reason,
            offerer: NamedPerson { person: by, person_key, name },
            to_name: recipient.name.clone(),
            scopes,
            journal: None,
            voucher: None,
        })
    }

    /// To the recipient what goes to them, and no concern more; to family and present holder the whole.
    fn send_offer(&mut self, baton: &Offer, card: &ScopeState, addressee: PersonId) {
        let moving = baton.offers().filter(|(o, _)| o.part == Part::Moves).map(|(_, s)| s.clone()).collect();
        let theirs = OfferLetter { scopes: moving, ..baton.letter.clone() };
        self.write_letter(addressee, Content::HandoverOffer(theirs));
        for person in self.told(card).into_iter().filter(|p| *p != addressee) {
            self.write_letter(person, Content::HandoverOffer(baton.letter.clone()));
        }
    }

    /// Who is kept informed beside the two who hand over: the family, the holder whom it relieves, and the
    /// leader, who answers for the log.
    pub(super) fn told(&self, card: &ScopeState) -> Vec<PersonId> {
        let me = self.me.as_ref().map(|m| m.person);
        let bound = card.membership.members.iter().filter(|m| matches!(m.role, Role::Holder | Role::Custodian));
        let family = card.authority().persons().map(|p| p.person);
        family.chain(bound.map(|m| m.person)).filter(|p| Some(*p) != me).collect()
    }

    /// Takes an offer back, while nobody has been made the holder.
    pub(crate) fn baton_abort(&mut self, offer: &str) -> Result<OfferStep, Problem> {
        let baton = self.open_baton(offer, Side::Offered)?;
        self.end_offer(baton.clone(), Reached::Aborted, String::new());
        Ok(OfferStep { offer: baton.id().to_string(), state: OfferState::Aborted })
    }

    /// The offer no longer stands; whoever was told of it is told that, too.
    pub(super) fn end_offer(&mut self, mut baton: Offer, progress: Reached, words: String) {
        let card = baton.card().and_then(|o| self.card_state(o.scope).ok());
        let to = baton.card().map(|o| o.to);
        let addressee = to.and_then(|t| t.person.map(|p| p.person).or(t.unit.map(|u| u.leader)));
        let accepted = baton.acceptance().map(|a| a.person);
        let mut told: Vec<PersonId> = card.map(|c| self.told(&c)).unwrap_or_default();
        told.extend(addressee.into_iter().chain(accepted));
        told.sort_unstable();
        told.dedup();
        let letter = AbortLetter { log: baton.letter.log, offer: baton.id(), reason: words.clone() };
        for person in told {
            self.write_letter(person, Content::HandoverAborted(letter.clone()));
        }
        (baton.progress, baton.words) = (progress, words);
        self.keep_baton(&baton);
        self.close_requests(&baton);
        self.take_back(&baton);
    }

    /// What another municipality may have promised for this offer is freed: no home commits it any more.
    fn take_back(&mut self, baton: &Offer) {
        let (Ok(me), Some(card)) = (self.me(), baton.card()) else { return };
        let (Ok(key), by, home) = (me.person_key(), me.person, self.home_of(card.scope)) else { return };
        if baton.letter.journal.is_none() || home == card.to.municipality {
            return;
        }
        let moving = baton.offers().filter(|(o, _)| o.part == Part::Moves);
        let aborts = moving.map(|(o, s)| {
            let abort = HandoverAbort { log: o.log, scope: o.scope, offer: s.offer.offer.id() };
            SignedAbort { by, abort: Signed::sign(&abort, &key) }
        });
        let aborts = aborts.collect();
        self.cancel_transfer(home, card.to.municipality, aborts);
    }
}

/// What of the journal goes along, word for word: the family signs the hash of it.
fn notes_text(journal: Option<ScopeId>, notes: &[String]) -> String {
    match (journal, notes) {
        (None, _) => String::new(),
        (_, []) => "Ingen notater følger med. ".to_owned(),
        (_, notes) => {
            let quoted: Vec<String> = notes.iter().map(|note| format!("«{note}»")).collect();
            format!("Disse notatene følger med: {}. ", quoted.join(", "))
        }
    }
}
