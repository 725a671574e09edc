//! One run of the program: what was typed, done, said.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde_json::Value;
use stafett_client_core::answer::{Answer, Export, Report, Verified, json};
use stafett_client_core::audit;
use stafett_client_core::client::input::{AttachTo, Command as Wish, Problem, Progress};
use stafett_protocol::code::Code;
use stafett_words::names::Names;
use stafett_words::shown::Shown;
use stafett_words::{TimeZone, render};
use zeroize::Zeroizing;

use crate::host::callers::Callers;
use crate::host::desk::Desk;
use crate::host::door::{Door, DoorKey};
use crate::host::fault::{Exit, Fault};
use crate::host::files;
use crate::host::home::{Folder, default_dir};
use crate::host::keyring;
use crate::host::open_home::OpenHome;
use crate::host::recording::Recording;
use crate::host::serving;
use crate::host::tls::ca_hash;
use crate::terminal::args::{Attachment, Audit, Command, CommandLine, HomeCommand, Invite, Join};
use crate::terminal::attachments;
use crate::terminal::commands::asked;
use crate::terminal::here::{Exported, MeHere};
use crate::terminal::homes::{begins, change_passphrase, discard, forget, key_in_keyring, knock, open};
use crate::terminal::names::gather;
use crate::terminal::output::{Output, Said};
use crate::terminal::sending::{self, Sending};
use crate::terminal::{help, qr, usage};
use stafett_words::messages::{Language, Messages};
use stafett_words::reader::Reader;

/// No log's export comes near it; a device or pipe would never end.
const EXPORT_BYTES: usize = 1 << 30;
/// A certificate in PEM is far smaller.
const CA_FILE_BYTES: usize = 64 * 1024;

/// The whole program.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    let language = language();
    if let Err(error) = stafett_host::keep_to_ourselves() {
        return Output::new(false, language).print_fault(&Fault::new(Exit::Damaged, "runtime", error)).into();
    }
    let line = match help::parse(&words, &Messages::of(language)) {
        Ok(line) => line,
        Err(error) => return misunderstood(&error, &words, language),
    };
    #[cfg(feature = "demo")]
    if let Command::Server { arguments } = line.command {
        return crate::demo::server(arguments);
    }
    let output = Output::new(line.json, language);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.print_fault(&Fault::new(Exit::Damaged, "runtime", error)).into(),
    };
    match runtime.block_on(perform(line, &output)) {
        Ok(exit) => exit.into(),
        Err(fault) => output.print_fault(&fault).into(),
    }
}

/// Help and version are answers; everything else is wrong use, and scripts get it as JSON.
fn misunderstood(error: &clap::Error, words: &[OsString], language: Language) -> ExitCode {
    let json = words.iter().any(|word| word == "--json");
    // Whoever types a group of commands alone is shown what is in it.
    let asks = !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if asks && !(json && error.use_stderr()) {
        // Nothing can be done about a closed terminal.
        let _ = error.print();
        return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
    }
    let output = Output::new(json, language);
    let (text, how) = usage::words(error, output.messages());
    let exit = output.print_fault(&Fault::usage("usage", text));
    if let (false, Some(how)) = (json, how) {
        // A closed stderr must not change the exit code.
        let _ = writeln!(std::io::stderr(), "{how}");
    }
    exit.into()
}

