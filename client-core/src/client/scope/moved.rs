//! A log that moves (`docs/protocol.md` 19): who may sign which part of a chain, tombstones kept and carried to the new home, and the proof
//! against a home that goes on signing after it has let go.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::Standing;
use crate::client::stream::Sent;
use crate::rows::Space;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::consent::Permit;
use stafett_protocol::event::{Body, Receipt, Record};
use stafett_protocol::ids::{Municipality, PublicKey, ScopeId};
use stafett_protocol::membership::Membership;
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::Tombstone;
use stafett_protocol::wire::Request;

/// Receipts of former homes that are kept as proof against them, of one scope.
const EVIDENCE: usize = 16;

/// A tombstone as this device keeps it, for ever.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
struct Kept {
    /// The new home has served the scope: it need not be shown again.
    served: Permit,
    tombstone: Signed<Tombstone>,
}

fn tombstone_key(scope: ScopeId) -> Vec<u8> {
    [b"tombstone/".as_slice(), &scope.0].concat()
}

/// That a device of another municipality was told of its Welcome.
fn told_key(scope: ScopeId, device: &PublicKey) -> Vec<u8> {
    [b"welcomed/".as_slice(), &scope.0, device].concat()
}

/// Where the last receipt of each former home of a scope is kept.
pub(crate) fn receipt_key(scope: ScopeId, home_epoch: u32) -> Vec<u8> {
    [b"receipt/".as_slice(), &scope.0, &home_epoch.to_be_bytes()].concat()
}

impl Client {
    /// Whose word a receipt is. Whether that municipality may speak for the scope, [`Client::entitled`] says.
    pub(crate) fn signer_of(
        &self,
        scope: ScopeId,
        signed: &Signed<Receipt>,
    ) -> Result<(Municipality, Receipt), Problem> {
        let (trusted, home) = (self.me()?.trusted(), self.home_of(scope));
        let mut known: Vec<_> = trusted.0.iter().collect();
        known.sort_by_key(|m| m.number != home);
        let signer = known.into_iter().find_map(|m| signed.verify(&m.key).ok().map(|receipt| (m.number, receipt)));
        signer.ok_or_else(|| {
            Problem::rule(Cause::BadReceipt, "no municipality that is known here has signed the receipt")
        })
    }

    /// Whether this municipality can have signed these records at all: as a home of the scope, of the past,
    /// of now, or by a move among them.
    pub(crate) fn may_sign(&self, scope: ScopeId, signer: Municipality, fresh: &[Record]) -> bool {
        // A chain that is read from its beginning tells by itself who its homes were.
        let begun =
            self.scopes.get(&scope).is_some_and(|s| s.standing != Standing::Joining) && !self.may_be_back(scope);
        if !begun || signer == self.home_of(scope) || self.next_home(scope) == Some(signer) {
            return true;
        }
        let moves = self.scopes.get(&scope).map(|s| s.replica.state().moves.as_slice()).unwrap_or_default();
        let destination = |r: &Record| match r.event.peek().ok()?.body {
            Body::Commit(commit) => Some(commit.handover?.offer.offer.peek().ok()?.to.municipality),
            _ => None,
        };
        moves.iter().any(|m| m.from == signer) || fresh.iter().any(|r| destination(r) == Some(signer))
    }

    /// The home that a Welcome or a tombstone names, where the chain read so far does not yet.
    fn next_home(&self, scope: ScopeId) -> Option<Municipality> {
        let joining = self.scopes.get(&scope).is_none_or(|s| s.standing == Standing::Joining);
        let welcomed = self.welcome(scope).filter(|_| joining).map(|w| w.home);
        let kept = || self.kept_tombstone(scope)?.tombstone.peek().ok().map(|t| t.to);
        welcomed.or_else(kept)
    }

    /// The receipt is by whoever was the scope's home at that place: each home answers for its own time.
    pub(crate) fn entitled(&self, scope: ScopeId, signer: Municipality, receipt: &Receipt) -> Result<(), Problem> {
        let Some(state) = self.scopes.get(&scope).map(|s| s.replica.state()) else { return Ok(()) };
        let m = &state.membership;
        let now = signer == m.home && receipt.home_epoch == m.home_epoch;
        let then = state.home_at(receipt.position.seq) == (signer, receipt.home_epoch);
        let soon = receipt.home_epoch > m.home_epoch && self.next_home(scope) == Some(signer);
        if now || then || soon {
            return Ok(());
        }
        Err(Problem::rule(Cause::BadReceipt, "the receipt is not by whoever was the home of the log then"))
    }

