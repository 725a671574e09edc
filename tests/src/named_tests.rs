//! Tests by name, as tables of assurance name them: `folder/file.rs::function`, relative to the workspace.

use std::fs;
use std::path::{Path, PathBuf};

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// One test function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedTest {
    pub file: String,
    pub function: String,
}

impl NamedTest {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (file, function) = text.trim().split_once("::").ok_or_else(|| format!("no test: {text}"))?;
        Ok(Self { file: file.to_owned(), function: function.to_owned() })
    }

    /// Whether the function stands in the file, as a test that runs.
    pub fn check(&self) -> Result<(), String> {
        let source = fs::read_to_string(root().join(&self.file)).map_err(|e| format!("{}: {e}", self.file))?;
        let lines: Vec<&str> = source.lines().map(str::trim).collect();
        let function = |l: &str| ["fn ", "async fn "].iter().any(|f| l.starts_with(&format!("{f}{}(", self.function)));
        let at = lines.iter().position(|l| function(l)).ok_or_else(|| format!("{self} is not there"))?;
        let above = lines[..at].iter().rev().take_while(|l| l.starts_with("#[") || l.starts_with("//"));
        let marks: Vec<&&str> = above.collect();
        let runs = marks.iter().any(|m| m.starts_with("#[test]") || m.starts_with("#[tokio::test"));
        let ignored = marks.iter().any(|m| m.starts_with("#[ignore"));
        if runs && !ignored { Ok(()) } else { Err(format!("{self} is no test that runs")) }
    }

    /// The arguments of `cargo test` that run it: target and filter. The whole workspace is named, since a package alone
    /// would have other features, and all its dependencies would be built a second time.
    pub fn arguments(&self) -> Result<Vec<String>, String> {
        let (package, rest) = self.file.split_once('/').ok_or_else(|| format!("{} is in no package", self.file))?;
        let suite = match package {
            "protocol" | "server" => package,
            "client-cli" => "cli",
            "tests" => "suite",
            "client-core" | "host" => "",
            _ => return Err(format!("{package} is no package")),
        };
        // What cares for the clock of its process has one of its own.
        let alone = ["server/tests/expiry.rs", "server/tests/crash.rs", "tests/tests/model_agrees.rs"];
        let alone = alone.contains(&&*self.file).then(|| Path::new(rest).file_stem()?.to_str()).flatten();
        let within = if let Some(name) = alone {
            vec!["--test".to_owned(), name.to_owned(), self.function.clone()]
        } else if rest.starts_with("src/") {
            vec!["--lib".to_owned(), self.function.clone()]
        } else if rest.starts_with("tests/") && !suite.is_empty() {
            // A suite is a module of its crate's one test program.
            let module = Path::new(rest).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            vec!["--test".to_owned(), suite.to_owned(), format!("{module}::{}", self.function)]
        } else {
            return Err(format!("{} is in no target", self.file));
        };
        Ok([vec!["--workspace".to_owned()], within].concat())
    }
}

impl std::fmt::Display for NamedTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{}", self.file, self.function)
    }
}
