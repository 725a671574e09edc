//! Whatever a server says (K1): no byte of it stops a client, and the next honest word is understood.

use super::chain::{copy_of, glimpse, glimpses};
use stafett_client_core::client::input::Input;
use stafett_protocol::codec::encode;
use stafett_tests::model::cast::{Cast, cast, concern, log};
use stafett_tests::model::net::Net as _;

/// Frames of a real session, bent, cut and put together wrongly.
fn bent(frames: &[Vec<u8>], number: usize) -> Vec<u8> {
    let frame = &frames[number % frames.len()];
    let at = number.wrapping_mul(2_654_435_761) % frame.len();
    let mut bytes = frame.clone();
    match number % 5 {
        0 => bytes[at] ^= 1 << (number % 8),
        1 => bytes.truncate(at),
        2 => bytes.extend_from_slice(&frame[at..]),
        3 => bytes[at] = 0xff,
        _ => bytes.splice(at..at, [0x80, 0, 0, 0xff]).for_each(drop),
    }
    bytes
}

#[test]
fn k1_no_bytes_from_the_server_stop_a_client() {
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let Cast { home, teacher, mother, .. } = &mut cast;
    glimpse(home, teacher, &concern, "Nytt");
    // What an honest home says to the mother from her first word on.
    let id = mother.id.unwrap();
    assert!(home.connect(id));
    let mut observer = copy_of(mother);
    let (mut frames, mut inputs) = (vec![], vec![Input::Connected]);
    while let Some(input) = inputs.pop() {
        let effects = observer.client.handle(home.now, input);
        effects.frames.iter().for_each(|f| home.frame(id, f));
        for reply in home.inbound(home.number, id) {
            frames.push(encode(&reply));
            inputs.insert(0, Input::Frame(encode(&reply)));
        }
    }
    home.disconnect(id);
    assert!(frames.len() > 4);
    let mut device = copy_of(mother);
    for number in 0..3000 {
        if number % 100 == 0 {
            device.client.handle(home.now, Input::Connected);
            device.client.handle(home.now, Input::Frame(frames[number / 100 % frames.len()].clone()));
        }
        let effects = device.client.handle(home.now, Input::Frame(bent(&frames, number)));
        device.save(&effects);
    }
    device.client.handle(home.now, Input::Disconnected);
    device.sync(home);
    assert_eq!(glimpses(&mut device, home, &concern), ["Nytt"], "{}", device.last_problem());
    glimpse(home, &mut device, &concern, "Ennå i live");
    teacher.sync(home);
    assert_eq!(glimpses(teacher, home, &concern), ["Nytt", "Ennå i live"], "{}", device.last_problem());
}
