//! Ella moves: her log goes to Haugesund's server with one of two concerns, the net between the servers breaks in the
//! middle, and it ends well.

use serde_json::Value;

use super::Telling;
use super::process::{DemoError, Device, Server};
use super::story::Ids;
use super::texts::{ABSENCE_MEASURE, GOAL, IN_BETWEEN, NEW_HOLDER, NEW_LEADER, WELCOME};
use super::world::{World, concern_texts, contains};

const NUMBER: &str = "1106";

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The two who receive her.
struct Receivers {
    unit: String,
    leader: Device,
    leader_id: String,
    holder: Device,
    holder_id: String,
}

/// The whole move.
pub fn tell(world: &mut World, ids: &Ids, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    let mut there = neighbours(world, telling)?;
    let receivers = receive(world, &there)?;
    let offer = offer(world, ids, &receivers, telling)?;
    in_the_middle(world, ids, &receivers, &offer, &mut there, telling)?;
    arrived(world, ids, &receivers, telling)?;
    left_behind(world, ids, &receivers, &there, telling)?;
    audits(world, ids, &receivers, telling)?;
    world.neighbour = Some(there);
    Ok(())
}

/// Two municipalities learn to know each other.
fn neighbours(world: &World, telling: &mut Telling<'_>) -> Result<Server, DemoError> {
    let (mut there, _) = Server::init(&world.dir, "server-haugesund", NUMBER, "Haugesund")?;
    there.start()?;
    let read_aloud = [
        text(&world.server.ask(&["peer", "show"])?, "fingerprint"),
        text(&there.ask(&["peer", "show"])?, "fingerprint"),
    ];
    let added = |at: &Server, other: &Server| {
        let file = other.home.join("peer.json");
        at.ask(&["peer", "add", &file.to_string_lossy()]).map(|added| text(&added, "fingerprint"))
    };
    let typed = [added(&there, &world.server)?, added(&world.server, &there)?];
    telling.tell("Ella skal flytte til Haugesund, som har sin egen server. De to kommunene legger inn hverandres nøkler og leser opp fingeravtrykkene.");
    telling.prove("Begge kommunene har den andres ekte nøkkel.", typed == read_aloud && !typed[0].is_empty());
    there.wait_for_peers()?;
    world.server.wait_for_peers()?;
    Ok(there)
}

/// A school with a leader and a teacher who may hold the baton.
fn receive(world: &World, there: &Server) -> Result<Receivers, DemoError> {
    let school = there.ask(&["unit", "add", "--name", "Solvang barneskole", "--kind", "school"])?;
    let (leader, holder) = (Device::new(&world.dir, "ny-rektor"), Device::new(&world.dir, "ny-laerer"));
    let leader_id = world.join(&leader, &text(&school, "leader_code"), NEW_LEADER)?;
    let code = leader.run(&["invite", "--role", "employee", "--may-hold", "--may-act"])?.text("code");
    leader.run(&["sync"])?;
    let holder_id = world.join(&holder, &code, NEW_HOLDER)?;
    world.settle(&[&leader, &holder])?;
    Ok(Receivers { unit: text(&school, "unit"), leader, leader_id, holder, holder_id })
}

/// The teacher offers, the parents consent, the new school accepts.
fn offer(world: &World, ids: &Ids, receivers: &Receivers, telling: &mut Telling<'_>) -> Result<String, DemoError> {
    world.teacher.run(&["sync"])?;
    world.teacher.run(&["units", "--municipality", NUMBER])?;
    world.teacher.run(&["sync"])?;
    let reason = "Familien flytter til Haugesund i sommer.";
    let offered = world.teacher.run(&[
        "baton",
        "offer",
        &ids.log,
        "--to",
        &receivers.unit,
        "--municipality",
        NUMBER,
        "--concern",
        &ids.homework,
        "--reason",
        reason,
    ])?;
    world.settle(&[&world.teacher, &world.mother, &world.father, &receivers.leader])?;
    let same = world.compare((&world.teacher, &ids.teacher), (&receivers.leader, &receivers.leader_id))?;
    telling.prove(
        "Læreren og den nye rektoren har lest tallet for hverandre: det er henne, og ingen server står imellom.",
        same,
    );
    let asked = world.say_yes(&world.mother)? + world.say_yes(&world.father)?;
    telling.tell("Læreren tilbyr stafettpinnen til den nye skolen, med den ene av de to oppmerksomhetene. Foreldrene ser hvem, hvorfor og hva som følger med, og sier ja.");
    telling.prove("Ingenting flytter uten begge foreldrenes ja.", asked > 0);
    world.settle(&[&world.mother, &world.father, &world.teacher])?;
    Ok(offered.text("offer"))
}

