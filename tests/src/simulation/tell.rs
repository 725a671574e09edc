//! What a violation is about, for whoever replays it with `STAFETT_TELL=1`: the chains of the scopes that it names, and how
//! every device stands in them.

use super::world::World;
use crate::insider::Insider;
use crate::model::net::Net as _;
use stafett_protocol::event::Body;
use stafett_protocol::ids::ScopeId;

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
                Body::Statement(statement) => format!("{statement:?}").chars().take(160).collect(),
            };
            let (by, at) = (of(event.device), (event.generation, event.epoch));
            println!("    {:>3} {} {at:?} device {by:?}: {body}", record.seq, record.time);
        }
        for member in &state.membership.members {
            let devices: Vec<_> =
                member.devices.iter().map(|key| of(stafett_protocol::ids::DeviceId::of_key(key))).collect();
            println!("    {:?}: devices {devices:?}", member.role);
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
        }
    }
}
