//! One golden sample of every wire and signed type.

mod exchanged;

use super::*;
use stafett_protocol::attachment::*;
use stafett_protocol::checkpoint::*;
use stafett_protocol::code::Code;
use stafett_protocol::codec::{Deserialize, Serialize, Size, decode, encode};
use stafett_protocol::consent::*;
use stafett_protocol::credential::*;
use stafett_protocol::event::*;
use stafett_protocol::handover::*;
use stafett_protocol::ids::*;
use stafett_protocol::letter::*;
use stafett_protocol::membership::*;
use stafett_protocol::signed::{Signable, Signed};
use stafett_protocol::statement::*;
use stafett_protocol::wire::*;
use std::fmt::Debug;

/// A type without its name: how it is decoded, and encoded again.
pub struct Sample {
    pub name: String,
    /// The type's own name.
    pub of: &'static str,
    pub bytes: Vec<u8>,
    /// The value in Rust's debug notation: field by field.
    pub shown: String,
    /// Decodes; answers the canonical encoding of what was read.
    pub again: fn(&[u8]) -> Option<Vec<u8>>,
}

/// A signed object: its bytes, and the verifier that should accept it, and only it.
pub struct SignedSample {
    pub label: &'static str,
    pub of: &'static str,
    /// What was signed, in Rust's debug notation.
    pub shown: String,
    /// Its [`Signed::id`].
    pub id: Hash,
    pub bytes: Vec<u8>,
    pub accepts: fn(&[u8], &PublicKey) -> bool,
    /// The bytes that were signed, and as [`Sample::again`].
    pub inner: Vec<u8>,
    pub again: fn(&[u8]) -> Option<Vec<u8>>,
}

pub fn sample<T: Serialize + Deserialize + Size + Debug>(name: &str, value: &T) -> Sample {
    Sample {
        name: name.into(),
        of: short_name::<T>(),
        bytes: encode(value),
        shown: format!("{value:?}"),
        again: |bytes| decode::<T>(bytes).ok().map(|v| encode(&v)),
    }
}

pub fn signed<T: Signable + Debug>(value: &T) -> SignedSample {
    let signed = Signed::sign(value, &key("signer"));
    SignedSample {
        label: T::LABEL,
        of: short_name::<T>(),
        shown: format!("{value:?}"),
        id: signed.id(),
        bytes: encode(&signed),
        accepts: |bytes, key| decode::<Signed<T>>(bytes).is_ok_and(|s| s.verify(key).is_ok()),
        inner: encode(value),
        again: |bytes| decode::<T>(bytes).ok().map(|v| encode(&v)),
    }
}

fn short_name<T>() -> &'static str {
    std::any::type_name::<T>().rsplit("::").next().unwrap()
}

/// `Statement` and `Grant(..)`: "Statement Grant".
fn variant_of(family: &str, value: &impl Debug) -> String {
    let shown = format!("{value:?}");
    let name: String = shown.chars().take_while(|c| c.is_alphanumeric()).collect();
    format!("{family} {name}")
}

pub struct Samples {
    pub world: World,
    pub event: Event,
    pub commit: Event,
    pub genesis: Event,
}

impl Samples {
    pub fn new() -> Self {
        let world = World::new();
        let card = world.card_with_reader();
        let mother = world.device(MOTHER);
        let (commit, _) = card.commit(mother, Plan::default());
        let commit = card.event(mother, Body::Commit(commit));
        // Fixed, for MLS draws randomness of its own: samples without MLS in them are the same in every run.
        let seen = Position { seq: 3, head: Hash([9; 32]) };
        let event = Event { seen, ..card.event(mother, Body::Change(change())) };
        let genesis = card.records[0].event.peek().unwrap();
        Self { world, event, commit, genesis }
    }

    pub fn signed_event(&self) -> Signed<Event> {
        Signed::sign(&self.event, &self.world.device(MOTHER).key)
    }

    fn person_certificate(&self) -> PersonCertificate {
        self.world.device(TEACHER).credential.borrow().person.peek().unwrap()
    }

    fn device_certificate(&self) -> Signed<DeviceCertificate> {
        self.world.device(TEACHER).credential.borrow().device.clone()
    }

