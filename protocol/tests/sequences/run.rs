//! One history played: each step decided by the policy, and told to a model that was written without its code.

use super::*;

/// What a reader of the accepted statements alone would know, written without the policy's code.
#[derive(Default)]
pub struct Model {
    signed: Vec<(Hash, Who)>,
    withdrawn: Vec<Hash>,
    /// Persons named in a withdrawal or ended by their leader, and when.
    ended: Vec<(PersonId, u64)>,
    in_force: Vec<(Hash, u64)>,
    fatherless: bool,
}

pub struct Run<'a> {
    pub world: &'a World,
    pub state: ScopeState,
    pub now: u64,
    pub model: Model,
}

impl<'a> Run<'a> {
    fn leaf(&self, device: &Device) -> Leaf {
        Leaf { key: device.public(), credential: device.credential.borrow().clone() }
    }

    fn event(&self, device: &Device, body: Body) -> Event {
        let s = &self.state;
        let generation = s.membership.generation + u32::from(matches!(body, Body::Genesis(_)));
        Event {
            scope: s.scope(),
            generation,
            epoch: s.epoch,
            device: device.id(),
            counter: s.counter(device.id()) + 1,
            seen: s.position,
            body,
        }
    }

    /// Decides, and checks on the way that deciding is pure and stored facts decide alike.
    fn submit(&mut self, device: &Device, body: Body, mls: &MlsView) -> bool {
        let event = self.event(device, body);
        let context = self.world.context(self.now, None);
        let answer = policy::decide(&self.state, &context, &event, mls);
        let stored: ScopeState = decode(&encode(&self.state)).unwrap();
        assert_eq!(policy::decide(&stored, &context, &event, mls), answer, "pure, and the same from a snapshot");
        let Ok(mut next) = answer else { return false };
        next.position.seq += 1;
        next.time = self.now;
        self.state = next;
        self.now += 1;
        true
    }

    fn say(&mut self, device: &Device, statement: Statement) -> bool {
        self.submit(device, Body::Statement(statement), &MlsView::None)
    }

    fn commit(
        &mut self,
        device: &Device,
        adds: &[&Device],
        removes: &[PublicKey],
        membership: Membership,
        vouchers: Vec<Voucher>,
    ) -> bool {
        let view = CommitView {
            sender: Some(device.public()),
            adds: adds.iter().map(|d| self.leaf(d)).collect(),
            removes: removes.to_vec(),
            path: Some(self.leaf(device)),
            membership: Some(membership),
        };
        let body = Commit {
            mls: vec![].into(),
            group_info: vec![].into(),
            link: Some(vec![].into()),
            check: Hash([1; 32]),
            welcome: (!adds.is_empty()).then_some(Hash([2; 32])),
            vouchers,
            handover: None,
        };
        self.submit(device, Body::Commit(body), &MlsView::Commit(view))
    }

