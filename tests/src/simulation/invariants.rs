//! What must hold after every step (design `quality.md`, Invariants). Every check reads the world from outside: the
//! home's chains, what devices report, what lies on their disks.

use super::world::{FATHER, MOTHER, TEACHER, World};
use crate::model_net::Net as _;
use stafett_client_core::client::input::Command as C;
use stafett_client_core::client::{Report, Standing};
use stafett_client_core::rows::Space;
use stafett_protocol::codec::encode;
use stafett_protocol::ids::{DeviceId, Hash, ScopeId};
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::state::ScopeState;
use std::collections::BTreeMap;

/// Reports of every device, by scope.
type Reports = BTreeMap<ScopeId, Vec<(usize, Report)>>;

fn reports(world: &World) -> Reports {
    let mut all = Reports::new();
    for (at, node) in world.nodes.iter().enumerate() {
        for report in node.device.client.standings() {
            all.entry(report.scope).or_default().push((at, report));
        }
    }
    all
}

/// The scopes that the last step touched. Answers how many checks were made.
pub fn check_touched(world: &mut World) -> Result<u64, String> {
    let scopes: Vec<ScopeId> = world.touched.iter().copied().collect();
    let reports = reports(world);
    check_scopes(world, &scopes, &reports)
}

/// Everything, in a world that has come to rest.
pub fn check_all(world: &mut World) -> Result<u64, String> {
    let scopes: Vec<ScopeId> = world.home.scopes.keys().copied().collect();
    let reports = reports(world);
    let checks = check_scopes(world, &scopes, &reports)?;
    for scope in &scopes {
        everyone_has_all(world, *scope, reports.get(scope).map_or(&[], Vec::as_slice))?;
    }
    nothing_written_is_lost(world)?;
    the_family_sees_the_same(world)?;
    the_audit_finds_nothing(world)?;
    the_home_read_nothing(world)?;
    Ok(checks + scopes.len() as u64 + 4)
}

fn check_scopes(world: &mut World, scopes: &[ScopeId], reports: &Reports) -> Result<u64, String> {
    if let Some(fork) = world.forks.first() {
        return Err(format!("the home signed {fork}"));
    }
    for scope in scopes {
        let here = reports.get(scope).map_or(&[][..], Vec::as_slice);
        let Some(chain) = world.home.scopes.get(scope) else { continue };
        let state = chain.replica.state();
        one_holder(state)?;
        everyone_is_let_in(state, world.home.now())?;
        heads_agree(world, *scope, here)?;
        documents_agree(world, here)?;
        cut_off(world, *scope, here)?;
    }
    acknowledged_stands(world, scopes)?;
    Ok(scopes.len() as u64 * 5)
}

/// SP15, C1: exactly one holder a log.
fn one_holder(state: &ScopeState) -> Result<(), String> {
    let in_log = matches!(state.kind(), ScopeKind::Card | ScopeKind::Journal | ScopeKind::Concern);
    let holders = state.membership.members.iter().filter(|m| m.role == Role::Holder).count();
    if in_log && holders != 1 {
        return Err(format!("{holders} holders in {}", state.scope()));
    }
    Ok(())
}

/// SP7: no leaf without what lets it in, listed leaves excepted.
fn everyone_is_let_in(state: &ScopeState, now: u64) -> Result<(), String> {
    let listed = state.listed_at(now);
    for member in &state.membership.members {
        if member.devices.iter().all(|d| listed.contains(d)) {
            continue;
        }
        let in_force = |basis: &Hash| {
            let fact = state.grants.iter().find(|g| g.id == *basis);
            fact.is_some_and(|g| g.ended_at == 0 && now < g.grant.expires_at && !g.signers.is_empty())
        };
        let stands = match member.role {
            Role::Guardian | Role::Child => state.authority().key(member.person) == Some(&member.person_key),
            Role::Actor | Role::Reader | Role::Custodian => in_force(&member.basis),
            Role::Holder => state.grants.iter().any(|g| g.id == member.basis),
            _ => true,
        };
        if !stands {
            return Err(format!("a {:?} of {} stands on nothing", member.role, state.scope()));
        }
    }
    Ok(())
}

