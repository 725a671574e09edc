//! Scopes that this device is about to found: written and readable here at once, sent when the family has
//! signed (B1) and the net is there. Nothing of them leaves the device before.

use crate::client::input::Problem;
use crate::client::scope::Standing;
use crate::client::scope::group;
use crate::client::{Client, Me};
use crate::document::{Document, Editor, Reason};
use crate::keychain::KeyChain;
use crate::rows::{Space, Table};
use stafett_protocol::POLICY_VERSION;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::consent::{Access, SignedGrant, Voucher};
use stafett_protocol::event::{Body, Event, Position};
use stafett_protocol::ids::{Hash, LogId, Millis, Municipality, PersonId, ScopeId};
use stafett_protocol::membership::{ConsentAuthority, Member, Membership, Role, ScopeKind};
use stafett_protocol::policy::{Action, allows, can};
use stafett_protocol::refusal::Refusal;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::{GrantStanding, ScopeState, Status};
use stafett_protocol::wire::{Bundle, Envelope};

/// A scope before its genesis.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct Plan {
    pub scope: ScopeId,
    pub kind: ScopeKind,
    pub log: LogId,
    /// In the card's plan only.
    pub log_salt: Option<[u8; 16]>,
    /// The card, for journal and concerns.
    pub card: Option<ScopeId>,
    pub authority: ConsentAuthority,
    /// The `hold` grant under which the founder holds; for a concern the card's.
    pub basis: Hash,
    /// The `custody` grant for the leader, asked for together with it.
    pub custody: Option<Hash>,
    /// Signatures that have come.
    pub grants: Vec<SignedGrant>,
}

/// A planned scope with its document.
#[derive(Debug)]
pub(crate) struct Founding {
    pub plan: Plan,
    pub document: Document,
}

fn key(scope: ScopeId) -> Vec<u8> {
    [b"founding/".as_slice(), &scope.0].concat()
}

impl Founding {
    pub fn load_all(table: &Table) -> Result<Vec<Self>, Problem> {
        table
            .scan(Space::State, b"founding/")
            .map(|(_, value)| {
                let plan: Plan = decode(value).map_err(|e| Problem::data("damaged", e.to_string()))?;
                let (document, _) = crate::client::scope::load_or_salvage(table, plan.scope, plan.kind)?;
                Ok(Self { plan, document })
            })
            .collect()
    }

    /// Back to the document as its rows have it.
    pub fn reload_document(&mut self, table: &Table) {
        if let Ok((document, _)) = crate::client::scope::load_or_salvage(table, self.plan.scope, self.plan.kind) {
            self.document = document;
        }
    }

    /// A scope of a log that exists is founded where the log is.
    fn membership(&self, me: &Me, card: Option<&Membership>) -> Result<Membership, Problem> {
        let holder = Member {
            person: me.person,
            person_key: me.person_public()?,
            role: Role::Holder,
            devices: vec![me.device_public()],
            basis: self.plan.basis,
        };
        Ok(Membership {
            scope: self.plan.scope,
            kind: self.plan.kind,
            log: self.plan.log,
            generation: 1,
            home: card.map_or_else(|| me.number(), |c| c.home),
            home_epoch: card.map_or(1, |c| c.home_epoch),
            policy_version: POLICY_VERSION,
            authority: self.plan.authority.clone(),
            members: vec![holder],
        })
    }
}

/// Whether the consent to hold has come to its end, and nothing else has happened.
fn has_run_out(state: &ScopeState, now: Millis) -> bool {
    let basis = state.holder().and_then(|holder| state.grant(&holder.basis));
    state.status == Status::Active && basis.is_some_and(|fact| fact.standing(now) == GrantStanding::Expired)
}

/// Whether a person who is not back yet after a re-founding will be able to write.
fn may_write_again(state: &ScopeState, person: PersonId, now: Millis) -> bool {
    let youth = state.authority().youth_decides(now);
    let back = state.readmit.iter().find(|m| m.person == person);
    back.is_some_and(|m| allows(m.role, Action::Change, state.status_at(now), youth).is_ok())
}

impl Client {
    pub(crate) fn plan_scope(&mut self, plan: Plan) -> Result<(), Problem> {
        let document = Document::new(plan.kind).map_err(|e| Problem::data("document", e.to_string()))?;
        self.table.write(Space::State, &key(plan.scope), encode(&plan));
        self.foundings.insert(plan.scope, Founding { plan, document });
        Ok(())
    }

