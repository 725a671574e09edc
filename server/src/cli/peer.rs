//! `stafettd peer …`: whom this municipality trusts. A peer file is signed by the key that it names;
//! that the key is the right one, two operators find out by reading its fingerprint to each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::federation::PeerFile;
use stafett_protocol::ids::{bytes_from_hex, to_hex};
use stafett_protocol::limits::CLOCK_SKEW_SHOWN_MILLIS;
use stafett_protocol::signed::Signed;

use super::{CliError, Said, grouped, serve};
use crate::certs;
use crate::db::{Conn, Db};
use crate::fanout::{Notice, notify};
use crate::federation::peers::Peer;
use crate::federation::{Federation, HELLO_PATH, Hello};
use crate::home::{Home, now_ms};
use crate::municipality::Municipality;
use crate::store::peers;

/// A peer file is a few kilobytes.
const FILE_BYTES: u64 = 64 * 1024;
const HELLO_BYTES: usize = 4096;

#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// Prints this server's peer file: give it to the other municipality's operator.
    Show,
    /// Trusts the municipality of a peer file. Compare the fingerprint with its operator first.
    Add {
        file: PathBuf,
        /// Takes a changed key or authority for the old one's place. Compare the fingerprint anew.
        #[arg(long)]
        replace: bool,
    },
    /// Ends the trust in a municipality: nothing that it has certified counts here any more.
    Remove {
        /// Municipality number.
        number: u16,
    },
    /// Whom this server trusts.
    List,
    /// Asks every peer whether it answers and trusts this server.
    Check,
}

/// A peer file: the signed part, and the same for people to read.
#[derive(Serialize, Deserialize)]
struct File {
    number: u16,
    name: String,
    url: String,
    municipality_key: String,
    fingerprint: String,
    ca: String,
    signed: String,
}

/// This server's own peer file.
pub fn own_file(home: &Home, municipality: &Municipality) -> Result<String, CliError> {
    let ca = home.read_text("ca.pem")?;
    let signed = municipality.describe(&certs::authority_der(&ca)?);
    let peer = Peer::of(&signed).map_err(|error| CliError::Damaged(error.to_string()))?;
    let file = File {
        number: peer.number,
        fingerprint: peer.fingerprint().to_string(),
        municipality_key: to_hex(&peer.key),
        name: peer.name,
        url: peer.url,
        ca,
        signed: to_hex(&encode(&signed)),
    };
    serde_json::to_string_pretty(&file).map_err(|error| CliError::Damaged(error.to_string()))
}

impl PeerCommand {
    pub async fn run(self, dir: &Path) -> Result<Said, CliError> {
        match self {
            Self::Show => show(dir),
            Self::Add { file, replace } => add(dir, &file, replace).await,
            Self::Remove { number } => remove(dir, number).await,
            Self::List => list(dir).await,
            Self::Check => check(dir).await,
        }
    }
}

fn show(dir: &Path) -> Result<Said, CliError> {
    let home = Home::open(dir)?;
    let text = own_file(&home, &Municipality::of(&home)?)?;
    let value = serde_json::from_str(&text).unwrap_or_default();
    Ok(Said::new(text, value))
}

/// Reads a peer file and checks all that can be checked without knowing the other municipality.
fn read(path: &Path) -> Result<(Signed<PeerFile>, Peer), CliError> {
    let invalid = |why: String| CliError::Refused {
        code: "peer-file",
        message: format!("{}: {why}", path.display()),
        hint: "ask the other municipality for the output of `stafettd peer show`",
    };
    let text = stafett_host::read_bounded(path, FILE_BYTES).map_err(|error| invalid(error.to_string()))?;
    let file: File = serde_json::from_slice(&text).map_err(|_| invalid("not a peer file".to_owned()))?;
    let signed: Signed<PeerFile> = bytes_from_hex(&file.signed)
        .and_then(|bytes| decode(&bytes).ok())
        .ok_or_else(|| invalid("the signed part cannot be read".to_owned()))?;
    let peer = Peer::of(&signed).map_err(|error| invalid(error.to_string()))?;
    let readable = (file.number, &file.name, &file.url, file.municipality_key, file.fingerprint);
    if readable != (peer.number, &peer.name, &peer.url, to_hex(&peer.key), peer.fingerprint().to_string()) {
        return Err(invalid("what can be read is not what was signed".to_owned()));
    }
    Ok((signed, peer))
}

async fn add(dir: &Path, path: &Path, replace: bool) -> Result<Said, CliError> {
    let (home, db) = super::open(dir).await?;
    let (signed, peer) = read(path)?;
    let own = Municipality::of(&home)?;
    if peer.number == own.number || peer.key == own.public() {
        return Err(refused("peer-is-own", "this is the server's own peer file", "add the other municipality's"));
    }
    let (number, key) = (peer.number, peer.key);
    let state = db
        .write::<&'static str, CliError, _>(move |conn: &mut Conn| {
            Box::pin(async move {
                peers::raise_version(conn).await?;
                let state = compare(&peers::all(conn).await?, &signed, replace)?;
                peers::put(conn, number, &signed, now_ms()).await?;
                notify(conn, Notice::Peers).await?;
                Ok(state)
            })
        })
        .await?;
    db.close().await;
    let fingerprint = stafett_protocol::code::key_hash(&key).to_string();
    Ok(Said::new(
        format!("{state}: {:04} {} at {}\nfingerprint {}", peer.number, peer.name, peer.url, grouped(&fingerprint)),
        json!({"number": peer.number, "url": peer.url, "fingerprint": fingerprint, "state": state}),
    ))
}

