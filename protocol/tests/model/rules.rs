//! The rules of a transfer, each of which can be left out: the model must then find what goes wrong.

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Nothing is answered before it is stored.
    StoredFirst,
    /// Every record passes the policy: consent in force, acceptance, one holder.
    Judged,
    /// After its tombstone the old home receives nothing.
    OldHomeStops,
    /// The old home commits on exactly the heads that the new one accepted.
    ExactHeads,
    /// A bundle stands for all its scopes, or for none.
    WholeBundle,
    /// An offer that was taken back is never committed.
    AbortHolds,
    /// An acceptance that was let go is never committed.
    DropHolds,
    /// Only the old home's word ends an acceptance.
    BoundUntilWord,
    /// A home is bound to one acceptance at a time.
    OnePromise,
    /// A tombstone counts for its own acceptance.
    OwnTombstone,
}

impl Rule {
    pub const ALL: &'static [Self] = &[
        Self::StoredFirst,
        Self::Judged,
        Self::OldHomeStops,
        Self::ExactHeads,
        Self::WholeBundle,
        Self::AbortHolds,
        Self::DropHolds,
        Self::BoundUntilWord,
        Self::OnePromise,
        Self::OwnTombstone,
    ];
}

/// The one rule that a run does without.
pub type Without = Option<Rule>;
