//! What must hold in a world that has come to rest: every fault has ended, and everybody has synced (design
//! `docs/architecture.md`, What must stay true).

use super::invariants::{check_scopes, reports};
use super::node::Node;
use super::world::World;
use crate::insider::Insider;
use crate::model::net::Net as _;
use stafett_client_core::client::input::Command as C;
use stafett_client_core::client::{Report, Standing};
use stafett_client_core::rows::Space;
use stafett_protocol::codec::encode;
use stafett_protocol::event::Body;
use stafett_protocol::ids::{DeviceId, PersonId, PublicKey, ScopeId};
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::state::{ScopeState, Status};
use std::collections::BTreeSet;

/// Everything, in a world that has come to rest. Answers how many checks were made.
pub fn check_all(world: &mut World) -> Result<u64, String> {
    let checks: u64 = world.in_each_history(check_history).into_iter().sum::<Result<_, _>>()?;
    nothing_written_is_lost(world)?;
    if world.hostile.is_some() {
        everybody_writes_on(world)?;
    }
    Ok(checks + 1)
}

fn check_history(world: &mut World) -> Result<u64, String> {
    let scopes: Vec<ScopeId> = world.history.home.scopes().into_iter().collect();
    let reports = reports(world);
    let checks = check_scopes(world, &scopes, &reports)?;
    for scope in &scopes {
        the_family_is_in(world, *scope)?;
        everyone_has_all(world, *scope, reports.get(scope).map_or(&[], Vec::as_slice))?;
    }
    the_family_sees_the_same(world)?;
    the_audit_finds_nothing(world)?;
    the_home_read_nothing(world)?;
    Ok(checks + scopes.len() as u64 + 3)
}

/// In a world at rest every member's device has everything.
fn everyone_has_all(world: &World, scope: ScopeId, reports: &[(usize, Report)]) -> Result<(), String> {
    let state = world.history.home.chain(scope).expect("is somewhere").replica.state();
    if !world.history.home.all().any(|h| h.serves(scope)) {
        return Err(format!("{scope} has no home at rest"));
    }
    for (at, node) in world.nodes.iter().enumerate().filter(|(at, n)| !n.removed && world.is_here(*at)) {
        if node.device.id.is_none_or(|d| !state.may_read(d, world.history.home.now())) {
            continue;
        }
        let Some((_, report)) = reports.iter().find(|(n, _)| *n == at) else {
            // Known limit (decision 17): a backup from before the first invitation to another municipality has no line there.
            if node.lines.as_ref().is_some_and(|lines| !lines.contains(&state.membership.home)) {
                continue;
            }
            return Err(format!(
                "device {at} of person {} does not know the {:?} {scope} of home {}, where it has a leaf: {}",
                node.person,
                state.kind(),
                state.membership.home,
                node.device.last_problem()
            ));
        };
        // A withdrawal that came by letter holds, though the history that this home shows here does not know it.
        let ended_elsewhere = node.device.id.is_some_and(|device| world.ended_on_the_other_side(scope, device));
        if report.standing == Standing::Withdrawn && ended_elsewhere {
            continue;
        }
        // Whoever could mend the key chain may be kept apart on the other side.
        let unmended = world.other.is_some() && !state.gaps.is_empty();
        let unopened = report.unopened > lost_to_all(world, scope) && !unmended;
        if report.standing != Standing::Member || report.position != state.position || unopened {
            return Err(format!(
                "device {at} of person {} is behind in {scope} at rest: {report:?}, home at {:?}: {}\n{}",
                node.person,
                state.position,
                who_is_where(world, &state.log().to_string()),
                node.device.last_problem()
            ));
        }
    }
    Ok(())
}

/// Changes of which no device in the world has the key: whoever wrote them was put back to an old backup before anybody else was
/// let in.
fn lost_to_all(world: &World, scope: ScopeId) -> usize {
    let somebodys = |generation: u32, epoch: u64| {
        let has = |node: &Node| Insider::of(&node.device, &scope.to_string()).key(generation, epoch).is_some();
        world.nodes.iter().any(has)
    };
    let events = world.history.home.chain(scope).into_iter().flat_map(|chain| &chain.records);
    let events = events.filter_map(|record| record.event.peek().ok());
    events.filter(|e| matches!(e.body, Body::Change(_)) && !somebodys(e.generation, e.epoch)).count()
}

