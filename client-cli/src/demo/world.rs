//! The people of the story, their devices, and their servers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::process::{DemoError, Device, Server};

/// After so many rounds over all homes everything that can settle has (the contract of `sync`).
const ROUNDS: usize = 4;

/// Everybody and everything.
pub struct World {
    /// Where it all lies.
    pub dir: PathBuf,
    /// Ullensaker's server.
    pub server: Server,
    /// Haugesund's, once Ella has moved there.
    pub neighbour: Option<Server>,
    /// The school's leader.
    pub leader: Device,
    /// The teacher, who holds the baton.
    pub teacher: Device,
    /// Ella's mother.
    pub mother: Device,
    /// Her second device.
    pub phone: Device,
    /// Ella's father.
    pub father: Device,
    /// The leader of the PPT.
    pub ppt_leader: Device,
    /// The PPT's employee.
    pub ppt: Device,
}

impl World {
    /// A world with a server and empty homes.
    pub fn new(dir: &Path, server: Server) -> Self {
        let device = |name| Device::new(dir, name);
        Self {
            dir: dir.to_owned(),
            server,
            neighbour: None,
            leader: device("rektor"),
            teacher: device("laerer"),
            mother: device("mor"),
            phone: device("mors-telefon"),
            father: device("far"),
            ppt_leader: device("ppt-leder"),
            ppt: device("ppt-ansatt"),
        }
    }

    /// Lets a person join by a code; gives the person's id.
    pub fn join(&self, device: &Device, code: &str, name: &str) -> Result<String, DemoError> {
        Ok(device.run(&["join", "--code", code, "--name", name])?.text("person"))
    }

    /// Lets those whom it concerns synchronise until nothing moves between them any more.
    pub fn settle(&self, involved: &[&Device]) -> Result<(), DemoError> {
        for _ in 0..ROUNDS {
            let mut moved = 0;
            for device in involved {
                let counts = device.run(&["sync"])?.value;
                moved += ["sent", "received"].iter().filter_map(|key| counts.get(*key)?.as_u64()).sum::<u64>();
            }
            if moved == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The family and the teacher.
    pub fn circle(&self) -> [&Device; 3] {
        [&self.teacher, &self.mother, &self.father]
    }

    /// One person says yes to everything that is asked; gives how many requests there were.
    pub fn say_yes(&self, device: &Device) -> Result<usize, DemoError> {
        let pending = device.run(&["consent", "pending"])?.value;
        let requests = pending.get("requests").and_then(Value::as_array).cloned().unwrap_or_default();
        for request in &requests {
            let id = request.get("request").and_then(Value::as_str).unwrap_or_default();
            device.run(&["consent", "grant", id])?;
        }
        Ok(requests.len())
    }

    /// Two people read each other the number and confirm it; says whether it was the same.
    pub fn compare(&self, one: (&Device, &str), other: (&Device, &str)) -> Result<bool, DemoError> {
        let first = one.0.run(&["verify", other.1])?.text("number");
        let second = other.0.run(&["verify", one.1])?.text("number");
        for (device, person) in [(one.0, other.1), (other.0, one.1)] {
            device.run(&["verify", person, "--number", &first])?;
        }
        Ok(!first.is_empty() && first == second)
    }

    /// A copy of a directory, files only, one level of folders deep or more.
    pub fn copy(from: &Path, to: &Path) -> Result<(), DemoError> {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let path = entry?.path();
            let Some(name) = path.file_name() else { continue };
            if path.is_dir() {
                Self::copy(&path, &to.join(name))?;
            } else if path.is_file() {
                std::fs::copy(&path, to.join(name))?;
            }
        }
        Ok(())
    }
}

/// How a log stands for a device.
pub fn status(device: &Device, log: &str) -> Result<String, DemoError> {
    let ran = device.try_run(&["log", "show", log])?;
    Ok(ran.text("status"))
}

/// Every text of a concern, without the marks of what still waits.
pub fn concern_texts(shown: &Value) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    let mut rest = vec![shown];
    while let Some(value) = rest.pop() {
        match value {
            Value::String(text) => {
                texts.insert(text.clone());
            }
            Value::Array(values) => rest.extend(values),
            Value::Object(fields) => rest.extend(fields.values()),
            _ => {}
        }
    }
    texts
}

/// Whether any file below a directory holds these very bytes.
pub fn contains(dir: &Path, bytes: &[u8]) -> Result<bool, DemoError> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let inside = if path.is_dir() {
            contains(&path, bytes)?
        } else {
            std::fs::read(&path)?.windows(bytes.len().max(1)).any(|part| part == bytes)
        };
        if inside {
            return Ok(true);
        }
    }
    Ok(false)
}