    /// F7: a home that signs on after it has let the scope go is refused, and its two signatures are kept.
    pub(crate) fn check_after_move(&mut self, scope: ScopeId, signed: &Signed<Receipt>) -> Result<(), Problem> {
        let Some(state) = self.scopes.get(&scope).map(|s| s.replica.state()) else { return Ok(()) };
        let Ok(claim) = signed.peek() else { return Ok(()) };
        let past = state.moves.iter().find(|m| m.home_epoch == claim.home_epoch && claim.position.seq > m.seq);
        let Some(past) = past.copied() else { return Ok(()) };
        let trusted = self.me()?.trusted();
        if claim.scope != scope || trusted.key(past.from).is_none_or(|key| signed.verify(key).is_err()) {
            return Ok(());
        }
        let key = [b"evidence/".as_slice(), &scope.0, &signed.id().0].concat();
        // A few convict as well as thousands, of which such a home could make any number.
        let kept = self.table.scan(Space::State, &[b"evidence/".as_slice(), &scope.0].concat()).count();
        if kept < EVIDENCE {
            self.table.write(Space::State, &key, encode(signed));
        }
        let why = format!("municipality {:04} has signed for this log after it moved; the proof is kept", past.from);
        Err(Problem::rule(Cause::ReceiptAfterMove, why))
    }

    fn kept_tombstone(&self, scope: ScopeId) -> Option<Kept> {
        self.table.read(Space::State, &tombstone_key(scope)).and_then(|b| decode(b).ok())
    }

    /// After records were taken in: where they moved the scope, the old home is asked for its tombstone.
    pub(crate) fn follow_move(&mut self, scope: ScopeId, moves_before: usize) {
        let state = self.scopes.get(&scope).map(|s| s.replica.state());
        let Some(last) = state.filter(|s| s.moves.len() > moves_before).and_then(|s| s.moves.last()).copied() else {
            return;
        };
        self.following.unblock(scope);
        let position = stafett_protocol::wire::ScopePosition { scope, seq: last.seq };
        self.stream.send(last.from, Request::Sync(vec![position]), Sent::Sync);
    }

    /// "It moved": checked against both municipalities' keys and kept for whoever needs it.
    pub(crate) fn moved(&mut self, signed: Signed<Tombstone>) -> Result<(), Problem> {
        let refused = |e: &dyn core::fmt::Display| Problem::rule(Cause::Tombstone, e.to_string());
        let claim = signed.peek().map_err(|e| refused(&e))?;
        let trusted = self.me()?.trusted();
        let key = |of| trusted.key(of).ok_or_else(|| refused(&"of a municipality that is not known here"));
        let tombstone = signed.verify(key(claim.from)?).map_err(|e| refused(&e))?;
        let receipt = tombstone.receipt.verify(key(claim.from)?).map_err(|e| refused(&e))?;
        let accept = tombstone.accept.verify(key(claim.to)?).map_err(|e| refused(&e))?;
        let scope = tombstone.scope;
        let one = accept.scope == scope && receipt.scope == scope && (accept.from, accept.to) == (claim.from, claim.to);
        let Some(s) = self.scopes.get(&scope).filter(|s| s.standing != Standing::Withdrawn) else { return Ok(()) };
        let ours = s.replica.state().log() == tombstone.log
            && (s.replica.state().membership.home == claim.from
                || s.replica.state().moves.iter().any(|m| m.from == claim.from));
        if !one || !ours || accept.home_epoch.checked_sub(1) != Some(receipt.home_epoch) {
            return Err(refused(&"it does not fit the log that it names"));
        }
        self.check_last_word(scope, &tombstone.receipt);
        // A later move replaces an earlier one: the way from any old home leads on by the homes between.
        let newer = self.kept_tombstone(scope).and_then(|k| k.tombstone.peek().ok()?.accept.peek().ok());
        if newer.is_some_and(|known| known.home_epoch >= accept.home_epoch) {
            return Ok(());
        }
        let kept = Kept { served: Permit::No, tombstone: signed };
        self.table.write(Space::State, &tombstone_key(scope), encode(&kept));
        self.table.write(Space::State, &receipt_key(scope, receipt.home_epoch), encode(&tombstone.receipt));
        if self.has_greeted(accept.to) {
            self.present_tombstones(accept.to);
            self.sync_scope(scope);
        }
        Ok(())
    }

