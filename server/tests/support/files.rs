//! Attachments as a device stores and fetches them.

use stafett_protocol::attachment::*;
use stafett_protocol::event::Change;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::limits::*;
use stafett_protocol::wire::*;

use super::Client;
use crate::common::change;

/// An attachment of two parts, as good as sealed.
pub fn file(scope: ScopeId, n: u8) -> (AttachmentManifest, Vec<Vec<u8>>) {
    let parts = vec![vec![n; ATTACHMENT_PART_BYTES], vec![n; ATTACHMENT_STEP_BYTES]];
    (AttachmentManifest { scope, parts: parts.iter().map(|part| attachment_part_hash(part)).collect() }, parts)
}

pub fn naming(manifest: &AttachmentManifest) -> Change {
    Change { attachments: vec![manifest.id()], ..change() }
}

fn place(manifest: &AttachmentManifest, part: u16) -> AttachmentPlace {
    AttachmentPlace { scope: manifest.scope, attachment: manifest.id(), part }
}

pub fn put(manifest: &AttachmentManifest, part: u16, bytes: &[u8]) -> Request {
    let place = place(manifest, part);
    Request::PutAttachmentPart(AttachmentPart { place, bytes: bytes.to_vec().into() })
}

pub fn get(manifest: &AttachmentManifest, part: u16) -> Request {
    Request::GetAttachmentPart(place(manifest, part))
}

pub fn here(manifest: &AttachmentManifest, part: u16, bytes: &[u8]) -> Reply {
    let place = place(manifest, part);
    Reply::AttachmentPart(AttachmentPart { place, bytes: bytes.to_vec().into() })
}

/// Which parts the home has not.
pub async fn wants(client: &mut Client, manifest: &AttachmentManifest) -> Vec<u16> {
    let reply = client.ask(Request::PutAttachment(manifest.clone())).await;
    let Reply::AttachmentWants(wants) = reply else { panic!("{reply:?}") };
    assert_eq!(wants.attachment, manifest.id());
    wants.parts
}

pub async fn upload(client: &mut Client, manifest: &AttachmentManifest, parts: &[Vec<u8>]) {
    for part in wants(client, manifest).await {
        assert_eq!(client.ask(put(manifest, part, &parts[usize::from(part)])).await, Reply::Done);
    }
    assert!(wants(client, manifest).await.is_empty());
}