    /// A device with which this person could act now, listed or not.
    fn device_of(&self, who: Who) -> &'a Device {
        let devices = &self.world.people[who].devices;
        devices.iter().find(|d| self.state.membership.device_key(d.id()).is_some()).unwrap_or(&devices[0])
    }

    pub fn step(&mut self, step: &Step) {
        let world = self.world;
        match step {
            Step::Sign { grant, by } => {
                let grant = &grants(world)[*grant];
                if self.say(world.device(TEACHER), Statement::Grant(world.sign_grant(grant, *by))) {
                    self.model.signed.push((id_of(grant), *by));
                    self.model.settle(world, self.now);
                }
            }
            Step::Withdraw { target, by, salt } => self.withdraw(targets(world)[*target], *by, *salt),
            Step::Admit { by, who, grant, device, remove_first } => {
                self.admit(*by, *who, *grant, *device, *remove_first)
            }
            Step::Swap { by, who } => self.swap(*by, *who),
            Step::RemoveListed { by } => {
                let removes = self.state.listed_at(self.now);
                let membership = without(self.state.membership.clone(), &removes);
                self.commit(self.device_of(*by), &[], &removes, membership, vec![]);
            }
            Step::Change { by } => {
                let by = self.device_of(*by);
                let may = self.state.may_read(by.id(), self.now);
                let written = self.submit(by, Body::Change(change()), &MlsView::None);
                assert!(may || !written, "who may not read does not write");
            }
            Step::End { who } => {
                if self.say(world.device(MOTHER), world.employee_end(PPT_LEADER, *who, CARD)) {
                    self.model.ended.push((world.id(*who), self.now - 1));
                }
            }
            Step::Authority { father } => self.change_authority(*father),
            Step::Resync { by } => self.resync(*by),
            Step::Refound { by } => self.refound(*by),
            Step::Wait { days } => self.now += days * DAY,
        }
    }

    fn withdraw(&mut self, target: Target, by: Who, salt: u8) {
        let statement = self.world.withdrawal_salted(self.world.log(), CARD, target, by, salt);
        if !self.say(self.world.device(MOTHER), statement) {
            return;
        }
        for grant in grants(self.world) {
            let hit = match (target, grant.grantee) {
                (Target::Grant(id), _) => id == id_of(&grant),
                (Target::Unit(unit), Grantee::Unit(u)) => u.unit == unit,
                (Target::Person(person), Grantee::Person(p)) => p.person == person,
                _ => false,
            };
            // A withdrawal of a unit or person ends what has been signed; of a grant, whatever comes.
            let known =
                self.model.signed.iter().any(|(id, _)| *id == id_of(&grant)) || matches!(target, Target::Grant(_));
            if hit && known {
                self.model.withdrawn.push(id_of(&grant));
            }
        }
        if let Target::Person(person) = target {
            self.model.ended.push((person, self.now - 1));
        }
    }

    fn admit(&mut self, by: Who, who: Who, grant: usize, device: usize, remove_first: bool) {
        let grant = &grants(self.world)[grant];
        let guest = self.world.device_n(who, device);
        let removes = if remove_first { self.state.listed_at(self.now) } else { vec![] };
        let mut next = without(self.state.membership.clone(), &removes);
        match next.members.iter_mut().find(|m| m.person == self.world.id(who)) {
            Some(member) => {
                member.devices.push(guest.public());
                (member.role, member.basis) = (grant.access.role(), id_of(grant));
            }
            None => next.members.push(Member {
                devices: vec![guest.public()],
                ..self.world.founder(who, grant.access.role(), id_of(grant))
            }),
        }
        let vouchers = if who == COACH { vec![] } else { vec![self.world.voucher(PPT_LEADER, who, CARD)] };
        self.commit(self.device_of(by), &[guest], &removes, next.sorted(), vouchers);
    }

    /// Removes a guest's leaves and gives them another in the same commit.
    fn swap(&mut self, by: Who, who: Who) {
        let Some(member) = self.state.membership.member(self.world.id(who)).cloned() else { return };
        let guest = self.world.people[who].devices.iter().find(|d| !member.devices.contains(&d.public()));
        let guest = guest.unwrap_or(self.device_of(who));
        let mut next = self.state.membership.clone();
        next.members.iter_mut().find(|m| m.person == member.person).unwrap().devices = vec![guest.public()];
        self.commit(
            self.device_of(by),
            &[guest],
            &member.devices,
            next,
            vec![self.world.voucher(PPT_LEADER, who, CARD)],
        );
    }

    fn change_authority(&mut self, father: bool) {
        let to = if father { self.world.authority() } else { self.world.authority_of(&[MOTHER], 1) };
        let from = self.state.authority().clone();
        let statement =
            self.world.authority_change(self.world.log(), CARD, &from, &to, Hash([1; 32]), &[TEACHER, LEADER]);
        if self.say(self.world.device(MOTHER), statement) {
            self.model.fatherless = !father;
        }
    }

    fn resync(&mut self, by: Who) {
        let device = self.device_of(by);
        let view = CommitView {
            sender: None,
            adds: vec![],
            removes: vec![device.public()],
            path: Some(self.leaf(device)),
            membership: None,
        };
        let body = Commit {
            mls: vec![].into(),
            group_info: vec![].into(),
            link: None,
            check: Hash([1; 32]),
            welcome: None,
            vouchers: vec![],
            handover: None,
        };
        self.submit(device, Body::Commit(body), &MlsView::Commit(view));
        let at = |epoch| KeyPlace { generation: self.state.membership.generation, epoch };
        let (from, to) = (at(self.state.epoch), at(self.state.epoch.saturating_sub(1)));
        let repair = LinkRepair { from, to, link: vec![1; 48].into() };
        self.say(self.world.device(MOTHER), Statement::LinkRepair(repair));
    }

    fn refound(&mut self, by: Who) {
        let reject = Statement::Reject(Reject { seq: self.state.last_commit, reason: RejectReason::Mls });
        self.say(self.device_of(by), reject);
        let device = self.device_of(by);
        let Some(before) = self.state.before_last_commit.iter().find(|m| m.person == self.world.id(by)).cloned() else {
            return;
        };
        let mut membership = self.state.membership.clone();
        membership.generation += 1;
        membership.members = vec![Member { devices: vec![device.public()], ..before }];
        let genesis = Genesis {
            group_info: vec![].into(),
            tree: vec![].into(),
            founder: device.credential.borrow().clone(),
            log_salt: None,
            card: None,
            grants: vec![],
            vouchers: vec![],
            check: Hash([1; 32]),
            carries: Some(Carried {
                to: KeyPlace { generation: self.state.membership.generation, epoch: self.state.epoch },
                link: vec![9; 48].into(),
            }),
        };
        let view = MlsView::Genesis(membership, self.leaf(device));
        if self.submit(device, Body::Genesis(genesis), &view) {
            self.bring_back(device);
        }
    }

    /// Everybody who may come back does, one by one.
    fn bring_back(&mut self, by: &Device) {
        for member in self.state.readmit.clone() {
            if self.state.membership.member(member.person).is_some() {
                continue;
            }
            let devices: Vec<&Device> = member.devices.iter().map(|k| self.world.by_id(DeviceId::of_key(k))).collect();
            let mut next = self.state.membership.clone();
            next.members.push(member);
            self.commit(by, &devices, &[], next.sorted(), vec![]);
        }
    }

    /// Nobody has a leaf without what lets them in, listed leaves excepted.
    pub fn check(&self) {
        let listed = self.state.listed_at(self.now);
        for member in &self.state.membership.members {
            for device in member.devices.iter().filter(|d| !listed.contains(d)) {
                let owner = self.world.by_id(DeviceId::of_key(device)).who;
                assert_eq!(self.world.id(owner), member.person, "a leaf is its own person's");
                let stands = match member.role {
                    Role::Guardian => owner == MOTHER || (owner == FATHER && !self.model.fatherless),
                    Role::Holder => owner == TEACHER,
                    Role::Actor | Role::Reader => {
                        self.model.lets_in(self.world, owner, member.role, member.basis, self.now)
                    }
                    _ => false,
                };
                assert!(stands, "{:?} of {owner} stands on nothing", member.role);
            }
        }
    }
}

impl Model {
    /// Notes since when a grant has both signatures.
    fn settle(&mut self, world: &World, now: u64) {
        for grant in grants(world) {
            let id = id_of(&grant);
            let both = [MOTHER, FATHER].iter().all(|w| self.signed.contains(&(id, *w)));
            if both && !self.in_force.iter().any(|(known, _)| *known == id) {
                self.in_force.push((id, now - 1));
            }
        }
    }

    fn lets_in(&self, world: &World, who: Who, role: Role, basis: Hash, now: u64) -> bool {
        let Some(grant) = grants(world).into_iter().find(|g| id_of(g) == basis) else { return false };
        let Some((_, since)) = self.in_force.iter().find(|(id, _)| *id == basis) else { return false };
        let for_them = match grant.grantee {
            Grantee::Unit(unit) => world.person(who).unit == Some(unit.unit),
            Grantee::Person(person) => person.person == world.id(who),
        };
        let ended = self.ended.iter().any(|(person, at)| *person == world.id(who) && at >= since);
        for_them && grant.access.role() == role && now < grant.expires_at && !self.withdrawn.contains(&basis) && !ended
    }
}