/// What adding means beside the peers that there are: a changed key or authority is a person's decision.
fn compare(known: &[peers::Added], new: &Signed<PeerFile>, replace: bool) -> Result<&'static str, CliError> {
    let damaged = |_| CliError::Damaged("a stored peer cannot be read".to_owned());
    let described = new.peek().map_err(damaged)?;
    let mut state = "added";
    for old in known {
        let old = old.signed.peek().map_err(damaged)?;
        let same_key = old.key == described.key;
        if old.number != described.number {
            if same_key || old.ca == described.ca {
                return Err(refused(
                    "peer-key-taken",
                    "another municipality has been added with this key or authority",
                    "each municipality has its own; `stafettd peer list` shows them",
                ));
            }
            continue;
        }
        if (!same_key || old.ca != described.ca) && !replace {
            return Err(refused(
                "peer-key-changed",
                "this municipality is known with another key or certificate authority",
                "read the fingerprint to its operator on the telephone; if it is right, add it with --replace",
            ));
        }
        state = if old == described { "unchanged" } else { "replaced" };
    }
    if known.len() >= peers::MOST {
        return Err(refused("too-many-peers", "there is no room for more peers", "remove one first"));
    }
    Ok(state)
}

fn refused(code: &'static str, message: &str, hint: &'static str) -> CliError {
    CliError::Refused { code, message: message.to_owned(), hint }
}

async fn remove(dir: &Path, number: u16) -> Result<Said, CliError> {
    let (_, db) = super::open(dir).await?;
    let removed = db
        .write::<bool, CliError, _>(move |conn: &mut Conn| {
            Box::pin(async move {
                peers::raise_version(conn).await?;
                notify(conn, Notice::Peers).await?;
                Ok(peers::remove(conn, number).await?)
            })
        })
        .await?;
    db.close().await;
    if !removed {
        return Err(refused("peer-unknown", "no such peer", "`stafettd peer list` shows them"));
    }
    Ok(Said::new(format!("{number:04} is not trusted any more"), json!({"number": number, "state": "removed"})))
}

/// Every added peer with the time when it was added; a row that is not believed is an error.
pub async fn stored(db: &Db) -> Result<Vec<(Arc<Peer>, u64)>, CliError> {
    let added = peers::all(&mut db.reader().await?).await?;
    let checked = added.into_iter().map(|added| {
        let peer = Peer::of(&added.signed).map_err(|error| CliError::Damaged(error.to_string()))?;
        Ok((Arc::new(peer), added.added_ms))
    });
    checked.collect()
}

/// A peer as it is printed, with what the command adds to it.
fn shown(peer: &Peer, more: Value) -> Value {
    let mut fields = serde_json::Map::new();
    fields.insert("number".to_owned(), json!(peer.number));
    fields.insert("name".to_owned(), json!(peer.name));
    fields.insert("url".to_owned(), json!(peer.url));
    fields.insert("fingerprint".to_owned(), json!(peer.fingerprint().to_string()));
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    Value::Object(fields)
}

async fn list(dir: &Path) -> Result<Said, CliError> {
    let (_, db) = super::open(dir).await?;
    let found = stored(&db).await?;
    db.close().await;
    let words = found.iter().map(|(peer, _)| {
        format!("{:04} {} {}\n     {}", peer.number, peer.name, peer.url, grouped(&peer.fingerprint().to_string()))
    });
    let words: Vec<String> = words.collect();
    let list: Vec<Value> = found.iter().map(|(peer, at)| shown(peer, json!({"added_ms": at}))).collect();
    Ok(Said::new(if words.is_empty() { "no peers".to_owned() } else { words.join("\n") }, json!({"peers": list})))
}

/// How a peer answers: the same for `peer check` and `doctor`.
pub async fn ask(federation: &Federation, peer: &Peer) -> Result<String, String> {
    let answer = federation.outgoing.ask(peer.number, Method::GET, HELLO_PATH, vec![], HELLO_BYTES).await;
    let hello: Hello = serde_json::from_slice(&answer.map_err(|error| error.to_string())?)
        .map_err(|_| "the peer's answer is not one".to_owned())?;
    if hello.number != peer.number {
        return Err("another municipality answers there".to_owned());
    }
    let (now, theirs) = (now_ms(), hello.time_ms);
    let far = format!("{} s {}", now.abs_diff(theirs) / 1000, if theirs < now { "behind" } else { "ahead" });
    if now.abs_diff(theirs) > CLOCK_SKEW_SHOWN_MILLIS {
        return Err(format!("its clock is {far}: one of the two is wrong"));
    }
    Ok(format!("answers, trusts this server, version {}, clock {far}", hello.version))
}

/// A federation as the running server has it, with the peers of now.
pub async fn federation(home: &Home, db: &Db) -> Result<Federation, CliError> {
    let federation = Federation::new(&Municipality::of(home)?, &serve::authority(home)?)?;
    federation.peers.refresh(db).await?;
    Ok(federation)
}

async fn check(dir: &Path) -> Result<Said, CliError> {
    let (home, db) = super::open(dir).await?;
    let federation = federation(&home, &db).await?;
    let (mut words, mut list, mut well) = (vec![], vec![], true);
    for (peer, _) in stored(&db).await? {
        let result = ask(&federation, &peer).await;
        well &= result.is_ok();
        let (sign, detail) = match &result {
            Ok(detail) => ("ok   ", detail),
            Err(detail) => ("WRONG", detail),
        };
        words.push(format!("{sign} {:04} {}: {detail}", peer.number, peer.name));
        list.push(shown(&peer, json!({"ok": result.is_ok(), "detail": detail})));
    }
    db.close().await;
    let words = if words.is_empty() { "no peers".to_owned() } else { words.join("\n") };
    let mut said = Said::new(words, json!({"peers": list}));
    said.exit = if well { 0 } else { 4 };
    Ok(said)
}
