//! `stafettd clock accept`: the operator's word that this machine's clock is right, also while the server runs.

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::{CliError, Said};
use crate::clock;
use crate::db::{Conn, StoreError};
use crate::home::now_ms;
use crate::signing;

#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Lets a server sign again that does not believe its clock. Look at the clock first: receipt time never goes back, and
    /// consents that have expired by it stay so.
    Accept,
}

impl ClockCommand {
    pub async fn run(self, dir: &Path) -> Result<Said, CliError> {
        let Self::Accept = self;
        let (_, db) = super::open(dir).await?;
        let now = now_ms();
        let before = db
            .write::<u64, StoreError, _>(move |conn: &mut Conn| {
                Box::pin(async move {
                    let before = signing::marks(conn).await?.newest;
                    clock::accept(conn, now).await?;
                    Ok(before)
                })
            })
            .await?;
        db.close().await;
        let (far, side) = (now.abs_diff(before) / 1000, if now < before { "before" } else { "after" });
        let words = match before {
            0 => "The clock is accepted.".to_owned(),
            _ => format!("The clock is accepted: {far} s {side} the newest time that this server had noted."),
        };
        Ok(Said::new(words, json!({"accepted_ms": now, "newest_ms": before})))
    }
}
