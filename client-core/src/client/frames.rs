//! What servers say, and to which room it goes. Rooms meet here; no room calls what is here.

use crate::client::Client;
use crate::client::clock::CLOCK;
use crate::client::input::{Cause, Problem};
use crate::client::scope::open::ContentWork;
use crate::client::stream::Sent;
use crate::client::stream::line::Stage;
use crate::client::told::Told;
use crate::rows::Space;
use stafett_protocol::codec::decode;
use stafett_protocol::federation::{RelayPayload, RelayedFrame, RelayedPayload};
use stafett_protocol::ids::Municipality;
use stafett_protocol::wire::{Greeting, Reply, Request, ServerFrame};

impl Client {
    pub(crate) fn connected(&mut self) {
        let own = self.me.as_ref().map(crate::client::me::Me::number).unwrap_or_default();
        self.forget_connection();
        self.told = Told::default();
        self.stream.open(own);
    }

    pub(crate) fn frame(&mut self, bytes: &[u8]) {
        match decode(bytes) {
            Ok(frame) => self.heard(self.stream.own, frame),
            Err(e) => self.report(&Problem::data(Cause::ServerFrame, e.to_string())),
        }
    }

    /// A frame of one municipality's server, however it came.
    pub(crate) fn heard(&mut self, from: Municipality, frame: ServerFrame) {
        let result = if frame.id == 0 {
            self.pushed(from, frame.reply)
        } else {
            match self.stream.line_mut(from).sent.remove(&frame.id) {
                Some(purpose) => self.answered(from, purpose, frame.reply),
                None => Ok(()),
            }
        };
        for outcome in [result, self.heed_what_waited()] {
            outcome.unwrap_or_else(|problem| self.report(&problem));
        }
    }

