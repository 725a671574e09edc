//! The table of sabotages (`tests/sabotage/*.txt`): for each security property ways to break it in our code, as
//! data, and the ordinary test that must notice. No hook for it stands in the code itself.
//!
//! An entry:
//!
//! ```text
//! == SP13 a reader's change passes
//! file protocol/src/policy/table.rs
//! find
//! | one or more lines, as they stand
//! replace
//! | what stands there instead
//! test protocol/tests/chain_rules.rs::r1_a_readers_change_is_refused_whoever_carries_it
//! ```

use crate::named_tests::{NamedTest, root};
use std::fs;

/// One way to break one property.
#[derive(Debug, Clone)]
pub struct Sabotage {
    /// `SP13`.
    pub property: String,
    pub what: String,
    pub file: String,
    pub find: String,
    pub replace: String,
    pub test: NamedTest,
}

impl Sabotage {
    /// The sabotaged text; the place must be there exactly once.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            n => Err(format!("{} {}: the text to find stands {n} times in {}", self.property, self.what, self.file)),
        }
    }
}

fn entry(text: &str) -> Result<Sabotage, String> {
    let mut lines = text.lines();
    let title = lines.next().unwrap_or_default();
    let (property, what) = title.trim().split_once(' ').ok_or_else(|| format!("no property: {title}"))?;
    let (mut file, mut test, mut find, mut replace) = (None, None, vec![], vec![]);
    let mut into_replace = false;
    for line in lines.filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        match line.split_once(' ') {
            Some(("file", rest)) => file = Some(rest.trim().to_owned()),
            Some(("test", rest)) => test = Some(NamedTest::parse(rest)?),
            Some(("|", rest)) if into_replace => replace.push(rest),
            Some(("|", rest)) => find.push(rest),
            None if line == "find" => into_replace = false,
            None if line == "replace" => into_replace = true,
            None if line == "|" && into_replace => replace.push(""),
            _ => return Err(format!("{title}: what is this line? {line}")),
        }
    }
    let missing = |part: &str| format!("{title}: no {part}");
    Ok(Sabotage {
        property: property.to_owned(),
        what: what.to_owned(),
        file: file.ok_or_else(|| missing("file"))?,
        find: Some(find.join("\n")).filter(|f| !f.is_empty()).ok_or_else(|| missing("find"))?,
        replace: replace.join("\n"),
        test: test.ok_or_else(|| missing("test"))?,
    })
}

/// The whole table, in the order of its files.
pub fn table() -> Result<Vec<Sabotage>, String> {
    let folder = root().join("tests/sabotage");
    let files = fs::read_dir(&folder).map_err(|e| e.to_string())?;
    let mut files: Vec<_> = files.filter_map(|f| f.ok()).map(|f| f.path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "txt"));
    files.sort();
    let mut all = vec![];
    for file in files {
        let text = fs::read_to_string(&file).map_err(|e| e.to_string())?;
        let entries = format!("\n{text}");
        for part in entries.split("\n== ").skip(1) {
            all.push(entry(part).map_err(|e| format!("{}: {e}", file.display()))?);
        }
    }
    Ok(all)
}
