//! The catalogue of the pages: no key that nobody uses, none that is missing; and no HTML but maud's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stafett_pages::{Language, Messages};

fn sources(at: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path());
    inside.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

fn source() -> String {
    let files = sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))).into_iter();
    files
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn every_text_of_the_pages_is_used() {
    let source = source();
    let quoted: BTreeSet<&str> = source.split('"').collect();
    let families: Vec<&str> = quoted
        .iter()
        .filter_map(|text| text.split_once('{'))
        .map(|(before, _)| before)
        .filter(|f| f.ends_with('.'))
        .collect();
    // Looked up by what is known only then: a word of the contract, a problem's code, a result.
    let looked_up = ["word.", "way.", "fault.", "hint."];
    let used = |key: &str| {
        let stem =
            [".hint", ".short", ".one", ".many", ".about"].iter().find_map(|end| key.strip_suffix(end)).unwrap_or(key);
        quoted.contains(key)
            || quoted.contains(stem)
            || families.iter().chain(&looked_up).any(|family| *family != "page." && key.starts_with(family))
    };
    let messages = Messages::of(Language::Bokmaal);
    let unused: Vec<&str> =
        messages.keys().filter_map(|key| key.strip_prefix("page.")).filter(|key| !used(key)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn only_maud_makes_html() {
    let source = source();
    for word in ["PreEscaped", "format!(\"<", "unsafe"] {
        assert!(!source.contains(word), "{word}");
    }
}

#[test]
fn style_and_script_fetch_nothing_from_elsewhere() {
    for text in [stafett_pages::STYLE, stafett_pages::SHELL] {
        assert!(!text.contains("http") && !text.contains("url(") && !text.contains("@import"));
    }
    for wanted in
        ["prefers-color-scheme: dark", "prefers-reduced-motion", "@media print", ":focus-visible", "forced-colors"]
    {
        assert!(stafett_pages::STYLE.contains(wanted), "{wanted}");
    }
}
