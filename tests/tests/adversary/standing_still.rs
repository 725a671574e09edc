//! SP22: a document that is broken or stops on a device holds up neither withdrawals nor removals there, nor anybody's chain; its
//! content stands still, visibly, and goes on once the events can be read again.

use super::chain::{glimpse, glimpses};
use super::withdrawals::ppt_reads;
use automerge::transaction::Transactable as _;
use automerge::{AutoCommit, ROOT};
use stafett_client_core::client::input::{Command as C, Input, WithdrawTarget};
use stafett_client_core::document::Quarantined;
use stafett_client_core::document::facts::Facts;
use stafett_client_core::packed::pack;
use stafett_client_core::rows::Space;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::{SignedWithdrawal, Target, Withdrawal};
use stafett_protocol::event::Body;
use stafett_protocol::ids::{DeviceId, Municipality, ScopeId};
use stafett_protocol::membership::{Role, ScopeKind};
use stafett_protocol::signed::Signed;
use stafett_protocol::statement::Statement;
use stafett_protocol::wire::{ClientFrame, Request, ScopePosition, ServerFrame};
use stafett_tests::insider::Insider;
use stafett_tests::model::cast::{Cast, cast, colleague, concern, list, log, text};
use stafett_tests::model::home::ModelHome;
use stafett_tests::model::net::Net;
use stafett_tests::model::people::Device;

/// A home from which nobody gets the past again, and that keeps no checkpoint: what is broken stays so.
struct NoPast<'h>(&'h mut ModelHome);

impl Net for NoPast<'_> {
    fn now(&self) -> u64 {
        self.0.now
    }
    fn pass(&mut self, millis: u64) {
        self.0.pass(millis);
    }
    fn join(&mut self, _: Municipality, body: &[u8]) -> Result<Vec<u8>, String> {
        self.0.join(body)
    }
    fn connect(&mut self, _: Municipality, device: DeviceId) -> bool {
        self.0.connect(device)
    }
    fn disconnect(&mut self, _: Municipality, device: DeviceId) {
        self.0.disconnect(device);
    }
    fn frame(&mut self, _: Municipality, device: DeviceId, bytes: &[u8]) {
        let mut frame: ClientFrame = decode(bytes).unwrap();
        if let Request::History(_) | Request::PutCheckpoint(_) = frame.request {
            frame.request = Request::History(ScopePosition { scope: ScopeId([0; 16]), seq: 0 });
        }
        self.0.frame(device, &encode(&frame));
    }
    fn inbound(&mut self, number: Municipality, device: DeviceId) -> Vec<ServerFrame> {
        self.0.inbound(number, device)
    }
}

/// What comes of one input on an open stream, until nothing more comes.
fn live(device: &mut Device, home: &mut ModelHome, input: Input) {
    let (id, number, mut net) = (device.id.unwrap(), device.home, NoPast(home));
    let mut queue = vec![input];
    while !queue.is_empty() {
        for input in std::mem::take(&mut queue) {
            let effects = device.client.handle(net.now(), input);
            device.save(&effects);
            assert!(!matches!(effects.answer, Some(Err(_))), "{:?}", effects.answer);
            effects.frames.iter().for_each(|frame| net.frame(number, id, frame));
            queue.extend(effects.load.map(|prefixes| Input::Loaded(device.events(&prefixes))));
        }
        queue.extend(net.inbound(number, id).iter().map(|frame| Input::Frame(encode(frame))));
    }
}

fn overwrite(device: &mut Device, scope: ScopeId, base: Vec<u8>) {
    let here = |(space, key): &(u8, Vec<u8>)| *space == Space::Document as u8 && key.starts_with(&scope.0);
    device.disk.retain(|key, _| !here(key));
    let key = [&scope.0[..], b"b", &0u64.to_be_bytes()].concat();
    device.disk.insert((Space::Document as u8, key), base);
    device.restart();
}

/// The rows of a document cannot be read.
fn break_rows(device: &mut Device, scope: ScopeId) {
    overwrite(device, scope, b"noise".to_vec());
}

