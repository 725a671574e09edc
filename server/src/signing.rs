//! Whether this home may sign now, and with which time: not while its database is an old one, nor while its clock is not
//! believed. Asked in the database each time: several processes share one, and what the operator says takes effect at once.

use crate::args;
use crate::clock::{ACCEPTS, Clock, NEWEST};
use crate::db::{Conn, StoreError};
use crate::problem::Fault;
use crate::restored::RESTORED;
use crate::store::accounts::from_db;

/// What the database remembers of signing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub restored: bool,
    /// The newest time that any process of this home has noted.
    pub newest: u64,
    pub accepts: i64,
}

pub async fn marks(conn: &mut Conn) -> Result<Marks, StoreError> {
    let rows =
        conn.rows("SELECT name, value FROM meta WHERE name IN ($1, $2, $3)", args![RESTORED, NEWEST, ACCEPTS]).await?;
    let mut marks = Marks::default();
    for row in rows {
        let value = row.int(1)?;
        match row.text(0)?.as_str() {
            RESTORED => marks.restored = value != 0,
            NEWEST => marks.newest = from_db(value),
            _ => marks.accepts = value,
        }
    }
    Ok(marks)
}

/// The time to sign with.
pub async fn time(conn: &mut Conn, clock: &Clock) -> Result<u64, Fault> {
    let marks = marks(conn).await?;
    if marks.restored { Err(Fault::Restored) } else { clock.stamp(&marks) }
}
