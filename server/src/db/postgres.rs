//! PostgreSQL: one transaction a piece of work; the row that the work writes first is its lock.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::str::FromStr as _;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};

use super::{Conn, StoreError};

const CONNECTIONS: u32 = 8;

#[derive(Clone)]
pub struct Pg {
    pool: PgPool,
}

impl Pg {
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.options([("synchronous_commit", "on")]);
        if !is_checked(&options) {
            return Err(StoreError::Unchecked);
        }
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
            .await?;
        Ok(Self { pool })
    }

    /// Whether nothing is in the schema that the tables would be made in.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        let sql = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LIMIT 1";
        Ok(self.reader().await?.row(sql, vec![]).await?.is_none())
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

/// Whoever stands between two machines could read and change all rows: the server's certificate and name are checked, or
/// nothing leaves this machine. (`prefer`, what a URL means that says nothing, checks neither.)
fn is_checked(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    here || matches!(options.get_ssl_mode(), PgSslMode::VerifyFull)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_database_elsewhere_is_reached_over_a_checked_connection_only() {
        for (url, stands) in [
            ("postgres://s:p@db.example/s", false),
            ("postgres://s:p@db.example/s?sslmode=prefer", false),
            ("postgres://s:p@db.example/s?sslmode=require", false),
            ("postgres://s:p@db.example/s?sslmode=verify-ca", false),
            ("postgres://s:p@db.example/s?sslmode=verify-full", true),
            ("postgres://s:p@10.0.0.5/s", false),
            ("postgres://s:p@[2001:db8::1]/s", false),
            ("postgres://s:p@localhost.example/s", false),
            ("postgres://s:p@127.0.0.1/s", true),
            ("postgres://s:p@[::1]/s", true),
            ("postgres://s:p@localhost/s", true),
            ("postgres:///s?host=/run/postgresql", true),
            // The query's host is the one that counts.
            ("postgres://s:p@localhost/s?host=db.example", false),
        ] {
            assert_eq!(is_checked(&PgConnectOptions::from_str(url).unwrap()), stands, "{url}");
        }
    }
}
