//! Scopes that this device is about to found: written and readable here at once, before there is a chain.

use crate::client::input::{Cause, Problem};
use crate::client::{Client, Me};
use crate::document::Document;
use crate::keychain::KeyChain;
use crate::rows::{Space, Table};
use stafett_protocol::POLICY_VERSION;
use stafett_protocol::codec::{TlsDeserialize, TlsSerialize, TlsSize, decode, encode};
use stafett_protocol::consent::SignedGrant;
use stafett_protocol::ids::{Hash, LogId, ScopeId};
use stafett_protocol::membership::{ConsentAuthority, Member, Membership, Role, ScopeKind};

/// A scope before its genesis.
#[derive(Debug, Clone, PartialEq, Eq, TlsSerialize, TlsDeserialize, TlsSize)]
pub(crate) struct Plan {
    pub scope: ScopeId,
    pub kind: ScopeKind,
    pub log: LogId,
    /// In the card's plan only.
    pub log_salt: Option<[u8; 16]>,
    /// The card, for journal and concerns.
    pub card: Option<ScopeId>,
    pub authority: ConsentAuthority,
    /// The `hold` grant under which the founder holds; for a concern the card's.
    pub basis: Hash,
    /// The `custody` grant for the leader, asked for together with it.
    pub custody: Option<Hash>,
    /// Signatures that have come.
    pub grants: Vec<SignedGrant>,
}

/// A planned scope with its document.
#[derive(Debug)]
pub(crate) struct Founding {
    pub plan: Plan,
    pub document: Document,
}

impl Founding {
    pub fn load_all(table: &Table) -> Result<Vec<Self>, Problem> {
        table
            .scan(Space::State, b"founding/")
            .map(|(_, value)| {
                let plan: Plan = decode(value).map_err(|e| Problem::data(Cause::Damaged, e.to_string()))?;
                let (document, _) = crate::client::scope::load_or_salvage(table, plan.scope, plan.kind)?;
                Ok(Self { plan, document })
            })
            .collect()
    }

    /// Back to the document as its rows have it.
    pub fn reload_document(&mut self, table: &Table) {
        if let Ok((document, _)) = crate::client::scope::load_or_salvage(table, self.plan.scope, self.plan.kind) {
            self.document = document;
        }
    }

    /// A scope of a log that exists is founded where the log is.
    pub(crate) fn membership(&self, me: &Me, card: Option<&Membership>) -> Result<Membership, Problem> {
        let holder = Member {
            person: me.person,
            person_key: me.person_public()?,
            role: Role::Holder,
            devices: vec![me.device_public()],
            basis: self.plan.basis,
        };
        Ok(Membership {
            scope: self.plan.scope,
            kind: self.plan.kind,
            log: self.plan.log,
            generation: 1,
            home: card.map_or_else(|| me.number(), |c| c.home),
            home_epoch: card.map_or(1, |c| c.home_epoch),
            policy_version: POLICY_VERSION,
            authority: self.plan.authority.clone(),
            members: vec![holder],
        })
    }
}

fn founding_key(scope: ScopeId) -> Vec<u8> {
    [b"founding/".as_slice(), &scope.0].concat()
}

impl Client {
    pub(crate) fn plan_scope(&mut self, plan: Plan) -> Result<(), Problem> {
        let document = Document::new(plan.kind).map_err(|e| Problem::data(Cause::Document, e.to_string()))?;
        self.table.write(Space::State, &founding_key(plan.scope), encode(&plan));
        self.foundings.insert(plan.scope, Founding { plan, document });
        Ok(())
    }

    pub(crate) fn save_founding(&mut self, scope: ScopeId) -> Result<(), Problem> {
        let Some(founding) = self.foundings.get_mut(&scope) else {
            return Ok(());
        };
        self.table.write(Space::State, &founding_key(scope), encode(&founding.plan));
        founding.document.save(&mut self.table, &scope.0).map_err(|e| Problem::data(Cause::Document, e.to_string()))
    }

    pub(crate) fn forget_founding(&mut self, scope: ScopeId) {
        self.table.delete(Space::State, &founding_key(scope));
        Document::delete_rows(&mut self.table, &scope.0);
        self.foundings.remove(&scope);
    }

    /// The document of a scope here, founded or not.
    pub(crate) fn document(&self, scope: ScopeId) -> Option<&Document> {
        let founded = self.scopes.get(&scope).map(|s| &s.document);
        founded.or_else(|| self.foundings.get(&scope).map(|f| &f.document))
    }

    /// Keys and document of a scope whose genesis this device has made and the home has now confirmed.
    pub(crate) fn founded_here(&mut self, scope: ScopeId) -> Option<(KeyChain, Document)> {
        let founding = self.foundings.remove(&scope)?;
        self.table.delete(Space::State, &founding_key(scope));
        Some((KeyChain::load(&self.table, scope, 1), founding.document))
    }

    /// Keeps a signature of a grant where [`Client::card_grants`] finds it.
    pub(crate) fn keep_grant(&mut self, signed: &SignedGrant) {
        let key = [b"grant/".as_slice(), &signed.grant.id().0, &signed.signer.0].concat();
        self.table.write(Space::State, &key, encode(signed));
    }
}
