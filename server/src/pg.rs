//! A private PostgreSQL for tests: the machine's own binaries, a data directory in a temporary folder,
//! a loopback port, a user that is not root. Only built with the feature `test-support`.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running PostgreSQL; it stops, and its data goes, when this is dropped.
pub struct Postgres {
    bin: PathBuf,
    dir: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    child: Child,
}

/// No longer than this, even if the test that started it is killed.
const MOST_SECONDS: &str = "3600";

impl Postgres {
    /// Starts one, or says on stderr why the tests on PostgreSQL are not run.
    #[must_use]
    pub fn start() -> Option<Self> {
        match Self::try_start() {
            Ok(postgres) => Some(postgres),
            Err(why) => {
                // Straight to the handle: the test harness would swallow `eprintln!`.
                let _ = writeln!(std::io::stderr(), "\n*** NOT RUN on PostgreSQL: {why} ***\n");
                None
            }
        }
    }

    fn try_start() -> Result<Self, String> {
        let bin = binaries().ok_or("no PostgreSQL binaries under /usr/lib/postgresql")?;
        let user = unprivileged()?;
        let said = |what: &str, error: std::io::Error| format!("{what}: {error}");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|e| said("port", e))?
            .port();
        let dir = std::env::temp_dir().join(format!("stafett-pg-{}-{port}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|e| said("folder", e))?;
        if let Some((uid, gid)) = user {
            chown(&dir, Some(uid), Some(gid)).map_err(|e| said("chown", e))?;
        }
        let data = dir.join("data");
        let made = command(&bin, "initdb", user)
            .args(["-A", "trust", "-U", "stafett", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|e| said("initdb", e))?;
        if !made.success() {
            return Err("initdb failed".to_owned());
        }
        let child = run(&bin, &dir, user, port).map_err(|e| said("postgres", e))?;
        let postgres = Self { bin, dir, user, port, child };
        postgres.wait_until_ready()?;
        Ok(postgres)
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if self.psql("postgres", "SELECT 1").is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("PostgreSQL did not get ready".to_owned())
    }

    fn psql(&self, database: &str, sql: &str) -> Result<(), String> {
        let status = command(&self.bin, "psql", self.user)
            .args(["-h", "127.0.0.1", "-U", "stafett", "-p", &self.port.to_string(), "-d", database, "-qc", sql])
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|e| e.to_string())?;
        if status.success() { Ok(()) } else { Err("psql failed".to_owned()) }
    }

    /// Makes an empty database and answers its URL.
    pub fn database(&self, name: &str) -> Result<String, String> {
        self.psql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(format!("postgres://stafett@127.0.0.1:{}/{name}", self.port))
    }

    /// kill -9 of the server process; what it had not written is lost.
    pub fn kill(&mut self) -> Result<(), String> {
        let lock = fs::read_to_string(self.dir.join("data/postmaster.pid")).map_err(|e| e.to_string())?;
        let process = lock.lines().next().unwrap_or_default();
        let killed = Command::new("kill").args(["-9", process]).status().map_err(|e| e.to_string())?;
        // It runs under `timeout`, which ends with it.
        self.child.wait().map_err(|e| e.to_string())?;
        if killed.success() { Ok(()) } else { Err("kill failed".to_owned()) }
    }

    /// Starts it again on its data; it recovers from its log.
    pub fn start_again(&mut self) -> Result<(), String> {
        // Its other processes need a moment to notice that they are orphans; until then a new one ends at once.
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            self.child = run(&self.bin, &self.dir, self.user, self.port).map_err(|e| e.to_string())?;
            while self.child.try_wait().map_err(|e| e.to_string())?.is_none() {
                if self.psql("postgres", "SELECT 1").is_ok() {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("PostgreSQL does not start again".to_owned())
    }

    /// Where its files are, for searching them.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = command(&self.bin, "pg_ctl", self.user)
            .args(["stop", "-m", "immediate", "-D"])
            .arg(self.dir.join("data"))
            .current_dir(&self.dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn run(bin: &Path, dir: &Path, user: Option<(u32, u32)>, port: u16) -> std::io::Result<Child> {
    let mut run = Command::new("timeout");
    if let Some((uid, gid)) = user {
        run.uid(uid).gid(gid);
    }
    run.args(["-s", "INT", MOST_SECONDS])
        .arg(bin.join("postgres"))
        .arg("-D")
        .arg(dir.join("data"))
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=100", "-k"])
        .arg(dir)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn command(bin: &Path, name: &str, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(bin.join(name));
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command.env("LC_ALL", "C").current_dir("/");
    command
}

fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop()
}

/// PostgreSQL refuses to run as root: then its own user is taken, or `nobody`.
fn unprivileged() -> Result<Option<(u32, u32)>, String> {
    use std::os::unix::fs::MetadataExt as _;
    let me = fs::metadata("/proc/self").map_err(|e| e.to_string())?.uid();
    if me != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|e| e.to_string())?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody")).map(Some).ok_or_else(|| "there is no user to run it as".to_owned())
}