/// SP10: where two know the same seq, they know the same head.
fn heads_agree(world: &mut World, scope: ScopeId, reports: &[(usize, Report)]) -> Result<(), String> {
    let records = &world.home.scopes[&scope].records;
    let heads = world.chain_heads.entry(scope).or_insert_with(|| vec![Hash::default()]);
    for record in &records[heads.len() - 1..] {
        let head = heads.last().map_or_else(Hash::default, |before| record.head_after(before));
        heads.push(head);
    }
    for (at, report) in reports {
        // A removed device is handed its removal alone, which is no place in its chain.
        let there = heads.get(report.position.seq as usize);
        if report.standing != Standing::Withdrawn && there != Some(&report.position.head) {
            return Err(format!("device {at} knows another history of {scope} at {}", report.position.seq));
        }
    }
    for ((_, seq), named) in world.heads.range((scope, 0)..=(scope, u64::MAX)) {
        if heads.get(*seq as usize).is_some_and(|h| h.0 != *named) {
            return Err(format!("a receipt of {scope} at {seq} is not of this chain"));
        }
    }
    Ok(())
}

/// SP22, SP24: documents of two devices with the same events are identical, quarantine included.
fn documents_agree(world: &World, reports: &[(usize, Report)]) -> Result<(), String> {
    let readable = |r: &Report| r.standing == Standing::Member && r.unopened == 0;
    let mut first: BTreeMap<u64, (usize, &Report)> = BTreeMap::new();
    for (at, report) in reports.iter().filter(|(_, r)| readable(r)) {
        let (other, known) = *first.entry(report.position.seq).or_insert((*at, report));
        if known.heads != report.heads || known.quarantined != report.quarantined {
            let person = |n: usize| world.nodes[n].person;
            return Err(format!(
                "devices {other} (person {}) and {at} (person {}) have different documents of {} at {}",
                person(other),
                person(*at),
                report.scope,
                report.position.seq
            ));
        }
    }
    Ok(())
}

/// SP3: who has lost access reads nothing that is accepted afterwards.
fn cut_off(world: &mut World, scope: ScopeId, reports: &[(usize, Report)]) -> Result<(), String> {
    let chain = &world.home.scopes[&scope];
    let (state, now) = (chain.replica.state(), world.home.now());
    for (at, report) in reports {
        let Some(device) = world.nodes[*at].device.id else { continue };
        let key = (device, scope);
        if state.may_read(device, now) {
            world.cut_off.remove(&key);
            continue;
        }
        let here = *world.cut_off.entry(key).or_insert(state.position.seq);
        if report.standing == Standing::Member && report.position.seq > here {
            return Err(format!("device {at} read on in {scope} after it lost access at {here}"));
        }
    }
    Ok(())
}

/// SP18: what was acknowledged stands where the receipt says.
fn acknowledged_stands(world: &World, scopes: &[ScopeId]) -> Result<(), String> {
    for scope in scopes {
        for ((_, seq), (device, counter)) in world.acknowledged.range((*scope, 0)..=(*scope, u64::MAX)) {
            let record = world.home.scopes.get(scope).and_then(|c| c.records.get(*seq as usize - 1));
            let event = record.and_then(|r| r.event.peek().ok());
            if event.is_none_or(|e| (e.device, e.counter) != (*device, *counter)) {
                return Err(format!("an acknowledged event of {scope} at {seq} is gone"));
            }
        }
    }
    Ok(())
}

/// In a world at rest every member's device has everything.
fn everyone_has_all(world: &World, scope: ScopeId, reports: &[(usize, Report)]) -> Result<(), String> {
    let chain = &world.home.scopes[&scope];
    let state = chain.replica.state();
    for (at, node) in world.nodes.iter().enumerate().filter(|(_, n)| !n.removed) {
        let Some(device) = node.device.id.filter(|d| state.may_read(*d, world.home.now())) else { continue };
        let Some((_, report)) = reports.iter().find(|(n, _)| *n == at) else {
            if node.restored {
                continue;
            }
            return Err(format!("device {at} does not know {scope}, where it has a leaf ({})", DeviceId(device.0)));
        };
        if report.standing != Standing::Member || report.position != state.position || report.unopened > 0 {
            return Err(format!(
                "device {at} is behind in {scope} at rest: {report:?}, home at {:?}\n{}",
                state.position,
                node.device.last_problem()
            ));
        }
    }
    Ok(())
}

