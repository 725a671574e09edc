//! How a participant comes to have an account: its own small unit with a leader who registers it, as any unit of a
//! municipality would; and, for whoever begins a log, a guardian who consents.

use crate::server::{home_in, stafettd};
use serde_json::Value;
use stafett_cli::host::home::Home;
use stafett_cli::host::open_home::OpenHome;
use stafett_cli::host::recording::Recording;
use stafett_client_core::client::input::{Command as Wish, Invitation};
use std::path::Path;

pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

async fn open(dir: &Path, name: &str) -> OpenHome {
    let home = Home::hold_new(&dir.join(name)).expect("a home");
    let key = home.set_up(b"bench").expect("is set up");
    OpenHome::open(home, &key, Recording::none()).await.expect("opens")
}

async fn join(dir: &Path, name: &str, code: String) -> (OpenHome, Value) {
    let mut session = open(dir, name).await;
    let joined = session.perform(Wish::Join { code, name: name.into() }).await.expect("joins").to_json();
    session.sync().await.expect("syncs");
    (session, joined)
}

async fn invited(dir: &Path, name: &str, by: &mut OpenHome, invitation: Invitation) -> (OpenHome, Value) {
    let code = text(&by.perform(Wish::Invite(invitation)).await.expect("invites").to_json(), "code");
    by.sync().await.expect("syncs");
    let joined = join(dir, name, code).await;
    by.sync().await.expect("syncs");
    joined
}

/// A person's account with the leader of its unit.
pub struct Account {
    pub me: OpenHome,
    pub leader: OpenHome,
    pub person: String,
    pub unit: String,
}

impl Account {
    /// A new unit on the server in `data`, its leader, and one employee.
    pub async fn new(data: &str, dir: &Path, name: &str) -> Self {
        let added = stafettd(&["unit", "add", "--name", name, "--kind", "school"], &home_in(data));
        let added: Value = serde_json::from_slice(&added).expect("JSON");
        let (mut leader, _) = join(dir, "leader", text(&added, "leader_code")).await;
        let employee = Invitation::Employee { may_hold: true, may_act: true };
        let (mut me, joined) = invited(dir, "me", &mut leader, employee).await;
        me.sync().await.expect("syncs");
        Self { me, leader, person: text(&joined, "person"), unit: text(&added, "unit") }
    }
}

/// A guardian, known to this person.
pub async fn guardian(dir: &Path, by: &mut OpenHome) -> (OpenHome, String) {
    let (guardian, joined) = invited(dir, "guardian", by, Invitation::Guardian).await;
    (guardian, text(&joined, "person"))
}

/// A guardian says yes to everything that was asked.
pub async fn consent(guardian: &mut OpenHome) {
    guardian.sync().await.expect("syncs");
    let pending = guardian.perform(Wish::ConsentPending).await.expect("answers").to_json();
    for request in pending["requests"].as_array().expect("a list") {
        guardian
            .perform(Wish::ConsentGrant { request: text(request, "request"), custody: true })
            .await
            .expect("consents");
    }
    guardian.sync().await.expect("syncs");
}
