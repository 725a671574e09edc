//! What a device shows, in a form that devices of different people can be compared by.

use super::home::Home;
use super::world::{list, text};
use serde_json::{Value, json};

/// A log as this device shows it: every concern with all that stands in it, what waits and what was set aside.
pub fn of_log(home: &Home, log: &str) -> Value {
    let shown = home.ok(&["log", "show", log]);
    let mut people: Vec<Value> =
        list(&shown, "participants").iter().map(|p| json!([p["person"], p["role"], p["access"]])).collect();
    people.sort_by_key(Value::to_string);
    let mut concerns: Vec<Value> =
        list(&shown, "concerns").iter().map(|c| of_concern(home, &text(c, "concern"))).collect();
    concerns.sort_by_key(Value::to_string);
    json!({
        "child": shown["child"], "status": shown["status"], "level": shown["level"], "holder": shown["holder"],
        "people": people, "concerns": concerns,
        "pending": shown["pending"], "quarantined": shown["quarantined"],
    })
}

/// A concern, without what each reader names in their own way.
pub fn of_concern(home: &Home, concern: &str) -> Value {
    let shown = home.ok(&["concern", "show", concern]);
    let measures: Vec<Value> = list(&shown, "measures")
        .iter()
        .map(|m| {
            let evaluation = &m["evaluation"];
            json!([m["measure"], m["text"], m["arena"], m["due"], m["state"], evaluation["result"], evaluation["text"]])
        })
        .collect();
    let glimpses: Vec<Value> =
        list(&shown, "glimpses").iter().map(|g| json!([g["id"], g["time"], g["text"]])).collect();
    json!({
        "concern": shown["concern"], "title": shown["title"], "goal": shown["goal"], "state": shown["state"],
        "measures": measures, "glimpses": glimpses,
    })
}

/// How often a text stands in a view as a whole.
pub fn count(view: &Value, words: &str) -> usize {
    match view {
        Value::String(found) => usize::from(found == words),
        Value::Array(values) => values.iter().map(|v| count(v, words)).sum(),
        Value::Object(fields) => fields.values().map(|v| count(v, words)).sum(),
        _ => 0,
    }
}

/// The measure with this text, as a command that made it would have answered.
pub fn measure(home: &Home, concern: &str, words: &str) -> Option<Value> {
    let shown = home.ok(&["concern", "show", concern]);
    let found = list(&shown, "measures").iter().find(|m| m["text"] == words)?;
    Some(json!({"concern": concern, "measure": found["measure"]}))
}

/// The glimpse with this text.
pub fn glimpse(home: &Home, concern: &str, words: &str) -> Option<Value> {
    let shown = home.ok(&["concern", "show", concern]);
    list(&shown, "glimpses").iter().find(|g| g["text"] == words).map(|g| json!({"id": g["id"]}))
}

/// The concern with this title, and its first measure.
pub fn concern(home: &Home, log: &str, title: &str) -> Option<Value> {
    let shown = home.ok(&["log", "show", log]);
    let found = list(&shown, "concerns").iter().find(|c| c["title"] == title)?;
    let concern = text(found, "concern");
    let measures = home.ok(&["concern", "show", &concern]);
    Some(json!({"concern": concern, "measure": list(&measures, "measures").first()?["measure"]}))
}

/// Whose home this is, once it is somebody's.
pub fn joined(home: &Home) -> Option<Value> {
    let people = home.run(&["people"]);
    let own = people.value["people"].as_array()?.iter().find(|p| p["verified"] == "self")?;
    Some(json!({"person": own["person"], "unit": own["unit"], "role": own["role"]}))
}