    fn receipt(&self) -> Receipt {
        Receipt { scope: CARD, home_epoch: 1, position: Position { seq: 4, head: Hash([2; 32]) }, time: START }
    }

    fn offer(&self) -> KeyPackageOffer {
        KeyPackageOffer {
            device: self.world.device(MOTHER).id(),
            offered_at: START,
            last_resort: Permit::Yes,
            package: vec![1, 2, 3].into(),
        }
    }

    fn join_claim(&self) -> JoinClaim {
        JoinClaim {
            ticket: [1; 16],
            person_key: [2; 32],
            device_key: [3; 32],
            device: self.device_certificate(),
            letter_key: vec![4; 40].into(),
            proof: [5; 32],
            sealed_name: vec![6].into(),
        }
    }

    fn device_claim(&self) -> DeviceClaim {
        DeviceClaim {
            ticket: [1; 16],
            person: self.world.id(MOTHER),
            device_key: [3; 32],
            letter_key: vec![4; 40].into(),
            proof: [5; 32],
            sealed_name: vec![].into(),
            key_packages: vec![Signed::sign(&self.offer(), &key("signer"))],
        }
    }

    fn key_change(&self) -> PersonKeyChange {
        PersonKeyChange {
            scope: CARD,
            person: self.world.id(MOTHER),
            old: [1; 32],
            new: [2; 32],
            surviving: vec![[3; 32]],
        }
    }

    fn grant(&self) -> ConsentGrant {
        self.world.hold_grant(CARD, &self.world.authority())
    }

    fn withdrawal(&self) -> Withdrawal {
        Withdrawal { log: self.world.log(), scope: CARD, target: Target::Unit(PPT_UNIT), salt: [1; 16] }
    }

    fn end(&self) -> EmployeeEnd {
        EmployeeEnd { unit: SCHOOL, person: self.world.id(TEACHER), scope: CARD, ended_at: START, salt: [1; 16] }
    }

    fn attested(&self) -> AttestedConsent {
        AttestedConsent {
            grant: encode(&self.grant()).into(),
            on_behalf_of: self.world.id(FATHER),
            form: Hash([1; 32]),
        }
    }

    fn authority_change(&self) -> AuthorityChange {
        let authority = self.world.authority();
        AuthorityChange {
            log: self.world.log(),
            scope: CARD,
            from: authority.id(),
            to: authority,
            decision: Hash([1; 32]),
        }
    }

    fn checkpoint(&self) -> CheckpointHead {
        CheckpointHead {
            scope: CARD,
            generation: 1,
            epoch: 2,
            position: self.receipt().position,
            author: self.world.device(MOTHER).public(),
            salt: [3; 32],
            facts: Hash([4; 32]),
            parts: vec![Hash([5; 32]), Hash([6; 32])],
        }
    }

    fn signed_checkpoint(&self) -> Checkpoint {
        let facts = CheckpointFacts { state: vec![1; 9].into(), group_info: vec![2].into(), tree: vec![3].into() };
        Checkpoint { head: Signed::sign(&self.checkpoint(), &key("signer")), facts: encode(&facts).into() }
    }

    fn deletion(&self) -> DeletionReceipt {
        DeletionReceipt { scope: CARD, device: self.world.device(PPT).id(), seq: 9, wiped_at: START }
    }

    fn body(&self, content: Content) -> LetterBody {
        LetterBody { to: self.world.id(MOTHER), written_at: START, sender_name: "Kåre".into(), content }
    }

    fn letter(&self) -> Letter {
        Letter { to: self.world.device(MOTHER).id(), kem: vec![1; 20].into(), sealed: vec![2; 30].into() }
    }

