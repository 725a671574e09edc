//! The tables, written once: DDL for both engines and the column list that `backup` copies by.

use super::{Arg, Conn, Db, StoreError};

/// Raised with every change of the tables; an older binary refuses a newer database.
const VERSION: i64 = 3;

/// How a column is declared. NULL is allowed only where the name ends in `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int,
    Bytes,
    Text,
}

/// One table.
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Kind)],
    /// Primary key and further constraints.
    pub rules: &'static str,
}

use Kind::{Bytes, Int, Text};

/// In the order in which rows may be inserted.
pub const TABLES: &[Table] = &[
    Table { name: "meta", columns: &[("name", Text), ("value", Int)], rules: "PRIMARY KEY (name)" },
    Table {
        name: "units",
        columns: &[("unit", Bytes), ("name", Text), ("kind", Text), ("leader?", Bytes), ("created_ms", Int)],
        rules: "PRIMARY KEY (unit)",
    },
    // Pseudonymous accounts: keys and certificates, no names.
    Table {
        name: "persons",
        columns: &[
            ("person", Bytes),
            ("person_key", Bytes),
            ("kind", Int),
            ("unit?", Bytes),
            ("certificate", Bytes),
            ("employee?", Bytes),
            ("joined_ms", Int),
        ],
        rules: "PRIMARY KEY (person)",
    },
    Table {
        name: "devices",
        columns: &[
            ("device", Bytes),
            ("person", Bytes),
            ("device_key", Bytes),
            ("certificate", Bytes),
            ("letter_key", Bytes),
            // Written to take the row's lock; means nothing.
            ("locks", Int),
        ],
        rules: "PRIMARY KEY (device), FOREIGN KEY (person) REFERENCES persons (person)",
    },
    // `used_by` is the hash of the claim that used the code: the same claim asked again gets the same answer.
    Table {
        name: "codes",
        columns: &[
            ("ticket", Bytes),
            ("kind", Bytes),
            ("unit?", Bytes),
            ("offered_by?", Bytes),
            ("expires_ms", Int),
            ("used_by?", Bytes),
        ],
        rules: "PRIMARY KEY (ticket)",
    },
    Table {
        name: "key_packages",
        columns: &[("hash", Bytes), ("device", Bytes), ("last_resort", Int), ("offered_ms", Int), ("offer", Bytes)],
        rules: "PRIMARY KEY (hash), FOREIGN KEY (device) REFERENCES devices (device) ON DELETE CASCADE",
    },
    Table {
        name: "mailbox",
        // `sender`: the person who wrote a letter; the server's own mail has none.
        columns: &[("device", Bytes), ("id", Int), ("sender?", Bytes), ("mail", Bytes)],
        // Guests have mail here and no account: no foreign key.
        rules: "PRIMARY KEY (device, id)",
    },
    // Other municipalities, each by its own signed word.
    Table {
        name: "peers",
        columns: &[("number", Int), ("description", Bytes), ("added_ms", Int)],
        rules: "PRIMARY KEY (number)",
    },
    // One small row a scope: every event rewrites it.
    Table {
        name: "scopes",
        columns: &[
            ("scope", Bytes),
            ("log", Bytes),
            ("card?", Bytes),
            ("seq", Int),
            ("head", Bytes),
            ("time_ms", Int),
            // 0: fetched from another home, 1: this is its home, 2: it has moved away.
            ("standing", Int),
            // Closed for good: its readers need no place on the card.
            ("closed", Int),
            // No changes before this moment: the log is about to move.
            ("held_ms", Int),
        ],
        rules: "PRIMARY KEY (scope)",
    },
    // The replica as of `seq`; the records after it alter no facts but counters.
    Table {
        name: "snapshots",
        columns: &[("scope", Bytes), ("seq", Int), ("body", Bytes)],
        rules: "PRIMARY KEY (scope), FOREIGN KEY (scope) REFERENCES scopes (scope)",
    },
    Table {
        name: "records",
        columns: &[
            ("scope", Bytes),
            ("seq", Int),
            ("time_ms", Int),
            ("device", Bytes),
            ("counter", Int),
            ("event", Bytes),
            // On the last record of a bundle; covers all before it.
            ("receipt?", Bytes),
        ],
        rules: "PRIMARY KEY (scope, seq), UNIQUE (scope, device, counter), FOREIGN KEY (scope) REFERENCES scopes (scope)",
    },
    // One of each device, beside the chain; nothing is derived from them.
    Table {
        name: "checkpoints",
        columns: &[("scope", Bytes), ("device", Bytes), ("seq", Int), ("body", Bytes)],
        rules: "PRIMARY KEY (scope, device), FOREIGN KEY (scope) REFERENCES scopes (scope)",
    },
    Table {
        name: "checkpoint_parts",
        columns: &[("scope", Bytes), ("device", Bytes), ("hash", Bytes), ("body", Bytes)],
        rules: "PRIMARY KEY (scope, device, hash), FOREIGN KEY (scope) REFERENCES scopes (scope)",
    },
    // What parts an attachment has; kept for good once a change has named it.
    Table {
        name: "attachments",
        columns: &[
            ("scope", Bytes),
            ("attachment", Bytes),
            ("device", Bytes),
            // How many.
            ("parts", Int),
            ("manifest", Bytes),
            ("announced_ms", Int),
            ("named", Int),
        ],
        rules: "PRIMARY KEY (scope, attachment), FOREIGN KEY (scope) REFERENCES scopes (scope)",
    },
    Table {
        name: "attachment_parts",
        columns: &[("scope", Bytes), ("attachment", Bytes), ("part", Int), ("body", Bytes)],
        rules: "PRIMARY KEY (scope, attachment, part), FOREIGN KEY (scope, attachment) REFERENCES attachments (scope, attachment) ON DELETE CASCADE",
    },
    // Who may read a scope, and until when: derived from the replica in the transaction that changes it.
    Table {
        name: "readers",
        columns: &[
            ("scope", Bytes),
            ("device", Bytes),
            // 0 once listed for removal.
            ("until_ms", Int),
            // The commit that removed the device: the one record that it is still served.
            ("removed_seq?", Int),
            // Whose device it is; guests have no account to tell it.
            ("person?", Bytes),
        ],
        rules: "PRIMARY KEY (scope, device), FOREIGN KEY (scope) REFERENCES scopes (scope)",
    },
    // This home's side of a scope's move away, at the home epoch under which it serves: states of
    // `protocol::transfer::Source`.
    Table {
        name: "sources",
        columns: &[("scope", Bytes), ("home_epoch", Int), ("state", Bytes), ("tombstone?", Bytes)],
        rules: "PRIMARY KEY (scope, home_epoch)",
    },
    // This home's side of a scope's move hither, at the home epoch under which it will serve: states of
    // `protocol::transfer::Target`, with what was signed and the commit that was bound.
    Table {
        name: "targets",
        columns: &[
            ("scope", Bytes),
            ("home_epoch", Int),
            ("state", Bytes),
            // Whether it is bound and waits for the old home's word.
            ("bound", Int),
            ("accept?", Bytes),
            ("envelope?", Bytes),
        ],
        rules: "PRIMARY KEY (scope, home_epoch)",
    },
];

