//! What the terminal says of an answer that a test holds as scripts get it.

use serde_json::{Map, Value};
use stafett_client_core::answer::Answer;
use stafett_words::TimeZone;
use stafett_words::messages::Messages;
use stafett_words::names::Names;
use stafett_words::reader::Reader;
use stafett_words::render;
use stafett_words::shown::Shown as _;

/// In the words of a catalogue; `name` as the catalogue calls the command.
pub fn in_words(messages: &Messages, name: &str, value: &Value) -> String {
    let tagged = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
    let answer: Answer = serde_json::from_value(tagged).unwrap_or_else(|why| panic!("{name}: {why}: {value}"));
    let names = Names::default();
    let to = Reader::new(messages, &names, TimeZone::UTC);
    render::words(&to, name, &answer.part(&to))
}