/// The rows can be read, and the document stops at the next change.
fn break_document(device: &mut Device, scope: ScopeId) {
    let mut alien = AutoCommit::new();
    alien.put(ROOT, "of", "another kind").unwrap();
    let base = (alien.save(), Facts::default(), Vec::<Quarantined>::new());
    overwrite(device, scope, pack(&base).unwrap());
}

fn readers(home: &ModelHome, scope: ScopeId) -> usize {
    let membership = &home.scopes[&scope].replica.state().membership;
    membership.members.iter().filter(|m| m.role == Role::Reader).count()
}

/// A guardian's word that a unit is out, and no device of hers that would make the commit.
fn put_out(home: &mut ModelHome, guardian: &Device, (log, concern): (&str, &str), unit: &str) {
    let insider = Insider::of(guardian, concern);
    let (scope, signer) = (insider.scope, insider.person());
    let (log, target) = (log.parse().unwrap(), Target::Unit(unit.parse().unwrap()));
    let withdrawal = Withdrawal { log, scope, target, salt: [5; 16] };
    let withdrawal = Signed::sign(&withdrawal, &insider.me.person_key().unwrap());
    let body = Body::Statement(Statement::Withdrawal(SignedWithdrawal { signer, withdrawal }));
    let event = insider.event(home.scopes[&scope].replica.state(), body);
    insider.submit(home, insider.sign(&event)).unwrap();
    assert_eq!(readers(home, scope), 1);
}

fn stopped(device: &Device, scope: ScopeId) -> bool {
    device.client.standings().into_iter().find(|s| s.scope == scope).unwrap().stopped
}

#[test]
fn sp22_a_broken_document_holds_up_neither_withdrawal_nor_removal() {
    for break_it in [break_rows, break_document] {
        let mut cast = cast();
        let log = log(&mut cast);
        let concern = concern(&mut cast, &log);
        let (_ppt, unit) = ppt_reads(&mut cast, &log, std::slice::from_ref(&concern));
        let Cast { home, teacher, mother, father, .. } = &mut cast;
        let scope: ScopeId = concern.parse().unwrap();
        break_it(mother, scope);
        glimpse(home, father, &concern, "Fra far");
        mother.sync(&mut NoPast(home));
        assert!(stopped(mother, scope), "{}", mother.last_problem());
        let at = mother.client.standings().into_iter().find(|s| s.scope == scope).unwrap().position;
        assert_eq!(at, home.scopes[&scope].replica.state().position, "the chain is followed");
        let words = C::Glimpse { concern: concern.clone(), text: "Fra mor".into() };
        assert_eq!(mother.ask(home, words.clone()).unwrap_err().code, "document-stopped");
        let show = mother.ask(home, C::LogShow { log: log.clone() }).unwrap();
        assert!(show["quarantined"].to_string().contains("document-stopped"), "{show}");

        assert_eq!(readers(home, scope), 1);
        assert!(home.connect(mother.id.unwrap()));
        live(mother, home, Input::Connected);
        live(mother, home, Input::Command(C::ConsentWithdraw { log, target: WithdrawTarget::Unit(unit) }));
        assert_eq!(readers(home, scope), 0, "withdrawn and removed: {}", mother.last_problem());
        home.disconnect(mother.id.unwrap());
        mother.client.handle(home.now, Input::Disconnected);

        for device in [teacher, &mut *mother] {
            device.sync(home);
            assert_eq!(glimpses(device, home, &concern), ["Fra far"], "{}", device.last_problem());
        }
        assert!(!stopped(mother, scope));
        mother.ask(home, words).unwrap();
        mother.sync(home);
        father.sync(home);
        assert_eq!(glimpses(father, home, &concern), ["Fra far", "Fra mor"], "{}", mother.last_problem());
    }
}

#[test]
fn sp22_a_member_whose_document_broke_removes_whom_another_has_put_out() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let (_ppt, unit) = ppt_reads(&mut cast, &log, std::slice::from_ref(&concern));
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let scope: ScopeId = concern.parse().unwrap();
    break_document(teacher, scope);
    glimpse(home, father, &concern, "Fra far");
    put_out(home, mother, (&log, &concern), &unit);
    teacher.sync(&mut NoPast(home));
    assert!(stopped(teacher, scope));
    assert_eq!(readers(home, scope), 0, "{}", teacher.last_problem());
}

