//! Replay of all signed membership and consent of a log, with every rule asked again: the same `decide` as
//! server and clients, on nothing but signed records and municipality keys. Works on what a device has, and
//! on an exported file without any account.

pub use crate::answer::Violation;
use crate::answer::{self, AuditRule, ExportedKey, Moment, Word};
use serde_json::Value;
use stafett_protocol::code::key_hash;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::{Municipalities, MunicipalityKey};
use stafett_protocol::event::{Body, Receipt, Record};
use stafett_protocol::handover::Part;
use stafett_protocol::ids::{LogId, Millis, Municipality, ScopeId, bytes_from_hex, from_hex, to_hex};
use stafett_protocol::membership::{Member, Role, ScopeKind};
use stafett_protocol::policy::Context;
use stafett_protocol::refusal::Refusal;
use stafett_protocol::replica::{self, Replica, first_home, first_standing};
use stafett_protocol::signed::Signed;
use stafett_protocol::state::{GrantStanding, ScopeState, Status};
use stafett_protocol::statement::Statement;
use std::collections::BTreeMap;

/// What a replay found, of what, and what it could not look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub log: LogId,
    /// The keys that everything was held against.
    pub municipalities: Vec<MunicipalityKey>,
    /// What there was to look at. That there is no more, nothing here shows.
    pub scopes: Vec<Seen>,
    pub events: usize,
    /// Rules asked.
    pub checks: usize,
    pub violations: Vec<Violation>,
    pub forks: Vec<Fork>,
    pub unchecked: Vec<&'static str>,
}

/// A scope whose records were there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub scope: ScopeId,
    /// As its first record says; nothing where that cannot be read.
    pub kind: Option<ScopeKind>,
    pub records: usize,
    pub from: Millis,
    pub to: Millis,
}

/// What no replay can see: words of `docs/protocol.md`, in the catalogue as `word.<…>`.
const NEVER_CHECKED: [&str; 4] = ["absent-scopes", "later-records", "sealed-content", "members-only"];
/// How an exported file begins.
const FORMAT: &str = "stafett-audit-1";
/// Of a file: its keys are those that its writer put there.
const KEYS_OF_THE_FILE: &str = "municipality-keys";

/// Of a device that the home shows some parts no more.
const UNSEEN_PARTS: &str = "unseen-parts";

/// Two signatures of the home that cannot both be true of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    pub scope: ScopeId,
    /// Where the second names another head.
    pub seq: u64,
    /// The receipt that covers the chain at hand, and the one that contradicts it.
    pub receipts: [Signed<Receipt>; 2],
}

impl Report {
    /// As people and scripts are told.
    #[must_use]
    pub fn answer(&self) -> answer::Report {
        let held = |m: &MunicipalityKey| answer::HeldAgainst {
            number: m.number,
            key: to_hex(&m.key),
            fingerprint: key_hash(&m.key).to_string(),
        };
        let seen = |s: &Seen| answer::SeenPart {
            scope: s.scope.to_string(),
            kind: s.kind.map(Into::into),
            records: s.records,
            from: Moment::at(s.from),
            to: Moment::at(s.to),
        };
        let fork = |f: &Fork| answer::Fork {
            scope: f.scope.to_string(),
            seq: f.seq,
            receipts: f.receipts.iter().map(|receipt| to_hex(&encode(receipt))).collect(),
        };
        answer::Report {
            log: self.log.to_string(),
            municipalities: self.municipalities.iter().map(held).collect(),
            scopes: self.scopes.iter().map(seen).collect(),
            from: self.scopes.iter().map(|s| s.from).min().map(Moment::at),
            to: self.scopes.iter().map(|s| s.to).max().map(Moment::at),
            events: self.events,
            checks: self.checks,
            violations: self.violations.clone(),
            unchecked: self.unchecked.iter().map(|word| (*word).into()).collect(),
            forks: self.forks.iter().map(fork).collect(),
        }
    }

