//! Each request of the stream and what it takes to answer it.

use std::collections::{BTreeMap, BTreeSet};

use stafett_protocol::ids::{PersonId, ScopeId};
use stafett_protocol::letter::Letter;
use stafett_protocol::limits::{FETCHED_PERSONS, LOOKED_UP_PERSONS, MAILBOX_ITEMS, SYNC_SCOPES};
use stafett_protocol::signed::Signed;
use stafett_protocol::transfer::Transfer;
use stafett_protocol::wire::{Accepted, Bundle, KeyPackageOffer, Reply, Request, ScopePosition};

use tls_codec::Size as _;

use super::{Connection, End, Follow, guest};
use crate::admission::Asker;
use crate::budget::Good;
use crate::budget::table::ANSWER_BYTES;
use crate::db::Conn;
use crate::intake::check_letters;
use crate::offers;
use crate::problem::Fault;
use crate::store::mail::Posted;
use crate::store::{accounts, mail, packages};

/// A request can be refused, or the connection can break while it is answered.
pub(super) enum Failed {
    Fault(Fault),
    End(End),
}

impl<E: Into<Fault>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// At most so many, each once, as they were named: what is named twice is answered once.
pub(super) fn distinct<T, K: Ord>(list: Vec<T>, most: usize, key: impl Fn(&T) -> K) -> Result<Vec<T>, Fault> {
    if list.len() > most {
        return Err(Fault::TooLarge);
    }
    let mut named = BTreeSet::new();
    Ok(list.into_iter().filter(|one| named.insert(key(one))).collect())
}

/// What is put together from many rows is still one message.
fn one_answer(reply: Reply) -> Result<Reply, Fault> {
    if reply.tls_serialized_len() > ANSWER_BYTES { Err(Fault::TooLarge) } else { Ok(reply) }
}

impl Connection {
    /// Answers; some requests have no answer but a refusal.
    pub(super) async fn answer(&mut self, id: u32, request: Request) -> Result<Option<Reply>, Failed> {
        if self.guest_of.is_some() && !guest::may_ask(&request) {
            return Err(Fault::NotAllowed.into());
        }
        if let Request::Relay(frame) = request {
            return self.relay(frame).await.map(|()| None);
        }
        self.reply_to(id, request).await.map(Some)
    }

    async fn reply_to(&mut self, id: u32, request: Request) -> Result<Reply, Failed> {
        Ok(match request {
            Request::Submit(bundle) => self.submit(id, bundle).await?,
            Request::Sync(positions) => self.sync_all(positions).await?,
            Request::PublishKeyPackages(offers) => self.publish(offers).await?,
            Request::FetchKeyPackages(persons) => self.fetch(persons).await?,
            Request::Persons(persons) => self.persons(persons).await?,
            Request::Units => Reply::Units(accounts::units(&mut self.server.db.reader().await?).await?),
            Request::Letters(letters) => self.letters(letters).await?,
            Request::Acknowledge(ids) => self.acknowledge(ids).await?,
            Request::OfferCode(offer) => self.offer_code(&offer).await?,
            Request::CertifyDevice(certified) => self.certify_device(certified).await?,
            Request::CertifyEmployee(certificate) => self.certify_employee(&certificate).await?,
            Request::AddUnit(unit) => self.add_unit(unit).await?,
            Request::RemoveDevice(removal) => self.remove_device(removal).await?,
            Request::Ping => Reply::Done,
            Request::Return(part) => self.returned(part).await?,
            Request::SyncAhead(positions) => self.sync_ahead(positions).await?,
            Request::History(after) => self.history(after).await?,
            Request::PutCheckpointPart(part) => self.put_checkpoint_part(part).await?,
            Request::PutCheckpoint(checkpoint) => self.put_checkpoint(checkpoint).await?,
            Request::PutAttachment(manifest) => self.put_attachment(manifest).await?,
            Request::PutAttachmentPart(part) => self.put_attachment_part(part).await?,
            Request::GetAttachmentPart(place) => self.attachment_part(place).await?,
            // Answered before it comes here.
            Request::Relay(_) => return Err(Fault::NoSuchRoute.into()),
            moving @ (Request::PrepareTransfer(_)
            | Request::CommitTransfer(_)
            | Request::HoldTransfer(_)
            | Request::AbortTransfer(_)
            | Request::Activate(_)
            | Request::Release(_)) => self.transfer(moving).await?,
        })
    }

    async fn submit(&mut self, _id: u32, bundle: Bundle) -> Result<Reply, Failed> {
        self.admit_guests(bundle.envelopes.len() + bundle.letters.len())?;
        self.server.admission.events(self.device.device, bundle.envelopes.len())?;
        self.server.admission.letters(self.device.device, bundle.letters.len())?;
        let taken = self.server.intake.transfer(&self.device, Transfer { bundle, accepts: vec![] }).await?;
        self.owe(taken.copied_bytes);
        let accepted = taken.done.accepted;
        self.follow_own(&accepted);
        Ok(Reply::Submitted(accepted))
    }

    /// Copies that were stored beyond what the request had brought.
    pub(super) fn owe(&self, copied_bytes: u64) {
        self.server.budgets.owe(&self.payers(), &[(Good::Bytes, copied_bytes)]);
    }

