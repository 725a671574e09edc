use serde_json::{Value, json};
use stafett_client_core::answer::{self, Answer};

use super::Shown as _;
use crate::terminal::messages::{Language, Messages};
use crate::terminal::names::Names;
use crate::terminal::reader::Reader;
use crate::terminal::render::words;

const LANGUAGES: [Language; 3] = [Language::Bokmaal, Language::Nynorsk, Language::English];

/// As another process would read it.
fn read(name: &str, value: &Value) -> Answer {
    serde_json::from_value(json!({ name: value })).unwrap_or_else(|why| panic!("{name}: {why}: {value}"))
}

fn said(language: Language, name: &str, value: &Value) -> String {
    let (messages, names) = (Messages::of(language), Names::default());
    let to = Reader::here(&messages, &names);
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
    let text = said(Language::English, "consent.pending", &json!({"requests": [request()], "refused": []}));
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
    let text = said(Language::English, "consent.pending", &json!({"requests": [asked], "refused": []}));
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

#[test]
fn every_fixed_word_stands_in_the_catalogue() {
    for language in LANGUAGES {
        let messages = Messages::of(language);
        let missing: Vec<&str> =
            answer::all().into_iter().filter(|word| messages.find(&format!("word.{word}")).is_none()).collect();
        assert!(missing.is_empty(), "{language:?}: {missing:?}");
    }
}
