//! What a contact with the server came to, in one calm line: «3 sendt, 2 nye: lysglimt fra Mari (Ella), notat fra Tone (Ella).»

use stafett_client_core::answer::{Counts, News};

use crate::messages::Messages;
use crate::reader::printable;

/// More than so many kinds of news are counted, not named.
const NAMED: usize = 4;

/// The line for the counts of a `sync`.
pub fn line(messages: &Messages, counts: &Counts) -> String {
    let news = grouped(counts);
    let part = |key: &str, many: u64| messages.say(key, &[("many", &many.to_string())]);
    let mut parts = Vec::new();
    if counts.sent > 0 {
        parts.push(part("sync.sent", counts.sent));
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
    if counts.refused > 0 {
        parts.push(part("sync.refused", counts.refused));
    }
    if counts.queued > 0 {
        parts.push(part("sync.queued", counts.queued as u64));
    }
    let line = format!("{}.", parts.join(", "));
    let mut letters = line.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// News of one kind by one person about one child count as one, in the order in which they came.
fn grouped(counts: &Counts) -> Vec<(&News, usize)> {
    let mut groups: Vec<(&News, usize)> = Vec::new();
    let alike = |a: &News, b: &News| (&a.kind, &a.by, &a.child) == (&b.kind, &b.by, &b.child);
    // What one has written oneself is no news, wherever.
    for one in counts.news.iter().flatten().filter(|one| !one.own) {
        match groups.iter_mut().find(|(first, _)| alike(first, one)) {
            Some((_, many)) => *many += 1,
            None => groups.push((one, 1)),
        }
    }
    groups
}

fn told(messages: &Messages, one: &News, many: usize) -> String {
    // Told together with others alike, whatever concern each is in.
    let News { kind, by, own: _, child, title: _, log: _ } = one;
    let (kind, by) = (kind.as_str(), printable(by));
    let what = match many {
        1 => messages.say(&format!("word.{kind}"), &[]),
        _ => messages.say(&format!("many.{kind}"), &[("many", &many.to_string())]),
    };
    let child = child.as_deref().map(printable).unwrap_or_default();
    let key = if child.is_empty() { "sync.from" } else { "sync.from-about" };
    messages.say(key, &[("what", &what), ("by", &by), ("child", &child)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Language;
    use stafett_client_core::answer::Counts;

    #[test]
    fn a_contact_in_one_line() {
        let nb = Messages::of(Language::Bokmaal);
        let one = |kind: &'static str, by: &str, own: bool| News {
            kind: kind.into(),
            by: by.into(),
            own,
            child: Some("Ella".into()),
            title: None,
            log: "12ab".into(),
        };
        let counts = |sent: u64, queued: usize, news: Vec<News>| Counts {
            sent,
            received: 4,
            refused: 0,
            queued,
            problems: vec![],
            given_up: 0,
            drafts: vec![],
            news: Some(news),
        };
        assert_eq!(line(&nb, &counts(0, 0, vec![])), "Ingenting nytt.");
        let news = vec![one("glimpse", "Mari", false), one("glimpse", "Mari", false), one("note", "Tone", false)];
        let busy = counts(3, 1, news);
        assert_eq!(
            line(&nb, &busy),
            "3 sendt, 3 nye: 2 lysglimt fra Mari (Ella), notat fra Tone (Ella), 1 venter på å bli sendt."
        );
        let own = counts(0, 0, vec![one("measure", "Mari", true)]);
        assert_eq!(line(&Messages::of(Language::Nynorsk), &own), "Ingenting nytt.");
    }
}
