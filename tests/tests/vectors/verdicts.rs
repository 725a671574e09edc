//! A second opinion on every verdict that the tests of `protocol` see: their programs write down what was asked
//! and answered (`protocol/tests/common/verdicts.rs`), the verifier in Python judges the same.

use super::files::root;
use super::python;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Suites without chains of real records: nothing to judge again.
const WITHOUT: &[&str] = &["sequences::", "wire::", "policy_table::"];

fn newest(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let age =
        |path: PathBuf| if path.is_dir() { newest(&path) } else { fs::metadata(&path).unwrap().modified().unwrap() };
    entries.map(age).max().unwrap()
}

/// The built suites of `protocol`; `None` where they are missing or older than their source.
fn program() -> Option<PathBuf> {
    let built = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let source = newest(&root().join("protocol/src")).max(newest(&root().join("protocol/tests")));
    let age = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let is_program = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        path.extension().is_none() && name.strip_prefix("protocol-").is_some_and(|hash| hash.len() == 16)
    };
    let files = fs::read_dir(&built).unwrap().map(|e| e.unwrap().path());
    files.filter(is_program).filter(|path| age(path) >= source).max_by_key(age)
}

/// Runs them; returns the folder with their verdicts.
pub fn collect() -> tempfile::TempDir {
    let program = program().unwrap_or_else(|| {
        // Not a run of the whole workspace: build what is missing. (`-p` would build every dependency anew.)
        let build = Command::new(env!("CARGO"))
            .current_dir(root())
            .args(["test", "-q", "--workspace", "--test", "protocol", "--no-run"])
            .status();
        assert!(build.unwrap().success(), "the suites of stafett-protocol do not build");
        program().expect("the suites of stafett-protocol were built just now")
    });
    let folder = tempfile::tempdir().unwrap();
    let skipped = WITHOUT.iter().flat_map(|suite| ["--skip", suite]);
    let run = Command::new(&program).args(skipped).env("STAFETT_VERDICTS", folder.path()).output().unwrap();
    assert!(run.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&run.stdout));
    folder
}

/// What the verifier says of all files in a folder.
pub fn judge(folder: &Path) -> Option<Value> {
    let files: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path().to_str().unwrap().to_owned()).collect();
    let mut arguments = vec!["verdicts"];
    arguments.extend(files.iter().map(String::as_str));
    python::verify(&arguments).map(|mut lines| lines.remove(0))
}

/// Says the contrary of every tenth verdict of one file, the shortest; answers how many.
pub fn contradict(folder: &Path) -> usize {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort_by_key(|p| fs::metadata(p).unwrap().len());
    let (first, rest) = files.split_first().unwrap();
    rest.iter().for_each(|p| fs::remove_file(p).unwrap());
    let mut count = 0;
    let contrary = |(at, line): (usize, &str)| {
        let mut case: Value = serde_json::from_str(line).unwrap();
        if at % 10 == 0 {
            count += 1;
            case["refused"] = if case["refused"].is_null() { "read-only".into() } else { Value::Null };
        }
        case.to_string()
    };
    let lines: Vec<String> = fs::read_to_string(first).unwrap().lines().enumerate().map(contrary).collect();
    fs::write(first, lines.join("\n")).unwrap();
    count
}
