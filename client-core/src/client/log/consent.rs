//! The family's switch: requests made and answered, signatures, and what each does to the membership.

use crate::answer;
use crate::answer::{AnsweredRequest, AskedFamily, Consents, Decided, GrantedPart, Moment};
use crate::client::input::{AccessWord, Cause, Problem, Who};
use crate::client::keys::mail_key;
use crate::client::log::request::request_id;
use crate::client::log::{Words, custody_text};
use crate::client::scope::Standing;
use crate::client::scope::find::withdrawn;
use crate::client::{Client, people};
use crate::rows::Space;
use stafett_protocol::codec::encode;
use stafett_protocol::consent::{Access, Grantee, SignedGrant};
use stafett_protocol::ids::{Hash, LogId, PersonId, ScopeId};
use stafett_protocol::letter::{ConsentAnswer, ConsentRequest, Content, RequestedGrant};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::signed::Signed;
use stafett_protocol::state::{GrantStanding, ScopeState};
use stafett_protocol::statement::Statement;

impl Client {
    /// Signs or refuses. For a log that exists the signature goes on the chain; for one that does not,
    /// by letter to whoever asked.
    pub(crate) fn consent_answer(
        &mut self,
        prefix: &str,
        agree: bool,
        custody: bool,
    ) -> Result<AnsweredRequest, Problem> {
        let (key, mut received) = self.open_request(prefix, agree)?;
        let request = received.request.clone();
        if agree {
            self.audited(request.log)?;
            self.check_request(received.from, &request)?;
        }
        let me = self.me()?;
        let (person, person_key) = (me.person, me.person_key()?);
        let mut signed = vec![];
        if agree {
            // The leader's seat is a consent of its own: it can be left out.
            let alone = request.grants.iter().all(|g| g.grant.access == Access::Custody);
            let wanted = |g: &&RequestedGrant| custody || alone || g.grant.access != Access::Custody;
            for requested in request.grants.iter().filter(wanted) {
                let grant = SignedGrant { signer: person, grant: Signed::sign(&requested.grant, &person_key) };
                self.keep_grant(&grant);
                if self.scopes.contains_key(&requested.grant.scope) {
                    self.queue_statement(requested.grant.scope, Statement::Grant(grant.clone()));
                }
                signed.push(grant);
            }
            self.learn_grantees(&request);
        }
        let requested = request.grants.iter().map(|g| stafett_protocol::signed::id_of(&g.grant)).collect();
        self.write_letter(received.from, Content::ConsentAnswer(ConsentAnswer { log: request.log, requested, signed }));
        received.answer = if agree { 1 } else { 2 };
        self.table.write(Space::Mail, &key, encode(&received));
        let state = if agree { Decided::Granted } else { Decided::Refused };
        Ok(AnsweredRequest { request: request_id(&request).to_string(), state })
    }

    /// A guardian's answer to a request of ours: signatures are kept, and found the log once all are here.
    pub(crate) fn take_answer(&mut self, from: PersonId, answer: &ConsentAnswer) -> Result<(), Problem> {
        // It was under way when the draft was thrown away.
        if self.is_unasked(answer.log) {
            return Ok(());
        }
        if answer.signed.is_empty() {
            // Of what was asked here, and of nothing else.
            if self.logs().contains(&answer.log) {
                self.table.write(Space::Mail, &mail_key("refusal", &[&answer.log.0, &from.0]), vec![]);
            }
            return Ok(());
        }
        // Whoever has said no may say otherwise.
        self.table.delete(Space::Mail, &mail_key("refusal", &[&answer.log.0, &from.0]));
        for signed in &answer.signed {
            if signed.signer != from {
                return Err(Problem::rule(Cause::ConsentAnswer, "the signature is another person's"));
            }
            let Ok(grant) = signed.grant.peek() else {
                continue;
            };
            let founded = self.scopes.get(&grant.scope).map(|s| s.replica.state().authority());
            let planned = self.foundings.get(&grant.scope).map(|f| &f.plan.authority);
            let offered = || self.offered_authority(grant.log, grant.scope);
            // Of what another device of this person has asked nothing is known here, and nothing is kept.
            let Some(authority) = founded.or(planned).or_else(offered) else { continue };
            if authority.key(from).is_none_or(|key| signed.grant.verify(key).is_err()) {
                return Err(Problem::rule(Cause::ConsentAnswer, "the signature does not hold"));
            }
            self.keep_grant(signed);
            let Some(founding) = self.foundings.get_mut(&grant.scope) else {
                continue;
            };
            let key = founding.plan.authority.key(from).copied();
            let id = signed.grant.id();
            let asked = id == founding.plan.basis || Some(id) == founding.plan.custody;
            let good = asked && key.is_some_and(|k| signed.grant.verify(&k).is_ok());
            let new = !founding.plan.grants.iter().any(|g| g.signer == from && g.grant.id() == id);
            if good && new {
                founding.plan.grants.push(signed.clone());
                self.save_founding(grant.scope)?;
            }
        }
        Ok(())
    }

