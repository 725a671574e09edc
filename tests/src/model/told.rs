//! What the terminal says of an answer that a test holds as scripts get it.

use serde_json::{Map, Value};
use stafett_cli::terminal::messages::Messages;
use stafett_cli::terminal::names::Names;
use stafett_cli::terminal::reader::Reader;
use stafett_cli::terminal::render;
use stafett_cli::terminal::shown::Shown as _;
use stafett_client_core::answer::Answer;

/// In the words of a catalogue; `name` as the catalogue calls the command.
pub fn in_words(messages: &Messages, name: &str, value: &Value) -> String {
    let tagged = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
    let answer: Answer = serde_json::from_value(tagged).unwrap_or_else(|why| panic!("{name}: {why}: {value}"));
    let names = Names::default();
    let to = Reader::here(messages, &names);
    render::words(&to, name, &answer.part(&to))
}