    fn pushed(&mut self, from: Municipality, reply: Reply) -> Result<(), Problem> {
        match reply {
            Reply::Records(records) => self.take_records(records),
            Reply::Mail(item) => self.take_mail(from, item),
            Reply::Welcome(greeting) => self.greeted(from, greeting),
            Reply::Checkpoint(checkpoint) => self.checkpoint_offered(&checkpoint),
            Reply::CheckpointPart(part) => self.checkpoint_part(&part),
            Reply::Moved(tombstone) => self.moved(tombstone),
            Reply::Peers(keys) if from == self.stream.own => self.learn_peers(&keys),
            Reply::Relayed(frame) if from == self.stream.own => {
                self.relayed(frame);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn answered(&mut self, from: Municipality, purpose: Sent, reply: Reply) -> Result<(), Problem> {
        match (purpose, reply) {
            (Sent::Sync, Reply::Synced(scopes)) => {
                self.stream.line_mut(from).synced = true;
                // A home that no longer shows a scope has removed us, or hides it.
                for scope in self.synced(from, &scopes) {
                    if self.is_over(scope) || self.relieved_of(scope) || self.has_handed_over(scope) {
                        self.leave(scope).unwrap_or_else(|problem| self.report(&problem));
                    }
                }
            }
            (Sent::Return(_), Reply::Synced(scopes)) => self.home_stands_at(&scopes),
            // What this device has does not follow what the home has.
            (Sent::Return(scope), Reply::Problem(problem)) if problem.code == "chain-broken" => {
                let stands = self.following.stands.get(&scope).copied().unwrap_or(1);
                self.histories_part(scope, stands);
            }
            (Sent::Units, Reply::Units(units)) => self.learn_units(from, &units),
            (Sent::Persons(_), Reply::Persons(records)) => {
                for record in &records {
                    if let Err(problem) = self.learn_person(record) {
                        self.report(&problem);
                    }
                }
            }
            (Sent::KeyPackages(_), Reply::KeyPackages(offers)) => self.sort_packages(offers),
            (Sent::Row(key), Reply::Done) => self.row_done(&key),
            (Sent::Row(key), Reply::UnitAdded(added)) => self.unit_added(&key, &added),
            (Sent::Row(key), Reply::Problem(problem)) => self.row_refused(&key, &problem),
            (Sent::OwnKeyPackages, Reply::Done) => self.packages_published(),
            (Sent::Event(_) | Sent::Bundle(_), Reply::Submitted(accepted)) => {
                self.told.counts.sent += accepted.len() as u64;
                return self.submitted(accepted);
            }
            (Sent::Bundle(_), Reply::TransferCommitted(done)) => return self.transfer_committed(from, done),
            (Sent::Activate, Reply::Done) => self.activated(from),
            (Sent::Prepare(home, _), Reply::TransferPrepared(prepared)) => self.transfer_prepared(home, prepared),
            (Sent::Prepare(_, scopes), Reply::Problem(problem)) => self.bundle_refused(&scopes, &problem),
            (Sent::Row(key), Reply::TransferAborted(freed)) => self.transfer_aborted(&key, freed),
            (Sent::History(scope), Reply::Records(page)) => return self.take_history(scope, page),
            (Sent::History(scope), _) => {
                self.parted.remove(&scope);
                self.following.still.insert((scope, ContentWork::Reread));
            }
            (Sent::Checkpoint(scope, seq), Reply::Done) => self.checkpoint_stored(scope, seq),
            (Sent::Checkpoint(scope, _), _) => {
                self.following.still.insert((scope, ContentWork::Condensed));
            }
            (what @ (Sent::File(_) | Sent::FileWanted(..)), reply) => return self.file_answered(from, what, &reply),
            (Sent::Event(scope), Reply::Problem(problem)) => self.event_refused(scope, &problem),
            (Sent::Bundle(scopes), Reply::Problem(problem)) => self.bundle_refused(&scopes, &problem),
            (Sent::Relay(to), Reply::Problem(problem)) => self.line_down(to, &problem),
            (purpose, Reply::Problem(problem)) => {
                self.going.published |= purpose == Sent::OwnKeyPackages;
                self.stream.line_mut(from).synced |= purpose == Sent::Sync;
                return Err(Problem::quoting(&problem.code, problem.detail));
            }
            _ => {}
        }
        Ok(())
    }

    /// What the own server passes on from another.
    fn relayed(&mut self, frame: RelayedFrame) {
        let from = frame.from;
        match frame.payload {
            RelayedPayload::Closed(problem) => self.line_down(from, &problem),
            RelayedPayload::Message(bytes) => match self.stream.line(from).map(|l| l.stage) {
                Some(Stage::Opening) => {
                    if let Err(problem) = self.sign_in(from, bytes.as_slice()) {
                        self.stream.relay(from, RelayPayload::Close);
                        self.broken(from, &problem);
                    }
                }
                Some(Stage::Open | Stage::Greeted) => match decode::<ServerFrame>(bytes.as_slice()) {
                    Ok(frame) => self.heard(from, frame),
                    Err(e) => self.report(&Problem::data(Cause::ServerFrame, e.to_string())),
                },
                _ => {}
            },
        }
    }

    /// The first words of a server: on the own stream, or through the relay as its guest.
    fn greeted(&mut self, from: Municipality, greeting: Greeting) -> Result<(), Problem> {
        if greeting.municipality != from {
            return Err(Problem::data(Cause::ServerFrame, "another municipality answers than the one that was called"));
        }
        let (home, own) = (i64::try_from(greeting.time), i64::try_from(self.now));
        let ahead = home.unwrap_or_default().saturating_sub(own.unwrap_or_default());
        self.stream.line_mut(from).stage = Stage::Greeted;
        // Its scopes say what they say, each record by its own time; a greeting alone moves no clock here so far.
        let timely = self.check_time(greeting.time);
        if let Err(problem) = &timely {
            self.report(problem);
        }
        if from == self.me()?.number() {
            if timely.is_ok() {
                self.table.write(Space::State, CLOCK, ahead.to_be_bytes().to_vec());
                self.tell_clock(ahead);
            }
            self.note_packages_left(greeting.key_packages);
            if let (Some(me), Some(unit)) = (&mut self.me, greeting.unit) {
                me.unit = Some(unit);
                me.save(&mut self.table);
            }
            self.stream.send(from, Request::Units, Sent::Units);
        } else if self.is_interested(from) {
            self.stream.send(from, Request::Units, Sent::Units);
        }
        self.present_tombstones(from);
        self.has_places(from, &greeting.scopes);
        self.sync_home(from);
        Ok(())
    }
}
