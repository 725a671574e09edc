//! The attacks. Each lasts until it is stopped, or until the server takes no more of it.

use super::attacker::{Stream, Target, frame};
use futures_util::future::BoxFuture;
use futures_util::{SinkExt as _, StreamExt as _};
use stafett_protocol::wire::Request;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

const MIB: usize = 1024 * 1024;

pub struct Attack {
    pub name: &'static str,
    pub what: &'static str,
    pub run: fn(Target) -> BoxFuture<'static, ()>,
}

pub const ATTACKS: &[Attack] = &[
    Attack { name: "pings", what: "pings of a device on 8 streams, pongs not read", run: |t| Box::pin(pings(t)) },
    Attack { name: "peer", what: "pings of a peer on 8 streams, pongs not read", run: |t| Box::pin(peer(t)) },
    Attack {
        name: "persons",
        what: "one id 256 times, 60 devices, 24 streams, not read",
        run: |t| Box::pin(persons(t)),
    },
    Attack { name: "joins", what: "600 joins of 1 MiB, one byte short", run: |t| Box::pin(joins(t)) },
    Attack { name: "endless", what: "64 messages of 7 MiB that live on pings", run: |t| Box::pin(endless(t)) },
    Attack { name: "large", what: "64 streams that have sent 8 MiB once, and are quiet", run: |t| Box::pin(large(t)) },
    Attack { name: "idle", what: "480 streams that say nothing", run: |t| Box::pin(idle(t)) },
    Attack { name: "own", what: "480 streams with what each has of its own, 60 KiB", run: |t| Box::pin(own(t)) },
    Attack { name: "frames", what: "requests of every kind, 8 MiB each, on 64 streams", run: |t| Box::pin(frames(t)) },
];

fn ping() -> Message {
    Message::Ping(vec![7; 125].into())
}

/// Streams of the one account, over so many devices as the home takes.
async fn streams(target: &Target, devices: u16, count: usize) -> Vec<Stream> {
    let account = target.join().await;
    let mut first = target.stream(0).await.expect("opens");
    let devices = account.add_devices(&mut first, devices).await + 1;
    let mut streams = vec![first];
    for n in 1..count {
        streams.extend(target.stream(u16::try_from(n).unwrap_or(0) % devices).await);
    }
    streams
}

async fn all(tasks: Vec<tokio::task::JoinHandle<()>>) {
    for task in tasks {
        let _ = task.await;
    }
}

/// The pongs are never read.
fn flood(mut stream: Stream) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let attack = async { while stream.send(ping()).await.is_ok() {} };
        let _ = tokio::time::timeout(Duration::from_secs(60), attack).await;
    })
}

async fn pings(target: Target) {
    let streams = streams(&target, 0, 8).await;
    all(streams.into_iter().map(flood).collect()).await;
}

/// Whoever does not log in is shown out after a while, and comes again.
async fn peer(target: Target) {
    loop {
        let mut streams = vec![];
        for _ in 0..8 {
            streams.extend(target.guest().await);
        }
        all(streams.into_iter().map(flood).collect()).await;
    }
}

async fn persons(target: Target) {
    let account = target.join().await;
    let mut first = target.stream(0).await.expect("opens");
    let devices = account.add_devices(&mut first, 60).await + 1;
    let mut open = vec![first];
    for n in 1..24 {
        open.extend(target.stream(n % devices).await);
    }
    let ids = vec![account.id; 256];
    for stream in &mut open {
        for id in 1..=4 {
            let _ = stream.send(frame(id, Request::Persons(ids.clone()))).await;
        }
    }
    std::future::pending::<()>().await;
}

async fn joins(target: Target) {
    let mut open = vec![];
    for _ in 0..600 {
        open.extend(target.short(MIB).await);
    }
    std::future::pending::<()>().await;
}

async fn endless(target: Target) {
    let streams = streams(&target, 60, 64).await;
    let begin = |mut stream: Stream| {
        tokio::spawn(async move {
            let part = Frame::message(vec![0u8; 7 * MIB], OpCode::Data(Data::Binary), false);
            if stream.send(Message::Frame(part)).await.is_err() {
                return;
            }
            loop {
                if stream.send(ping()).await.is_err() {
                    return;
                }
                // The pong is read: nothing of it waits anywhere.
                let _ = tokio::time::timeout(Duration::from_secs(2), stream.next()).await;
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        })
    };
    all(streams.into_iter().map(begin).collect()).await;
}

async fn large(target: Target) {
    let mut streams = streams(&target, 60, 64).await;
    for stream in &mut streams {
        // A submission that cannot be read: refused at once.
        let mut bytes = vec![0u8; 8 * MIB];
        bytes[..5].copy_from_slice(&[0, 0, 0, 1, 1]);
        let _ = stream.send(Message::Binary(bytes.into())).await;
        let _ = tokio::time::timeout(Duration::from_secs(2), stream.next()).await;
    }
    std::future::pending::<()>().await;
}

/// As many as one person can have, or nearly.
async fn idle(target: Target) {
    let _open = streams(&target, 14, 480).await;
    std::future::pending::<()>().await;
}

/// The beginning of a message, as much as is nobody's.
async fn own(target: Target) {
    let mut streams = streams(&target, 14, 480).await;
    for stream in &mut streams {
        let part = Frame::message(vec![0u8; 60 * 1024], OpCode::Data(Data::Binary), false);
        let _ = stream.send(Message::Frame(part)).await;
    }
    std::future::pending::<()>().await;
}

async fn frames(target: Target) {
    let streams = streams(&target, 60, 64).await;
    let send = |mut stream: Stream| {
        tokio::spawn(async move {
            for kind in [15, 17, 26, 7, 1, 2, 5].iter().cycle() {
                let mut bytes = vec![0u8; 8 * MIB];
                bytes[..5].copy_from_slice(&[0, 0, 0, 1, *kind]);
                if stream.send(Message::Binary(bytes.into())).await.is_err() {
                    return;
                }
                let _ = tokio::time::timeout(Duration::from_secs(2), stream.next()).await;
            }
        })
    };
    all(streams.into_iter().map(send).collect()).await;
}
