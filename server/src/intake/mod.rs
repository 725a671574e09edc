//! The door: whatever enters a chain was decoded whole, comes from an authenticated device, was judged
//! by `protocol::replica` and stored with its receipt in one transaction. There is no other way in.

mod attachments;
mod judging;
mod look;
mod moving;
mod places;
mod returning;
mod written;

use std::sync::Arc;

use axum::body::Bytes;
use stafett_protocol::codec::encode;
use stafett_protocol::event::{Body, Event, Receipt, Record};
use stafett_protocol::ids::{DeviceId, ScopeId};
use stafett_protocol::letter::Letter;
use stafett_protocol::limits;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::{Tombstone, Transfer, Transferred};
use stafett_protocol::wire::{Accepted, Bundle, Envelope, Records, Reply, ServerFrame, welcome_hash};

use crate::clock::Clock;
use crate::db::{Conn, Db};
use crate::fanout::{Fanout, NewRecords};
use crate::federation::peers::Peers;
use crate::municipality::Municipality;
use crate::problem::Fault;
use crate::store::accounts::Device;
pub use look::Look;
pub(crate) use moving::epoch_before;
use places::Hot;

/// An envelope whose event has been decoded.
struct Decoded {
    event: Event,
    signed: Signed<Event>,
    welcome: Option<Vec<u8>>,
}

/// What the transaction needs beside the bundle; shared by all.
pub(crate) struct Shared {
    municipality: Arc<Municipality>,
    peers: Arc<Peers>,
    clock: Arc<Clock>,
    hot: Hot,
}

pub struct Intake {
    db: Db,
    fanout: Arc<Fanout>,
    shared: Arc<Shared>,
}

/// What a transaction has done.
#[derive(Default)]
struct Outcome {
    accepted: Vec<Accepted>,
    /// Of scopes that have moved away with it.
    tombstones: Vec<Signed<Tombstone>>,
    /// Empty when the bundle had been accepted before.
    news: Vec<ForReaders>,
    mail: Vec<DeviceId>,
    recheck: Vec<ScopeId>,
    copied_bytes: u64,
}

/// What came of a bundle.
pub struct Taken {
    pub done: Transferred,
    /// Welcomes that were stored once more for each further device.
    pub copied_bytes: u64,
}

/// What one scope's readers are told.
struct ForReaders {
    scope: ScopeId,
    records: Vec<Record>,
    receipt: Signed<Receipt>,
    moved: Option<Signed<Tombstone>>,
}

impl Intake {
    #[must_use]
    pub fn new(
        db: Db,
        municipality: Arc<Municipality>,
        peers: Arc<Peers>,
        fanout: Arc<Fanout>,
        clock: Arc<Clock>,
    ) -> Self {
        Self { db, fanout, shared: Arc::new(Shared { municipality, peers, clock, hot: Hot::default() }) }
    }

    /// Judges and stores a bundle of an authenticated device, all or nothing, and tells who may know.
    pub async fn submit(&self, author: &Device, bundle: Bundle) -> Result<Vec<Accepted>, Fault> {
        let taken = self.transfer(author, Transfer { bundle, accepts: vec![] }).await?;
        Ok(taken.done.accepted)
    }

    /// The same for a bundle with which scopes move away, each as its new home has accepted it.
    pub async fn transfer(&self, author: &Device, transfer: Transfer) -> Result<Taken, Fault> {
        let Transfer { bundle, accepts } = transfer;
        let envelopes = open(author.device, bundle.envelopes)?;
        check_letters(&bundle.letters)?;
        let letters = bundle.letters;
        let shared = Arc::clone(&self.shared);
        let author = author.clone();
        let outcome = self
            .db
            .write::<Outcome, Fault, _>(move |conn: &mut Conn| {
                Box::pin(async move { judging::run(conn, &shared, &author, (envelopes, letters), accepts).await })
            })
            .await?;
        let copied_bytes = outcome.copied_bytes;
        Ok(Taken { done: self.announce(outcome), copied_bytes })
    }

    /// After COMMIT: tells who may know.
    fn announce(&self, outcome: Outcome) -> Transferred {
        for news in outcome.news {
            self.tell(news);
        }
        for scope in outcome.recheck {
            self.fanout.scope(scope);
        }
        for device in outcome.mail {
            self.fanout.mail(device);
        }
        Transferred { accepted: outcome.accepted, tombstones: outcome.tombstones }
    }

    fn tell(&self, news: ForReaders) {
        let (Some(first), Some(last)) = (news.records.first(), news.records.last()) else {
            return;
        };
        let (first, last) = (first.seq, last.seq);
        let frame = ServerFrame {
            id: 0,
            reply: Reply::Records(Records { scope: news.scope, records: news.records, receipt: news.receipt }),
        };
        self.fanout.records(&Arc::new(NewRecords {
            scope: news.scope,
            first,
            last,
            frame: Bytes::from(encode(&frame)),
            moved: news.moved,
        }));
    }
}

/// Decodes every event and checks what can be checked without the chain.
fn open(device: DeviceId, envelopes: Vec<Envelope>) -> Result<Vec<Decoded>, Fault> {
    if envelopes.is_empty() || envelopes.len() > limits::BUNDLE_ENVELOPES {
        return Err(Refusal::TooLarge.into());
    }
    envelopes.into_iter().map(|envelope| open_one(device, envelope)).collect()
}

fn open_one(device: DeviceId, envelope: Envelope) -> Result<Decoded, Fault> {
    let event = envelope.event.peek()?;
    if event.device != device {
        return Err(Fault::NotAllowed);
    }
    let welcome: Option<Vec<u8>> = envelope.welcome.map(|w| w.as_slice().to_vec());
    if welcome.as_ref().is_some_and(|w| w.len() > limits::BODY_BYTES) {
        return Err(Refusal::TooLarge.into());
    }
    let named = match &event.body {
        Body::Commit(commit) => commit.welcome,
        _ => None,
    };
    if named != welcome.as_deref().map(welcome_hash) {
        return Err(Refusal::WelcomeMismatch.into());
    }
    Ok(Decoded { event, signed: envelope.event, welcome })
}

/// Bounds on letters, the same with and without events beside them.
pub fn check_letters(letters: &[Letter]) -> Result<(), Fault> {
    let too_large = letters
        .iter()
        .any(|letter| letter.sealed.as_slice().len() + letter.kem.as_slice().len() > limits::LETTER_BYTES);
    if too_large || letters.len() > limits::BUNDLE_LETTERS {
        return Err(Fault::TooLarge);
    }
    Ok(())
}
