//! Every statement, letter, request and reply once.

use super::*;

impl Samples {
    pub(super) fn statements(&self) -> Vec<Statement> {
        let world = &self.world;
        vec![
            Statement::Grant(world.sign_grant(&self.grant(), MOTHER)),
            world.attested(&self.grant(), FATHER, TEACHER, LEADER),
            world.withdrawal(world.log(), CARD, Target::Grant(Hash([1; 32])), MOTHER),
            world.employee_end(LEADER, TEACHER, CARD),
            world.authority_change(world.log(), CARD, &world.authority(), &world.authority(), Hash([0; 32]), &[MOTHER]),
            world.key_change(&self.key_change(), Some(world.device(MOTHER)), &[TEACHER]),
            Statement::Reject(Reject { seq: 3, reason: RejectReason::Link }),
            Statement::LinkRepair(LinkRepair {
                from: KeyPlace { generation: 2, epoch: 0 },
                to: KeyPlace { generation: 1, epoch: 7 },
                link: vec![1].into(),
            }),
            Statement::Deletion(DeletionWitness {
                device_key: [1; 32],
                receipt: Signed::sign(&self.deletion(), &key("signer")),
            }),
            Statement::Close(Closing::Reopened),
            Statement::Takeover(Takeover { reason: Hash([1; 32]) }),
            Statement::Objection(Objection { change: Hash([1; 32]) }),
        ]
    }

    pub(super) fn contents(&self) -> Vec<Content> {
        let world = &self.world;
        let Statement::Withdrawal(withdrawal) = world.withdrawal(world.log(), CARD, Target::All, MOTHER) else {
            panic!()
        };
        let named = NamedPerson { person: world.id(MOTHER), person_key: [1; 32], name: "Mor".into() };
        let certificate = Signed::sign(&world.certificate(LEADER, TEACHER), &key("signer"));
        let request = ConsentRequest {
            log: world.log(),
            draft: Some(LogDraft {
                child_name: "Ella".into(),
                born: "2016-02-03".into(),
                level: 1,
                guardians: vec![named.clone()],
            }),
            authority: world.authority(),
            grants: vec![RequestedGrant {
                grant: self.grant(),
                kind: ScopeKind::Card,
                scope_title: String::new(),
                grantee_name: "Solvang skole".into(),
            }],
            text: "Vi ber om samtykke".into(),
            salt: [6; 32],
        };
        let notice = GrantNotice {
            log: world.log(),
            scope: CARD,
            grant: Hash([1; 32]),
            grantee: world.unit_of(LEADER),
            access: Access::Read,
            expires_at: START,
            scope_kind: ScopeKind::Card,
            holder: world.id(TEACHER),
            holder_key: [2; 32],
        };
        vec![
            Content::ConsentRequest(request),
            Content::ConsentAnswer(ConsentAnswer {
                log: world.log(),
                requested: vec![Hash([1; 32])],
                signed: vec![world.sign_grant(&self.grant(), MOTHER)],
            }),
            Content::GrantNotice(notice),
            Content::Assignment(Assignment {
                log: world.log(),
                person_name: "Per".into(),
                employee: certificate.clone(),
                assignments: vec![],
            }),
            Content::Withdrawal(withdrawal),
            Content::DeviceBundle(DeviceBundle {
                person_secret: vec![1; 32].into(),
                name: "Mor".into(),
                rows: vec![BundledRow { space: 1, key: vec![1].into(), value: vec![2].into() }],
            }),
            Content::Employment(Employment {
                unit: SCHOOL,
                unit_name: "Solvang".into(),
                certificate,
                colleagues: vec![named.clone()],
            }),
            Content::LateContribution(LateContribution {
                scope: CARD,
                changes: vec![vec![1, 2].into()],
                reason: "read-only".into(),
            }),
            Content::Introduction(Introduction { persons: vec![named], municipalities: world.trusted.0.clone() }),
            Content::Seen(Signed::sign(&self.receipt(), &key("signer"))),
            Content::Deletion(Signed::sign(&self.deletion(), &key("signer"))),
            Content::EmployeeEnd(SignedEmployeeEnd {
                leader: world.id(LEADER),
                end: Signed::sign(&self.end(), &key("signer")),
            }),
        ]
        .into_iter()
        .chain(self.handover_contents())
        .collect()
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        let envelope = Envelope { event: self.signed_event(), welcome: Some(vec![1, 2].into()) };
        let offer = Signed::sign(&self.offer(), &key("signer"));
        let claim = DeviceClaim {
            ticket: [3; 16],
            person: self.world.id(MOTHER),
            device_key: self.world.device(MOTHER).public(),
            letter_key: vec![1].into(),
            proof: [4; 32],
            sealed_name: vec![5].into(),
            key_packages: vec![offer.clone()],
        };
        let certified = CertifiedDevice {
            certificate: self.device_certificate(),
            claim: Signed::sign(&claim, &self.world.device(MOTHER).key),
        };
        vec![
            Request::Submit(Bundle { envelopes: vec![envelope], letters: vec![self.letter()] }),
            Request::Sync(vec![ScopePosition { scope: CARD, seq: 3 }]),
            Request::PublishKeyPackages(vec![offer]),
            Request::FetchKeyPackages(vec![self.world.id(MOTHER)]),
            Request::Persons(vec![self.world.id(MOTHER)]),
            Request::Units,
            Request::Letters(vec![self.letter()]),
            Request::Acknowledge(vec![1, 2]),
            Request::OfferCode(Signed::sign(
                &CodeOffer { ticket: Hash([1; 32]), kind: CodeKind::Device, unit: None, expires_at: 1 },
                &key("signer"),
            )),
            Request::CertifyDevice(certified),
            Request::CertifyEmployee(Signed::sign(&self.world.certificate(LEADER, TEACHER), &key("signer"))),
            Request::AddUnit(NewUnit { name: "PPT".into(), kind: "ppt".into() }),
            Request::RemoveDevice(DeviceRemoval { device: self.world.device(MOTHER).id(), lost: true.into() }),
            Request::Ping,
            Request::SyncAhead(vec![ScopePosition { scope: CARD, seq: 3 }]),
            Request::History(ScopePosition { scope: CARD, seq: 4 }),
            Request::PutCheckpointPart(CheckpointPart { scope: CARD, bytes: vec![1; 64].into() }),
            Request::PutCheckpoint(self.signed_checkpoint()),
            Request::PutAttachment(attachment_manifest()),
            Request::PutAttachmentPart(attachment_part()),
            Request::GetAttachmentPart(attachment_part().place),
        ]
        .into_iter()
        .chain(self.transfer_requests())
        .chain([Request::Return(self.records())])
        .collect()
    }

