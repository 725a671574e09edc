//! PostgreSQL: one transaction a piece of work; the row that the work writes first is its lock.

use std::panic::AssertUnwindSafe;
use std::str::FromStr as _;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::{Conn, StoreError};

const CONNECTIONS: u32 = 8;

#[derive(Clone)]
pub struct Pg {
    pool: PgPool,
}

impl Pg {
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.options([("synchronous_commit", "on")]);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
            .await?;
        Ok(Self { pool })
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        // In a task of its own: a caller that goes away must not leave a transaction half done.
        let pool = self.pool.clone();
        tokio::spawn(async move {
            let mut conn = Conn::Pg(pool.acquire().await.map_err(StoreError::from)?);
            conn.execute("BEGIN", vec![]).await?;
            let result = AssertUnwindSafe(async { work(&mut conn).await })
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(StoreError::Lost.into()));
            if result.is_ok() {
                conn.execute("COMMIT", vec![]).await?;
            } else {
                conn.execute("ROLLBACK", vec![]).await?;
            }
            result
        })
        .await
        .map_err(|_| E::from(StoreError::Lost))?
    }

    pub async fn reader(&self) -> Result<Conn, StoreError> {
        Ok(Conn::Pg(self.pool.acquire().await?))
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}
