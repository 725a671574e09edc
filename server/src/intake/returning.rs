//! What this home has signed and lost comes back: records behind its own receipt, appended byte for byte under it. The
//! signature is the permission; the same rule as ever says what the records make of the scope.

use std::collections::{BTreeMap, BTreeSet};

use stafett_protocol::event::{Body, Event, Position, Receipt, Record};
use stafett_protocol::ids::ScopeId;
use stafett_protocol::policy::Context;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::replica;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::ScopeState;
use stafett_protocol::wire::Records;

use super::judging::Judging;
use super::places::Places;
use super::written::Written;
use super::{Intake, Outcome, Shared};
use crate::db::{Conn, StoreError};
use crate::problem::Fault;
use crate::restored;
use crate::store::accounts::Device;
use crate::store::chain::{self, HomeStanding};
use crate::store::readers;
use crate::store::transfers;

impl Intake {
    /// A device shows a receipt of ours, and perhaps the records up to it. If it goes beyond what is here, nothing is
    /// signed from now on, and the answer says where the scope stands; `None` where nothing is missing.
    pub async fn give_back(&self, by: &Device, returned: Records) -> Result<Option<Option<Position>>, Fault> {
        let scope = returned.scope;
        let receipt = returned.receipt.verify(&self.shared.municipality.public()).map_err(|_| Fault::Inconsistent)?;
        if receipt.scope != scope {
            return Err(Fault::Inconsistent);
        }
        let here = chain::position(&mut self.db.reader().await?, scope).await?;
        let stands = here.unwrap_or_default();
        let other_history = stands.seq == receipt.position.seq && stands.head != receipt.position.head;
        if receipt.position.seq <= stands.seq && !other_history {
            return Ok(None);
        }
        let news = self
            .db
            .write::<bool, StoreError, _>(move |conn: &mut Conn| {
                Box::pin(async move { restored::shown_more(conn, receipt.time, other_history).await })
            })
            .await?;
        if news {
            tracing::error!(
                "a device has shown a receipt of this server beyond what is here; nothing is signed until `open`"
            );
        }
        if returned.records.is_empty() || other_history {
            return Ok(Some(here));
        }
        let (shared, by) = (std::sync::Arc::clone(&self.shared), by.clone());
        let (records, signed) = (returned.records, returned.receipt);
        let outcome = self
            .db
            .write::<Outcome, Fault, _>(move |conn: &mut Conn| {
                Box::pin(async move { run(conn, &shared, &by, records, &receipt, signed).await })
            })
            .await;
        if matches!(outcome, Err(Fault::Refused(Refusal::ChainBroken, _))) {
            self.note_two_histories().await?;
        }
        let outcome = outcome?;
        self.announce(outcome);
        Ok(Some(Some(receipt.position)))
    }

    /// What a device has does not continue what is here: this server has signed both.
    async fn note_two_histories(&self) -> Result<(), StoreError> {
        tracing::error!("this server has signed two histories of a scope; the others are served");
        self.db
            .write::<(), StoreError, _>(|conn: &mut Conn| {
                Box::pin(async move { restored::note_two_histories(conn).await })
            })
            .await
    }
}

async fn run(
    conn: &mut Conn,
    shared: &Shared,
    by: &Device,
    records: Vec<Record>,
    receipt: &Receipt,
    signed: Signed<Receipt>,
) -> Result<Outcome, Fault> {
    let scope = receipt.scope;
    let events = records.iter().map(|record| record.event.peek()).collect::<Result<Vec<Event>, _>>()?;
    let mut scopes = BTreeSet::from([scope]);
    for event in &events {
        if let Body::Genesis(genesis) = &event.body {
            scopes.extend(genesis.card);
        }
    }
    let mut places = Places::lock(conn, &shared.hot, scopes, &BTreeSet::from([scope]), &BTreeSet::new()).await?;
    let result = async {
        let stands = places.state(scope).map(|state| state.position).unwrap_or_default();
        check_chain(stands, &records, receipt)?;
        let mut judging = Judging::new(conn, shared, by, &mut places);
        judging.check_unbound(scope).await?;
        let last = records.len().saturating_sub(1);
        for (at, (record, event)) in records.into_iter().zip(events).enumerate() {
            judging.again(event, record, (at == last).then(|| signed.clone())).await?;
        }
        judging.store().await?;
        judging.stands(receipt).await?;
        judging.finish().await
    }
    .await;
    places.give_back(&shared.hot, result.is_ok());
    result
}

