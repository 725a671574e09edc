//! The old home's side of one scope at one home epoch. Pure: the server stores exactly this state, in the
//! transaction of what it answers, and the model checker runs exactly this function.

use super::HomeAccept;
use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize};
use crate::event::Position;
use crate::ids::Hash;
use crate::refusal::Refusal;
use crate::signed::id_of;

/// Whether the scope is here still.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Source {
    /// Offers that were taken back: none of them is ever committed.
    pub aborted: Vec<Hash>,
    /// Acceptances that were let go before anything stood on them: none of them is ever committed.
    pub dropped: Vec<Hash>,
    /// The acceptance with which the scope moved, and its offer. Never taken back.
    pub moved: Option<Gone>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Gone {
    pub accept: Hash,
    pub offer: Hash,
}

/// What happens at the old home. Signatures have been verified, the commit judged by the policy.
#[derive(Debug, Clone, Copy)]
pub enum SourceInput<'a> {
    /// Any other event of the scope asks to be received.
    Append,
    /// The moving commit, with the new home's `accept`; `own` is what this home would accept in its place
    /// ([`super::accept_of`] on its own replica).
    Commit { accept: &'a HomeAccept, own: &'a HomeAccept },
    /// Whoever may take an offer back does.
    Abort { offer: Hash },
    /// Whoever hands over will not commit this acceptance, and needs the new home for another one: it has
    /// heard of this offer, and nothing but the old home's word frees it.
    Drop { accept: &'a HomeAccept },
    /// What became of this acceptance? The chain stands at `head`.
    Ask { accept: &'a HomeAccept, head: Position },
}

/// What the old home may say then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceOutput {
    /// The event may be received.
    Received,
    /// The tombstone for this acceptance: sign it now, or show the one that stands.
    Tombstone,
    /// This acceptance is never committed: [`super::TransferAbort`] may be signed.
    Never,
    /// The offer is taken back; acceptances of it are answered with `Never`.
    TakenBack,
    /// It may still be committed.
    Undecided,
}

impl Source {
    /// The next state, and the answer; a refusal changes nothing.
    pub fn step(&self, input: SourceInput<'_>) -> Result<(Self, SourceOutput), Refusal> {
        let stays = |output| Ok((self.clone(), output));
        match (input, self.moved) {
            (SourceInput::Append, None) => stays(SourceOutput::Received),
            (SourceInput::Append, Some(_)) => Err(Refusal::Moved),
            (SourceInput::Commit { accept, .. }, Some(gone)) if gone.accept == id_of(accept) => {
                stays(SourceOutput::Tombstone)
            }
            (SourceInput::Commit { .. }, Some(_)) => Err(Refusal::Moved),
            (SourceInput::Commit { accept, own }, None) => self.commit(accept, own),
            (SourceInput::Abort { offer }, Some(gone)) if gone.offer == offer => Err(Refusal::Moved),
            (SourceInput::Abort { offer }, _) => {
                let mut next = self.clone();
                if !next.aborted.contains(&offer) {
                    next.aborted.push(offer);
                }
                Ok((next, SourceOutput::TakenBack))
            }
            (SourceInput::Ask { accept, .. } | SourceInput::Drop { accept }, Some(gone))
                if gone.accept == id_of(accept) =>
            {
                stays(SourceOutput::Tombstone)
            }
            (SourceInput::Ask { .. } | SourceInput::Drop { .. }, Some(_)) => stays(SourceOutput::Never),
            (SourceInput::Drop { accept }, None) => {
                let mut next = self.clone();
                if !next.dropped.contains(&id_of(accept)) {
                    next.dropped.push(id_of(accept));
                }
                Ok((next, SourceOutput::Never))
            }
            (SourceInput::Ask { accept, head }, None) => {
                // The chain has gone on without it, or it was taken back or let go: each is for ever.
                let passed = head.seq > accept.extends.seq;
                let never = passed || self.is_dead(accept);
                stays(if never { SourceOutput::Never } else { SourceOutput::Undecided })
            }
        }
    }

    fn is_dead(&self, accept: &HomeAccept) -> bool {
        self.aborted.contains(&accept.offer) || self.dropped.contains(&id_of(accept))
    }

    fn commit(&self, accept: &HomeAccept, own: &HomeAccept) -> Result<(Self, SourceOutput), Refusal> {
        if self.aborted.contains(&own.offer) || self.is_dead(accept) {
            return Err(Refusal::TransferAborted);
        }
        if accept.extends != own.extends {
            return Err(Refusal::StaleAccept);
        }
        // Another commit, another history behind it, another home or home epoch.
        if accept != own {
            return Err(Refusal::AcceptMismatch);
        }
        let moved = Some(Gone { accept: id_of(accept), offer: accept.offer });
        Ok((Self { moved, ..self.clone() }, SourceOutput::Tombstone))
    }
}