    pub(crate) fn save_founding(&mut self, scope: ScopeId) -> Result<(), Problem> {
        let Some(founding) = self.foundings.get_mut(&scope) else {
            return Ok(());
        };
        self.table.write(Space::State, &key(scope), encode(&founding.plan));
        founding.document.save(&mut self.table, &scope.0).map_err(|e| Problem::data("document", e.to_string()))
    }

    pub(crate) fn forget_founding(&mut self, scope: ScopeId) {
        self.table.delete(Space::State, &key(scope));
        Document::delete_rows(&mut self.table, &scope.0);
        self.foundings.remove(&scope);
    }

    /// Edits a document that this device has: a scope's, or one that waits to be founded. The change is
    /// saved with it and sent when it can be.
    pub(crate) fn edit<T>(
        &mut self,
        scope: ScopeId,
        edit: impl FnOnce(&mut automerge::transaction::Transaction<'_>) -> Result<T, automerge::AutomergeError>,
    ) -> Result<T, Problem> {
        let fresh = self.random();
        let (me, now) = (self.me()?, self.home_now());
        let (person, device) = (me.person, me.device());
        let (document, role) = match (self.scopes.get_mut(&scope), self.foundings.get_mut(&scope)) {
            (Some(s), _) if s.stopped => return Err(crate::client::scope::open::standing_still()),
            (Some(s), _) => {
                let state = s.replica.state();
                let comes_back = state.membership.member(person).is_none() && s.standing == Standing::Joining;
                match can(state, person, Action::Change, now) {
                    // Access may return, and until the home says otherwise the edit waits.
                    Ok(()) => {}
                    Err(_) if comes_back && may_write_again(state, person, now) => {}
                    // It was in use, and would be: its time is over, which is another matter than a closing.
                    Err(Refusal::NotActive) if has_run_out(state, now) => {
                        return Err(Problem::rule("consent-expired", "the consent to hold this log has run out"));
                    }
                    Err(refusal) => return Err(refusal.into()),
                }
                let role = state.present().find(|m| m.person == person).map(|m| m.role);
                (
                    &mut s.document,
                    role.ok_or_else(|| Problem::rule("not-a-member", "you are not in this part of the log"))?,
                )
            }
            (None, Some(founding)) => (&mut founding.document, Role::Holder),
            (None, None) => {
                return Err(Problem::caller("unknown-id", "there is no such part of a log here"));
            }
        };
        let editor = Editor { person, device, role, now_ms: now, fresh };
        let (value, _) = document.edit(&editor, edit).map_err(|e| match e {
            crate::document::EditError::Refused(Reason::Room) => Problem::rule(
                "document-full",
                "you have written as much here as one person may; a new concern has room for more",
            ),
            crate::document::EditError::Refused(reason) => Problem::rule("content-rule", reason.to_string()),
            crate::document::EditError::Nothing => Problem::rule("unchanged", "it stands like that already"),
            other => Problem::data("document", other.to_string()),
        })?;
        self.edited.insert(scope);
        self.save_founding(scope)?;
        self.save_scope(scope)?;
        Ok(value)
    }

    /// The document of a scope here, founded or not.
    pub(crate) fn document(&self, scope: ScopeId) -> Option<&Document> {
        let founded = self.scopes.get(&scope).map(|s| &s.document);
        founded.or_else(|| self.foundings.get(&scope).map(|f| &f.document))
    }

    /// The next scopes that can be founded now: a log's card and journal together, or one concern.
    fn ready_to_found(&self, home: Municipality) -> Vec<ScopeId> {
        for founding in self.foundings.values().filter(|f| self.home_of(f.plan.scope) == home) {
            match founding.plan.kind {
                ScopeKind::Card => {
                    let both: Vec<&Founding> = self
                        .foundings
                        .values()
                        .filter(|f| f.plan.log == founding.plan.log && f.plan.kind != ScopeKind::Concern)
                        .collect();
                    if both.iter().all(|f| self.quorum_signed(&f.plan)) {
                        let mut scopes: Vec<(ScopeKind, ScopeId)> =
                            both.iter().map(|f| (f.plan.kind, f.plan.scope)).collect();
                        scopes.sort_unstable();
                        return scopes.into_iter().map(|(_, scope)| scope).collect();
                    }
                }
                // Of a log that has come from another municipality.
                ScopeKind::Journal if self.stands_alone(&founding.plan) => return vec![founding.plan.scope],
                ScopeKind::Concern => {
                    let card = founding.plan.card.and_then(|card| self.scopes.get(&card));
                    if card.is_some_and(|c| !self.stream.unplanned.contains(&c.id()))
                        && !self.stream.unplanned.contains(&founding.plan.scope)
                    {
                        return vec![founding.plan.scope];
                    }
                }
                _ => {}
            }
        }
        vec![]
    }

    fn stands_alone(&self, journal: &Plan) -> bool {
        journal.card.is_some_and(|card| self.scopes.contains_key(&card)) && self.quorum_signed(journal)
    }

    fn quorum_signed(&self, plan: &Plan) -> bool {
        let signers: Vec<_> = plan.grants.iter().filter(|g| g.grant.id() == plan.basis).map(|g| g.signer).collect();
        plan.authority.quorum_met(&signers, self.home_now()) && !self.stream.unplanned.contains(&plan.scope)
    }

    /// Founds what can be founded, in one bundle. Answers whether one is under way now.
    pub(crate) fn found_ready(&mut self, home: Municipality) -> Result<bool, Problem> {
        let scopes = self.ready_to_found(home);
        let mut envelopes = vec![];
        for scope in &scopes {
            match self.genesis(*scope) {
                Ok(envelope) => envelopes.push(envelope),
                Err(problem) => {
                    self.stream.unplanned.extend(&scopes);
                    return Err(problem);
                }
            }
        }
        if envelopes.is_empty() {
            return Ok(false);
        }
        self.submit_bundle(Bundle { envelopes, letters: vec![] }, scopes);
        Ok(true)
    }

    fn genesis(&mut self, scope: ScopeId) -> Result<Envelope, Problem> {
        let me = self.me()?;
        let founding =
            self.foundings.get(&scope).ok_or_else(|| Problem::data("founding", "nothing is planned there"))?;
        let card = founding.plan.card.and_then(|card| self.scopes.get(&card)).map(|c| &c.replica.state().membership);
        let (plan, membership) = (founding.plan.clone(), founding.membership(me, card)?);
        let grants = match plan.kind {
            ScopeKind::Concern => self.card_grants(&plan),
            _ => plan.grants.clone(),
        };
        let vouchers = me.employee.iter().map(|e| Voucher { employee: e.clone(), assignment: None }).collect();
        let mut keys = KeyChain::new(scope, 1);
        let founding =
            group::Beginning { membership: &membership, log_salt: plan.log_salt, card: plan.card, grants, vouchers };
        let genesis = group::found(&self.provider, me, founding, &mut keys)?;
        let event = Event {
            scope,
            generation: 1,
            epoch: 0,
            device: me.device(),
            counter: 1,
            seen: Position::default(),
            body: Body::Genesis(genesis),
        };
        let event = Signed::sign(&event, &me.device_key());
        keys.save(&mut self.table);
        Ok(Envelope { event, welcome: None })
    }

    /// Copies of the card's `hold` grant and of its `custody` grants in force, with every signature, for a
    /// concern's genesis.
    fn card_grants(&self, plan: &Plan) -> Vec<SignedGrant> {
        let card = plan.card.and_then(|card| self.scopes.get(&card)).map(|s| s.replica.state());
        let in_force = card.into_iter().flat_map(|state| state.grants_in_force(self.home_now()));
        let custody = in_force.filter(|f| f.grant.access == Access::Custody).map(|f| f.id);
        std::iter::once(plan.basis).chain(custody).flat_map(|id| self.kept_signatures(id, &plan.authority)).collect()
    }

    /// Every signature of a grant that this device has kept and that holds under the authority.
    fn kept_signatures(&self, grant: Hash, authority: &ConsentAuthority) -> Vec<SignedGrant> {
        self.table
            .scan(Space::State, &[b"grant/".as_slice(), &grant.0].concat())
            .filter_map(|(_, value)| decode::<SignedGrant>(value).ok())
            .filter(|g| authority.key(g.signer).is_some_and(|key| g.grant.verify(key).is_ok()))
            .collect()
    }

    /// Keeps a signature of a grant where [`Client::card_grants`] finds it.
    pub(crate) fn keep_grant(&mut self, signed: &SignedGrant) {
        let key = [b"grant/".as_slice(), &signed.grant.id().0, &signed.signer.0].concat();
        self.table.write(Space::State, &key, encode(signed));
    }

    /// Keys and document of a scope whose genesis this device has made and the home has now confirmed.
    pub(crate) fn founded_here(&mut self, scope: ScopeId) -> Option<(KeyChain, Document)> {
        let founding = self.foundings.remove(&scope)?;
        self.table.delete(Space::State, &key(scope));
        Some((KeyChain::load(&self.table, scope, 1), founding.document))
    }
}
