//! Homes in memory that are out of order for some events, refuse some requests, or do not know what became of one.

use crate::model::home::ModelHome;
use crate::model::net::{Homes, Net};
use stafett_protocol::codec::decode;
use stafett_protocol::event::Body;
use stafett_protocol::ids::DeviceId;
use stafett_protocol::wire::{ClientFrame, Envelope, Problem, Reply, Request, ServerFrame};

/// A home that does not take some events in for now.
pub struct Picky<'a>(pub &'a mut ModelHome, pub &'a dyn Fn(&Body) -> bool);

impl Net for Picky<'_> {
    fn now(&self) -> u64 {
        self.0.now
    }
    fn pass(&mut self, millis: u64) {
        self.0.pass(millis);
    }
    fn join(&mut self, _: u16, body: &[u8]) -> Result<Vec<u8>, String> {
        self.0.join(body)
    }
    fn connect(&mut self, _: u16, device: DeviceId) -> bool {
        self.0.connect(device)
    }
    fn disconnect(&mut self, _: u16, device: DeviceId) {
        self.0.disconnect(device);
    }
    fn frame(&mut self, _: u16, device: DeviceId, bytes: &[u8]) {
        let ClientFrame { id, request } = decode(bytes).unwrap();
        let refused = |e: &Envelope| self.1(&e.event.peek().unwrap().body);
        if !matches!(&request, Request::Submit(bundle) if bundle.envelopes.iter().any(refused)) {
            return self.0.frame(device, bytes);
        }
        let problem = Problem { code: "unavailable".into(), detail: "try again".into(), scope: None };
        self.0.open.get_mut(&device).unwrap().push(ServerFrame { id, reply: Reply::Problem(problem) });
    }
    fn inbound(&mut self, number: u16, device: DeviceId) -> Vec<ServerFrame> {
        self.0.inbound(number, device)
    }
}

/// A home that answers with one word whatever fits.
pub struct Refusing<'a> {
    pub home: &'a mut ModelHome,
    pub what: fn(&Request) -> bool,
    pub code: &'a str,
}

impl Net for Refusing<'_> {
    fn now(&self) -> u64 {
        self.home.now
    }
    fn pass(&mut self, millis: u64) {
        self.home.pass(millis);
    }
    fn join(&mut self, _: u16, body: &[u8]) -> Result<Vec<u8>, String> {
        self.home.join(body)
    }
    fn connect(&mut self, _: u16, device: DeviceId) -> bool {
        self.home.connect(device)
    }
    fn disconnect(&mut self, _: u16, device: DeviceId) {
        self.home.disconnect(device);
    }
    fn frame(&mut self, _: u16, device: DeviceId, bytes: &[u8]) {
        let ClientFrame { id, request } = decode(bytes).unwrap();
        if !(self.what)(&request) {
            return self.home.frame(device, bytes);
        }
        let problem = Problem { code: self.code.into(), detail: String::new(), scope: None };
        self.home.open.get_mut(&device).unwrap().push(ServerFrame { id, reply: Reply::Problem(problem) });
    }
    fn inbound(&mut self, number: u16, device: DeviceId) -> Vec<ServerFrame> {
        self.home.inbound(number, device)
    }
}

/// The device's own home does what it is asked, and at one request, the `left`th from now, cannot say whether it did.
pub struct Unsure<'a> {
    pub homes: &'a mut Homes,
    pub left: usize,
}

impl Net for Unsure<'_> {
    fn now(&self) -> u64 {
        self.homes.now()
    }
    fn pass(&mut self, millis: u64) {
        self.homes.pass(millis);
    }
    fn join(&mut self, number: u16, body: &[u8]) -> Result<Vec<u8>, String> {
        self.homes.join(number, body)
    }
    fn connect(&mut self, number: u16, device: DeviceId) -> bool {
        self.homes.connect(number, device)
    }
    fn disconnect(&mut self, number: u16, device: DeviceId) {
        self.homes.disconnect(number, device);
    }
    fn frame(&mut self, number: u16, device: DeviceId, bytes: &[u8]) {
        let ClientFrame { id, request } = decode(bytes).unwrap();
        self.homes.frame(number, device, bytes);
        if matches!(request, Request::Relay(_)) || self.left == 0 {
            return;
        }
        self.left -= 1;
        if self.left == 0 {
            let problem = Problem { code: "unavailable".into(), detail: "try again".into(), scope: None };
            let answers = self.homes.at(number).open.get_mut(&device).unwrap();
            let answer = answers.iter_mut().find(|frame| frame.id == id).unwrap();
            answer.reply = Reply::Problem(problem);
        }
    }
    fn inbound(&mut self, number: u16, device: DeviceId) -> Vec<ServerFrame> {
        self.homes.inbound(number, device)
    }
}
