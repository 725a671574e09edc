//! Attachments of a scope that moves: the chain says which there are, so the old home is trusted with none of
//! their bytes. Each part is stored as it comes; a broken line goes on where it stood.

use std::time::Instant;

use hyper::Method;
use stafett_protocol::attachment::AttachmentManifest;
use stafett_protocol::codec::encode;
use stafett_protocol::handover::SignedOffer;
use stafett_protocol::ids::{Hash, ScopeId};
use stafett_protocol::limits::BODY_BYTES;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::transfer::{AttachmentRequest, PulledPart};

use super::fetch::Fetching;
use super::{ATTACHMENT_PATH, answer_of};
use crate::db::Conn;
use crate::problem::Fault;
use crate::server::Server;
use crate::store::{attachments, chain};

/// One part and what is said about it.
const ANSWER_BYTES: usize = BODY_BYTES + 16 * 1024;

impl Fetching {
    /// Fetches attachments that the replayed chain names; answers whether all of them are here.
    pub async fn files(&self, server: &Server, offer: &SignedOffer, until: Instant) -> Result<bool, Fault> {
        let named = self.replica()?.state().attachments.clone();
        for attachment in named {
            while let Some(part) = next_part(server, self.scope, &attachment).await? {
                if Instant::now() >= until {
                    return Ok(false);
                }
                self.file_part(server, offer, attachment, part).await?;
            }
        }
        Ok(true)
    }

    async fn file_part(&self, server: &Server, offer: &SignedOffer, id: Hash, part: u16) -> Result<(), Fault> {
        let request = encode(&AttachmentRequest { offer: offer.clone(), attachment: id, part });
        let outgoing = &server.federation.outgoing;
        let answer = outgoing.ask(self.from, Method::POST, ATTACHMENT_PATH, request, ANSWER_BYTES).await?;
        self.pay(server, answer.len())?;
        let PulledPart { manifest, bytes } = answer_of(&answer)?;
        let now = server.clock.now();
        let fits = manifest.scope == self.scope && manifest.id() == id && manifest.is_within_limits();
        if !fits || !manifest.fits(part, bytes.as_slice()) {
            return Err(Refusal::AttachmentMissing.into());
        }
        let stored = server.db.write::<bool, Fault, _>(move |conn: &mut Conn| {
            Box::pin(async move {
                chain::lock(conn, manifest.scope).await?;
                Ok(attachments::put_fetched(conn, &manifest, part, bytes.as_slice(), now).await?)
            })
        });
        if stored.await? { Ok(()) } else { Err(Refusal::TooManyAttachments.into()) }
    }
}

/// The first part that is not here; of an attachment that nothing is here of, the first.
async fn next_part(server: &Server, scope: ScopeId, attachment: &Hash) -> Result<Option<u16>, Fault> {
    let mut conn = server.db.reader().await?;
    let manifest: Option<AttachmentManifest> = attachments::manifest(&mut conn, scope, attachment).await?;
    let Some(manifest) = manifest else { return Ok(Some(0)) };
    Ok(attachments::missing(&mut conn, &manifest).await?.first().copied())
}
