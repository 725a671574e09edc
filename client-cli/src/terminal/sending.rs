//! What became of a change after it was saved: sent at once, or later. Which it is never changes whether the command is done.

use std::time::Duration;

use serde::Serialize;
use stafett_client_core::answer::{Counts, json};

pub use crate::host::desk::changes;
use crate::host::fault::{Exit, Fault};
use crate::terminal::output::Said;
use stafett_words::reader::Reader;
use stafett_words::render;
use stafett_words::shown::Shown as _;

/// A person waits so long for a server, and no longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a change tries to be sent: `STAFETT_PATIENCE`, in seconds, for machines that are slow or in no hurry.
pub fn patience() -> Duration {
    let told = std::env::var("STAFETT_PATIENCE").ok().and_then(|text| text.trim().parse().ok());
    told.map_or(PATIENCE, Duration::from_secs)
}

/// What became of it.
pub enum Sending {
    /// The counts of the contact.
    Done(Counts),
    /// Not now, and why, where it was tried.
    Later(Option<Fault>),
}

/// What scripts get beside the answer.
#[derive(Serialize)]
struct Delivery<'a> {
    state: &'static str,
    #[serde(flatten)]
    met: Met<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Met<'a> {
    Somebody(&'a Counts),
    /// Why, where it was tried.
    Nobody {
        code: Option<String>,
    },
}

impl Sending {
    /// Of a contact that was tried.
    pub fn of(reached: Result<Counts, Fault>) -> Self {
        match reached {
            Ok(counts) => Self::Done(counts),
            Err(fault) => Self::Later(Some(fault)),
        }
    }

    /// Adds to what the command says.
    pub fn tell(&self, to: &Reader<'_>, name: &str, said: &mut Said) {
        let messages = to.messages;
        let (delivery, lines) = match self {
            Self::Done(counts) => {
                let waits = counts.queued > 0;
                let told = if waits { "say.partly-sent" } else { "say.sent" };
                let lists = render::lists(to, "sync", &counts.part(to));
                let lines = std::iter::once(messages.say(told, &[])).chain(lists).collect();
                (Delivery { state: if waits { "partly" } else { "sent" }, met: Met::Somebody(counts) }, lines)
            }
            Self::Later(fault) => {
                let code = fault.as_ref().map(|fault| fault.code.clone());
                let mut lines = vec![messages.say("say.sent-later", &[])];
                // That there is no net needs no explanation; anything else does.
                if let Some(fault) = fault.as_ref().filter(|fault| fault.code != "unreachable") {
                    lines.push(to.fault(&fault.code, Some(&fault.detail)));
                }
                lines.extend(messages.find(&format!("later.{name}")).map(str::to_owned));
                (Delivery { state: "later", met: Met::Nobody { code } }, lines)
            }
        };
        let lines = std::iter::once(std::mem::take(&mut said.text)).chain(lines).filter(|line| !line.is_empty());
        said.text = lines.collect::<Vec<_>>().join("\n");
        if let Some(fields) = said.value.as_object_mut() {
            fields.insert("delivery".to_owned(), json(&delivery));
        }
    }

    /// How the command ends: whoever wrote what was refused must not take it for sent, and damage is damage.
    pub fn end(self) -> Result<Exit, Fault> {
        match self {
            Self::Done(counts) if counts.given_up > 0 => Ok(Exit::Refused),
            Self::Later(Some(fault)) if fault.exit == Exit::Damaged => Err(fault),
            Self::Done(_) | Self::Later(_) => Ok(Exit::Done),
        }
    }
}
