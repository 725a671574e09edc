//! Any bytes as a WebSocket client's stream, after the upgrade: what the server reads of them ends, holds no more memory
//! than it may, and answers no more pings than anybody needs.

use super::stream::{BINARY, PONG, heard, message};
use super::{Target, numbered};
use stafett_protocol::ids::DeviceId;
use stafett_protocol::limits::{CONTROL_FRAMES, FRAME_BYTES};
use stafett_server::budget::memory::{Holder, Memory};
use stafett_server::budget::table::held_bytes;
use stafett_server::metered::Metered;
use stafett_server::socket::{Incoming, Socket};
use std::sync::Arc;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

const DEVICE: Holder = Holder::Device(DeviceId([1; 16]));
/// What is left for this stream: little, so that inputs of a few bytes, over and over, reach the end of it.
const LEFT_BYTES: usize = 256 * 1024;
/// In the first byte: the answers are read; the rest says how often the input comes, in powers of two.
const READS: u8 = 0x80;
/// Nothing takes longer in memory.
const LONG: std::time::Duration = std::time::Duration::from_secs(8);

/// What the server makes of a stream: how often it heard something, frames and others.
async fn serve(server: DuplexStream, memory: &Arc<Memory>) -> usize {
    let (road, meter) = Metered::new(server);
    meter.begin(memory.nothing([DEVICE]));
    let mut socket = Socket::new(road, meter).await;
    let mut others = 0;
    loop {
        let incoming = socket.recv().await;
        assert!(memory.held(DEVICE) <= held_bytes(DEVICE), "{} bytes are held", memory.held(DEVICE));
        match incoming {
            Incoming::Frame(bytes) => {
                assert!(bytes.len() <= FRAME_BYTES);
                if socket.send(bytes).await.is_err() {
                    return others;
                }
            }
            Incoming::Alive | Incoming::Text => others += 1,
            Incoming::End | Incoming::Flood => return others,
        }
    }
}

async fn played(input: &[u8], times: usize, reads: bool) {
    let memory = Arc::new(Memory::default());
    let others_hold = memory.hold([DEVICE], held_bytes(DEVICE) - LEFT_BYTES).unwrap();
    let before = memory.held(DEVICE);
    // Whoever reads nothing leaves room for whatever is answered, and is gone when all is said.
    let (mut client, server) = duplex(if reads { 8 * 1024 } else { 16 << 20 });
    let said = async {
        if !reads {
            for _ in 0..times {
                let _ = client.write_all(input).await;
            }
            drop(client);
            return 0;
        }
        let (mut from, mut to) = tokio::io::split(client);
        let speaks = async {
            for _ in 0..times {
                if to.write_all(input).await.is_err() {
                    break;
                }
            }
            let _ = to.shutdown().await;
        };
        let hears = async {
            let mut pongs = 0;
            while let Some((opcode, payload)) = heard(&mut from).await {
                pongs += usize::from(opcode == PONG);
                assert!(opcode != BINARY || payload.len() <= FRAME_BYTES);
            }
            pongs
        };
        tokio::join!(speaks, hears).1
    };
    let ended = tokio::time::timeout(LONG, async { tokio::join!(serve(server, &memory), said) }).await;
    let (others, pongs) = ended.expect("the stream ends when all is said");
    // A second may pass while the machine does something else.
    let most = CONTROL_FRAMES as usize + LONG.as_secs() as usize;
    assert!(others <= most && pongs <= most + 1, "{others} messages that are no frames, {pongs} pongs");
    assert_eq!(memory.held(DEVICE), before, "what was held is given back");
    drop(others_hold);
}

fn seeds() -> Vec<Vec<u8>> {
    let ping = message(9, b"er du der");
    let mut first = message(BINARY, b"the first half");
    first[0] = BINARY;
    let rest = message(0, b"the other half");
    let all = [
        message(BINARY, b"a frame"),
        message(1, "tekst".as_bytes()),
        ping.clone(),
        message(PONG, b""),
        message(8, &[3, 232]),
        [first.clone(), ping.clone(), rest.clone()].concat(),
        [first.clone(), first.clone()].concat(),
        rest,
        message(BINARY, &[7; 200]),
        message(BINARY, &vec![7; 20_000]),
        // Announces 8 MiB, and 2^63 bytes; two of which come.
        [&[0x82, 0xff, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0][..], &[7; 2]].concat(),
        [&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &[7; 2]].concat(),
        // Without a mask, with a reserved bit, of an opcode that there is not.
        vec![0x82, 1, 7],
        vec![0xc2, 0x81, 0, 0, 0, 0, 7],
        vec![0x83, 0x81, 0, 0, 0, 0, 7],
        vec![0x09, 0x81, 0, 0, 0, 0, 7],
    ];
    let modes = [READS, READS | 4, 0, 7];
    let once = all.iter().enumerate().map(|(n, said)| numbered(modes[n % modes.len()].into(), said));
    // Many pings, whose answers are read or not.
    once.chain([READS | 7, 7].map(|mode: u8| numbered(mode.into(), &ping))).collect()
}

pub fn target() -> Target {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let run = move |input: &[u8]| {
        let Some((mode, said)) = input.split_first() else { return };
        // 128 times 64 KiB is one message's worth.
        let times = 1 << (mode & 7);
        runtime.block_on(played(said, times, mode & READS != 0));
    };
    Target { name: "border", seeds: seeds(), run: Box::new(run) }
}
