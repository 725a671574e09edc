//! A connection that knows what it holds. Bytes that have come and that nobody has taken up yet are counted against whoever
//! sends them, and a message that does not come to its end, or an answer that is not taken, ends the connection. It lies
//! under everything else, since what libraries buffer is seen from here alone.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use stafett_protocol::limits::{IDLE_TIMEOUT_SECONDS, MESSAGE_BYTES_A_SECOND};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::budget::memory::Held;
use crate::budget::table::{FREE_BYTES, HELD_STEP_BYTES, STALL};

/// What has come and is not taken up.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Unread>);

#[derive(Debug, Default)]
struct Unread {
    bytes: usize,
    /// When the message began that is not whole yet.
    since: Option<Instant>,
    /// Who answers for it; nobody before the stream has begun: what comes until then is bounded by itself.
    held: Option<Held>,
    /// Libraries keep the room of the largest message: what was held is held as long as the connection lives.
    keeps: bool,
}

/// What of a message was taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Frame(usize),
    /// Between the parts of another message, perhaps: it says nothing about that one.
    Control(usize),
}

impl Meter {
    fn with<T>(&self, act: impl FnOnce(&mut Unread) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A stream of messages begins; from here on somebody answers for it.
    pub fn begin(&self, held: Held) {
        self.with(|unread| *unread = Unread { held: Some(held), ..Unread::default() });
    }

    /// The same for a stream whose buffers are never made anew.
    pub fn begin_for_good(&self, held: Held) {
        self.with(|unread| *unread = Unread { held: Some(held), keeps: true, ..Unread::default() });
    }

    fn came(&self, bytes: usize) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.with(|unread| {
            unread.bytes = unread.bytes.saturating_add(bytes);
            unread.since = unread.since.or_else(|| Some(Instant::now()));
            unread.count()
        })
    }

    /// A message was dealt with.
    pub fn done(&self, taken: Taken) {
        self.with(|unread| {
            let (Taken::Frame(bytes) | Taken::Control(bytes)) = taken;
            unread.bytes = unread.bytes.saturating_sub(bytes);
            if unread.bytes == 0 {
                unread.since = None;
            } else if matches!(taken, Taken::Frame(_)) {
                unread.since = Some(Instant::now());
            }
            // Never more than before: it has room.
            let _ = unread.count();
        });
    }

    #[must_use]
    pub fn unread(&self) -> usize {
        self.with(|unread| unread.bytes)
    }

    /// Whether a message has begun so long ago that it should be whole.
    #[must_use]
    pub fn is_too_slow(&self, now: Instant) -> bool {
        self.with(|unread| {
            let most = Duration::from_secs(IDLE_TIMEOUT_SECONDS + unread.bytes as u64 / MESSAGE_BYTES_A_SECOND);
            unread.since.is_some_and(|since| now.saturating_duration_since(since) > most)
        })
    }
}

impl Unread {
    /// Small messages always have room: whoever fills the rest keeps nobody from them.
    fn count(&mut self) -> io::Result<()> {
        let bytes = self.bytes.saturating_sub(FREE_BYTES).next_multiple_of(HELD_STEP_BYTES);
        let Some(held) = self.held.as_mut() else { return Ok(()) };
        if self.keeps && bytes <= held.bytes() {
            return Ok(());
        }
        held.set(bytes).map_err(|_| io::Error::other("too much is under way"))
    }
}

/// A stream of bytes with its meter.
pub struct Metered<S> {
    inner: S,
    meter: Arc<Meter>,
    stall: Option<Stall>,
}

/// What waits to be taken by the other side.
struct Stall {
    since: Instant,
    written: usize,
    timer: Pin<Box<Sleep>>,
}

impl<S> Metered<S> {
    pub fn new(inner: S) -> (Self, Arc<Meter>) {
        let meter = Arc::new(Meter::default());
        (Self { inner, meter: Arc::clone(&meter), stall: None }, meter)
    }

    /// The other side does not take what is written: it has a while, and longer the more it has taken.
    fn stalls(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let stall = self.stall.get_or_insert_with(|| {
            let since = Instant::now();
            Stall { since, written: 0, timer: Box::pin(tokio::time::sleep_until(since + STALL)) }
        });
        let most = STALL + Duration::from_secs(stall.written as u64 / MESSAGE_BYTES_A_SECOND);
        if stall.timer.deadline() != stall.since + most {
            stall.timer.as_mut().reset(stall.since + most);
        }
        ready!(stall.timer.as_mut().poll(cx));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let came = buf.filled().len().saturating_sub(before);
        Poll::Ready(self.meter.came(came))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(cx, bytes) {
            Poll::Ready(Ok(written)) => {
                if let Some(stall) = self.stall.as_mut() {
                    stall.written = stall.written.saturating_add(written);
                }
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.stalls(cx).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_flush(cx) {
            Poll::Ready(done) => {
                self.stall = None;
                Poll::Ready(done)
            }
            Poll::Pending => self.stalls(cx).map(Err),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_shutdown(cx) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => self.stalls(cx).map(Err),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::budget::memory::{Holder, Memory};

    const PEER: Holder = Holder::Peer(1106);
    const LARGE: usize = 4 * HELD_STEP_BYTES;

    /// What came of `bytes`, read to the last of them.
    async fn with_read(bytes: usize) -> (Arc<Memory>, Arc<Meter>) {
        let (mut far, near) = duplex(LARGE);
        let (mut near, meter) = Metered::new(near);
        let memory = Arc::new(Memory::default());
        meter.begin(memory.nothing([PEER]));
        far.write_all(&vec![0; bytes]).await.unwrap();
        near.read_exact(&mut vec![0; bytes]).await.unwrap();
        (memory, meter)
    }

    #[tokio::test]
    async fn what_is_not_taken_up_is_held_until_it_is() {
        let (memory, meter) = with_read(LARGE).await;
        assert_eq!((meter.unread(), memory.held(PEER)), (LARGE, LARGE - FREE_BYTES));
        meter.done(Taken::Frame(LARGE - 1));
        assert_eq!((meter.unread(), memory.held(PEER)), (1, 0), "the next message has begun");
        let (memory, _) = with_read(FREE_BYTES).await;
        assert_eq!(memory.held(PEER), 0, "small messages are nobody's");
    }

    #[tokio::test]
    async fn pings_do_not_make_a_message_younger() {
        let (_, meter) = with_read(1000).await;
        let now = Instant::now();
        let late = now + Duration::from_secs(IDLE_TIMEOUT_SECONDS) + Duration::from_millis(500);
        tokio::time::sleep(Duration::from_secs(1)).await;
        meter.done(Taken::Control(10));
        assert!(!meter.is_too_slow(now) && meter.is_too_slow(late));
        meter.done(Taken::Frame(10));
        assert!(
            !meter.is_too_slow(Instant::now() + Duration::from_secs(IDLE_TIMEOUT_SECONDS - 1)),
            "the next one's time"
        );
        meter.done(Taken::Frame(980));
        assert!(
            !meter.is_too_slow(late + Duration::from_secs(3600)),
            "whoever is silent only has no message under way"
        );
    }

    #[tokio::test]
    async fn whoever_has_no_room_is_cut_off() {
        let (mut far, near) = duplex(LARGE);
        let (mut near, meter) = Metered::new(near);
        let memory = Arc::new(Memory::default());
        let _others = memory.hold([PEER], crate::budget::table::held_bytes(PEER)).unwrap();
        meter.begin(memory.nothing([PEER]));
        far.write_all(&vec![0; LARGE]).await.unwrap();
        assert!(near.read_exact(&mut vec![0; LARGE]).await.is_err());
    }
}