    /// Every type that can be signed.
    pub fn signed(&self) -> Vec<SignedSample> {
        let world = &self.world;
        vec![
            signed(&self.person_certificate()),
            signed(&self.device_certificate().peek().unwrap()),
            signed(&self.event),
            signed(&self.receipt()),
            signed(&self.grant()),
            signed(&self.attested()),
            signed(&self.withdrawal()),
            signed(&world.certificate(LEADER, TEACHER)),
            signed(&world.assignment(LEADER, TEACHER, CARD)),
            signed(&self.end()),
            signed(&self.authority_change()),
            signed(&self.key_change()),
            signed(&self.deletion()),
            signed(&self.handover_offer()),
            signed(&self.acceptance()),
            signed(&self.abort()),
            signed(&self.home_accept()),
            signed(&self.tombstone()),
            signed(&self.transfer_abort()),
            signed(&peer_file()),
            signed(&peer_keys()),
            signed(&self.relay_hello()),
            signed(&self.body(Content::Deletion(Signed::sign(&self.deletion(), &key("signer"))))),
            signed(&self.checkpoint()),
            signed(&self.offer()),
            signed(&CodeOffer {
                ticket: Hash([1; 32]),
                kind: CodeKind::Person(PersonKind::Guardian),
                unit: Some(SCHOOL),
                expires_at: START,
            }),
            signed(&self.join_claim()),
            signed(&self.device_claim()),
        ]
    }

    /// Every type that travels or is stored.
    pub fn wire(&self) -> Vec<Sample> {
        let world = &self.world;
        let credential = world.device(TEACHER).credential.borrow().clone();
        let mut all = vec![
            sample("commit", &self.commit),
            sample("genesis", &self.genesis),
            sample("record", &Record { seq: 4, time: START, event: self.signed_event() }),
            sample("credential", &credential),
            sample("membership", &world.card_founding().membership),
            sample("municipalities", &world.trusted),
            sample(
                "checkpoint facts",
                &CheckpointFacts { state: vec![1; 9].into(), group_info: vec![2].into(), tree: vec![3].into() },
            ),
            sample(
                "opened",
                &Opened {
                    from: credential,
                    body: Signed::sign(
                        &self.body(Content::ConsentAnswer(ConsentAnswer {
                            log: world.log(),
                            requested: vec![],
                            signed: vec![],
                        })),
                        &key("signer"),
                    ),
                },
            ),
            sample(
                "join person",
                &JoinRequest::Person(PersonJoin {
                    claim: Signed::sign(&self.join_claim(), &key("signer")),
                    key_packages: vec![],
                }),
            ),
            sample("join device", &JoinRequest::Device(Signed::sign(&self.device_claim(), &key("signer")))),
            sample(
                "join reply",
                &JoinReply { municipality: HOME, municipality_key: [1; 32], certificate: None, unit: None },
            ),
            sample("code", &code()),
            sample("attachment part context", &AttachmentPartContext { scope: CARD, part: 1, count: 2 }),
            sample(
                "seal context",
                &SealContext {
                    scope: CARD,
                    generation: 1,
                    epoch: 2,
                    device: self.event.device,
                    counter: 3,
                    seen: self.event.seen,
                    count: 1,
                    attachments: vec![Hash([9; 32])],
                },
            ),
        ];
        all.extend(self.peer_wire());
        let event = |body: Body| Event { body, ..self.event.clone() };
        let statements = self.statements().into_iter();
        all.extend(statements.map(|s| sample(&variant_of("statement", &s), &event(Body::Statement(s)))));
        all.extend(self.contents().into_iter().map(|c| sample(&variant_of("letter", &c), &self.body(c))));
        let asks = |request| ClientFrame { id: 5, request };
        all.extend(self.requests().into_iter().map(|r| sample(&variant_of("request", &r), &asks(r))));
        let says = |reply| ServerFrame { id: 0, reply };
        all.extend(self.replies().into_iter().map(|r| sample(&variant_of("reply", &r), &says(r))));
        all
    }
}

pub fn attachment_manifest() -> AttachmentManifest {
    AttachmentManifest { scope: CARD, parts: vec![attachment_part_hash(&[1]), attachment_part_hash(&[2])] }
}

fn attachment_part() -> AttachmentPart {
    let place = AttachmentPlace { scope: CARD, attachment: attachment_manifest().id(), part: 1 };
    AttachmentPart { place, bytes: vec![2].into() }
}

pub fn code() -> Code {
    Code {
        municipality: HOME,
        url: "https://127.0.0.1:4433".into(),
        ca: [1; 32],
        municipality_key: Hash([2; 32]),
        ticket: [3; 16],
        secret: Some([4; 16]),
        inviter: Hash([5; 32]),
        person: Some(PersonId([6; 16])),
    }
}
