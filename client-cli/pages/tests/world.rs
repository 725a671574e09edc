//! A municipality of invented people, and a host that carries between them and the pages.

use serde_json::{Value, json};
use stafett_client_core::answer::{Answer, Me};
use stafett_client_core::client::input::{Cause, Command, Problem};
use stafett_pages::{Ask, Drafts, Home, HomeHere, Language, Messages, Method, Reply, Status, TimeZone, show, wanted};

pub const LANGUAGES: [(&str, Language); 3] =
    [("nb", Language::Bokmaal), ("nn", Language::Nynorsk), ("en", Language::English)];

/// Who looks: account, what they are in the log, their id.
pub const ROLES: [(&str, &str, &str, &str); 8] = [
    ("holder", "employee", "holder", "aa01aa01aa01"),
    ("guardian", "guardian", "guardian", "aa03aa03aa03"),
    ("child", "child", "child", "aa05aa05aa05"),
    ("actor", "employee", "actor", "aa06aa06aa06"),
    ("reader", "employee", "reader", "aa08aa08aa08"),
    ("custodian", "leader", "custodian", "aa07aa07aa07"),
    ("leader", "leader", "reader", "aa04aa04aa04"),
    ("administrator", "administrator", "reader", "aa09aa09aa09"),
];

/// What the core would answer, as JSON by the name of the answer.
#[derive(Clone)]
pub struct World {
    pub answers: Value,
    pub me: Value,
    pub home: Home,
    pub online: bool,
    /// Whether everything that would change something is refused.
    pub refuses: bool,
}

impl World {
    /// As one of the roles.
    pub fn of(role: &str) -> Self {
        let answers: Value = serde_json::from_str(include_str!("world.json")).unwrap();
        let (_, account, in_log, person) = ROLES.iter().find(|(name, ..)| *name == role).unwrap();
        let mut world = Self { me: answers["me"].clone(), answers, home: Home::Open, online: true, refuses: false };
        world.me["person"] = json!(person);
        world.me["role"] = json!(account);
        let people = world.answers["people"]["people"].as_array().unwrap();
        let name = people.iter().find(|one| one["person"] == *person).map(|one| one["name"].clone());
        world.me["name"] = name.unwrap_or(json!("Astrid Moen"));
        for log in world.answers["log.list"]["logs"].as_array_mut().unwrap() {
            log["role"] = json!(in_log);
        }
        if matches!(*account, "guardian" | "child" | "administrator") {
            world.me["unit"] = Value::Null;
            world.me["unit_name"] = Value::Null;
        }
        world
    }

    /// Every list is empty.
    pub fn empty(mut self) -> Self {
        fn empty(value: &mut Value) {
            match value {
                Value::Array(all) => all.clear(),
                Value::Object(all) => all.values_mut().for_each(empty),
                _ => {}
            }
        }
        // Whoever is alone in a log is still in it.
        let participants = self.answers["log.show"]["participants"].clone();
        empty(&mut self.answers);
        self.answers["log.show"]["participants"] = participants;
        self
    }

    pub fn set(mut self, path: &str, value: Value) -> Self {
        *self.answers.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        self
    }

    pub fn me(&self) -> Me {
        serde_json::from_value(self.me.clone()).unwrap()
    }

    pub fn status(&self) -> Status {
        let here = |id: &str, name: &str, this| HomeHere { id: id.into(), name: Some(name.into()), this };
        let homes = vec![here("h1", "Tone Dahl", true), here("h2", "Ingrid Solberg", false)];
        Status { home: self.home, online: self.online, me: Some(self.me()), homes, keeps_drafts: true }
    }

