//! A copy of the sources under `target/sabotage`, with a target folder of its own that begins with hard links of
//! the third-party artefacts: the working tree is never touched.

use stafett_tests::named_tests::{NamedTest, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Building and running one test takes this long at most.
const SECONDS: u32 = 900;
/// A test whose sabotage makes it run for ever is given up after this long.
const TEST_SECONDS: u32 = 240;
/// What `timeout` exits with.
const TIMED_OUT: i32 = 124;

pub struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|e| format!("{}: {e}", path.display()))
}

/// Every file that Git knows or would take in.
fn sources() -> Result<Vec<String>, String> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-co", "--exclude-standard"]);
    let out = git.output().map_err(|e| format!("git: {e}"))?;
    if !out.status.success() {
        return Err("git ls-files failed".into());
    }
    Ok(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}

/// Links what other crates have become; our own are built here.
fn seed(from: &Path, to: &Path, ours: bool) -> Result<(), String> {
    at(to, fs::create_dir_all(to))?;
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if name.to_string_lossy().contains("stafett") && !ours {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if from.is_dir() {
            seed(&from, &to, true)?;
        } else if !to.exists() {
            // A file that is just being replaced is built instead.
            let _ = fs::hard_link(&from, &to);
        }
    }
    Ok(())
}

impl Copy {
    pub fn make() -> Result<Self, String> {
        let home = root().join("target/sabotage");
        let copy = Self { tree: home.join("tree"), target: home.join("target") };
        let mut wanted = std::collections::BTreeSet::new();
        for source in sources()? {
            let (from, to) = (root().join(&source), copy.tree.join(&source));
            let Ok(bytes) = fs::read(&from) else { continue };
            wanted.insert(to.clone());
            if fs::read(&to).is_ok_and(|there| there == bytes) {
                continue;
            }
            let folder = to.parent().unwrap_or(&copy.tree);
            at(folder, fs::create_dir_all(folder))?;
            at(&to, fs::write(&to, bytes))?;
        }
        copy.remove_others(&copy.tree, &wanted)?;
        let built = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        for part in ["deps", ".fingerprint", "build"] {
            seed(&built.join("debug").join(part), &copy.target.join("debug").join(part), false)?;
        }
        Ok(copy)
    }

    /// What the sources no longer have must not be built here either.
    fn remove_others(&self, folder: &Path, wanted: &std::collections::BTreeSet<PathBuf>) -> Result<(), String> {
        for entry in at(folder, fs::read_dir(folder))?.filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                self.remove_others(&path, wanted)?;
            } else if !wanted.contains(&path) {
                at(&path, fs::remove_file(&path))?;
            }
        }
        Ok(())
    }

    pub fn read(&self, file: &str) -> Result<String, String> {
        let path = self.tree.join(file);
        at(&path, fs::read_to_string(&path))
    }

    pub fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.tree.join(file);
        at(&path, fs::write(&path, text))
    }

    fn cargo(&self, seconds: u32, arguments: &[&str]) -> Result<Option<i32>, String> {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", &seconds.to_string(), "cargo", "test", "--quiet"]).args(arguments);
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target).env("RUST_BACKTRACE", "0");
        // Our own crates are built once for each entry and run for seconds: what optimises them costs more than it gives.
        command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env("CARGO_INCREMENTAL", "0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().map(|s| s.code()).map_err(|e| format!("cargo: {e}"))
    }

    /// Whether it was built, whether it passed, whether its time ran out.
    pub fn run(&self, test: &NamedTest) -> Result<(bool, bool, bool), String> {
        let arguments = test.arguments()?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut build = arguments.clone();
        build.push("--no-run");
        if self.cargo(SECONDS, &build)? != Some(0) {
            return Ok((false, false, false));
        }
        let code = self.cargo(TEST_SECONDS, &arguments)?;
        Ok((true, code == Some(0), code == Some(TIMED_OUT)))
    }

    pub fn keep_report(&self, rows: &[String]) -> Result<(), String> {
        let path = self.tree.with_file_name("report.txt");
        at(&path, fs::write(&path, rows.join("\n") + "\n"))
    }
}
