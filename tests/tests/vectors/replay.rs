//! Audit exports of whole logs: as a client writes them, and altered by an exporter, a home and a member who cheat.

use super::python;
use serde_json::Value;
use stafett_client_core::client::input::Command as C;
use stafett_tests::simulation::operation::Mix;
use stafett_tests::simulation::world::TEACHER;
use stafett_tests::simulation::{CI, Size, Tally, numbered, play};

/// A log's life with crashes, and a PPT that comes and goes; the teacher's export of it.
pub fn export(seed: u64) -> Value {
    let size = Size { logs: 1, steps: 260, mix: Mix::Access, ..CI };
    let mut world = play(seed, size, &numbered(seed, size), &mut Tally::default()).unwrap();
    let log = world.logs[0].log.clone();
    world.ask(world.node(TEACHER), C::AuditExport { log }).unwrap()
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