    /// Asks the family to let someone in, or widen.
    pub(crate) fn access_request(
        &mut self,
        log: &str,
        who: &Who,
        scopes: &[String],
        access: AccessWord,
    ) -> Result<AskedFamily, Problem> {
        let log = self.log(log)?;
        let card = self.member_card(log)?;
        self.audited(log)?;
        let state = self.scopes.get(&card).map(|s| s.replica.state().clone()).ok_or_else(withdrawn)?;
        let me = self.me()?.person;
        stafett_protocol::policy::can(&state, me, stafett_protocol::policy::Action::Admit, self.home_now())?;
        let (grantee, grantee_name) = self.grantee(who)?;
        // Whoever takes over must be able to hand over every part of the log.
        let chosen = match access {
            AccessWord::Custody => self.chosen(log, &["all".to_owned()])?,
            _ => self.chosen(log, scopes)?,
        };
        let access = match access {
            AccessWord::Read => Access::Read,
            AccessWord::Contribute => Access::Contribute,
            AccessWord::Custody => Access::Custody,
        };
        let authority = state.authority().clone();
        let titles: Vec<String> = chosen.iter().map(|s| self.scope_title(*s)).filter(|t| !t.is_empty()).collect();
        let text = match access {
            Access::Custody => format!("{grantee_name}. {}", custody_text(&self.custodian_name(&state, &grantee)?)),
            Access::Contribute => format!("{grantee_name} vil lese og skrive: {}", titles.join(", ")),
            Access::Read | Access::Hold => format!("{grantee_name} vil lese: {}", titles.join(", ")),
        };
        let words = Words { salt: self.random(), text };
        let mut grants = vec![];
        for scope in std::iter::once(card).chain(chosen) {
            let kind = self.scopes.get(&scope).map_or(ScopeKind::Concern, crate::client::scope::Scope::kind);
            // On the card everyone only reads; what they may do stands in the concern.
            let everywhere = kind == ScopeKind::Concern || access == Access::Custody;
            let access = if everywhere { access } else { Access::Read };
            let in_force = self.scopes.get(&scope).is_some_and(|s| {
                s.replica
                    .state()
                    .grants_in_force(self.home_now())
                    .any(|g| g.grant.grantee == grantee && g.grant.access == access)
            });
            if !in_force {
                let grant = self.new_grant(log, scope, grantee, access, &authority, &words);
                grants.push(RequestedGrant {
                    grant,
                    kind,
                    scope_title: self.scope_title(scope),
                    grantee_name: grantee_name.clone(),
                });
            }
        }
        if grants.is_empty() {
            return Err(Problem::rule(Cause::AlreadyGranted, "they have this access already"));
        }
        let Words { text, salt } = words;
        let request = ConsentRequest { log, draft: None, authority, grants, text, salt };
        self.send_request(&request)?;
        Ok(AskedFamily { request: request_id(&request).to_string() })
    }

    /// To everyone who may sign now; to ourselves, where we are one of them.
    pub(crate) fn send_request(&mut self, request: &ConsentRequest) -> Result<(), Problem> {
        let (me, now) = (self.me()?.person, self.home_now());
        for guardian in request.authority.persons().filter(|p| request.authority.may_sign(p.person, now)) {
            if guardian.person == me {
                self.keep_request(me, request)?;
            } else {
                self.write_letter(guardian.person, Content::ConsentRequest(request.clone()));
            }
        }
        Ok(())
    }

