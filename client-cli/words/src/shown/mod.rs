//! What of each answer people read. Every struct is taken apart whole: a new field does not compile here until somebody has
//! said where it is shown, or that only scripts want it.

mod audit;
mod baton;
mod concern;
mod consent;
mod contact;
mod log;
mod people;

use stafett_client_core::answer::Answer;

use crate::reader::Reader;
use crate::render::Part;

/// Something that can be said to people: what fills the places of the catalogue's texts for it.
pub trait Shown {
    /// For whoever reads.
    fn part(&self, to: &Reader<'_>) -> Part;
}

/// A list of such things.
pub fn parts<'a, T: Shown + 'a>(to: &Reader<'_>, all: impl IntoIterator<Item = &'a T>) -> Vec<Part> {
    all.into_iter().map(|one| one.part(to)).collect()
}

impl Shown for Answer {
    fn part(&self, to: &Reader<'_>) -> Part {
        match self {
            Self::Join(joined) | Self::DeviceAccept(joined) => joined.part(to),
            Self::DeviceLink(code) | Self::Invite(code) => code.part(to),
            Self::DeviceList(devices) => devices.part(to),
            Self::DeviceRemove(removed) => removed.part(to),
            Self::InviteList(invites) => invites.part(to),
            Self::People(people) => people.part(to),
            Self::Units(units) => units.part(to),
            Self::UnitAdd(added) => added.part(to),
            Self::UnitAssign(assigned) | Self::UnitUnassign(assigned) => assigned.part(to),
            Self::Verify(comparison) => comparison.part(to),
            Self::VerifyMatches(compared) => compared.part(to),
            Self::Me(me) => me.part(to),
            Self::ServerAt(place) => place.part(to),
            Self::LogNew(new) => new.part(to),
            Self::LogDrop(dropped) => dropped.part(to),
            Self::LogList(list) => list.part(to),
            Self::LogShow(log) => log.part(to),
            Self::LogContinue(continued) => continued.part(to),
            Self::LogHistory(history) => history.part(to),
            Self::ConsentPending(requests) => requests.part(to),
            Self::ConsentGrant(answered) | Self::ConsentRefuse(answered) => answered.part(to),
            Self::ConsentList(consents) => consents.part(to),
            Self::ConsentWithdraw(withdrawn) => withdrawn.part(to),
            Self::AccessRequest(asked) => asked.part(to),
            Self::BatonOffer(step) | Self::BatonAccept(step) | Self::BatonDecline(step) | Self::BatonAbort(step) => {
                step.part(to)
            }
            Self::BatonList(offers) => offers.part(to),
            Self::BatonPass(passed) => passed.part(to),
            Self::BatonTakeover(taken) => taken.part(to),
            Self::ConcernNew(new) => new.part(to),
            Self::ConcernShow(concern) => concern.part(to),
            Self::ConcernClose(closed) => closed.part(to),
            Self::MeasureAdd(measure) | Self::MeasureCorrect(measure) | Self::Evaluate(measure) => measure.part(to),
            Self::MeasureEdit(rewritten) => rewritten.part(to),
            Self::Glimpse(written) | Self::Comment(written) | Self::Note(written) => written.part(to),
            Self::AttachmentGet(got) => got.part(to),
            Self::Drafts(drafts) => drafts.part(to),
            Self::DraftDrop(dropped) => dropped.part(to),
            Self::Sync(counts) => counts.part(to),
            Self::AuditVerify(report) => report.part(to),
            // Written to a file; what is in it is told of as a report.
            Self::AuditExport(_) => Part::default(),
        }
    }
}
