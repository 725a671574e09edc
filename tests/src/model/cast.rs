//! The people of the stories that are played in memory.

use crate::model::home::ModelHome;
use crate::model::net::Net;
use crate::model::people::Device;
use serde_json::Value;
use stafett_client_core::client::input::{Command as C, Invitation, NewMeasure};

/// A text of an answer.
pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

/// One school, Ella's teacher and her parents.
pub struct Cast {
    pub home: ModelHome,
    pub leader: Device,
    pub teacher: Device,
    pub mother: Device,
    pub father: Device,
    pub mother_id: String,
    pub father_id: String,
}

/// Somebody joins with a code, and syncs once.
pub fn join(home: &mut impl Net, seed: u8, code: String, name: &str) -> (Device, String) {
    let mut device = Device::new(seed);
    let answer = device.ask(home, C::Join { code, name: name.into() }).unwrap();
    device.sync(home);
    (device, text(&answer, "person"))
}

/// A guardian signs what is asked.
pub fn sign(home: &mut impl Net, guardian: &mut Device) {
    guardian.sync(home);
    let pending = guardian.ask(home, C::ConsentPending).unwrap();
    let request = text(&pending["requests"][0], "request");
    guardian.ask(home, C::ConsentGrant { request, custody: true }).unwrap();
    guardian.sync(home);
}

/// Everybody has joined and knows each other's keys.
pub fn cast() -> Cast {
    let mut home = ModelHome::new(3209);
    let code = home.add_unit("Solvang skole", "school");
    let (mut leader, _) = join(&mut home, 1, code, "Leder Larsen");
    let invitation = Invitation::Employee { may_hold: true, may_act: true };
    let code = text(&leader.ask(&mut home, C::Invite(invitation)).unwrap(), "code");
    leader.sync(&mut home);
    let (mut teacher, _) = join(&mut home, 2, code, "Tone Lærer");
    leader.sync(&mut home);
    teacher.sync(&mut home);
    let code = text(&teacher.ask(&mut home, C::Invite(Invitation::Guardian)).unwrap(), "code");
    let code2 = text(&teacher.ask(&mut home, C::Invite(Invitation::Guardian)).unwrap(), "code");
    teacher.sync(&mut home);
    let (mut mother, mother_id) = join(&mut home, 3, code, "Mor Moen");
    let (mut father, father_id) = join(&mut home, 4, code2, "Far Foss");
    teacher.sync(&mut home);
    mother.sync(&mut home);
    father.sync(&mut home);
    Cast { home, leader, teacher, mother, father, mother_id, father_id }
}

/// The log exists, both parents have signed.
pub fn log(cast: &mut Cast) -> String {
    let Cast { home, teacher, mother, father, .. } = cast;
    let guardians = vec![cast.mother_id.clone(), cast.father_id.clone()];
    let new = C::LogNew { child: "Ella".into(), born: "2015-03-04".into(), guardians, level: 1 };
    let log = text(&teacher.ask(home, new).unwrap(), "log");
    teacher.sync(home);
    assert!(home.scopes.is_empty(), "B1: nothing exists before consent");
    for guardian in [&mut *mother, &mut *father] {
        sign(home, guardian);
    }
    teacher.sync(home);
    for guardian in [mother, father] {
        guardian.sync(home);
        let list = guardian.ask(home, C::LogList).unwrap();
        assert_eq!(list["logs"][0]["status"], "active", "{list} {}", guardian.last_problem());
    }
    log
}

/// A concern of that log, known to everyone.
pub fn concern(cast: &mut Cast, log: &str) -> String {
    let Cast { home, teacher, mother, father, .. } = cast;
    let measure = NewMeasure { text: "Ella gjennomgår ukeplanen".into(), ..NewMeasure::default() };
    let (title, goal) = ("Ella arbeider med lekser".to_owned(), "Mål".to_owned());
    let new = C::ConcernNew { log: log.to_owned(), title, goal, category: None, measure };
    let concern = text(&teacher.ask(home, new).unwrap(), "concern");
    for device in [teacher, mother, father] {
        device.sync(home);
    }
    concern
}

/// A list of an answer.
pub fn list<'v>(value: &'v Value, key: &str) -> &'v Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value}"))
}

/// Somebody whom the leader registers as one who may hold and act.
fn employ(cast: &mut Cast, leader: &mut Device, seed: u8, name: &str) -> (Device, String) {
    let home = &mut cast.home;
    let invitation = Invitation::Employee { may_hold: true, may_act: true };
    let code = text(&leader.ask(home, C::Invite(invitation)).unwrap(), "code");
    leader.sync(home);
    let (mut employee, id) = join(home, seed, code, name);
    leader.sync(home);
    employee.sync(home);
    (employee, id)
}

/// A second teacher at the school.
pub fn colleague(cast: &mut Cast) -> (Device, String) {
    let mut leader = std::mem::replace(&mut cast.leader, Device::new(0));
    let employed = employ(cast, &mut leader, 21, "Kari Kollega");
    cast.leader = leader;
    cast.teacher.sync(&mut cast.home);
    employed
}

/// Another school, with its leader and a teacher.
pub fn other_school(cast: &mut Cast) -> (Device, Device, String) {
    let code = cast.home.add_unit("Nes skole", "school");
    let (mut leader, _) = join(&mut cast.home, 31, code, "Leder Nes");
    let (teacher, id) = employ(cast, &mut leader, 32, "Nils Nes");
    (leader, teacher, id)
}

/// A further device of the teacher's.
pub fn telephone(cast: &mut Cast) -> Device {
    let mut telephone = Device::new(77);
    let code = text(&cast.teacher.ask(&mut cast.home, C::DeviceLink).unwrap(), "code");
    cast.teacher.sync(&mut cast.home);
    telephone.ask(&mut cast.home, C::DeviceAccept { code, name: "telefon".into() }).unwrap();
    telephone
}
