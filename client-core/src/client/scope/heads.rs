//! Two histories (`docs/protocol.md` 15): a home that shows different chains to different members is caught
//! with its own two signatures. The heads that authors have seen stand in their events; once a day the newest
//! receipt of each scope goes by letter to its other members, and at once to whoever has seen another head.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::moved::receipt_key;
use crate::client::scope::{Scope, Standing};
use crate::rows::Space;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::event::{Event, Position, Receipt};
use stafett_protocol::ids::{LogId, PersonId, ScopeId};
use stafett_protocol::letter::Content;
use stafett_protocol::limits;
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::signed::Signed;

/// Two receipts of one home that cannot both be true: `theirs` names a head that the chain up to `ours` does
/// not have. With the records between they are proof against the home.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
struct Fork {
    ours: Signed<Receipt>,
    theirs: Signed<Receipt>,
}

/// When members were last told of a scope's head, and of which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
struct Told {
    at: u64,
    seq: u64,
}

pub(crate) fn row_key(kind: &str, scope: ScopeId) -> Vec<u8> {
    [kind.as_bytes(), b"/", &scope.0].concat()
}

/// What a receipt says of the chain that is here.
enum Compared {
    Same,
    Other,
    /// The chain has not come so far, or the head lies too far back to be at hand: `audit verify` compares it.
    Unknown,
}

fn compare(s: &Scope, shown: Position) -> Compared {
    match s.head_at(shown.seq) {
        Some(head) if head == shown.head => Compared::Same,
        Some(_) => Compared::Other,
        None => Compared::Unknown,
    }
}

impl Client {
    /// Whether the home has signed two histories of this scope: nothing is sealed or committed there any more,
    /// while withdrawals still go out.
    pub(crate) fn forked(&self, scope: ScopeId) -> bool {
        self.table.read(Space::State, &row_key("fork", scope)).is_some()
    }

    pub(crate) fn newest_receipt(&self, scope: ScopeId) -> Option<Signed<Receipt>> {
        self.table.read(Space::State, &row_key("receipt", scope)).and_then(|b| decode(b).ok())
    }

    /// An author's event, about to be judged: whoever signed it may have seen another history than ours.
    pub(crate) fn check_author(&mut self, scope: ScopeId, event: &Event) {
        let Some(s) = self.scopes.get(&scope) else { return };
        let author = s.replica.state().membership.member_of_device(event.device).map(|m| m.person);
        let (Compared::Other, Some(author)) = (compare(s, event.seen), author) else { return };
        self.report(&Problem::rule(
            Cause::TwoHistories,
            "a member has seen another history of the log than this device",
        ));
        self.tell(scope, &[author]);
    }

    /// Our newest receipt, to these persons.
    pub(crate) fn tell(&mut self, scope: ScopeId, persons: &[PersonId]) {
        let Some(receipt) = self.newest_receipt(scope) else { return };
        for person in persons {
            let waiting = self
                .queued_rows("l")
                .into_iter()
                .filter_map(|(_, v)| decode::<crate::client::queue::OutLetter>(&v).ok());
            let told = waiting.into_iter().any(|l| l.to == *person && l.content == Content::Seen(receipt.clone()));
            if !told {
                self.write_letter(*person, Content::Seen(receipt.clone()));
            }
        }
    }

    /// Once a day each scope's news, to everyone in it. The first day only counts.
    pub(crate) fn tell_heads(&mut self) -> Result<(), Problem> {
        let now = self.home_now();
        let due: Vec<(ScopeId, Vec<PersonId>)> = self
            .scopes
            .iter()
            .filter(|(_, s)| s.standing == Standing::Member && s.kind() != ScopeKind::Personal)
            .map(|(id, s)| (*id, s.replica.state().membership.members.iter().map(|m| m.person).collect()))
            .collect();
        for (scope, persons) in due {
            let Some(seq) = self.newest_receipt(scope).and_then(|r| r.peek().ok()).map(|r| r.position.seq) else {
                continue;
            };
            let key = row_key("told", scope);
            let told = self.table.read(Space::State, &key).and_then(|b| decode::<Told>(b).ok());
            let known = told.unwrap_or(Told { at: now, seq: 0 });
            let wait = now < known.at.saturating_add(limits::HEAD_LETTER_MILLIS) || seq <= known.seq;
            if wait && told.is_some() {
                continue;
            }
            if !wait {
                self.tell(scope, &persons);
            }
            let told = if wait { known } else { Told { at: now, seq } };
            self.table.write(Space::State, &key, encode(&told));
        }
        Ok(())
    }

    /// A member's letter: what the home has signed for them.
    pub(crate) fn take_seen(&mut self, from: PersonId, signed: &Signed<Receipt>) -> Result<(), Problem> {
        let unverified = signed.peek().map_err(Problem::from_malformed)?;
        let scope = unverified.scope;
        // An earlier home's word is no proof against this one; for a time after the move it is one against itself.
        self.check_after_move(scope, signed)?;
        let Some(s) = self.followed(scope) else { return Ok(()) };
        let membership = &s.replica.state().membership;
        if unverified.home_epoch != membership.home_epoch {
            return Ok(());
        }
        let (trusted, home) = (self.me()?.trusted(), membership.home);
        let key = trusted.key(home).ok_or_else(|| Problem::rule(Cause::BadReceipt, "the home is not known"))?;
        let receipt = signed.verify(key).map_err(|e| Problem::rule(Cause::BadReceipt, e.to_string()))?;
        match compare(s, receipt.position) {
            Compared::Same => {}
            Compared::Other => {
                let fresh = !self.forked(scope);
                self.note_fork(scope, signed);
                if fresh {
                    self.tell(scope, &[from]);
                }
            }
            Compared::Unknown => {
                let key = [row_key("seen", scope).as_slice(), &from.0].concat();
                self.table.write(Space::State, &key, encode(signed));
            }
        }
        Ok(())
    }

