//! What became of a change after it was saved: sent at once, or later. Which it is never changes whether the command is done.

use std::time::Duration;

use serde_json::{Value, json};
use stafett_client_core::client::input::Command as Wish;

use crate::host::fault::{Exit, Fault};
use crate::terminal::messages::Messages;
use crate::terminal::output::Said;
use crate::terminal::render;

/// A person waits so long for a server, and no longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a change tries to be sent: `STAFETT_PATIENCE`, in seconds, for machines that are slow or in no hurry.
pub fn patience() -> Duration {
    let told = std::env::var("STAFETT_PATIENCE").ok().and_then(|text| text.trim().parse().ok());
    told.map_or(PATIENCE, Duration::from_secs)
}

/// Whether a wish leaves something for others, or for another device of the same person.
pub fn changes(wish: &Wish) -> bool {
    match wish {
        // These two speak with the server themselves.
        Wish::Join { .. } | Wish::DeviceAccept { .. } | Wish::ServerAt { .. } => false,
        Wish::DeviceList
        | Wish::InviteList
        | Wish::People { .. }
        | Wish::Units
        | Wish::Verify { number: None, .. }
        | Wish::LogList
        | Wish::Me
        | Wish::LogShow { .. }
        | Wish::LogHistory { .. }
        | Wish::ConsentPending
        | Wish::ConsentList { .. }
        | Wish::BatonList
        | Wish::ConcernShow { .. }
        | Wish::AttachmentGet { .. }
        | Wish::Drafts
        | Wish::DraftDrop { .. }
        | Wish::SyncCounts
        | Wish::AuditVerify { .. }
        | Wish::AuditExport { .. } => false,
        _ => true,
    }
}

/// What became of it.
pub enum Sending {
    /// The counts of the contact.
    Done(Value),
    /// Not now, and why, where it was tried.
    Later(Option<Fault>),
}

impl Sending {
    /// Of a contact that was tried.
    pub fn of(reached: Result<Value, Fault>) -> Self {
        match reached {
            Ok(counts) => Self::Done(counts),
            Err(fault) => Self::Later(Some(fault)),
        }
    }

    /// Adds to what the command says.
    pub fn tell(&self, messages: &Messages, name: &str, said: &mut Said) {
        let (state, lines, more) = match self {
            Self::Done(counts) => {
                let waits = counts.get("queued").and_then(Value::as_u64) > Some(0);
                let told = if waits { "say.partly-sent" } else { "say.sent" };
                let lists = render::lists(messages, "sync", counts);
                let lines = std::iter::once(messages.say(told, &[])).chain(lists).collect();
                (if waits { "partly" } else { "sent" }, lines, counts.clone())
            }
            Self::Later(fault) => {
                let code = fault.as_ref().map(|fault| fault.code.clone());
                let mut lines = vec![messages.say("say.sent-later", &[])];
                // That there is no net needs no explanation; anything else does.
                if let Some(fault) = fault.as_ref().filter(|fault| fault.code != "unreachable") {
                    lines.push(render::fault(messages, &fault.code, Some(&fault.detail)));
                }
                lines.extend(messages.find(&format!("later.{name}")).map(str::to_owned));
                ("later", lines, json!({ "code": code }))
            }
        };
        let lines = std::iter::once(std::mem::take(&mut said.text)).chain(lines).filter(|line| !line.is_empty());
        said.text = lines.collect::<Vec<_>>().join("\n");
        if let Some(fields) = said.value.as_object_mut() {
            let mut delivery = json!({ "state": state });
            if let (Some(delivery), Value::Object(more)) = (delivery.as_object_mut(), more) {
                delivery.extend(more);
            }
            fields.insert("delivery".to_owned(), delivery);
        }
    }

    /// How the command ends: whoever wrote what was refused must not take it for sent, and damage is damage.
    pub fn end(self) -> Result<Exit, Fault> {
        match self {
            Self::Done(counts) if counts.get("given_up").and_then(Value::as_u64) > Some(0) => Ok(Exit::Refused),
            Self::Later(Some(fault)) if fault.exit == Exit::Damaged => Err(fault),
            Self::Done(_) | Self::Later(_) => Ok(Exit::Done),
        }
    }
}
