//! What commands answer. Scripts get each as JSON with the keys of its fields, people the words that the terminal makes of
//! it: both from these types, so that a field which nobody shows does not compile there.
//!
//! Ids are texts, whole, in hexadecimal. What is not known is `None`, in JSON `null`.

mod audit;
mod baton;
mod concern;
mod consent;
mod contact;
mod log;
mod pending;
mod people;
mod word;

pub use audit::*;
pub use baton::*;
pub use concern::*;
pub use consent::*;
pub use contact::*;
pub use log::*;
pub use pending::*;
pub use people::*;
pub use word::*;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One answer for each command, under the name that its words have in the catalogue.
macro_rules! answers {
    ($($name:literal $kind:ident($what:ty),)+) => {
        /// What a command answers. With its name around it (serde's own form) it goes from process to process; what
        /// scripts get is [`Answer::to_json`], without it.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Answer {
            $(#[serde(rename = $name)] $kind($what),)+
        }

        impl Answer {
            /// Every name.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// As the catalogue calls it.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$kind(_) => $name,)+ }
            }

            /// What scripts get: one object.
            #[must_use]
            pub fn to_json(&self) -> Value {
                match self { $(Self::$kind(what) => json(what),)+ }
            }
        }
    };
}

answers! {
    "join" Join(Joined),
    "device.link" DeviceLink(Code),
    "device.accept" DeviceAccept(Joined),
    "device.list" DeviceList(Devices),
    "device.remove" DeviceRemove(RemovedDevice),
    "invite" Invite(Code),
    "invite.list" InviteList(Invites),
    "people" People(People),
    "units" Units(Units),
    "unit.add" UnitAdd(AddedUnit),
    "unit.assign" UnitAssign(Assigned),
    "unit.unassign" UnitUnassign(Assigned),
    "verify" Verify(Comparison),
    "verify.matches" VerifyMatches(Compared),
    "me" Me(Me),
    "server.at" ServerAt(ServerPlace),
    "log.new" LogNew(NewLog),
    "log.drop" LogDrop(DroppedLog),
    "log.list" LogList(LogList),
    "log.show" LogShow(Box<LogShown>),
    "log.continue" LogContinue(ContinuedLog),
    "log.history" LogHistory(History),
    "consent.pending" ConsentPending(Requests),
    "consent.grant" ConsentGrant(AnsweredRequest),
    "consent.refuse" ConsentRefuse(AnsweredRequest),
    "consent.list" ConsentList(Consents),
    "consent.withdraw" ConsentWithdraw(Withdrawn),
    "access.request" AccessRequest(AskedFamily),
    "baton.offer" BatonOffer(OfferStep),
    "baton.list" BatonList(Offers),
    "baton.accept" BatonAccept(OfferStep),
    "baton.pass" BatonPass(OfferPassed),
    "baton.decline" BatonDecline(OfferStep),
    "baton.abort" BatonAbort(OfferStep),
    "baton.takeover" BatonTakeover(TakenOver),
    "concern.new" ConcernNew(NewConcern),
    "concern.show" ConcernShow(Concern),
    "concern.close" ConcernClose(ClosedConcern),
    "measure.add" MeasureAdd(OneMeasure),
    "measure.edit" MeasureEdit(RewrittenMeasure),
    "measure.correct" MeasureCorrect(OneMeasure),
    "evaluate" Evaluate(OneMeasure),
    "glimpse" Glimpse(Written),
    "comment" Comment(Written),
    "note" Note(Written),
    "attachment.get" AttachmentGet(GotAttachment),
    "drafts" Drafts(Drafts),
    "drafts.drop" DraftDrop(DroppedDraft),
    "sync" Sync(Counts),
    "audit.verify" AuditVerify(Report),
    "audit.export" AuditExport(Export),
}

/// A value as scripts get it. What is made of structs and texts alone can always be written.
pub fn json(what: &impl Serialize) -> Value {
    serde_json::to_value(what).unwrap_or_default()
}
