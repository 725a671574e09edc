//! The files of `tests/vectors`: made from fixed seeds, compared with what is committed, rewritten on demand.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub fn folder() -> PathBuf {
    root().join("tests/vectors")
}

/// One file: what it is about, and its vectors, one a line.
pub struct File {
    pub name: &'static str,
    pub about: &'static str,
    pub vectors: Vec<Value>,
}

impl File {
    fn text(&self) -> String {
        let lines: Vec<String> = self.vectors.iter().map(|v| format!("  {v}")).collect();
        format!("{{\"about\": {}, \"vectors\": [\n{}\n]}}\n", Value::from(self.about), lines.join(",\n"))
    }

    /// Holds the committed file against what the code makes; with `UPDATE_VECTORS=1` writes it instead.
    pub fn check(&self) {
        let path = folder().join(self.name);
        let made = self.text();
        if std::env::var_os("UPDATE_VECTORS").is_some_and(|v| v == "1") {
            return fs::write(&path, made).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let (made, committed) = (parse(&made), parse(&committed));
        let differing = made.iter().chain(&committed).find(|v| !(made.contains(v) && committed.contains(v)));
        assert!(
            made == committed,
            "tests/vectors/{} is not what the code makes, first at {}.\n\
             If the protocol was meant to change: UPDATE_VECTORS=1 cargo test --workspace --test suite vectors::, and say why in the commit.",
            self.name,
            differing.map(|v| v.to_string().chars().take(300).collect::<String>()).unwrap_or_default()
        );
    }
}

fn parse(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap_or_default();
    file["vectors"].as_array().cloned().unwrap_or_default()
}
