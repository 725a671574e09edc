//! `stafettd unit add`: for the operator, also while the server runs (SQLite and PostgreSQL both allow it).

use std::path::Path;

use clap::Subcommand;
use serde_json::json;
use stafett_protocol::credential::PersonKind;
use stafett_protocol::ids::UnitId;
use stafett_protocol::text::{self, Unfit};
use stafett_protocol::wire::CodeKind;

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
        let unfit = |unfit: Unfit| CliError::Usage(unfit.to_string());
        let name = text::UNIT.take(&name).map_err(unfit)?;
        let kind = text::UNIT_KIND.take(&kind).map_err(unfit)?;
        let (home, db) = super::open(dir).await?;
        let municipality = Municipality::of(&home)?;
        let unit = UnitId(random()?);
        let known = {
            let (name, kind) = (name.clone(), kind.clone());
            db.write::<_, StoreError, _>(move |conn: &mut Conn| {
                Box::pin(async move { accounts::add_unit(conn, unit, &name, &kind, now_ms()).await })
            })
            .await?
        };
        if known.is_some() {
            return Err(CliError::Refused {
                code: "unit-exists",
                message: format!("there is a unit called {name} already"),
                hint: "give it a name that families can tell from the other",
            });
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
