//! Forms: refused with everything kept, done with a way on, and never half.

use std::collections::BTreeMap;

use stafett_client_core::client::input::Command;
use stafett_pages::{Ask, Draft, Drafts, Home, HostWish, Language, Method, Reply, after, asked_of_host, forms, wanted};

use crate::dom::read;
use crate::every::faults;
use crate::world::{World, ask, html, path};

/// Something in every field: what a person would have typed.
fn typed(fields: &[&str]) -> Vec<(String, String)> {
    let value = |name: &str| match name {
        "born" | "due" => "2026-12-24".to_owned(),
        "level" => "2".to_owned(),
        "arena" => "home".to_owned(),
        "result" => "yellow".to_owned(),
        "access" => "contribute".to_owned(),
        "language" => "nn".to_owned(),
        "who" => "unit-cc02cc02cc02".to_owned(),
        "passphrase" | "again" | "old" => "fire ord som ingen".to_owned(),
        "kind" => "person".to_owned(),
        "municipality" => "4203".to_owned(),
        "guardian" | "person" | "to" | "responsible" => "aa03aa03aa03".to_owned(),
        "log" => "dd01dd01dd01".to_owned(),
        "concern" => "ee01ee01ee01".to_owned(),
        "may" | "note" | "custody" | "agrees" | "lost" | "home" if name != "home" => "yes".to_owned(),
        other => format!("Ordene i {other}"),
    };
    fields.iter().filter(|name| **name != "file").map(|name| ((*name).to_owned(), value(name))).collect()
}

fn world_for(at: &str) -> World {
    let mut world = World::of(if at.starts_with("/unit") { "custodian" } else { "holder" });
    world.home = match at {
        "/start" => Home::None,
        "/unlock" => Home::Locked,
        _ => Home::Open,
    };
    world
}

#[test]
fn a_form_that_is_refused_comes_back_with_everything_that_was_typed() {
    for (at, _, fields) in forms() {
        let mut world = world_for(at);
        world.refuses = true;
        let sent = typed(fields);
        let (html, status) = html(world.post(&path(at), sent.clone()), at);
        assert_eq!(status, 422, "{at}");
        let page = read(&html);
        let mut wrong = vec![];
        faults(&page, at, &mut wrong);
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(page.ids.contains(&"wrong".to_owned()), "{at}: says what is wrong");
        for (name, text) in sent.iter().filter(|(name, text)| text.starts_with("Ordene") && name != "home") {
            assert!(html.contains(text.as_str()), "{at}: {name} is lost");
        }
        assert!(!html.contains("fire ord som ingen"), "{at}: a passphrase stands in a page");
    }
}

#[test]
fn a_form_that_is_not_filled_in_asks_nothing_of_the_core_and_says_where() {
    for (at, _, fields) in forms().filter(|(_, _, fields)| !fields.is_empty()) {
        let world = world_for(at);
        let reply = world.post(&path(at), vec![]);
        let Reply::Page { html, status, .. } = reply else { continue };
        assert!([200, 422].contains(&status), "{at}");
        let page = read(&html);
        let mut wrong = vec![];
        faults(&page, at, &mut wrong);
        assert!(wrong.is_empty(), "{fields:?} {wrong:?}");
    }
}

#[test]
fn a_form_that_is_done_leads_on() {
    for (at, _, fields) in forms() {
        let world = world_for(at);
        let sent: Ask = ask(Method::Post, &path(at), typed(fields), Language::Bokmaal);
        if let Some(wish) = asked_of_host(&sent) {
            assert!(wanted(&sent).is_empty() && after(&wish).starts_with('/'), "{at}");
            continue;
        }
        assert!(!wanted(&sent).is_empty(), "{at}: asks for nothing");
        match world.post(&path(at), typed(fields)) {
            Reply::See(to) => {
                assert!(stafett_pages::places().any(|place| crate::every::fits(place, &to)), "{at}: {to}")
            }
            Reply::Page { html, status, .. } => {
                let mut wrong = vec![];
                faults(&read(&html), at, &mut wrong);
                assert!(status == 200 && wrong.is_empty(), "{at}: {status} {wrong:?}");
            }
            Reply::File { .. } => assert!(at.ends_with("/export") || at.contains("/file/"), "{at}"),
            Reply::More(_) => panic!("{at}: asks for more"),
        }
    }
}

#[test]
fn a_pasted_link_is_a_code() {
    let fields = |code: &str, kind: &str| {
        let all = [("code", code), ("name", "Mari"), ("passphrase", "a b c d"), ("again", "a b c d"), ("kind", kind)];
        all.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec()
    };
    let wish =
        |code: &str, kind: &str| asked_of_host(&ask(Method::Post, "/start", fields(code, kind), Language::English));
    for pasted in ["stafett1-abc", "  stafett1-\n abc ", "https://kommune.example/start#stafett1-abc"] {
        match wish(pasted, "person") {
            Some(HostWish::MakeHome { join: Command::Join { code, name }, passphrase }) => {
                assert_eq!((code.as_str(), name.as_str(), passphrase.as_str()), ("stafett1-abc", "Mari", "a b c d"));
            }
            _ => panic!("{pasted}"),
        }
    }
    let device = wish("stafett1-abc", "device");
    assert!(matches!(device, Some(HostWish::MakeHome { join: Command::DeviceAccept { .. }, .. })));
}

#[test]
fn three_slots_become_three_measures_of_one_concern() {
    let fields = [
        ("title", "T"),
        ("a", "Hver dag"),
        ("b", "leser Ali"),
        ("c", ""),
        ("service", "S"),
        ("home", "H"),
        ("child", "C"),
    ];
    let fields: Vec<_> = fields.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    let sent = ask(Method::Post, "/log/dd01dd01dd01/concern-new", fields, Language::Bokmaal);
    match wanted(&sent).as_slice() {
        [Command::ConcernNew { goal, measure, .. }] => {
            assert_eq!((goal.as_str(), measure.text.as_str()), ("Hver dag leser Ali", "S"));
        }
        other => panic!("{other:?}"),
    }
    let world = World::of("holder");
    assert!(matches!(world.carry(&sent, &Drafts::new()), Reply::See(to) if to.ends_with("/concern/ee09ee09ee09")));
}

#[test]
fn a_draft_stands_in_its_own_form_and_says_since_when() {
    let at = path("/log/{log}/concern/{concern}/comment");
    let fields = BTreeMap::from([("text".to_owned(), "Halvferdig <i>".to_owned())]);
    let saved = Some("2026-12-01T08:00:00Z".to_owned().into());
    let drafts = Drafts::from([(at, Draft { fields, saved })]);
    let ask = ask(Method::Get, &path("/log/{log}/concern/{concern}"), vec![], Language::Bokmaal);
    let (html, _) = html(World::of("guardian").carry(&ask, &drafts), "draft");
    assert_eq!(html.matches("Halvferdig &lt;i&gt;").count(), 1);
    assert!(html.contains("1.12.2026 kl. 09:00"), "by the clock on the wall");
}