/// The records go on where this home stands, and end where its receipt says.
fn check_chain(stands: Position, records: &[Record], receipt: &Receipt) -> Result<(), Refusal> {
    let mut at = stands;
    for record in records {
        if Some(record.seq) != at.seq.checked_add(1) {
            return Err(Refusal::ChainBroken);
        }
        at = Position { seq: record.seq, head: record.head_after(&at.head) };
    }
    if at == receipt.position { Ok(()) } else { Err(Refusal::ChainBroken) }
}

impl Judging<'_> {
    /// A scope that waits for its old home's word goes on with that word, not past it.
    async fn check_unbound(&mut self, scope: ScopeId) -> Result<(), Fault> {
        let fetched = self.places.standing(scope) == Some(HomeStanding::Fetched);
        if fetched && transfers::is_bound(self.conn, scope).await? { Err(Refusal::NotActivated.into()) } else { Ok(()) }
    }

    /// Appends a record that stood here before, judged as of its own time and home.
    async fn again(&mut self, event: Event, record: Record, receipt: Option<Signed<Receipt>>) -> Result<(), Fault> {
        let (scope, seq) = (event.scope, record.seq);
        self.now = record.time;
        let before = self.places.state(scope).map(|state| readers::places(state, self.now));
        let changes = match self.places.replica(scope) {
            Some(replica) => {
                let judged = replica.judge(record.clone(), &self.then(replica.state(), &event))?;
                let changes = judged.changes_facts();
                let place = self.places.place(scope)?;
                place.touched = true;
                place.replica.as_mut().ok_or(Refusal::UnknownScope)?.apply(judged)?;
                changes
            }
            None => self.found_again(scope, &record, &event.body).await?,
        };
        self.keep_returned(&event).await?;
        self.places.place(scope)?.snapshot |= changes;
        if changes {
            self.facts_changed(scope, seq, &before.unwrap_or_default(), None).await?;
        }
        self.written.push(Written { scope, device: event.device, counter: event.counter, record, receipt });
        Ok(())
    }

    /// What was so when a record was received.
    fn then<'c>(&'c self, state: &ScopeState, event: &Event) -> Context<'c> {
        let card = state.card_beside(event).and_then(|card| self.places.state(card));
        Context { now: self.now, home: state.membership.home, trusted: &self.known.trusted, card }
    }

    async fn found_again(&mut self, scope: ScopeId, record: &Record, body: &Body) -> Result<bool, Fault> {
        let Body::Genesis(genesis) = body else { return Err(Refusal::UnknownScope.into()) };
        // Who reads a journal or concern hangs on its card: that comes back first.
        if genesis.card.is_some_and(|card| card != scope && self.places.state(card).is_none()) {
            return Err(Refusal::UnknownScope.into());
        }
        let home = replica::first_home(record)?;
        let context = Context { now: record.time, home, trusted: &self.known.trusted, card: None };
        let (replica, _) = replica::found(record.clone(), &context)?;
        if !chain::create(self.conn, replica.state(), HomeStanding::Home, 0).await? {
            return Err(Refusal::ScopeExists.into());
        }
        let place = self.places.place(scope)?;
        place.touched = true;
        place.replica = Some(replica);
        Ok(true)
    }

    /// The receipt is this home's for exactly where the scope stands now; and the scope may have come here, or gone,
    /// with what was brought back.
    async fn stands(&mut self, receipt: &Receipt) -> Result<(), Fault> {
        let own = self.shared.municipality.number;
        let replica = self.places.replica(receipt.scope).ok_or(Refusal::UnknownScope)?;
        if (replica.receipt(), replica.signer()) != (*receipt, own) {
            return Err(Refusal::ChainBroken.into());
        }
        let state = replica.state();
        let standing = if state.membership.home == own { HomeStanding::Home } else { HomeStanding::Moved };
        if self.places.standing(receipt.scope) == Some(standing) {
            return Ok(());
        }
        if standing == HomeStanding::Home {
            let readers = readers::places(state, receipt.time);
            readers::forget(self.conn, receipt.scope).await?;
            readers::save(self.conn, state, receipt.position.seq, &BTreeMap::new(), &readers).await?;
        }
        chain::set_standing(self.conn, receipt.scope, standing).await?;
        Ok(())
    }
}
