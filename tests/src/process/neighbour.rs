//! Haugesund beside Ella's municipality: a server that is its peer, a school with leader and teacher, and the agreement
//! that her log moves there.

use super::home::Home;
use super::server::Server;
use super::story::Story;
use super::texts::ABSENCE;
use super::world::{list, text};

pub const REASON: &str = "Familien flytter til Haugesund";
pub const LEADER: &str = "Hanne Haukås";
pub const TEACHER: &str = "Torbjørn Tysvær";
pub const NUMBER: &str = "1106";

pub struct Neighbour {
    pub server: Server,
    pub leader: Home,
    pub teacher: Home,
    pub leader_id: String,
    pub teacher_id: String,
}

/// Another municipality's server runs, and Ella's and it know each other.
pub fn server_beside(story: &Story, folder: &str, name: (&str, &str), database: Option<&str>) -> Server {
    let mut server = Server::init_as(&story.world.dir.path().join(folder), name, database);
    server.start();
    server.peer_with(&story.world.server);
    server
}

/// The one unit of another municipality, as the teacher here comes to know it.
pub fn unit_of(teacher: &Home, number: &str) -> String {
    let words = ["units", "--municipality", number];
    teacher.ok(&["sync"]);
    teacher.ok(&words);
    teacher.ok(&["sync"]);
    let units = teacher.ok(&words);
    assert_eq!(list(&units, "units").len(), 1, "{units}");
    text(&list(&units, "units")[0], "unit")
}

impl Neighbour {
    /// Its server runs, and its people have joined.
    pub fn beside(story: &mut Story, database: Option<&str>) -> Self {
        let server = server_beside(story, "haugesund", (NUMBER, "Haugesund"), database);
        let home = |name| Home::new(story.world.dir.path(), name);
        let (leader, teacher) = (home("there-leader"), home("there-teacher"));
        let added = server.ask(&["unit", "add", "--name", "Haraldsvang skole", "--kind", "school"]);
        let code = text(&added, "leader_code");
        let leader_id = text(&leader.ok(&["join", "--code", &code, "--name", LEADER]), "person");
        let code = text(&leader.ok(&["invite", "--role", "employee", "--may-hold", "--may-act"]), "code");
        leader.ok(&["sync"]);
        let teacher_id = text(&teacher.ok(&["join", "--code", &code, "--name", TEACHER]), "person");
        story.settle(&[&leader, &teacher]);
        Self { server, leader, teacher, leader_id, teacher_id }
    }

    /// The offer is made, passed on, accepted and signed; the keys are compared; nothing has moved.
    pub fn agree(&self, story: &mut Story) {
        let (teacher, mother, father) = (story.teacher.clone(), story.mother.clone(), story.father.clone());
        let (log, homework) = (story.ids.log.clone(), story.ids.homework.clone());
        let unit = unit_of(&teacher, NUMBER);
        let offer = ["baton", "offer", &log, "--to", &unit, "--municipality", NUMBER];
        let words = [&offer[..], &["--concern", &homework, "--reason", REASON]].concat();
        let id = text(&teacher.ok(&words), "offer");
        story.settle(&[&teacher, &self.leader, &mother, &father]);
        let number = text(&teacher.ok(&["verify", &self.leader_id]), "number");
        assert_eq!(text(&self.leader.ok(&["verify", &story.ids.teacher]), "number"), number);
        teacher.ok(&["verify", &self.leader_id, "--number", &number]);
        let offers = self.leader.ok(&["baton", "list"]);
        assert!(!offers.to_string().contains(ABSENCE), "C4: {offers}");
        assert_eq!(list(&offers, "offers")[0]["kind"], "other-municipality", "{offers}");
        self.leader.ok(&["baton", "accept", &id, "--for", &self.teacher_id]);
        story.settle(&[&self.leader, &self.teacher]);
        self.teacher.ok(&["baton", "accept", &id]);
        self.teacher.ok(&["sync"]);
        for parent in [&mother, &father] {
            assert_eq!(story.say_yes(parent), 1, "{}", parent.name);
            parent.ok(&["sync"]);
        }
    }
}
