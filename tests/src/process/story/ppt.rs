//! The PPT: let in, to one concern, to read; and out again.

use super::*;

impl Story {
    pub fn ppt_joins(&mut self) {
        let (leader, employee) = (self.ppt_leader.clone(), self.ppt.clone());
        self.join(&leader, &self.ids.ppt_code.clone(), PPT_LEADER);
        let code = self.invite(&leader, &["invite", "--role", "employee", "--may-act"]);
        self.ids.ppt = self.join(&employee, &code, PPT);
        self.settle(&[&leader, &employee]);
        // The teacher learns that the unit has a leader.
        let teacher = self.teacher.clone();
        self.world.sync(&teacher);
    }

    pub fn ppt_is_let_in(&mut self) {
        let (teacher, mother, father) = (self.teacher.clone(), self.mother.clone(), self.father.clone());
        let (leader, employee) = (self.ppt_leader.clone(), self.ppt.clone());
        let (log, unit, homework) = (self.ids.log.clone(), self.ids.ppt_unit.clone(), self.ids.homework.clone());
        let words = ["access", "request", &log, "--unit", &unit, "--scope", &homework, "--access", "read"];
        self.world.again(&teacher, &words);
        self.settle_circle();
        for parent in [&mother, &father] {
            assert!(self.say_yes(parent) > 0, "{}", parent.name);
        }
        self.settle(&[&mother, &father, &teacher, &leader]);
        let person = self.ids.ppt.clone();
        self.world.again(&leader, &["unit", "assign", &log, &person]);
        self.settle(&[&leader, &teacher, &employee, &mother, &father]);
        let shown = employee.ok(&["log", "show", &log]);
        let titles: Vec<&Value> = list(&shown, "concerns").iter().map(|c| &c["title"]).collect();
        assert_eq!(titles, [HOMEWORK], "{shown}");
        let seen = view::of_concern(&employee, &homework);
        assert_eq!(seen, view::of_concern(&teacher, &homework));
        let whole = shown.to_string() + &employee.ok(&["people"]).to_string();
        assert!(!whole.contains(ABSENCE) && !whole.contains(LATER), "{whole}");
    }

    pub fn ppt_may_not_write(&mut self) {
        let (homework, absence) = (self.ids.homework.clone(), self.ids.absence.clone());
        self.ppt.refused(&["glimpse", &homework, BY_PPT], 1, "read-only");
        self.ppt.refused(&["measure", "add", &homework, "--text", BY_PPT], 1, "read-only");
        self.ppt.refused(&["concern", "show", &absence], 2, "unknown-id");
    }

    pub fn withdraw(&mut self) {
        let mother = self.mother.clone();
        let (log, unit) = (self.ids.log.clone(), self.ids.ppt_unit.clone());
        let said = self.world.again(&mother, &["consent", "withdraw", &log, "--unit", &unit]);
        assert!(said["receipt"].is_object(), "{said}");
        self.world.sync(&mother);
        self.ppt_is_out();
    }

    /// The PPT's device knows nothing any more, the family sees it gone, and all the rest agrees.
    pub fn ppt_is_out(&mut self) {
        let employee = self.ppt.clone();
        let (log, homework) = (self.ids.log.clone(), self.ids.homework.clone());
        // Nobody else is online: it holds all the same.
        self.world.sync(&employee);
        employee.refused(&["log", "show", &log], 1, "withdrawn");
        employee.refused(&["concern", "show", &homework], 1, "withdrawn");
        employee.refused(&["glimpse", &homework, BY_PPT], 1, "withdrawn");
        for words in [["log", "history"], ["consent", "list"], ["audit", "verify"]] {
            employee.refused(&[words[0], words[1], &log], 1, "withdrawn");
        }
        let listed = employee.ok(&["log", "list"]);
        assert!(list(&listed, "logs").iter().all(|l| l["status"] == "withdrawn"), "{listed}");
        self.all_agree();
        for home in self.circle() {
            let shown = home.ok(&["log", "show", &log]);
            let inside = list(&shown, "participants").iter().any(|p| p["person"] == self.ids.ppt.as_str());
            assert!(!inside, "{}: {shown}", home.name);
            let consents = home.ok(&["consent", "list", &log]);
            let open = list(&consents, "consents").iter().filter(|c| c["grantee"] == "PPT Ullensaker");
            assert!(open.clone().count() > 0 && open.clone().all(|c| c["state"] == "withdrawn"), "{consents}");
        }
    }
}
