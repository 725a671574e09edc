//! A home in memory that is out of order for some events.

use crate::model::home::ModelHome;
use crate::model::net::Net;
use stafett_protocol::codec::decode;
use stafett_protocol::event::Body;
use stafett_protocol::ids::DeviceId;
use stafett_protocol::wire::{ClientFrame, Envelope, Problem, Reply, Request, ServerFrame};

/// A home that does not take some events in for now.
pub struct Picky<'a>(pub &'a mut ModelHome, pub fn(&Body) -> bool);

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
