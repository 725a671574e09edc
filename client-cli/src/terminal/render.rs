//! Turns the JSON of an answer into plain words, by the catalogue alone: `say.<command>` for the whole, `line.<command>.<key>`
//! for each entry of a list with `also.<command>.<key>.<field>` below it where it has that field, `none.<command>.<key>` for
//! an empty one, `word.<value>` for the fixed words of the contract. A place may name a field of a field: `{authority.of}`.

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::terminal::dates;
use crate::terminal::messages::Messages;
use crate::terminal::{problems, summary};

/// Keys whose values are fixed words, not texts that somebody wrote.
const WORD_KEYS: [&str; 14] = [
    "part",
    "answer",
    "status",
    "state",
    "access",
    "role",
    "kind",
    "arena",
    "evaluation",
    "result",
    "reason",
    "verified",
    "responsible",
    "waiting",
];

/// Keys whose values are days and moments.
const TIME_KEYS: [&str; 8] = ["at", "born", "due", "expires", "from", "time", "to", "youth_from"];

/// The words for an answer of `command` (for example `log.show`).
pub fn words(messages: &Messages, command: &str, value: &Value) -> String {
    let mut lines = Vec::new();
    // A receipt is an answer of its own inside the answer.
    let value = value.get("receipt").filter(|inner| inner.is_object()).unwrap_or(value);
    let differs = command == "verify.matches" && value.get("matches") == Some(&Value::Bool(false));
    let saying = if differs { "verify.differs" } else { command };
    if command == "sync" {
        lines.push(summary::line(messages, value));
    } else if let Some(text) = messages.find(&format!("say.{saying}")) {
        lines.push(messages.fill(text, |name| scalar(messages, name, named(value, name))));
    }
    lines.extend(lists(messages, command, value));
    lines.join("\n")
}

/// The words for the lists in an answer alone.
pub fn lists(messages: &Messages, command: &str, value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let lists = value.as_object().into_iter().flatten().filter_map(|(key, value)| Some((key, value.as_array()?)));
    for (key, entries) in lists {
        let line = messages.find(&format!("line.{command}.{key}"));
        if let (Some(line), false) = (line, entries.is_empty()) {
            if let Some(heading) = messages.find(&format!("head.{command}.{key}")) {
                lines.push(heading.to_owned());
            }
            for entry in entries {
                lines.push(messages.fill(line, |name| in_entry(messages, entry, name)));
                let also = format!("also.{command}.{key}.");
                for (field, text) in messages.under(&also) {
                    // A line that names its field speaks of the entry; another one of what is in the field.
                    let of_entry = text.contains(&format!("{{{field}}}"));
                    let parts = parts(entry, field, of_entry).into_iter();
                    lines.extend(
                        parts.map(|part| format!("    {}", messages.fill(text, |n| in_entry(messages, part, n)))),
                    );
                }
            }
        } else if let (Some(none), true) = (messages.find(&format!("none.{command}.{key}")), entries.is_empty()) {
            lines.push(none.to_owned());
        }
    }
    lines
}

/// What a line below an entry speaks of: each part of a list that it has, the one part, or, of a plain value, the entry.
fn parts<'a>(entry: &'a Value, field: &str, of_entry: bool) -> Vec<&'a Value> {
    match at(entry, field) {
        None | Some(Value::Null) => vec![],
        Some(Value::Array(none)) if none.is_empty() => vec![],
        Some(_) if of_entry => vec![entry],
        Some(Value::Array(parts)) if parts.iter().all(Value::is_object) => parts.iter().collect(),
        Some(part @ Value::Object(_)) => vec![part],
        Some(_) => vec![entry],
    }
}

/// What stands at `name`, or at `name.of.a.part`.
fn at<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(value, |value, part| value.get(part))
}

fn in_entry(messages: &Messages, entry: &Value, name: &str) -> String {
    match (name, entry.get("code").and_then(Value::as_str)) {
        // A problem by the words that its code has, here as where it stops a command.
        ("message", Some(code)) => fault(messages, code, entry.get("message").and_then(Value::as_str)),
        _ => scalar(messages, name, at(entry, name).or(Some(entry))),
    }
}

/// What a problem's code means and what to do; its own words where the catalogue has none.
pub fn fault(messages: &Messages, code: &str, detail: Option<&str>) -> String {
    let detail = printable(detail.unwrap_or(code));
    let filled = |text: &str| messages.fill(text, |name| if name == "code" { code.to_owned() } else { detail.clone() });
    let text = problems::text(messages, code).map(filled);
    let hint = problems::way(messages, code).map(filled);
    // Words of nobody's language say less than that a rule said no, and which.
    let unknown = || if detail == code { messages.say("fault.by-rule", &[("code", code)]) } else { detail.clone() };
    [Some(text.unwrap_or_else(unknown)), hint].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The core names whom nobody has named by the beginning of their id.
fn is_nameless(person: &serde_json::Map<String, Value>) -> bool {
    let text = |key: &str| person.get(key).and_then(Value::as_str).unwrap_or_default();
    text("name").len() == 8 && text("person").starts_with(text("name"))
}

/// A holder is shown by the name that the same answer gives.
fn named<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let plain = value.get(key);
    let people = value.get("participants").filter(|_| key == "holder").and_then(Value::as_array);
    let known = people.and_then(|people| people.iter().find(|one| one.get("person") == plain));
    known.and_then(|one| one.get("name")).or(plain)
}

