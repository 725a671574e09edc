//! Every page as a file, to be looked at: `target/ui/*.html`, with a contact sheet.

use std::fmt::Write as _;
use std::path::Path;

use stafett_pages::{Home, Language, SHELL, STYLE, places};

use crate::world::{World, html, path};

/// Whose page is looked at.
const SEEN_BY: [&str; 3] = ["holder", "guardian", "custodian"];

#[test]
fn pages_are_written_to_be_looked_at() {
    let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/ui");
    std::fs::create_dir_all(&to).unwrap();
    std::fs::write(to.join("style.css"), STYLE).unwrap();
    std::fs::write(to.join("shell.js"), SHELL).unwrap();
    let mut sheet = String::from("<!doctype html><meta charset=utf-8><title>Stafett</title>");
    let mut save = |name: &str, html: &str| {
        let html = html.replace("\"/style.css\"", "\"style.css\"").replace("\"/shell.js\"", "\"shell.js\"");
        std::fs::write(to.join(format!("{name}.html")), html).unwrap();
        writeln!(sheet, "<a href={name}.html>{name}</a><br><iframe src={name}.html width=390 height=700></iframe><iframe src={name}.html width=1280 height=700></iframe><br>").unwrap();
    };
    for role in SEEN_BY {
        for place in places() {
            let mut world = World::of(role);
            world.home = match place {
                "/start" => Home::None,
                "/unlock" => Home::Locked,
                _ => Home::Open,
            };
            let name = format!("{role}-{}", place.trim_matches('/').replace('/', "-").replace(['{', '}'], ""));
            save(&name, &html(world.get(&path(place), Language::Bokmaal), place).0);
        }
    }
    let family = World::of("guardian");
    save("receipt", &html(family.post(&path("/log/{log}/access/{grant}"), vec![]), "receipt").0);
    save("code", &html(family.post("/second-device", vec![]), "code").0);
    save(
        "refused",
        &html(
            World::of("holder").post(&path("/log/{log}/concern-new"), vec![("title".into(), "Lekser".into())]),
            "refused",
        )
        .0,
    );
    save("empty-today", &html(family.clone().empty().get("/", Language::Bokmaal), "empty").0);
    save("empty-log", &html(World::of("holder").empty().get(&path("/log/{log}"), Language::Bokmaal), "empty").0);
    let mut away = World::of("guardian");
    away.online = false;
    save("away", &html(away.get("/", Language::Nynorsk), "away").0);
    std::fs::write(to.join("index.html"), sheet).unwrap();
}
