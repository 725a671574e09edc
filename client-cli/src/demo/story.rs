//! The story of Ella, act by act: people, consent, work, the PPT, the forger, no net, withdrawal, the move, the reckoning. Texts
//! about Ella are the guide's own.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::attack::{Insider, holdings};
use super::process::{DemoError, Device, Server};
use super::search::{Search, planted};
use super::texts::*;
use super::world::{World, concern_texts, contains, status};
use super::{Telling, moving};

/// Ids that the acts hand on to each other.
#[derive(Default)]
pub struct Ids {
    ppt_unit: String,
    leader_codes: Vec<String>,
    pub teacher: String,
    mother: String,
    father: String,
    pub ppt: String,
    pub log: String,
    pub homework: String,
    school_measure: String,
    pub absence: String,
}

/// Tells everything, in order.
pub async fn tell(dir: &Path, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    let (mut server, said) = Server::init(dir, "server", "3209", "Ullensaker")?;
    server.start()?;
    telling.tell(format!(
        "Ullensaker kommune starter sin server ({}). Den snakker bare TLS 1.3, og vet ikke noe om noen ennå.",
        said.get("url").and_then(Value::as_str).unwrap_or_default()
    ));
    let mut world = World::new(dir, server);
    let mut ids = Ids::default();
    begin(&world, &mut ids, telling).await?;
    forger(&world, &ids, telling).await?;
    without_net(&mut world, &ids, telling)?;
    withdrawal(&mut world, &ids, telling).await?;
    audit(&world, &ids, telling)?;
    moving::tell(&mut world, &ids, telling)?;
    world.server.stop()?;
    if let Some(neighbour) = &mut world.neighbour {
        neighbour.stop()?;
    }
    reckoning(&world, telling)
}

/// The story up to where everybody has something to do.
pub async fn begin(world: &World, ids: &mut Ids, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    people(world, ids, telling)?;
    request(world, ids, telling).await?;
    consent(world, ids, telling)?;
    concerns(world, ids, telling)?;
    ppt(world, ids, telling)
}

/// The school, the teacher, the parents.
fn people(world: &World, ids: &mut Ids, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    let school = world.server.ask(&["unit", "add", "--name", "Solvang skole", "--kind", "school"])?;
    let ppt = world.server.ask(&["unit", "add", "--name", "PPT Ullensaker", "--kind", "ppt"])?;
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    ids.ppt_unit = text(&ppt, "unit");
    ids.leader_codes = vec![text(&school, "leader_code"), text(&ppt, "leader_code")];
    let (leader, teacher, mother, father) =
        (world.leader.clone(), world.teacher.clone(), world.mother.clone(), world.father.clone());
    world.join(&leader, &text(&school, "leader_code"), "Lise Brattbakk")?;
    telling.tell(
        "Rektor ved Solvang skole er med. Koden hennes kom fra kommunen; nøklene ble laget på hennes egen maskin.",
    );
    let code = leader.run(&["invite", "--role", "employee", "--may-hold", "--may-act"])?.text("code");
    leader.run(&["sync"])?;
    ids.teacher = world.join(&teacher, &code, "Tone Aasheim")?;
    world.settle(&[&leader, &teacher])?;
    telling.tell("Rektor har registrert en lærer, som både kan være stafettholder og aktør.");
    for (device, name) in [(&mother, "Ingrid Fjellstad"), (&father, "Magnus Fjellstad")] {
        let code = teacher.run(&["invite", "--guardian"])?.text("code");
        teacher.run(&["sync"])?;
        let person = world.join(device, &code, name)?;
        if device.name == mother.name { ids.mother = person } else { ids.father = person }
    }
    world.settle(&world.circle())?;
    let same = world.compare((&teacher, &ids.teacher), (&mother, &ids.mother))?
        && world.compare((&teacher, &ids.teacher), (&father, &ids.father))?;
    telling.tell("Læreren har invitert begge foreldrene. De møtes, leser opp tallet på skjermen for hverandre, og tallene er like.");
    telling.prove("Lærer og foreldre har de samme nøklene: ingen, heller ikke serveren, står mellom dem.", same);
    Ok(())
}

