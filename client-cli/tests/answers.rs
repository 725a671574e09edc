//! Every answer in words, and as scripts get it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stafett_cli::terminal::here::{Exported, FileWritten, MeHere};
use stafett_client_core::answer::{self, Answer};
use stafett_words::TimeZone;
use stafett_words::messages::{Language, Messages};
use stafett_words::names::Names;
use stafett_words::reader::Reader;
use stafett_words::render::{Part, words};
use stafett_words::shown::Shown as _;

const LANGUAGES: [Language; 3] = [Language::Bokmaal, Language::Nynorsk, Language::English];

/// As another process would read it.
fn read(name: &str, value: &Value) -> Answer {
    serde_json::from_value(json!({ name: value })).unwrap_or_else(|why| panic!("{name}: {why}: {value}"))
}

fn said(language: Language, name: &str, value: &Value) -> String {
    let (messages, names) = (Messages::of(language), Names::default());
    let to = Reader::new(&messages, &names, TimeZone::UTC);
    words(&to, name, &read(name, value).part(&to))
}

fn request() -> Value {
    let person = |person: &str, name: &str, named: bool, called: Option<&str>, verified: &str| json!({"person": person, "name": name, "named": named, "called": called, "verified": verified});
    let guardians = [
        person("12ab", "Mari", true, None, "self"),
        person("34cd", "Far Foss", true, Some("Rektor"), "unknown"),
        person("fedcba9876543210", "fedcba98", false, None, "municipality"),
    ];
    let authority = json!({"guardians": guardians, "quorum": 1, "of": 2, "child": null, "youth_from": null});
    json!({"request": "ab12", "grantee": "PPT", "grantee_verified": "municipality", "from": "Tone", "child": "Ella",
        "from_verified": "code", "access": "read", "scopes": [], "expires": "2027-01-01T00:00:00Z", "log": "cd34",
        "text": "Hi", "leader": null, "moves_to": null, "authority": authority, "problem": "key-differs", "answered": []})
}

#[test]
fn a_request_shows_who_will_decide_and_whose_key_is_believed_how() {
    let text =
        said(Language::English, "consent.pending", &json!({"requests": [request()], "refused": [], "taken_back": []}));
    for said in ["Mari", "yourself", "Far Foss", "“Rektor”", "by nobody", "1 of 2 must", "another key", "Compare keys"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("decides alone") && !text.contains('{'), "{text}");
    // Nobody has named them: no name is made up from the id.
    assert!(text.contains("fedcba9876543210") && !text.contains("fedcba98 ("), "{text}");
}

/// A name that happens to be the beginning of an id, or a word of the contract, is a name.
#[test]
fn a_name_is_a_name_whatever_it_looks_like() {
    let mut asked = request();
    let mari = json!({"person": "abcdefab1234", "name": "abcdefab", "named": true, "called": null, "verified": "self"});
    asked["authority"]["guardians"] = json!([mari]);
    let text =
        said(Language::English, "consent.pending", &json!({"requests": [asked], "refused": [], "taken_back": []}));
    assert!(text.contains("abcdefab (") && !text.contains("abcdefab1234"), "{text}");
    let measure = json!({"measure": "12", "text": "t", "beside": null, "arena": "home", "responsible": "open",
        "due": null, "state": "active", "evaluation": null, "family_agrees": null, "remarks": [], "family": [],
        "author": null, "time": null});
    let concern = json!({"concern": "1", "title": "T", "category": null, "goal": "G", "state": "open", "audited": true,
        "measures": [measure], "missing_arenas": [], "glimpses": [], "attachments": [], "comments": []});
    let text = said(Language::Bokmaal, "concern.show", &concern);
    assert!(text.contains("ansvar: open"), "{text}");
}

