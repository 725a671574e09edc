//! The pages on the own machine: `stafett ui`. A host does nothing but carry: a request in, wishes to the core, a page out.
//!
//! `port.rs` listens, `gate.rs` says who may come in, `site.rs` which request is whose, `turn.rs` makes one page, `keeper.rs`
//! holds the homes, `homes.rs` opens and begins them, `live.rs` tells open pages that something has changed.

mod body;
mod browser;
mod choose;
mod gate;
mod headers;
mod homes;
mod keeper;
mod live;
mod neighbour;
mod outside;
mod port;
mod site;
mod turn;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stafett_words::messages::Language;

use crate::host::fault::{Exit, Fault};
use crate::terminal::args;
use crate::terminal::output::{Output, Said};
use keeper::Keeper;
use site::Site;

/// Nobody has done anything for so long: the key leaves the memory. What was typed stays.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// `STAFETT_LOCK_AFTER`, in seconds, for whoever shares a machine, or has one alone.
fn idle() -> Duration {
    let told = std::env::var("STAFETT_LOCK_AFTER").ok().and_then(|text| text.trim().parse().ok());
    told.map_or(IDLE, Duration::from_secs)
}

/// Shows the pages until somebody stops it.
pub async fn run(root: &Path, ui: &args::Ui, language: Language, output: &Output) -> Result<Exit, Fault> {
    #[cfg(feature = "demo")]
    crate::demo::hang_on_lifeline();
    let broken = |error: &dyn std::fmt::Display| Fault::new(Exit::Damaged, "runtime", error);
    let (listener, port) =
        port::bind(ui.port.unwrap_or_default()).await.map_err(|error| Fault::usage("port", error))?;
    let (keeper, holding) = Keeper::new();
    let root = std::path::absolute(root).map_err(|error| Fault::usage("file", error))?;
    for dir in homes::find(&root) {
        keeper.add(dir);
    }
    let site = Site::new(port, keeper.clone(), root, language).map_err(|error| broken(&error))?;
    let site = Arc::new(site);
    let opens = async {
        // A wrong passphrase in the environment is told at the page, where the right one can be typed.
        if keeper.dirs().len() == 1 {
            let _ = homes::unlock_unasked(&keeper, 0).await;
        }
        let link = site.gate.link().map_err(|error| broken(&error))?;
        let text = output.messages().say("say.ui", &[("link", &link)]);
        output.print(&Said { value: json!({"ready": true, "link": *link}), text })?;
        if !ui.no_open {
            browser::open(&link);
        }
        let answering = Arc::clone(&site);
        port::serve(listener, move |request| Arc::clone(&answering).answer(request)).await;
        Ok(Exit::Done)
    };
    let locks = async {
        let after = idle();
        loop {
            tokio::time::sleep((after / 4).clamp(Duration::from_millis(100), Duration::from_secs(10))).await;
            keeper.lock_idle(after);
        }
    };
    let homes = tokio::task::LocalSet::new();
    homes
        .run_until(async {
            tokio::select! {
                outcome = opens => outcome,
                () = locks => Ok(Exit::Done),
                () = holding.run() => Ok(Exit::Done),
                _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
            }
        })
        .await
}
