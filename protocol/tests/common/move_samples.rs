//! Samples of what handover, transfer and federation sign and send.

use super::samples::Samples;
use super::*;
use stafett_protocol::consent::{PersonGrantee, UnitGrantee, Voucher};
use stafett_protocol::event::{Position, Receipt};
use stafett_protocol::federation::*;
use stafett_protocol::handover::*;
use stafett_protocol::ids::Hash;
use stafett_protocol::letter::*;
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::signed::{Signable, Signed};
use stafett_protocol::statement::*;
use stafett_protocol::transfer::*;
use stafett_protocol::wire::*;

fn seal<T: Signable>(value: &T) -> Signed<T> {
    Signed::sign(value, &key("signer"))
}

pub fn peer_file() -> PeerFile {
    PeerFile {
        number: 1106,
        name: "Haugesund".into(),
        url: "https://127.0.0.1:4434".into(),
        ca: vec![1; 30].into(),
        key: [2; 32],
    }
}

pub fn peer_keys() -> PeerKeys {
    PeerKeys { by: HOME, peers: vec![PeerKey { number: 1106, name: "Haugesund".into(), key: [2; 32] }] }
}

impl Samples {
    pub fn handover_offer(&self) -> HandoverOffer {
        let world = &self.world;
        let unit = UnitGrantee { unit: SCHOOL, leader: world.id(LEADER), leader_key: [1; 32] };
        let person = PersonGrantee { person: world.id(COLLEAGUE), person_key: [2; 32] };
        HandoverOffer {
            log: world.log(),
            scope: CARD,
            from: world.id(TEACHER),
            to: Destination { municipality: HOME, unit: Some(unit), person: Some(person) },
            part: Part::Moves,
            basis: Hash([3; 32]),
            reason: Hash([4; 32]),
            salt: [5; 16],
        }
    }

    fn signed_offer(&self) -> SignedOffer {
        SignedOffer { by: self.world.id(TEACHER), offer: seal(&self.handover_offer()) }
    }

    pub fn acceptance(&self) -> HandoverAcceptance {
        HandoverAcceptance {
            offer: Hash([1; 32]),
            scope: CARD,
            person: self.world.id(COLLEAGUE),
            person_key: [2; 32],
            certificate: self.world.device(COLLEAGUE).credential.borrow().person.clone(),
        }
    }

    pub fn abort(&self) -> HandoverAbort {
        HandoverAbort { log: self.world.log(), scope: CARD, offer: Hash([1; 32]) }
    }

    pub fn home_accept(&self) -> HomeAccept {
        HomeAccept {
            scope: CARD,
            log: self.world.log(),
            from: HOME,
            to: 1106,
            home_epoch: 2,
            extends: Position { seq: 7, head: Hash([1; 32]) },
            envelope: Hash([2; 32]),
            offer: Hash([3; 32]),
            root: Hash([4; 32]),
        }
    }

    pub fn tombstone(&self) -> Tombstone {
        let position = Position { seq: 8, head: Hash([5; 32]) };
        Tombstone {
            scope: CARD,
            log: self.world.log(),
            from: HOME,
            to: 1106,
            receipt: seal(&Receipt { scope: CARD, home_epoch: 1, position, time: START }),
            accept: seal(&self.home_accept()),
        }
    }

    pub fn transfer_abort(&self) -> TransferAbort {
        TransferAbort { scope: CARD, accept: Hash([1; 32]) }
    }

    pub fn relay_hello(&self) -> RelayHello {
        RelayHello { challenge: [1; 32], home: HOME, device: self.world.device(MOTHER).id() }
    }

    fn word(&self) -> Voucher {
        self.world.voucher(LEADER, COLLEAGUE, CARD)
    }

