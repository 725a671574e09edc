//! How everybody comes in: the school, the parents, keys compared, consent, the second device.

use super::*;

impl Story {
    pub fn units(&mut self) {
        let add = |name: &str, kind: &str| self.world.server.ask(&["unit", "add", "--name", name, "--kind", kind]);
        let (school, ppt) = (add("Solvang skole", "school"), add("PPT Ullensaker", "ppt"));
        (self.ids.school, self.ids.school_code) = (text(&school, "unit"), text(&school, "leader_code"));
        (self.ids.ppt_unit, self.ids.ppt_code) = (text(&ppt, "unit"), text(&ppt, "leader_code"));
    }

    pub fn school(&mut self) {
        let (leader, teacher) = (self.leader.clone(), self.teacher.clone());
        self.join(&leader, &self.ids.school_code.clone(), LEADER);
        let code = self.invite(&leader, &["invite", "--role", "employee", "--may-hold", "--may-act"]);
        self.ids.teacher = self.join(&teacher, &code, TEACHER);
        self.settle(&[&leader, &teacher]);
    }

    pub fn parents(&mut self) {
        let (teacher, mother, father) = (self.teacher.clone(), self.mother.clone(), self.father.clone());
        let code = self.invite(&teacher, &["invite", "--guardian"]);
        self.ids.mother = self.join(&mother, &code, MOTHER);
        let code = self.invite(&teacher, &["invite", "--guardian"]);
        self.ids.father = self.join(&father, &code, FATHER);
        self.settle(&[&teacher, &mother, &father]);
    }

    pub fn compare(&mut self) {
        let teacher = self.teacher.clone();
        for (parent, person) in
            [(self.mother.clone(), self.ids.mother.clone()), (self.father.clone(), self.ids.father.clone())]
        {
            let number = text(&self.world.again(&teacher, &["verify", &person]), "number");
            let us = self.ids.teacher.clone();
            assert_eq!(text(&self.world.again(&parent, &["verify", &us]), "number"), number);
            for (home, other) in [(&teacher, &person), (&parent, &us)] {
                let said = self.world.again(home, &["verify", other, "--number", &number]);
                assert_eq!(said["matches"], true, "{said}");
            }
        }
    }

    pub fn ask_for_log(&mut self) {
        let teacher = self.teacher.clone();
        let (mother, father) = (self.ids.mother.clone(), self.ids.father.clone());
        let words = ["log", "new", "--child", CHILD, "--born", BORN, "--guardian", &mother, "--guardian", &father];
        let begun = |home: &Home| list(&home.ok(&["log", "list"]), "logs").first().cloned();
        self.ids.log = text(&self.world.done(&teacher, &words, &begun), "log");
        self.world.sync(&teacher);
    }

    pub fn sign(&mut self) {
        let (teacher, mother, father) = (self.teacher.clone(), self.mother.clone(), self.father.clone());
        self.settle(&[&teacher, &mother, &father]);
        assert_eq!(self.say_yes(&mother), 1);
        self.settle(&[&mother, &teacher]);
        let status = text(&teacher.ok(&["log", "show", &self.ids.log]), "status");
        assert_ne!(status, "active", "one parent is not enough");
        assert_eq!(self.say_yes(&father), 1);
        self.settle(&[&father, &teacher, &mother]);
        for home in self.circle() {
            assert_eq!(home.ok(&["log", "show", &self.ids.log])["status"], "active", "{}", home.name);
        }
    }

    pub fn second_device(&mut self) {
        let (mother, phone) = (self.mother.clone(), self.phone.clone());
        let code = self.invite(&mother, &["device", "link"]);
        let accepted = |home: &Home| view::joined(home);
        self.world.done(&phone, &["device", "accept", "--code", &code, "--name", PHONE], &accepted);
        self.settle_circle();
        let devices = self.world.again(&mother, &["device", "list"]);
        assert_eq!(list(&devices, "devices").len(), 2, "{devices}");
    }
}
