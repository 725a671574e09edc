//! One week of a log, played by everybody in it with real processes, and what they are told: in three languages, judged as
//! words. The transcript stands in `docs/transcript.{nb,nn,en}.txt`; `STAFETT_TRANSCRIPT=write` writes it anew.
#![cfg(all(feature = "demo", unix))]

mod judge;
mod said;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stafett_words::messages::{Language, Messages};
use stafett_words::names::Names;

use self::judge::{judged, steady};
use self::said::{in_words, read};
use crate::support::{Server, run, stafett, text};

const LANGUAGES: [(&str, Language); 3] =
    [("nb", Language::Bokmaal), ("nn", Language::Nynorsk), ("en", Language::English)];

/// Who is played, as the transcript calls them.
const TITLES: [(&str, &str); 7] = [
    ("leader", "Lise, rektor"),
    ("teacher", "Tone, lærer"),
    ("colleague", "Kjersti, lærer"),
    ("mother", "Ingrid, mor"),
    ("father", "Magnus, far"),
    ("ppt", "Petter, leder for PPT"),
    ("helper", "Randi, PPT"),
];

struct Week {
    dir: tempfile::TempDir,
    server: Server,
    told: BTreeMap<&'static str, String>,
    /// Persons whose name somebody knows.
    people: BTreeMap<String, String>,
    /// What nobody should be told so.
    wrong: Vec<String>,
}

impl Week {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::new(dir.path());
        server.start();
        let told = LANGUAGES.iter().map(|(name, _)| (*name, String::new())).collect();
        Self { dir, server, told, people: BTreeMap::new(), wrong: vec![] }
    }

    fn home(&self, who: &str) -> PathBuf {
        self.dir.path().join(who)
    }

    /// A command, with how it must end; what it says is written down in three languages.
    fn ends(&mut self, who: &str, words: &[&str], expected: i32) -> Value {
        let (exit, value) = run(&self.home(who), words);
        assert_eq!(exit, expected, "{who} {words:?}: {value}");
        // Only these tell of somebody or something by an id alone.
        let by_id = matches!(words[0], "join" | "verify" | "unit" | "units" | "people" | "log" | "audit")
            || words.contains(&"list");
        let names = if by_id { self.names(who) } else { Names::default() };
        let title = TITLES.iter().find(|(name, _)| *name == who).unwrap().1;
        let typed: Vec<String> = words
            .iter()
            .map(|word| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() })
            .collect();
        for (name, language) in LANGUAGES {
            let messages = Messages::of(language);
            // A refusal changes nothing, so it can be asked for again.
            let said =
                if exit == 0 { in_words(&messages, words, &value, &names) } else { self.refusal(who, words, name) };
            judged(name, &said, words, &self.people, &mut self.wrong);
            let transcript = self.told.get_mut(name).unwrap();
            let line = format!("[{title}] $ stafett {}", typed.join(" "));
            writeln!(transcript, "{}\n{}\n", steady(&line, self.dir.path()), steady(&said, self.dir.path())).unwrap();
        }
        value
    }

    fn refusal(&self, who: &str, words: &[&str], language: &str) -> String {
        let mut command = stafett();
        command.env("STAFETT_LANG", language).arg("--home").arg(self.home(who)).args(words);
        String::from_utf8_lossy(&command.output().unwrap().stderr).trim().to_owned()
    }

    fn ok(&mut self, who: &str, words: &[&str]) -> Value {
        self.ends(who, words, 0)
    }

    fn names(&mut self, who: &str) -> Names {
        let mut names = Names::default();
        let ask = |words: &[&str]| run(&self.home(who), words);
        let (exit, people) = ask(&["people"]);
        // Nobody has come in there, or all of it is gone.
        if exit != 0 {
            return names;
        }
        let (units, logs) = (ask(&["units"]).1, ask(&["log", "list"]).1);
        for (name, value) in [("people", &people), ("units", &units), ("log.list", &logs)] {
            names.learn(&read(name, value));
        }
        for log in logs["logs"].as_array().into_iter().flatten() {
            let (exit, shown) = run(&self.home(who), &["log", "show", log["log"].as_str().unwrap()]);
            if exit == 0 {
                names.learn(&read("log.show", &shown));
            }
        }
        for one in people["people"].as_array().into_iter().flatten() {
            self.people.insert(text(one, "person"), text(one, "name"));
        }
        names
    }

    fn join(&mut self, who: &str, code: &str, name: &str) -> String {
        let joined = self.ok(who, &["join", "--code", code, "--name", name]);
        self.people.insert(text(&joined, "person"), name.to_owned());
        text(&joined, "person")
    }

    /// Everybody meets the server until nothing moves; what they would be told is of no interest here.
    fn settle(&mut self, all: &[&str]) {
        for _ in 0..4 {
            let mut moved = 0;
            for who in all {
                let (exit, counts) = run(&self.home(who), &["sync"]);
                assert_eq!(exit, 0, "{counts}");
                moved += counts["sent"].as_u64().unwrap() + counts["received"].as_u64().unwrap();
            }
            if moved == 0 {
                break;
            }
        }
    }
}

