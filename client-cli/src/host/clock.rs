//! A clock that is off, told from a server that is another one. The server that the code names answered and proved its key;
//! only the time on its certificate does not fit the time on this device.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stafett_protocol::limits::CLOCK_SKEW_SHOWN_MILLIS;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::host::fault::{Exit, Fault};

/// What the two clocks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    pub device: SystemTime,
    /// Where the server has told; nobody but its operator is told by it, so it need not be proved.
    pub server: Option<SystemTime>,
}

impl std::fmt::Display for Clocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "this device's clock says {}", text(self.device))?;
        self.server.map_or(Ok(()), |server| write!(f, ", the server's {}", text(server)))
    }
}

impl Clocks {
    /// How far apart, and whether the device is ahead.
    fn apart(self) -> Option<(Duration, bool)> {
        let server = self.server?;
        Some(match self.device.duration_since(server) {
            Ok(ahead) => (ahead, true),
            Err(behind) => (behind.duration(), false),
        })
    }

    /// Exit code 3: nothing was sent, and it can be tried again.
    #[must_use]
    pub fn fault(self) -> Fault {
        let device = ("device", text(self.device));
        let (code, values) = match self.apart() {
            None => ("clock-unknown", vec![device]),
            Some((apart, _)) if apart.as_millis() <= u128::from(CLOCK_SKEW_SHOWN_MILLIS) => {
                ("server-expired", vec![device])
            }
            Some((apart, ahead)) => {
                let (much, unit) = in_words(apart);
                let way = if ahead { "ahead" } else { "behind" };
                let server = ("server", self.server.map(text).unwrap_or_default());
                let off = ("off", much.to_string());
                ("clock-off", vec![device, server, off, ("unit", unit.to_owned()), ("way", way.to_owned())])
            }
        };
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Fault { values, ..Fault::new(Exit::Unreachable, code, self) }
    }
}

/// In the largest unit of which there are at least two.
fn in_words(apart: Duration) -> (u64, &'static str) {
    let minutes = apart.as_secs() / 60;
    [(minutes / (24 * 60), "days"), (minutes / 60, "hours")]
        .into_iter()
        .find(|(many, _)| *many >= 2)
        .unwrap_or((minutes, "minutes"))
}

fn text(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    moment_text(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A moment as RFC 3339 UTC, to the second.
pub fn moment_text(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        // Beyond year 9999: a number is more honest than a wrong date.
        .unwrap_or_else(|| ms.to_string())
}

/// Now, in milliseconds since 1970.
pub fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_clock_it_is_and_by_how_much() {
        let at = |days: u64| UNIX_EPOCH + Duration::from_secs(days * 86_400);
        let told = |device, server| Clocks { device: at(device), server }.fault();
        let off = told(10_000, Some(at(20_000)));
        assert_eq!((off.exit, off.code.as_str()), (Exit::Unreachable, "clock-off"));
        for value in [("off", "10000"), ("unit", "days"), ("way", "behind"), ("device", "1997-05-19T00:00:00Z")] {
            assert!(off.values.contains(&(value.0.to_owned(), value.1.to_owned())), "{value:?} {:?}", off.values);
        }
        assert_eq!(told(20_000, Some(at(20_000))).code, "server-expired");
        assert_eq!(told(20_000, None).code, "clock-unknown");
        assert_eq!(in_words(Duration::from_secs(26 * 3600)), (26, "hours"));
        assert_eq!(in_words(Duration::from_secs(20 * 60)), (20, "minutes"));
    }

    #[test]
    fn moments() {
        assert_eq!(moment_text(1_700_000_000_999), "2023-11-14T22:13:20Z");
    }
}
