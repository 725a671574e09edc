//! Random histories against an independent model: nobody has a leaf without what lets them in, listed
//! leaves excepted; a withdrawal ends access in every order; decisions are pure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::common::*;
use proptest::prelude::*;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::commit_view::{CommitView, Leaf};
use stafett_protocol::consent::{Access, ConsentGrant, Grantee, Target, Voucher};
use stafett_protocol::event::{Body, Carried, Commit, Event, Genesis};
use stafett_protocol::ids::{DeviceId, Hash, PersonId, PublicKey};
use stafett_protocol::membership::{Member, Membership, Role};
use stafett_protocol::policy::{self, MlsView};
use stafett_protocol::signed::id_of;
use stafett_protocol::state::ScopeState;
use stafett_protocol::statement::{KeyPlace, LinkRepair, Reject, RejectReason, Statement};

mod run;

use run::{Model, Run};

thread_local!(static WORLD: (World, ScopeState) = {
    let world = World::new();
    let state = world.family_card().state().clone();
    (world, state)
});

#[derive(Debug, Clone)]
enum Step {
    Sign { grant: usize, by: Who },
    Withdraw { target: usize, by: Who, salt: u8 },
    Admit { by: Who, who: Who, grant: usize, device: usize, remove_first: bool },
    Swap { by: Who, who: Who },
    RemoveListed { by: Who },
    Change { by: Who },
    End { who: Who },
    Authority { father: bool },
    Resync { by: Who },
    Refound { by: Who },
    Wait { days: u64 },
}

const GUESTS: [Who; 4] = [PPT, PPT_TWO, COACH, PPT_LEADER];
const MEMBERS: [Who; 6] = [TEACHER, MOTHER, FATHER, PPT, COACH, PPT_LEADER];
const GRANTS: usize = 5;

fn grants(world: &World) -> Vec<ConsentGrant> {
    let authority = world.authority();
    let give = |grantee, access, salt: u8, days: u64| ConsentGrant {
        salt: [salt; 16],
        expires_at: START + days * DAY,
        ..world.grant(world.log(), CARD, grantee, access, &authority)
    };
    vec![
        give(world.unit_of(PPT_LEADER), Access::Read, 1, 300),
        give(world.unit_of(PPT_LEADER), Access::Contribute, 2, 300),
        give(world.person_grantee(COACH), Access::Read, 3, 300),
        give(world.person_grantee(COACH), Access::Contribute, 4, 20),
        give(world.unit_of(PPT_LEADER), Access::Read, 5, 20),
    ]
}

fn targets(world: &World) -> Vec<Target> {
    let persons = [PPT, COACH, PPT_LEADER].map(|w| Target::Person(world.id(w)));
    let grants = grants(world).into_iter().map(|g| Target::Grant(id_of(&g)));
    grants.chain([Target::Unit(PPT_UNIT)]).chain(persons).collect()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let guest = prop::sample::select(&GUESTS[..]);
    let member = prop::sample::select(&MEMBERS[..]);
    let grant = 0..GRANTS;
    let step = prop_oneof![
        6 => (grant.clone(), prop::sample::select(&[MOTHER, FATHER][..])).prop_map(|(grant, by)| Step::Sign { grant, by }),
        3 => (0..9usize, member.clone(), any::<u8>()).prop_map(|(target, by, salt)| Step::Withdraw { target, by, salt }),
        6 => (member.clone(), guest.clone(), grant, 0..3usize, any::<bool>())
            .prop_map(|(by, who, grant, device, remove_first)| Step::Admit { by, who, grant, device, remove_first }),
        2 => (member.clone(), guest.clone()).prop_map(|(by, who)| Step::Swap { by, who }),
        4 => member.clone().prop_map(|by| Step::RemoveListed { by }),
        2 => member.clone().prop_map(|by| Step::Change { by }),
        1 => guest.prop_map(|who| Step::End { who }),
        1 => any::<bool>().prop_map(|father| Step::Authority { father }),
        1 => member.clone().prop_map(|by| Step::Resync { by }),
        2 => member.prop_map(|by| Step::Refound { by }),
        1 => (1..12u64).prop_map(|days| Step::Wait { days }),
    ];
    proptest::collection::vec(step, 1..60)
}

fn replay(steps: &[Step]) -> ScopeState {
    WORLD.with(|(world, state)| {
        let mut run = Run { world, state: state.clone(), now: state.time + 1, model: Model::default() };
        for step in steps {
            run.step(step);
            run.check();
        }
        run.state
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn no_leaf_without_what_lets_it_in(steps in steps()) {
        let state = replay(&steps);
        prop_assert_eq!(encode(&replay(&steps)), encode(&state), "the same history makes the same facts");
    }

    #[test]
    fn c4_grant_and_withdrawal_in_any_order_end_without_access(
        order in Just(vec![0u8, 1, 2, 3, 4]).prop_shuffle(),
        tail in steps(),
    ) {
        // Both signatures, the withdrawal of that very grant, two tries to let the reader in.
        let mut steps: Vec<Step> = order
            .iter()
            .map(|n| match n {
                0 => Step::Sign { grant: 0, by: MOTHER },
                1 => Step::Sign { grant: 0, by: FATHER },
                2 => Step::Withdraw { target: 0, by: FATHER, salt: 200 },
                n => Step::Admit { by: TEACHER, who: PPT, grant: 0, device: usize::from(n - 3), remove_first: *n == 3 },
            })
            .collect();
        steps.extend(tail);
        let state = replay(&steps);
        let id = WORLD.with(|(world, _)| id_of(&grants(world)[0]));
        let listed = state.listed_at(state.time);
        prop_assert!(state.membership.members.iter().all(|m| m.basis != id || m.devices.iter().all(|d| listed.contains(d))));
    }
}

#[test]
fn the_random_histories_do_let_people_in_and_out() {
    let sign = |by| Step::Sign { grant: 0, by };
    let admit = Step::Admit { by: TEACHER, who: PPT, grant: 0, device: 0, remove_first: false };
    let state =
        replay(&[sign(MOTHER), sign(FATHER), admit.clone(), Step::Resync { by: FATHER }, Step::Refound { by: MOTHER }]);
    WORLD.with(|(world, _)| {
        assert_eq!(state.membership.generation, 2);
        assert!(state.membership.member(world.id(PPT)).is_some(), "back after the re-founding");
        let state = replay(&[
            sign(MOTHER),
            sign(FATHER),
            admit,
            Step::Withdraw { target: 5, by: MOTHER, salt: 1 },
            Step::RemoveListed { by: FATHER },
        ]);
        assert!(state.membership.member(world.id(PPT)).is_none());
    });
}
