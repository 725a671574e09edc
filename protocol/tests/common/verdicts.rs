//! Every verdict that these tests see, written down for a second opinion: with `STAFETT_VERDICTS=FOLDER` each
//! test program leaves a file of lines there, which `tests/verifier` judges again.

use stafett_protocol::codec::encode;
use stafett_protocol::event::Record;
use stafett_protocol::ids::{Hash, to_hex};
use stafett_protocol::policy::Context;
use stafett_protocol::refusal::Refusal;
use std::io::Write as _;
use std::sync::{Mutex, OnceLock};

static FILE: OnceLock<Option<Mutex<std::fs::File>>> = OnceLock::new();

fn file() -> Option<&'static Mutex<std::fs::File>> {
    FILE.get_or_init(|| {
        let folder = std::env::var_os("STAFETT_VERDICTS")?;
        std::fs::create_dir_all(&folder).unwrap();
        let name = std::path::Path::new(&folder).join(format!("{}.jsonl", std::process::id()));
        Some(Mutex::new(std::fs::File::create(name).unwrap()))
    })
    .as_ref()
}

/// Notes what was asked, on the chain with this head (none: the first record), and what the rule said.
pub fn note(context: &Context<'_>, before: Option<Hash>, record: &Record, answer: Result<(), Refusal>) {
    let Some(file) = file() else { return };
    let quoted = |hash: Option<Hash>| hash.map_or("null".to_owned(), |h| format!("\"{h}\""));
    let keys: Vec<String> =
        context.trusted.0.iter().map(|m| format!("[{},\"{}\"]", m.number, to_hex(&m.key))).collect();
    let line = format!(
        "{{\"trusted\":[{}],\"home\":{},\"now\":{},\"card\":{},\"before\":{},\"record\":\"{}\",\"refused\":{}}}\n",
        keys.join(","),
        context.home,
        context.now,
        quoted(context.card.map(|c| c.position.head)),
        quoted(before),
        to_hex(&encode(record)),
        answer.err().map_or("null".to_owned(), |r| format!("\"{}\"", r.code())),
    );
    file.lock().unwrap().write_all(line.as_bytes()).unwrap();
}