fn scalar(messages: &Messages, name: &str, value: Option<&Value>) -> String {
    let absent = || messages.say("word.absent", &[]);
    match value {
        None | Some(Value::Null) => absent(),
        // A person whom nobody here has named.
        Some(Value::Object(fields)) if is_nameless(fields) => {
            let text = messages.find("part.nameless").unwrap_or("{person}");
            messages.fill(text, |field| scalar(messages, field, fields.get(field)))
        }
        // A person: by name, how far this very key is believed, and what else somebody called them.
        Some(Value::Object(fields)) if fields.contains_key("name") => {
            let called = fields.get("called").is_some_and(|called| !called.is_null());
            let text = messages.find(if called { "part.called" } else { "part.person" }).unwrap_or("{name}");
            messages.fill(text, |field| scalar(messages, field, fields.get(field)))
        }
        // A part of a log: by its title, else by what kind of part it is.
        Some(Value::Object(fields)) => match fields.get("title").and_then(Value::as_str) {
            Some(title) if !title.is_empty() => printable(title),
            _ => scalar(messages, "kind", fields.get("kind")),
        },
        Some(Value::Bool(yes)) => messages.say(if *yes { "word.yes" } else { "word.no" }, &[]),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) if text.is_empty() => absent(),
        Some(Value::String(code)) if name == "problem" => fault(messages, code, None),
        Some(Value::String(text)) => {
            let name = if name.ends_with("_verified") { "verified" } else { name };
            let last = name.rsplit('.').next().unwrap_or(name);
            if let Some(moment) =
                TIME_KEYS.contains(&last).then(|| dates::shown(messages, text, &TimeZone::system())).flatten()
            {
                return moment;
            }
            let known = WORD_KEYS.contains(&name).then(|| messages.find(&format!("word.{text}"))).flatten();
            known.map_or_else(|| printable(text), str::to_owned)
        }
        Some(Value::Array(parts)) => {
            let mut parts: Vec<String> = parts.iter().map(|part| scalar(messages, name, Some(part))).collect();
            // A part of a log is named once, however much is asked for it.
            parts.dedup();
            if parts.is_empty() { absent() } else { parts.join(", ") }
        }
    }
}

/// What others wrote may not steer this terminal, nor turn the direction of its lines.
pub fn printable(text: &str) -> String {
    let steers = |letter: char| letter.is_control() && letter != '\n';
    let turns = |letter: char| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|letter| if steers(letter) || turns(letter) { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::messages::Language;
    use serde_json::json;

    #[test]
    fn a_request_shows_who_will_decide_and_whose_key_is_believed_how() {
        let messages = Messages::of(Language::English);
        let guardians = json!([
            {"name": "Mari", "called": null, "verified": "self"},
            {"name": "Far Foss", "called": "Rektor", "verified": "unknown"},
        ]);
        let authority = json!({"guardians": guardians, "quorum": 1, "of": 2, "child": null, "youth_from": null});
        let request = json!({"request": "ab12", "grantee": "PPT", "grantee_verified": "municipality", "from": "Tone",
            "from_verified": "code", "access": "read", "scopes": [], "expires": "2027", "log": "cd34", "text": "Hi",
            "leader": null, "moves_to": null, "authority": authority, "problem": "key-differs"});
        let text = words(&messages, "consent.pending", &json!({"requests": [request]}));
        for said in
            ["Mari", "yourself", "Far Foss", "“Rektor”", "by nobody", "1 of 2 must", "another key", "Compare keys"]
        {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(!text.contains("decides alone") && !text.contains('{'), "{text}");
        let problems = json!({"problems": [{"code": "key-differs", "message": "in English"}]});
        let told = words(&Messages::of(Language::Nynorsk), "sync", &problems);
        assert!(told.contains("annan nøkkel") && !told.contains("in English"), "{told}");
    }

    #[test]
    fn lists_and_words() {
        let messages = Messages::of(Language::Bokmaal);
        let logs = json!({"logs": [{"log": "12ab", "status": "active", "holder": null, "home": 3209}]});
        let text = words(&messages, "log.list", &logs);
        assert!(text.contains("12ab") && text.contains("i bruk") && text.contains("3209"), "{text}");
        assert!(!text.contains('{'), "{text}");
        let none = words(&messages, "log.list", &json!({"logs": []}));
        assert!(!none.is_empty());
    }

    #[test]
    fn numbers_that_differ_are_a_warning() {
        let messages = Messages::of(Language::English);
        let answer = |matches: bool| words(&messages, "verify.matches", &json!({"person": "12ab", "matches": matches}));
        assert!(answer(false).contains("DIFFER") && !answer(true).contains("DIFFER"));
    }

    #[test]
    fn a_receipt_names_who_is_told() {
        let receipt = json!({"receipt": {"at": "2026-11-21T23:07:39Z", "told": ["Tone Aasheim", "Magnus"]}});
        let text = words(&Messages::of(Language::Nynorsk), "consent.withdraw", &receipt);
        assert!(text.contains("Tone Aasheim, Magnus") && text.contains(".11.2026"), "{text}");
    }

    #[test]
    fn control_letters_are_shown_not_obeyed() {
        let messages = Messages::of(Language::English);
        let text = words(
            &messages,
            "units",
            &json!({"units": [{"unit": "1", "name": "a\u{1b}[2Jb\u{202e}c", "kind": "school"}]}),
        );
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}
