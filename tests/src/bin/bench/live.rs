//! One writes, others read as it comes: the time from the wish to where each of them shows it.

use crate::people::measure;
use stafett_cli::host::live::Live;
use stafett_cli::host::open_home::OpenHome;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

pub const EDITS: u64 = 200;
const PACE: Duration = Duration::from_millis(50);

/// The number that the prose of an entry begins with.
fn number(text: &str) -> Option<u64> {
    text.strip_prefix('m')?.get(..7)?.parse().ok()
}

async fn read(mut live: Live, from: u64, seen: UnboundedSender<(u64, Instant)>) -> Live {
    let mut missing: BTreeSet<u64> = (from..from + EDITS).collect();
    while !missing.is_empty() {
        let frame = tokio::time::timeout(Duration::from_secs(30), live.wait()).await;
        let taken = live.take(vec![frame.expect("an edit does not arrive").expect("the stream holds")]).await;
        for news in taken.expect("is taken in").news {
            let entry = live.entry_text(&news).and_then(|text| number(&text));
            if entry.is_some_and(|entry| missing.remove(&entry)) {
                seen.send((entry.unwrap_or_default(), Instant::now())).expect("is heard");
            }
        }
    }
    live
}

/// Latencies in milliseconds, sorted, of [`EDITS`] edits at [`PACE`], to every reader; and the sessions back.
pub async fn paced(
    writer: OpenHome,
    readers: Vec<OpenHome>,
    concern: &str,
    from: u64,
) -> (Vec<f64>, OpenHome, Vec<OpenHome>) {
    let mut writer = Live::open(writer).await.expect("connects");
    let (tell, mut told) = unbounded_channel();
    let mut reading = vec![];
    for reader in readers {
        let reader = Live::open(reader).await.expect("connects");
        reading.push(tokio::spawn(read(reader, from, tell.clone())));
    }
    drop(tell);
    let mut written = vec![];
    for i in 0..EDITS {
        let start = Instant::now();
        written.push(start);
        writer.perform(measure(concern, from + i)).await.expect("is saved");
        while let Ok(frame) = tokio::time::timeout(PACE.saturating_sub(start.elapsed()), writer.wait()).await {
            writer.take(vec![frame.expect("the stream holds")]).await.expect("is taken in");
        }
    }
    let mut times = vec![];
    while let Some((entry, at)) = told.recv().await {
        times.push(at.duration_since(written[(entry - from) as usize]).as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let mut back = vec![];
    for reader in reading {
        back.push(reader.await.expect("reads to the end").close().await.expect("closes"));
    }
    (times, writer.close().await.expect("closes"), back)
}
