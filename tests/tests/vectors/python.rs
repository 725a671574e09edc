//! The verifier in Python: its environment under `target/`, and one run of it.

use super::files::root;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The interpreter of an environment that holds exactly the pinned libraries; `None` only where the person at
/// the keyboard has said so.
fn interpreter() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| {
        if std::env::var_os("STAFETT_WITHOUT_PYTHON").is_some_and(|v| v == "1") {
            eprintln!(
                "*** STAFETT_WITHOUT_PYTHON=1: the independent verifier was NOT RUN, nothing of it was shown ***"
            );
            return None;
        }
        Some(environment().unwrap_or_else(|why| {
            panic!(
                "the independent verifier cannot run: {why}\n\
                 It needs python3 (3.11 or newer) with venv and pip, and once the package registry. \
                 To go without it, and show nothing: STAFETT_WITHOUT_PYTHON=1"
            )
        }))
    })
    .as_deref()
}

fn environment() -> Result<PathBuf, String> {
    let pins = std::fs::read(root().join("tests/verifier/requirements.txt")).map_err(|e| e.to_string())?;
    let name = format!("verifier-{}", stafett_protocol::ids::hash("venv", &[&pins]).to_string().split_at(16).0);
    let target = root().join("target");
    let (ready, fresh) = (target.join(&name), target.join(format!("{name}.{}", std::process::id())));
    let python = |folder: &Path| folder.join("bin/python3");
    if python(&ready).exists() {
        return Ok(python(&ready));
    }
    let _ = std::fs::create_dir_all(&target);
    run(Command::new("python3").args(["-m", "venv"]).arg(&fresh))?;
    let mut install = Command::new(python(&fresh));
    install.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]);
    run(install.args(["--only-binary", ":all:", "-r"]).arg(root().join("tests/verifier/requirements.txt")))?;
    // Another test process may have been faster: either environment is good.
    if std::fs::rename(&fresh, &ready).is_err() {
        let _ = std::fs::remove_dir_all(&fresh);
    }
    Ok(python(&ready))
}

fn run(command: &mut Command) -> Result<Output, String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|e| format!("{shown}: {e}"))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("{shown}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// What `verify.py` says to these arguments: a line of JSON each, whatever its exit status.
pub fn verify(arguments: &[&str]) -> Option<Vec<Value>> {
    let mut command = Command::new(interpreter()?);
    command.arg(root().join("tests/verifier/verify.py")).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(errors.is_empty(), "the verifier itself failed: {errors}");
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}
