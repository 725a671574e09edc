//! `stafett demo --play DIR`: the municipality of the story stays up, and everybody in it can be played. A second start with
//! the same folder takes it up where it was left.

use std::path::Path;

use serde_json::json;

use super::Telling;
use super::process::{DemoError, Device, PASSPHRASE, Pages, Server};
use super::story::{self, Ids};
use super::world::World;
use crate::host::fault::{Exit, Fault};
use crate::terminal::output::{Output, Said};

/// Who can be played: their folder, who they are, and what to begin with.
const PEOPLE: [(&str, &str, &[&str]); 6] = [
    ("rektor", "Lise Brattbakk, rektor ved Solvang skole", &["people", "invite --role employee --may-hold --may-act"]),
    ("laerer", "Tone Aasheim, lærer og stafettholder", &["log list", "log show LOGG", "note LOGG \"…\""]),
    ("mor", "Ingrid Fjellstad, Ellas mor", &["sync", "consent list LOGG", "concern show OPPMERKSOMHET"]),
    ("far", "Magnus Fjellstad, Ellas far", &["sync", "glimpse OPPMERKSOMHET \"…\""]),
    ("ppt-leder", "Petter Granlund, leder for PPT", &["people", "unit assign LOGG PERSON"]),
    ("ppt-ansatt", "Randi Myrvold, PPT", &["sync", "concern show OPPMERKSOMHET"]),
];

/// Plays until somebody stops it.
pub async fn run(dir: &Path, output: &Output) -> Result<Exit, Fault> {
    let mut telling = Telling::at_once(output);
    let (_server, ids) = raise(dir, &mut telling).await.map_err(Fault::from)?;
    let devices: Vec<Device> = PEOPLE.iter().map(|(folder, ..)| Device::new(dir, folder)).collect();
    let pages = Pages::of(&devices).map_err(Fault::from)?;
    output.print(&table(&devices, &pages, &ids)?)?;
    // The server and the pages go with this process.
    tokio::signal::ctrl_c().await.map_err(|error| Fault::new(Exit::Damaged, "runtime", error))?;
    Ok(Exit::Done)
}

/// The story up to where there is something to play with; or the one that was begun here.
async fn raise(dir: &Path, telling: &mut Telling<'_>) -> Result<(Server, Vec<(&'static str, String)>), DemoError> {
    if dir.join("server").join("settings.json").is_file() {
        let mut server = Server::at(dir, "server");
        server.start()?;
        return Ok((server, Vec::new()));
    }
    let (mut server, _) = Server::init(dir, "server", "3209", "Ullensaker")?;
    server.start()?;
    let world = World::new(dir, server);
    let mut ids = Ids::default();
    story::begin(&world, &mut ids, telling).await?;
    let named = vec![("LOGG", ids.log), ("OPPMERKSOMHET", ids.homework), ("PERSON", ids.ppt)];
    Ok((world.server, named))
}

/// Whom one can play and how, to be copied.
fn table(devices: &[Device], pages: &[Pages], ids: &[(&'static str, String)]) -> Result<Said, Fault> {
    let mut people = Vec::new();
    let mut text = format!(
        "Kommunen er oppe til du trykker Ctrl-C. Åpne en lenke for hver du vil spille, gjerne to ved siden av hverandre. Hver lenke virker én gang, i nettleseren på denne maskinen. Passfrasen er «{PASSPHRASE}».\n\nVil du skrive kommandoer i stedet, åpner du et annet vindu og skriver først:\n\n  export STAFETT_PASSPHRASE='{PASSPHRASE}'\n"
    );
    for ((_, who, tries), (device, pages)) in PEOPLE.into_iter().zip(devices.iter().zip(pages)) {
        let (home, link) = (&device.home, &pages.link);
        let shown = home.display().to_string().replace('\'', "'\\''");
        let filled = |words: &str| {
            ids.iter().fold(words.to_owned(), |words, (name, id)| words.replace(name, id.get(..8).unwrap_or(id)))
        };
        let commands: Vec<String> =
            tries.iter().map(|words| format!("stafett --home '{shown}' {}", filled(words))).collect();
        text = format!("{text}\n{who}\n  {link}\n  {}\n", commands.join("\n  "));
        people.push(json!({"name": who, "home": home.display().to_string(), "link": link, "commands": commands}));
    }
    let value = json!({"ready": true, "passphrase": PASSPHRASE, "people": people});
    Ok(Said { value, text })
}