    /// Of these parts the home shows this device nothing more: who has left them since, it cannot know. All else that their
    /// records say stands.
    pub fn leave_open(&mut self, unseen: &[ScopeId]) {
        if unseen.is_empty() {
            return;
        }
        let unseen: Vec<String> = unseen.iter().map(ToString::to_string).collect();
        let rule = Word::from(AuditRule::ConcernWithoutCard);
        self.violations.retain(|v| v.rule != rule || !unseen.contains(&v.scope));
        self.unchecked.push(UNSEEN_PARTS);
    }

    fn check(&mut self, scope: ScopeId, seq: u64, holds: bool, rule: impl Into<Word>) {
        self.checks += 1;
        if !holds {
            self.violations.push(Violation { scope: scope.to_string(), seq, rule: rule.into() });
        }
    }
}

/// The word for a statement in histories.
pub fn statement_word(statement: &Statement) -> &'static str {
    match statement {
        Statement::Grant(_) => "consent",
        Statement::Attested(_) => "consent on paper",
        Statement::Withdrawal(_) => "withdrawal",
        Statement::EmployeeEnd(_) => "assignment ended",
        Statement::AuthorityChange(_) => "authority changed",
        Statement::PersonKeyChange(_) => "key changed",
        Statement::Reject(_) => "commit rejected",
        Statement::LinkRepair(_) => "key chain repaired",
        Statement::Deletion(_) => "deletion receipt",
        Statement::Close(_) => "closed or reopened",
        Statement::Takeover(_) => "taken over",
        Statement::Objection(_) => "decision objected to",
    }
}

/// Replays records of one log. They may come in any order; each scope's must be whole.
pub fn verify(records: &[Record], trusted: &Municipalities, home: Municipality, log: LogId) -> Report {
    let mut report = Report {
        log,
        municipalities: trusted.0.clone(),
        events: records.len(),
        unchecked: NEVER_CHECKED.to_vec(),
        ..Report::default()
    };
    let mut order: Vec<(u64, bool, ScopeId, &Record)> = vec![];
    let mut cards: Vec<ScopeId> = vec![];
    let mut seen: BTreeMap<ScopeId, Seen> = BTreeMap::new();
    for record in records {
        let Ok(event) = record.event.peek() else {
            report.check(ScopeId::default(), record.seq, false, AuditRule::Malformed);
            continue;
        };
        if matches!(&event.body, Body::Genesis(g) if g.log_salt.is_some()) && !cards.contains(&event.scope) {
            cards.push(event.scope);
        }
        let first = Seen { scope: event.scope, kind: None, records: 0, from: record.time, to: record.time };
        let one = seen.entry(event.scope).or_insert(first);
        (one.records, one.from, one.to) = (one.records + 1, one.from.min(record.time), one.to.max(record.time));
        order.push((record.time, false, event.scope, record));
    }
    // Without these, "no rule is broken" would be said of nothing.
    report.check(ScopeId::default(), 0, !records.is_empty(), AuditRule::NoRecords);
    report.check(ScopeId::default(), 0, !cards.is_empty(), AuditRule::NoCard);
    report.check(ScopeId::default(), 0, cards.len() < 2, AuditRule::TwoCards);
    for (_, other, scope, _) in &mut order {
        *other = !cards.contains(scope);
    }
    // The card first where times are equal: what a bundle founds together stands on it.
    order.sort_by_key(|(time, other, scope, record)| (*time, *other, *scope, record.seq));
    let mut replicas: BTreeMap<ScopeId, Replica> = BTreeMap::new();
    for (time, _, scope, record) in order {
        let taken = replay(&mut replicas, &cards, scope, record, trusted, home, time);
        report.check(scope, record.seq, taken.is_ok(), taken.err().map_or("", Refusal::code));
        if taken.is_ok()
            && let Some(replica) = replicas.get(&scope)
        {
            check_state(&mut report, replica.state(), log, time);
        }
    }
    check_subset(&mut report, &replicas, &cards);
    report.scopes = seen.into_values().collect();
    for one in &mut report.scopes {
        one.kind = replicas.get(&one.scope).map(|replica| replica.state().kind());
    }
    report
}

