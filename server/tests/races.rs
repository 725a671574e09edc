//! A check before the lock: two requests on a real PostgreSQL in the same moment, `STAFETT_RACES` times.

use crate::common::*;
use crate::ends::rounds;
use crate::support::moving::{account, blind};
use crate::support::*;
use stafett_protocol::event::Body;
use stafett_protocol::membership::ScopeKind;
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::budget::{Good, Payer};
use stafett_server::db::StoreError;
use stafett_server::pg::Postgres;

/// Two people of a log, each on a stream.
struct Two {
    world: World,
    server: Running,
    first: Client,
    second: Client,
}

impl Two {
    async fn start(url: &str) -> Self {
        let world = World::new();
        let server = Running::start(&world, Some(url)).await;
        for who in [TEACHER, COLLEAGUE, MOTHER, FATHER] {
            account(&world, who, &server).await;
        }
        let first = server.open(&world.device(TEACHER).key).await.unwrap();
        let second = server.open(&world.device(TEACHER).key).await.unwrap();
        Self { world, server, first, second }
    }

    /// As if nothing had been here.
    async fn forget(&self) {
        let forgotten = self.server.db.write::<_, StoreError, _>(|conn| {
            Box::pin(async move {
                for sql in ["DELETE FROM records", "DELETE FROM snapshots", "DELETE FROM readers", "DELETE FROM scopes"]
                {
                    conn.execute(sql, args![]).await?;
                }
                Ok(())
            })
        });
        forgotten.await.unwrap();
        // A thousand rounds are not a day's worth of anything.
        let teacher = self.world.device(TEACHER);
        let payers = [Payer::Device(teacher.id()), Payer::Person(self.world.id(TEACHER))];
        let goods = [Good::Bytes, Good::Logs, Good::Facts, Good::Answers];
        self.server.server.budgets.give_back(&payers, &goods.map(|good| (good, 1 << 40)));
    }
}

fn bundle(envelopes: Vec<Envelope>) -> Bundle {
    Bundle { envelopes, letters: vec![] }
}

fn envelope(device: &Device, event: &stafett_protocol::event::Event) -> Envelope {
    Envelope { event: Signed::sign(event, &device.key), welcome: None }
}

/// L10: the baton passes in the whole log or not at all, also while a concern is founded in it.
#[tokio::test(flavor = "multi_thread")]
async fn l10_no_concern_is_founded_past_a_handover_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let mut two = Two::start(&postgres.database("handed").unwrap()).await;
    let (mut founded_first, mut handed_first) = (0, 0);
    for _ in 0..rounds() {
        two.forget().await;
        let (world, teacher) = (&two.world, two.world.device(TEACHER));
        let mut card = blind(world.card());
        world.add_family(&mut card);
        for envelope in card.envelopes() {
            assert_eq!(envelope.event.peek().unwrap().device, teacher.id());
            two.first.submit(bundle(vec![envelope])).await.unwrap();
        }
        let concern = world.genesis_event(teacher, &world.log_founding(CONCERN, ScopeKind::Concern));
        let offer = world.offer(&card, world.to_unit(LEADER, Some(COLLEAGUE)), card.basis());
        let plan = card.handover_plan(world, world.agreed(&offer, TEACHER, COLLEAGUE), Some(COLLEAGUE));
        let (commit, welcome) = card.commit(teacher, plan);
        let mut handover = envelope(teacher, &card.event(teacher, Body::Commit(commit)));
        handover.welcome = welcome.map(Into::into);
        let founding = bundle(vec![envelope(teacher, &concern)]);
        let (founded, handed) = tokio::join!(two.first.submit(founding), two.second.submit(bundle(vec![handover])));
        match (founded, handed) {
            (Ok(_), Err(refused)) => {
                assert_eq!(refused.code, "handover-partial");
                founded_first += 1;
            }
            (Err(_), Ok(_)) => handed_first += 1,
            (Ok(_), Ok(_)) => panic!("the concern has kept the old holder"),
            (Err(a), Err(b)) => panic!("{a:?} {b:?}"),
        }
        two.world.device(TEACHER).groups.borrow_mut().clear();
        two.first.pushed.clear();
        two.second.pushed.clear();
    }
    println!("{} rounds; founded first: {founded_first}, handed over first: {handed_first}", rounds());
}

/// One card a log, also when two are founded in one moment.
#[tokio::test(flavor = "multi_thread")]
async fn two_cards_founded_at_once_are_one_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let mut two = Two::start(&postgres.database("cards").unwrap()).await;
    for _ in 0..rounds() {
        two.forget().await;
        let teacher = two.world.device(TEACHER);
        let one = two.world.card_founding();
        let mut other = two.world.card_founding();
        other.membership.scope = stafett_protocol::ids::ScopeId([0xCF; 16]);
        let first = bundle(vec![envelope(teacher, &two.world.genesis_event(teacher, &one))]);
        let second = bundle(vec![envelope(teacher, &two.world.genesis_event(teacher, &other))]);
        let (a, b) = tokio::join!(two.first.submit(first), two.second.submit(second));
        assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1, "{a:?} {b:?}");
        teacher.groups.borrow_mut().clear();
    }
}

/// Of a device's packages each is handed out once and one of last resort stays, however many publish and fetch.
#[tokio::test(flavor = "multi_thread")]
async fn publishing_twice_at_once_leaves_one_of_last_resort_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let mut two = Two::start(&postgres.database("packages").unwrap()).await;
    for _ in 0..rounds() {
        let offers = || Request::PublishKeyPackages(vec![crate::people::published(two.world.device(TEACHER), true)]);
        let (one, other) = (offers(), offers());
        let (a, b) = tokio::join!(two.first.ask(one), two.second.ask(other));
        assert_eq!((a, b), (Reply::Done, Reply::Done));
        let mut conn = two.server.db.reader().await.unwrap();
        let sql = "SELECT COUNT(*) FROM key_packages WHERE last_resort = 1";
        assert_eq!(conn.row(sql, args![]).await.unwrap().unwrap().int(0).unwrap(), 1);
    }
}