    /// Shows a new home the tombstones of what it has not served yet: any client may carry them.
    pub(crate) fn present_tombstones(&mut self, home: Municipality) {
        let kept = self.table.scan(Space::State, b"tombstone/").filter_map(|(_, value)| decode::<Kept>(value).ok());
        let waiting = kept.filter(|k| k.served == Permit::No).map(|k| k.tombstone);
        let for_home: Vec<Signed<Tombstone>> = waiting.filter(|t| t.peek().is_ok_and(|t| t.to == home)).collect();
        for tombstone in &for_home {
            if let Ok(t) = tombstone.peek() {
                self.following.unblock(t.scope);
            }
        }
        if !for_home.is_empty() {
            self.stream.send(home, Request::Activate(for_home), Sent::Activate);
        }
    }

    /// Homes that have not confirmed yet that a scope is theirs.
    pub(crate) fn unconfirmed_homes(&self) -> Vec<Municipality> {
        let kept = self.table.scan(Space::State, b"tombstone/").filter_map(|(_, value)| decode::<Kept>(value).ok());
        kept.filter(|k| k.served == Permit::No).filter_map(|k| Some(k.tombstone.peek().ok()?.to)).collect()
    }

    /// A new home has taken the tombstones that it was shown.
    pub(crate) fn activated(&mut self, home: Municipality) {
        let rows = self.table.scan(Space::State, b"tombstone/").filter_map(|(_, value)| decode::<Kept>(value).ok());
        let scopes: Vec<ScopeId> = rows.filter_map(|k| Some(k.tombstone.peek().ok()?.scope)).collect();
        scopes.into_iter().for_each(|scope| self.served(home, scope));
    }

    /// The new home has served the scope.
    pub(crate) fn served(&mut self, from: Municipality, scope: ScopeId) {
        let Some(mut kept) = self.kept_tombstone(scope).filter(|k| k.served == Permit::No) else { return };
        if kept.tombstone.peek().is_ok_and(|t| t.to == from) {
            kept.served = Permit::Yes;
            self.table.write(Space::State, &tombstone_key(scope), encode(&kept));
        }
    }

    /// Whoever goes and is let in again is told again where the Welcome waits.
    pub(crate) fn forget_told(&mut self, scope: ScopeId, before: &Membership, after: &Membership) {
        let gone = before.devices().filter(|device| !after.devices().any(|d| d == *device));
        gone.for_each(|device| self.table.delete(Space::State, &told_key(scope, device)));
    }

    /// Tells people of other municipalities, who were let in just now, where their Welcome waits.
    pub(crate) fn announce_welcomes(&mut self, scope: ScopeId) {
        let (Some(s), Ok(me)) = (self.scopes.get(&scope), self.me()) else { return };
        let (state, own) = (s.replica.state(), me.device_public());
        let (home, log) = (state.membership.home, state.log());
        let abroad = state.membership.members.iter().filter(|m| s.replica.municipality_of(m.person) != Some(home));
        let devices = abroad.flat_map(|m| m.devices.iter().filter(|d| **d != own).map(|d| (m.person, *d)));
        let devices: Vec<_> = devices.collect();
        let mut told = vec![];
        for (person, device) in devices {
            let key = told_key(scope, &device);
            if self.table.read(Space::State, &key).is_none() {
                self.table.write(Space::State, &key, vec![]);
                told.push(person);
            }
        }
        told.dedup();
        for person in told {
            // The letter goes to each device that there is now: whom we asked about before may have got another.
            self.stream.asked.remove(&person);
            let at = stafett_protocol::letter::WelcomeAt { home, log, scope };
            self.write_letter(person, stafett_protocol::letter::Content::WelcomeAt(at));
        }
    }
}
