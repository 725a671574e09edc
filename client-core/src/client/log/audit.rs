//! What is asked of the disk, and what comes of it: answers about a log's records, files, records that a home lacks.

use crate::answer::{Answer as A, Event, History, Moment};
use crate::audit;
use crate::client::input::{Cause, Problem};
use crate::client::{Answer, Client, Loading, Wanted};
use crate::rows::{Row, Space};
use stafett_protocol::codec::decode;
use stafett_protocol::event::{Body, Record};
use stafett_protocol::ids::{DeviceId, LogId, PersonId};
use stafett_protocol::state::ScopeState;
use stafett_protocol::statement::Statement;

impl Client {
    pub(crate) fn begin_loading(&mut self, log: &str, wanted: Wanted) -> Result<(), Problem> {
        let log = self.log(log)?;
        self.member_card(log)?;
        self.audited(log)?;
        self.load_for_command(Loading::Answer(wanted, log));
        Ok(())
    }

    /// A command goes before what a home is owed; that is loaded after it.
    pub(crate) fn load_for_command(&mut self, loading: Loading) {
        match self.load.replace(loading) {
            Some(Loading::Return { scope, after }) => self.following.owed.push_front((scope, after)),
            Some(Loading::Parting { scope, after }) => self.following.parting.push_front((scope, after)),
            _ => {}
        }
    }

    pub(crate) fn prefixes(&self, loading: &Loading) -> Vec<Vec<u8>> {
        match loading {
            Loading::Return { scope, .. } | Loading::Parting { scope, .. } => vec![scope.0.to_vec()],
            Loading::Attachment(at) => vec![at.id.0.to_vec()],
            Loading::Answer(_, log) => self.audited_scopes(*log).map(|s| s.id().0.to_vec()).collect(),
        }
    }

    /// The records that were asked for are here: by a command, or for a home that lacks them.
    pub(crate) fn loaded(&mut self, rows: Vec<Row>) -> Option<Answer> {
        let answer = match self.load.take() {
            Some(Loading::Return { scope, after }) => {
                self.return_loaded(scope, after, &rows);
                None
            }
            Some(Loading::Parting { scope, .. }) => {
                if let Err(problem) = self.parting_loaded(scope, &rows) {
                    self.report(&problem);
                }
                None
            }
            Some(Loading::Attachment(at)) => Some(self.file_loaded(at, rows)),
            Some(Loading::Answer(wanted, log)) => Some(self.answer_loaded(wanted, log, &rows)),
            None => Some(Err(Problem::caller(Cause::NothingAsked, "no rows were asked for"))),
        };
        self.load_owed();
        answer
    }

    fn answer_loaded(&mut self, wanted: Wanted, log: LogId, rows: &[Row]) -> Answer {
        let mut records: Vec<Record> = vec![];
        for row in rows.iter().filter(|r| r.space == Space::Event) {
            records.push(decode(row.value.as_deref().unwrap_or_default()).map_err(Problem::from_malformed)?);
        }
        let me = self.me()?;
        let home = self.card_of(log).map_or_else(|| me.number(), |card| self.home_of(card));
        match wanted {
            Wanted::Verify => {
                let mut report = audit::verify(&records, &me.trusted(), home, log);
                audit::check_receipts(&mut report, &self.receipts(log), &records, &me.trusted());
                report.leave_open(&self.unseen(log));
                Ok(A::AuditVerify(report.answer()))
            }
            Wanted::Export => Ok(A::AuditExport(audit::export(&records, self.receipts(log), &me.trusted(), log))),
            Wanted::History => Ok(A::LogHistory(self.history(log, &records))),
        }
    }

    fn history(&self, log: LogId, records: &[Record]) -> History {
        let mut events: Vec<(u64, Event)> = vec![];
        for record in records {
            let Ok(event) = record.event.peek() else {
                continue;
            };
            let Some(s) = self.scopes.get(&event.scope).filter(|s| s.replica.state().log() == log) else {
                continue;
            };
            let kind = match &event.body {
                Body::Genesis(_) => "founded",
                Body::Commit(_) => "membership",
                Body::Change(_) => "change",
                Body::Statement(statement) => audit::statement_word(statement),
            };
            let state = s.replica.state();
            let bearer = owner(state, event.device);
            let signer = match &event.body {
                Body::Statement(statement) => signer(statement),
                _ => None,
            };
            let author = match signer {
                Some(Signer::Person(person)) => Some(person),
                Some(Signer::Device(device)) => owner(state, device),
                None => bearer,
            };
            let brought_by = bearer.filter(|bearer| author != Some(*bearer)).map(|person| self.name_of(person));
            let shown = Event {
                seq: record.seq,
                time: Moment::at(record.time),
                scope: event.scope.to_string(),
                part: s.kind().into(),
                kind: kind.into(),
                author: author.map(|person| self.name_of(person)),
                brought_by,
            };
            events.push((record.time, shown));
        }
        events.sort_by_key(|(time, _)| *time);
        History { log: log.to_string(), events: events.into_iter().map(|(_, event)| event).collect() }
    }
}

/// The device or person whose own word a statement is, where somebody else may have brought it to the chain.
enum Signer {
    Person(PersonId),
    Device(DeviceId),
}

/// Who signed a statement that carries a signature of its own.
fn signer(statement: &Statement) -> Option<Signer> {
    match statement {
        Statement::Grant(signed) => Some(Signer::Person(signed.signer)),
        Statement::Withdrawal(signed) => Some(Signer::Person(signed.signer)),
        Statement::EmployeeEnd(signed) => Some(Signer::Person(signed.leader)),
        Statement::Deletion(witness) => Some(Signer::Device(DeviceId::of_key(&witness.device_key))),
        // Several sign, or whoever brings it.
        Statement::Attested(_)
        | Statement::AuthorityChange(_)
        | Statement::PersonKeyChange(_)
        | Statement::Reject(_)
        | Statement::LinkRepair(_)
        | Statement::Close(_)
        | Statement::Takeover(_)
        | Statement::Objection(_) => None,
    }
}

/// Whose device this is, or was until it lost its place.
fn owner(state: &ScopeState, device: DeviceId) -> Option<PersonId> {
    let gone = || state.gone.iter().rfind(|gone| DeviceId::of_key(&gone.device) == device).map(|gone| gone.person);
    state.person_of(device).or_else(gone)
}