    /// A former home's last word (F6): proof against it where it has signed something else for this device.
    pub(crate) fn check_last_word(&mut self, scope: ScopeId, signed: &Signed<Receipt>) {
        let other = |s: &Scope| signed.peek().is_ok_and(|r| matches!(compare(s, r.position), Compared::Other));
        if self.scopes.get(&scope).is_some_and(other) {
            self.note_fork(scope, signed);
        }
    }

    pub(crate) fn note_fork(&mut self, scope: ScopeId, theirs: &Signed<Receipt>) {
        let Some(ours) = self.newest_receipt(scope).filter(|_| !self.forked(scope)) else { return };
        let fork = Fork { ours, theirs: theirs.clone() };
        self.table.write(Space::State, &row_key("fork", scope), encode(&fork));
        let problem = Problem::rule(
            Cause::TwoHistories,
            "the home has signed two histories; both signatures are kept, audit verify names them",
        );
        self.halt(scope, &problem);
    }

    /// People have decided from where it goes on: nothing stops there any more, and the proof stays.
    pub(crate) fn settle_fork(&mut self, scope: ScopeId) {
        if let Some(proof) = self.table.read(Space::State, &row_key("fork", scope)).map(<[u8]>::to_vec) {
            // One for each time that people have gone on.
            let at = self.scopes.get(&scope).map_or(0, |s| s.replica.state().position.seq);
            self.table.write(Space::State, &[row_key("proof", scope).as_slice(), &at.to_be_bytes()].concat(), proof);
        }
        for kind in ["fork", "halted"] {
            self.table.delete(Space::State, &row_key(kind, scope));
        }
        self.table.delete_all(Space::State, &row_key("seen", scope));
        self.following.expected.remove(&scope);
    }

    fn shown(&self, scope: ScopeId) -> Vec<(Vec<u8>, Signed<Receipt>)> {
        self.table
            .scan(Space::State, &row_key("seen", scope))
            .filter_map(|(key, value)| Some((key.to_vec(), decode(value).ok()?)))
            .collect()
    }

    /// The chain has come to where this receipt stands: what others were shown can be compared now.
    pub(crate) fn keep_receipt(&mut self, scope: ScopeId, receipt: &Signed<Receipt>) {
        // What a former home has signed last stays beside it: proof, should it go on signing.
        let before = self.newest_receipt(scope).and_then(|signed| Some((signed.peek().ok()?.home_epoch, signed)));
        let moved = before.filter(|(epoch, _)| receipt.peek().is_ok_and(|r| r.home_epoch != *epoch));
        if let Some((epoch, former)) = moved {
            self.table.write(Space::State, &receipt_key(scope, epoch), encode(&former));
        }
        self.table.write(Space::State, &row_key("receipt", scope), encode(receipt));
        for (key, signed) in self.shown(scope) {
            let Some(s) = self.scopes.get(&scope) else { return };
            let Ok(receipt) = signed.peek() else { continue };
            match compare(s, receipt.position) {
                Compared::Same => self.table.delete(Space::State, &key),
                Compared::Other => {
                    self.note_fork(scope, &signed);
                    self.table.delete(Space::State, &key);
                }
                Compared::Unknown => {}
            }
        }
    }

    /// How far the home has shown the scope to others, as far as we know.
    pub(crate) fn shown_to_others(&self, scope: ScopeId) -> u64 {
        let seqs = self.shown(scope).into_iter().filter_map(|(_, r)| r.peek().ok()).map(|r| r.position.seq);
        seqs.max().unwrap_or(0)
    }

    /// The home stops short of what it has signed for others: they get our own receipt to compare.
    pub(crate) fn withheld(&mut self, scope: ScopeId, upto: u64) {
        self.following.unplanned.insert(scope);
        self.halt(scope, &Problem::rule(Cause::Withheld, "the home keeps back what it has shown to other members"));
        let beyond = |r: &Signed<Receipt>| r.peek().is_ok_and(|r| r.position.seq > upto);
        let shown = self.shown(scope).into_iter().filter(|(_, r)| beyond(r));
        let senders: Vec<PersonId> = shown.filter_map(|(key, _)| key.last_chunk().map(|p| PersonId(*p))).collect();
        self.tell(scope, &senders);
    }

    /// Every receipt of this log that is here: our own, and what others were shown.
    pub(crate) fn receipts(&self, log: LogId) -> Vec<Signed<Receipt>> {
        let mut all = vec![];
        for s in self.audited_scopes(log) {
            let here = s.replica.state().position.seq;
            all.extend(self.newest_receipt(s.id()));
            for kind in ["fork", "proof"] {
                let prefix = row_key(kind, s.id());
                let proofs = self.table.scan(Space::State, &prefix);
                let proofs = proofs.filter_map(|(_, value)| decode::<Fork>(value).ok());
                all.extend(proofs.flat_map(|f| [f.ours, f.theirs]));
            }
            let shown = self.shown(s.id()).into_iter().map(|(_, r)| r);
            all.extend(shown);
            all.retain(|r| r.peek().is_ok_and(|r| r.scope != s.id() || r.position.seq <= here));
        }
        all
    }
}
