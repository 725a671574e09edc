//! What is inside: changes are opened under the key chain and judged by the document; a device that is let
//! go forgets all of it and says so.

use crate::client::Client;
use crate::client::input::{Cause, News, Problem};
use crate::client::scope::{OpenedUpTo, Scope, Standing, Unopened};
use crate::document::{Delivered, Outcome, Received, Writer};
use crate::keychain::ContentKey;
use crate::rows::Space;
use crate::seal;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::DeletionReceipt;
use stafett_protocol::ids::{DeviceId, ScopeId};
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::Statement;

/// What is done with the content of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ContentWork {
    /// Its events are read again.
    Reread,
    /// Own changes are sealed and sent.
    Sealed,
    /// A checkpoint is written.
    Condensed,
    /// What goes along with a commit or statement is written: names, reasons.
    Noted,
}

/// None where its bytes do not open under the key of its epoch, or are other changes than were announced.
fn open_one(s: &Scope, sealed: &Unopened) -> Option<Vec<Vec<u8>>> {
    let key = open_key(s, sealed)?;
    let header = encode(&sealed.context);
    let binding = seal::Binding {
        salt: sealed.change.salt,
        device: sealed.context.device,
        counter: sealed.context.counter,
        header: &header,
    };
    let changes = seal::open(key, &binding, sealed.change.sealed.as_slice()).ok()?;
    seal::verify_tag(key, &sealed.change.salt, &changes, &sealed.change.tag).ok()?;
    (changes.len() == usize::from(sealed.change.count)).then_some(changes)
}

/// What came of the changes that could be opened.
pub(crate) struct Opening {
    delivered: Option<Delivered>,
    /// Each with why, as a code.
    unreadable: Vec<(u64, &'static str)>,
}

/// Whether a key has come for what stands in the chain before what is in the document already, as when a gap in the key
/// chain is mended. The verdicts hang on the order: with it the document has to be made anew.
fn comes_late(s: &Scope) -> bool {
    let opens = |u: &&Unopened| s.keys.counts(u.context.generation) && open_key(s, u).is_some();
    s.unopened.iter().filter(opens).any(|u| u.seq < s.opened.seq)
}

fn open_key<'s>(s: &'s Scope, u: &Unopened) -> Option<&'s ContentKey> {
    s.keys.key_of(u.context.generation, u.context.epoch)
}

/// Opens what the keys here open, in the order of the chain, and lets the document judge it. None where that stops the document:
/// all of it waits as before.
pub(crate) fn open_ready(s: &mut Scope) -> Option<Opening> {
    let opened_before = s.opened;
    let (counts, over): (Vec<Unopened>, Vec<Unopened>) =
        std::mem::take(&mut s.unopened).into_iter().partition(|u| s.keys.counts(u.context.generation));
    let (ready, later): (Vec<Unopened>, Vec<Unopened>) = counts.into_iter().partition(|u| open_key(s, u).is_some());
    s.unopened = later;
    let mut events: Vec<Received> = vec![];
    let mut unreadable: Vec<(u64, &'static str)> = over.iter().map(|u| (u.seq, "founded-anew")).collect();
    for sealed in &ready {
        let Unopened { seq, context, .. } = sealed;
        let at = OpenedUpTo { generation: context.generation, epoch: context.epoch, seq: *seq };
        s.opened = OpenedUpTo { seq: s.opened.seq.max(*seq), ..s.opened.max(at) };
        match open_one(s, sealed) {
            Some(changes) => events.push(Received {
                device: sealed.context.device,
                writer: Writer {
                    person: sealed.author,
                    role: sealed.role,
                    received_ms: sealed.time,
                    event: sealed.seq,
                },
                changes,
            }),
            None => unreadable.push((sealed.seq, "change-unreadable")),
        }
    }
    if events.is_empty() {
        return Some(Opening { delivered: None, unreadable });
    }
    let Ok(delivered) = s.document.accept(&events) else {
        s.opened = opened_before;
        s.unopened.extend(over.into_iter().chain(ready));
        s.unopened.sort_by_key(|u| u.seq);
        return None;
    };
    Some(Opening { delivered: Some(delivered), unreadable })
}

pub(crate) fn standing_still() -> Problem {
    Problem::data(
        Cause::DocumentStopped,
        "the content of this part of the log stands still on this device; all else goes on",
    )
}

impl Client {
    /// Opens every change whose key is here, in the order of the chain, and lets the document judge them.
    pub(crate) fn open_contents(&mut self, scope: ScopeId) {
        let Some(s) = self.scopes.get_mut(&scope).filter(|s| s.standing == Standing::Member && !s.stopped) else {
            return;
        };
        if comes_late(s) {
            if s.unaudited.is_none() {
                s.read_again();
            }
            return;
        }
        let Some(Opening { delivered, unreadable }) = open_ready(s) else {
            s.stop(&self.table);
            return self.report(&standing_still());
        };
        if let Some(delivered) = delivered {
            let refused = delivered.outcomes.iter().filter(|o| matches!(o, Outcome::Quarantined(_))).count();
            self.told.counts.refused += refused as u64;
            let news = delivered.entries.into_iter().map(|(section, entry)| News { scope, section, entry });
            self.news.extend(news);
            self.told.counts.given_up += self.keep_drafts(scope, &delivered.drafts, "quarantined");
        }
        for (seq, why) in unreadable {
            let key = [b"unreadable/".as_slice(), &scope.0, &seq.to_be_bytes()].concat();
            self.table.write(Space::State, &key, why.as_bytes().to_vec());
            self.told.counts.refused += 1;
        }
    }

    pub(crate) fn take_deletion(
        &mut self,
        device_key: [u8; 32],
        signed: &Signed<DeletionReceipt>,
    ) -> Result<(), Problem> {
        let receipt = signed.verify(&device_key).map_err(|e| Problem::rule(Cause::Deletion, e.to_string()))?;
        let device = DeviceId::of_key(&device_key);
        if receipt.device != device || !self.scopes.contains_key(&receipt.scope) {
            return Ok(());
        }
        let key = crate::client::keys::mail_key("deletion", &[&receipt.scope.0, &device.0]);
        let witness = stafett_protocol::consent::DeletionWitness { device_key, receipt: signed.clone() };
        self.table.write(Space::Mail, &key, encode(&witness));
        Ok(())
    }

    /// Deletion receipts go on the chain once the device has no leaf there; one of the family is enough.
    pub(crate) fn plan_witnesses(&mut self) {
        let Ok(me) = self.me().map(|m| m.person) else { return };
        let rows: Vec<(Vec<u8>, stafett_protocol::consent::DeletionWitness)> = self
            .table
            .scan(Space::Mail, b"deletion/")
            .filter_map(|(key, value)| Some((key.to_vec(), decode(value).ok()?)))
            .collect();
        for (key, witness) in rows {
            let Ok(receipt) = witness.receipt.peek() else { continue };
            let Some(s) = self.scopes.get(&receipt.scope).filter(|s| s.standing == Standing::Member) else { continue };
            let state = s.replica.state();
            let first = state.authority().persons().next().map(|p| p.person) == Some(me);
            let gone = !state.membership.devices().any(|d| *d == witness.device_key);
            let done = [b"witnessed/".as_slice(), &key].concat();
            if first && gone && self.table.read(Space::State, &done).is_none() {
                self.table.write(Space::State, &done, vec![]);
                self.queue_statement(receipt.scope, Statement::Deletion(witness));
            }
        }
    }
}