/// Begun by one person, who was ended or put out of the log before anybody was let in: it is lost with them, and holds up
/// nobody.
fn is_lost(world: &World, state: &ScopeState) -> bool {
    let never_shared = (state.membership.generation, state.epoch) == (1, 0);
    let ended = |key: &PublicKey| world.history.home.all().any(|home| home.has_ended(DeviceId::of_key(key)));
    let card = state.card.and_then(|card| world.history.home.chain(card)).map(|chain| chain.replica.state());
    let out = || card.is_some_and(|card| state.present().all(|m| card.membership.member(m.person).is_none()));
    never_shared && (state.membership.devices().all(ended) || out())
}

/// Nobody puts the family out: in what is not closed everybody of the authority has a place.
fn the_family_is_in(world: &World, scope: ScopeId) -> Result<(), String> {
    let state = world.history.home.chain(scope).expect("is somewhere").replica.state();
    // Of a home that leads a double life nobody whom it keeps apart can be let in on the other side.
    let apart = world.other.is_some();
    if apart || state.kind() == ScopeKind::Unit || state.status == Status::Closed || is_lost(world, state) {
        return Ok(());
    }
    let named: BTreeSet<String> = state.authority().persons().map(|p| p.person.to_string()).collect();
    let theirs = world.logs.iter().find(|l| l.log == state.log().to_string()).map(|l| l.guardians);
    let theirs: BTreeSet<String> = theirs.into_iter().flatten().map(|person| world.persons[person].clone()).collect();
    if !theirs.is_empty() && named != theirs {
        return Err(format!("{named:?} decide for the family in the {:?} {scope}, and not {theirs:?}", state.kind()));
    }
    let out = state.authority().persons().find(|p| state.membership.member(p.person).is_none());
    let named = |person: String| world.persons.iter().position(|p| *p == person);
    out.map_or(Ok(()), |p| {
        let person = named(p.person.to_string());
        let who = who_is_where(world, &state.log().to_string());
        let told: Vec<_> = world.nodes.iter().map(|n| (n.person, n.device.last_problem())).collect();
        Err(format!(
            "person {person:?} of the family is out of the {:?} {scope} at rest: {who}; {told:?}",
            state.kind()
        ))
    })
}

/// Whatever a hostile member has done: who holds a log writes in each of its concerns that is open, and the family reads it.
fn everybody_writes_on(world: &mut World) -> Result<(), String> {
    let mut expected = vec![];
    for (n, (log, guardians, concerns)) in
        world.logs.iter().map(|l| (l.log.clone(), l.guardians, l.concerns.clone())).enumerate().collect::<Vec<_>>()
    {
        let holder = world.node(world.holder(&log));
        for concern in concerns {
            let said = format!("etterpå{n}");
            if world.ask(holder, C::Glimpse { concern: concern.clone(), text: said.clone() }).is_ok() {
                expected.push((concern, said, guardians));
            }
        }
    }
    world.sync_all(3);
    for (concern, said, guardians) in expected {
        for node in guardians.map(|person| world.node(person)) {
            let seen = world.ask(node, C::ConcernShow { concern: concern.clone() });
            if !seen.as_ref().is_ok_and(|v| v.to_string().contains(&said)) {
                let own = world.nodes[node].device.client.standings();
                return Err(format!("device {node} does not see what the holder wrote in {concern}: {own:?}"));
            }
        }
    }
    Ok(())
}

