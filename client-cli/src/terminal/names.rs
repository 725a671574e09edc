//! Names for the ids in an answer: people read who and what, scripts read the ids. Only the words get them, never the JSON.

use std::collections::BTreeMap;

use serde_json::Value;
use stafett_client_core::client::input::Command as Wish;

use crate::host::desk::Desk;

/// What is known by a name here: people, units, logs by their child, concerns by their title.
#[derive(Default)]
pub struct Names(BTreeMap<String, String>);

/// Fields that hold an id, and whether an id that nobody has named is better than nothing.
const NAMED: [(&str, bool); 4] = [("person", true), ("unit", true), ("log", true), ("scope", false)];

impl Names {
    /// Everything that this device knows by name.
    pub async fn gather(desk: &mut Desk) -> Self {
        let mut names = Self::default();
        // A device that is nobody yet knows nobody.
        for (wish, list, id, name) in [
            (Wish::People { unit: None }, "people", "person", "name"),
            (Wish::Units, "units", "unit", "name"),
            (Wish::LogList, "logs", "log", "child"),
        ] {
            let answer = desk.perform(wish).await.unwrap_or_default();
            names.learn(&answer, list, id, name);
            for log in answer.get("logs").and_then(Value::as_array).into_iter().flatten() {
                let Some(log) = log.get("log").and_then(Value::as_str) else { continue };
                let shown = desk.perform(Wish::LogShow { log: log.to_owned() }).await.unwrap_or_default();
                names.learn(&shown, "concerns", "concern", "title");
                names.learn(&shown, "participants", "person", "name");
            }
        }
        names
    }

    /// From one list of an answer.
    pub fn learn(&mut self, answer: &Value, list: &str, id: &str, name: &str) {
        let text = |one: &Value, key: &str| one.get(key).and_then(Value::as_str).map(str::to_owned);
        for one in answer.get(list).and_then(Value::as_array).into_iter().flatten() {
            if let (Some(id), Some(name)) = (text(one, id), text(one, name).filter(|name| !name.is_empty())) {
                self.0.insert(id, name);
            }
        }
    }

    /// Puts `person_name` beside `person`, and so on, wherever they stand in an answer.
    pub fn put_into(&self, value: &mut Value) {
        match value {
            Value::Array(parts) => parts.iter_mut().for_each(|part| self.put_into(part)),
            Value::Object(fields) => {
                fields.values_mut().for_each(|part| self.put_into(part));
                // A part of a log that has a title is called by it.
                let title = fields.get("scope").and_then(Value::as_str).and_then(|scope| self.0.get(scope)).cloned();
                if let (Some(part), Some(title)) = (fields.get_mut("part"), title) {
                    *part = Value::String(title);
                }
                for (key, or_id) in NAMED {
                    let Some(id) = fields.get(key).and_then(Value::as_str) else { continue };
                    let name = self.0.get(id).cloned().or_else(|| or_id.then(|| id.to_owned()));
                    fields.entry(format!("{key}_name")).or_insert_with(|| name.map_or(Value::Null, Value::String));
                }
            }
            _ => {}
        }
    }
}
