//! Ella's log on its way between municipalities in memory, and the people who move it.
#![allow(dead_code, reason = "not every suite needs everything")]

use serde_json::Value;
use stafett_client_core::client::input::{Command as C, Invitation, NewMeasure, Problem};
use stafett_tests::model::cast::{cast, join, log, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::net::Homes;
use stafett_tests::model::people::Device;

pub const ULLENSAKER: u16 = 3209;
pub const HAUGESUND: u16 = 1106;

pub struct Move {
    pub homes: Homes,
    pub leader: Device,
    pub teacher: Device,
    pub mother: Device,
    pub father: Device,
    /// Leader and teacher in Haugesund.
    pub there: Device,
    pub kari: Device,
    pub kari_id: String,
    pub log: String,
    pub homework: String,
    pub absence: String,
    /// Notes that the offer proposes.
    pub notes: Vec<String>,
    /// What the parents were asked.
    pub asked: String,
}

pub fn list<'v>(value: &'v Value, key: &str) -> &'v Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value}"))
}

impl Move {
    pub fn new() -> Self {
        let mut cast = cast();
        let log = log(&mut cast);
        let mut haugesund = ModelHome::new(HAUGESUND);
        haugesund.now = cast.home.now;
        let code = haugesund.add_unit("Haugesund skole", "school");
        let mut homes = Homes::new(vec![cast.home, haugesund]);
        let (mut there, _) = join(&mut homes, 31, code, "Leder Lie");
        let invitation = Invitation::Employee { may_hold: true, may_act: true };
        let code = text(&there.ask(&mut homes, C::Invite(invitation)).unwrap(), "code");
        there.sync(&mut homes);
        let (kari, kari_id) = join(&mut homes, 32, code, "Kari Kommer");
        let mut moved = Self {
            homes,
            leader: cast.leader,
            teacher: cast.teacher,
            mother: cast.mother,
            father: cast.father,
            there,
            kari,
            kari_id,
            log,
            homework: String::new(),
            absence: String::new(),
            notes: vec![],
            asked: String::new(),
        };
        moved.homework = moved.concern("Lekser");
        moved.absence = moved.concern("Fravær");
        moved
    }

    pub fn concern(&mut self, title: &str) -> String {
        let measure = NewMeasure { text: "Tiltak".into(), ..NewMeasure::default() };
        let (log, title, goal) = (self.log.clone(), title.to_owned(), "Mål".to_owned());
        let new = C::ConcernNew { log, title, goal, category: None, measure };
        let concern = text(&self.teacher.ask(&mut self.homes, new).unwrap(), "concern");
        self.everyone(2);
        concern
    }

    pub fn everyone(&mut self, rounds: usize) {
        let Self { homes, leader, teacher, mother, father, there, kari, .. } = self;
        for _ in 0..rounds {
            for device in [&mut *teacher, &mut *leader, &mut *mother, &mut *father, &mut *there, &mut *kari] {
                device.sync(homes);
            }
        }
    }

    /// The offer to Haugesund's school, accepted by Kari, signed by the parents; the baton has not passed yet.
    pub fn agree(&mut self) -> String {
        self.agree_with(HAUGESUND)
    }

    /// The same for the municipality whose people `there` and `kari` are.
    pub fn agree_with(&mut self, number: u16) -> String {
        let number = number.to_string();
        let Self { homes, teacher, mother, father, there, kari, kari_id, log, homework, notes, .. } = self;
        teacher.ask(homes, C::UnitsOf { municipality: number.clone() }).unwrap();
        teacher.sync(homes);
        let units = teacher.ask(homes, C::UnitsOf { municipality: number.clone() }).unwrap();
        let unit = text(&list(&units, "units")[0], "unit");
        // Keys are compared by telephone: nobody holds on a key that the municipality alone vouches for.
        let leader = text(&list(&units, "units")[0], "leader");
        let mine = text(&teacher.ask(homes, C::Verify { person: leader.clone(), number: None }).unwrap(), "number");
        let said = teacher.ask(homes, C::Verify { person: leader, number: Some(mine) }).unwrap();
        assert_eq!(said["matches"], true);
        let offer = C::BatonOffer {
            log: log.clone(),
            to: unit,
            municipality: Some(number),
            concerns: vec![homework.clone()],
            notes: notes.clone(),
            reason: "Ella flytter".into(),
        };
        let offer = text(&teacher.ask(homes, offer).unwrap(), "offer");
        teacher.sync(homes);
        for guardian in [&mut *mother, &mut *father] {
            guardian.sync(homes);
            let pending = guardian.ask(homes, C::ConsentPending).unwrap();
            self.asked = pending.to_string();
            for request in list(&pending, "requests") {
                let signed = guardian.ask(homes, C::ConsentGrant { request: text(request, "request"), custody: true });
                signed.unwrap_or_else(|e| panic!("{e:?} {request}"));
            }
            guardian.sync(homes);
        }
        there.sync(homes);
        let passed = C::BatonAccept { offer: offer.clone(), person: Some(kari_id.clone()) };
        there.ask(homes, passed).unwrap_or_else(|e| panic!("{e:?} {}", there.last_problem()));
        there.sync(homes);
        kari.sync(homes);
        let accepted = kari.ask(homes, C::BatonAccept { offer: offer.clone(), person: None });
        accepted.unwrap_or_else(|e| panic!("{e:?} {}", kari.last_problem()));
        kari.sync(homes);
        offer
    }

    /// The new home has given its word; the old one did not commit.
    pub fn bound(&mut self) {
        let Self { homes, teacher, homework, .. } = self;
        homes.no_commit = true;
        teacher.sync(homes);
        assert!(homes.at(HAUGESUND).is_bound(homework.parse().unwrap()), "{}", teacher.last_problem());
        homes.no_commit = false;
    }

    pub fn arrived(&mut self) {
        self.teacher.sync(&mut self.homes);
        self.teacher.sync(&mut self.homes);
        self.everyone(3);
        let Self { homes, teacher, mother, kari, log, .. } = self;
        for device in [&mut *mother, &mut *kari] {
            assert_eq!(text(&show(homes, device, log), "home"), "1106", "{}", teacher.last_problem());
            sound(homes, device, log);
        }
    }

    /// Which home has each scope of the log as its own to order.
    pub fn homes_of_log(&mut self) -> (usize, usize) {
        let mut at = [0, 0];
        for (nth, number) in [ULLENSAKER, HAUGESUND].into_iter().enumerate() {
            let own = |c: &&stafett_tests::model::home::ScopeChain| c.replica.state().membership.home == number;
            at[nth] = self.homes.at(number).scopes.values().filter(own).count();
        }
        (at[0], at[1])
    }
}

pub fn show(homes: &mut Homes, device: &mut Device, log: &str) -> Value {
    let shown: Result<Value, Problem> = device.ask(homes, C::LogShow { log: log.to_owned() });
    shown.unwrap_or_else(|e| panic!("{e:?} {}", device.last_problem()))
}

pub fn glimpses(homes: &mut Homes, device: &mut Device, concern: &str) -> Vec<String> {
    let show = device.ask(homes, C::ConcernShow { concern: concern.to_owned() });
    let show = show.unwrap_or_else(|e| panic!("{e:?} {}", device.last_problem()));
    list(&show, "glimpses").iter().map(|g| text(g, "text")).collect()
}

pub fn sound(homes: &mut Homes, device: &mut Device, log: &str) {
    let audit = device.ask(homes, C::AuditVerify { log: log.to_owned() }).unwrap();
    assert_eq!(list(&audit, "violations").len(), 0, "{audit}");
}
