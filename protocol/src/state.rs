//! The facts of one scope, replayed from its chain: what the rules are asked about. Pure data, the same
//! on server, client and auditor, and encodable, so that nobody need replay from the beginning.

use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize};
use crate::consent::Permit;
use crate::event::{Body, Event, Position};
pub use crate::facts::{
    Attestation, Counter, Decision, Employment, Ended, Gone, GrantFact, GrantStanding, Moved, NewKey, Revoked,
    TakenOver, Tenure, Veto,
};
use crate::ids::{DeviceId, Hash, LogId, Millis, Municipality, PersonId, PublicKey, ScopeId};
use crate::membership::{ConsentAuthority, Member, Membership, Role, ScopeKind};
use crate::statement::Statement;

/// Whether a scope takes content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum Status {
    Active = 1,
    /// The holder's grant is gone; the holder stays so in name, frozen.
    Dormant = 2,
    /// Every consent is withdrawn: the family reads on, nobody else.
    Withdrawn = 3,
    /// Closed by the holder.
    Closed = 4,
}

/// Everything the rules know of a scope.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct ScopeState {
    pub membership: Membership,
    pub founder: PersonId,
    /// When this generation was founded.
    pub founded_at: Millis,
    /// The card of the log, for its other scopes.
    pub card: Option<ScopeId>,
    pub position: Position,
    /// Receipt time of the last record.
    pub time: Millis,
    pub epoch: u64,
    /// When this epoch began.
    pub epoch_since: Millis,
    /// Whether the commit to this epoch removed and narrowed nobody.
    pub gentle: Permit,
    pub status: Status,
    pub counters: Vec<Counter>,
    pub grants: Vec<GrantFact>,
    pub ended: Vec<Ended>,
    pub vetoes: Vec<Veto>,
    /// Grants that were withdrawn before any signature on them arrived: they never come into force.
    pub revoked: Vec<Revoked>,
    /// Withdrawals and ends of employment that have acted: none acts twice.
    pub spent: Vec<Hash>,
    /// Leaves that lost their place, oldest first.
    pub gone: Vec<Gone>,
    /// In order of person id, then of basis.
    pub employments: Vec<Employment>,
    /// Pending-removal list: signature keys of leaves that must go with the next commit.
    pub listed: Vec<PublicKey>,
    /// The new authority that a statement has named and no commit has written yet.
    pub next_authority: Option<ConsentAuthority>,
    /// Changes of the authority by decision that wait for the family's objections, oldest first.
    pub decisions: Vec<Decision>,
    /// One key a person: the newest.
    pub new_keys: Vec<NewKey>,
    /// The record of the last commit, and the members before it: where a re-founding starts.
    pub last_commit: u64,
    pub before_last_commit: Vec<Member>,
    /// A member could not process the last commit.
    pub rejected: Permit,
    /// After a re-founding: those who may come back as they were.
    pub readmit: Vec<Member>,
    /// Epochs of this generation that were made without a link, and for which nobody has published one yet, oldest
    /// first. No Add meanwhile.
    pub gaps: Vec<u64>,
    /// `check` of the present epoch's content key.
    pub check: Hash,
    /// In cards only: who held the log since when, oldest first.
    pub tenures: Vec<Tenure>,
    /// In cards only: when a custodian stepped in for the holder, oldest first.
    pub takeovers: Vec<TakenOver>,
    /// The scope's moves between homes, oldest first.
    pub moves: Vec<Moved>,
    /// What changes have referred to, in the order of their receipt.
    pub attachments: Vec<Hash>,
}

impl ScopeState {
    pub fn scope(&self) -> ScopeId {
        self.membership.scope
    }
    pub fn log(&self) -> LogId {
        self.membership.log
    }
    pub fn kind(&self) -> ScopeKind {
        self.membership.kind
    }

    /// The consent authority that counts: what a statement has decided holds from its receipt on,
    /// whether or not a commit has written it yet.
    pub fn authority(&self) -> &ConsentAuthority {
        self.next_authority.as_ref().unwrap_or(&self.membership.authority)
    }

