//! What a home gets to hear (P1, P3).

use super::chain::glimpse;
use stafett_client_core::client::input::{Command as C, NewMeasure};
use stafett_protocol::event::Body;
use stafett_tests::model::cast::{Cast, cast, log, text};
use stafett_tests::model::people::Device;

fn holds(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|w| w == needle)
}

/// P1: names, titles and texts, in every frame that every client sends. (`stafett demo` and the scenarios search
/// real servers' files, logs and traffic.)
#[test]
fn p1_nothing_that_people_write_or_are_called_reaches_the_home_in_clear() {
    let mut cast = cast();
    let log = log(&mut cast);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let measure = NewMeasure { text: "Kanari tiltak".into(), ..NewMeasure::default() };
    let (title, goal) = ("Kanari tittel".to_owned(), "Kanari mål".to_owned());
    let new = C::ConcernNew { log: log.clone(), title, goal, category: None, measure };
    let concern = text(&teacher.ask(home, new).unwrap(), "concern");
    teacher.sync(home);
    mother.sync(home);
    glimpse(home, mother, &concern, "Kanari glimt");
    mother.ask(home, C::Comment { concern, text: "Kanari kommentar".into() }).unwrap();
    teacher.ask(home, C::Note { log, text: "Kanari notat".into() }).unwrap();
    mother.sync(home);
    teacher.sync(home);
    let code = text(&mother.ask(home, C::DeviceLink).unwrap(), "code");
    mother.sync(home);
    Device::new(50).ask(home, C::DeviceAccept { code, name: "Kanari nettbrett".into() }).unwrap();
    mother.sync(home);
    for name in ["Solvang skole", "Ella", "2015-03-04", "Tone", "Moen", "Foss", "Larsen", "Kanari"] {
        let utf16: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(!holds(&home.heard, name.as_bytes()) && !holds(&home.heard, &utf16), "{name} was sent in clear");
    }
    assert!(holds(&home.heard, &mother.id.unwrap().0), "the search finds what is there");
}

/// P3: sizes come in steps; one letter more tells nothing.
#[test]
fn p3_sealed_sizes_come_in_steps_and_tell_no_length() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = stafett_tests::model::cast::concern(&mut cast, &log);
    let Cast { home, teacher, .. } = &mut cast;
    let mut sizes = std::collections::BTreeSet::new();
    for length in 1..60 {
        let words: String = (0..length).map(|n| char::from(b'a' + (n * 7 % 26) as u8)).collect();
        glimpse(home, teacher, &concern, &words);
        let record = home.scopes[&concern.parse().unwrap()].records.last().unwrap().event.peek().unwrap();
        let Body::Change(change) = record.body else { panic!("a change") };
        sizes.insert(change.sealed.as_slice().len());
    }
    assert!(sizes.iter().all(|s| s % 64 == 0) && sizes.len() <= 3, "{sizes:?}");
}

/// What stands between a macro's parentheses.
fn arguments(text: &str) -> &str {
    let (mut depth, mut quoted) = (1, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// Every log line of the server: `error` at most (whose texts are those of the code), and a fixed text.
fn log_lines(text: &str) -> Vec<(String, bool)> {
    let calls = text.match_indices("tracing::").filter_map(|(at, _)| {
        let (level, inside) = text[at + "tracing::".len()..].split_once("!(")?;
        ["error", "warn", "info", "debug", "trace"].contains(&level).then(|| arguments(inside))
    });
    let fixed = |call: &str| {
        let rest = call.trim().strip_prefix("%error,").unwrap_or(call).trim().trim_end_matches(',');
        let inside = rest.strip_prefix('"').and_then(|r| r.strip_suffix('"'));
        inside.is_some_and(|text| !text.contains(['"', '{']))
    };
    calls.map(|call| (call.to_owned(), fixed(call))).collect()
}

/// SP26: no name, id or address can come into the log by a line of ours.
#[test]
fn sp26_the_servers_log_lines_are_fixed_texts() {
    fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        entries.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
    }
    let mut seen = 0;
    for file in files(&stafett_tests::named_tests::root().join("server/src")) {
        for (call, fixed) in log_lines(&std::fs::read_to_string(&file).unwrap()) {
            assert!(fixed, "{}: {call}", file.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "the search finds log lines");
    assert!(
        !log_lines("tracing::warn!(\"from {}\", device);")[0].1 && !log_lines("tracing::info!(?person, \"x\");")[0].1
    );
}
