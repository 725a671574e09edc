//! Dates and moments as answers have them.

use crate::client::input::{Cause, Problem};

/// A moment as RFC 3339 UTC.
pub(crate) fn rfc3339(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap_or_default();
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_default()
}

/// A calendar date as people write it, YYYY-MM-DD or D.M.YYYY; kept as the former.
pub(crate) fn date(text: &str) -> Result<time::Date, Problem> {
    let bad = || Problem::caller(Cause::Date, "give dates as YYYY-MM-DD");
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (year, month, day) =
        match *compact.split(['-', '\u{2010}', '\u{2011}', '\u{2013}', '.', '/']).collect::<Vec<_>>() {
            [year, month, day] if year.len() == 4 => (year, month, day),
            [day, month, year] if year.len() == 4 && compact.contains('.') => (year, month, day),
            _ => return Err(bad()),
        };
    let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse::<u16>().map_err(|_| bad()),
        false => Err(bad()),
    };
    let month =
        u8::try_from(number(month)?).ok().and_then(|month| time::Month::try_from(month).ok()).ok_or_else(bad)?;
    let day = u8::try_from(number(day)?).map_err(|_| bad())?;
    time::Date::from_calendar_date(number(year)?.into(), month, day).map_err(|_| bad())
}

/// A date as it is kept.
pub(crate) fn date_text(date: time::Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// The date so many days after a moment, as YYYY-MM-DD.
pub(crate) fn date_after(millis: u64, days: i64) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap_or_default();
    let format = time::macros::format_description!("[year]-[month]-[day]");
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|t| t.checked_add(time::Duration::days(days)))
        .and_then(|t| t.date().format(format).ok())
        .unwrap_or_default()
}
