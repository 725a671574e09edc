//! One world whose homes lead a double life, from its first step until people talk and prove it (M10).

use super::operation::Step;
use super::world::{FATHER, LEADER, MOTHER, PPT, PPT_LEADER, TEACHER, World};
use super::{CI, Size, Tally, Violation, come_to_rest, explained, live_on, numbered};
use crate::model::net::Net as _;
use serde_json::Value;
use stafett_client_core::client::input::Command as C;
use stafett_protocol::codec::decode;
use stafett_protocol::event::Receipt;
use stafett_protocol::ids::{ScopeId, bytes_from_hex};
use stafett_protocol::limits::HEAD_LETTER_MILLIS;
use stafett_protocol::signed::Signed;
use std::collections::BTreeSet;

/// Whom the homes mislead: one parent, with or without the other unit; the school; or the whole family.
const MISLED: [&[usize]; 4] = [&[FATHER], &[FATHER, PPT_LEADER, PPT], &[LEADER, TEACHER], &[MOTHER, FATHER]];
/// How big these worlds are, and after which step each home says two things.
const SIZE: Size = Size { steps: 150, ..CI };
const TORN_AT: usize = 80;

/// Scopes that were torn between people who talk, and those of which somebody has the proof. Each side is sound by itself,
/// at every step.
pub fn play(seed: u64, only: &[usize], tally: &mut Tally) -> Result<(usize, usize), Violation> {
    let steps: Vec<(usize, Step)> = numbered(seed, SIZE);
    let steps: Vec<_> = steps.into_iter().filter(|(at, _)| only.is_empty() || only.contains(at)).collect();
    let (before, after): (Vec<_>, Vec<_>) = steps.into_iter().partition(|(at, _)| *at < TORN_AT);
    let mut world = World::new(seed, SIZE);
    live_on(&mut world, &before, tally)?;
    let misled = MISLED[seed as usize % MISLED.len()];
    let nodes = world.nodes.iter().enumerate().filter(|(_, node)| misled.contains(&node.person));
    world.lead_double_life(nodes.map(|(at, _)| at).collect());
    live_on(&mut world, &after, tally)?;
    let rested = come_to_rest(&mut world, SIZE.steps, tally);
    explained(&mut world, rested)?;
    tally.worlds += 1;
    at_last(people_talk(&mut world))
}

fn at_last<T>(result: Result<T, String>) -> Result<T, Violation> {
    result.map_err(|what| Violation { at: SIZE.steps, what })
}

fn people_talk(world: &mut World) -> Result<(usize, usize), String> {
    if let Some(proved) = proved(world)?.first() {
        return Err(format!("{proved} is proved to be torn before anybody can know"));
    }
    talk(world);
    let (found, expected) = (proved(world)?, world.torn_between_members());
    match expected.difference(&found).next() {
        Some(missed) => Err(format!("nobody proves that {missed} is torn; proved are {found:?}")),
        None => Ok((expected.len(), found.len())),
    }
}

/// Everybody writes to everybody what the home has signed for them, and those letters come through to the other side.
fn talk(world: &mut World) {
    for _ in 0..2 {
        world.history.home.pass(HEAD_LETTER_MILLIS);
        world.sync_all(2);
        world.letters_cross();
        world.sync_all(2);
        world.letters_cross();
        world.sync_all(1);
    }
}

/// Of which scopes anybody's audit holds two receipts of one home that cannot both be true.
fn proved(world: &mut World) -> Result<BTreeSet<ScopeId>, String> {
    let mut found = BTreeSet::new();
    for node in (0..world.nodes.len()).filter(|n| !world.nodes[*n].removed).collect::<Vec<_>>() {
        for log in world.logs.iter().map(|l| l.log.clone()).collect::<Vec<_>>() {
            let Ok(audit) = world.ask(node, C::AuditVerify { log }) else { continue };
            for fork in audit["forks"].as_array().into_iter().flatten() {
                found.insert(proof(world, fork)?);
            }
        }
    }
    Ok(found)
}

fn proof(world: &World, fork: &Value) -> Result<ScopeId, String> {
    let receipt = |n: usize| -> Option<Receipt> {
        let signed: Signed<Receipt> = decode(&bytes_from_hex(fork["receipts"][n].as_str()?)?).ok()?;
        world.history.home.all().find_map(|h| signed.verify(&h.municipality_key().key).ok())
    };
    let (Some(one), Some(two)) = (receipt(0), receipt(1)) else { return Err(format!("no home's words: {fork}")) };
    let contradict = (one.scope, one.home_epoch) == (two.scope, two.home_epoch) && one.position != two.position;
    if contradict { Ok(one.scope) } else { Err(format!("both may be true: {fork}")) }
}
