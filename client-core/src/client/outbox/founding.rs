//! Scopes that this device is about to found: written and readable here at once, sent when the family has
//! signed (B1) and the net is there. Nothing of them leaves the device before.

use crate::client::Client;
use crate::client::input::{Cause, Problem};
use crate::client::scope::group;
use crate::client::scope::planned::{Founding, Plan};
use crate::keychain::KeyChain;
use crate::rows::Space;
use stafett_protocol::codec::decode;
use stafett_protocol::consent::{Access, SignedGrant, Voucher};
use stafett_protocol::event::{Body, Event, Position};
use stafett_protocol::ids::{Hash, Municipality, ScopeId};
use stafett_protocol::membership::{ConsentAuthority, ScopeKind};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{Bundle, Envelope};

impl Client {
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
                    if card.is_some_and(|c| !self.following.unplanned.contains(&c.id()))
                        && !self.following.unplanned.contains(&founding.plan.scope)
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
        plan.authority.quorum_met(&signers, self.home_now()) && !self.following.unplanned.contains(&plan.scope)
    }

    /// Founds what can be founded, in one bundle. Answers whether one is under way now.
    pub(crate) fn found_ready(&mut self, home: Municipality) -> Result<bool, Problem> {
        let scopes = self.ready_to_found(home);
        let mut envelopes = vec![];
        for scope in &scopes {
            match self.genesis(*scope) {
                Ok(envelope) => envelopes.push(envelope),
                Err(problem) => {
                    self.following.unplanned.extend(&scopes);
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
            self.foundings.get(&scope).ok_or_else(|| Problem::data(Cause::Founding, "nothing is planned there"))?;
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
}