#[test]
fn a_problem_is_told_by_the_words_of_its_code() {
    let problems = [json!({"code": "key-differs", "message": "in English"})];
    let counts = json!({"sent": 0, "received": 0, "refused": 1, "queued": 0, "given_up": 0, "drafts": [],
        "problems": problems});
    let told = said(Language::Nynorsk, "sync", &counts);
    assert!(told.contains("annan nøkkel") && !told.contains("in English"), "{told}");
}

#[test]
fn lists_and_words() {
    let log =
        json!({"log": "12ab", "status": "active", "child": null, "holder": null, "holder_name": null, "home": "3209"});
    let text = said(Language::Bokmaal, "log.list", &json!({"logs": [log]}));
    assert!(text.contains("12ab") && text.contains("i bruk") && text.contains("3209"), "{text}");
    assert!(!text.contains('{'), "{text}");
    assert!(!said(Language::Bokmaal, "log.list", &json!({"logs": []})).is_empty());
}

#[test]
fn numbers_that_differ_are_a_warning() {
    let answer = |matches: bool| {
        let compared = json!({"person": "12ab", "person_name": "Mari", "matches": matches});
        said(Language::English, "verify.matches", &compared)
    };
    assert!(answer(false).contains("DIFFER") && !answer(true).contains("DIFFER"));
}

#[test]
fn a_receipt_names_who_is_told() {
    let receipt = json!({"withdrawals": [], "scopes": [], "at": "2026-11-21T23:07:39Z",
        "told": ["Tone Aasheim", "Magnus"], "queued": true});
    let text = said(Language::Nynorsk, "consent.withdraw", &json!({"receipt": receipt}));
    assert!(text.contains("Tone Aasheim, Magnus") && text.contains(".11.2026"), "{text}");
}

#[test]
fn control_letters_are_shown_not_obeyed() {
    let unit =
        json!({"unit": "1", "name": "a\u{1b}[2Jb\u{202e}c", "kind": "school", "leader": null, "municipality": "3209"});
    let text = said(Language::English, "units", &json!({"units": [unit]}));
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
}

/// One answer of every command, with everything in it that there can be.
fn samples() -> serde_json::Map<String, Value> {
    let Ok(Value::Object(samples)) = serde_json::from_str(include_str!("answers/samples.json")) else {
        panic!("samples")
    };
    samples
}

/// Scripts rely on these keys (`docs/`), and a process that serves another gives it the very answer.
#[test]
fn keys_are_those_of_the_contract_and_answers_pass_from_process_to_process() {
    let samples = samples();
    for name in Answer::NAMES {
        let sample = samples.get(*name).unwrap_or_else(|| panic!("no sample of {name}"));
        let answer = read(name, sample);
        assert_eq!((answer.name(), &answer.to_json()), (*name, sample));
        let there = serde_json::to_vec(&answer).unwrap();
        assert_eq!(serde_json::from_slice::<Answer>(&there).unwrap(), answer, "{name}");
    }
}

/// What is held against the catalogue: places that are given, places that its texts have, and what is wrong.
#[derive(Default)]
struct Held {
    given: BTreeSet<String>,
    wanted: BTreeSet<String>,
    /// Texts that were filled.
    used: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Held {
    fn walk(&mut self, messages: &Messages, key: &str, below: &str, part: &Part) {
        let text = messages.find(key).filter(|_| part.said().is_none()).unwrap_or_default();
        for place in text.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0)) {
            self.wanted.insert(place.to_owned());
            if part.place(place).is_none() {
                self.wrong.push(format!("{key}: nothing fills {{{place}}}"));
            }
        }
        self.used.insert(key.to_owned());
        self.given.extend(part.places().map(str::to_owned));
        for (list, parts) in part.lists() {
            let inner = key.split_once('.').map_or("", |(_, name)| name);
            let at = format!("{below}.{inner}.{list}");
            if messages.find(&at).is_none() && !parts.is_empty() {
                self.wrong.push(format!("{at}: no words"));
            }
            parts.iter().for_each(|one| self.walk(messages, &at, "also", one));
        }
    }
}

