//! Welcomes that wait for their scope's chain, those that are lost, and what this device has left.

use crate::client::Client;
use crate::client::input::Problem;
use crate::client::keys::mail_key;
use crate::client::scope::{Scope, Standing, group};
use crate::rows::Space;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes, decode, encode};
use stafett_protocol::consent::Permit;
use stafett_protocol::event::Position;
use stafett_protocol::ids::{Municipality, ScopeId};
use stafett_protocol::wire::WelcomeMail;

/// A Welcome, and the home that has the scope. Empty where the home names a scope that this device must have known once.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct WelcomeFrom {
    pub home: Municipality,
    pub seq: u64,
    pub welcome: VLBytes,
    /// Where this device had left the scope that the home names again; 0 where it never did.
    pub left_at: u64,
    /// The chain has since shown a state without it: whoever is in now was let in again.
    pub was_out: Permit,
}

impl WelcomeFrom {
    pub fn lost(home: Municipality, left_at: u64) -> Self {
        Self { home, seq: 0, welcome: vec![].into(), left_at, was_out: Permit::No }
    }

    /// Whether a leaf in the chain is a place for this device: not one that it has left, whatever the home says.
    pub fn counts(&self) -> bool {
        self.left_at == 0 || self.was_out == Permit::Yes
    }

    pub fn is_lost(&self) -> bool {
        self.welcome.as_slice().is_empty()
    }
}

impl Client {
    /// The Welcome that waits for this scope's chain.
    pub(crate) fn welcome(&self, scope: ScopeId) -> Option<WelcomeFrom> {
        self.table.read(Space::Mail, &mail_key("welcome", &[&scope.0])).and_then(|b| decode(b).ok())
    }

    pub(crate) fn write_welcome(&mut self, scope: ScopeId, kept: &WelcomeFrom) {
        self.table.write(Space::Mail, &mail_key("welcome", &[&scope.0]), encode(kept));
    }

    pub(crate) fn welcome_lost(&mut self, home: Municipality, scope: ScopeId, left_at: u64) {
        self.write_welcome(scope, &WelcomeFrom::lost(home, left_at));
    }

    pub(crate) fn welcome_used(&mut self, scope: ScopeId) {
        self.table.delete(Space::Mail, &mail_key("welcome", &[&scope.0]));
    }

    /// A Welcome has come; kept until it can be used.
    pub(crate) fn keep_welcome(&mut self, home: Municipality, welcome: WelcomeMail) -> Result<(), Problem> {
        let scope = welcome.scope;
        let seen = self.scopes.get(&scope).map_or(0, |s| s.replica.state().position.seq);
        let left = self.has_left(scope);
        if left && welcome.seq <= seen {
            return Ok(());
        }
        // The chain may be here already, up to behind the place where this one would have been used.
        let late = self.welcome(scope).is_some_and(|w| w.is_lost()) && welcome.seq <= seen;
        let kept = WelcomeFrom { seq: welcome.seq, welcome: welcome.welcome, ..WelcomeFrom::lost(home, 0) };
        self.write_welcome(scope, &kept);
        self.welcome_came(scope);
        if left || late {
            self.forget_scope(scope);
        } else if self.scopes.contains_key(&scope) {
            // Its commit was read before it came, as where whoever founds anew lets people back who read on.
            self.use_welcome(scope)?;
            self.open_contents(scope);
            self.save_scope(scope)?;
        }
        self.ask_anew(scope);
        Ok(())
    }

    /// A Welcome that waits is used where the chain stands behind its commit and before the next one, whichever of the two
    /// came first. Further on, or where it does not open, the leaf is ours all the same, and is taken by a resync.
    pub(crate) fn use_welcome(&mut self, scope: ScopeId) -> Result<(), Problem> {
        let device = self.me()?.device();
        let Some(welcome) = self.welcome(scope).filter(|w| !w.is_lost()) else { return Ok(()) };
        let joining = |s: &&mut Scope| s.standing == Standing::Joining && s.replica.state().position.seq >= welcome.seq;
        let Some(s) = self.scopes.get_mut(&scope).filter(joining) else { return Ok(()) };
        let (state, tree) = (s.replica.state().clone(), s.replica.tree());
        let joined = match state.last_commit == welcome.seq {
            true => {
                let bytes = welcome.welcome.as_slice();
                group::join(&self.provider, bytes, tree, &state.membership, state.epoch, &mut s.keys)
            }
            false => Err(group::mls_problem("the invitation came after others had gone on")),
        };
        s.facts_changed = true;
        s.standing = match (&joined, state.membership.device_key(device)) {
            (Ok(()), _) => Standing::Member,
            (Err(_), Some(_)) => Standing::Resyncing,
            // Founded anew since: another one comes.
            (Err(_), None) => Standing::Joining,
        };
        match joined {
            Ok(()) => self.open_checkpoint(scope),
            Err(problem) => self.report(&problem),
        }
        self.welcome_used(scope);
        Ok(())
    }

    /// The home has a leaf of this device, its chain here shows it, and all mail that waited has come: without a Welcome
    /// among it there is none any more, and the leaf is taken by a resync.
    pub(crate) fn miss_welcome(&mut self, scope: ScopeId) -> Result<(), Problem> {
        match self.welcome(scope) {
            Some(_) => Ok(()),
            None => self.take_leaf(scope).map(drop),
        }
    }

    /// The leaf that the chain shows is taken by a resync, where this device may read and nothing brings its keys. Answers
    /// whether it is.
    pub(crate) fn take_leaf(&mut self, scope: ScopeId) -> Result<bool, Problem> {
        let (device, now) = (self.me()?.device(), self.home_now());
        let here = |s: &&mut Scope| {
            let state = s.replica.state();
            s.standing == Standing::Joining
                && state.membership.device_key(device).is_some()
                && state.may_read(device, now)
        };
        let Some(s) = self.scopes.get_mut(&scope).filter(here) else { return Ok(false) };
        s.standing = Standing::Resyncing;
        s.facts_changed = true;
        self.save_scope(scope)?;
        Ok(true)
    }

    /// Scopes to which this device has been welcomed.
    pub(crate) fn welcomed(&self) -> Vec<ScopeId> {
        self.table
            .scan(Space::Mail, b"welcome/")
            .filter_map(|(key, _)| Some(ScopeId(key.strip_prefix(b"welcome/")?.try_into().ok()?)))
            .collect()
    }

    /// Whether this device has left the scope.
    pub(crate) fn has_left(&self, scope: ScopeId) -> bool {
        self.scopes.get(&scope).is_some_and(|s| s.standing == Standing::Withdrawn)
    }

    /// Whether its home names a scope that this device has left: it may have been let in again since.
    pub(crate) fn may_be_back(&self, scope: ScopeId) -> bool {
        self.has_left(scope) && self.welcome(scope).is_some_and(|w| w.is_lost())
    }

    /// Whether this device follows the scope's chain.
    pub(crate) fn wants(&self, scope: ScopeId) -> bool {
        !self.has_left(scope) || self.may_be_back(scope)
    }

    /// How far the chain is read here; what was left is read anew.
    pub(crate) fn read_so_far(&self, scope: ScopeId) -> Position {
        self.followed(scope).map(|s| s.replica.state().position).unwrap_or_default()
    }

    /// A scope that this device has and has not left.
    pub(crate) fn followed(&self, scope: ScopeId) -> Option<&Scope> {
        self.scopes.get(&scope).filter(|s| s.standing != Standing::Withdrawn)
    }
}