/// Indices beyond the keys.
const INDICES: &[&str] = &[
    "CREATE INDEX IF NOT EXISTS devices_of_person ON devices (person)",
    "CREATE INDEX IF NOT EXISTS key_packages_of_device ON key_packages (device, last_resort, offered_ms)",
    "CREATE INDEX IF NOT EXISTS scopes_of_device ON readers (device)",
    "CREATE INDEX IF NOT EXISTS scopes_of_person ON readers (scope, person)",
    "CREATE INDEX IF NOT EXISTS bound_targets ON targets (bound)",
    "CREATE INDEX IF NOT EXISTS attachments_waiting ON attachments (named, device)",
    "CREATE INDEX IF NOT EXISTS scopes_of_log ON scopes (log)",
    "CREATE INDEX IF NOT EXISTS scopes_of_card ON scopes (card)",
    "CREATE INDEX IF NOT EXISTS codes_of_person ON codes (offered_by)",
];

fn ddl(table: &Table, pg: bool) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|(name, kind)| {
            let kind = match kind {
                Kind::Int => "BIGINT",
                Kind::Bytes if pg => "BYTEA",
                Kind::Bytes => "BLOB",
                Kind::Text => "TEXT",
            };
            match name.strip_suffix('?') {
                Some(name) => format!("{name} {kind}"),
                None => format!("{name} {kind} NOT NULL"),
            }
        })
        .collect();
    let strict = if pg { "" } else { " STRICT" };
    // STRICT knows INTEGER, not BIGINT; both are 64 bits.
    let columns = if pg { columns.join(", ") } else { columns.join(", ").replace("BIGINT", "INTEGER") };
    format!("CREATE TABLE IF NOT EXISTS {} ({columns}, {}){strict}", table.name, table.rules)
}