fn replay(
    replicas: &mut BTreeMap<ScopeId, Replica>,
    cards: &[ScopeId],
    scope: ScopeId,
    record: &Record,
    trusted: &Municipalities,
    home: Municipality,
    now: u64,
) -> Result<(), Refusal> {
    let mut own = replicas.remove(&scope);
    let card = cards.iter().find(|c| **c != scope).and_then(|c| replicas.get(c)).map(Replica::state);
    // Each record is judged by its scope's own home; a log that moves changes it on the way.
    let home = own.as_ref().map(|r| r.state().membership.home).or_else(|| first_home(record).ok()).unwrap_or(home);
    let context = Context { now, home, trusted, card };
    let taken = match &mut own {
        Some(replica) => replica.take(record.clone(), &context).map(drop),
        None => replica::found(record.clone(), &context).map(|(replica, _)| own = Some(replica)),
    };
    if let Some(replica) = own {
        replicas.insert(scope, replica);
    }
    taken
}

/// Invariants over every state on the way.
fn check_state(report: &mut Report, state: &ScopeState, log: LogId, now: u64) {
    let (scope, seq) = (state.scope(), state.position.seq);
    report.check(scope, seq, state.log() == log, AuditRule::OtherLog);
    // After a re-founding the holder may not be back yet; an orphaned scope may have got none, and is frozen.
    let holders = state.present().filter(|m| m.role == Role::Holder).count();
    let withdrawn = state.status == Status::Withdrawn;
    let heirs = holders == 0 && state.membership.generation > 1 && state.status == Status::Dormant;
    // What was closed in a handover has its former holder as archivist, until the family ends that, too. The card,
    // which says who holds, is never closed so.
    let archived = holders == 0 && state.status == Status::Closed && state.kind() != ScopeKind::Card;
    report.check(scope, seq, holders == 1 || withdrawn || heirs || archived, AuditRule::OneHolder);
    let listed = state.listed_at(now);
    for member in &state.membership.members {
        let leaving = member.devices.iter().all(|d| listed.contains(d));
        let basis = match member.role {
            Role::Guardian | Role::Child => state.authority().key(member.person) == Some(&member.person_key),
            // A holder whose grant is gone stays in name: the scope is dormant then.
            Role::Holder => state.grant(&member.basis).is_some(),
            Role::Archivist => true,
            _ => state.grant(&member.basis).is_some_and(|g| g.standing(now) == GrantStanding::InForce),
        };
        report.check(scope, seq, leaving || basis, AuditRule::LeafWithoutBasis);
    }
}

/// members(concern) ⊆ members(card), listed leaves counted as gone. Where the family took a concern from its holder, the
/// holder stays so in name, frozen, also after the baton of the log has gone to somebody else. Whoever came onto the card
/// with a commit that was rejected comes in again on the same consent, and is served nothing until then.
fn check_subset(report: &mut Report, replicas: &BTreeMap<ScopeId, Replica>, cards: &[ScopeId]) {
    let Some(card) = cards.iter().find_map(|c| replicas.get(c)).map(Replica::state) else {
        return;
    };
    // What is closed keeps those who were there.
    let open = |s: &&ScopeState| s.kind() == ScopeKind::Concern && s.status != Status::Closed;
    for state in replicas.values().map(Replica::state).filter(open) {
        let listed = state.listed_at(state.time);
        let dormant = state.status_at(state.time.max(card.time)) == Status::Dormant;
        for member in &state.membership.members {
            let gone = member.devices.iter().all(|d| listed.contains(d));
            let there = card.membership.member(member.person).is_some() || (dormant && member.role == Role::Holder);
            let there = gone || there || (card.membership.generation > 1 && stands_on_card(card, state, member));
            report.check(state.scope(), state.position.seq, there, AuditRule::ConcernWithoutCard);
        }
    }
}