/// What the catalogue has no place for, and places that nothing fills: both are mistakes. Beside them the texts that were used.
fn astray(messages: &Messages, command: &str, told: &Part) -> (Vec<String>, BTreeSet<String>) {
    let mut held = Held::default();
    held.walk(messages, &format!("say.{command}"), "line", told);
    let unseen = held.given.difference(&held.wanted).map(|name| format!("{command}: {{{name}}} is shown nowhere"));
    let unseen: Vec<String> = unseen.collect();
    held.wrong.extend(unseen);
    (held.wrong, held.used)
}

/// Nothing that is answered stays unseen, and no place of a text stays empty.
#[test]
fn every_answer_is_shown_whole_in_every_language() {
    // What the host adds its part to is looked at as a whole below.
    const OF_THE_HOST: [&str; 4] = ["me", "attachment.get", "audit.export", "server.at"];
    // Entries are called by their words, drafts by `drafts`; a further device has no name, unit or role before it is certified.
    const ELSEWHERE: [&str; 5] = [
        "concern.show: {id} is shown nowhere",
        "sync: {id} is shown nowhere",
        "device.accept: {person_name} is shown nowhere",
        "device.accept: {role} is shown nowhere",
        "device.accept: {unit_name} is shown nowhere",
    ];
    let mut names = Names::default();
    samples().iter().for_each(|(name, sample)| names.learn(&read(name, sample)));
    for language in LANGUAGES {
        let messages = Messages::of(language);
        let to = Reader::new(&messages, &names, TimeZone::UTC);
        let (mut wrong, mut used): (Vec<String>, BTreeSet<String>) = Default::default();
        let mut hold = |name: &str, part: Part| {
            let (more, texts) = astray(&messages, name, &part);
            wrong.extend(more);
            used.extend(texts);
        };
        for (name, sample) in samples().iter().filter(|(name, _)| !OF_THE_HOST.contains(&name.as_str())) {
            hold(name, read(name, sample).part(&to));
        }
        let Answer::Me(me) = read("me", &samples()["me"]) else { panic!("me") };
        hold("me", MeHere { me, home: "/h".into(), kept: true }.part(&to));
        let Answer::AttachmentGet(got) = read("attachment.get", &samples()["attachment.get"]) else { panic!("get") };
        hold("attachment.get", FileWritten { got, file: "f".into() }.part(&to));
        let Answer::AuditVerify(report) = read("audit.verify", &samples()["audit.verify"]) else { panic!("audit") };
        hold("audit.export", Exported { report, file: "f".into() }.part(&to));
        wrong.retain(|one| !ELSEWHERE.contains(&one.as_str()));
        let spoken = messages.keys().filter(|key| key.starts_with("line.") || key.starts_with("also."));
        wrong.extend(spoken.filter(|key| !used.contains(*key)).map(|key| format!("{key}: nothing is said so")));
        assert!(wrong.is_empty(), "{language:?}:\n{}", wrong.join("\n"));
    }
}

#[test]
fn every_fixed_word_stands_in_the_catalogue() {
    for language in LANGUAGES {
        let messages = Messages::of(language);
        let missing: Vec<&str> =
            answer::all().into_iter().filter(|word| messages.find(&format!("word.{word}")).is_none()).collect();
        assert!(missing.is_empty(), "{language:?}: {missing:?}");
    }
}

/// The words are made of an answer, the catalogue, names and a time zone: a page and a browser make the same.
#[test]
fn words_are_made_without_a_machine() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/words/src");
    let mut folders = vec![std::path::PathBuf::from(sources)];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for machine in ["std::fs", "std::env", "std::io", "std::net", "std::process", "SystemTime", "::system()"] {
                assert!(!text.contains(machine), "{}: {machine}", path.display());
            }
            read += 1;
        }
    }
    assert!(read > 12, "the sources were found");
}
