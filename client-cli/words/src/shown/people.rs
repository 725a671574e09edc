//! People, devices, codes and units.

use stafett_client_core::answer::{
    AddedUnit, Assigned, Code, Compared, Comparison, Device, Devices, Invite, Invites, Joined, Me, People, Person,
    RemovedDevice, ServerPlace, Unit, Units, UsedUp,
};

use super::{Shown, parts};
use crate::reader::Reader;
use crate::render::Part;

impl Shown for Joined {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { person, device, unit, role } = self;
        Part::of([
            ("person_name", to.called(person)),
            ("person", to.text(person)),
            ("device", to.text(device)),
            ("unit_name", to.maybe_called(unit.as_ref())),
            ("role", role.map_or_else(|| to.absent(), |role| to.word(role.word()))),
        ])
    }
}

impl Shown for Code {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { code } = self;
        Part::of([("code", to.text(code))])
    }
}

impl Shown for Devices {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Whose they are need not be said to them.
        let Self { person: _, devices, used_up } = self;
        Part::default().with("devices", parts(to, devices)).with("used_up", parts(to, used_up))
    }
}

impl Shown for Device {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { device, name, this } = self;
        Part::of([("device", to.text(device)), ("name", to.text(name))]).with("this", this.then(Part::default))
    }
}

impl Shown for UsedUp {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { at } = self;
        Part::of([("at", to.time(at))])
    }
}

impl Shown for RemovedDevice {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { device } = self;
        Part::of([("device", to.text(device))])
    }
}

impl Shown for Invites {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { invites } = self;
        Part::default().with("invites", parts(to, invites))
    }
}

impl Shown for Invite {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { code, state, person, unit } = self;
        Part::of([
            ("code", to.text(code)),
            ("state", to.word(state.word())),
            ("person_name", to.maybe_called(person.as_ref())),
        ])
        .with("unit", unit.iter().map(|unit| Part::of([("unit_name", to.called(unit))])))
    }
}

impl Shown for People {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { people } = self;
        Part::default().with("people", parts(to, people))
    }
}

impl Shown for Person {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { person, name, unit, role, verified } = self;
        Part::of([
            ("person", to.text(person)),
            ("name", to.name(name)),
            ("unit_name", to.maybe_called(unit.as_ref())),
            ("role", role.map_or_else(|| to.absent(), |role| to.word(role.word()))),
            ("verified", to.word(verified.word())),
        ])
    }
}

impl Shown for Units {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { units } = self;
        Part::default().with("units", parts(to, units))
    }
}

impl Shown for Unit {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { unit, name, kind, leader, municipality } = self;
        Part::of([
            ("unit", to.text(unit)),
            ("name", to.text(name)),
            ("kind", to.open_word(kind)),
            ("municipality", to.text(municipality)),
        ])
        // A leader whom nobody here has named is nobody to people.
        .with("leader", leader.iter().filter_map(|id| to.known(id)).map(|name| Part::of([("leader_name", name)])))
    }
}

impl Shown for AddedUnit {
    fn part(&self, _: &Reader<'_>) -> Part {
        // Always so.
        let Self { queued: _ } = self;
        Part::default()
    }
}

impl Shown for Assigned {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { log, person } = self;
        Part::of([("log_name", to.maybe_called(log.as_ref())), ("person_name", to.called(person))])
    }
}

impl Shown for Comparison {
    fn part(&self, to: &Reader<'_>) -> Part {
        // Whom it is compared with was just typed.
        let Self { person: _, number } = self;
        Part::of([("number", to.text(number))])
    }
}

impl Shown for Compared {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self { person: _, person_name, matches } = self;
        let name = to.text(person_name);
        let part = Part::of([("person_name", name.clone())]);
        match matches {
            true => part,
            // Numbers that differ are a warning, and no answer beside it.
            false => Part::default().saying(to.messages.say("say.verify.differs", &[("person_name", &name)])),
        }
    }
}

impl Shown for Me {
    fn part(&self, to: &Reader<'_>) -> Part {
        let Self {
            person,
            name,
            device,
            role,
            // Said by name.
            unit: _,
            unit_name,
            municipality,
            url,
            certified,
            logs,
            requests,
            queued,
        } = self;
        Part::of([
            ("person", to.text(person)),
            ("name", to.text(name)),
            ("device", to.text(device)),
            ("role", role.map_or_else(|| to.absent(), |role| to.word(role.word()))),
            ("unit_name", to.maybe(unit_name.as_ref())),
            ("municipality", to.text(municipality)),
            ("url", to.text(url)),
            ("certified", to.yes(*certified)),
            ("logs", logs.to_string()),
            ("requests", requests.to_string()),
            ("queued", queued.to_string()),
        ])
    }
}

impl Shown for ServerPlace {
    fn part(&self, _: &Reader<'_>) -> Part {
        // Part of a `sync`, which says how it went.
        let Self { url: _ } = self;
        Part::default()
    }
}
