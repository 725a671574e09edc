//! One running server: everything that its connections share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::admission::Admission;
use crate::budget::Budgets;
use crate::budget::memory::Memory;
use crate::clock::{self, Clock};
use crate::db::{Conn, Db, StoreError};
use crate::fanout::Fanout;
use crate::federation::{self, Federation};
use crate::intake::Intake;
use crate::municipality::Municipality;
use crate::problem::Fault;
use crate::signing;
use crate::store::accounts;

pub struct Server {
    pub db: Db,
    pub clock: Arc<Clock>,
    pub budgets: Arc<Budgets>,
    /// What is held in memory for whom.
    pub memory: Arc<Memory>,
    pub municipality: Arc<Municipality>,
    pub fanout: Arc<Fanout>,
    pub intake: Intake,
    pub federation: Federation,
    /// Turns true when the server drains.
    pub stop: watch::Receiver<bool>,
    /// Who may ask for how much now.
    pub admission: Admission,
}

impl Server {
    /// Prepares everything; serves nothing yet.
    pub async fn start(
        db: Db,
        municipality: Municipality,
        federation: Federation,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, StoreError> {
        Self::start_by(Arc::default(), db, municipality, federation, stop).await
    }

    /// The same by a given clock.
    pub async fn start_by(
        clock: Arc<Clock>,
        db: Db,
        municipality: Municipality,
        federation: Federation,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, StoreError> {
        let found = clock::begin(&clock, &mut db.reader().await?).await?;
        let municipality = Arc::new(municipality);
        let fanout = Arc::new(Fanout::default());
        federation.peers.refresh(&db).await?;
        let server = Arc::new(Self {
            intake: Intake::new(
                db.clone(),
                Arc::clone(&municipality),
                Arc::clone(&federation.peers),
                Arc::clone(&fanout),
                Arc::clone(&clock),
            ),
            budgets: Arc::new(Budgets::new(Arc::clone(&clock))),
            memory: Arc::clone(&federation.memory),
            clock,
            federation,
            db,
            municipality,
            fanout,
            stop,
            admission: Admission::default(),
        });
        tokio::spawn(crate::fanout::listen(Arc::clone(&server)));
        tokio::spawn(clock::follow(Arc::clone(&server), found));
        tokio::spawn(federation::peers::follow(Arc::clone(&server)));
        tokio::spawn(crate::transfer::follow(Arc::clone(&server)));
        tokio::spawn(sweep(Arc::clone(&server)));
        Ok(server)
    }

    /// Neither receipts nor certificates are signed by a restored server, nor by one whose clock is not believed.
    pub async fn may_sign(&self) -> Result<(), Fault> {
        signing::time(&mut self.db.reader().await?, &self.clock).await.map(drop)
    }
}

/// How long a used or expired code is remembered: whoever lost the answer to a join may ask again.
const CODES_KEPT_MS: u64 = 30 * 86_400_000;

/// Forgets what is over: full buckets each minute, so that memory does not grow with every address
/// ever seen, and old codes each hour.
async fn sweep(server: Arc<Server>) {
    let mut stop = server.stop.clone();
    for minute in 0u64.. {
        server.admission.sweep();
        server.budgets.sweep();
        if minute % 60 == 0
            && let Some(now) = server.clock.believed()
            && let Err(error) = forget_codes(&server.db, now).await
        {
            tracing::error!(%error, "old codes were not deleted");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
            () = crate::accept::stopped(&mut stop) => return,
        }
    }
}

async fn forget_codes(db: &Db, now: u64) -> Result<(), StoreError> {
    let before = now.saturating_sub(CODES_KEPT_MS);
    db.write::<_, StoreError, _>(move |conn: &mut Conn| {
        Box::pin(async move { accounts::delete_codes(conn, before).await })
    })
    .await
}
