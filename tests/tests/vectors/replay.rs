//! Audit exports of whole logs: as a client writes them, and altered by an exporter, a home and a member who cheat.

use super::python;
use serde_json::Value;
use stafett_client_core::client::input::Command as C;
use stafett_tests::sim::{FATHER, Faults, MOTHER, TEACHER, World};

/// A log's life with crashes and a withdrawal at random moments; the teacher's export of it.
pub fn export(seed: u64) -> Value {
    let mut world = World::new(seed);
    let faults = Faults { crash: 10, cut: 10 };
    world.request_ppt();
    for step in 0..300 {
        if step % 15 == 0 {
            let who = [TEACHER, MOTHER, FATHER][world.pick(3)];
            world.glimpse(who, format!("lysglimt {step}"));
            world.grant_all(MOTHER);
            world.grant_all(FATHER);
            world.assign_ppt();
        }
        if step == 220 {
            world.withdraw_ppt(MOTHER);
        }
        world.step(&faults);
    }
    world.settle();
    let log = world.log.clone();
    world.ask(TEACHER, C::AuditExport { log })
}

/// What the verifier in Python says of exports.
pub fn reports(exports: &[&Value]) -> Option<Vec<Value>> {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> =
        (0..exports.len()).map(|i| folder.path().join(format!("{i}.json")).to_str().unwrap().to_owned()).collect();
    for (name, export) in names.iter().zip(exports) {
        std::fs::write(name, export.to_string()).unwrap();
    }
    let mut arguments = vec!["audit"];
    arguments.extend(names.iter().map(String::as_str));
    python::verify(&arguments)
}