async fn perform(line: CommandLine, output: &Output) -> Result<Exit, Fault> {
    let recording = match &line.record {
        Some(path) => Recording::to(path).map_err(|error| Fault::usage("file", error))?,
        None => Recording::none(),
    };
    let dir = line.home.or_else(default_dir).ok_or_else(|| Fault::usage("no-home", "--home"))?;
    let command = match line.command {
        Command::Join(join) => Command::Join(named(overridden(join)?, output)),
        #[cfg(feature = "demo")]
        Command::Demo { play: Some(dir), .. } => return crate::demo::play(&dir, output).await,
        #[cfg(feature = "demo")]
        Command::Demo { keep, fast, play: None } => return crate::demo::run(keep.as_deref(), fast, output).await,
        Command::Keyring(command) => return key_in_keyring(&dir, command, output),
        Command::Passphrase => return change_passphrase(&dir, output),
        Command::Ui(ui) => return crate::ui::run(&dir, &ui, language(), output).await,
        Command::Home(HomeCommand::Forget { yes }) => return forget(&dir, yes, line.offline, output).await,
        Command::Audit(Audit::Verify { what }) if Path::new(&what).is_file() => {
            return verify_file(Path::new(&what), output);
        }
        other => other,
    };
    if let (Command::Sync { .. }, true) = (&command, line.offline) {
        let text = output.messages().say("usage.conflict", &[("argument", "sync"), ("other", "--offline")]);
        return Err(Fault::usage("usage", text));
    }
    let offline = line.offline;
    knock(&command)?;
    let made_here = begins(&command) && !dir.join("home.json").exists();
    let (mut desk, key) = open(&dir, &command, recording, output).await?;
    if !output.is_json() && std::io::stderr().is_terminal() {
        let messages = Messages::of(language());
        desk.tell_progress(move |progress| eprintln!("{}", moving_line(&messages, progress)));
    }
    match command {
        Command::Sync { watch: true, .. } => match &mut desk {
            Desk::Own(session) => watch(session, &dir, key, output).await?,
            Desk::Beside(_) => return Err(Fault::usage("already-watched", dir.display())),
        },
        Command::Sync { watch: false, moved_to } => {
            if let Some(url) = moved_to {
                server_moved(&mut desk, url).await?;
            }
            let counts = desk.sync().await?;
            let given_up = counts.given_up > 0;
            say(output, "sync", &counts)?;
            if !output.is_json() {
                asked_for(&mut desk, output).await?;
            }
            if desk.awaits_certificate() {
                eprintln!("{}", output.messages().say("hint.not-authenticated", &[]));
            }
            // All else is done; but whoever wrote what was refused must not take it for sent.
            return Ok(if given_up { Exit::Refused } else { Exit::Done });
        }
        Command::Audit(Audit::Export { log, file }) => {
            let answer = desk.perform(Wish::AuditExport { log }).await?;
            let Answer::AuditExport(exported) = &answer else { return Err(unexpected(&answer)) };
            let written = write_export(&file, exported)?;
            let broken = !written.report.violations.is_empty();
            say(output, "audit.export", &written)?;
            return Ok(if broken { Exit::Damaged } else { Exit::Done });
        }
        Command::Note { log, text, attach } => {
            let wish = attachments::written(AttachTo::Note(log), text, attach.as_deref())?;
            return said_and_sent(&mut desk, wish, offline, output).await;
        }
        Command::Glimpse { concern, text, attach } => {
            let wish = attachments::written(AttachTo::Glimpse(concern), text, attach.as_deref())?;
            return said_and_sent(&mut desk, wish, offline, output).await;
        }
        Command::Me => {
            let answer = desk.perform(Wish::Me).await?;
            let Answer::Me(me) = answer else { return Err(unexpected(&answer)) };
            let kept = keyring::recall(&Folder::at(&dir)?).is_some();
            say(output, "me", &MeHere { me, home: dir.display().to_string(), kept })?;
        }
        Command::Attachment(Attachment::Get { attachment, out }) => {
            say(output, "attachment.get", &attachments::get(&mut desk, attachment, &out).await?)?;
        }
        other => {
            if let Command::Invite(Invite { unit: Some(unit), .. }) = &other {
                own_unit(&mut desk, unit).await?;
            }
            if let Some(wish) = asked(other) {
                if sending::changes(&wish) {
                    return said_and_sent(&mut desk, wish, offline, output).await;
                }
                let answer = match desk.perform(wish).await {
                    // A home that was made for a code which was refused is nobody's.
                    Err(fault) if made_here && fault.exit == Exit::Refused => {
                        discard(desk);
                        return Err(fault);
                    }
                    other => other?,
                };
                if let (Answer::Join(_) | Answer::DeviceAccept(_), Desk::Own(session)) = (&answer, &desk) {
                    session.home().is_somebodys();
                }
                match &answer {
                    // Nobody can let this device in before its key packages are at the server.
                    Answer::Join(_) => drop(desk.sync().await?),
                    Answer::DeviceAccept(_) => first_round(&mut desk).await?,
                    _ => {}
                }
                let broken = matches!(&answer, Answer::AuditVerify(report) if !report.violations.is_empty());
                let names = names(&mut desk, output).await;
                output.print(&said(output, &names, &answer))?;
                return Ok(if broken { Exit::Damaged } else { Exit::Done });
            }
        }
    }
    Ok(Exit::Done)
}