#[test]
fn one_week_of_a_log_in_words() {
    let mut week = Week::new();
    let school = week.server.ask(&["unit", "add", "--name", "Solvang skole", "--kind", "school"]);
    let ppt_unit = week.server.ask(&["unit", "add", "--name", "PPT Ullensaker", "--kind", "ppt"]);
    // Monday: people.
    week.join("leader", &text(&school, "leader_code"), "Lise Brattbakk");
    let code = text(&week.ok("leader", &["invite", "--role", "employee", "--may-hold", "--may-act"]), "code");
    let teacher = week.join("teacher", &code, "Tone Aasheim");
    week.ok("leader", &["sync"]);
    week.ok("leader", &["invite", "list"]);
    week.ok("leader", &["people"]);
    week.settle(&["leader", "teacher"]);
    let codes: Vec<String> = (0..2).map(|_| text(&week.ok("teacher", &["invite", "--guardian"]), "code")).collect();
    let mother = week.join("mother", &codes[0], "Ingrid Fjellstad");
    let father = week.join("father", &codes[1], "Magnus Fjellstad");
    week.settle(&["teacher", "mother", "father"]);
    let number = text(&week.ok("teacher", &["verify", &mother]), "number");
    week.ok("teacher", &["verify", &mother, "--number", &number]);
    week.ok("mother", &["verify", &teacher, "--number", &number]);
    week.ok("teacher", &["me"]);
    // Tuesday: a draft that comes to nothing, the log, a no that becomes a yes.
    let new = ["log", "new", "--child", "Ella Fjellstad", "--born", "2016-03-01", "--guardian", &mother, &father];
    let dropped = text(&week.ok("teacher", &new), "log");
    let twice = week.ok("teacher", &new);
    assert_eq!(twice["same_child"].as_array().unwrap().len(), 1, "{twice}");
    week.ok("teacher", &["log", "drop", &dropped]);
    let log = text(&twice, "log");
    week.ends("teacher", &["log", "new", "--child", "Ella", "--born", "1850-01-01", "--guardian", &mother], 2);
    week.settle(&["teacher", "mother", "father"]);
    let pending = week.ok("mother", &["consent", "pending"]);
    let of_log = |pending: &Value, list: &str| {
        let all = pending[list].as_array().unwrap().clone();
        text(all.iter().find(|one| one["log"] == log.as_str()).unwrap(), "request")
    };
    let request = of_log(&pending, "requests");
    week.ok("mother", &["consent", "refuse", &request]);
    week.ok("mother", &["consent", "pending"]);
    week.settle(&["teacher"]);
    let waiting = week.ok("teacher", &["log", "show", &log]);
    let answers = waiting["answers"].to_string();
    assert!(answers.contains("\"no\"") && answers.contains("unanswered"), "{answers}");
    week.ends("teacher", &["log", "drop", &"f".repeat(32)], 2);
    week.ok("mother", &["consent", "grant", &request]);
    let request = of_log(&run(&week.home("father"), &["consent", "pending"]).1, "requests");
    week.ok("father", &["consent", "grant", &request, "--no-custody"]);
    week.settle(&["teacher", "mother", "father"]);
    week.ends("teacher", &["log", "drop", &log], 1);
    // Wednesday: work.
    let concern = week.ok(
        "teacher",
        &[
            "concern",
            "new",
            &log,
            "--title",
            "Ella arbeider med lekser",
            "--goal",
            "Ella gjør leksene hver dag",
            "--text",
            "Leksehjelp tirsdag",
        ],
    );
    let (concern, measure) = (text(&concern, "concern"), text(&concern, "measure"));
    let at_home = text(
        &week.ok("teacher", &["measure", "add", &concern, "--text", "Fast leksetid etter middag", "--arena", "home"]),
        "measure",
    );
    week.ends("teacher", &["measure", "add", &concern, "--text", "For sent", "--due", "2020-01-01"], 2);
    week.ok("teacher", &["measure", "edit", &measure, "--text", "Leksehjelp tirsdag og torsdag"]);
    week.ok("teacher", &["note", &log, "- Ringte mor i dag"]);
    week.settle(&["mother", "father"]);
    week.ok("mother", &["glimpse", &concern, "Alle leksene gjort denne uka"]);
    week.ok("father", &["comment", &concern, "Det er rolig ved bordet nå"]);
    week.ok("father", &["evaluate", &at_home, "--result", "green", "--text", "Det virker hjemme", "--family-agrees"]);
    week.ok("teacher", &["sync"]);
    week.ok("teacher", &["evaluate", &measure, "--result", "yellow", "--text", "Torsdager går best"]);
    week.ok("mother", &["sync"]);
    week.ok("mother", &["log", "list"]);
    week.ok("mother", &["log", "show", &log]);
    week.ok("mother", &["concern", "show", &concern]);
    // Thursday: the PPT.
    week.join("ppt", &text(&ppt_unit, "leader_code"), "Petter Granlund");
    let code = text(&week.ok("ppt", &["invite", "--role", "employee", "--may-act"]), "code");
    let helper = week.join("helper", &code, "Randi Myrvold");
    week.settle(&["ppt", "helper", "teacher"]);
    let unit = text(&ppt_unit, "unit");
    week.ok("teacher", &["units"]);
    week.ok("teacher", &["access", "request", &log, "--unit", &unit, "--scope", &concern, "--access", "read"]);
    week.settle(&["mother", "father"]);
    for who in ["mother", "father"] {
        let request = of_log(&week.ok(who, &["consent", "pending"]), "requests");
        week.ok(who, &["consent", "grant", &request]);
    }
    week.settle(&["mother", "teacher", "ppt"]);
    week.ok("ppt", &["unit", "assign", &log, &helper]);
    week.settle(&["teacher", "ppt", "helper", "mother"]);
    week.ok("helper", &["concern", "show", &concern]);
    week.ends("helper", &["glimpse", &concern, "Kan ikke skrive her"], 1);
    week.ok("mother", &["consent", "list", &log]);
    // Friday: away with it, and what stands.
    week.ok("mother", &["consent", "withdraw", &log, "--unit", &unit]);
    week.settle(&["helper", "mother", "teacher"]);
    week.ends("helper", &["concern", "show", &concern], 1);
    week.ok("mother", &["log", "history", &log]);
    week.ok("mother", &["audit", "verify", &log]);
    week.ok("mother", &["device", "list"]);
    week.ok("mother", &["drafts"]);
    week.ok("mother", &["baton", "list"]);
    picture(&mut week, &log);
    baton(&mut week, &log);
    week.ok("helper", &["home", "forget", "--yes"]);
    week.server.kill();
    week.ok("ppt", &["home", "forget", "--yes"]);
    week.ok("mother", &["glimpse", &concern, "Skrevet uten nett"]);
    week.ends("mother", &["sync"], 3);
    week.ok("mother", &["log", "show", &log]);
    assert!(week.wrong.is_empty(), "{}", week.wrong.join("\n\n"));
    compared(&week);
    shown_somewhere(&week);
}

