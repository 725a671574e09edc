//! Days and moments as people type and scripts read them.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// A day as `YYYY-MM-DD`.
pub fn parse_date(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).map_err(|_| "YYYY-MM-DD".to_owned())
}

/// A day as `YYYY-MM-DD`.
pub fn date_text(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
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
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn days_and_moments() {
        assert_eq!(date_text(parse_date("2015-03-01").unwrap()), "2015-03-01");
        assert!(parse_date("2015-02-30").is_err() && parse_date("1.3.2015").is_err());
        assert_eq!(moment_text(1_700_000_000_999), "2023-11-14T22:13:20Z");
    }
}
