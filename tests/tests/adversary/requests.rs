//! Requests for consent that lie: about whose key it is, about who decides, about which log it is.

use ed25519_dalek::SigningKey;
use serde_json::Value;
use stafett_client_core::client::input::{AccessWord, Command as C, Who};
use stafett_client_core::rows::Space;
use stafett_protocol::codec::decode;
use stafett_protocol::consent::{Access, Grantee, PersonGrantee, UnitGrantee};
use stafett_protocol::ids::{LogId, PersonId, PublicKey, ScopeId};
use stafett_protocol::letter::{ConsentRequest, Content, LogDraft};
use stafett_protocol::membership::AuthorityPerson;
use stafett_protocol::wire::Mail;
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{Cast, cast, concern, join, list, log, other_school, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::people::Device;

/// What an honest client asks of the parents. The father has it; the mother's letter never comes.
pub(super) fn intercepted(cast: &mut Cast) -> ConsentRequest {
    let Cast { home, teacher, mother, father, .. } = cast;
    teacher.sync(home);
    let waiting = home.mail.get_mut(&mother.id.unwrap()).unwrap();
    waiting.retain(|item| !matches!(item.mail, Mail::Letter(_)));
    father.sync(home);
    let mut kept =
        father.disk.iter().filter(|((space, key), _)| *space == Space::Mail as u8 && key.starts_with(b"request/"));
    // Before it stands who asks, behind it what was answered.
    let (_, row) = kept.next().unwrap();
    decode(&row[16..row.len() - 1]).unwrap()
}

/// A first request for a log, as the teacher's client makes it.
fn first_request(cast: &mut Cast) -> ConsentRequest {
    let guardians = vec![cast.mother_id.clone(), cast.father_id.clone()];
    let new = C::LogNew { child: "Ella".into(), born: "2015-03-04".into(), guardians, level: 1 };
    cast.teacher.ask(&mut cast.home, new).unwrap();
    intercepted(cast)
}

/// A log that is there, and an honest request to let another school read its concern.
fn later_request(cast: &mut Cast) -> (String, ConsentRequest) {
    let log = log(cast);
    let concern = concern(cast, &log);
    let (mut leader, _, _) = other_school(cast);
    leader.sync(&mut cast.home);
    cast.teacher.sync(&mut cast.home);
    let units = cast.teacher.ask(&mut cast.home, C::Units).unwrap();
    let unit = list(&units, "units").iter().find(|u| u["name"] == "Nes skole").map(|u| text(u, "unit"));
    let who = Who::Unit(unit.unwrap());
    let request = C::AccessRequest { log: log.clone(), who, scopes: vec![concern], access: AccessWord::Read };
    cast.teacher.ask(&mut cast.home, request).unwrap();
    cast.father.disk.retain(|(space, key), _| *space != Space::Mail as u8 || !key.starts_with(b"request/"));
    cast.father.restart();
    (log, intercepted(cast))
}

/// The grants name the authority as it has been bent.
fn bent(request: &ConsentRequest, bend: impl FnOnce(&mut ConsentRequest)) -> ConsentRequest {
    let mut request = request.clone();
    bend(&mut request);
    let id = request.authority.id();
    request.grants.iter_mut().for_each(|g| (g.grant.authority, g.grant.log) = (id, request.log));
    request
}

/// The teacher, whose key the mother has by her code, sends this. Answers what the mother is shown, and what she is told.
fn shown(cast: &mut Cast, request: &ConsentRequest) -> (Vec<Value>, Vec<String>) {
    let Cast { home, teacher, mother, mother_id, .. } = cast;
    let insider = Insider::account(teacher);
    insider.write_letter(home, mother_id.parse().unwrap(), Content::ConsentRequest(request.clone()));
    mother.sync(home);
    let problems = problems(mother, home);
    (list(&mother.ask(home, C::ConsentPending).unwrap(), "requests").clone(), problems)
}

pub(super) fn problems(device: &mut Device, home: &mut ModelHome) -> Vec<String> {
    let counts = device.ask(home, C::SyncCounts).unwrap();
    list(&counts, "problems").iter().map(|p| text(p, "code")).collect()
}

fn grant(cast: &mut Cast, request: &Value) -> Result<Value, String> {
    let wish = C::ConsentGrant { request: text(request, "request"), custody: true };
    cast.mother.ask(&mut cast.home, wish).map_err(|p| p.code)
}

fn false_key() -> PublicKey {
    SigningKey::from_bytes(&[66; 32]).verifying_key().to_bytes()
}

fn compare(cast: &mut Cast, person: &str) {
    let Cast { home, mother, .. } = cast;
    let number = mother.ask(home, C::Verify { person: person.to_owned(), number: None }).unwrap();
    let wish = C::Verify { person: person.to_owned(), number: Some(text(&number, "number")) };
    assert_eq!(mother.ask(home, wish).unwrap()["matches"], true);
}

/// The asker takes the real leader's id and a key of its own: whoever has compared the leader's key would let another in.
#[test]
fn a_request_with_another_key_than_the_known_one_is_refused() {
    let mut cast = cast();
    let (_, honest) = later_request(&mut cast);
    let Grantee::Unit(unit) = honest.grants[0].grant.grantee else { panic!("a unit") };
    cast.mother.sync(&mut cast.home);
    compare(&mut cast, &unit.leader.to_string());
    let father: PersonId = cast.father_id.parse().unwrap();
    let to = |grantee: Grantee| bent(&honest, |r| r.grants.iter_mut().for_each(|g| g.grant.grantee = grantee));
    let lies = [
        to(Grantee::Unit(UnitGrantee { leader_key: false_key(), ..unit })),
        to(Grantee::Person(PersonGrantee { person: unit.leader, person_key: false_key() })),
        // Nobody here knows this person: an id that does not come from the key is nobody's.
        to(Grantee::Person(PersonGrantee { person: PersonId([9; 16]), person_key: false_key() })),
        bent(&honest, |r| {
            r.authority.guardians.iter_mut().filter(|g| g.person == father).for_each(|g| g.key = false_key());
        }),
    ];
    for (number, lie) in lies.iter().enumerate() {
        let (requests, problems) = shown(&mut cast, lie);
        assert_eq!(requests, [Value::Null; 0], "lie {number}");
        assert!(problems.contains(&"key-differs".to_owned()), "lie {number}: {problems:?}");
    }
    // The honest one is shown, with the trust of the very key in it, and is signed.
    let (requests, _) = shown(&mut cast, &honest);
    assert_eq!(requests[0]["grantee_verified"], "compared");
    assert_eq!(requests[0]["problem"], Value::Null);
    grant(&mut cast, &requests[0]).unwrap();
}

/// Somebody who does not lead it stands for a unit: with a key of theirs that everybody knows.
#[test]
fn nobody_stands_for_a_unit_but_its_leader() {
    let mut cast = cast();
    let (_, honest) = later_request(&mut cast);
    let teacher = Insider::account(&cast.teacher);
    let Grantee::Unit(unit) = honest.grants[0].grant.grantee else { panic!("a unit") };
    let (leader, leader_key) = (teacher.person(), teacher.me.person_public().unwrap());
    let lie = Grantee::Unit(UnitGrantee { leader, leader_key, ..unit });
    let lie = bent(&honest, |r| r.grants.iter_mut().for_each(|g| g.grant.grantee = lie));
    let (requests, _) = shown(&mut cast, &lie);
    for request in &requests {
        assert_eq!(request["problem"], "not-the-leader");
        assert_eq!(grant(&mut cast, request), Err("not-the-leader".to_owned()));
    }
}

/// The guardians, the quorum, the child: what will bind a log is what the parents were told of, and is shown before it
/// is signed.
#[test]
fn who_will_decide_is_what_was_told_and_is_shown_before_it_is_signed() {
    let mut cast = cast();
    let honest = first_request(&mut cast);
    let (mother, father): (PersonId, PersonId) = (cast.mother_id.parse().unwrap(), cast.father_id.parse().unwrap());
    let accomplice = AuthorityPerson { person: PersonId::of_first_key(&false_key()), key: false_key() };
    let draft = |r: &mut ConsentRequest, bend: &dyn Fn(&mut LogDraft)| bend(r.draft.as_mut().unwrap());
    let lies = [
        (
            "another key for the father, who is told of",
            "key-differs",
            bent(&honest, |r| {
                r.authority.guardians.iter_mut().filter(|g| g.person == father).for_each(|g| g.key = false_key());
            }),
        ),
        (
            "another key in the words alone",
            "key-differs",
            bent(&honest, |r| {
                draft(r, &|d| {
                    d.guardians.iter_mut().filter(|g| g.person == father).for_each(|g| g.person_key = false_key())
                });
            }),
        ),
        ("one more who decides", "authority-differs", bent(&honest, |r| r.authority.guardians.push(accomplice))),
        (
            "a guardian is told of who is none",
            "authority-differs",
            bent(&honest, |r| {
                r.authority.guardians.retain(|g| g.person != father);
                r.authority.quorum = 1;
            }),
        ),
        (
            "the mother does not decide",
            "not-an-authority",
            bent(&honest, |r| {
                r.authority.guardians.retain(|g| g.person != mother);
                r.authority.quorum = 1;
                draft(r, &|d| d.guardians.retain(|g| g.person != mother));
            }),
        ),
        (
            "the mother decides with a key that is not hers",
            "key-differs",
            bent(&honest, |r| {
                r.authority.guardians.iter_mut().filter(|g| g.person == mother).for_each(|g| g.key = false_key());
                draft(r, &|d| {
                    d.guardians.iter_mut().filter(|g| g.person == mother).for_each(|g| g.person_key = false_key())
                });
            }),
        ),
        ("no number of signatures is enough", "authority-differs", bent(&honest, |r| r.authority.quorum = 3)),
        (
            "one signs twice",
            "authority-differs",
            bent(&honest, |r| {
                r.authority.guardians.push(r.authority.guardians[0]);
                let twice = r.draft.as_ref().unwrap().guardians[0].clone();
                draft(r, &|d| d.guardians.push(twice.clone()));
            }),
        ),
    ];
    for (what, code, lie) in &lies {
        let (requests, problems) = shown(&mut cast, lie);
        assert_eq!(requests, [Value::Null; 0], "{what}");
        assert!(problems.contains(&(*code).to_owned()), "{what}: {problems:?}");
    }
    // The honest one makes the mother know what the father is called.
    let (requests, _) = shown(&mut cast, &honest);
    let authority = &requests[0]["authority"];
    assert_eq!((&authority["quorum"], &authority["child"]), (&2.into(), &Value::Null), "{authority}");
    // What may be so and was not said in words is shown: who counts, how many, from when somebody else alone.
    let odd = bent(&honest, |r| {
        r.authority.quorum = 1;
        r.authority.child = Some(accomplice);
        r.authority.youth_from = 1_800_000_000_000;
        draft(r, &|d| d.guardians.iter_mut().filter(|g| g.person == father).for_each(|g| g.name = "Rektor".into()));
    });
    let (requests, _) = shown(&mut cast, &odd);
    let authority = &requests.iter().find(|r| r["authority"]["quorum"] == 1).unwrap()["authority"];
    assert_eq!((&authority["quorum"], &authority["of"]), (&1.into(), &2.into()), "{authority}");
    assert_eq!(authority["youth_from"], "2027-01-15T08:00:00Z");
    assert_eq!(authority["child"]["verified"], "unknown");
    let guardian = |id: PersonId| list(authority, "guardians").iter().find(|g| g["person"] == id.to_string()).cloned();
    assert_eq!(guardian(mother).unwrap()["verified"], "self");
    assert_eq!(guardian(father).unwrap()["called"], "Rektor", "{authority}");
    // And where the youth decides already, a parent's word gives nothing.
    let late = bent(&odd, |r| r.authority.youth_from = 1);
    let (requests, _) = shown(&mut cast, &late);
    let late = requests.iter().find(|r| r["authority"]["youth_from"] == "1970-01-01T00:00:00Z").unwrap();
    assert_eq!(late["problem"], "not-an-authority");
    assert_eq!(grant(&mut cast, late), Err("not-an-authority".to_owned()));
    let (requests, _) = shown(&mut cast, &honest);
    let honest = requests.iter().find(|r| r["authority"]["quorum"] == 2).unwrap();
    grant(&mut cast, honest).unwrap();
}

/// A log that is known is asked about as it stands: under the authority in force, in its own parts, by who may.
#[test]
fn a_request_for_a_known_log_is_held_to_its_chain_whatever_is_put_into_it() {
    let mut cast = cast();
    let (log, honest) = later_request(&mut cast);
    let mother: PersonId = cast.mother_id.parse().unwrap();
    let words = LogDraft { child_name: "Ella".into(), born: "2015-03-04".into(), level: 1, guardians: vec![] };
    let told = |r: &mut ConsentRequest| {
        let named = |g: &AuthorityPerson| stafett_protocol::letter::NamedPerson {
            person: g.person,
            person_key: g.key,
            name: "Forelder".into(),
        };
        r.draft = Some(LogDraft { guardians: r.authority.guardians.iter().map(named).collect(), ..words.clone() });
    };
    let alone = bent(&honest, |r| {
        r.authority.guardians.retain(|g| g.person == mother);
        r.authority.quorum = 1;
    });
    let elsewhere = bent(&honest, |r| r.grants[1].grant.scope = ScopeId([7; 16]));
    let lies = [("authority-differs", alone), ("unknown-scope", elsewhere)];
    for (code, lie) in lies {
        for lie in [lie.clone(), bent(&lie, told)] {
            let with = if lie.draft.is_some() { "with words about a new log" } else { "as it is" };
            let (requests, _) = shown(&mut cast, &lie);
            let shown =
                requests.iter().find(|r| !r["problem"].is_null()).unwrap_or_else(|| panic!("{with}: {requests:?}"));
            assert_eq!(shown["problem"], code, "{with}");
            assert_eq!(grant(&mut cast, shown), Err(code.to_owned()), "{with}");
            let wish = C::ConsentRefuse { request: text(shown, "request") };
            cast.mother.ask(&mut cast.home, wish).unwrap();
        }
    }
    // A log that nobody has heard of takes nothing of one that is here.
    let moved = bent(&honest, |r| {
        r.log = LogId([5; 16]);
        told(r);
    });
    let (requests, _) = shown(&mut cast, &moved);
    assert_eq!(grant(&mut cast, &requests[0]), Err("grant-mismatch".to_owned()));
    assert!(cast.mother.ask(&mut cast.home, C::LogShow { log }).is_ok());
}

/// The seat of a holder is asked for by who may offer the baton: also where the letter speaks of a new log.
#[test]
fn a_hold_on_a_known_log_is_asked_for_by_who_may_offer_it() {
    let mut cast = cast();
    let (_, honest) = later_request(&mut cast);
    let code = cast.home.add_unit("BUP", "ppt");
    let (stranger, _) = join(&mut cast.home, 41, code, "Leder BUP");
    cast.mother.sync(&mut cast.home);
    let stranger = Insider::account(&stranger);
    let hold = bent(&honest, |r| {
        r.grants.iter_mut().for_each(|g| g.grant.access = Access::Hold);
        let guardians = r.authority.guardians.iter().map(|g| stafett_protocol::letter::NamedPerson {
            person: g.person,
            person_key: g.key,
            name: "Forelder".into(),
        });
        let guardians = guardians.collect();
        r.draft = Some(LogDraft { child_name: "Ella".into(), born: "2015-03-04".into(), level: 1, guardians });
    });
    let mother: PersonId = cast.mother_id.parse().unwrap();
    stranger.write_letter(&mut cast.home, mother, Content::ConsentRequest(hold));
    cast.mother.sync(&mut cast.home);
    let pending = cast.mother.ask(&mut cast.home, C::ConsentPending).unwrap();
    assert_eq!(list(&pending, "requests"), &[Value::Null; 0]);
    assert!(problems(&mut cast.mother, &mut cast.home).contains(&"not-yours".to_owned()));
}