/// A document on a note: what is none is refused, what is one is seen by the family and fetched.
fn picture(week: &mut Week, log: &str) {
    let (good, bad) = (week.dir.path().join("øvelser.pdf"), week.dir.path().join("øvelser.docx"));
    std::fs::write(&good, "%PDF-1.4 tegninger av øvelsene").unwrap();
    std::fs::write(&bad, "tegninger av øvelsene").unwrap();
    let note = ["note", log, "Tegninger av øvelsene", "--attach"];
    let with = |file: &Path| [note.as_slice(), &[file.to_str().unwrap()]].concat().join("\n");
    let said = |week: &mut Week, file: &Path, exit: i32| {
        let words = with(file);
        week.ends("teacher", &words.split('\n').collect::<Vec<_>>(), exit)
    };
    said(week, &bad, 1);
    said(week, &good, 0);
    week.settle(&["teacher", "mother"]);
    let shown = week.ok("mother", &["log", "show", log]);
    let attachment = text(&shown["attachments"][0], "id");
    let out = week.dir.path().join("fra-skolen.pdf");
    week.ok("mother", &["attachment", "get", &attachment, "--out", out.to_str().unwrap()]);
    week.ends("mother", &["attachment", "get", &attachment, "--out", out.to_str().unwrap()], 2);
}