fn holds(value: &[u8], text: &str) -> bool {
    value.windows(text.len()).any(|part| part == text.as_bytes())
}

/// SP23: what a device has taken is in the log, or with its writer as a draft with its reason.
fn nothing_written_is_lost(world: &mut World) -> Result<(), String> {
    let mother = world.nodes.iter().position(|n| n.person == MOTHER && !n.removed).expect("the mother");
    let mut shown = String::new();
    for concern in world.logs.iter().flat_map(|l| l.concerns.clone()).collect::<Vec<_>>() {
        shown.push_str(&world.ask(mother, C::ConcernShow { concern }).map(|v| v.to_string()).unwrap_or_default());
        shown.push('\n');
    }
    for written in world.written.clone() {
        let word = format!("\"{}\"", written.text);
        let times = shown.matches(&word).count();
        let disk = &world.nodes[written.node].device.disk;
        let kept = |space: Space| disk.iter().any(|((s, _), v)| *s == space as u8 && holds(v, &written.text));
        let gone_with_device = world.nodes[written.node].removed;
        let waits = world.nodes[written.node].device.client.standings().iter().any(|r| r.pending > 0);
        let queued = waits && kept(Space::Document);
        if times > 1 {
            return Err(format!("{} stands {times} times", written.text));
        }
        if times == 0 && !kept(Space::Draft) && !queued && !written.forgotten && !gone_with_device {
            return Err(format!("{} by device {} has vanished", written.text, written.node));
        }
    }
    Ok(())
}

/// What is shown of an entry that waits on one device is that device's alone.
fn the_family_sees_the_same(world: &mut World) -> Result<(), String> {
    for concern in world.logs.iter().flat_map(|l| l.concerns.clone()).collect::<Vec<_>>() {
        let mut seen: Option<serde_json::Value> = None;
        for person in [TEACHER, MOTHER, FATHER] {
            let node = world.nodes.iter().position(|n| n.person == person && !n.removed).expect("joined");
            let mut standings = world.nodes[node].device.client.standings().into_iter();
            let waits = standings.any(|r| r.scope.to_string() == concern && r.pending > 0);
            let Ok(show) = world.ask(node, C::ConcernShow { concern: concern.clone() }) else { continue };
            let part = serde_json::json!([show["title"], show["goal"], show["measures"], show["glimpses"]]);
            match &seen {
                _ if waits => {}
                Some(before) if *before != part => return Err(format!("{concern} looks different: {before} / {part}")),
                _ => seen = Some(part),
            }
        }
    }
    Ok(())
}

/// The audit replays every chain and finds no rule broken.
fn the_audit_finds_nothing(world: &mut World) -> Result<(), String> {
    for log in world.logs.iter().map(|l| l.log.clone()).collect::<Vec<_>>() {
        for person in [TEACHER, MOTHER, FATHER] {
            let node = world.nodes.iter().position(|n| n.person == person && !n.removed).expect("joined");
            let audit = world.ask(node, C::AuditVerify { log: log.clone() }).map_err(|e| format!("audit: {e:?}"))?;
            if audit["violations"].as_array().is_none_or(|v| !v.is_empty()) {
                return Err(format!("the audit says {}", audit["violations"]));
            }
        }
    }
    Ok(())
}

/// SP1: nothing that people wrote is readable at the home.
fn the_home_read_nothing(world: &World) -> Result<(), String> {
    for chain in world.home.scopes.values() {
        for record in &chain.records {
            let bytes = encode(record);
            if let Some(written) = world.written.iter().find(|w| holds(&bytes, &w.text)) {
                return Err(format!("the home can read {}", written.text));
            }
        }
    }
    Ok(())
}
