//! A WebSocket client in a few lines, over a stream in memory: what it says, and what comes back.

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// One message in one piece. Its mask is of zeros, so that a fuzzer sees what it says.
pub fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut bytes = vec![0x80 | opcode];
    match length {
        0..=125 => bytes.push(0x80 | length as u8),
        126..=65_535 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

pub const BINARY: u8 = 2;
pub const PONG: u8 = 10;

/// The next message of the server: its opcode and payload. `None` when the stream has ended.
pub async fn heard(from: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let (first, second) = (from.read_u8().await.ok()?, from.read_u8().await.ok()?);
    assert_eq!((first & 0xf0, second & 0x80), (0x80, 0), "the server writes whole messages, without a mask");
    let length = match second {
        126 => from.read_u16().await.ok()?.into(),
        127 => from.read_u64().await.ok()?,
        length => length.into(),
    };
    let mut payload = vec![0; usize::try_from(length).ok()?];
    from.read_exact(&mut payload).await.ok()?;
    Some((first & 0x0f, payload))
}
