//! What is done after every input, and in which order: intents, worked out anew from what the chains and letters say.

use crate::client::Client;
use crate::client::input::Problem;
use crate::client::stream::Sent;
use crate::client::stream::line::{Line, Stage};
use stafett_protocol::ids::Municipality;

/// One step of a plan.
type Step = fn(&mut Client) -> Result<(), Problem>;

/// What is done once the chains have been read, in this order.
const PLANNED: &[Step] = &[
    Client::tell_heads,
    Client::ask_introduced,
    Client::ask_requested,
    Client::settle_batons,
    Client::announce_grants,
    Client::present_members,
    Client::send_letters,
    Client::plan_statements,
    Client::draft_left_behind,
    Client::send_statements,
    Client::send_cancellations,
    Client::plan_commits,
    Client::send_files,
    Client::send_changes,
    Client::plan_other_histories,
    Client::plan_rebuilds,
    Client::plan_checkpoint,
];

impl Client {
    /// After every input: sends what can be sent and begins what must be done.
    pub(crate) fn next_steps(&mut self) {
        let own = self.stream.own_line();
        if own.is_none_or(|l| l.stage != Stage::Greeted) || self.me.as_ref().is_none_or(|m| m.credential().is_err()) {
            return;
        }
        // While news are asked for, what would be planned on the old state waits: an edit whose answer was
        // overtaken must not be sealed again before the chain has said whether it stands.
        let informed = own.is_some_and(Line::is_informed);
        self.publish_key_packages();
        self.send_requests();
        self.open_lines();
        let steps: &[Step] = if informed { PLANNED } else { &[Client::send_letters] };
        // One step's failure is reported and silences no other.
        for step in steps {
            if let Err(problem) = step(self) {
                self.report(&problem);
            }
        }
    }

    /// Nothing is under way and nothing more can be begun alone.
    pub(crate) fn is_settled(&self) -> bool {
        self.stream.is_settled()
    }

    fn plan_statements(&mut self) -> Result<(), Problem> {
        self.plan_link_repairs();
        self.plan_witnesses();
        self.reject_lonely_foundings();
        self.carry_withdrawals()?;
        self.extend_withdrawals()
    }

    fn plan_commits(&mut self) -> Result<(), Problem> {
        for home in self.stream.informed_homes() {
            self.plan_commits_at(home)?;
        }
        Ok(())
    }

    /// One bundle at a time at every home.
    fn plan_commits_at(&mut self, home: Municipality) -> Result<(), Problem> {
        let under_way = self.stream.line(home).is_some_and(|l| l.sent.values().any(|s| matches!(s, Sent::Bundle(_))));
        if under_way {
            return Ok(());
        }
        if self.open_bundle(home).is_some() {
            return self.resume_bundle(home);
        }
        if !self.plan_resync(home)?
            && !self.found_ready(home)?
            && !self.plan_refounding(home)?
            && !self.plan_handover(home)?
        {
            self.plan_membership(home)?;
        }
        Ok(())
    }
}
