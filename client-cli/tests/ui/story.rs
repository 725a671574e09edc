//! What people do at their pages, through HTTP alone.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::browser::{Ui, news};
use crate::support::{PASSPHRASE, Server, lines, run, said, stafett, text};

const LOCKED: &str = "Stafett er låst";

fn leader_code(server: &Server, school: &str) -> String {
    text(&server.ask(&["unit", "add", "--name", school, "--kind", "school"]), "leader_code")
}

/// Joins at the start page, as a person does.
fn join(ui: &Ui, code: &str, name: &str) {
    let start = ui.get("/start");
    assert!(start.status == 200 && start.body.contains("Velkommen"), "{start:?}");
    let fields =
        [("code", code), ("kind", "person"), ("name", name), ("passphrase", PASSPHRASE), ("again", PASSPHRASE)];
    ui.done("/start", &fields);
}

/// A server, and a leader who has joined at her pages.
fn leader(dir: &Path, set: &[(&str, &str)]) -> (Server, PathBuf, Ui) {
    let mut server = Server::new(dir);
    server.start();
    let home = dir.join("hjem");
    let ui = Ui::open(&home, set);
    join(&ui, &leader_code(&server, "Solvang skole"), "Lise Brattbakk");
    (server, home, ui)
}

#[test]
fn the_start_page_makes_a_home_and_commands_work_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, home, mut ui) = leader(dir.path(), &[]);
    assert!(home.join("home.json").exists() && !home.join("begun").exists());
    ui.until("/", "Lise Brattbakk");
    // The terminal is served at the door of the home that the pages hold.
    let (exit, me) = run(&home, &["me"]);
    assert_eq!((exit, text(&me, "name")), (0, "Lise Brattbakk".to_owned()), "{me}");
    let (exit, invited) = run(&home, &["invite", "--role", "employee"]);
    assert_eq!(exit, 0, "{invited}");
    // The server goes: pages work on and say it; it comes again, and everything is sent.
    server.kill();
    ui.until("/", "Uten nett");
    let page = ui.post("/unit/invite", &[("may", "hold")]);
    assert!([200, 303].contains(&page.status), "{page:?}");
    ui.until("/", "er lagret her og sendes når nettet er tilbake");
    ui.kill();
    server.start();
    let ui = Ui::open(&home, &[("STAFETT_PASSPHRASE", PASSPHRASE)]);
    ui.until("/", "Alt er sendt");
    let (exit, invites) = run(&home, &["invite", "list"]);
    assert_eq!((exit, invites["invites"].as_array().map(Vec::len)), (0, Some(2)), "{invites}");
}