/// The request, and what the server knows before the answer.
async fn request(world: &World, ids: &mut Ids, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    let asked = world.teacher.run(&[
        "log",
        "new",
        "--child",
        CHILD,
        "--born",
        "2015-03-12",
        "--guardian",
        &ids.mother,
        "--guardian",
        &ids.father,
    ])?;
    ids.log = asked.text("log");
    world.teacher.run(&["sync"])?;
    telling.tell(format!(
        "Læreren lager et utkast til logg for {CHILD} og ber foreldrene om samtykke. Utkastet blir hos læreren."
    ));
    let copy = world.dir.join("kopi-av-serveren-for-samtykket");
    World::copy(&world.server.home, &copy)?;
    let (scopes, letters) = holdings(&copy.join("stafett.db")).await?;
    let (found, _) = Search::of([CHILD, HOMEWORK, ids.log.as_str()]).directory(&copy)?;
    let raw = hex::decode(&ids.log).unwrap_or_default();
    telling.prove(
        format!("Før foreldrene har svart, har serveren {letters} lukkede brev, men verken logg, logg-id eller navn."),
        scopes == 0 && letters > 0 && found.is_empty() && !raw.is_empty() && !contains(&copy, &raw)?,
    );
    Ok(())
}

/// Both parents answer; the log exists.
fn consent(world: &World, ids: &Ids, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    world.settle(&world.circle())?;
    let by_mother = world.say_yes(&world.mother)?;
    world.settle(&world.circle())?;
    let waits = status(&world.teacher, &ids.log)?;
    telling.tell("Mor sier ja. Det er ikke nok alene: loggen venter på far.");
    let by_father = world.say_yes(&world.father)?;
    world.settle(&world.circle())?;
    let stands = status(&world.teacher, &ids.log)?;
    telling.tell("Far sier også ja. Nå finnes loggen.");
    telling.prove(
        "Loggen ble til først da begge foreldrene hadde signert.",
        by_mother > 0 && by_father > 0 && waits != "active" && stands == "active",
    );
    Ok(())
}

/// Two concerns with their measures.
fn concerns(world: &World, ids: &mut Ids, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    let new = world.teacher.run(&[
        "concern", "new", &ids.log, "--title", HOMEWORK, "--goal", GOAL, "--text", AT_SCHOOL, "--arena", "service",
    ])?;
    (ids.homework, ids.school_measure) = (new.text("concern"), new.text("measure"));
    for (text, arena) in [(AT_HOME, "home"), (BY_ELLA, "child")] {
        world.teacher.run(&["measure", "add", &ids.homework, "--text", text, "--arena", arena])?;
    }
    let absence = world.teacher.run(&[
        "concern",
        "new",
        &ids.log,
        "--title",
        ABSENCE,
        "--goal",
        ABSENCE,
        "--text",
        ABSENCE_MEASURE,
    ])?;
    ids.absence = absence.text("concern");
    world.settle(&world.circle())?;
    telling.tell(format!(
        "To oppmerksomheter: «{HOMEWORK}», med tiltak på skolen, hjemme og for Ella selv, og «{ABSENCE}»."
    ));
    let seen = [&world.mother, &world.father].into_iter().map(|parent| {
        let shown = parent.run(&["concern", "show", &ids.homework])?.value.to_string();
        Ok([GOAL, AT_SCHOOL, AT_HOME, BY_ELLA].iter().all(|text| shown.contains(text)))
    });
    let seen = seen.collect::<Result<Vec<bool>, DemoError>>()?;
    telling.prove("Begge foreldrene ser målet og alle tiltakene.", seen.iter().all(|ok| *ok));
    Ok(())
}

/// The PPT may read one concern, and no more.
fn ppt(world: &World, ids: &mut Ids, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    let (leader, employee) = (world.ppt_leader.clone(), world.ppt.clone());
    let code = ids.leader_codes.get(1).cloned().unwrap_or_default();
    world.join(&leader, &code, "Petter Granlund")?;
    let code = leader.run(&["invite", "--role", "employee", "--may-act"])?.text("code");
    leader.run(&["sync"])?;
    ids.ppt = world.join(&employee, &code, "Randi Myrvold")?;
    world.settle(&[&leader, &employee])?;
    // The teacher learns that the unit has a leader.
    world.teacher.run(&["sync"])?;
    let request =
        ["access", "request", &ids.log, "--unit", &ids.ppt_unit, "--scope", &ids.homework, "--access", "read"];
    world.teacher.run(&request)?;
    world.settle(&world.circle())?;
    let answered = world.say_yes(&world.mother)? + world.say_yes(&world.father)?;
    world.settle(&[&world.mother, &world.father, &world.teacher, &leader])?;
    leader.run(&["unit", "assign", &ids.log, &ids.ppt])?;
    world.settle(&[&leader, &world.teacher, &employee, &world.mother, &world.father])?;
    telling.tell("Læreren ber om lesetilgang for PPT til den første oppmerksomheten. Foreldrene sier ja, og PPTs leder peker ut en ansatt.");
    let reads = employee.run(&["concern", "show", &ids.homework])?.value.to_string().contains(GOAL);
    let other = employee.try_run(&["concern", "show", &ids.absence])?;
    let log = employee.run(&["log", "show", &ids.log])?.value.to_string();
    telling.prove(
        "PPT leser den ene oppmerksomheten, og får ikke engang vite at den andre finnes.",
        answered > 0 && reads && other.exit != 0 && !log.contains(ABSENCE),
    );
    let tries = employee.try_run(&["glimpse", &ids.homework, FORGED])?;
    telling.tell(format!("PPT prøver å skrive. Programmet deres sier nei ({}).", tries.code()));
    telling.prove("Den som bare skal lese, får nei av sitt eget program når hun prøver å skrive.", tries.exit == 1);
    Ok(())
}

