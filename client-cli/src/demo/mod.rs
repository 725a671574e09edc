//! `stafett demo`: the whole story on this machine, with a real server process and a separate home for every device. The
//! only room that names the server crate. It is told in bokmål, as the guide that the story comes from.

mod attack;
mod moving;
mod play;
mod process;
pub mod search;
mod story;
mod texts;
mod world;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::host::fault::{Exit, Fault};
use crate::terminal::output::{Output, Said};
use process::DemoError;

/// Between two steps, for whoever reads along.
const PAUSE: Duration = Duration::from_millis(200);

/// What is told and what was proved.
pub struct Telling<'a> {
    output: &'a Output,
    pause: Duration,
    steps: Vec<Value>,
    proofs: Vec<Value>,
    failed: bool,
}

impl<'a> Telling<'a> {
    /// Without a pause.
    fn at_once(output: &'a Output) -> Self {
        Self { output, pause: Duration::ZERO, steps: Vec::new(), proofs: Vec::new(), failed: false }
    }
}

impl Telling<'_> {
    /// One step of the story.
    fn tell(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.output.is_json() {
            // What was done stands in the end, whoever reads along.
            let _ =
                self.output.print(&Said { value: Value::Null, text: format!("{:>2}. {text}", self.steps.len() + 1) });
            std::thread::sleep(self.pause);
        }
        self.steps.push(json!({"text": text}));
    }

    /// One thing that was tried, and how it went.
    fn prove(&mut self, text: impl Into<String>, ok: bool) {
        self.failed |= !ok;
        self.proofs.push(json!({"text": text.into(), "ok": ok}));
    }

    fn close(self) -> Exit {
        let text = self.proofs.iter().fold(String::from("\nDette ble prøvd:\n"), |text, proof| {
            let ok = proof.get("ok").and_then(Value::as_bool).unwrap_or(false);
            let words = proof.get("text").and_then(Value::as_str).unwrap_or_default();
            format!("{text}  {} {words}\n", if ok { "✓ ja:  " } else { "✗ NEI: " })
        });
        let value = json!({"steps": self.steps, "proofs": self.proofs});
        let _ = self.output.print(&Said { value, text });
        if self.failed { Exit::Refused } else { Exit::Done }
    }
}

/// `--play`.
pub async fn play(dir: &Path, output: &Output) -> Result<Exit, Fault> {
    let place = Place::choose(Some(dir))?;
    play::run(&place.dir, output).await
}

/// Tells the story. The exit code says whether every proof held.
pub async fn run(keep: Option<&Path>, fast: bool, output: &Output) -> Result<Exit, Fault> {
    let pause = if fast || output.is_json() { Duration::ZERO } else { PAUSE };
    let mut telling = Telling { output, pause, steps: Vec::new(), proofs: Vec::new(), failed: false };
    let place = Place::choose(keep)?;
    place.clear_on_interrupt();
    let outcome = story::tell(&place.dir, &mut telling).await;
    outcome.map_err(Fault::from)?;
    Ok(telling.close())
}

/// This process as a server: what the demo starts beside itself. However the demo ends, its end of the lifeline closes,
/// and the server goes with it.
pub fn server(arguments: Vec<OsString>) -> ExitCode {
    hang_on_lifeline();
    stafett_server::cli::run(std::iter::once(OsString::from("stafettd")).chain(arguments))
}

/// A process that a demo has started beside itself goes with it, however that ends.
pub fn hang_on_lifeline() {
    if std::env::var_os(process::LIFELINE).is_some() {
        std::thread::spawn(|| {
            // Nothing is ever written: this returns when the other end is gone.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(0);
        });
    }
}

impl From<DemoError> for Fault {
    fn from(error: DemoError) -> Self {
        Self::new(Exit::Damaged, "demo", error)
    }
}

/// Where the demo's files lie; gone afterwards unless somebody wants to keep them.
struct Place {
    dir: PathBuf,
    kept: bool,
}

impl Place {
    fn choose(keep: Option<&Path>) -> Result<Self, Fault> {
        let unusable = |error: &dyn std::fmt::Display| Fault::usage("file", error);
        let dir = match keep {
            Some(dir) => dir.to_owned(),
            None => {
                let mut name = [0u8; 8];
                getrandom::fill(&mut name).map_err(|error| unusable(&error))?;
                std::env::temp_dir().join(format!("stafett-demo-{}", hex::encode(name)))
            }
        };
        for part in ["homes", "traffic", "log"] {
            std::fs::create_dir_all(dir.join(part)).map_err(|error| unusable(&error))?;
        }
        let dir = dir.canonicalize().map_err(|error| unusable(&error))?;
        Ok(Self { dir, kept: keep.is_some() })
    }
}

impl Place {
    /// Ctrl-C in the middle leaves nothing behind either. The story blocks its own thread, so another one listens.
    fn clear_on_interrupt(&self) {
        let (dir, kept) = (self.dir.clone(), self.kept);
        std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
                if !kept {
                    let _ = std::fs::remove_dir_all(&dir);
                }
                std::process::exit(130);
            }
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed is the temporary directory's affair.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
