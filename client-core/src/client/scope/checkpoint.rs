//! Checkpoints as a client writes and reads them (`docs/protocol.md` 14): written by whoever may found a scope
//! anew, when much has happened and nothing else is under way; read to show at once what the events behind
//! would take long to show. What was read so is marked until [`crate::client::scope::rebuild`] has read those events.

use crate::client::Client;
use crate::client::input::{Cause, News, Problem};
use crate::client::scope::open::{ContentWork, standing_still};
use crate::client::scope::resync::info_key;
use crate::client::scope::{Scope, Standing, group};
use crate::client::stream::Sent;
use crate::document::{CheckpointError, Document, Editor};
use crate::rows::Space;
use crate::seal;
use stafett_protocol::checkpoint::{
    Checkpoint, CheckpointFacts, CheckpointHead, CheckpointPart, facts_hash, part_hash,
};
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::ids::{Hash, Millis, ScopeId, hash};
use stafett_protocol::limits::{CHECKPOINT_BYTES, CHECKPOINT_CHANGES, CHECKPOINT_PART_BYTES};
use stafett_protocol::membership::Role;
use stafett_protocol::policy::{Action, allows};
use stafett_protocol::signed::Signed;
use stafett_protocol::state::{ScopeState, Status};
use stafett_protocol::wire::Request;

/// What a scope here stands on that was not read from its events.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct Claim {
    /// Absent where the document is to be read anew for another reason.
    pub head: Option<Signed<CheckpointHead>>,
    pub state: Hash,
    pub document: Hash,
}

/// A checkpoint on its way in.
#[derive(Debug)]
pub(crate) struct Incoming {
    signed: Signed<CheckpointHead>,
    head: CheckpointHead,
    facts: CheckpointFacts,
    state: ScopeState,
    sealed: Vec<u8>,
    parts: usize,
}

pub(crate) fn state_hash(state: &ScopeState) -> Hash {
    hash("claimed state", &[&encode(state)])
}

fn refused(why: impl core::fmt::Display) -> Problem {
    Problem::rule(Cause::CheckpointRefused, why.to_string())
}

fn damaged(e: &CheckpointError) -> Problem {
    refused(e)
}

/// How many changes this device had taken in when it last knew of a checkpoint.
fn written_key(scope: ScopeId) -> Vec<u8> {
    [b"checkpoint/".as_slice(), &scope.0].concat()
}

/// Whose checkpoints are used: who could found the scope anew, or one's own person.
fn counts(state: &ScopeState, head: &CheckpointHead, me: stafett_protocol::ids::PersonId, now: Millis) -> bool {
    let youth = state.authority().youth_decides(now);
    let author = state.membership.member_of_device(head.device());
    author.is_some_and(|m| m.person == me || allows(m.role, Action::Refound, Status::Active, youth).is_ok())
}

impl Client {
    pub(crate) fn plan_checkpoint(&mut self) -> Result<(), Problem> {
        if self.stream.under_way().any(|s| *s != Sent::Acknowledged) {
            return Ok(());
        }
        let me = self.me()?.person;
        let due = self.scopes.iter().find(|(id, s)| {
            let state = s.replica.state();
            let written = self.table.read(Space::State, &written_key(**id)).and_then(|b| b.try_into().ok());
            let written = written.map_or(0, u64::from_be_bytes);
            // The larger the document, the rarer: all checkpoints together cost little more than the last.
            let due = CHECKPOINT_CHANGES.max(written / 4);
            // One is enough: the family writes where the holder has not.
            let patience = match state.membership.member(me).map(|m| m.role) {
                Some(Role::Holder | Role::Leader | Role::Own) => 1,
                Some(Role::Guardian | Role::Child) => 4,
                _ => return false,
            };
            let runs = !s.stopped && !self.following.still.contains(&(**id, ContentWork::Condensed));
            let idle = runs && s.standing == Standing::Member && s.unaudited.is_none() && s.unopened.is_empty();
            idle && s.changes.saturating_sub(written) > patience * due
                && s.document.pending().len() == 0
                && !self.following.blocked.contains(id)
                && !self.following.unplanned.contains(id)
        });
        let Some(scope) = due.map(|(id, _)| *id) else { return Ok(()) };
        if let Err(problem) = self.write_checkpoint(scope) {
            self.following.still.insert((scope, ContentWork::Condensed));
            return Err(problem);
        }
        Ok(())
    }

