//! Every page × role × language × state: what is parsed is whole, what is linked is there, what is named is not an id.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stafett_pages::{Home, Language, Reply, forms, places};

use crate::dom::{Page, read};
use crate::world::{LANGUAGES, ROLES, World, html, path};

/// Worlds that differ in what they hold.
pub fn states(role: &str) -> Vec<(&'static str, World)> {
    let of = || World::of(role);
    let mut all = vec![("full", of()), ("empty", of().empty())];
    let mut away = of();
    away.online = false;
    all.push(("away", away));
    for status in ["draft", "waiting", "dormant", "passive", "stopped"] {
        all.push((status, of().set("/log.show/status", json!(status))));
    }
    for state in ["draft", "joining", "halted", "stopped", "closed", "dormant", "withdrawn"] {
        all.push((
            state,
            of().set("/concern.show/state", json!(state)).set("/log.show/concerns/0/state", json!(state)),
        ));
    }
    for state in ["open", "seen", "passed", "accepted", "declined", "aborted", "handed-over"] {
        for side in ["offered", "received", "told"] {
            let offer =
                of().set("/baton.list/offers/0/state", json!(state)).set("/baton.list/offers/0/side", json!(side));
            all.push((
                state,
                offer.set("/baton.list/offers/0/waiting", json!(["key-not-compared", "outdated", "sending"])),
            ));
        }
    }
    let fork = json!([{"scope": "ee01ee01ee01", "seq": 2, "receipts": ["a", "b"]}]);
    let broken = json!([{"scope": "ce01ce01ce01", "seq": 2, "rule": "exactly one holder"}]);
    let mut forked = of().set("/audit.verify/violations", broken);
    forked.answers["audit.verify"]["forks"] = fork;
    all.push(("forked", forked));
    let problem = of().set("/consent.pending/requests/0/problem", json!("key-differs"));
    all.push(("problem", problem.set("/consent.pending/requests/0/moves_to", json!("4203"))));
    all
}

/// The sound of one page: everything that is wrong with it.
pub fn faults(page: &Page, of: &str, wrong: &mut Vec<String>) {
    let mut say = |what: String| wrong.push(format!("{of}: {what}"));
    page.errors.iter().for_each(|error| say(format!("does not parse: {error}")));
    if page.heads != 1 {
        say(format!("{} first heads", page.heads));
    }
    let once: BTreeSet<&String> = page.ids.iter().collect();
    if once.len() != page.ids.len() {
        say(format!("an id twice among {:?}", page.ids));
    }
    page.referred.iter().filter(|id| !once.contains(id)).for_each(|id| say(format!("refers to no {id}")));
    page.unnamed.iter().for_each(|id| say(format!("field {id} has no label")));
    // A key without a text shows itself.
    let key =
        |family: &str| page.text.split(family).skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    if key("page.") || key("word.") || page.text.contains('{') {
        say("a text is missing".to_owned());
    }
    // Ids of the world are two letters and two digits, three times.
    let id = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let pair = |pair: &[u8]| pair.len() == 4 && pair[0].is_ascii_lowercase() && pair[2].is_ascii_digit();
        word.len() == 12 && word.as_bytes().chunks(4).all(pair) && word.get(..4) == word.get(4..8)
    };
    page.text.split_whitespace().filter(|word| id(word)).for_each(|word| say(format!("shows the id {word}")));
    for name in ["Ella", "Tone", "Ingrid", "Randi", "Lekser", "PPT", "Solvang"] {
        if page.title.contains(name) {
            say(format!("the title names {name}"));
        }
    }
    let places: Vec<&str> = places().collect();
    for link in &page.links {
        let fine = match link.strip_prefix('#') {
            Some(id) => page.ids.iter().any(|one| one == id),
            None => places.iter().any(|place| fits(place, link)),
        };
        if !fine {
            say(format!("links to nowhere: {link}"));
        }
    }
}

/// Whether a path is one of a pattern.
pub fn fits(pattern: &str, path: &str) -> bool {
    let (wanted, given): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    wanted.len() == given.len() && wanted.iter().zip(&given).all(|(w, g)| w == g || w.starts_with('{') && !g.is_empty())
}

