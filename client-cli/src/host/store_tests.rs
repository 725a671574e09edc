//! What the store promises: sealed, atomic, in order.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

async fn open(dir: &Path) -> Store {
    Store::open(&dir.join("store.sqlite"), Seal::under(&[3; 32])).await.unwrap()
}

fn row(space: Space, key: &str, value: Option<&str>) -> Row {
    Row { space, key: key.into(), value: value.map(|text| text.as_bytes().to_vec()) }
}

fn event(seq: u64) -> Row {
    Row {
        space: Space::Event,
        key: [&b"0123456789abcdef"[..], &seq.to_be_bytes()].concat(),
        value: Some(format!("hendelse {seq}").into_bytes()),
    }
}

#[tokio::test]
async fn keeps_the_last_word_and_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).await;
    store
        .write(&[
            row(Space::Identity, "a", Some("1")),
            row(Space::Identity, "b", Some("2")),
            row(Space::Identity, "a", Some("3")),
        ])
        .await
        .unwrap();
    store.write(&[row(Space::Identity, "b", None), row(Space::State, "b", Some("4"))]).await.unwrap();
    drop(store);
    let mut rows = open(dir.path()).await.load().await.unwrap();
    rows.sort_by_key(|row| row.space);
    assert_eq!(rows, vec![row(Space::Identity, "a", Some("3")), row(Space::State, "b", Some("4"))]);
}

#[tokio::test]
async fn a_transaction_without_commit_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).await;
    store.write(&[row(Space::Identity, "before", Some("kept"))]).await.unwrap();
    let mut transaction = store.connection.begin().await.unwrap();
    sqlx::query("INSERT INTO row (space, key, value) VALUES (1, x'00', x'00')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    // Neither commit nor rollback: what a killed process leaves behind.
    std::mem::forget(transaction);
    drop(store);
    assert_eq!(open(dir.path()).await.load().await.unwrap(), vec![row(Space::Identity, "before", Some("kept"))]);
}

#[tokio::test]
async fn no_plaintext_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).await;
    store.write(&[row(Space::Identity, "name-of-Ella", Some("Ella arbeider med lekser")), event(1)]).await.unwrap();
    let mut read = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        read += bytes.len();
        for word in [&b"Ella"[..], b"hendelse", b"0123456789abcdef"] {
            assert!(!bytes.windows(word.len()).any(|part| part == word));
        }
    }
    assert!(read > 4096);
}

#[tokio::test]
async fn events_come_by_range_and_not_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).await;
    let all: Vec<Row> = (1..=1000).map(event).collect();
    store.write(&all).await.unwrap();
    assert!(store.load().await.unwrap().is_empty());
    assert_eq!(store.events(b"0123456789abcdef", 255, 258).await.unwrap(), all[254..258].to_vec());
    assert!(store.events(b"0123456789abcdee", 1, 1000).await.unwrap().is_empty());
}

#[tokio::test]
async fn another_key_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.write(&[row(Space::Identity, "a", Some("1"))]).await.unwrap();
    let mut other = Store::open(&dir.path().join("store.sqlite"), Seal::under(&[4; 32])).await.unwrap();
    assert!(matches!(other.load().await, Err(StoreError::Seal(SealError::Damaged))));
}

#[test]
fn versions_are_compared_by_number() {
    assert!(new_enough("3.51.3") && new_enough("3.100.0") && new_enough("4.0.0"));
    assert!(!new_enough("3.51.2") && !new_enough("3.9.9") && !new_enough("odd"));
}

#[tokio::test]
async fn b5_a_full_disk_is_no_damage_and_stops_no_reader() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.sqlite");
    let row = |number: u8, bytes: usize| Row { space: Space::State, key: vec![number], value: Some(vec![7; bytes]) };
    {
        let mut store = Store::open(&path, Seal::under(&[1; 32])).await.unwrap();
        store.write(&[row(1, 10)]).await.unwrap();
    }
    let mut store = Store::open(&path, Seal::under(&[1; 32])).await.unwrap();
    sqlx::query("PRAGMA max_page_count = 3").execute(&mut store.connection).await.unwrap();
    let refused = crate::host::fault::Fault::from(store.write(&[row(2, 1 << 20)]).await.unwrap_err());
    assert_eq!((refused.code.as_str(), refused.exit), ("disk-full", crate::host::fault::Exit::Damaged), "{refused:?}");
    assert_eq!(store.load().await.unwrap().len(), 1, "what was saved is read all the same");
    drop(store);
    // Opening writes nothing: a file that takes no write is opened and read.
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut store = Store::open(&path, Seal::under(&[1; 32])).await.unwrap();
    assert_eq!(store.load().await.unwrap().len(), 1);
    drop(store);
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), before);
}