#[test]
fn a_code_that_does_not_count_leaves_no_home_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(dir.path());
    server.start();
    let code = leader_code(&server, "Solvang skole");
    let (exit, joined) = run(&dir.path().join("lise"), &["join", "--code", &code, "--name", "Lise"]);
    assert_eq!(exit, 0, "{joined}");
    let home = dir.path().join("hjem");
    let ui = Ui::open(&home, &[]);
    let fields = |code| [("code", code), ("name", "Noen"), ("passphrase", PASSPHRASE), ("again", PASSPHRASE)];
    for (what, fields, status) in [
        ("used", fields(code.as_str()), 422),
        ("no code", fields("ikke en kode"), 422),
        (
            "two passphrases",
            [("code", &*code), ("name", "Noen"), ("passphrase", PASSPHRASE), ("again", "en annen")],
            422,
        ),
    ] {
        let page = ui.post("/start", &fields);
        assert_eq!(page.status, status, "{what} {page:?}");
        assert!(
            page.body.contains("Noen") && !page.body.contains(PASSPHRASE),
            "what was typed stands there, but no secret"
        );
        let gone = Instant::now();
        while home.join("home.json").exists() {
            assert!(gone.elapsed() < Duration::from_secs(20), "{what}: a home was left");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    // The right one comes in afterwards, at the same page.
    join(&ui, &leader_code(&server, "Nes skole"), "Noen");
    ui.until("/", "Noen");
}

#[test]
fn what_was_typed_survives_a_cut_of_the_power() {
    let dir = tempfile::tempdir().unwrap();
    let (server, home, mut ui) = leader(dir.path(), &[]);
    let typed = "https://blåbær.example/\u{1f600}";
    let kept = ui.types("/me/server", &[("url", typed), ("passphrase", "hemmelig ord")]);
    assert!(kept.status == 200 && kept.body.contains("Lagret på denne enheten"), "{kept:?}");
    ui.kill();
    let store = std::fs::read(home.join("store.sqlite")).unwrap();
    let wal = std::fs::read(home.join("store.sqlite-wal")).unwrap_or_default();
    for file in [&store, &wal] {
        assert!(!file.windows(7).any(|part| part == b"example"), "what was typed is sealed");
    }
    let ui = Ui::open(&home, &[]);
    let page = ui.get("/me/server");
    assert_eq!((page.status, page.header("location")), (303, &*ui.at("/unlock")), "{page:?}");
    assert_eq!(ui.types("/me/server", &[("url", "x")]).status, 409, "a locked home keeps nothing");
    let page = ui.post("/unlock", &[("passphrase", PASSPHRASE)]);
    assert_eq!(page.header("location"), ui.at("/me/server"), "on from where one was");
    let page = ui.get("/me/server");
    assert!(page.body.contains(typed) && !page.body.contains("hemmelig ord"), "{page:?}");
    // What is refused keeps it, what is taken takes it along.
    assert_eq!(ui.post("/me/server", &[("url", "kommunen")]).status, 422);
    assert!(ui.get("/me/server").body.contains(typed));
    let settings = std::fs::read(server.home.join("settings.json")).unwrap();
    let url = text(&serde_json::from_slice(&settings).unwrap(), "url");
    ui.done("/me/server", &[("url", &url)]);
    assert!(!ui.get("/me/server").body.contains(typed), "said is said");
    // Only forms of the pages have drafts.
    let other = ui.post("/draft", &[("draft-of", "https://evil.example/"), ("url", "x")]);
    assert_eq!(other.status, 400);
    // Without the script a button keeps it, and the page comes again.
    let pressed = ui.done("/draft", &[("draft-of", "/me/server"), ("url", "https://knapp.example")]);
    assert!(pressed.body.contains("https://knapp.example"), "{pressed:?}");
}

#[test]
fn a_lock_takes_the_pages_away_and_keeps_what_was_typed() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, home, ui) = leader(dir.path(), &[("STAFETT_LOCK_AFTER", "4")]);
    ui.types("/me/server", &[("url", "https://skrevet.example")]);
    let mut live = ui.live(&ui.get("/"));
    assert_eq!(ui.post("/lock", &[]).status, 303);
    news(&mut live);
    for path in ["/", "/me", "/logs", "/me/server"] {
        let page = ui.get(path);
        assert_eq!((page.status, page.header("location")), (303, &*ui.at("/unlock")), "{path} {page:?}");
    }
    let wrong = ui.post("/unlock", &[("passphrase", "feil")]);
    assert!(wrong.status == 422 && wrong.body.contains(LOCKED) && !wrong.body.contains("Lise"), "{wrong:?}");
    assert_eq!(ui.get("/").status, 303);
    assert_eq!(run(&home, &["me"]).0, 0, "a home that is locked here is free for others");
    assert_eq!(ui.post("/unlock", &[("passphrase", PASSPHRASE)]).status, 303);
    assert!(ui.get("/me/server").body.contains("https://skrevet.example"));
    // Nobody does anything, and what a page asks for by itself is nobody.
    let began = Instant::now();
    loop {
        let asked = ui.head("GET", &ui.at("/me"), "X-Stafett: shell\r\n");
        if super::browser::ask(ui.port, &asked, b"").status == 303 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it never locked");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn two_homes_on_one_machine_and_one_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(dir.path());
    server.start();
    let root = dir.path().join("hjem");
    for (folder, name) in [("mor", "Ingrid Fjellstad"), ("laerer", "Tone Aasheim")] {
        let code = leader_code(&server, &format!("{folder} skole"));
        assert_eq!(run(&root.join(folder), &["join", "--code", &code, "--name", name]).0, 0);
    }
    let ui = Ui::open(&root, &[("STAFETT_PASSPHRASE", PASSPHRASE)]);
    let front = ui.get(&format!("{}/", ui.base));
    assert!(front.status == 200 && front.body.contains("mor") && front.body.contains("laerer"), "{front:?}");
    assert!(!front.body.contains("Ingrid") && !front.body.contains("Tone"), "names are sealed");
    // In the order of their folders: the teacher first. Opening one opens no other.
    let at = |home: usize, path: &str| format!("{}/{home}{path}", ui.base);
    assert_eq!(ui.post(&at(0, "/unlock"), &[("passphrase", PASSPHRASE)]).header("location"), at(0, "/"));
    assert!(ui.get(&at(0, "/me")).body.contains("Tone Aasheim"));
    assert_eq!(ui.get(&at(1, "/me")).header("location"), at(1, "/unlock"));
    let door = ui.get(&at(1, "/unlock"));
    assert!(door.body.contains("laerer") && !door.body.contains("Tone"), "{door:?}");
    assert_eq!(ui.post(&at(1, "/homes"), &[("home", "0")]).header("location"), at(0, "/"));
    assert_eq!(ui.post(&at(1, "/unlock"), &[("passphrase", PASSPHRASE)]).status, 303);
    assert!(ui.get(&at(1, "/me")).body.contains("Ingrid Fjellstad"));
    // Somebody else begins here.
    let fresh = ui.post(&at(1, "/homes"), &[]);
    assert_eq!(fresh.header("location"), at(2, "/"), "{fresh:?}");
    let code = leader_code(&server, "tredje skole");
    let fields =
        [("code", &*code), ("name", "Petter"), ("passphrase", "en tredje og egen"), ("again", "en tredje og egen")];
    assert_eq!(ui.post(&at(2, "/start"), &fields).status, 303);
    assert!(ui.get(&at(2, "/me")).body.contains("Petter"));
    assert_eq!(ui.get(&at(7, "/me")).status, 404);
}