/// Creates what is missing, in one transaction, and refuses a database from the future.
pub async fn migrate(db: &Db) -> Result<(), StoreError> {
    db.write(|conn| {
        Box::pin(async move {
            // Two processes that start together must not both create the tables.
            lock(conn).await?;
            let pg = conn.is_pg();
            if has_meta(conn).await? && meta(conn, "schema").await? == Some(1) {
                from_version_1(conn).await?;
            }
            for table in TABLES {
                conn.raw(ddl(table, pg), vec![]).await?;
            }
            for index in INDICES {
                conn.execute(index, vec![]).await?;
            }
            let found = meta(conn, "schema").await?;
            match found {
                Some(version) if version > VERSION => Err(StoreError::NewerSchema(version)),
                _ => set_meta(conn, "schema", VERSION).await,
            }
        })
    })
    .await
}

/// Waits until nobody else makes or fills the tables; until the transaction ends.
pub async fn lock(conn: &mut Conn) -> Result<(), StoreError> {
    if conn.is_pg() {
        conn.execute("SELECT pg_advisory_xact_lock(5749)", vec![]).await?;
    }
    Ok(())
}

/// Whether the tables are as they were made: without a row but the number of their version.
pub async fn is_empty(conn: &mut Conn) -> Result<bool, StoreError> {
    for table in TABLES {
        let but = if table.name == "meta" { " WHERE name <> 'schema'" } else { "" };
        if !conn.raw(format!("SELECT 1 FROM {}{but} LIMIT 1", table.name), vec![]).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn has_meta(conn: &mut Conn) -> Result<bool, StoreError> {
    let sql = if conn.is_pg() {
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'meta'"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'meta'"
    };
    Ok(conn.row(sql, vec![]).await?.is_some())
}

/// Mailboxes without accounts, readers by person, scopes that move.
async fn from_version_1(conn: &mut Conn) -> Result<(), StoreError> {
    if conn.is_pg() {
        conn.execute("ALTER TABLE mailbox DROP CONSTRAINT IF EXISTS mailbox_device_fkey", vec![]).await?;
        conn.execute("ALTER TABLE readers ADD COLUMN person BYTEA", vec![]).await?;
    } else {
        // SQLite cannot drop a constraint: a new table takes the old one's place.
        conn.execute("ALTER TABLE mailbox RENAME TO old_mailbox", vec![]).await?;
        if let Some(table) = TABLES.iter().find(|table| table.name == "mailbox") {
            conn.raw(ddl(table, false), vec![]).await?;
        }
        conn.execute("INSERT INTO mailbox (device, id, mail) SELECT device, id, mail FROM old_mailbox", vec![]).await?;
        conn.execute("DROP TABLE old_mailbox", vec![]).await?;
        conn.execute("ALTER TABLE readers ADD COLUMN person BLOB", vec![]).await?;
    }
    for sql in [
        "ALTER TABLE scopes ADD COLUMN standing BIGINT NOT NULL DEFAULT 1",
        "ALTER TABLE scopes ADD COLUMN closed BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE scopes ADD COLUMN held_ms BIGINT NOT NULL DEFAULT 0",
    ] {
        // STRICT tables of SQLite know INTEGER only; both are 64 bits.
        let sql = if conn.is_pg() { sql.to_owned() } else { sql.replace("BIGINT", "INTEGER") };
        conn.raw(sql, vec![]).await?;
    }
    conn.execute(
        "UPDATE readers SET person = (SELECT d.person FROM devices d WHERE d.device = readers.device)",
        vec![],
    )
    .await?;
    Ok(())
}

/// A number that the server remembers under a name.
pub async fn meta(conn: &mut Conn, name: &str) -> Result<Option<i64>, StoreError> {
    let row = conn.row("SELECT value FROM meta WHERE name = $1", vec![Arg::from(name)]).await?;
    row.map(|row| row.int(0)).transpose()
}

pub async fn set_meta(conn: &mut Conn, name: &str, value: i64) -> Result<(), StoreError> {
    conn.execute(
        "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        vec![Arg::from(name), Arg::from(value)],
    )
    .await?;
    Ok(())
}
