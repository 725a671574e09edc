//! Puts the catalogue's words into clap's help, so that help speaks the same language as everything else.

use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use crate::terminal::args::CommandLine;
use stafett_words::messages::Messages;

/// Parses a command line; a refusal carries help in the chosen language.
pub fn parse<I, T>(words: I, messages: &Messages) -> Result<CommandLine, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let command = speaking(CommandLine::command(), "", messages);
    let matches: ArgMatches = command.try_get_matches_from(words)?;
    CommandLine::from_arg_matches(&matches)
}

fn speaking(command: Command, path: &str, messages: &Messages) -> Command {
    let mut spoken = command.mut_args(|arg| match messages.find(&format!("arg.{}", arg.get_id())) {
        Some(text) => arg.help(text).long_help(None::<&str>),
        None => arg,
    });
    if let Some(text) = messages.find(&format!("help.{path}")) {
        spoken = spoken.about(text).long_about(None::<&str>);
    }
    spoken.mut_subcommands(|inner| {
        let inner_path =
            if path.is_empty() { inner.get_name().to_owned() } else { format!("{path}.{}", inner.get_name()) };
        speaking(inner, &inner_path, messages)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use stafett_words::messages::Language;

    #[test]
    fn every_command_and_argument_has_its_words() {
        let messages = Messages::of(Language::Bokmaal);
        let mut missing = Vec::new();
        walk(&CommandLine::command(), "", &messages, &mut missing);
        assert!(missing.is_empty(), "{missing:?}");
    }

    fn walk(command: &Command, path: &str, messages: &Messages, missing: &mut Vec<String>) {
        if command.is_hide_set() {
            return;
        }
        let own = [format!("help.{path}")];
        let args = command.get_arguments().filter(|arg| !arg.is_hide_set()).map(|arg| format!("arg.{}", arg.get_id()));
        for key in own.into_iter().chain(args) {
            if messages.find(&key).is_none() && key != "arg.help" && key != "arg.version" {
                missing.push(key);
            }
        }
        for inner in command.get_subcommands() {
            let name = inner.get_name();
            walk(inner, &if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }, messages, missing);
        }
    }

    #[test]
    fn help_speaks_the_language() {
        let error = parse(["stafett", "glimpse", "--help"], &Messages::of(Language::Nynorsk)).unwrap_err();
        assert!(error.to_string().contains("Skriv eit lysglimt"), "{error}");
    }
}