/// The line of the table that a form is sent to: the one without places to fill in first.
fn form_at(path: &str) -> Option<(&'static str, &'static [&'static str])> {
    forms().find(|(at, _, _)| fits(at, path)).map(|(at, _, fields)| (at, fields))
}

#[test]
fn every_page_is_whole_for_every_role_in_every_language_and_state() {
    let mut wrong = vec![];
    let mut fields: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (role, ..) in ROLES {
        for (state, world) in states(role) {
            // Words differ by language, states do not: the whole product is only for what is full and what is empty.
            let languages = if ["full", "empty"].contains(&state) { &LANGUAGES[..] } else { &LANGUAGES[..1] };
            for (language, place) in languages.iter().flat_map(|one| places().map(move |place| (one, place))) {
                let mut world = world.clone();
                world.home = match place {
                    "/start" => Home::None,
                    "/unlock" => Home::Locked,
                    _ => Home::Open,
                };
                let of = format!("{role} {state} {} {place}", language.0);
                let (html, status) = html(world.get(&path(place), language.1), &of);
                if ![200, 409].contains(&status) || state == "full" && status != 200 {
                    wrong.push(format!("{of}: {status}"));
                }
                let page = read(&html);
                faults(&page, &of, &mut wrong);
                for form in &page.forms {
                    for action in &form.actions {
                        match form_at(action) {
                            Some((at, _)) => fields.entry(at).or_default().extend(form.fields.clone()),
                            None => wrong.push(format!("{of}: a form goes nowhere: {action}")),
                        }
                    }
                }
            }
        }
    }
    for (at, _, wanted) in forms() {
        let wanted: BTreeSet<String> = wanted.iter().map(|one| (*one).to_owned()).collect();
        match fields.get(at) {
            Some(there) if *there == wanted => {}
            there => wrong.push(format!("{at}: reads {wanted:?}, and on the pages are {there:?}")),
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

/// Everything that a person could have written.
fn hostile(value: &mut Value) {
    const FIXED: [&str; 22] = [
        "state",
        "status",
        "role",
        "verified",
        "access",
        "kind",
        "part",
        "side",
        "arena",
        "result",
        "answer",
        "due",
        "born",
        "time",
        "at",
        "expires",
        "from_verified",
        "grantee_verified",
        "holder_verified",
        "youth_from",
        "to",
        "waiting",
    ];
    const EVIL: &str = "</textarea></title><script>alert(1)</script>\" onload=\"x\u{202e}' <b>&amp;";
    match value {
        Value::Array(all) => all.iter_mut().for_each(hostile),
        Value::Object(all) => {
            for (key, value) in all {
                let id =
                    value.as_str().is_some_and(|text| text.len() == 12 && text.is_ascii() && text[..4] == text[4..8]);
                let fixed = FIXED.contains(&key.as_str())
                    && !(key == "to" && value.as_str().is_some_and(|t| !t.starts_with("20")));
                match value {
                    Value::String(text) if !id && !fixed => *text = format!("{EVIL}{key}"),
                    Value::Array(_) if key == "waiting" || key == "scopes" && value[0].is_string() => {}
                    Value::Array(_) if key == "missing_arenas" || key == "unchecked" => {}
                    other => {
                        if !other.is_string() {
                            hostile(other);
                        }
                    }
                }
            }
        }
        _ => {}
    }
}

#[test]
fn what_people_write_stays_text_on_every_page() {
    let mut seen = 0;
    for (role, ..) in ROLES {
        let mut world = World::of(role);
        hostile(&mut world.answers);
        hostile(&mut world.me);
        for place in places().filter(|place| !["/start", "/unlock"].contains(place)) {
            let (html, _) = html(world.get(&path(place), Language::Bokmaal), place);
            let page = read(&html);
            assert!(page.errors.is_empty(), "{role} {place}: {:?}", page.errors);
            let scripts = html.matches("<script").count();
            assert_eq!(scripts, 1, "{role} {place}: only shell.js");
            assert!(!html.contains("<b>") && !page.elements.contains("b"), "{role} {place}");
            assert!(!page.all.contains('\u{202e}'), "{role} {place}: turns the direction of its lines");
            seen += page.text.matches("alert(1)").count();
        }
    }
    assert!(seen > 500, "the text itself is shown: {seen}");
}

#[test]
fn nobody_home_or_locked_leads_to_the_door() {
    for (home, door) in [(Home::None, "/start"), (Home::Locked, "/unlock")] {
        let mut world = World::of("holder");
        world.home = home;
        for place in places().filter(|place| *place != door) {
            match world.get(&path(place), Language::Bokmaal) {
                Reply::See(to) => assert_eq!(to, door, "{place}"),
                _ => panic!("{place} is shown to whoever comes by"),
            }
        }
        let (html, _) = html(world.get(door, Language::English), door);
        assert!(!html.contains("/logs") && !html.contains("Ella"), "{door}");
    }
}

#[test]
fn what_a_role_may_not_do_is_not_offered() {
    let offers = |role: &str, place: &str| {
        let (html, _) = html(World::of(role).get(&path(place), Language::Bokmaal), place);
        read(&html)
    };
    let links = |role: &str, place: &str, end: &str| offers(role, place).links.iter().any(|link| link.ends_with(end));
    let sends = |role: &str, place: &str, end: &str| {
        offers(role, place).forms.iter().any(|form| form.actions.iter().any(|action| action.ends_with(end)))
    };
    let (log, concern) = ("/log/{log}", "/log/{log}/concern/{concern}");
    for (role, ..) in ROLES {
        let holds = role == "holder";
        assert_eq!(links(role, log, "/concern-new"), holds, "{role}");
        assert_eq!(links(role, log, "/hand-over"), holds, "{role}");
        assert_eq!(links(role, log, "/takeover"), role == "custodian", "{role}");
        assert_eq!(links(role, concern, "/measure-new"), holds, "{role}");
        assert_eq!(sends(role, concern, "/close"), holds, "{role}");
        let writes = ["holder", "guardian", "child", "actor"].contains(&role);
        assert_eq!(sends(role, concern, "/glimpse"), writes, "{role}");
        assert_eq!(sends(role, "/log/{log}/notes", "/notes"), holds, "{role}");
        assert_eq!(links(role, "/log/{log}/access", "/access/all"), role == "guardian", "{role}");
        assert_eq!(links(role, "/", "/municipality"), role == "administrator", "{role}");
        assert_eq!(links(role, "/", "/unit"), ["leader", "custodian"].contains(&role), "{role}");
    }
}
