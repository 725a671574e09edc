//! What is in a backup: who made it and when, the home's files, every row of every table, and their number at the end.
//! Read whole and held against the home's own rules before anything of it is used.

use std::io::{self, Read, Write};

use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes, decode, encode};
use zeroize::Zeroizing;

use super::BackupError;
use crate::certs;
use crate::db::schema::{Kind, TABLES, Table};
use crate::db::{Arg, Conn, Row, StoreError};
use crate::home::{FILES, SETTINGS, Settings};

/// Rows copied at once; some hold a megabyte.
const PAGE: i64 = 100;
/// No row comes near it.
const ITEM_BYTES: usize = 64 << 20;

#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Begin {
    pub made_ms: u64,
    pub number: u16,
    /// Whether the rows were in PostgreSQL; where, stays with the server that was backed up.
    pub postgres: u8,
    /// What the tables looked like: another version's rows mean something else.
    tables: VLBytes,
}

impl Begin {
    #[must_use]
    pub fn now(made_ms: u64, number: u16, postgres: bool) -> Self {
        Self { made_ms, number, postgres: postgres.into(), tables: tables() }
    }
}

#[derive(Debug, TlsSerialize, TlsDeserialize, TlsSize)]
struct HomeFile {
    name: VLBytes,
    content: VLBytes,
}

#[derive(Debug, TlsSerialize, TlsDeserialize, TlsSize)]
struct TableRow {
    /// Place in the table of tables.
    table: u8,
    values: Vec<Value>,
}

#[derive(Debug, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
enum Value {
    #[tls_codec(discriminant = 1)]
    Null,
    /// As two's complement.
    #[tls_codec(discriminant = 2)]
    Int(u64),
    #[tls_codec(discriminant = 3)]
    Bytes(VLBytes),
    #[tls_codec(discriminant = 4)]
    Text(VLBytes),
}

#[derive(Debug, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
enum Item {
    #[tls_codec(discriminant = 1)]
    Begin(Begin),
    #[tls_codec(discriminant = 2)]
    File(HomeFile),
    #[tls_codec(discriminant = 3)]
    Row(TableRow),
    /// How many rows came before.
    #[tls_codec(discriminant = 4)]
    End(u64),
}

fn tables() -> VLBytes {
    let said: Vec<String> = TABLES
        .iter()
        .map(|table| {
            let columns: Vec<String> = table.columns.iter().map(|(name, kind)| format!("{name} {kind:?}")).collect();
            format!("{} ({})", table.name, columns.join(", "))
        })
        .collect();
    said.join("\n").into_bytes().into()
}

/// Writes everything; answers the number of rows. `from` stands in one transaction.
pub async fn write(
    to: &mut impl Write,
    begin: Begin,
    files: Vec<(&'static str, Zeroizing<Vec<u8>>)>,
    from: &mut Conn,
) -> Result<u64, WriteError> {
    put(to, &Item::Begin(begin))?;
    for (name, content) in files {
        put(to, &Item::File(HomeFile { name: name.as_bytes().into(), content: content.as_slice().into() }))?;
    }
    let mut total = 0;
    for (place, table) in TABLES.iter().enumerate() {
        let place = u8::try_from(place).map_err(io::Error::other)?;
        let mut offset = 0;
        loop {
            let rows = from
                .raw(
                    format!(
                        "SELECT {} FROM {} ORDER BY {} LIMIT {PAGE} OFFSET {offset}",
                        names(table),
                        table.name,
                        key_columns(table)
                    ),
                    vec![],
                )
                .await?;
            for row in &rows {
                put(to, &Item::Row(TableRow { table: place, values: values(table, row)? }))?;
            }
            total += rows.len() as u64;
            offset += PAGE;
            if (rows.len() as i64) < PAGE {
                break;
            }
        }
    }
    put(to, &Item::End(total))?;
    Ok(total)
}

/// What can go wrong while a backup is written: on the way out of the database, or into the file.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn put(to: &mut impl Write, item: &Item) -> io::Result<()> {
    let bytes = Zeroizing::new(encode(item));
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(&bytes)
}