/// A checkpoint that the home does not take, or that grew too large to be one, is content.
#[test]
fn sp22_a_checkpoint_that_fails_holds_up_no_removal() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let (_ppt, unit) = ppt_reads(&mut cast, &log, std::slice::from_ref(&concern));
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let scope: ScopeId = concern.parse().unwrap();
    // So many changes that a checkpoint is due.
    let junk: Vec<Vec<u8>> = (0..600u32).map(|n| n.to_be_bytes().repeat(8)).collect();
    Insider::of(father, &concern).write(home, &junk);
    assert!(home.connect(teacher.id.unwrap()));
    live(teacher, home, Input::Connected);
    put_out(home, mother, (&log, &concern), &unit);
    live(teacher, home, Input::Command(C::SyncCounts));
    assert_eq!(readers(home, scope), 0, "{}", teacher.last_problem());
}

/// The reason is written on the card by whoever can; the baton passes all the same.
#[test]
fn sp22_a_broken_card_does_not_hold_up_the_baton() {
    let mut cast = cast();
    let log = log(&mut cast);
    let (mut kari, kari_id) = colleague(&mut cast);
    let Cast { home, teacher, mother, .. } = &mut cast;
    let card = teacher.client.standings().into_iter().find(|s| s.kind == ScopeKind::Card).unwrap().scope;
    break_rows(teacher, card);
    let (to, concerns, notes, reason) = (kari_id.clone(), vec![], vec![], "Permisjon".to_owned());
    teacher.ask(home, C::BatonOffer { log: log.clone(), to, municipality: None, concerns, notes, reason }).unwrap();
    teacher.sync(&mut NoPast(home));
    kari.sync(home);
    let offers = kari.ask(home, C::BatonList).unwrap();
    let offer = text(&list(&offers, "offers")[0], "offer");
    kari.ask(home, C::BatonAccept { offer, person: None }).unwrap();
    kari.sync(home);
    teacher.sync(&mut NoPast(home));
    kari.sync(home);
    mother.sync(home);
    let show = mother.ask(home, C::LogShow { log }).unwrap();
    assert_eq!(show["holder"], kari_id.as_str(), "{}", teacher.last_problem());
    assert_eq!(show["handovers"][0]["reason"], "Permisjon", "{show} {}", kari.last_problem());
}

/// Thousands of changes, each a small step ahead, and thousands side by side: nobody's document stops, everybody writes on, and
/// withdrawals and removals go through.
#[test]
fn sp22_one_member_s_many_small_steps_stop_nobody() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let (_ppt, unit) = ppt_reads(&mut cast, &log, std::slice::from_ref(&concern));
    let Cast { home, teacher, mother, father, .. } = &mut cast;
    let scope: ScopeId = concern.parse().unwrap();
    let insider = Insider::of(father, &concern);
    for changes in insider.striding(4_200).chunks(600) {
        insider.write(home, changes);
    }
    let loose: Vec<Vec<u8>> =
        (100..200).map(|n| insider.make(n, |d| insider.put_entry(d, "glimpses", &format!("l{n}"), "Løs"))).collect();
    insider.write(home, &loose);
    mother.sync(home);
    mother.ask(home, C::ConsentWithdraw { log, target: WithdrawTarget::Unit(unit) }).unwrap();
    mother.sync(home);
    assert_eq!(readers(home, scope), 0, "{}", mother.last_problem());
    glimpse(home, mother, &concern, "Fra mor");
    glimpse(home, teacher, &concern, "Fra lærer");
    mother.sync(home);
    for device in [mother, teacher] {
        let shown = glimpses(device, home, &concern);
        assert!(shown.ends_with(&["Fra mor".into(), "Fra lærer".into()]), "{shown:?} {}", device.last_problem());
        assert_eq!(shown.iter().filter(|text| *text == "Løs").count(), 8);
    }
}
