//! The replicas that a transaction works on. Hot ones are kept in memory between transactions; one is
//! believed only if it stands exactly where its locked row stands, so that a rollback or another
//! process can never leave a wrong one behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use stafett_protocol::ids::ScopeId;
use stafett_protocol::replica::Replica;
use stafett_protocol::state::ScopeState;

use crate::db::{Conn, StoreError};
use crate::store::chain::{self, HomeStanding, Locked};

/// Replicas kept in memory; some 20 kB each.
const HOT: usize = 512;

#[derive(Default)]
pub(crate) struct Hot(Mutex<HashMap<ScopeId, Replica>>);

impl Hot {
    fn take(&self, scope: ScopeId, locked: &Locked) -> Option<Replica> {
        let mut hot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hot.remove(&scope).filter(|r| r.state().position == locked.position)
    }

    fn put(&self, scope: ScopeId, replica: Replica) {
        let mut hot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hot.len() >= HOT
            && let Some(any) = hot.keys().next().copied()
        {
            hot.remove(&any);
        }
        hot.insert(scope, replica);
    }

    /// Cards are fixed by the genesis: a hot replica need not be current to know its own.
    fn card_of(&self, scope: ScopeId) -> Option<Option<ScopeId>> {
        let hot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hot.get(&scope).map(|r| r.state().card)
    }
}

/// One locked scope.
pub(super) struct Place {
    pub replica: Option<Replica>,
    pub standing: HomeStanding,
    /// No changes before this moment.
    pub held_until: u64,
    /// Where the row stood when it was locked; 0 for a scope that does not exist yet.
    pub stored_seq: u64,
    /// Something was applied that is not committed yet.
    pub touched: bool,
    pub snapshot: bool,
}

pub(super) struct Places(BTreeMap<ScopeId, Place>);

impl Places {
    /// Locks these scopes and the cards that they hang on, always in the same order: cards first, for whoever holds a log's
    /// card keeps others from founding in it. `whole`: also all that the logs of these scopes have, read under that lock;
    /// read before it, a concern that is founded meanwhile would be missed.
    pub async fn lock(
        conn: &mut Conn,
        hot: &Hot,
        scopes: BTreeSet<ScopeId>,
        needs_card: &BTreeSet<ScopeId>,
        whole: &BTreeSet<ScopeId>,
    ) -> Result<Self, StoreError> {
        let mut cards = BTreeSet::new();
        // A scope's card is fixed by its genesis: it may be read at any time.
        for scope in scopes.iter().chain(needs_card).chain(whole) {
            let card = match hot.card_of(*scope) {
                Some(card) => card,
                None => chain::card_of(conn, *scope).await?,
            };
            match card {
                // A card itself; or nothing that is there yet.
                None => drop(cards.insert(*scope)),
                Some(card) if card != *scope && (needs_card.contains(scope) || whole.contains(scope)) => {
                    cards.insert(card);
                }
                Some(_) => {}
            }
        }
        let mut places = Self(BTreeMap::new());
        places.take(conn, hot, cards.clone()).await?;
        let mut all: BTreeSet<ScopeId> = scopes.union(needs_card).copied().collect();
        for scope in whole {
            all.extend(chain::siblings(conn, *scope).await?);
        }
        places.take(conn, hot, all.difference(&cards).copied().collect()).await?;
        // Founded while it was waited for, or by nobody when it was asked for: its card is as yet unlocked.
        let late: BTreeSet<ScopeId> = needs_card
            .iter()
            .filter_map(|scope| places.state(*scope)?.card)
            .filter(|card| !places.0.contains_key(card))
            .collect();
        places.take(conn, hot, late).await?;
        Ok(places)
    }

    async fn take(&mut self, conn: &mut Conn, hot: &Hot, scopes: BTreeSet<ScopeId>) -> Result<(), StoreError> {
        for scope in scopes {
            let locked = chain::lock(conn, scope).await?;
            let replica = match &locked {
                None => None,
                Some(locked) => Some(match hot.take(scope, locked) {
                    Some(replica) => replica,
                    None => chain::load(conn, scope, locked).await?,
                }),
            };
            let place = Place {
                replica,
                standing: locked.as_ref().map_or(HomeStanding::Home, |locked| locked.standing),
                held_until: locked.as_ref().map_or(0, |locked| locked.held_until),
                stored_seq: locked.map_or(0, |locked| locked.position.seq),
                touched: false,
                snapshot: false,
            };
            self.0.insert(scope, place);
        }
        Ok(())
    }

    pub fn state(&self, scope: ScopeId) -> Option<&ScopeState> {
        self.replica(scope).map(Replica::state)
    }

    pub fn replica(&self, scope: ScopeId) -> Option<&Replica> {
        self.0.get(&scope)?.replica.as_ref()
    }

    pub fn place(&mut self, scope: ScopeId) -> Result<&mut Place, StoreError> {
        self.0.get_mut(&scope).ok_or(StoreError::Lost)
    }

    pub fn states(&self) -> impl Iterator<Item = &ScopeState> {
        self.0.values().filter_map(|place| place.replica.as_ref().map(Replica::state))
    }

    pub fn standing(&self, scope: ScopeId) -> Option<HomeStanding> {
        self.0.get(&scope).map(|place| place.standing)
    }

    pub fn held_until(&self, scope: ScopeId) -> u64 {
        self.0.get(&scope).map_or(0, |place| place.held_until)
    }

    /// Every scope whose home this is, as it is now.
    pub fn at_home(&self) -> impl Iterator<Item = &ScopeState> {
        let home = self.0.values().filter(|place| place.standing == HomeStanding::Home);
        home.filter_map(|place| place.replica.as_ref().map(Replica::state))
    }

    /// Where the scope stands in the database.
    pub fn stored_seq(&self, scope: ScopeId) -> u64 {
        self.0.get(&scope).map_or(0, |place| place.stored_seq)
    }

    pub fn touched(&self) -> impl Iterator<Item = (&Replica, bool)> {
        self.0
            .values()
            .filter(|place| place.touched)
            .filter_map(|place| place.replica.as_ref().map(|replica| (replica, place.snapshot)))
    }

    /// The newest receipt time of all: no record may be older than the one before it.
    pub fn newest_time(&self) -> u64 {
        self.0
            .values()
            .filter_map(|place| place.replica.as_ref())
            .map(|replica| replica.state().time)
            .max()
            .unwrap_or(0)
    }

    /// Keeps what is still true: everything after success, else what nothing was applied to.
    pub fn give_back(self, hot: &Hot, succeeded: bool) {
        for (scope, place) in self.0 {
            if let Some(replica) = place.replica.filter(|_| succeeded || !place.touched) {
                hot.put(scope, replica);
            }
        }
    }
}