    /// The author has its own events already: where nothing lies between, they are not pushed back.
    fn follow_own(&mut self, accepted: &[Accepted]) {
        let mut spans: BTreeMap<ScopeId, (u64, u64)> = BTreeMap::new();
        for one in accepted {
            let span = spans.entry(one.scope).or_insert((one.seq, one.seq));
            *span = (span.0.min(one.seq), span.1.max(one.seq));
        }
        for (scope, (first, last)) in spans {
            match self.follows.get_mut(&scope) {
                Some(follow) if follow.cursor + 1 == first => follow.cursor = last,
                Some(_) => {}
                // A founder follows what it has founded.
                None if first == 1 => {
                    self.server.fanout.follow(scope, &self.listener);
                    self.follows.insert(scope, Follow { cursor: last });
                }
                None => {}
            }
        }
    }

    async fn sync_all(&mut self, positions: Vec<ScopePosition>) -> Result<Reply, Failed> {
        let positions = distinct(positions, SYNC_SCOPES, |position| position.scope)?;
        let mut synced = Vec::with_capacity(positions.len());
        for position in positions {
            synced.push(self.sync(position).await.map_err(Failed::End)?);
        }
        Ok(Reply::Synced(synced))
    }

    async fn publish(&mut self, signed: Vec<Signed<KeyPackageOffer>>) -> Result<Reply, Failed> {
        let trusted = self.server.municipality.trusted();
        let offers =
            offers::check_packages(&signed, self.device.person, &self.device.key, &trusted, self.server.clock.now())?;
        let own = self.device.device;
        self.write(move |conn: &mut Conn| {
            Box::pin(async move {
                packages::lock(conn, own).await?;
                for (offer, signed) in offers.iter().zip(&signed) {
                    packages::add(conn, offer, signed).await?;
                }
                Ok(())
            })
        })
        .await?;
        Ok(Reply::Done)
    }

    async fn fetch(&mut self, persons: Vec<PersonId>) -> Result<Reply, Failed> {
        let mut persons = distinct(persons, FETCHED_PERSONS, |person| *person)?;
        self.admit_guests(persons.len())?;
        // What is too old is deleted with the asking: nothing by a clock that is not believed.
        let now = self.server.clock.believed().unwrap_or(0);
        // Everybody locks in the same order.
        persons.sort_unstable();
        let asker = match &self.guest_of {
            Some(peer) => Asker::Peer(peer.number),
            None => Asker::Person(self.device.person),
        };
        let own = self.device.person;
        let persons: Vec<(PersonId, bool)> = persons
            .into_iter()
            .map(|person| (person, person != own && !self.server.admission.may_use_up(asker, person)))
            .collect();
        let packages = self
            .server
            .db
            .write::<Reply, Fault, _>(move |conn: &mut Conn| {
                Box::pin(async move {
                    let mut found = Vec::new();
                    for (person, enough) in persons {
                        for device in accounts::devices_of(conn, person).await? {
                            found.extend(packages::take(conn, device, now, enough).await?);
                        }
                    }
                    one_answer(Reply::KeyPackages(found))
                })
            })
            .await?;
        Ok(packages)
    }

    async fn persons(&mut self, persons: Vec<PersonId>) -> Result<Reply, Failed> {
        let persons = distinct(persons, LOOKED_UP_PERSONS, |person| *person)?;
        self.admit_guests(persons.len())?;
        let mut conn = self.server.db.reader().await?;
        let mut found = Vec::with_capacity(persons.len());
        for person in persons {
            found.extend(accounts::person_record(&mut conn, person).await?);
        }
        Ok(one_answer(Reply::Persons(found))?)
    }

    async fn letters(&mut self, letters: Vec<Letter>) -> Result<Reply, Failed> {
        check_letters(&letters)?;
        self.admit_guests(letters.len())?;
        self.server.admission.letters(self.device.device, letters.len())?;
        let recipients: Vec<_> = letters.iter().map(|letter| letter.to).collect();
        let (from, now) = (self.device.person, self.server.clock.now());
        self.write(move |conn: &mut Conn| {
            Box::pin(async move {
                let (mut reached, mut full) = (BTreeSet::new(), BTreeSet::new());
                for letter in letters {
                    match mail::post_letter(conn, from, letter, now).await? {
                        (Posted::Waiting, Some(owner)) => drop(reached.insert(owner)),
                        (Posted::Full, Some(owner)) => drop(full.insert(owner)),
                        // A device that is gone looks like one that reads: nobody learns who has left.
                        _ => {}
                    }
                }
                // A device that its owner has long forgotten keeps no letter from the others.
                if full.is_subset(&reached) { Ok(()) } else { Err(Fault::MailboxFull) }
            })
        })
        .await?;
        for device in recipients {
            self.server.fanout.mail(device);
        }
        Ok(Reply::Done)
    }

    async fn acknowledge(&mut self, ids: Vec<u64>) -> Result<Reply, Failed> {
        let ids = distinct(ids, MAILBOX_ITEMS, |id| *id)?;
        for id in &ids {
            self.mailed.remove(id);
        }
        let device = self.device.device;
        self.server
            .db
            .write::<(), Fault, _>(move |conn: &mut Conn| {
                Box::pin(async move { Ok(mail::acknowledge(conn, device, &ids).await?) })
            })
            .await?;
        Ok(Reply::Done)
    }
}
