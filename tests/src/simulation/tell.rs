//! What a violation is about, for whoever replays it with `STAFETT_TELL=1`: the chains of the scopes that it names, and how
//! every device stands in them.

use super::world::World;
use crate::insider::Insider;
use crate::model::net::Net as _;
use stafett_client_core::rows::Space;
use stafett_protocol::codec::decode;
use stafett_protocol::consent::{Grantee, Target};
use stafett_protocol::event::Body;
use stafett_protocol::ids::ScopeId;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::Bundle;

/// Prints the story of each scope whose id stands in `what`.
pub fn tell(world: &mut World, what: &str) {
    let mut told = vec![];
    for word in what.split(|c: char| !c.is_ascii_hexdigit()) {
        let Ok(scope) = word.parse::<ScopeId>() else { continue };
        if !told.contains(&scope) {
            told.push(scope);
            world.in_each_history(|world| tell_scope(world, scope));
        }
    }
}

fn tell_scope(world: &World, scope: ScopeId) {
    let of = |device| world.nodes.iter().position(|n| n.device.id == Some(device));
    for home in world.history.home.all().filter(|h| h.scopes.contains_key(&scope)) {
        let chain = &home.scopes[&scope];
        let state = chain.replica.state();
        println!("--- {:?} {scope} at {} (serves it: {})", state.kind(), home.number, home.serves(scope));
        println!("    {:?}, listed {}, awaited {}", state.status, state.listed.len(), state.readmit.len());
        for record in &chain.records {
            let Ok(event) = record.event.peek() else { continue };
            let body = match &event.body {
                Body::Genesis(_) => "Genesis".to_owned(),
                Body::Change(_) => "Change".to_owned(),
                Body::Commit(commit) => {
                    format!("Commit, welcome {}, handover {}", commit.welcome.is_some(), commit.handover.is_some())
                }
                Body::Statement(statement) => said(statement),
            };
            let (by, at) = (of(event.device), (event.generation, event.epoch));
            println!("    {:>3} {} {at:?} device {by:?}: {body}", record.seq, record.time);
        }
        for member in &state.membership.members {
            let devices: Vec<_> =
                member.devices.iter().map(|key| of(stafett_protocol::ids::DeviceId::of_key(key))).collect();
            println!("    {:?} on {}: devices {devices:?}", member.role, short(&member.basis.0));
        }
        for fact in &state.grants {
            let (id, access, to) = (short(&fact.id.0), fact.grant.access, party(&fact.grant.grantee));
            println!("    {id} {access:?} to {to}: in force since {}, ended at {}", fact.in_force_since, fact.ended_at);
        }
    }
    for (at, node) in world.nodes.iter().enumerate() {
        let report = node.device.client.standings().into_iter().find(|r| r.scope == scope);
        if let Some(report) = report {
            let read = |h: &crate::model::home::ModelHome| {
                let state = h.scopes.get(&scope)?.replica.state();
                Some(node.device.id.is_some_and(|d| state.may_read(d, world.history.home.now())))
            };
            let reads: Vec<_> = world.history.home.all().filter_map(read).collect();
            let insider = Insider::of(&node.device, &scope.to_string());
            let keys: Vec<u64> = (0..=report.epoch).filter(|epoch| insider.key(1, *epoch).is_some()).collect();
            println!("    device {at} of person {}: {:?} at {:?}", node.person, report.standing, report.position.seq);
            println!("        in epoch {}, keys of {keys:?}, {} unopened", report.epoch, report.unopened);
            println!("        removed {}, may read {reads:?}, {}", node.removed, node.device.last_problem());
            let own = node.device.disk.iter();
            let waits: Vec<String> = own.filter(|((space, key), _)| is_waiting(*space, key)).map(row).collect();
            println!("        waits: {waits:?}");
        }
    }
}

/// Of what a device has to send, and of moves that it drives.
fn is_waiting(space: u8, key: &[u8]) -> bool {
    space == Space::Outbox as u8 || key.starts_with(b"moving/")
}

/// A row that waits: of what kind, and what a bundle is of.
fn row(((_, key), value): (&(u8, Vec<u8>), &Vec<u8>)) -> String {
    let kind: String = key.iter().map(|byte| char::from(*byte)).take_while(char::is_ascii_graphic).collect();
    let of = |bundle: Bundle| {
        let events = bundle.envelopes.iter().map(|envelope| envelope.event.peek().unwrap());
        events.map(|e| format!(" {} ({}, {})", e.scope, e.generation, e.epoch)).collect::<String>()
    };
    let bundle = key.starts_with(b"bundle/").then(|| decode(value).map_or_else(|_| "?".to_owned(), of));
    kind + &bundle.unwrap_or_default()
}

/// The end of an id: the ids of units in worlds begin alike.
fn short(id: &[u8]) -> String {
    id.iter().rev().take(4).rev().map(|byte| format!("{byte:02x}")).collect()
}

fn party(grantee: &Grantee) -> String {
    match grantee {
        Grantee::Unit(unit) => format!("unit {}", short(&unit.unit.0)),
        Grantee::Person(person) => format!("person {}", short(&person.person.0)),
    }
}

/// A statement in a line: whom a consent or withdrawal is about, and under which id others name it.
fn said(statement: &Statement) -> String {
    match statement {
        Statement::Grant(signed) => {
            let grant = signed.grant.peek().unwrap();
            let (id, by) = (short(&signed.grant.id().0), short(&signed.signer.0));
            format!("Grant {id} by {by}: {:?} to {}", grant.access, party(&grant.grantee))
        }
        Statement::Withdrawal(signed) => {
            let target = match signed.withdrawal.peek().unwrap().target {
                Target::Grant(id) => format!("grant {}", short(&id.0)),
                Target::Unit(unit) => format!("unit {}", short(&unit.0)),
                other => format!("{other:?}"),
            };
            format!("Withdrawal by {}: {target}", short(&signed.signer.0))
        }
        other => format!("{other:?}").chars().take(160).collect(),
    }
}
