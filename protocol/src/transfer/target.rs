//! The new home's side of one scope at one home epoch. Pure, as [`super::Source`] is.

use super::HomeAccept;
use crate::codec::{TlsDeserialize, TlsSerialize, TlsSize};
use crate::event::Position;
use crate::ids::Hash;
use crate::refusal::Refusal;
use crate::signed::id_of;

/// Whether the scope is here yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, TlsSerialize, TlsDeserialize, TlsSize)]
pub struct Target {
    pub standing: TargetStanding,
    /// Acceptances that the old home has freed: none is given again.
    pub freed: Vec<Hash>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, TlsSerialize, TlsDeserialize, TlsSize)]
#[repr(u8)]
pub enum TargetStanding {
    /// Nothing is promised.
    #[default]
    #[tls_codec(discriminant = 1)]
    Nothing,
    /// It becomes the home if the old one says so, however long that takes; only the old home's word ends
    /// it.
    #[tls_codec(discriminant = 2)]
    Bound(HomeAccept),
    /// It is the home.
    #[tls_codec(discriminant = 3)]
    Active(HomeAccept),
}

/// What happens at the new home. Signatures have been verified; the records behind `accept` replayed.
#[derive(Debug, Clone, Copy)]
pub enum TargetInput<'a> {
    /// Any event of the scope asks to be received.
    Append,
    /// What this home would accept now ([`super::accept_of`] on what it has replayed).
    Prepare { accept: &'a HomeAccept },
    /// The old home's tombstone: for this acceptance, with the moving commit there.
    Tombstone { accept: Hash, position: Position },
    /// The old home's word that this acceptance is never committed.
    Release { accept: Hash },
}

/// What the new home may say then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetOutput {
    /// The event may be received.
    Received,
    /// The acceptance may be signed and shown, now that it is stored.
    Accepted,
    /// The bound commit stands as that record: serve the scope.
    Serves,
    /// Nothing rests on that acceptance any more.
    Released,
}

impl Target {
    /// The next state, and the answer; a refusal changes nothing.
    pub fn step(&self, input: TargetInput<'_>) -> Result<(Self, TargetOutput), Refusal> {
        match input {
            TargetInput::Append => match self.standing {
                TargetStanding::Active(_) => Ok((self.clone(), TargetOutput::Received)),
                TargetStanding::Bound(_) => Err(Refusal::NotActivated),
                TargetStanding::Nothing => Err(Refusal::UnknownScope),
            },
            TargetInput::Prepare { accept } => self.prepare(accept),
            TargetInput::Tombstone { accept, position } => self.tombstone(accept, position),
            TargetInput::Release { accept } => self.release(accept),
        }
    }

    fn prepare(&self, accept: &HomeAccept) -> Result<(Self, TargetOutput), Refusal> {
        match &self.standing {
            TargetStanding::Bound(bound) | TargetStanding::Active(bound) if bound == accept => {
                return Ok((self.clone(), TargetOutput::Accepted));
            }
            TargetStanding::Active(_) => return Err(Refusal::AcceptMismatch),
            // The old home's own records lead past the earlier acceptance, and not through its commit, or
            // the scope would be at another home epoch: it can never be committed.
            TargetStanding::Bound(bound) if bound.extends.seq < accept.extends.seq => {}
            TargetStanding::Bound(_) => return Err(Refusal::Bound),
            TargetStanding::Nothing => {}
        }
        if self.freed.contains(&id_of(accept)) {
            return Err(Refusal::TransferAborted);
        }
        let standing = TargetStanding::Bound(accept.clone());
        Ok((Self { standing, ..self.clone() }, TargetOutput::Accepted))
    }

    fn tombstone(&self, accept: Hash, position: Position) -> Result<(Self, TargetOutput), Refusal> {
        match &self.standing {
            TargetStanding::Active(active) if id_of(active) == accept => Ok((self.clone(), TargetOutput::Serves)),
            TargetStanding::Bound(bound)
                if id_of(bound) == accept && bound.extends.seq.checked_add(1) == Some(position.seq) =>
            {
                let standing = TargetStanding::Active(bound.clone());
                Ok((Self { standing, ..self.clone() }, TargetOutput::Serves))
            }
            _ => Err(Refusal::AcceptMismatch),
        }
    }

    fn release(&self, accept: Hash) -> Result<(Self, TargetOutput), Refusal> {
        let standing = match &self.standing {
            // The old home has said both: it is not believed against its own tombstone.
            TargetStanding::Active(active) if id_of(active) == accept => return Err(Refusal::AcceptMismatch),
            TargetStanding::Bound(bound) if id_of(bound) == accept => TargetStanding::Nothing,
            other => other.clone(),
        };
        let mut next = Self { standing, ..self.clone() };
        if !next.freed.contains(&accept) {
            next.freed.push(accept);
        }
        Ok((next, TargetOutput::Released))
    }
}