/// Whether a professional's consent in this concern names somebody whom the card's consents name: after a re-founding of the
/// card they may still be on their way back there.
fn stands_on_card(card: &ScopeState, concern: &ScopeState, member: &Member) -> bool {
    let party = concern.grant(&member.basis).map(|fact| &fact.grant.grantee).filter(|_| !member.role.is_family());
    party.is_some_and(|party| card.grants_in_force(card.time).any(|g| g.grant.grantee.is_same_party(party)))
}

/// A file that anyone can verify: records, receipts and municipality keys, in hexadecimal. Sealed content
/// stays in, since the heads cover it; the export holds no key to it.
pub fn export(
    records: &[Record],
    receipts: Vec<Signed<Receipt>>,
    trusted: &Municipalities,
    log: LogId,
) -> answer::Export {
    let exported = |m: &MunicipalityKey| ExportedKey { number: m.number, key: to_hex(&m.key) };
    answer::Export {
        format: FORMAT.to_owned(),
        log: log.to_string(),
        municipalities: trusted.0.iter().map(exported).collect(),
        records: records.iter().map(|r| to_hex(&encode(r))).collect(),
        receipts: receipts.iter().map(|r| to_hex(&encode(r))).collect(),
    }
}

/// Verifies an exported file. The municipality keys in it are those that the exporter believed, or invented: the report
/// names them, so that somebody compares them with the municipality's own (`stafettd peer show`).
pub fn verify_export(file: &Value) -> Result<Report, String> {
    if file["format"] != FORMAT {
        return Err("this is not an audit export of a version that this program knows".into());
    }
    let log: LogId = file["log"].as_str().and_then(|t| t.parse().ok()).ok_or("the file names no log")?;
    let hex = |v: &Value| v.as_str().and_then(bytes_from_hex).ok_or("the file is damaged".to_owned());
    let list = |name: &str| file[name].as_array().ok_or(format!("the file has no {name}"));
    let mut named: Vec<MunicipalityKey> = vec![];
    for m in list("municipalities")? {
        let key = m["key"].as_str().and_then(from_hex::<32>).ok_or("a municipality key is damaged")?;
        let number = m["number"].as_u64().and_then(|n| n.try_into().ok()).ok_or("a municipality has no number")?;
        named.push(MunicipalityKey { number, key });
    }
    let mut records: Vec<Record> = vec![];
    for value in list("records")? {
        records.push(decode(&hex(value)?).map_err(|e| e.to_string())?);
    }
    let mut receipts: Vec<Signed<Receipt>> = vec![];
    for value in list("receipts")? {
        receipts.push(decode(&hex(value)?).map_err(|e| e.to_string())?);
    }
    let home = named.first().map(|m| m.number).ok_or("the file names no municipality")?;
    // A second key for a home is a second home: whoever cuts a chain could sign what is left with a key of their own.
    let twice = |m: &MunicipalityKey| named.iter().filter(|n| n.number == m.number || n.key == m.key).count() > 1;
    let trusted = Municipalities(named.iter().filter(|m| !twice(m)).cloned().collect());
    let mut report = verify(&records, &trusted, home, log);
    report.check(ScopeId::default(), 0, !named.iter().any(twice), AuditRule::NamedTwice);
    report.municipalities = named;
    report.unchecked.insert(0, KEYS_OF_THE_FILE);
    check_receipts(&mut report, &receipts, &records, &trusted);
    Ok(report)
}