/// A forged change under genuine keys: the server refuses it, and so does every client to whom a false server hands it.
async fn forger(world: &World, ids: &Ids, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    let forger = Insider::of(&world.ppt.home, &ids.homework).await?;
    let event = forger.forge(FORGED)?;
    let refusal = forger.submit(event.clone(), &world.dir.join("traffic")).await?;
    telling.tell(format!(
        "En forfalsker går utenom programmet og signerer en setning med PPTs ekte nøkler. Serveren sier nei ({}).",
        refusal.as_deref().unwrap_or("den tok imot")
    ));
    telling.prove("Serveren avviser en forfalsket endring, enda signaturen er ekte.", refusal.is_some());
    let mut fooled = 0;
    let pushed = forger.collude(event, &world.server.home)?;
    for victim in [&world.teacher, &world.mother, &world.father] {
        let victim = Insider::of(&victim.home, &ids.homework).await?;
        fooled += usize::from(victim.believes(pushed.clone(), FORGED)?);
    }
    // The same road with a change that its author may make: shows that the road is open.
    let honest = Insider::of(&world.teacher.home, &ids.homework).await?;
    let control = honest.collude(honest.forge(CONTROL)?, &world.server.home)?;
    let arrives = Insider::of(&world.mother.home, &ids.homework).await?.believes(control, CONTROL)?;
    telling.tell("Så later vi som om serveren er med på det: den kvitterer for forfalskningen og sender den rett til lærer, mor og far.");
    telling.prove(
        "Ingen av programmene tar imot forfalskningen; en ekte setning samme vei kommer fram.",
        fooled == 0 && arrives,
    );
    Ok(())
}

/// Teacher and mother work without a net; a second device joins; everybody agrees.
fn without_net(world: &mut World, ids: &Ids, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    world.server.kill()?;
    world.teacher.run(&["glimpse", &ids.homework, BY_TEACHER])?;
    world.teacher.run(&["measure", "edit", &ids.school_measure, "--text", NEW_TEXT])?;
    world.mother.run(&["glimpse", &ids.homework, BY_MOTHER])?;
    let gone = [world.teacher.try_run(&["sync"])?.exit, world.mother.try_run(&["sync"])?.exit];
    telling.tell("Strømmen går hos kommunen. Lærer og mor skriver videre uten nett; alt lagres på enhetene deres.");
    let (mother, phone) = (world.mother.clone(), world.phone.clone());
    let code = mother.run(&["device", "link"])?.text("code");
    world.server.start()?;
    mother.run(&["sync"])?;
    phone.run(&["device", "accept", "--code", &code])?;
    world.settle(&[&world.mother, &world.phone, &world.teacher, &world.father])?;
    telling.tell("Serveren kommer tilbake. Mor kobler til telefonen sin som enhet nummer to.");
    let shown = |device: &Device| -> Result<BTreeSet<String>, DemoError> {
        Ok(concern_texts(&device.run(&["concern", "show", &ids.homework])?.value))
    };
    let by_teacher = shown(&world.teacher)?;
    let mut agree = true;
    for device in [&world.mother, &world.father, &world.phone] {
        agree &= shown(device)? == by_teacher;
    }
    let whole = [BY_TEACHER, BY_MOTHER, NEW_TEXT, GOAL, AT_HOME].iter().all(|text| by_teacher.contains(*text));
    telling.prove(
        "Begge kunne skrive mens serveren var borte. Etterpå er alle enige, også den nye telefonen, og ingenting gikk tapt.",
        gone == [3, 3] && agree && whole,
    );
    Ok(())
}