fn holds(value: &[u8], text: &str) -> bool {
    value.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Every concern as a device shows it.
pub fn shown(world: &mut World, node: usize) -> String {
    let mut shown = String::new();
    for concern in world.logs.iter().flat_map(|l| l.concerns.clone()).collect::<Vec<_>>() {
        shown.push_str(&world.ask(node, C::ConcernShow { concern }).map(|v| v.to_string()).unwrap_or_default());
        shown.push('\n');
    }
    shown
}

/// SP23: what a device has taken is in the log, or with its writer as a draft with its reason.
fn nothing_written_is_lost(world: &mut World) -> Result<(), String> {
    let whole = (0..world.nodes.len()).filter(|n| !world.nodes[*n].removed);
    let shown: Vec<String> = whole.collect::<Vec<_>>().into_iter().map(|node| shown(world, node)).collect();
    for written in world.written.clone() {
        let word = format!("\"{}\"", written.text);
        let times = shown.iter().map(|all| all.matches(&word).count()).max().unwrap_or_default();
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
    let places = world.logs.iter().flat_map(|l| l.concerns.iter().map(|c| (l.log.clone(), l.guardians, c.clone())));
    for (log, [mother, father], concern) in places.collect::<Vec<_>>() {
        let mut seen: Option<(serde_json::Value, Report)> = None;
        for person in [world.holder(&log), mother, father] {
            let node = world.node(person);
            if !world.is_here(node) {
                continue;
            }
            let standings = world.nodes[node].device.client.standings();
            let Some(own) = standings.into_iter().find(|r| r.scope.to_string() == concern) else { continue };
            // A device that was put back to an old backup may have left since: nothing more is shown to it.
            let now = world.history.home.now();
            let reads = |d| world.history.home.chain(own.scope).is_some_and(|c| c.replica.state().may_read(d, now));
            if !world.nodes[node].device.id.is_some_and(reads) {
                continue;
            }
            let Ok(show) = world.ask(node, C::ConcernShow { concern: concern.clone() }) else { continue };
            let part = serde_json::json!([show["title"], show["goal"], show["measures"], show["glimpses"]]);
            match &seen {
                _ if own.pending > 0 => {}
                Some((before, other)) if *before != part => {
                    return Err(format!(
                        "a concern looks different on device {node}: {before} / {part}; {other:?} / {own:?}"
                    ));
                }
                _ => seen = Some((part, own)),
            }
        }
    }
    Ok(())
}

/// The audit replays every chain and finds no rule broken.
fn the_audit_finds_nothing(world: &mut World) -> Result<(), String> {
    for (log, [mother, father]) in world.logs.iter().map(|l| (l.log.clone(), l.guardians)).collect::<Vec<_>>() {
        for person in [world.holder(&log), mother, father] {
            let node = world.node(person);
            if !world.is_here(node) {
                continue;
            }
            let audit = world.ask(node, C::AuditVerify { log: log.clone() });
            let audit = audit.map_err(|e| format!("audit of {log} by device {node}: {e:?}"))?;
            if audit["violations"].as_array().is_none_or(|v| !v.is_empty()) {
                let who = who_is_where(world, &log);
                return Err(format!("the audit of device {node} says {}: {who}", audit["violations"]));
            }
        }
    }
    Ok(())
}

/// The roster of each scope of a log as its home has it, for messages.
fn who_is_where(world: &World, log: &str) -> String {
    let states = world.history.home.all().flat_map(|h| h.scopes.values()).map(|c| c.replica.state());
    let roster = |state: &ScopeState| {
        let name = |p: &PersonId| world.persons.iter().position(|known| *known == p.to_string());
        let members: Vec<_> = state.membership.members.iter().map(|m| (name(&m.person), m.role)).collect();
        let vetoes: Vec<_> = state.vetoes.iter().map(|v| name(&v.by)).collect();
        let back: Vec<_> = state.readmit.iter().map(|m| (name(&m.person), m.role)).collect();
        let (scope, seq, generation) = (state.scope(), state.position.seq, state.membership.generation);
        format!(
            "{:?} {scope} {:?} {seq}, {generation}: {members:?}, may come back {back:?}, vetoes of {vetoes:?}",
            state.kind(),
            state.status
        )
    };
    states.filter(|s| s.log().to_string() == log).map(roster).collect::<Vec<_>>().join("; ")
}

/// SP1: nothing that people wrote is readable at any home.
fn the_home_read_nothing(world: &World) -> Result<(), String> {
    for chain in world.history.home.all().flat_map(|h| h.scopes.values()) {
        for record in &chain.records {
            let bytes = encode(record);
            if let Some(written) = world.written.iter().find(|w| holds(&bytes, &w.text)) {
                return Err(format!("the home can read {}", written.text));
            }
        }
    }
    Ok(())
}
