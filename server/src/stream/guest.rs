//! A device of another municipality, come through its own server: it proves with its own key who it is,
//! so that the relaying server is trusted with nothing but delivery (`docs/protocol.md` 20).

use std::sync::Arc;
use std::time::Duration;

use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::{Municipalities, MunicipalityKey, letter_key_hash};
use stafett_protocol::federation::{RelayChallenge, RelayLogin};
use stafett_protocol::limits::SMALL_REQUEST_BYTES;
use stafett_protocol::wire::Request;

use super::{Connection, Stream, serve};
use crate::federation::peers::Peer;
use crate::home::random;
use crate::problem::Fault;
use crate::server::Server;
use crate::socket::Incoming;
use crate::store::accounts::Device;

/// Time to answer the challenge.
const LOGIN: Duration = Duration::from_secs(10);

/// Serves a guest until one side ends it.
pub async fn run_guest(server: Arc<Server>, peer: Arc<Peer>, mut socket: Stream) {
    let entered = tokio::time::timeout(LOGIN, enter(&server, &peer, &mut socket)).await;
    match entered.unwrap_or(Err(Fault::TooSlow)) {
        Ok(device) => serve(server, device, Some(peer), socket).await,
        Err(fault) => {
            let _ = tokio::time::timeout(LOGIN, socket.close(1008, &fault.to_problem().code)).await;
        }
    }
}

/// Challenge and answer. The challenge is this stream's alone, the home stands in what is signed: an
/// answer is worth nothing anywhere else, or ever again.
async fn enter(server: &Server, peer: &Peer, socket: &mut Stream) -> Result<Device, Fault> {
    let challenge = RelayChallenge { challenge: random()? };
    socket.send(encode(&challenge).into()).await.map_err(|_| Fault::NotAuthenticated)?;
    let bytes = loop {
        match socket.recv().await {
            Incoming::Frame(bytes) => break bytes,
            Incoming::Alive => {}
            _ => return Err(Fault::NotAuthenticated),
        }
    };
    if bytes.len() > SMALL_REQUEST_BYTES {
        return Err(Fault::TooLarge);
    }
    let login: RelayLogin = decode(&bytes)?;
    // The municipality that relays vouches for its own people, and for nobody else's.
    let trusted = Municipalities(vec![MunicipalityKey { number: peer.number, key: peer.key }]);
    let identity = login.credential.verify(&trusted).map_err(|_| Fault::NotAuthenticated)?;
    let hello = login.hello.verify(identity.device_key()).map_err(|_| Fault::NotAuthenticated)?;
    let fits = hello.challenge == challenge.challenge
        && hello.home == server.municipality.number
        && hello.device == identity.device()
        && identity.letter_key() == letter_key_hash(login.letter_key.as_slice());
    if !fits {
        return Err(Fault::NotAuthenticated);
    }
    server.fanout.admit(identity.device())?;
    Ok(Device { device: identity.device(), person: identity.person(), key: *identity.device_key(), is_guest: true })
}

/// What a guest has any business with: the logs that are homed here, and what is needed to take part in
/// them. Accounts, codes and key packages are its own home's.
pub(super) fn may_ask(request: &Request) -> bool {
    matches!(
        request,
        Request::Submit(_)
            | Request::Sync(_)
            | Request::SyncAhead(_)
            | Request::History(_)
            | Request::PutCheckpointPart(_)
            | Request::PutCheckpoint(_)
            | Request::PutAttachment(_)
            | Request::PutAttachmentPart(_)
            | Request::GetAttachmentPart(_)
            | Request::FetchKeyPackages(_)
            | Request::Persons(_)
            | Request::Units
            | Request::Letters(_)
            | Request::Acknowledge(_)
            | Request::Ping
            | Request::Return(_)
            | Request::PrepareTransfer(_)
            | Request::CommitTransfer(_)
            | Request::HoldTransfer(_)
            | Request::AbortTransfer(_)
            | Request::Activate(_)
            | Request::Release(_)
    )
}

impl Connection {
    /// Whatever a request costs beyond itself counts against the guest's municipality.
    pub(super) fn admit_guests(&self, count: usize) -> Result<(), Fault> {
        self.guest_of.as_ref().map_or(Ok(()), |peer| self.server.admission.peer(peer.number, count))
    }
}
