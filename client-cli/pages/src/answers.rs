//! Finds, among the answers of the core, those that a page is made from.

use stafett_client_core::answer::{
    Answer, Code, Compared, Comparison, Concern, Consents, Devices, Drafts, Export, GotAttachment, History, Invites,
    Log, LogList, LogShown, NewConcern, NewLog, Offers, People, Report, Requests, Units, Withdrawn,
};
use stafett_client_core::client::input::{Cause, Problem};

/// All answers, in the order in which they were asked for.
#[derive(Clone, Copy)]
pub struct Answers<'a>(pub &'a [Result<Answer, Problem>]);

/// How one kind of answer is told from the others.
type Pick<T> = fn(&Answer) -> Option<&T>;

/// One function for each kind of answer that pages need: the first of its kind, or why there is none.
macro_rules! picks {
    ($($name:ident $kind:ident($what:ty))+) => {
        $(pub fn $name(self) -> Result<&'a $what, Problem> {
            self.one(|answer| match answer { Answer::$kind(it) => Some(it), _ => None })
        })+
    };
}

impl<'a> Answers<'a> {
    /// The first of a kind, or why there is none.
    pub fn one<T>(self, pick: Pick<T>) -> Result<&'a T, Problem> {
        let found = self.0.iter().flatten().find_map(pick);
        let refused = || self.0.iter().find_map(|answer| answer.as_ref().err()).cloned();
        found.ok_or_else(|| refused().unwrap_or_else(|| Problem::caller(Cause::UnknownId, "nothing was answered")))
    }

    picks! {
        logs LogList(LogList)
        requests ConsentPending(Requests)
        offers BatonList(Offers)
        drafts Drafts(Drafts)
        people People(People)
        units Units(Units)
        invites InviteList(Invites)
        history LogHistory(History)
        consents ConsentList(Consents)
        concern ConcernShow(Concern)
        report AuditVerify(Report)
        devices DeviceList(Devices)
        comparison Verify(Comparison)
        compared VerifyMatches(Compared)
        withdrawn ConsentWithdraw(Withdrawn)
        code DeviceLink(Code)
        export AuditExport(Export)
        got AttachmentGet(GotAttachment)
        new_log LogNew(NewLog)
        new_concern ConcernNew(NewConcern)
    }

    /// One log, or what is left of it.
    pub fn shown(self) -> Result<&'a LogShown, Problem> {
        self.one(|answer| match answer {
            Answer::LogShow(shown) => Some(shown.as_ref()),
            _ => None,
        })
    }

    /// One log that is here.
    pub fn log(self) -> Result<&'a Log, Problem> {
        match self.shown()? {
            LogShown::Here(log) => Ok(log),
            LogShown::Archived(_) => Err(Problem::rule(Cause::NotActive, "the log is an archive")),
        }
    }
}
