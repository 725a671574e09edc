//! People with devices at a home in memory. Rows are kept as a host would keep them, so that a device can be
//! started again from what was saved.

use crate::model::net::Net;
use serde_json::Value;
use stafett_client_core::client::Client;
use stafett_client_core::client::input::{Command, Effects, Input, Problem, Progress};
use stafett_client_core::rows::{Row, Space};
use stafett_protocol::code::Code;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::ids::{DeviceId, Municipality};
use stafett_protocol::wire::{ClientFrame, Request};
use std::collections::BTreeMap;

/// One device: the client, and the disk under it.
pub struct Device {
    pub client: Client,
    pub disk: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    pub id: Option<DeviceId>,
    /// The municipality that has the account.
    pub home: Municipality,
    /// What it was told of moves, in order.
    pub progress: Vec<Progress>,
    /// Every batch that was saved, in order.
    pub saved: Vec<Vec<Row>>,
    /// Every frame that a sync has brought, in order.
    pub heard: Vec<Vec<u8>>,
    /// The file that came with the last answer.
    pub file: Option<Vec<u8>>,
    seed: u8,
}

impl Device {
    pub fn new(seed: u8) -> Self {
        let client = Client::open(vec![], [seed; 32]).unwrap();
        Self {
            client,
            disk: BTreeMap::new(),
            id: None,
            home: 0,
            progress: vec![],
            saved: vec![],
            heard: vec![],
            file: None,
            seed,
        }
    }

    fn rows(&self) -> Vec<Row> {
        let row = |((space, key), value): (&(u8, Vec<u8>), &Vec<u8>)| Row {
            space: Space::from_number(*space).unwrap(),
            key: key.clone(),
            value: Some(value.clone()),
        };
        self.disk.iter().map(row).collect()
    }

    /// The process dies; another starts on the same disk.
    pub fn restart(&mut self) {
        let rows = self.rows().into_iter().filter(|r| r.space != Space::Event).collect();
        self.seed = self.seed.wrapping_add(97);
        self.client = Client::open(rows, [self.seed; 32]).unwrap();
    }

    pub fn save(&mut self, effects: &Effects) {
        self.progress.extend(effects.progress);
        if !effects.rows.is_empty() {
            self.saved.push(effects.rows.clone());
        }
        for row in &effects.rows {
            let key = (row.space as u8, row.key.clone());
            match &row.value {
                Some(value) => self.disk.insert(key, value.clone()),
                None => self.disk.remove(&key),
            };
        }
    }

    /// A command, and what its call or load brings.
    pub fn ask(&mut self, net: &mut impl Net, command: Command) -> Result<Value, Problem> {
        if let Command::Join { code, .. } | Command::DeviceAccept { code, .. } = &command {
            self.home = Code::from_text(code).map_or(self.home, |code| code.municipality);
        }
        let effects = self.client.handle(net.now(), Input::Command(command));
        self.save(&effects);
        if let Some(answer) = effects.answer {
            self.file = effects.file;
            return answer.map(|answer| answer.to_json());
        }
        let next = match (effects.call, effects.load) {
            (Some(call), _) => {
                let reply = net.join(self.home, &call.body).map_err(|detail| {
                    stafett_client_core::client::input::CallFailed::Refused { code: "refused".into(), detail }
                });
                Input::CallAnswered(reply)
            }
            (_, Some(prefixes)) => Input::Loaded(self.events(&prefixes)),
            _ => panic!("neither answer nor call nor load"),
        };
        let effects = self.client.handle(net.now(), next);
        self.save(&effects);
        self.file = effects.file;
        let answer = effects.answer.expect("an answer").map(|answer| answer.to_json());
        if let Ok(value) = &answer
            && let Some(device) = value["device"].as_str()
            && self.id.is_none()
        {
            self.id = Some(device.parse().unwrap());
        }
        answer
    }

    /// Event rows under these prefixes, as a host loads them.
    pub fn events(&self, prefixes: &[Vec<u8>]) -> Vec<Row> {
        let wanted = |row: &Row| row.space == Space::Event && prefixes.iter().any(|p| row.key.starts_with(p));
        self.rows().into_iter().filter(wanted).collect()
    }

    /// `stafett sync`: until nothing more can be done alone.
    pub fn sync(&mut self, net: &mut impl Net) {
        net.pass(1000);
        let (id, home) = (self.id.unwrap(), self.home);
        if !net.connect(home, id) {
            return;
        }
        self.rounds(net, |_| false);
        net.disconnect(home, id);
        let effects = self.client.handle(net.now(), Input::Disconnected);
        self.save(&effects);
    }

    /// A sync whose answer to such a request is lost, once its server has taken it; and the process dies with it. Answers
    /// whether such a request was made.
    pub fn sync_losing(&mut self, net: &mut impl Net, mut last: impl FnMut(&Request) -> bool) -> bool {
        let (id, home) = (self.id.unwrap(), self.home);
        assert!(net.connect(home, id));
        let lost = self.rounds(net, |frame| decode::<ClientFrame>(frame).is_ok_and(|frame| last(&frame.request)));
        net.disconnect(home, id);
        self.restart();
        lost
    }

    /// Takes in what comes until nothing more does, or until a frame was sent that is to be the last: then answers `true`.
    fn rounds(&mut self, net: &mut impl Net, mut last: impl FnMut(&[u8]) -> bool) -> bool {
        let (id, home) = (self.id.unwrap(), self.home);
        let mut queue = vec![Input::Connected];
        for _ in 0..500 {
            let (mut settled, mut ends) = (false, false);
            for input in std::mem::take(&mut queue) {
                let mut next = Some(input);
                while let Some(input) = next.take() {
                    let effects = self.client.handle(net.now(), input);
                    self.save(&effects);
                    for frame in &effects.frames {
                        ends |= last(frame);
                        net.frame(home, id, frame);
                    }
                    settled = effects.settled;
                    next = effects.load.map(|prefixes| Input::Loaded(self.events(&prefixes)));
                }
            }
            if ends {
                return true;
            }
            let frames: Vec<Vec<u8>> = net.inbound(home, id).iter().map(encode).collect();
            self.heard.extend(frames.iter().cloned());
            queue.extend(frames.into_iter().map(Input::Frame));
            if queue.is_empty() {
                assert!(settled, "nothing comes and the client waits: {:?}", self.client);
                return false;
            }
        }
        panic!("sync does not settle");
    }

    /// The last problem that the client noted, for messages of failed tests.
    pub fn last_problem(&self) -> String {
        let row = self.disk.get(&(Space::State as u8, b"problem/last".to_vec()));
        row.map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default()
    }
}
