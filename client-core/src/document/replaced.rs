//! A document whose accepted part is replaced: by a checkpoint that lies ahead, or by what the events say. One's
//! own words that are not in the new one wait again, or become drafts.

use automerge::{Change, ChangeHash};
use sha2::{Digest, Sha256};
use stafett_protocol::ids::DeviceId;

use super::accepted::{Stopped, guarded};
use super::gate::is_actor_of;
use super::history::Layered;
use super::own::{Document, Draft, Editor, Pending};

impl Document {
    /// What the accepted part is, with its facts and its quarantine: equal for all who have read the same events.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut heads = self.accepted.heads();
        heads.sort_unstable();
        let mut digest = Sha256::new();
        digest.update((heads.len() as u64).to_be_bytes());
        heads.iter().for_each(|head| digest.update(head));
        let facts = self.accepted.facts.canonical();
        digest.update((facts.len() as u64).to_be_bytes());
        digest.update(&facts);
        digest.update(crate::packed::pack(&self.accepted.quarantine).unwrap_or_default());
        digest.finalize().into()
    }

    /// Takes over another's accepted part. Own changes that are in this document and not in that one, and own
    /// edits that wait, are judged upon it: they wait, or are drafts.
    pub fn rebase(&mut self, other: Self, editor: &Editor) -> Result<Vec<Draft>, Stopped> {
        let mut own = self.missing_from(&other, editor.device)?;
        own.extend(self.pending.iter().map(|pending| pending.bytes.clone()));
        self.unsaved.replaced(&self.pending);
        self.accepted = other.accepted;
        self.pending.clear();
        self.restart();
        let mut drafts = vec![];
        for bytes in own {
            let change = guarded(|| Change::from_bytes(bytes.clone()))?.map_err(|_| Stopped)?;
            if self.contains(&change.hash()) {
                continue;
            }
            if !self.wait_again(editor, &change)? {
                drafts.push(self.draft_of(change.hash().0, bytes));
            }
        }
        Ok(drafts)
    }

    fn missing_from(&self, other: &Self, device: DeviceId) -> Result<Vec<Vec<u8>>, Stopped> {
        let changes = guarded(|| self.accepted.document.get_changes(&[]))?;
        let known = |hash: &ChangeHash| {
            let refused = other.accepted.quarantine.iter().any(|out| out.hash == hash.0);
            refused || other.accepted.document.get_change_meta_by_hash(hash).is_some()
        };
        let own = changes.into_iter().filter(|c| is_actor_of(c.actor_id(), device) && !known(&c.hash()));
        Ok(own.map(|mut change| change.bytes().to_vec()).collect())
    }

    fn contains(&self, hash: &ChangeHash) -> bool {
        self.accepted.document.get_change_meta_by_hash(hash).is_some()
    }

    /// Puts a change of one's own behind those that wait, if everything that it builds on is there.
    fn wait_again(&mut self, editor: &Editor, change: &Change) -> Result<bool, Stopped> {
        let mut fork = self.take_fork()?;
        let fits = {
            let accepted = self.accepted.history().ok_or(Stopped)?;
            let known = Layered { accepted, pending: Some(&fork.history) };
            change.deps().iter().all(|hash| known.contains(hash))
        };
        let facts = if fits { self.judge_own(&mut fork, editor, change).ok() } else { None };
        if let Some(facts) = facts {
            guarded(|| fork.document.apply_changes([change.clone()]))?.map_err(|_| Stopped)?;
            let row = self.unsaved.next_row();
            let bytes = change.raw_bytes().to_vec();
            self.pending.push_back(Pending { hash: change.hash().0, device: editor.device, bytes, facts, row });
            self.put_fork(fork);
            return Ok(true);
        }
        self.restore_fork()?;
        Ok(false)
    }
}