    /// The last counter accepted from `device`.
    pub fn counter(&self, device: DeviceId) -> u64 {
        self.counters.iter().find(|c| c.device == device).map_or(0, |c| c.last)
    }

    pub(crate) fn counter_mut(&mut self, device: DeviceId) -> &mut Counter {
        let at = match self.counters.binary_search_by_key(&device, |c| c.device) {
            Ok(at) => at,
            Err(at) => {
                self.counters.insert(at, Counter { device, last: 0, renewed_at: 0 });
                at
            }
        };
        #[expect(clippy::indexing_slicing, reason = "`at` was found or inserted just above")]
        &mut self.counters[at]
    }

    pub fn grant(&self, id: &Hash) -> Option<&GrantFact> {
        self.grants.iter().find(|g| g.id == *id)
    }

    /// Whether this grant was withdrawn before anyone had shown it.
    pub fn is_revoked(&self, id: &Hash) -> bool {
        self.revoked.iter().any(|r| r.id == *id)
    }

    /// Leaves that must go: listed ones, and those whose grant has expired by `now`. The holder's stay
    /// unless listed by name: losing `hold` makes the scope dormant instead.
    pub fn listed_at(&self, now: Millis) -> Vec<PublicKey> {
        let lapsed = self.membership.members.iter().filter(|m| self.lapsed(m, now)).flat_map(|m| &m.devices);
        let mut all: Vec<_> = self.listed.iter().chain(lapsed).copied().collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|key| self.membership.devices().any(|d| d == key));
        all
    }

    fn lapsed(&self, member: &Member, now: Millis) -> bool {
        match member.role {
            Role::Actor | Role::Reader | Role::Custodian => {
                self.unemployed(member, now)
                    || self.grant(&member.basis).is_some_and(|g| g.standing(now) != GrantStanding::InForce)
            }
            Role::Employee => self.unemployed(member, now),
            _ => false,
        }
    }

    /// Whether the certificate under which this employee came in has expired.
    pub(crate) fn unemployed(&self, member: &Member, now: Millis) -> bool {
        self.employed_until(member).is_some_and(|until| now >= until)
    }

    /// Until when a leader's certificate holds this seat, if one does.
    pub fn employed_until(&self, member: &Member) -> Option<Millis> {
        self.employments.iter().find(|e| (e.person, e.basis) == (member.person, member.basis)).map(|e| e.until)
    }

    /// What is known of seats that nobody has, or may come back to, goes.
    pub(crate) fn settle_employments(&mut self) {
        let seats = self.membership.members.iter().chain(&self.before_last_commit).chain(&self.readmit);
        let seats: Vec<(PersonId, Hash)> = seats.map(|m| (m.person, m.basis)).collect();
        self.employments.retain(|e| seats.contains(&(e.person, e.basis)));
        self.employments.sort_by_key(|e| (e.person, e.basis));
    }

    /// The key that counts for a person since their last key change, if there was one.
    pub fn new_key(&self, person: PersonId) -> Option<&PublicKey> {
        self.new_keys.iter().find(|k| k.person == person).map(|k| &k.key)
    }

    /// The key that counts for a member now: what a key change has said holds from its receipt on.
    pub fn key_of(&self, person: PersonId) -> Option<&PublicKey> {
        self.new_key(person).or_else(|| self.membership.member(person).map(|m| &m.person_key))
    }

    /// Leaves of this card that were still in their place at `then`, and are not now. Whoever judges an
    /// old record of another scope has a card that has gone on since.
    pub(crate) fn gone_since(&self, then: Millis) -> impl Iterator<Item = &Gone> {
        self.gone.iter().filter(move |g| g.at >= then)
    }

    /// Notes who has lost their place between `before` and now.
    pub(crate) fn note_gone(&mut self, before: &Self, now: Millis) {
        for member in &before.membership.members {
            for device in member.devices.iter().filter(|d| !before.listed.contains(d)) {
                if self.listed.contains(device) || !self.membership.devices().any(|d| d == device) {
                    let Member { person, person_key, role, .. } = *member;
                    self.gone.push(Gone { person, person_key, role, device: *device, at: now, wiped: Permit::No });
                }
            }
        }
    }

    /// Whether this person held the log of this card at `now`. A moment in which the baton passed is both's.
    pub fn held(&self, person: PersonId, now: Millis) -> bool {
        self.tenures_at(now).any(|t| t.person == person)
    }

    /// Whether this custodian had taken over at `now` from whoever held the log of this card then.
    pub fn took_over(&self, custodian: PersonId, now: Millis) -> bool {
        let by = |t: &&TakenOver| t.by == custodian && t.at <= now;
        self.takeovers.iter().filter(by).any(|t| self.tenures_at(now).any(|tenure| tenure.since <= t.at))
    }

    /// Whether this custodian has taken over from whoever holds the log of this card now.
    pub fn takes_over(&self, custodian: PersonId) -> bool {
        self.takeovers_now().any(|t| t.by == custodian)
    }

    /// Takeovers from whoever holds the log of this card now.
    fn takeovers_now(&self) -> impl Iterator<Item = &TakenOver> {
        let since = self.tenures.last().map_or(Millis::MAX, |t| t.since);
        self.takeovers.iter().filter(move |t| t.at >= since)
    }

    /// Whether a custodian has taken over from whoever holds the log of this card now.
    pub fn is_taken_over(&self) -> bool {
        self.takeovers_now().next().is_some()
    }

    /// Whether nobody is in this scope but a holder, with none of these devices.
    pub(crate) fn is_held_alone_without(&self, devices: &[DeviceId]) -> bool {
        let is_one = |key: &PublicKey| devices.contains(&DeviceId::of_key(key));
        self.present().all(|m| m.role == Role::Holder && !m.devices.iter().any(is_one))
    }

    pub(crate) fn tenures_at(&self, now: Millis) -> impl Iterator<Item = &Tenure> {
        let ends = self.tenures.iter().skip(1).map(|t| t.since).chain(std::iter::once(Millis::MAX));
        self.tenures.iter().zip(ends).filter(move |(t, end)| t.since <= now && now <= *end).map(|(t, _)| t)
    }

    /// Whose word the chain is at `seq`, and under which home epoch.
    pub fn home_at(&self, seq: u64) -> (Municipality, u32) {
        let moved = self.moves.iter().find(|m| seq <= m.seq).map(|m| (m.from, m.home_epoch));
        moved.unwrap_or((self.membership.home, self.membership.home_epoch))
    }

    /// Whether every device of this member is on the pending-removal list.
    pub(crate) fn is_leaving(&self, member: &Member) -> bool {
        member.devices.iter().all(|d| self.listed.contains(d))
    }

    /// The status at `now`: a lapsed `hold` grant makes an active scope dormant.
    pub fn status_at(&self, now: Millis) -> Status {
        let hold = self.holder().and_then(|h| self.grant(&h.basis));
        match (self.status, hold) {
            (Status::Active, Some(fact)) if fact.standing(now) != GrantStanding::InForce => Status::Dormant,
            (status, _) => status,
        }
    }

    /// The card beside which an event of the past is judged. It may have gone on since, and remembers who has left: so it
    /// counts only where somebody without a place in this scope withdraws.
    pub fn card_beside(&self, event: &Event) -> Option<ScopeId> {
        let outside = self.membership.device_key(event.device).is_none();
        let withdrawal = matches!(event.body, Body::Statement(Statement::Withdrawal(_)));
        self.card.filter(|_| outside && withdrawal)
    }

    /// Whether every leaf is listed: nobody is left who could commit.
    pub fn is_orphaned(&self, now: Millis) -> bool {
        let listed = self.listed_at(now);
        self.membership.devices().all(|d| listed.contains(d))
    }

    /// Grants that let `grantee`'s people in with this access at `now`.
    pub fn grants_in_force(&self, now: Millis) -> impl Iterator<Item = &GrantFact> {
        self.grants.iter().filter(move |g| g.standing(now) == GrantStanding::InForce)
    }
}
