//! The binaries under test: built once a run, in the profile of the tests, and kept under names of our own so that a
//! build beside us cannot take them away in the middle of a story.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the two programs lie.
pub struct Programs {
    pub stafettd: PathBuf,
    pub stafett: PathBuf,
}

/// Builds them at the first call.
pub fn programs() -> &'static Programs {
    static BUILT: OnceLock<Programs> = OnceLock::new();
    BUILT.get_or_init(|| {
        let profile = profile_dir();
        build(&profile);
        let own = profile.join("programs-under-test").join(std::process::id().to_string());
        sweep(own.parent().unwrap());
        fs::create_dir_all(&own).unwrap();
        let keep = |name: &str| {
            let (from, to) = (profile.join(name), own.join(name));
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).expect("the program was built");
            to
        };
        Programs { stafettd: keep("stafettd"), stafett: keep("stafett") }
    })
}

/// `target/debug` of `target/debug/deps/scenario-…`.
fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.ancestors().find(|dir| dir.join("deps").is_dir()).expect("a test runs from its target folder").to_owned()
}

fn build(profile: &Path) {
    let name = profile.file_name().unwrap().to_str().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // As the tests are built: with other features every dependency would be built a second time. What runs with the
    // programs beside it builds them.
    command.args(["test", "--quiet", "--workspace", "--no-run", "--test", "cli", "--test", "server"]);
    command.args(["--profile", if name == "debug" { "dev" } else { name }]);
    command.arg("--target-dir").arg(profile.parent().unwrap());
    command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    assert!(command.status().unwrap().success(), "the programs do not build");
}

/// What earlier runs kept; their processes are gone.
fn sweep(kept: &Path) {
    for entry in fs::read_dir(kept).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
