//! The process itself: what it makes is its owner's, and its memory, which holds keys, never becomes a file.

use std::io;

/// Called first by each program: no rights for others on anything made from here on (umask), no core dumps, and on Linux
/// no other process of the same user that reads our memory.
#[cfg(unix)]
pub fn keep_to_ourselves() -> io::Result<()> {
    use rustix::fs::Mode;
    use rustix::process::{Resource, Rlimit, setrlimit, umask};
    umask(Mode::RWXG | Mode::RWXO);
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // A core that is piped to a program (systemd-coredump) heeds no limit.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Other systems have neither.
#[cfg(not(unix))]
pub fn keep_to_ourselves() -> io::Result<()> {
    Ok(())
}

/// Whether somebody at the other end of a socket works as the same user.
#[cfg(unix)]
pub fn is_us(user: u32) -> bool {
    rustix::process::geteuid().as_raw() == user
}
