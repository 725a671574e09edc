//! Mailboxes that others fill: bounds by sender and by box, room for what matters, ids of several processes.

use crate::common::*;
use crate::support::moving::{account, blind, play};
use crate::support::*;
use stafett_protocol::codec::encode;
use stafett_protocol::consent::{Access, Target};
use stafett_protocol::ids::{DeviceId, PersonId};
use stafett_protocol::letter::Letter;
use stafett_protocol::limits::{
    LETTER_BYTES, MAILBOX_ITEMS, MAILBOX_RESERVED_ITEMS, MAILBOX_SENDER_BYTES, MAILBOX_STRANGERS_ITEMS,
};
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::db::StoreError;

fn letter(to: &Device, bytes: usize) -> Letter {
    Letter { to: to.id(), kem: vec![].into(), sealed: vec![1; bytes].into() }
}

/// So many bytes, and letters, wait for a device.
async fn waiting(server: &Running, device: DeviceId) -> (u64, u64) {
    let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(LENGTH(mail)), 0) AS BIGINT) FROM mailbox WHERE device = $1";
    let mut conn = server.db.reader().await.unwrap();
    let row = conn.row(sql, args![&device.0]).await.unwrap().unwrap();
    (row.int(0).unwrap() as u64, row.int(1).unwrap() as u64)
}

/// Letters that lie there already, of one person each.
async fn lie(server: &Running, to: DeviceId, count: u64, bytes: usize, from: Option<PersonId>) {
    let mail = encode(&Mail::Letter(Letter { to, kem: vec![].into(), sealed: vec![1; bytes].into() }));
    server
        .db
        .write::<_, StoreError, _>(move |conn| {
            Box::pin(async move {
                for at in 0..count {
                    let of = from.map_or_else(|| [&[9; 8][..], &at.to_be_bytes()].concat(), |p| p.0.to_vec());
                    let sql = "INSERT INTO mailbox (device, id, sender, mail) VALUES ($1, $2, $3, $4)";
                    conn.execute(sql, args![&to.0, at as i64 + 1, of, mail.clone()]).await?;
                }
                Ok(())
            })
        })
        .await
        .unwrap();
}

/// L9: one account sends what it can.
#[tokio::test(flavor = "multi_thread")]
async fn l9_one_account_fills_nobodys_mailbox() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    for who in [TEACHER, MOTHER, STRANGER] {
        account(&world, who, &server).await;
    }
    let mother = world.device(MOTHER);
    let mut strangers = server.open(&world.device(STRANGER).key).await.unwrap();
    let mut told = None;
    for _ in 0..40 {
        let big = vec![letter(mother, LETTER_BYTES); 16];
        if let Reply::Problem(problem) = strangers.ask(Request::Letters(big)).await {
            told = Some(problem.code);
            break;
        }
    }
    assert_eq!(told.as_deref(), Some("mailbox-full"), "the sender is told");
    assert!(waiting(&server, mother.id()).await.1 <= MAILBOX_SENDER_BYTES);
    // Anybody else is heard.
    let mut teachers = server.open(&world.device(TEACHER).key).await.unwrap();
    assert_eq!(teachers.ask(Request::Letters(vec![letter(mother, 5000)])).await, Reply::Done);
}

