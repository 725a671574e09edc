//! What a person is told, made of what a script got: the same types and the same words, in any language.

use serde_json::{Map, Value};
use stafett_cli::terminal::here::{FileWritten, Forgotten, MeHere};
use stafett_cli::terminal::output::Said;
use stafett_cli::terminal::sending::Sending;
use stafett_client_core::answer::Answer;
use stafett_words::TimeZone;
use stafett_words::messages::Messages;
use stafett_words::names::Names;
use stafett_words::reader::Reader;
use stafett_words::render;
use stafett_words::shown::Shown as _;

use crate::support::text;

/// The answer that scripts got, and another process would.
pub fn read(name: &str, value: &Value) -> Answer {
    let tagged = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
    let answer = serde_json::from_value(tagged).unwrap_or_else(|why| panic!("{name}: {why}: {value}"));
    let Answer::Sync(_) = &answer else { return answer };
    assert_eq!(answer.to_json(), *value, "read back whole");
    answer
}

/// As the catalogue calls what was typed.
fn name_of(words: &[&str]) -> &'static str {
    let typed = [words[0], words.get(1).copied().unwrap_or_default()].join(".");
    match (words[0], typed.as_str()) {
        ("verify", _) if words.contains(&"--number") => "verify.matches",
        (first, typed) => {
            let named = |name: &&&str| **name == typed || **name == first;
            Answer::NAMES.iter().filter(named).max_by_key(|name| name.len()).unwrap_or_else(|| panic!("{typed}"))
        }
    }
}

/// What a person reads who typed these words and got this answer.
pub fn in_words(messages: &Messages, words: &[&str], value: &Value, names: &Names) -> String {
    if words.starts_with(&["home", "forget"]) {
        let gone = Forgotten { forgotten: true, home: text(value, "home"), server: "" };
        let name = format!("home.forget.{}", text(value, "server"));
        let to = Reader::new(messages, names, TimeZone::system());
        return render::words(&to, &name, &gone.part(&to));
    }
    let name = name_of(words);
    let (answer, to) = (read(name, value), Reader::new(messages, names, TimeZone::system()));
    let part = match answer {
        Answer::Me(me) => MeHere { me, home: text(value, "home"), kept: value["kept"] == true }.part(&to),
        Answer::AttachmentGet(got) => FileWritten { got, file: text(value, "file") }.part(&to),
        other => other.part(&to),
    };
    let mut said = Said { value: Value::Null, text: render::words(&to, name, &part) };
    match value.pointer("/delivery/state").and_then(Value::as_str) {
        Some("later") => Sending::Later(None).tell(&to, name, &mut said),
        Some(_) => {
            let Answer::Sync(counts) = read("sync", &without_state(&value["delivery"])) else { panic!("no counts") };
            Sending::Done(counts).tell(&to, name, &mut said);
        }
        None => {}
    }
    said.text
}

fn without_state(delivery: &Value) -> Value {
    let mut counts = delivery.clone();
    counts.as_object_mut().unwrap().remove("state");
    counts
}