    pub fn handover_contents(&self) -> Vec<Content> {
        let world = &self.world;
        let offerer = NamedPerson { person: world.id(TEACHER), person_key: [1; 32], name: "Kari".into() };
        let answer =
            |answer| Content::HandoverAnswer(HandoverAnswer { log: world.log(), offer: Hash([1; 32]), answer });
        let grant = world.hold_grant(JOURNAL, &world.authority());
        let journal = CarriedJournal {
            scope: JOURNAL,
            grants: world.signed_by(&grant, &[MOTHER, FATHER]),
            concerns: vec![NamedScope { scope: CONCERN, title: "Lekser".into() }],
            notes: vec!["Ella liker å lese".into()],
        };
        vec![
            Content::HandoverOffer(OfferLetter {
                log: world.log(),
                child_name: "Ella".into(),
                reason: Reason { text: "Familien flytter".into(), salt: [7; 16] },
                offerer,
                to_name: "Solvang".into(),
                scopes: vec![OfferedScope { offer: self.signed_offer(), kind: ScopeKind::Card, title: String::new() }],
                journal: Some(JOURNAL),
                voucher: Some(self.word()),
            }),
            answer(Answer::Seen),
            answer(Answer::Declined("Ikke plass".into())),
            answer(Answer::Accepted(Acceptances {
                acceptances: vec![seal(&self.acceptance())],
                voucher: Some(self.word()),
            })),
            Content::HandoverAborted(AbortLetter {
                log: world.log(),
                offer: Hash([1; 32]),
                reason: "Blir likevel".into(),
            }),
            Content::HandoverDone(DoneLetter {
                log: world.log(),
                card: CARD,
                offer: Hash([1; 32]),
                journal: Some(journal),
            }),
            Content::Takeover(TakeoverLetter {
                log: world.log(),
                reason: Reason { text: "Læreren er syk".into(), salt: [8; 16] },
            }),
            Content::WelcomeAt(WelcomeAt { home: 1106, log: world.log(), scope: CARD }),
            Content::TakenBack(TakenBack { log: world.log(), requested: vec![Hash([3; 32]), Hash([4; 32])] }),
        ]
    }

    pub fn transfer_requests(&self) -> Vec<Request> {
        let relay = |payload| Request::Relay(RelayFrame { to: 1106, payload });
        let bundle = Bundle { envelopes: vec![], letters: vec![] };
        let accepts = vec![seal(&self.home_accept())];
        let abort = SignedAbort { by: self.world.id(TEACHER), abort: seal(&self.abort()) };
        vec![
            relay(RelayPayload::Open),
            relay(RelayPayload::Message(vec![1, 2].into())),
            relay(RelayPayload::Close),
            Request::PrepareTransfer(Preparation {
                from: 3209,
                offers: vec![self.signed_offer()],
                acceptances: vec![seal(&self.acceptance())],
                bundle: bundle.clone(),
            }),
            Request::CommitTransfer(Transfer { bundle, accepts: accepts.clone() }),
            Request::HoldTransfer(self.world.log()),
            Request::AbortTransfer(Cancellation { aborts: vec![abort], accepts }),
            Request::Activate(vec![seal(&self.tombstone())]),
            Request::Release(vec![seal(&self.transfer_abort())]),
        ]
    }

    pub fn transfer_replies(&self) -> Vec<Reply> {
        let relayed = |payload| Reply::Relayed(RelayedFrame { from: 1106, payload });
        let receipt = self.tombstone().receipt;
        let problem = Problem { code: "unavailable".into(), detail: String::new(), scope: None };
        vec![
            relayed(RelayedPayload::Message(vec![1].into())),
            relayed(RelayedPayload::Closed(problem)),
            Reply::TransferPrepared(Prepared {
                accepts: vec![seal(&self.home_accept())],
                fetched: vec![ScopePosition { scope: CARD, seq: 7 }],
            }),
            Reply::TransferCommitted(Transferred {
                accepted: vec![Accepted { scope: CARD, counter: 1, seq: 8, time: START, receipt }],
                tombstones: vec![seal(&self.tombstone())],
            }),
            Reply::TransferAborted(vec![seal(&self.transfer_abort())]),
            Reply::Moved(seal(&self.tombstone())),
        ]
    }

    /// What goes between servers, and into a relayed stream.
    pub fn peer_wire(&self) -> Vec<super::samples::Sample> {
        use super::samples::sample;
        let fates = vec![Fate::Moved(seal(&self.tombstone())), Fate::Aborted(seal(&self.transfer_abort()))];
        let handover = Handover { offer: self.signed_offer(), acceptance: Some(seal(&self.acceptance())) };
        let login = RelayLogin {
            hello: seal(&self.relay_hello()),
            credential: self.world.device(MOTHER).credential.borrow().clone(),
            letter_key: vec![1; 40].into(),
        };
        vec![
            sample("handover", &handover),
            sample("pull request", &PullRequest { offer: self.signed_offer(), after: 3 }),
            sample(
                "attachment request",
                &AttachmentRequest { offer: self.signed_offer(), attachment: Hash([6; 32]), part: 1 },
            ),
            sample(
                "pulled part",
                &PulledPart { manifest: super::samples::attachment_manifest(), bytes: vec![2].into() },
            ),
            sample("tombstone request", &TombstoneRequest { accepts: vec![seal(&self.home_accept())] }),
            sample("tombstone reply", &TombstoneReply { fates }),
            sample("relay challenge", &RelayChallenge { challenge: [1; 32] }),
            sample("relay login", &login),
        ]
    }
}
