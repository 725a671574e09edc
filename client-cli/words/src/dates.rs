//! Days and moments as people read them: by the clock on their wall.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::messages::Messages;

/// A moment (RFC 3339) or a day (`2026-11-30`) in the words of the catalogue; `None` where a text is neither.
pub fn shown(messages: &Messages, text: &str, zone: &TimeZone) -> Option<String> {
    let (key, day, clock) = match (text.parse::<Date>(), text.parse::<Timestamp>()) {
        (_, Ok(moment)) => {
            let local = zone.to_datetime(moment);
            ("form.time", local.date(), format!("{:02}:{:02}", local.hour(), local.minute()))
        }
        (Ok(day), _) => ("form.date", day, String::new()),
        _ => return None,
    };
    let (day, month, year) = (day.day().to_string(), day.month().to_string(), day.year().to_string());
    Some(messages.say(key, &[("day", &day), ("month", &month), ("year", &year), ("clock", &clock)]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::messages::Language;

    #[test]
    fn moments_are_told_by_the_clock_on_the_wall_and_days_as_they_are() {
        let messages = Messages::of(Language::Bokmaal);
        let oslo = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let told = |text: &str| shown(&messages, text, &oslo);
        assert_eq!(told("2026-11-30T23:19:06Z").as_deref(), Some("1.12.2026 kl. 00:19"), "winter");
        assert_eq!(told("2026-06-30T10:00:00Z").as_deref(), Some("30.6.2026 kl. 12:00"), "summer");
        assert_eq!(told("2017-01-02").as_deref(), Some("2.1.2017"));
        assert_eq!([told("i morgen"), told(""), told("2026-13-01")], [None, None, None]);
    }
}
