//! Two texts that one person wrote at two devices without a net: both are shown to everybody, in words, until somebody who
//! knows both writes again.

use serde_json::{Value, json};
use stafett_client_core::client::input::Command as C;
use stafett_tests::model::cast::{Cast, cast, concern, list, log, telephone, text};
use stafett_tests::model::net::Net;
use stafett_tests::model::people::Device;
use stafett_tests::model::told;
use stafett_words::messages::{Language, Messages};

fn measure(device: &mut Device, net: &mut impl Net, concern: &str) -> Value {
    let shown = device.ask(net, C::ConcernShow { concern: concern.to_owned() }).unwrap();
    list(&shown, "measures")[0].clone()
}

fn edit(device: &mut Device, net: &mut impl Net, measure: &str, text: &str) -> Value {
    device.ask(net, C::MeasureEdit { measure: measure.to_owned(), text: text.to_owned() }).unwrap()
}

/// What the terminal says, in each language.
fn in_words(device: &mut Device, net: &mut impl Net, concern: &str) -> Vec<String> {
    let shown = device.ask(net, C::ConcernShow { concern: concern.to_owned() }).unwrap();
    let languages = [Language::Bokmaal, Language::Nynorsk, Language::English];
    languages.map(|language| told::in_words(&Messages::of(language), "concern.show", &shown)).to_vec()
}

#[test]
fn b4_two_devices_offline_lose_neither_text_and_a_choice_settles_it_everywhere() {
    const HERE: &str = "Ella viser ukeplanen hver kveld";
    const THERE: &str = "Ella viser ukeplanen på fredag";
    let mut cast = cast();
    let log = log(&mut cast);
    let concern = concern(&mut cast, &log);
    let mut telephone = telephone(&mut cast);
    let Cast { home, teacher, mother, .. } = &mut cast;
    for _ in 0..3 {
        teacher.sync(home);
        telephone.sync(home);
    }
    let id = text(&measure(teacher, home, &concern), "measure");
    for (device, text) in [(&mut *teacher, HERE), (&mut telephone, THERE)] {
        edit(device, home, &id, text);
        assert_eq!(measure(device, home, &concern)["text"], json!(text), "at once, without a net");
    }
    let everybody = |home: &mut _, teacher: &mut Device, telephone: &mut Device, mother: &mut Device| {
        for _ in 0..2 {
            [&mut *teacher, &mut *telephone, &mut *mother].into_iter().for_each(|device| device.sync(home));
        }
    };
    everybody(home, teacher, &mut telephone, mother);
    telephone.restart();
    let shown = measure(teacher, home, &concern);
    let (first, second) = (text(&shown, "text"), text(&json!({"b": shown["beside"][0]}), "b"));
    assert_eq!([HERE, THERE].map(|one| [&first, &second].contains(&&one.to_owned())), [true, true], "{shown}");
    for device in [&mut *teacher, &mut telephone, &mut *mother] {
        assert_eq!(measure(device, home, &concern), shown, "everybody sees the same");
        for said in in_words(device, home, &concern) {
            assert!(said.contains(HERE) && said.contains(THERE) && said.contains("stafett measure edit"), "{said}");
        }
        let told = device.ask(home, C::SyncCounts).unwrap();
        assert_eq!((&told["queued"], &told["given_up"]), (&json!(0), &json!(0)), "{told}");
    }
    // The one that happens to be shown is chosen by writing it again.
    let settled = edit(&mut telephone, home, &id, &first);
    assert_eq!(settled["replaced"], json!([second]));
    let said = told::in_words(&Messages::of(Language::Bokmaal), "measure.edit", &settled);
    assert!(said.contains(&second), "{said}");
    everybody(home, teacher, &mut telephone, mother);
    for device in [&mut *teacher, &mut telephone, &mut *mother] {
        let now = measure(device, home, &concern);
        assert_eq!((&now["text"], &now["beside"]), (&json!(first), &Value::Null), "{}", device.last_problem());
        let said = in_words(device, home, &concern);
        assert!(said.iter().all(|said| said.contains(&first) && !said.contains(&second)), "{said:?}");
    }
    let log = teacher.ask(home, C::LogShow { log }).unwrap();
    assert_eq!(list(&log, "quarantined").len(), 0, "nobody refuses an honest edit: {log}");
}
