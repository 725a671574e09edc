//! The baton (stafettpinnen) as this device knows it: offers that it made, received or was told of. Each is a
//! row; what is next is worked out anew from the row, the letters and the chains (`docs/protocol.md` 18).

mod answer;
mod handover;
mod journal;
mod offer;
mod takeover;
mod view;

use crate::answer::{OfferSide, OfferState, Offers};
use crate::client::input::{Cause, Problem};
use crate::client::scope::Standing;
use crate::client::{Client, people};
use crate::rows::Space;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::consent::Voucher;
use stafett_protocol::handover::{HandoverAcceptance, HandoverOffer, Part, Reason};
use stafett_protocol::ids::{Hash, Millis, PersonId, ScopeId};
use stafett_protocol::letter::{Answer as Word, Content, HandoverAnswer, OfferLetter, OfferedScope};
use stafett_protocol::membership::Role;
use stafett_protocol::signed::Signed;
use stafett_protocol::text;

/// What this device is to an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
enum Side {
    /// It made the offer, and commits the handover.
    Offered = 1,
    /// It shall take the baton, or say who does.
    Received = 2,
    /// Family or present holder: informed.
    Told = 3,
}

/// How far an offer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
enum Reached {
    Open = 1,
    Seen = 2,
    /// A leader has passed it on to an employee.
    Passed = 3,
    Accepted = 4,
    Declined = 5,
    Aborted = 6,
    /// The home has received the commit: the baton has changed hands.
    HandedOver = 7,
}

impl From<Reached> for OfferState {
    fn from(reached: Reached) -> Self {
        match reached {
            Reached::Open => Self::Open,
            Reached::Seen => Self::Seen,
            Reached::Passed => Self::Passed,
            Reached::Accepted => Self::Accepted,
            Reached::Declined => Self::Declined,
            Reached::Aborted => Self::Aborted,
            Reached::HandedOver => Self::HandedOver,
        }
    }
}

impl From<Side> for OfferSide {
    fn from(side: Side) -> Self {
        match side {
            Side::Offered => Self::Offered,
            Side::Received => Self::Received,
            Side::Told => Self::Told,
        }
    }
}

impl Reached {
    pub(crate) fn is_under_way(self) -> bool {
        self <= Self::Accepted
    }
}

/// One offer on this device.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
struct Offer {
    side: Side,
    progress: Reached,
    letter: OfferLetter,
    /// With the offerer: notes of the journal that go along, as the family was shown them.
    notes: Vec<String>,
    /// With the offerer: the new holder's word, scope by scope, and the leader's on an employee.
    acceptances: Vec<Signed<HandoverAcceptance>>,
    voucher: Option<Voucher>,
    /// Why it was declined or taken back.
    words: String,
    at: Millis,
}

impl Offer {
    /// What people call it by: the card's offer.
    pub(crate) fn id(&self) -> Hash {
        self.letter.scopes.first().map_or_else(Hash::default, |s| s.offer.offer.id())
    }

    /// Offers that can be read, with the words that stand beside them.
    pub(crate) fn offers(&self) -> impl Iterator<Item = (HandoverOffer, &OfferedScope)> {
        self.letter.scopes.iter().filter_map(|s| Some((s.offer.offer.peek().ok()?, s)))
    }

    pub(crate) fn card(&self) -> Option<HandoverOffer> {
        self.offers().next().map(|(offer, _)| offer)
    }

    /// Who has accepted.
    pub(crate) fn acceptance(&self) -> Option<HandoverAcceptance> {
        self.acceptances.first().and_then(|a| a.peek().ok())
    }
}

fn key(id: &Hash) -> Vec<u8> {
    [b"baton/".as_slice(), &id.0].concat()
}

impl Client {
    pub(crate) fn reason(&mut self, words: &str) -> Result<Reason, Problem> {
        match text::REASON.take_some(words)? {
            None => Err(Problem::caller(Cause::ReasonMissing, "give the reason; the family reads it")),
            Some(text) => Ok(Reason { text, salt: self.random() }),
        }
    }

    fn batons(&self) -> Vec<Offer> {
        self.table.scan(Space::State, b"baton/").filter_map(|(_, value)| decode(value).ok()).collect()
    }

    fn baton(&self, id: &Hash) -> Option<Offer> {
        self.table.read(Space::State, &key(id)).and_then(|bytes| decode(bytes).ok())
    }

    fn keep_baton(&mut self, baton: &Offer) {
        self.table.write(Space::State, &key(&baton.id()), encode(baton));
    }

    /// The one offer on this side that is under way and begins with `prefix`.
    fn open_baton(&self, prefix: &str, side: Side) -> Result<Offer, Problem> {
        let all: Vec<Offer> = self.batons().into_iter().filter(|b| b.side == side).collect();
        let id = people::unique("offer", prefix, all.iter().map(Offer::id))?;
        let baton = all.into_iter().find(|b| b.id() == id);
        baton.filter(|b| b.progress.is_under_way()).ok_or_else(|| {
            Problem::rule(Cause::OfferClosed, "this offer no longer stands: it was declined, taken back, or is done")
        })
    }