/// A backup, checked from its first byte to its last.
pub struct Checked {
    pub begin: Begin,
    pub settings: Settings,
    /// The home's files but the settings.
    pub files: Vec<(&'static str, Zeroizing<Vec<u8>>)>,
    pub rows: u64,
}

/// Reads all of it, and believes nothing that does not fit.
pub fn check(from: impl Read) -> Result<Checked, BackupError> {
    let mut items = Items { from };
    let Item::Begin(begin) = items.next()? else { return Err(BackupError::Damaged("it has no beginning")) };
    if begin.tables != tables() {
        return Err(BackupError::Version);
    }
    let (mut files, mut settings, mut rows) = (vec![], None, 0u64);
    loop {
        match items.next()? {
            Item::Begin(_) => return Err(BackupError::Damaged("it begins twice")),
            Item::File(file) => {
                let name = FILES.iter().find(|name| name.as_bytes() == file.name.as_slice());
                let name = *name.ok_or(BackupError::Damaged("it holds a strange file"))?;
                if name == SETTINGS && settings.is_none() {
                    let read: Result<Settings, _> = serde_json::from_slice(file.content.as_slice());
                    settings = Some(read.map_err(|_| BackupError::Damaged("the settings cannot be read"))?);
                } else if name == SETTINGS || files.iter().any(|(known, _)| *known == name) {
                    return Err(BackupError::Damaged("it holds a file twice"));
                } else {
                    files.push((name, Zeroizing::new(file.content.as_slice().to_vec())));
                }
            }
            Item::Row(row) => {
                arguments(row)?;
                rows += 1;
            }
            Item::End(total) => {
                items.ends()?;
                let settings = settings.ok_or(BackupError::Damaged("the settings are missing"))?;
                if total != rows || settings.number != begin.number {
                    return Err(BackupError::Damaged("it does not hold what it says"));
                }
                check_keys(&files)?;
                return Ok(Checked { begin, settings, files, rows });
            }
        }
    }
}

/// A server cannot be without these; a key that is none would be found out too late.
fn check_keys(files: &[(&'static str, Zeroizing<Vec<u8>>)]) -> Result<(), BackupError> {
    let text = |name: &str| {
        let file = files.iter().find(|(known, _)| *known == name);
        file.and_then(|(_, content)| std::str::from_utf8(content).ok())
    };
    let key = text("municipality.key").and_then(|text| stafett_protocol::ids::from_hex::<32>(text.trim()));
    let authority = text("ca.pem").and_then(|pem| certs::authority_der(pem).ok());
    let signs = text("ca.key").is_some_and(certs::is_key);
    if key.is_some() && authority.is_some() && signs {
        Ok(())
    } else {
        Err(BackupError::Damaged("a key is missing or cannot be read"))
    }
}

/// Rows of a backup that has been checked, ready to be inserted.
pub struct Rows<R>(Items<R>);

impl<R: Read> Rows<R> {
    pub fn of(from: R) -> Self {
        Self(Items { from })
    }

    /// The next row, or nothing after the last.
    pub fn next_row(&mut self) -> Result<Option<(&'static Table, Vec<Arg>)>, BackupError> {
        loop {
            match self.0.next()? {
                Item::Begin(_) | Item::File(_) => {}
                Item::Row(row) => return arguments(row).map(Some),
                Item::End(_) => return self.0.ends().map(|()| None),
            }
        }
    }
}

struct Items<R> {
    from: R,
}

impl<R: Read> Items<R> {
    fn next(&mut self) -> Result<Item, BackupError> {
        let mut length = [0; 4];
        self.from.read_exact(&mut length).map_err(unreadable)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > ITEM_BYTES {
            return Err(BackupError::Damaged("a row is too large"));
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        self.from.read_exact(&mut bytes).map_err(unreadable)?;
        decode(&bytes).map_err(|_| BackupError::Damaged("a row cannot be read"))
    }

    fn ends(&mut self) -> Result<(), BackupError> {
        match self.from.read(&mut [0]).map_err(unreadable)? {
            0 => Ok(()),
            _ => Err(BackupError::Damaged("something stands behind its end")),
        }
    }
}

fn unreadable(error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => BackupError::Damaged("it is cut off"),
        io::ErrorKind::InvalidData => BackupError::Damaged("a part was changed, moved, left out or added"),
        _ => BackupError::Io(error),
    }
}

/// The columns' names, in their order.
#[must_use]
pub fn names(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.trim_end_matches('?')).collect();
    names.join(", ")
}

fn key_columns(table: &Table) -> &'static str {
    table.rules.strip_prefix("PRIMARY KEY (").and_then(|rest| rest.split(')').next()).unwrap_or("1")
}

fn values(table: &Table, row: &Row) -> Result<Vec<Value>, StoreError> {
    let value = |(at, (_, kind)): (usize, &(&str, Kind))| {
        Ok(match kind {
            Kind::Int => row.maybe_int(at)?.map_or(Value::Null, |int| Value::Int(int.cast_unsigned())),
            Kind::Bytes => row.maybe_bytes(at)?.map_or(Value::Null, |bytes| Value::Bytes(bytes.into())),
            Kind::Text => Value::Text(row.text(at)?.into_bytes().into()),
        })
    };
    table.columns.iter().enumerate().map(value).collect()
}

/// A row for its table, if it has that table's columns.
fn arguments(row: TableRow) -> Result<(&'static Table, Vec<Arg>), BackupError> {
    let wrong = || BackupError::Damaged("a row does not fit its table");
    let table = TABLES.get(usize::from(row.table)).ok_or_else(wrong)?;
    if row.values.len() != table.columns.len() {
        return Err(wrong());
    }
    let fit = row.values.into_iter().zip(table.columns).map(|(value, (name, kind))| match (value, kind) {
        (Value::Int(int), Kind::Int) => Ok(Arg::Int(Some(int.cast_signed()))),
        (Value::Bytes(bytes), Kind::Bytes) => Ok(Arg::Bytes(Some(bytes.into()))),
        (Value::Text(text), Kind::Text) => {
            String::from_utf8(text.into()).map(|text| Arg::Text(Some(text))).map_err(|_| wrong())
        }
        (Value::Null, Kind::Int) if name.ends_with('?') => Ok(Arg::Int(None)),
        (Value::Null, Kind::Bytes) if name.ends_with('?') => Ok(Arg::Bytes(None)),
        _ => Err(wrong()),
    });
    fit.collect::<Result<Vec<Arg>, BackupError>>().map(|values| (table, values))
}