    pub(super) fn records(&self) -> Records {
        let record = Record { seq: 4, time: START, event: self.signed_event() };
        Records { scope: CARD, records: vec![record], receipt: Signed::sign(&self.receipt(), &key("signer")) }
    }

    pub(super) fn replies(&self) -> Vec<Reply> {
        let receipt = Signed::sign(&self.receipt(), &key("signer"));
        let unit =
            Unit { unit: SCHOOL, name: "Solvang".into(), kind: "school".into(), leader: Some(self.world.id(LEADER)) };
        let person = PersonRecord {
            certificate: Signed::sign(&self.person_certificate(), &key("signer")),
            devices: vec![DeviceRecord { certificate: self.device_certificate(), letter_key: vec![1].into() }],
            employee: None,
        };
        let join = JoinNotice {
            claim: Signed::sign(&self.join_claim(), &key("signer")),
            certificate: person.certificate.clone(),
        };
        let mail = |mail| Reply::Mail(MailItem { id: 7, mail });
        vec![
            Reply::Done,
            Reply::Problem(Problem {
                code: "wrong-epoch".into(),
                detail: "sync".into(),
                scope: Some(ScopePosition { scope: CARD, seq: 1 }),
            }),
            Reply::Submitted(vec![Accepted { scope: CARD, counter: 1, seq: 2, time: START, receipt: receipt.clone() }]),
            Reply::Records(self.records()),
            Reply::Synced(vec![SyncedScope { scope: CARD, position: Some(self.receipt().position) }]),
            Reply::KeyPackages(vec![Signed::sign(&self.offer(), &key("signer"))]),
            Reply::Persons(vec![person]),
            Reply::Units(vec![unit.clone()]),
            Reply::UnitAdded(AddedUnit { unit: SCHOOL, leader_code: "stafett1-00".into() }),
            mail(Mail::Letter(self.letter())),
            mail(Mail::Welcome(WelcomeMail { scope: CARD, seq: 1, welcome: vec![1].into() })),
            mail(Mail::Joined(join)),
            mail(Mail::DeviceAsks(Signed::sign(&self.device_claim(), &key("signer")))),
            mail(Mail::Listed(CARD)),
            Reply::Checkpoint(self.signed_checkpoint()),
            Reply::CheckpointPart(CheckpointPart { scope: CARD, bytes: vec![1; 64].into() }),
            Reply::AttachmentWants(AttachmentWants { attachment: attachment_manifest().id(), parts: vec![0, 1] }),
            Reply::AttachmentPart(attachment_part()),
            Reply::Welcome(Greeting {
                municipality: HOME,
                time: START,
                key_packages: 3,
                unit: Some(unit),
                scopes: vec![CARD],
            }),
            Reply::Peers(Signed::sign(&peer_keys(), &key("signer"))),
        ]
        .into_iter()
        .chain(self.transfer_replies())
        .collect()
    }
}