/// A change: saved, then sent at once where that can be done, then told with what became of it.
async fn said_and_sent(desk: &mut Desk, wish: Wish, offline: bool, output: &Output) -> Result<Exit, Fault> {
    let answer = desk.perform(wish).await?;
    let sending = if offline { Sending::Later(None) } else { Sending::of(desk.reach(sending::patience()).await) };
    let names = names(desk, output).await;
    let mut said = said(output, &names, &answer);
    sending.tell(&reader(output, &names), answer.name(), &mut said);
    output.print(&said)?;
    sending.end()
}

/// Names in the place of ids, for people.
async fn names(desk: &mut Desk, output: &Output) -> Names {
    if output.is_json() { Names::default() } else { gather(desk).await }
}

/// An answer, for scripts and for people; a code also as a picture.
fn said(output: &Output, names: &Names, answer: &Answer) -> Said {
    let mut said = told(output, names, answer.name(), answer.to_json(), answer);
    if let (Answer::Invite(code) | Answer::DeviceLink(code), false) = (answer, output.is_json())
        && let Some(picture) = qr::picture(&code.code)
    {
        said.text = format!("{}\n{picture}", said.text);
    }
    said
}

fn reader<'a>(output: &'a Output, names: &'a Names) -> Reader<'a> {
    Reader::new(output.messages(), names, TimeZone::system())
}

/// `STAFETT_LANG` decides, then the system's setting, then bokmål.
fn language() -> Language {
    let set = ["STAFETT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"];
    Language::among(set.iter().filter_map(|name| std::env::var(name).ok()))
}

fn told(output: &Output, names: &Names, name: &str, value: Value, what: &impl Shown) -> Said {
    if output.is_json() {
        return Said { value, text: String::new() };
    }
    let to = reader(output, names);
    Said { value, text: render::words(&to, name, &what.part(&to)) }
}

pub(super) fn say(output: &Output, name: &str, what: &(impl Shown + Serialize)) -> Result<(), Fault> {
    output.print(&told(output, &Names::default(), name, json(what), what))
}

/// The core has answered something else than was asked.
pub(super) fn unexpected(answer: &Answer) -> Fault {
    Fault::new(Exit::Damaged, "no-answer", answer.name())
}

/// How far a move has come, for whoever waits for it.
fn moving_line(messages: &Messages, progress: &Progress) -> String {
    let (fetched, of) = (progress.fetched.to_string(), progress.of.to_string());
    messages.say("say.moving", &[("log", &progress.log.to_string()), ("fetched", &fetched), ("of", &of)])
}

/// `--server --ca` stand in the place of what the code says; the keys and the one-time part stay.
fn overridden(join: Join) -> Result<Join, Fault> {
    let (Some(server), Some(ca)) = (&join.server, &join.ca) else { return Ok(join) };
    let bad = |error: &dyn std::fmt::Display| Fault::usage("ca-file", format!("{}: {error}", ca.display()));
    let pem = files::read(ca, CA_FILE_BYTES).map_err(|error| bad(&error))?;
    let der = CertificateDer::from_pem_slice(&pem).map_err(|error| bad(&error))?;
    let mut code = Code::from_text(&join.code).map_err(Problem::from)?;
    code.url.clone_from(server);
    code.ca = ca_hash(&der);
    Ok(Join { code: code.to_text(), ..join })
}

/// People give their name; where nobody can be asked, others see that none was given.
fn named(join: Join, output: &Output) -> Join {
    let asked = || {
        if output.is_json() || !std::io::stdin().is_terminal() {
            return None;
        }
        let mut line = String::new();
        eprint!("{} ", output.messages().say("ask.name", &[]));
        std::io::stdin().read_line(&mut line).ok()?;
        Some(line.trim().to_owned()).filter(|name| !name.is_empty())
    };
    let name = join.name.clone().or_else(asked).unwrap_or_else(|| output.messages().say("word.nameless", &[]));
    Join { name: Some(name), ..join }
}