/// Compares what the home has signed with the records. A receipt that contradicts them, beside one that covers
/// them, is proof of two histories.
pub fn check_receipts(report: &mut Report, receipts: &[Signed<Receipt>], records: &[Record], trusted: &Municipalities) {
    let stand: Vec<bool> = receipts.iter().map(|r| check_receipt(report, r, records, trusted)).collect();
    check_covered(report, receipts, &stand, records);
    let ours: Vec<&Signed<Receipt>> = receipts.iter().zip(&stand).filter_map(|(r, fits)| fits.then_some(r)).collect();
    for (receipt, _) in receipts.iter().zip(&stand).filter(|(_, fits)| !**fits) {
        let Some((_, theirs)) = signed_by(receipt, trusted) else { continue };
        let covers = |r: &Receipt| r.scope == theirs.scope && r.position.seq >= theirs.position.seq;
        if let Some(covering) = ours.iter().find(|r| r.peek().is_ok_and(|r| covers(&r))) {
            let receipts = [(*covering).clone(), receipt.clone()];
            let fork = Fork { scope: theirs.scope, seq: theirs.position.seq, receipts };
            if !report.forks.contains(&fork) {
                report.forks.push(fork);
            }
        }
    }
}

fn signed_by(receipt: &Signed<Receipt>, trusted: &Municipalities) -> Option<(Municipality, Receipt)> {
    trusted.0.iter().find_map(|m| receipt.verify(&m.key).ok().map(|r| (m.number, r)))
}

/// Whose word a chain is at a place, and under which home epoch: a commit that moves it is the old home's last.
fn home_at(chain: &[&Record], seq: u64) -> Option<(Municipality, u32)> {
    let mut home = first_standing(chain.first()?).ok()?;
    for record in chain.iter().take_while(|r| r.seq < seq) {
        let Ok(Body::Commit(commit)) = record.event.peek().map(|e| e.body) else { continue };
        let offer = commit.handover.and_then(|h| h.offer.offer.peek().ok());
        // A baton that stays in its municipality moves no home.
        let moves = offer.filter(|o| o.part == Part::Moves && o.to.municipality != home.0);
        home = moves.map_or(home, |o| (o.to.municipality, home.1.saturating_add(1)));
    }
    Some(home)
}

fn check_receipt(report: &mut Report, receipt: &Signed<Receipt>, records: &[Record], trusted: &Municipalities) -> bool {
    let Some((signer, receipt)) = signed_by(receipt, trusted) else {
        report.check(ScopeId::default(), 0, false, AuditRule::ReceiptNotOfHome);
        return false;
    };
    let mut chain: Vec<&Record> =
        records.iter().filter(|r| r.event.peek().is_ok_and(|e| e.scope == receipt.scope)).collect();
    let (scope, seq) = (receipt.scope, receipt.position.seq);
    report.check(scope, seq, !chain.is_empty(), AuditRule::ScopeLeftOut);
    chain.sort_by_key(|r| r.seq);
    let homes = [home_at(&chain, seq), home_at(&chain, u64::MAX)];
    let ours = homes.contains(&Some((signer, receipt.home_epoch)));
    report.check(scope, seq, ours, AuditRule::ReceiptNotOfHome);
    let covered: Vec<&&Record> = chain.iter().take_while(|r| r.seq <= seq).collect();
    let there = covered.last().is_some_and(|r| (r.seq, r.time) == (seq, receipt.time));
    let head = covered.iter().fold(stafett_protocol::ids::Hash::default(), |head, r| r.head_after(&head));
    let stands = there && head == receipt.position.head;
    report.check(scope, seq, stands, AuditRule::AnotherHistory);
    stands && ours
}

/// What no receipt covers is a member's word alone: whoever passes a file on may have put it there.
fn check_covered(report: &mut Report, receipts: &[Signed<Receipt>], stand: &[bool], records: &[Record]) {
    let mut ends: BTreeMap<ScopeId, u64> = BTreeMap::new();
    for (record, event) in records.iter().filter_map(|r| Some((r, r.event.peek().ok()?))) {
        let end = ends.entry(event.scope).or_default();
        *end = record.seq.max(*end);
    }
    let standing: Vec<Receipt> =
        receipts.iter().zip(stand).filter(|(_, fits)| **fits).filter_map(|(r, _)| r.peek().ok()).collect();
    for (scope, end) in ends {
        let covered = standing.iter().any(|r| r.scope == scope && r.position.seq >= end);
        report.check(scope, end, covered, AuditRule::NoReceipt);
    }
}