/// The family changes its mind.
async fn withdrawal(world: &mut World, ids: &Ids, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    world.settle(&[&world.teacher, &world.mother, &world.father, &world.ppt])?;
    let old_home = world.dir.join("ppts-gamle-noekler");
    World::copy(&world.ppt.home, &old_home)?;
    let fathers_past = world.dir.join("fars-enhet-i-samme-stund");
    World::copy(&world.father.home, &fathers_past)?;
    world.mother.run(&["consent", "withdraw", &ids.log, "--unit", &ids.ppt_unit])?;
    world.mother.run(&["sync"])?;
    telling.tell("Mor trekker samtykket for PPT. PPT har i mellomtiden gjemt unna en kopi av alle nøklene sine.");
    let last = world.ppt.run(&["sync"])?;
    let refused = world.ppt.try_run(&["concern", "show", &ids.homework])?;
    let wiped = Insider::of(&world.ppt.home, &ids.homework).await?.read_nothing();
    telling.prove(
        format!("PPT er ute med én gang ({}): programmet har slettet nøkler og innhold.", refused.code()),
        last.exit == 0 && refused.exit == 1 && wiped,
    );
    world.settle(&world.circle())?;
    world.teacher.run(&["glimpse", &ids.homework, AFTERWARDS])?;
    world.settle(&world.circle())?;
    let history = world.mother.run(&["log", "history", &ids.log])?.value.to_string();
    telling.prove("Familien ser kvitteringen for at PPT har slettet.", history.contains("deletion receipt"));
    let arrived = concern_texts(&world.father.run(&["concern", "show", &ids.homework])?.value).contains(AFTERWARDS);
    telling.tell("Arbeidet går videre: læreren skriver, og foreldrene leser.");
    world.server.stop()?;
    let copy = world.dir.join("kopi-av-serveren-til-slutt");
    World::copy(&world.server.home, &copy)?;
    world.server.start()?;
    let thief = Insider::of(&old_home, &ids.homework).await?;
    let traffic = world.dir.join("traffic");
    let served = thief.fetch_changes(&traffic).await?;
    // The same question from a device of the family, as old: shows that there was something to give.
    let due = Insider::of(&fathers_past, &ids.homework).await?.fetch_changes(&traffic).await?;
    telling.prove(
        format!(
            "Serveren gir ikke PPTs enhet en eneste ny endring, selv når den spør utenom programmet; fars får {due}."
        ),
        served == 0 && due > 0,
    );
    let readable = thief.read_copy(&copy.join("stafett.db")).await?;
    telling.tell(format!(
        "Med de gamle nøklene og hele serverens database: {} av {} gamle endringer lar seg åpne, {} av {} nye.",
        readable.before.0, readable.before.1, readable.after.0, readable.after.1
    ));
    telling.prove(
        "De gamle nøklene åpner det de fikk lov til da, og ingenting av det som ble skrevet etterpå.",
        arrived && readable.before.0 > 0 && readable.after.0 == 0 && readable.after.1 > 0,
    );
    Ok(())
}

/// Every membership and consent is replayed.
fn audit(world: &World, ids: &Ids, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    let audited = world.mother.run(&["audit", "verify", &ids.log])?.value;
    let count = |key: &str| audited.get(key).and_then(Value::as_u64).unwrap_or(0);
    let clean = audited.get("violations").and_then(Value::as_array).is_some_and(Vec::is_empty);
    telling.tell(format!(
        "Mor spiller av alt om medlemskap og samtykke: {} hendelser, {} kontroller.",
        count("events"),
        count("checks")
    ));
    telling.prove("Hver innslipping hadde et samtykke, og ingen regel er brutt.", clean && count("events") > 0);
    Ok(())
}

/// Everything that lay or went outside the homes is searched.
fn reckoning(world: &World, telling: &mut Telling<'_>) -> Result<(), DemoError> {
    let texts = secrets();
    let search = Search::of(texts.iter().copied());
    for (what, folder) in [
        ("serverens filer", "server"),
        ("filene til Haugesunds server", "server-haugesund"),
        ("servernes logg", "log"),
        ("alt som gikk inne i TLS", "traffic"),
    ] {
        let dir = world.dir.join(folder);
        let plant = dir.join("plantet");
        std::fs::write(&plant, planted(MARKER))?;
        let (marked, _) = Search::of([MARKER]).directory(&dir)?;
        std::fs::remove_file(&plant)?;
        let kinds: BTreeSet<&str> = marked.iter().map(|(_, kind)| *kind).collect();
        let (found, bytes) = search.directory(&dir)?;
        let names: Vec<String> = found
            .iter()
            .map(|(text, kind)| format!("«{}» ({kind})", texts.get(*text).copied().unwrap_or_default()))
            .collect();
        let result = if names.is_empty() { "ingenting".to_owned() } else { names.join(", ") };
        telling.tell(format!(
            "Vi leter etter {} navn og tekster i {what} ({} kB): {result}.",
            texts.len(),
            bytes / 1024
        ));
        telling.prove(
            format!("I {what} finnes ingen navn og ingen tekster (en plantet prøve ble funnet først)."),
            kinds == Search::kinds() && found.is_empty() && bytes > 0,
        );
    }
    Ok(())
}
