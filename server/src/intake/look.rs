//! Scopes in a transaction without a new event: what transfers ask of them, and note beside them.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use stafett_protocol::event::Receipt;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::policy::Context;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::replica::Replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::transfer::HomeAccept;

use super::places::Places;
use super::{Intake, Shared};
use crate::db::Conn;
use crate::federation::peers::Known;
use crate::municipality::Municipality;
use crate::problem::Fault;
use crate::signing;
use crate::store::chain::HomeStanding;

/// Locked scopes and their cards.
pub struct Look<'a> {
    pub conn: &'a mut Conn,
    pub now: u64,
    shared: &'a Shared,
    known: Arc<Known>,
    places: &'a mut Places,
}

impl Intake {
    /// Runs `work` on scopes that nobody changes meanwhile; all of what it writes stands, or nothing. Not while nothing
    /// may be signed: what transfers are told here is signed, or leads to it.
    pub async fn look<T, F>(&self, scopes: BTreeSet<ScopeId>, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: for<'l, 'c> FnOnce(&'l mut Look<'c>) -> BoxFuture<'l, Result<T, Fault>> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        self.db
            .write::<T, Fault, _>(move |conn: &mut Conn| {
                Box::pin(async move {
                    let mut places = Places::lock(conn, &shared.hot, scopes.clone(), &scopes, &BTreeSet::new()).await?;
                    let known = shared.peers.known();
                    let result = match signing::time(conn, &shared.clock).await {
                        Ok(now) => {
                            let now = now.max(places.newest_time());
                            work(&mut Look { conn, now, shared: &shared, known, places: &mut places }).await
                        }
                        Err(fault) => Err(fault),
                    };
                    places.give_back(&shared.hot, result.is_ok());
                    result
                })
            })
            .await
    }
}

impl Look<'_> {
    pub fn municipality(&self) -> &Municipality {
        &self.shared.municipality
    }

    /// A scope that this server has records of.
    pub fn known(&self, scope: ScopeId) -> Result<&ScopeState, Fault> {
        self.places.state(scope).ok_or_else(|| Refusal::UnknownScope.into())
    }

    /// A scope whose home this is.
    pub fn at_home(&self, scope: ScopeId) -> Result<&ScopeState, Fault> {
        let refusal = match self.places.standing(scope) {
            Some(HomeStanding::Home) => return self.known(scope),
            Some(HomeStanding::Moved) => Refusal::Moved,
            _ => Refusal::UnknownScope,
        };
        Err(refusal.into())
    }

    pub fn states(&self) -> impl Iterator<Item = &ScopeState> {
        self.places.states()
    }

    /// What this home signs for the scope's present position.
    pub fn receipt(&self, scope: ScopeId) -> Result<Receipt, Fault> {
        let replica = self.places.replica(scope);
        replica.map(Replica::receipt).ok_or_else(|| Refusal::UnknownScope.into())
    }

    /// Until when the scope takes no changes.
    pub fn held_until(&self, scope: ScopeId) -> u64 {
        self.places.held_until(scope)
    }

    /// What the rules are asked with about this scope, now and here.
    pub fn context<'c>(&'c self, state: &ScopeState) -> Context<'c> {
        let card = state.card.filter(|card| *card != state.scope());
        Context {
            now: self.now,
            home: self.shared.municipality.number,
            trusted: &self.known.trusted,
            card: card.and_then(|card| self.places.state(card)),
        }
    }

    /// An acceptance by the municipality that it makes the home.
    pub fn verify_accept(&self, signed: &Signed<HomeAccept>) -> Result<HomeAccept, Fault> {
        let to = signed.peek()?.to;
        let key = self.known.trusted.key(to).ok_or(Refusal::NotIdentified)?;
        Ok(signed.verify(key).map_err(|_| Refusal::BadSignature)?)
    }
}