/// The baton to a colleague: a no with words, then a yes; the family sees both.
fn baton(week: &mut Week, log: &str) {
    let code = text(&week.ok("leader", &["invite", "--role", "employee", "--may-hold", "--may-act"]), "code");
    let mut groups: Vec<&str> = code.split('-').collect();
    groups[3] = "aaaaaaaaaaa";
    week.ends("colleague", &["join", "--code", &groups.join("-"), "--name", "Kjersti Aune"], 2);
    let colleague = week.join("colleague", &code, "Kjersti Aune");
    week.settle(&["leader", "colleague", "teacher", "mother", "father"]);
    let offer = ["baton", "offer", log, "--to", &colleague, "--reason", "Tone går ut i permisjon"];
    let first = text(&week.ok("teacher", &offer), "offer");
    week.ends("teacher", &offer, 1);
    week.settle(&["teacher", "colleague", "mother"]);
    week.ok("colleague", &["baton", "list"]);
    week.ok("mother", &["baton", "list"]);
    week.ok("colleague", &["baton", "decline", &first, "--reason", "Jeg kjenner ikke Ella ennå"]);
    week.settle(&["colleague", "teacher", "mother"]);
    week.ok("teacher", &["baton", "list"]);
    let second = text(&week.ok("teacher", &offer), "offer");
    week.settle(&["teacher", "colleague", "mother", "father"]);
    week.ok("colleague", &["baton", "accept", &second]);
    for _ in 0..2 {
        week.settle(&["colleague", "teacher", "mother", "father", "leader"]);
    }
    week.ok("colleague", &["log", "show", log]);
    week.ok("mother", &["log", "show", log]);
    week.ends("teacher", &["log", "show", log], 1);
}

/// Nothing that was written stays unseen.
fn shown_somewhere(week: &Week) {
    let nb = &week.told["nb"];
    let answers: String = nb.lines().filter(|line| !line.contains("] $ stafett")).collect::<Vec<_>>().join("\n");
    for written in [
        "Ella arbeider med lekser",
        "Ella gjør leksene hver dag",
        "Leksehjelp tirsdag og torsdag",
        "Fast leksetid etter middag",
        "- Ringte mor i dag",
        "Alle leksene gjort denne uka",
        "Det er rolig ved bordet nå",
        "Det virker hjemme",
        "Torsdager går best",
        "Tegninger av øvelsene",
        "øvelser.pdf",
        "Tone går ut i permisjon",
        "Jeg kjenner ikke Ella ennå",
    ] {
        assert!(answers.contains(written), "nobody is shown «{written}»");
    }
    for told in
        ["spør ikke lenger", "lysglimt fra", "Du har sagt nei til dette", "Lagret her, sendes senere.", "Sendt."]
    {
        assert!(answers.contains(told), "nobody is told «{told}»");
    }
}

/// Each command with what it said, whatever the order of the entries: people and parts of a log go by ids that are drawn.
fn unordered(transcript: &str) -> Vec<Vec<Vec<String>>> {
    let sorted = |line: &str| {
        let mut words: Vec<String> =
            line.split_whitespace().map(|word| word.trim_matches([',', '.']).to_owned()).collect();
        words.sort_unstable();
        words
    };
    let block = |block: &str| {
        let mut lines: Vec<Vec<String>> = block.lines().map(sorted).collect();
        lines.sort_unstable();
        lines
    };
    transcript.split("\n\n").map(block).collect()
}

fn compared(week: &Week) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let write = std::env::var_os("STAFETT_TRANSCRIPT").is_some_and(|word| word == "write");
    for (language, told) in &week.told {
        let file = docs.join(format!("transcript.{language}.txt"));
        if write {
            std::fs::write(&file, told).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        let (kept, told) = (unordered(&kept), unordered(told));
        let differs = kept.iter().zip(&told).find(|(kept, told)| kept != told);
        assert!(
            kept == told,
            "{} is another now ({differs:#?}); read it, and write it anew with STAFETT_TRANSCRIPT=write",
            file.display()
        );
    }
}
