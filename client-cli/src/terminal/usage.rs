//! What was typed and not understood, told in the person's language: what is wrong, what it could have been, how it is used.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use stafett_words::messages::Messages;
use stafett_words::reader::printable;

/// The words for a command line that was refused: what is wrong in one line, and how the command is used.
pub fn words(error: &clap::Error, messages: &Messages) -> (String, Option<String>) {
    let part = |kind| error.get(kind).map(listed).unwrap_or_default();
    let values = [
        ("given", first(&[part(ContextKind::InvalidValue), part(ContextKind::InvalidSubcommand)])),
        ("argument", part(ContextKind::InvalidArg)),
        ("other", part(ContextKind::PriorArg)),
        ("possible", first(&[part(ContextKind::ValidValue), part(ContextKind::ValidSubcommand)])),
    ];
    let text =
        messages.say(&format!("usage.{}", key(error)), &values.each_ref().map(|(name, value)| (*name, &**value)));
    let nearest = first(&[
        part(ContextKind::SuggestedSubcommand),
        part(ContextKind::SuggestedValue),
        part(ContextKind::SuggestedArg),
    ]);
    let meant = (!nearest.is_empty()).then(|| messages.say("usage.meant", &[("nearest", &nearest)]));
    let how = error.get(ContextKind::Usage).map(|usage| usage.to_string());
    let how = how.map(|usage| usage.trim_start_matches("Usage:").trim().to_owned()).filter(|usage| !usage.is_empty());
    let how = how.map(|usage| messages.say("usage.how", &[("usage", &usage)]));
    ([Some(text), meant].into_iter().flatten().collect::<Vec<_>>().join(" "), how)
}

/// Which text of the catalogue says it.
fn key(error: &clap::Error) -> &'static str {
    let is_given = |kind| matches!(error.get(kind), Some(ContextValue::String(text)) if !text.is_empty());
    match error.kind() {
        ErrorKind::InvalidValue if !is_given(ContextKind::InvalidValue) => "value-missing",
        ErrorKind::InvalidValue => "value",
        ErrorKind::ValueValidation => "value-refused",
        ErrorKind::UnknownArgument => "argument",
        ErrorKind::InvalidSubcommand => "command",
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "command-missing",
        ErrorKind::MissingRequiredArgument => "argument-missing",
        ErrorKind::ArgumentConflict if is_same(error) => "argument-twice",
        ErrorKind::ArgumentConflict => "conflict",
        ErrorKind::TooManyValues | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => "values",
        ErrorKind::NoEquals => "value-missing",
        ErrorKind::InvalidUtf8 => "not-text",
        _ => "other",
    }
}

/// An option that was given twice conflicts with itself.
fn is_same(error: &clap::Error) -> bool {
    match (error.get(ContextKind::InvalidArg), error.get(ContextKind::PriorArg)) {
        (Some(one), Some(other)) => listed(one) == listed(other),
        (Some(_), None) => true,
        _ => false,
    }
}

fn listed(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(all) => all.join(", "),
        ContextValue::None => String::new(),
        other => other.to_string(),
    }
}

fn first(choices: &[String]) -> String {
    printable(choices.iter().find(|choice| !choice.is_empty()).map_or("", String::as_str))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::terminal::help;
    use stafett_words::messages::Language;

    fn said(line: &[&str]) -> String {
        let messages = Messages::of(Language::Bokmaal);
        let error = help::parse(line.iter().copied(), &messages).unwrap_err();
        let (text, how) = words(&error, &messages);
        format!("{text} {}", how.unwrap_or_default())
    }

    #[test]
    fn what_was_not_understood_is_told_in_the_language_with_what_it_could_have_been() {
        for (line, parts) in [
            (&["stafett"][..], &["Hva vil du gjøre"][..]),
            (&["stafett", "log", "vis"], &["«vis»"]),
            (&["stafett", "log", "shw", "12ab"], &["«shw»", "Mente du «show»"]),
            (&["stafett", "glimpse", "12ab"], &["mangler", "<TEXT>"]),
            (&["stafett", "measure", "add", "1", "--text", "x", "--arena", "skole"], &["«skole»", "--arena", "home"]),
            (&["stafett", "sync", "--wach"], &["--wach", "--watch"]),
            (&["stafett", "log", "new", "--child"], &["--child"]),
        ] {
            let told = said(line);
            for part in parts {
                assert!(told.contains(part), "{line:?}: {told}");
            }
            for english in ["error", "required", "unrecognized", "invalid", "Usage", "tip"] {
                assert!(!told.contains(english), "{line:?}: {told}");
            }
        }
    }
}
