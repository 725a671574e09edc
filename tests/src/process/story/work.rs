//! What is written about Ella: concerns, measures, glimpses, also without a net; and the audit of it all.

use super::*;

impl Story {
    pub fn homework(&mut self) {
        let teacher = self.teacher.clone();
        let log = self.ids.log.clone();
        let words =
            ["concern", "new", &log, "--title", HOMEWORK, "--goal", GOAL, "--text", AT_SCHOOL, "--arena", "service"];
        let published = |home: &Home| view::concern(home, &log, HOMEWORK);
        let new = self.world.done(&teacher, &words, &published);
        (self.ids.homework, self.ids.school_measure) = (text(&new, "concern"), text(&new, "measure"));
        let concern = self.ids.homework.clone();
        self.measure(&teacher, &concern, AT_HOME, "home");
        self.measure(&teacher, &concern, BY_ELLA, "child");
        self.acknowledged.extend([HOMEWORK, GOAL, AT_SCHOOL].map(str::to_owned));
        self.settle_circle();
    }

    pub fn absence(&mut self) {
        let teacher = self.teacher.clone();
        let log = self.ids.log.clone();
        let words = ["concern", "new", &log, "--title", ABSENCE, "--goal", ABSENCE_GOAL, "--text", LATER];
        let published = |home: &Home| view::concern(home, &log, ABSENCE);
        self.ids.absence = text(&self.world.done(&teacher, &words, &published), "concern");
        let concern = self.ids.absence.clone();
        self.measure(&teacher, &concern, DOOR, "service");
        self.measure(&teacher, &concern, BEDTIME, "home");
        self.acknowledged.extend([ABSENCE, ABSENCE_GOAL, LATER].map(str::to_owned));
        self.settle_circle();
    }

    /// The server dies; teacher, mother and father go on; the server comes back.
    pub fn without_net(&mut self) {
        let (teacher, mother, father) = (self.teacher.clone(), self.mother.clone(), self.father.clone());
        let (homework, absence) = (self.ids.homework.clone(), self.ids.absence.clone());
        self.world.server.kill();
        self.glimpse(&teacher, &homework, BY_TEACHER);
        let edit = ["measure", "edit", &self.ids.school_measure.clone(), "--text", AT_SCHOOL_NEW];
        self.world.again(&teacher, &edit);
        self.acknowledged.retain(|words| words != AT_SCHOOL);
        self.acknowledged.push(AT_SCHOOL_NEW.to_owned());
        self.glimpse(&mother, &homework, BY_MOTHER);
        self.glimpse(&father, &absence, BY_FATHER);
        for home in [&teacher, &mother, &father] {
            home.refused(&["sync"], 3, "unreachable");
            let waiting = home.ok(&["log", "show", &self.ids.log]);
            assert!(!list(&waiting, "pending").is_empty(), "{waiting}");
        }
        self.world.server.start();
        self.settle_circle();
    }

    /// Everybody writes a line and sends it: `n` makes the lines of this day like no other's.
    pub fn a_day(&mut self, n: u32) {
        for home in self.circle() {
            let concern = [&self.ids.homework, &self.ids.absence][n as usize % 2].clone();
            self.glimpse(&home, &concern, &format!("{} skriver på dag {n}.", home.name));
            self.world.sync(&home);
        }
    }

    pub fn afterwards(&mut self) {
        let (teacher, phone) = (self.teacher.clone(), self.phone.clone());
        let (homework, absence) = (self.ids.homework.clone(), self.ids.absence.clone());
        self.glimpse(&phone, &homework, AFTERWARDS);
        let measure = text(&view::measure(&teacher, &absence, DOOR).unwrap(), "measure");
        let words = ["evaluate", &measure, "--result", "green", "--text", EVALUATION, "--family-agrees"];
        let evaluated = |home: &Home| {
            let seen = view::of_concern(home, &absence);
            (view::count(&seen, EVALUATION) > 0).then_some(seen)
        };
        self.world.done(&teacher, &words, &evaluated);
        self.acknowledged.push(EVALUATION.to_owned());
        self.all_agree();
    }

    /// Everybody replays every membership and consent; an exported file is checked on a machine without a home.
    pub fn audit(&mut self) {
        let log = self.ids.log.clone();
        let nobody = Home::new(self.world.dir.path(), "nobody");
        for home in self.circle() {
            let report = self.world.again(&home, &["audit", "verify", &log]);
            assert!(list(&report, "violations").is_empty(), "{}: {report}", home.name);
            assert!(report["events"].as_u64() > Some(20) && report["checks"].as_u64() > Some(20), "{report}");
            // Nothing is written over: each export is a file of its own.
            let names = (1..).map(|n| self.world.dir.path().join(format!("audit-{}-{n}.json", home.name)));
            let file = names.into_iter().find(|name| !name.exists()).unwrap();
            let written = |_: &Home| file.exists().then(|| serde_json::json!({}));
            self.world.done(&home, &["audit", "export", &log, file.to_str().unwrap()], &written);
            let checked = nobody.ok(&["audit", "verify", file.to_str().unwrap()]);
            assert!(list(&checked, "violations").is_empty(), "{}: {checked}", home.name);
            assert_eq!(checked["events"], report["events"], "{}", home.name);
        }
        assert!(!nobody.dir.exists(), "no home was needed");
    }
}