    /// Open requests for these grants are not shown any more.
    pub(crate) fn drop_requests(&mut self, gone: impl Fn(&Hash) -> bool) {
        for (id, mut received) in self.requests().into_iter().filter(|(_, r)| matches!(r.answer, 0 | 2)) {
            if received.request.grants.iter().any(|g| gone(&stafett_protocol::signed::id_of(&g.grant))) {
                received.answer = 3;
                self.table.write(Space::Mail, &mail_key("request", &[&id.0]), encode(&received));
            }
        }
    }

    /// Custody is the continuity seat of the holder's own leader, and of nobody else.
    fn custodian_name(&self, state: &ScopeState, grantee: &Grantee) -> Result<String, Problem> {
        let own = state.hold_grant().map(|f| f.grant.grantee);
        match grantee {
            Grantee::Unit(unit) if own.is_some_and(|own| own.is_same_party(grantee)) => Ok(self.name_of(unit.leader)),
            _ => Err(Problem::rule(Cause::CustodyOwnUnit, "custody is for the leader of the unit that holds the log")),
        }
    }

    /// `all`: journal and every open concern; else the concerns named.
    fn chosen(&self, log: LogId, scopes: &[String]) -> Result<Vec<ScopeId>, Problem> {
        if scopes.iter().any(|s| s == "all") {
            let all = [ScopeKind::Journal, ScopeKind::Concern].into_iter().flat_map(|kind| self.scopes_of(log, kind));
            return Ok(all.filter(|s| self.scopes.contains_key(s)).collect());
        }
        let concerns: Vec<ScopeId> =
            self.scopes_of(log, ScopeKind::Concern).into_iter().filter(|s| self.scopes.contains_key(s)).collect();
        let chosen: Vec<ScopeId> =
            scopes.iter().map(|s| people::unique("concern", s, concerns.iter().copied())).collect::<Result<_, _>>()?;
        if chosen.is_empty() {
            return Err(Problem::caller(Cause::Scope, "which concerns? give --scope, or --scope all"));
        }
        Ok(chosen)
    }

    pub(crate) fn consent_list(&mut self, log: &str) -> Result<Consents, Problem> {
        let log = self.log(log)?;
        self.member_card(log)?;
        let mut consents = vec![];
        for s in self.scopes.values().filter(|s| s.replica.state().log() == log && s.standing != Standing::Withdrawn) {
            let (state, copies) = (s.replica.state(), s.kind() == ScopeKind::Concern);
            for fact in state.grants.iter().filter(|f| !copies || f.grant.scope == state.scope()) {
                let waits = fact.standing(self.home_now()) == GrantStanding::Waiting;
                let (scope, title) = (state.scope().to_string(), self.scope_title(state.scope()));
                consents.push(answer::Consent {
                    id: fact.id.to_string(),
                    grantee: self.grantee_name(&fact.grant.grantee),
                    scopes: vec![GrantedPart { scope, kind: s.kind().into(), title }],
                    access: fact.grant.access.into(),
                    expires: Moment::at(fact.grant.expires_at),
                    state: fact.standing(self.home_now()).into(),
                    missing: if waits { self.missing_signers(state, &fact.signers) } else { vec![] },
                    attested: !fact.attested.is_empty(),
                });
            }
        }
        Ok(Consents { consents })
    }

    fn missing_signers(&self, state: &ScopeState, signers: &[PersonId]) -> Vec<String> {
        let authority = state.authority();
        authority
            .persons()
            .filter(|p| authority.may_sign(p.person, self.home_now()) && !signers.contains(&p.person))
            .map(|p| self.name_of(p.person))
            .collect()
    }

    pub(crate) fn grantee_name(&self, grantee: &Grantee) -> String {
        match grantee {
            Grantee::Unit(unit) => self.unit_name(unit.unit),
            Grantee::Person(p) => self.name_of(p.person),
        }
    }
}