/// `invite --unit U`: a leader's code is for her own unit, so another one is a mistake to be told.
async fn own_unit(desk: &mut Desk, unit: &str) -> Result<(), Fault> {
    let answer = desk.perform(Wish::People { unit: None }).await?;
    let Answer::People(all) = answer else { return Err(unexpected(&answer)) };
    let me = all.people.into_iter().find(|one| one.verified == Verified::Myself);
    match me.and_then(|me| me.unit) {
        Some(own) if !unit.is_empty() && own.starts_with(unit) => Ok(()),
        _ => Err(Fault::new(Exit::Refused, "not-your-unit", unit)),
    }
}

/// `sync --server`: the own server has moved. It is believed there for the authority and key that it has always had.
async fn server_moved(desk: &mut Desk, url: String) -> Result<(), Fault> {
    let Desk::Own(session) = desk else { return Err(Fault::usage("home-busy", "sync --watch")) };
    session.find_server(&url).await?;
    session.perform(Wish::ServerAt { url }).await.map(drop)
}

/// What waits for this person's word stands at the end of a contact.
async fn asked_for(desk: &mut Desk, output: &Output) -> Result<(), Fault> {
    // Whoever is nobody yet is asked for nothing.
    let asked = desk.perform(Wish::ConsentPending).await;
    match asked {
        Ok(Answer::ConsentPending(pending)) if !pending.requests.is_empty() => {
            output.print(&Said { value: Value::Null, text: output.messages().say("sync.asked", &[]) })
        }
        _ => Ok(()),
    }
}

/// A further device is nobody to the server until its person's first device has certified it.
async fn first_round(desk: &mut Desk) -> Result<(), Fault> {
    match desk.sync().await {
        Err(fault) if fault.exit != Exit::Refused => Err(fault),
        _ => Ok(()),
    }
}

/// Follows the server, and serves the other commands, until the person stops it or a rule ends it.
async fn watch(session: &mut OpenHome, dir: &Path, key: Zeroizing<[u8; 32]>, output: &Output) -> Result<(), Fault> {
    let door = Door::open(dir, DoorKey::of(&key));
    if let Err(error) = &door {
        // It still watches; the others must wait until it ends.
        eprintln!("{}", output.messages().say("say.no-door", &[("detail", &error.to_string())]));
    }
    tokio::select! {
        outcome = serving::serve(session, Callers { door: door.ok(), pages: None }, |counts| { let _ = say(output, "sync", counts); }) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// An exported file needs no home: everything that is checked stands in it.
fn verify_file(file: &Path, output: &Output) -> Result<Exit, Fault> {
    let bad = |error: &dyn std::fmt::Display| Fault::new(Exit::Damaged, "file", format!("{}: {error}", file.display()));
    let text = files::read(file, EXPORT_BYTES).map_err(|error| bad(&error))?;
    let exported: Value = serde_json::from_slice(&text).map_err(|error| bad(&error))?;
    let report: Report = audit::verify_export(&exported).map_err(|error| bad(&error))?.answer();
    say(output, "audit.verify", &report)?;
    Ok(if report.violations.is_empty() { Exit::Done } else { Exit::Damaged })
}

/// Why a new file was not written.
pub fn not_written(file: &Path, error: &std::io::Error) -> Fault {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => Fault::usage("file-exists", file.display()),
        _ => Fault::usage("file", format!("{}: {error}", file.display())),
    }
}

/// Writes the file and answers what its reader will find in it.
fn write_export(file: &Path, exported: &Export) -> Result<Exported, Fault> {
    let exported = json(exported);
    let text = serde_json::to_vec_pretty(&exported).map_err(|error| Fault::usage("file", error))?;
    stafett_host::write_new(file, &text).map_err(|error| not_written(file, &error))?;
    let report = audit::verify_export(&exported).map_err(|error| Fault::new(Exit::Damaged, "file", error))?;
    Ok(Exported { report: report.answer(), file: file.display().to_string() })
}