    /// What the core says to a command.
    fn answer(&self, command: &Command) -> Result<Answer, Problem> {
        let (name, changes) = match command {
            Command::LogList => ("log.list", false),
            Command::LogShow { .. } => ("log.show", false),
            Command::ConcernShow { .. } => ("concern.show", false),
            Command::ConsentPending => ("consent.pending", false),
            Command::ConsentList { .. } => ("consent.list", false),
            Command::BatonList => ("baton.list", false),
            Command::Drafts => ("drafts", false),
            Command::People { .. } => ("people", false),
            Command::Units => ("units", false),
            Command::DeviceList => ("device.list", false),
            Command::InviteList => ("invite.list", false),
            Command::LogHistory { .. } => ("log.history", false),
            Command::AuditVerify { .. } => ("audit.verify", false),
            Command::Verify { number: None, .. } => ("verify", false),
            Command::Verify { .. } => ("verify.matches", true),
            Command::ConsentWithdraw { .. } => ("consent.withdraw", true),
            Command::DeviceLink => ("device.link", true),
            Command::AuditExport { .. } => ("audit.export", true),
            Command::AttachmentGet { .. } => ("attachment.get", true),
            Command::LogNew { .. } => ("log.new", true),
            Command::ConcernNew { .. } => ("concern.new", true),
            _ => ("glimpse", true),
        };
        if changes && self.refuses {
            return Err(Problem::rule(Cause::Withdrawn, "refused"));
        }
        let value = self.answers.get(name).unwrap_or_else(|| panic!("no {name}"));
        let mut value = value.clone();
        if let Command::ConcernShow { concern } = command {
            value["concern"] = json!(concern);
        }
        Ok(serde_json::from_value(json!({ name: value })).unwrap_or_else(|e| panic!("{name}: {e}")))
    }

    /// As a host does it.
    pub fn carry(&self, ask: &Ask, drafts: &Drafts) -> Reply {
        let words = Messages::of(ask.language);
        let perform = |commands: Vec<Command>| commands.iter().map(|one| self.answer(one)).collect::<Vec<_>>();
        let mut answers = match (self.home, stafett_pages::asked_of_host(ask)) {
            (Home::Open, None) => perform(wanted(ask)),
            (_, Some(_)) => vec![Err(Problem::quoting("wrong-passphrase", ""))],
            _ => vec![],
        };
        for _ in 0..4 {
            match show(ask, &answers, &self.status(), drafts, &words) {
                Reply::More(commands) => answers.extend(perform(commands)),
                reply => return reply,
            }
        }
        panic!("{}: asks for ever", ask.path)
    }

    pub fn get(&self, path: &str, language: Language) -> Reply {
        self.carry(&ask(Method::Get, path, vec![], language), &Drafts::new())
    }

    pub fn post(&self, path: &str, fields: Vec<(String, String)>) -> Reply {
        self.carry(&ask(Method::Post, path, fields, Language::Bokmaal), &Drafts::new())
    }
}

pub fn ask(method: Method, path: &str, fields: Vec<(String, String)>, language: Language) -> Ask {
    let now = "2026-12-01T08:30:00Z".parse().unwrap();
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    Ask { method, path: path.to_owned(), fields, file: None, language, now, zone }
}

/// A pattern of the tables with the ids of this world in it.
pub fn path(pattern: &str) -> String {
    let ids = [
        ("{log}", "dd01dd01dd01"),
        ("{concern}", "ee01ee01ee01"),
        ("{measure}", "ba01ba01ba01"),
        ("{grant}", "ae01ae01ae01"),
        ("{request}", "ad01ad01ad01"),
        ("{offer}", "ac01ac01ac01"),
        ("{device}", "bb02bb02bb02"),
        ("{person}", "aa06aa06aa06"),
        ("{draft}", "bc01bc01bc01"),
        ("{file}", "ab01ab01ab01"),
    ];
    ids.iter().fold(pattern.to_owned(), |path, (name, id)| path.replace(name, id))
}

/// Page and status; anything else is a fault.
pub fn html(reply: Reply, of: &str) -> (String, u16) {
    match reply {
        Reply::Page { html, status, .. } => (html, status),
        Reply::See(to) => panic!("{of}: goes to {to}"),
        Reply::More(_) | Reply::File { .. } => panic!("{of}: no page"),
    }
}
