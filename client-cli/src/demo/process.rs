//! The demo's processes: this binary, started again as a server or as one person's device.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use thiserror::Error;

const START_TIME: Duration = Duration::from_secs(30);
/// Tells a server process that its input is the lifeline of a demo.
pub const LIFELINE: &str = "STAFETT_DEMO_LIFELINE";
const STOP_TIME: Duration = Duration::from_secs(10);
/// Of the demo's homes only, which are thrown away.
pub const PASSPHRASE: &str = "bare for demonstrasjonen";

/// Why the demo cannot go on.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The machine said no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A process did something else than the story says.
    #[error("{command}: {said}")]
    Unexpected {
        /// What was run.
        command: String,
        /// What it answered.
        said: String,
    },
}

/// What one run of a client said.
pub struct Ran {
    /// The exit code.
    pub exit: i32,
    /// The JSON value on stdout.
    pub value: Value,
}

impl Ran {
    /// The text behind a key.
    pub fn text(&self, key: &str) -> String {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The code of an error.
    pub fn code(&self) -> &str {
        self.value.pointer("/error/code").and_then(Value::as_str).unwrap_or_default()
    }
}

/// One person's device: a home, and what its client sent and received.
#[derive(Clone)]
pub struct Device {
    /// Whose, for the story.
    pub name: &'static str,
    /// Its home.
    pub home: PathBuf,
    recording: PathBuf,
}

impl Device {
    /// A device that has nothing yet.
    pub fn new(world: &Path, name: &'static str) -> Self {
        Self { name, home: world.join("homes").join(name), recording: world.join("traffic").join(name) }
    }

    /// Runs a command that may end in any way.
    pub fn try_run(&self, words: &[&str]) -> Result<Ran, DemoError> {
        let output = Command::new(std::env::current_exe()?)
            .args(["--json", "--home"])
            .arg(&self.home)
            .arg("--record")
            .arg(&self.recording)
            .args(words)
            .env("STAFETT_PASSPHRASE", PASSPHRASE)
            .stdin(Stdio::null())
            .output()?;
        let exit = output.status.code().unwrap_or(-1);
        let value = serde_json::from_slice(&output.stdout).map_err(|error| DemoError::Unexpected {
            command: format!("{}: {}", self.name, words.join(" ")),
            said: format!("exit {exit}, {error}: {}", String::from_utf8_lossy(&output.stderr)),
        })?;
        Ok(Ran { exit, value })
    }

    /// Runs a command that must succeed.
    pub fn run(&self, words: &[&str]) -> Result<Ran, DemoError> {
        let ran = self.try_run(words)?;
        if ran.exit == 0 {
            return Ok(ran);
        }
        Err(DemoError::Unexpected {
            command: format!("{}: {}", self.name, words.join(" ")),
            said: format!("exit {}: {}", ran.exit, ran.value),
        })
    }
}

/// A person's pages, for as long as this lives.
pub struct Pages {
    child: Child,
    /// Opens them, once.
    pub link: String,
}

impl Pages {
    /// Of these devices, all at once.
    pub fn of(devices: &[Device]) -> Result<Vec<Self>, DemoError> {
        let started: Vec<Child> = devices.iter().map(Self::start).collect::<Result<_, _>>()?;
        let mut pages: Vec<Self> = started.into_iter().map(|child| Self { child, link: String::new() }).collect();
        for one in &mut pages {
            let mut line = String::new();
            if let Some(stdout) = one.child.stdout.as_mut() {
                BufReader::new(stdout).read_line(&mut line)?;
            }
            let told: Value = serde_json::from_str(&line).unwrap_or_default();
            let link = told.get("link").and_then(Value::as_str);
            let unexpected = || DemoError::Unexpected { command: "stafett ui".to_owned(), said: line.clone() };
            one.link = link.ok_or_else(unexpected)?.to_owned();
        }
        Ok(pages)
    }

    fn start(device: &Device) -> Result<Child, DemoError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--json", "--home"]).arg(&device.home).args(["ui", "--no-open"]);
        // Nobody plays with secrets, and whoever reads along should not be locked out.
        command.env("STAFETT_PASSPHRASE", PASSPHRASE).env("STAFETT_LOCK_AFTER", "86400").env(LIFELINE, "1");
        Ok(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server: its home, its output, and its process while it runs.
pub struct Server {
    /// Its home.
    pub home: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Sets up a server's home; gives what `init` said.
    pub fn init(world: &Path, folder: &str, number: &str, name: &str) -> Result<(Self, Value), DemoError> {
        let log = world.join("log").join(format!("{folder}.log"));
        let server = Self { home: world.join(folder), log, child: None };
        let said = server.ask(&["init", "--number", number, "--name", name])?;
        Ok((server, said))
    }

    /// One whose home is there already.
    pub fn at(world: &Path, folder: &str) -> Self {
        Self { home: world.join(folder), log: world.join("log").join(format!("{folder}.log")), child: None }
    }

    /// Runs one of the server's own commands to its end.
    pub fn ask(&self, words: &[&str]) -> Result<Value, DemoError> {
        let output = self.command(words)?.stdin(Stdio::null()).output()?;
        let unexpected =
            |said: String| DemoError::Unexpected { command: format!("stafettd {}", words.join(" ")), said };
        if !output.status.success() {
            return Err(unexpected(
                String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
            ));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| unexpected(error.to_string()))
    }

    /// Waits until its peers answer and trust it, as two operators do who have added each other.
    pub fn wait_for_peers(&self) -> Result<(), DemoError> {
        let started = Instant::now();
        loop {
            match self.ask(&["peer", "check"]) {
                Err(_) if started.elapsed() < START_TIME => std::thread::sleep(Duration::from_millis(100)),
                checked => return checked.map(drop),
            }
        }
    }

    /// Starts it and waits until it says that it is ready.
    pub fn start(&mut self) -> Result<(), DemoError> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let begin = log.metadata()?.len();
        let mut command = self.command(&["serve"])?;
        command.env(LIFELINE, "1").stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn()?;
        self.child = Some(child);
        let started = Instant::now();
        while started.elapsed() < START_TIME {
            if self.log_since(begin)?.contains("\"ready\":true") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(DemoError::Unexpected { command: "stafettd serve".to_owned(), said: self.log_since(begin)? })
    }

    /// Ends it without warning, as a power cut would.
    pub fn kill(&mut self) -> Result<(), DemoError> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks it to drain and stop.
    pub fn stop(&mut self) -> Result<(), DemoError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // The standard library knows no gentle signal; the tool of that name does.
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        let started = Instant::now();
        while asked.is_ok() && started.elapsed() < STOP_TIME {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn command(&self, words: &[&str]) -> Result<Command, DemoError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("__server").args(words).arg("--home").arg(&self.home).arg("--json");
        // As talkative as it can be: the log is searched at the end.
        command.env("STAFETT_LOG", "debug");
        Ok(command)
    }

    fn log_since(&self, begin: u64) -> io::Result<String> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(begin))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Server {
    /// A demo that stops half-way leaves no server behind.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
