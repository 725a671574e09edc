//! What a command leaves on stdout: one JSON value with the keys of the contract, or plain words. Diagnostics go to stderr.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use crate::host::fault::{Exit, Fault};
use stafett_words::messages::{Language, Messages};
use stafett_words::problems;
use stafett_words::reader::printable;

/// How this run speaks.
pub struct Output {
    json: bool,
    messages: Messages,
}

/// What a command has to say.
#[derive(Debug, Default)]
pub struct Said {
    /// For scripts.
    pub value: Value,
    /// For people, ready to print.
    pub text: String,
}

impl Output {
    /// As the command line asked.
    pub fn new(json: bool, language: Language) -> Self {
        Self { json, messages: Messages::of(language) }
    }

    /// The catalogue of this run.
    pub fn messages(&self) -> &Messages {
        &self.messages
    }

    /// Whether scripts are listening.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer: one line of JSON, or the words. Who reads it must not take a part of it for the whole.
    pub fn print(&self, said: &Said) -> Result<(), Fault> {
        let line = if self.json { said.value.to_string() } else { said.text.trim_end().to_owned() };
        if line.is_empty() {
            return Ok(());
        }
        to_stdout(&line).map_err(|error| Fault::new(Exit::Damaged, "not-printed", error))
    }

    /// Prints a fault and gives the exit code.
    pub fn print_fault(&self, fault: &Fault) -> Exit {
        if self.json {
            // The exit code says the same.
            let _ = to_stdout(&self.fault_value(fault).to_string());
        } else {
            // The detail may be a server's own words.
            let (message, hint) = self.words(fault);
            let message = printable(&message);
            let hint = if hint.is_empty() { String::new() } else { format!("\n{hint}") };
            // A closed stderr must not change the exit code.
            let _ = writeln!(io::stderr(), "{message}{hint}");
        }
        fault.exit
    }

    fn fault_value(&self, fault: &Fault) -> Value {
        let (message, hint) = self.words(fault);
        json!({"error": {"code": fault.code, "message": message, "hint": hint, "detail": fault.detail}})
    }

    fn words(&self, fault: &Fault) -> (String, String) {
        let word = |kind: &str, value: &str| self.messages.say(&format!("{kind}.{value}"), &[]);
        let more = fault.values.iter().map(|(name, value)| match name.as_str() {
            "what" => (name.as_str(), word("field", value)),
            "unit" | "way" => (name.as_str(), word("word", value)),
            "nth" => (name.as_str(), self.messages.nth(value)),
            _ => (name.as_str(), value.clone()),
        });
        let more: Vec<(&str, String)> = more.collect();
        let values = more.iter().map(|(name, value)| (*name, value.as_str()));
        let values: Vec<(&str, &str)> =
            values.chain([("detail", fault.detail.as_str()), ("code", fault.code.as_str())]).collect();
        let value =
            |name: &str| values.iter().find(|(key, _)| *key == name).map_or_else(String::new, |(_, v)| (*v).to_owned());
        let fill = |text: &str| self.messages.fill(text, value);
        let unknown = if fault.exit == Exit::Refused { "fault.refused" } else { "fault.other" };
        let known = problems::text(&self.messages, &fault.code);
        let text = known.or_else(|| self.messages.find(unknown));
        // Words that say in the same breath what to do need no other way on.
        let report = || self.messages.find("way.report").filter(|_| known.is_none());
        let hint = problems::way(&self.messages, &fault.code).or_else(report);
        (text.map(fill).unwrap_or_default(), hint.map(fill).unwrap_or_default())
    }
}

fn to_stdout(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        // A reader that went away (`| head`) is no error of this program, nor is there anybody where it was closed before.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_carry_code_message_and_hint() {
        let output = Output::new(true, Language::Bokmaal);
        let value = output.fault_value(&Fault::usage("no-home", "/tmp/x"));
        assert_eq!(value.pointer("/error/code"), Some(&json!("no-home")));
        let message = value.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
        assert!(message.contains("/tmp/x"), "{message}");
        let hint = value.pointer("/error/hint").and_then(Value::as_str).unwrap_or_default();
        assert!(hint.contains("stafett join"), "{hint}");
    }

    #[test]
    fn who_is_told_what_to_do_is_not_sent_to_the_municipality_besides() {
        for code in ["file-exists", "offer-open"] {
            let value = Output::new(true, Language::Bokmaal).fault_value(&Fault::usage(code, "x"));
            assert_eq!(value.pointer("/error/hint"), Some(&json!("")), "{value}");
        }
        let value = Output::new(true, Language::Bokmaal).fault_value(&Fault::usage("never-heard-of", "x"));
        assert!(value.to_string().contains("Si fra til kommunen"), "{value}");
    }

    #[test]
    fn unknown_codes_still_say_something() {
        let output = Output::new(true, Language::English);
        let value = output.fault_value(&Fault::new(Exit::Refused, "never-heard-of", "why"));
        let message = value.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
        assert!(message.contains("never-heard-of") && message.contains("why"), "{message}");
    }
}