/// The net between the servers breaks before the new holder's answer is there.
fn in_the_middle(
    world: &World,
    ids: &Ids,
    receivers: &Receivers,
    offer: &str,
    there: &mut Server,
    telling: &mut Telling<'_>,
) -> Result<(), DemoError> {
    receivers.leader.run(&["sync"])?;
    receivers.leader.run(&["baton", "accept", offer, "--for", &receivers.holder_id])?;
    world.settle(&[&receivers.leader, &receivers.holder])?;
    receivers.holder.run(&["baton", "accept", offer])?;
    receivers.holder.run(&["sync"])?;
    there.stop()?;
    world.settle(&world.circle())?;
    world.teacher.run(&["glimpse", &ids.homework, IN_BETWEEN])?;
    world.settle(&world.circle())?;
    let shown = world.mother.run(&["log", "show", &ids.log])?.value;
    telling.tell("Rektor i Haugesund lar en lærer ta imot, og hun sier ja. Midt i flyttingen faller nettet mellom de to kommunene ut.");
    telling.prove(
        "Så lenge loggen ikke er framme, er den gamle læreren ansvarlig, og arbeidet går videre der den er.",
        text(&shown, "holder") == ids.teacher && text(&shown, "home") == "3209",
    );
    there.start()
}

/// Everyone settles; the log is at its new home.
fn arrived(world: &World, ids: &Ids, receivers: &Receivers, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    let all = [&world.teacher, &world.mother, &world.father, &receivers.leader, &receivers.holder];
    for _ in 0..2 {
        world.settle(&all)?;
    }
    let shown = world.mother.run(&["log", "show", &ids.log])?.value;
    telling.tell("Nettet er tilbake. Loggen flytter i ett eneste steg, og alle finner den av seg selv.");
    telling.prove(
        "Loggen har nøyaktig ett hjem (Haugesund) og nøyaktig én stafettholder (den nye læreren).",
        text(&shown, "holder") == receivers.holder_id && text(&shown, "home") == NUMBER,
    );
    let read = concern_texts(&receivers.holder.run(&["concern", "show", &ids.homework])?.value);
    receivers.holder.run(&["glimpse", &ids.homework, WELCOME])?;
    world.settle(&[&receivers.holder, &world.mother, &world.father])?;
    let seen = concern_texts(&world.mother.run(&["concern", "show", &ids.homework])?.value).contains(WELCOME);
    telling.prove(
        "Den nye læreren leser hele oppmerksomheten, også det som ble skrevet mens nettet var borte; mor leser hennes lysglimt gjennom sin egen kommune.",
        read.contains(GOAL) && read.contains(IN_BETWEEN) && seen,
    );
    let gone = world.teacher.try_run(&["concern", "show", &ids.homework])?;
    telling.prove("Den gamle læreren er ute av det som flyttet.", gone.exit == 1);
    Ok(())
}

/// What was not chosen stays where it was.
fn left_behind(
    world: &World,
    ids: &Ids,
    receivers: &Receivers,
    there: &Server,
    telling: &mut Telling<'_>,
) -> Result<(), DemoError> {
    let family = world.mother.run(&["concern", "show", &ids.absence])?.value.to_string().contains(ABSENCE_MEASURE);
    let stranger = receivers.holder.try_run(&["concern", "show", &ids.absence])?.exit != 0;
    let id = hex::decode(&ids.absence).unwrap_or_default();
    let nothing = !id.is_empty() && !contains(&there.home, &id)?;
    telling.prove(
        "Oppmerksomheten som ikke ble valgt, er lukket hos Ullensaker: familien leser den, og ikke en byte av den finnes i Haugesund.",
        family && stranger && nothing,
    );
    Ok(())
}

/// The whole life of the log is replayed from both sides.
fn audits(world: &World, ids: &Ids, receivers: &Receivers, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    let mut clean = true;
    for device in [&world.mother, &receivers.holder] {
        let audited = device.run(&["audit", "verify", &ids.log])?.value;
        clean &= audited.get("violations").and_then(Value::as_array).is_some_and(Vec::is_empty);
    }
    telling.prove("Mor og den nye læreren spiller av hele loggens liv, over flyttingen: ingen regel er brutt.", clean);
    Ok(())
}