    fn write_checkpoint(&mut self, scope: ScopeId) -> Result<(), Problem> {
        let salt: [u8; 32] = self.random();
        let (author, device_key) = (self.me()?.device_public(), self.me()?.device_key());
        let Some(info) = self.table.read(Space::State, &info_key(scope)).map(<[u8]>::to_vec) else { return Ok(()) };
        let s = self.scopes.get(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        let state = s.replica.state();
        let tree = tls_codec::Serialize::tls_serialize_detached(&s.replica.tree()).map_err(group::mls_problem)?;
        let facts =
            encode(&CheckpointFacts { state: encode(state).into(), group_info: info.into(), tree: tree.into() });
        let mut head = CheckpointHead {
            scope,
            generation: state.membership.generation,
            epoch: state.epoch,
            position: state.position,
            author,
            salt,
            facts: facts_hash(&facts),
            parts: vec![],
        };
        let key = s.keys.key(state.epoch).ok_or_else(|| group::mls_problem("the present key is missing"))?;
        let plain = s.document.checkpoint().map_err(|e| damaged(&e))?;
        let sealed =
            seal::seal_checkpoint(key, &head, &plain).map_err(|e| Problem::data(Cause::Seal, e.to_string()))?;
        let home = self.home_of(scope);
        for part in sealed.chunks(CHECKPOINT_PART_BYTES) {
            head.parts.push(part_hash(part));
            let part = CheckpointPart { scope, bytes: part.to_vec().into() };
            self.stream.send(home, Request::PutCheckpointPart(part), Sent::Acknowledged);
        }
        let changes = s.changes;
        let checkpoint = Checkpoint { head: Signed::sign(&head, &device_key), facts: facts.into() };
        self.stream.send(home, Request::PutCheckpoint(checkpoint), Sent::Checkpoint(scope, changes));
        Ok(())
    }

    pub(crate) fn checkpoint_stored(&mut self, scope: ScopeId, changes: u64) {
        self.table.write(Space::State, &written_key(scope), changes.to_be_bytes().to_vec());
    }

    /// The home offers a checkpoint: what can be checked without its parts is checked now.
    pub(crate) fn checkpoint_offered(&mut self, checkpoint: &Checkpoint) -> Result<(), Problem> {
        let signed = checkpoint.head.clone();
        let claimed = signed.peek().map_err(Problem::from_malformed)?;
        let scope = claimed.scope;
        let checked = || {
            let head = signed.verify(&claimed.author).map_err(refused)?;
            let facts: CheckpointFacts = decode(checkpoint.facts.as_slice()).map_err(refused)?;
            let state = facts.read_state().map_err(refused)?;
            // Nothing is gathered for scopes that nobody let us into.
            let fits = (self.scopes.contains_key(&scope) || self.welcome(scope).is_some())
                && head.facts == facts_hash(checkpoint.facts.as_slice())
                && (state.scope(), state.position, state.epoch) == (scope, head.position, head.epoch)
                && state.membership.generation == head.generation
                && head.parts.len() <= CHECKPOINT_BYTES / CHECKPOINT_PART_BYTES + 1;
            if !fits || !counts(&state, &head, self.me()?.person, self.home_now()) {
                return Err(refused("it is not one that may be used here"));
            }
            Ok(Incoming { signed: signed.clone(), head, facts, state, sealed: vec![], parts: 0 })
        };
        match checked() {
            Ok(incoming) => {
                self.following.incoming.insert(scope, incoming);
                Ok(())
            }
            Err(problem) => self.without_checkpoint(scope, problem),
        }
    }

    /// The events are the truth: they are asked for as if there were no checkpoint.
    fn without_checkpoint(&mut self, scope: ScopeId, problem: Problem) -> Result<(), Problem> {
        self.following.incoming.remove(&scope);
        self.sync_scope(scope);
        Err(problem)
    }

    pub(crate) fn checkpoint_part(&mut self, part: &CheckpointPart) -> Result<(), Problem> {
        let Some(incoming) = self.following.incoming.get_mut(&part.scope) else { return Ok(()) };
        if incoming.head.parts.get(incoming.parts) != Some(&part_hash(part.bytes.as_slice())) {
            return self.without_checkpoint(part.scope, refused("a part is not the one that was signed"));
        }
        incoming.sealed.extend_from_slice(part.bytes.as_slice());
        incoming.parts += 1;
        if incoming.parts < incoming.head.parts.len() {
            return Ok(());
        }
        let Some(incoming) = self.following.incoming.remove(&part.scope) else { return Ok(()) };
        match self.adopt(incoming) {
            Ok(()) => Ok(()),
            Err(problem) => self.without_checkpoint(part.scope, problem),
        }
    }

    /// Goes on from a checkpoint whose parts are all here. A member's key opens it now, a newcomer's Welcome
    /// brings the key.
    fn adopt(&mut self, incoming: Incoming) -> Result<(), Problem> {
        let (scope, state) = (incoming.head.scope, &incoming.state);
        let claim = Claim { head: Some(incoming.signed.clone()), state: state_hash(state), document: Hash::default() };
        if self.scopes.contains_key(&scope) {
            return self.skip_ahead(incoming, claim);
        }
        let welcomed = self.welcome(scope).is_some_and(|w| w.seq > state.position.seq);
        if !welcomed {
            return Err(refused("nobody let us into that scope"));
        }
        let replica = incoming.facts.replica(state.clone())?;
        self.check_belongs(state, state.time)?;
        let mut s = Scope::new(replica, Standing::Joining)?;
        s.keys.learn_check(state.epoch, state.check.0).map_err(group::mls_problem)?;
        s.unaudited = Some(claim);
        self.table.write(Space::State, &info_key(scope), incoming.facts.group_info.as_slice().to_vec());
        self.scopes.insert(scope, s);
        self.following.sealed.insert(scope, incoming);
        self.save_scope(scope)
    }

    /// A member that was away in one and the same epoch: it has the key, and its own copy of the group.
    fn skip_ahead(&mut self, incoming: Incoming, mut claim: Claim) -> Result<(), Problem> {
        let (scope, state) = (incoming.head.scope, incoming.state.clone());
        let editor = self.editor(scope)?;
        let s = self.scopes.get_mut(&scope).ok_or_else(|| Problem::data(Cause::Scope, "no such scope"))?;
        let own = s.replica.state();
        let same = s.standing == Standing::Member
            && !s.stopped
            && s.unaudited.is_none()
            && s.unopened.is_empty()
            && (own.epoch, &own.membership) == (state.epoch, &state.membership)
            && own.position.seq < state.position.seq;
        if !same {
            return Err(refused("this device is not where it could go on from it"));
        }
        let (document, digest) = opened(s, &incoming)?;
        let new: Vec<News> =
            news_of(scope, &document).filter(|n| s.document.entry(&n.section, &n.entry).is_none()).collect();
        self.news.extend(new);
        claim.document = digest;
        let ahead = s.replica.ahead(state).map_err(Problem::from_malformed)?;
        let Ok(drafts) = s.document.rebase(document, &editor) else {
            s.stop(&self.table);
            return Err(standing_still());
        };
        s.replica = ahead;
        s.unaudited = Some(claim);
        s.facts_changed = true;
        let changes = s.changes;
        self.told.counts.given_up += self.keep_drafts(scope, &drafts, "quarantined");
        self.checkpoint_stored(scope, changes);
        self.save_scope(scope)
    }

    /// The Welcome has brought the key of a checkpoint that this device joined by.
    pub(crate) fn open_checkpoint(&mut self, scope: ScopeId) {
        let Some(incoming) = self.following.sealed.remove(&scope) else { return };
        let (Ok(me), now) = (self.me().map(|m| m.person), self.home_now()) else { return };
        let Some(s) = self.scopes.get_mut(&scope) else { return };
        // Who the author is, the Welcome has now confirmed.
        let result = match counts(s.replica.state(), &incoming.head, me, now) {
            true => opened(s, &incoming),
            false => Err(refused("its author is not one whose checkpoints are used here")),
        };
        match result {
            Ok((document, digest)) => {
                self.news.extend(news_of(scope, &document));
                s.document = document;
                s.unaudited.iter_mut().for_each(|claim| claim.document = digest);
            }
            // Nothing to show until the events have been read.
            Err(problem) => self.report(&problem),
        }
    }

    /// Who edits in a scope on this device.
    pub(crate) fn editor(&mut self, scope: ScopeId) -> Result<Editor, Problem> {
        let fresh = self.random();
        let (me, now_ms) = (self.me()?, self.now);
        let (person, device) = (me.person, me.device());
        let member = self.scopes.get(&scope).and_then(|s| s.replica.state().present().find(|m| m.person == person));
        let role = member.map_or(Role::Reader, |m| m.role);
        Ok(Editor { person, device, role, now_ms, fresh })
    }
}

fn news_of(scope: ScopeId, document: &Document) -> impl Iterator<Item = News> {
    document.entry_names().map(move |(section, entry)| News { scope, section: section.into(), entry: entry.into() })
}

fn opened(s: &Scope, incoming: &Incoming) -> Result<(Document, Hash), Problem> {
    let head = &incoming.head;
    let key = s.keys.key_of(head.generation, head.epoch).ok_or_else(|| refused("its key is not here"))?;
    let plain = seal::open_checkpoint(key, head, &incoming.sealed).map_err(refused)?;
    let document = Document::from_checkpoint(s.kind(), &plain).map_err(|e| damaged(&e))?;
    let digest = Hash(document.digest());
    Ok((document, digest))
}
