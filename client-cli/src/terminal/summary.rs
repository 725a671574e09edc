//! What a contact with the server came to, in one calm line: «3 sendt, 2 nye: lysglimt fra Mari (Ella), notat fra Tone (Ella).»

use serde_json::Value;

use crate::terminal::messages::Messages;
use crate::terminal::render::printable;

/// More than so many kinds of news are counted, not named.
const NAMED: usize = 4;

/// The line for the counts of a `sync`.
pub fn line(messages: &Messages, counts: &Value) -> String {
    let count = |key: &str| counts.get(key).and_then(Value::as_u64).unwrap_or(0);
    let news = grouped(counts);
    let part = |key: &str, many: u64| messages.say(key, &[("many", &many.to_string())]);
    let mut parts = Vec::new();
    if count("sent") > 0 {
        parts.push(part("sync.sent", count("sent")));
    }
    if news.is_empty() {
        parts.push(messages.say("sync.nothing-new", &[]));
    } else {
        let many: usize = news.iter().map(|(_, many)| many).sum();
        let mut named: Vec<String> = news.iter().take(NAMED).map(|(one, many)| told(messages, one, *many)).collect();
        let rest: usize = news.iter().skip(NAMED).map(|(_, many)| many).sum();
        if rest > 0 {
            named.push(part("sync.more", rest as u64));
        }
        parts.push(messages.say("sync.new", &[("many", &many.to_string()), ("what", &named.join(", "))]));
    }
    if count("refused") > 0 {
        parts.push(part("sync.refused", count("refused")));
    }
    if count("queued") > 0 {
        parts.push(part("sync.queued", count("queued")));
    }
    let line = format!("{}.", parts.join(", "));
    let mut letters = line.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// News of one kind by one person about one child count as one, in the order in which they came.
fn grouped(counts: &Value) -> Vec<(&Value, usize)> {
    let mut groups: Vec<(&Value, usize)> = Vec::new();
    let alike = |a: &Value, b: &Value| ["kind", "by", "child"].iter().all(|key| a.get(key) == b.get(key));
    // What one has written oneself is no news, wherever.
    let others = |one: &&Value| one.get("own") != Some(&Value::Bool(true));
    for one in counts.get("news").and_then(Value::as_array).into_iter().flatten().filter(others) {
        match groups.iter_mut().find(|(first, _)| alike(first, one)) {
            Some((_, many)) => *many += 1,
            None => groups.push((one, 1)),
        }
    }
    groups
}

fn told(messages: &Messages, one: &Value, many: usize) -> String {
    let text = |key: &str| one.get(key).and_then(Value::as_str).map(printable).unwrap_or_default();
    let by = text("by");
    let kind = text("kind");
    let what = match many {
        1 => messages.say(&format!("word.{kind}"), &[]),
        _ => messages.say(&format!("many.{kind}"), &[("many", &many.to_string())]),
    };
    let child = text("child");
    let key = if child.is_empty() { "sync.from" } else { "sync.from-about" };
    messages.say(key, &[("what", &what), ("by", &by), ("child", &child)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::messages::Language;
    use serde_json::json;

    #[test]
    fn a_contact_in_one_line() {
        let nb = Messages::of(Language::Bokmaal);
        let one = |kind: &str, by: &str| json!({"kind": kind, "by": by, "own": false, "child": "Ella"});
        let quiet = json!({"sent": 0, "received": 4, "refused": 0, "queued": 0, "news": []});
        assert_eq!(line(&nb, &quiet), "Ingenting nytt.");
        let news = [one("glimpse", "Mari"), one("glimpse", "Mari"), one("note", "Tone")];
        let busy = json!({"sent": 3, "received": 9, "refused": 0, "queued": 1, "news": news});
        assert_eq!(
            line(&nb, &busy),
            "3 sendt, 3 nye: 2 lysglimt fra Mari (Ella), notat fra Tone (Ella), 1 venter på å bli sendt."
        );
        let own = json!({"news": [{"kind": "measure", "by": "Mari", "own": true, "child": null}]});
        assert_eq!(line(&Messages::of(Language::Nynorsk), &own), "Ingenting nytt.");
    }
}
