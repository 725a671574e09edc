//! Verdicts on facts that no honest chain leads to: `decide` is asked itself, on a state bent for the case, with a
//! commit as MLS would tell of it.

use super::*;
use stafett_protocol::commit_view::{CommitView, Leaf};
use stafett_protocol::consent::Voucher;
use stafett_protocol::event::{Body, Commit, Event};
use stafett_protocol::handover::Handover;
use stafett_protocol::ids::Hash;
use stafett_protocol::policy::{self, MlsView};
use stafett_protocol::state::ScopeState;
use stafett_protocol::statement::Statement;

/// These facts, but for what the case bends.
pub fn bent(state: &ScopeState, bend: impl FnOnce(&mut ScopeState)) -> ScopeState {
    let mut state = state.clone();
    bend(&mut state);
    state
}

/// A device's leaf, as the rules see it.
pub fn leaf(device: &Device) -> Leaf {
    Leaf { key: device.public(), credential: device.credential.borrow().clone() }
}

/// A commit of `by` that does nothing yet.
pub fn view(by: &Device) -> CommitView {
    CommitView { sender: Some(by.public()), adds: vec![], removes: vec![], path: None, membership: None }
}

/// The commit around what MLS tells of it.
pub fn commit_of(view: &CommitView, vouchers: Vec<Voucher>, handover: Option<Handover>) -> Commit {
    Commit {
        mls: vec![].into(),
        group_info: vec![].into(),
        link: view.sender.map(|_| vec![].into()),
        check: Hash([4; 32]),
        welcome: (!view.adds.is_empty()).then_some(Hash([5; 32])),
        vouchers,
        handover,
    }
}

impl World {
    /// What the rules say of this event of `by` right after `state`.
    pub fn decided(
        &self,
        state: &ScopeState,
        card: Option<&ScopeState>,
        by: &Device,
        body: Body,
        mls: &MlsView,
    ) -> Result<ScopeState, Refusal> {
        let event = Event {
            scope: state.scope(),
            generation: state.membership.generation,
            epoch: state.epoch,
            device: by.id(),
            counter: state.counter(by.id()) + 1,
            seen: state.position,
            body,
        };
        let context = Context { home: state.membership.home, ..self.context(state.time + 1, card) };
        policy::decide(state, &context, &event, mls)
    }

    pub fn said(&self, state: &ScopeState, by: Who, statement: Statement) -> Result<ScopeState, Refusal> {
        self.decided(state, None, self.device(by), Body::Statement(statement), &MlsView::None)
    }

    pub fn committed(&self, state: &ScopeState, by: Who, view: CommitView) -> Result<ScopeState, Refusal> {
        let commit = commit_of(&view, vec![], None);
        self.decided(state, None, self.device(by), Body::Commit(commit), &MlsView::Commit(view))
    }
}
