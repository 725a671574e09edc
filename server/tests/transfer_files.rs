//! Attachments go along when a log moves between two real servers, every byte, or the log does not move.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use crate::support::files::*;
use crate::support::moving::*;
use crate::support::*;
use stafett_protocol::event::Body;
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::pg::Postgres;

async fn rows(server: &Running, sql: &'static str) -> i64 {
    server.db.reader().await.unwrap().row(sql, args![]).await.unwrap().unwrap().int(0).unwrap()
}

async fn change_rows(server: &Running, sql: &'static str) {
    server.db.write::<_, stafett_server::db::StoreError, _>(move |c| Box::pin(c.execute(sql, args![]))).await.unwrap();
}

async fn files_move(a_url: Option<&str>, b_url: Option<&str>) {
    let mut log = leaving(a_url, b_url).await;
    let teacher = log.world.device(TEACHER);
    let ((manifest, parts), (stays, rest)) = (file(CONCERN, 1), file(JOURNAL, 2));
    let mut client = log.a.open(&teacher.key).await.unwrap();
    for (chain, manifest, parts) in [(&mut log.concern, &manifest, &parts), (&mut log.journal, &stays, &rest)] {
        upload(&mut client, manifest, parts).await;
        let before = chain.state().position.seq as usize;
        chain.submit(&log.world, teacher, Body::Change(naming(manifest))).unwrap();
        play(&log.a, &log.world, chain, before).await;
    }
    // Uploaded, and named by nothing: no part of the log.
    let (loose, bytes) = file(CONCERN, 3);
    upload(&mut client, &loose, &bytes).await;
    drop(client);
    let bundle = log.bundle();

    // The old home cannot show a part, or shows other bytes: the new one promises nothing.
    change_rows(&log.a, "UPDATE attachment_parts SET part = part + 100").await;
    assert_eq!(log.prepare(&bundle).await.unwrap_err(), "attachment-missing");
    change_rows(&log.a, "UPDATE attachment_parts SET part = part - 100").await;
    change_rows(&log.a, "CREATE TABLE kept AS SELECT * FROM attachment_parts").await;
    change_rows(
        &log.a,
        "UPDATE attachment_parts SET body = (SELECT k.body FROM kept k WHERE k.part = 1 LIMIT 1) WHERE part = 0",
    )
    .await;
    assert_eq!(log.prepare(&bundle).await.unwrap_err(), "attachment-missing");
    assert_eq!(log.homes(CONCERN).await, (true, false));
    assert_eq!(rows(&log.b, "SELECT COUNT(*) FROM targets").await, 0, "nothing was promised");
    change_rows(&log.a, "UPDATE attachment_parts SET body = (SELECT k.body FROM kept k WHERE k.scope = attachment_parts.scope AND k.attachment = attachment_parts.attachment AND k.part = attachment_parts.part)").await;

    let accepts = log.prepare(&bundle).await.unwrap();
    let done = log.commit(&bundle, &accepts).await.unwrap();
    let mut new = log.b.open(&log.world.device(HAUGESUND_TEACHER).key).await.unwrap();
    assert_eq!(new.ask(Request::Activate(done.tombstones.clone())).await, Reply::Done);
    assert_eq!(rows(&log.b, "SELECT COUNT(*) FROM attachments").await, 1, "F9: nothing of what stays");
    for part in 0..2 {
        let bytes = &parts[usize::from(part)];
        assert_eq!(new.ask(get(&manifest, part)).await, here(&manifest, part, bytes));
    }
    assert_eq!(new.problem(get(&loose, 0)).await, "attachment-missing");
    // What stayed is read where it stayed.
    let mut mothers = log.a.open(&log.world.device(MOTHER).key).await.unwrap();
    assert_eq!(mothers.ask(get(&stays, 1)).await, here(&stays, 1, &rest[1]));
    assert_eq!(mothers.problem(get(&manifest, 0)).await, "unknown-scope", "the old home serves no more of what moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_move_with_their_concern_on_sqlite() {
    files_move(None, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_move_with_their_concern_on_postgres() {
    let Some(postgres) = Postgres::start() else { return };
    files_move(Some(&postgres.database("files_old").unwrap()), Some(&postgres.database("files_new").unwrap())).await;
}