#[test]
fn pages_beside_another_process_that_holds_the_home() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(dir.path());
    server.start();
    let home = dir.path().join("hjem");
    let code = leader_code(&server, "Solvang skole");
    assert_eq!(run(&home, &["join", "--code", &code, "--name", "Lise Brattbakk"]).0, 0);
    let mut watch = stafett();
    watch.args(["--json", "sync", "--watch", "--home"]).arg(&home).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watch = watch.spawn().unwrap();
    assert!(lines(watch.stdout.take().unwrap()).next().is_some());
    let ui = Ui::open(&home, &[("STAFETT_PASSPHRASE", PASSPHRASE)]);
    let page = ui.until("/", "Lise Brattbakk");
    assert!(ui.types("/me/server", &[("url", "https://skrevet.example")]).body.contains("Lagret"));
    assert!(ui.get("/me/server").body.contains("https://skrevet.example"));
    let mut live = ui.live(&page);
    assert_eq!(run(&home, &["invite", "--role", "employee"]).0, 0);
    news(&mut live);
    watch.kill().unwrap();
    watch.wait().unwrap();
}

/// The demo's municipality, its people's pages, and a second device that comes in at the start page.
#[test]
fn from_a_code_on_the_start_page_to_a_concern_on_another_persons_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut play = stafett()
        .args(["--json", "demo", "--play"])
        .arg(dir.path().join("spill"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let told = lines(play.stdout.take().unwrap()).next().unwrap();
    let person =
        |at: usize| (told["people"][at]["link"].as_str().unwrap(), told["people"][at]["home"].as_str().unwrap());
    let teacher = |words: &[&str]| {
        let mut command = stafett();
        command
            .env("STAFETT_PASSPHRASE", text(&told, "passphrase"))
            .args(["--json", "--home", person(1).1])
            .args(words);
        let (exit, value) = said(&command.output().unwrap());
        assert_eq!(exit, 0, "{value}");
        value
    };
    let log = text(&teacher(&["log", "list"])["logs"][0], "log");
    let code = text(&teacher(&["device", "link"]), "code");
    let mother = Ui::through(person(2).0);
    let fresh = Ui::open(&dir.path().join("mobil"), &[]);
    let fields =
        [("kind", "device"), ("code", &*code), ("name", "Mobil"), ("passphrase", PASSPHRASE), ("again", PASSPHRASE)];
    assert_eq!(fresh.post("/start", &fields).status, 303);
    // Both stay connected, and the first device lets the other into its logs by itself.
    let began = Instant::now();
    fresh.until("/logs", "Ella");
    println!("a second device has the logs after {:?}", began.elapsed());
    let (title, here) = ("Leser med <b>venner</b>", format!("/log/{log}"));
    fresh.until(&here, "Ella");
    let fields = [
        ("title", title),
        ("a", "Ella"),
        ("b", "leser"),
        ("c", "hver dag"),
        ("service", "Lesegruppe"),
        ("home", ""),
        ("child", ""),
    ];
    let page = fresh.post(&format!("{here}/concern-new"), &fields);
    assert_eq!(page.status, 303, "{page:?}");
    let concern = page.header("location").strip_prefix(&fresh.at("")).unwrap().to_owned();
    mother.until(&here, "Leser med &lt;b&gt;venner&lt;/b&gt;");
    // Another person's lysglimt comes to the open page.
    let open = mother.until(&concern, "Lesegruppe");
    let mut live = mother.live(&open);
    let began = Instant::now();
    assert_eq!(fresh.post(&format!("{concern}/glimpse"), &[("text", "Hun leste høyt!")]).status, 303);
    let pressed = began.elapsed();
    while !mother.get(&concern).body.contains("Hun leste høyt!") {
        news(&mut live);
    }
    println!("a press: {pressed:?}; visible to another after: {:?}", began.elapsed());
    let mut times: Vec<Duration> = (0..40)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(mother.get(&here).status, 200);
            began.elapsed()
        })
        .collect();
    times.sort();
    println!("a press to the page of the demo's log: median {:?}, p95 {:?}", times[20], times[38]);
    std::process::Command::new("kill").args(["-INT", &play.id().to_string()]).status().unwrap();
    assert_eq!(play.wait().unwrap().code(), Some(0));
}
