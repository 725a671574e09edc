//! One connection, its arguments and its rows, the same for both engines.

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Postgres, Row as _, Sqlite};

use super::StoreError;

/// A value to bind. The nullable ones keep their type, since PostgreSQL wants it even for NULL.
#[derive(Clone, Debug)]
pub enum Arg {
    Int(Option<i64>),
    Bytes(Option<Vec<u8>>),
    Text(Option<String>),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}
impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}
impl From<&[u8]> for Arg {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}
impl<const N: usize> From<&[u8; N]> for Arg {
    fn from(value: &[u8; N]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}
impl From<Vec<u8>> for Arg {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}
impl From<Option<Vec<u8>>> for Arg {
    fn from(value: Option<Vec<u8>>) -> Self {
        Self::Bytes(value)
    }
}
impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

/// Builds the argument list of a statement.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Arg::from($value)),*] };
}

/// One connection of either engine.
pub enum Conn {
    Lite(PoolConnection<Sqlite>),
    Pg(PoolConnection<Postgres>),
}

/// One row of either engine; columns are read by position.
pub enum Row {
    Lite(SqliteRow),
    Pg(PgRow),
}

impl Conn {
    /// Runs a statement and tells how many rows it changed.
    pub async fn execute(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Lite(c) => bind_lite(sqlx::query(sql), args).execute(&mut **c).await?.rows_affected(),
            Self::Pg(c) => bind_pg(sqlx::query(sql), args).execute(&mut **c).await?.rows_affected(),
        })
    }

    /// All rows of a statement; every caller bounds them by LIMIT or by key.
    pub async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Lite(c) => {
                bind_lite(sqlx::query(sql), args).fetch_all(&mut **c).await?.into_iter().map(Row::Lite).collect()
            }
            Self::Pg(c) => {
                bind_pg(sqlx::query(sql), args).fetch_all(&mut **c).await?.into_iter().map(Row::Pg).collect()
            }
        })
    }

    /// The first row, if any.
    pub async fn row(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Option<Row>, StoreError> {
        Ok(match self {
            Self::Lite(c) => bind_lite(sqlx::query(sql), args).fetch_optional(&mut **c).await?.map(Row::Lite),
            Self::Pg(c) => bind_pg(sqlx::query(sql), args).fetch_optional(&mut **c).await?.map(Row::Pg),
        })
    }

    /// Statements without arguments that are put together from our own table list (schema, backup).
    pub(crate) async fn raw(&mut self, sql: String, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        let sql = AssertSqlSafe(sql);
        Ok(match self {
            Self::Lite(c) => {
                bind_lite(sqlx::query(sql), args).fetch_all(&mut **c).await?.into_iter().map(Row::Lite).collect()
            }
            Self::Pg(c) => {
                bind_pg(sqlx::query(sql), args).fetch_all(&mut **c).await?.into_iter().map(Row::Pg).collect()
            }
        })
    }

    #[must_use]
    pub fn is_pg(&self) -> bool {
        matches!(self, Self::Pg(_))
    }
}

fn bind_lite(
    mut query: Query<'static, Sqlite, SqliteArguments>,
    args: Vec<Arg>,
) -> Query<'static, Sqlite, SqliteArguments> {
    for arg in args {
        query = match arg {
            Arg::Int(v) => query.bind(v),
            Arg::Bytes(v) => query.bind(v),
            Arg::Text(v) => query.bind(v),
        };
    }
    query
}

fn bind_pg(mut query: Query<'static, Postgres, PgArguments>, args: Vec<Arg>) -> Query<'static, Postgres, PgArguments> {
    for arg in args {
        query = match arg {
            Arg::Int(v) => query.bind(v),
            Arg::Bytes(v) => query.bind(v),
            Arg::Text(v) => query.bind(v),
        };
    }
    query
}

macro_rules! column {
    ($self:ident, $at:ident, $kind:ty) => {
        match $self {
            Row::Lite(row) => row.try_get::<$kind, usize>($at),
            Row::Pg(row) => row.try_get::<$kind, usize>($at),
        }
    };
}

impl Row {
    pub fn int(&self, at: usize) -> Result<i64, StoreError> {
        Ok(column!(self, at, i64)?)
    }

    pub fn maybe_int(&self, at: usize) -> Result<Option<i64>, StoreError> {
        Ok(column!(self, at, Option<i64>)?)
    }

    pub fn bytes(&self, at: usize) -> Result<Vec<u8>, StoreError> {
        Ok(column!(self, at, Vec<u8>)?)
    }

    pub fn maybe_bytes(&self, at: usize) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(column!(self, at, Option<Vec<u8>>)?)
    }

    pub fn text(&self, at: usize) -> Result<String, StoreError> {
        Ok(column!(self, at, String)?)
    }

    /// Bytes of exactly the length that was written, or the row is damaged.
    pub fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], StoreError> {
        self.bytes(at)?.try_into().map_err(|_| StoreError::Damaged("a key of the wrong length"))
    }
}
