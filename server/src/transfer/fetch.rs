//! The new home fetches an offered scope page by page and replays every record by the rules, trusting the
//! old home with nothing but the order. Each page is stored as soon as it is replayed: a broken line or a
//! killed server goes on where it stood.

use std::sync::Arc;

use hyper::Method;
use stafett_protocol::codec::encode;
use stafett_protocol::event::{Position, Record};
use stafett_protocol::handover::SignedOffer;
use stafett_protocol::ids::{DeviceId, LogId, Municipality, ScopeId};
use stafett_protocol::limits::FRAME_BYTES;
use stafett_protocol::policy::Context;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::replica::{self, Replica};
use stafett_protocol::state::ScopeState;
use stafett_protocol::transfer::PullRequest;
use stafett_protocol::wire::Records;

use super::{PULL_PATH, answer_of};
use crate::budget::{Good, Payer};
use crate::clock::Clock;
use crate::db::{Conn, StoreError};
use crate::federation::peers::Known;
use crate::problem::Fault;
use crate::server::Server;
use crate::store::chain::{self, Entry, HomeStanding};
use crate::store::transfers;

/// Records of one scope that this server takes over: no log of a child comes near it.
const RECORDS: u64 = 1_000_000;

/// One scope on its way here.
pub struct Fetching {
    pub scope: ScopeId,
    log: LogId,
    pub(super) from: Municipality,
    known: Arc<Known>,
    replica: Option<Replica>,
}

/// What this server has of a scope and may go on with: what it ordered itself while it was the home, or fetched from
/// this one. What another home has shown, and may have made up, keeps nothing away: it is forgotten.
async fn kept(conn: &mut Conn, scope: ScopeId, from: Municipality) -> Result<Option<Replica>, Fault> {
    let Some(locked) = chain::lock(conn, scope).await? else { return Ok(None) };
    if locked.standing == HomeStanding::Home {
        return Err(Refusal::ScopeExists.into());
    }
    let replica = chain::load(conn, scope, &locked).await?;
    if locked.standing == HomeStanding::Moved || replica.state().membership.home == from {
        return Ok(Some(replica));
    }
    if transfers::is_bound(conn, scope).await? {
        return Err(Refusal::Bound.into());
    }
    transfers::forget_fetched(conn, scope).await?;
    Ok(None)
}

impl Fetching {
    /// Goes on where the last fetch stood, from the home that the caller names.
    pub async fn of(server: &Server, scope: ScopeId, log: LogId, from: Municipality) -> Result<Self, Fault> {
        let replica = server
            .db
            .write::<_, Fault, _>(move |conn: &mut Conn| Box::pin(async move { kept(conn, scope, from).await }))
            .await?;
        Ok(Self { scope, log, from, known: server.federation.peers.known(), replica })
    }

    pub fn position(&self) -> Position {
        self.replica.as_ref().map(|replica| replica.state().position).unwrap_or_default()
    }

    /// The replayed scope.
    pub fn replica(&self) -> Result<&Replica, Fault> {
        self.replica.as_ref().ok_or_else(|| Refusal::UnknownScope.into())
    }

    /// Fetches, replays and stores one page; answers whether the old home has no more. `card`: the log's, as fetched.
    pub async fn page(
        &mut self,
        server: &Server,
        offer: &SignedOffer,
        card: Option<&ScopeState>,
    ) -> Result<bool, Fault> {
        let request = PullRequest { offer: offer.clone(), after: self.position().seq };
        let outgoing = &server.federation.outgoing;
        let answer = outgoing.ask(self.from, Method::POST, PULL_PATH, encode(&request), FRAME_BYTES).await?;
        self.pay(server, answer.len())?;
        let page: Records = answer_of(&answer)?;
        if page.scope != self.scope || self.position().seq.saturating_add(page.records.len() as u64) > RECORDS {
            return Err(Refusal::TooLarge.into());
        }
        let before = self.position();
        let taken = self.replay(&server.clock, &page.records, card)?;
        self.check_receipt(&page)?;
        if page.records.is_empty() {
            return Ok(true);
        }
        self.store(server, before, page, taken).await?;
        Ok(false)
    }

    /// What another home sends fills this disk: its own budget, whoever asks for the log.
    pub(super) fn pay(&self, server: &Server, bytes: usize) -> Result<(), Fault> {
        server.budgets.take(&[Payer::Peer(self.from)], &[(Good::FetchedBytes, bytes as u64)])
    }

    /// Judges as of each record's own time and home. Nothing is kept if one of them does not hold.
    fn replay(
        &mut self,
        clock: &Clock,
        records: &[Record],
        card: Option<&ScopeState>,
    ) -> Result<Vec<(DeviceId, u64)>, Fault> {
        let trusted = &self.known.trusted;
        let mut taken = Vec::with_capacity(records.len());
        for record in records {
            // Receipt time never goes back: with one moment of the far future the log would expire here, for good.
            clock.check_foreign(record.time)?;
            let event = record.event.peek()?;
            taken.push((event.device, event.counter));
            match &mut self.replica {
                Some(replica) => {
                    let state = replica.state();
                    let beside = state.card_beside(&event);
                    let card = card.filter(|card| beside == Some(card.scope()));
                    let home = state.membership.home;
                    let context = Context { now: record.time, home, trusted, card };
                    replica.take(record.clone(), &context)?;
                }
                None => {
                    // A founding was judged by the card as it was; what lets its members in stands in the scope.
                    let home = replica::first_home(record)?;
                    let context = Context { now: record.time, home, trusted, card: None };
                    let (replica, _) = replica::found(record.clone(), &context)?;
                    if (replica.state().scope(), replica.state().log()) != (self.scope, self.log) {
                        return Err(Refusal::WrongScope.into());
                    }
                    self.replica = Some(replica);
                }
            }
        }
        Ok(taken)
    }

    /// The receipt is for exactly what was replayed, by whoever was the home then (F5).
    fn check_receipt(&self, page: &Records) -> Result<(), Fault> {
        let replica = self.replica()?;
        let key = self.known.trusted.key(replica.signer()).ok_or(Refusal::NotIdentified)?;
        Ok(replica.confirms(&page.receipt, key)?)
    }

    async fn store(
        &self,
        server: &Server,
        before: Position,
        page: Records,
        taken: Vec<(DeviceId, u64)>,
    ) -> Result<(), Fault> {
        let replica = self.replica()?;
        let (state, snapshot) = (replica.state().clone(), replica.snapshot());
        server
            .db
            .write::<(), Fault, _>(move |conn: &mut Conn| {
                Box::pin(async move {
                    let scope = state.scope();
                    if before.seq == 0 {
                        chain::create(conn, &state, HomeStanding::Fetched, 0).await?;
                    }
                    let locked = chain::lock(conn, scope).await?.ok_or(StoreError::Lost)?;
                    // Somebody else has fetched meanwhile: this fetch begins anew.
                    if locked.position != before || locked.standing == HomeStanding::Home {
                        return Err(Refusal::Bound.into());
                    }
                    let last = page.records.len().saturating_sub(1);
                    let entries = page.records.iter().zip(&taken).enumerate().map(|(at, (record, taken))| Entry {
                        scope,
                        record,
                        device: taken.0,
                        counter: taken.1,
                        receipt: Some(&page.receipt).filter(|_| at == last),
                    });
                    chain::append(conn, &entries.collect::<Vec<_>>()).await?;
                    Ok(chain::save_fetched(conn, &state, snapshot).await?)
                })
            })
            .await
    }
}