/// A crowd of strangers fills its part; who shares a log is heard, and in a box that they have filled, too, a little.
#[tokio::test(flavor = "multi_thread")]
async fn l9_what_matters_finds_room_in_a_full_mailbox() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    for who in [TEACHER, MOTHER, FATHER, PPT, STRANGER] {
        account(&world, who, &server).await;
    }
    let mut card = blind(world.card());
    world.add_family(&mut card);
    let grant = world.give(&mut card, world.unit_of(PPT_LEADER), Access::Read);
    world.admit_ppt(&mut card, grant);
    play(&server, &world, &card, 0).await;
    let father = world.device(FATHER);
    let mut strangers = server.open(&world.device(STRANGER).key).await.unwrap();
    let mut mothers = server.open(&world.device(MOTHER).key).await.unwrap();
    lie(&server, father.id(), MAILBOX_STRANGERS_ITEMS, 1, None).await;
    let little = || Request::Letters(vec![letter(father, 1000)]);
    for _ in 0..MAILBOX_RESERVED_ITEMS {
        assert_eq!(strangers.ask(little()).await, Reply::Done, "nobody is shut out by others");
    }
    assert_eq!(strangers.problem(little()).await, "mailbox-full");
    for _ in 0..2 * MAILBOX_RESERVED_ITEMS {
        assert_eq!(mothers.ask(little()).await, Reply::Done);
    }
    // The whole box is full.
    let rest = MAILBOX_ITEMS as u64 - waiting(&server, father.id()).await.0;
    server
        .db
        .write::<_, StoreError, _>({
            let (father, mail) = (father.id(), encode(&Mail::Letter(letter(father, 1))));
            move |conn| {
                Box::pin(async move {
                    let mother = "DELETE FROM mailbox WHERE device = $1 AND LENGTH(mail) > 900";
                    conn.execute(mother, args![&father.0]).await?;
                    for at in 0..rest + 100 {
                        let sql = "INSERT INTO mailbox (device, id, sender, mail) VALUES ($1, $2, $3, $4)";
                        let of = vec![8u8; 16];
                        conn.execute(sql, args![&father.0, at as i64 + 1_000_000, of, mail.clone()]).await?;
                    }
                    Ok(())
                })
            }
        })
        .await
        .unwrap();
    assert_eq!(strangers.problem(little()).await, "mailbox-full");
    for _ in 0..MAILBOX_RESERVED_ITEMS {
        assert_eq!(mothers.ask(little()).await, Reply::Done);
    }
    assert_eq!(mothers.problem(little()).await, "mailbox-full");
    // Beside a withdrawal they are what they are: the withdrawal holds all the same.
    let withdrawal = world.withdrawal(world.log(), CARD, Target::Grant(grant), MOTHER);
    let before = card.envelopes().len();
    card.say(&world, world.device(MOTHER), withdrawal).unwrap();
    let envelopes = card.envelopes().split_off(before);
    let bundle = Bundle { envelopes, letters: vec![letter(father, 1000)] };
    assert!(mothers.submit(bundle).await.is_ok());
    // What the server itself has to say comes through: the PPT hears that it is listed.
    let ppts = server.open(&world.device(PPT).key).await.unwrap();
    assert!(ppts.pushed.iter().any(|r| matches!(r, Reply::Mail(MailItem { mail: Mail::Listed(_), .. }))));
}

/// A device that its owner has long forgotten fills up, and keeps no letter from the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_device_keeps_no_letter_from_the_other() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    for who in [MOTHER, STRANGER] {
        account(&world, who, &server).await;
    }
    let (mother, phone) = (world.device(MOTHER), world.device_n(MOTHER, 1));
    let mut mothers = server.open(&mother.key).await.unwrap();
    let asked = certified(&world, MOTHER, asking(&world, MOTHER, phone));
    assert_eq!(mothers.ask(Request::CertifyDevice(asked)).await, Reply::Done);
    lie(&server, phone.id(), 2000, 1, Some(world.id(STRANGER))).await;
    let mut strangers = server.open(&world.device(STRANGER).key).await.unwrap();
    assert_eq!(strangers.problem(Request::Letters(vec![letter(phone, 9)])).await, "mailbox-full");
    assert_eq!(strangers.ask(Request::Letters(vec![letter(phone, 9), letter(mother, 9)])).await, Reply::Done);
    let is_letter = |reply| matches!(reply, Reply::Mail(MailItem { mail: Mail::Letter(_), .. })).then_some(());
    mothers.push_until(is_letter).await;
}

/// In containers every server is process 1: what told two apart was the same number.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_with_one_process_number_lose_no_mail() {
    let world = World::new();
    let server = Running::start(&world, None).await;
    for who in [TEACHER, MOTHER] {
        account(&world, who, &server).await;
    }
    let mother = world.device(MOTHER);
    let mut teachers = server.open(&world.device(TEACHER).key).await.unwrap();
    assert_eq!(teachers.ask(Request::Letters(vec![letter(mother, 1)])).await, Reply::Done);
    // The other one has posted in each of the next moments, under the ids that this one will draw.
    let to = mother.id();
    server
        .db
        .write::<_, StoreError, _>(move |conn| {
            Box::pin(async move {
                let row = conn.row("SELECT MAX(id) FROM mailbox WHERE device = $1", args![&to.0]).await?;
                let (last, millisecond) = (row.unwrap().int(0)?, 1 << 20);
                let first = (last >> 20) << 20 | (last & 0x3ff);
                for at in 1..5000 {
                    let sql = "INSERT INTO mailbox (device, id, mail) VALUES ($1, $2, $3)";
                    let bytes = encode(&Mail::Listed(CARD));
                    conn.execute(sql, args![&to.0, first + at * millisecond, bytes]).await?;
                }
                Ok(())
            })
        })
        .await
        .unwrap();
    for _ in 0..20 {
        assert_eq!(teachers.ask(Request::Letters(vec![letter(mother, 1)])).await, Reply::Done);
    }
}