    /// Every offer here. Whoever is asked and looks at it has seen it, and the offerer learns that.
    pub(crate) fn baton_list(&mut self) -> Offers {
        let unseen = |b: &Offer| b.side == Side::Received && b.progress == Reached::Open;
        for mut baton in self.batons().into_iter().filter(unseen) {
            baton.progress = Reached::Seen;
            self.keep_baton(&baton);
            self.answer_offer(&baton, Word::Seen);
        }
        Offers { offers: self.offers(None) }
    }

    fn answer_offer(&mut self, baton: &Offer, answer: Word) {
        let answer = HandoverAnswer { log: baton.letter.log, offer: baton.id(), answer };
        self.write_letter(baton.letter.offerer.person, Content::HandoverAnswer(answer));
    }

    /// What the chains say of offers: whose baton has changed hands, here or by others.
    pub(crate) fn settle_batons(&mut self) -> Result<(), Problem> {
        let me = self.me()?.person;
        for mut baton in self.batons().into_iter().filter(|b| b.progress.is_under_way()) {
            let Some(offer) = baton.card() else { continue };
            let Some(holder) = self.successor(&offer) else { continue };
            let by_this = match baton.side {
                Side::Offered => baton.acceptance().is_some_and(|a| a.person == holder),
                Side::Received => holder == me || baton.progress == Reached::Passed,
                Side::Told => true,
            };
            baton.progress = if by_this { Reached::HandedOver } else { Reached::Aborted };
            self.keep_baton(&baton);
            if by_this && baton.side == Side::Offered {
                self.tell_done(&baton);
            }
        }
        // Where the old holder could not, the new one writes on the card why the baton passed.
        let taken = |b: &Offer| b.side == Side::Received && b.progress == Reached::HandedOver;
        for baton in self.batons().into_iter().filter(taken) {
            self.write_reason(&baton)?;
        }
        self.found_journals()?;
        self.leave_handed_over()
    }

    /// Whether somebody has relieved us of this scope while we were away: the home shows it no more, and whoever
    /// could offer the baton told us of it by letter. Neither word alone would make us forget anything.
    pub(crate) fn relieved_of(&mut self, scope: ScopeId) -> bool {
        let Ok(me) = self.me().map(|m| m.person) else { return false };
        let Some(s) = self.scopes.get(&scope).filter(|s| s.standing == Standing::Member) else { return false };
        let membership = &s.replica.state().membership;
        let bound = membership.member(me).is_some_and(|m| matches!(m.role, Role::Holder | Role::Custodian));
        let holder = s.replica.state().holder().map(|h| h.person);
        let moves = |b: &Offer| {
            let mut offers = b.offers().map(|(offer, _)| offer);
            offers.any(|o| o.scope == scope && o.part == Part::Moves && Some(o.from) == holder)
        };
        let told = |b: &Offer| b.side == Side::Told && b.progress != Reached::Aborted && moves(b);
        let Some(mut baton) = self.batons().into_iter().find(|b| bound && told(b)) else { return false };
        baton.progress = Reached::HandedOver;
        self.keep_baton(&baton);
        true
    }

    /// Whether the baton was offered to us with this scope, and accepted: the commit may be there already.
    pub(crate) fn may_have_got(&self, scope: ScopeId) -> bool {
        let taken =
            |b: &Offer| b.side == Side::Received && matches!(b.progress, Reached::Accepted | Reached::HandedOver);
        self.batons().iter().any(|b| taken(b) && b.offers().any(|(offer, _)| offer.scope == scope))
    }

    /// Who holds the log in the offerer's place. A copy of the card that ends before the offerer's time, as people have
    /// whom the log left and to whom it comes back, says nothing of the offer.
    fn successor(&self, offer: &HandoverOffer) -> Option<PersonId> {
        let state = self.scopes.get(&offer.scope)?.replica.state();
        let had_it = offer.from == PersonId::default() || state.tenures.iter().any(|t| t.person == offer.from);
        let holder = state.holder().map(|h| h.person);
        holder.filter(|holder| had_it && *holder != offer.from)
    }

    /// A former holder forgets what has moved; what was closed stays to be read.
    fn leave_handed_over(&mut self) -> Result<(), Problem> {
        let (person, device) = (self.me()?.person, self.me()?.device_public());
        let gone: Vec<ScopeId> = self
            .scopes
            .iter()
            .filter(|(_, s)| s.standing == Standing::Member)
            .filter(|(_, s)| handover::has_left(s.replica.state(), person, &device))
            .map(|(id, _)| *id)
            .collect();
        gone.into_iter().try_for_each(|scope| self.leave(scope))
    }
}
