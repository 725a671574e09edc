//! `stafettd unit add`: for the operator, also while the server runs (SQLite and PostgreSQL both allow it).

use std::path::Path;

use clap::Subcommand;
use serde_json::json;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::ids::UnitId;
use stafett_protocol::wire::CodeKind;

use super::names::{NAME_CHARS, is_plain};
use super::{CliError, Said, init::new_code};
use crate::db::{Conn, StoreError};
use crate::home::{now_ms, random};
use crate::municipality::Municipality;
use crate::store::accounts;

#[derive(Debug, Subcommand)]
pub enum UnitCommand {
    /// Adds a unit and prints its leader's one-time code.
    Add {
        #[arg(long)]
        name: String,
        /// `school`, `kindergarten`, `health-station`, `ppt`, …
        #[arg(long)]
        kind: String,
    },
}

impl UnitCommand {
    pub async fn run(self, dir: &Path) -> Result<Said, CliError> {
        let Self::Add { name, kind } = self;
        let (name, kind) = (name.trim().to_owned(), kind.trim().to_owned());
        if !is_plain(&name) || !is_plain(&kind) {
            return Err(CliError::Usage(format!(
                "--name and --kind take 1 to {NAME_CHARS} characters, without line breaks"
            )));
        }
        let (home, db) = super::open(dir).await?;
        let municipality = Municipality::of(&home)?;
        let unit = UnitId(random()?);
        {
            let (name, kind) = (name.clone(), kind.clone());
            db.write::<_, StoreError, _>(move |conn: &mut Conn| {
                Box::pin(async move { accounts::add_unit(conn, unit, &name, &kind, now_ms()).await })
            })
            .await?;
        }
        let ticket = new_code(&db, CodeKind::Person(PersonKind::Leader), Some(unit)).await?;
        db.close().await;
        let code = municipality.code(ticket).to_text();
        Ok(Said::new(
            format!("{name} is {unit}\nIts leader's code, valid for 14 days:\n{code}"),
            json!({"unit": unit.to_string(), "leader_code": code}),
        ))
    }
}
