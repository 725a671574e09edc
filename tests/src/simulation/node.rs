//! One device of a world: its person, its disk and clock, what is on its way from and to it, and what ails it.

use crate::model::people::Device;
use stafett_client_core::rows::Space;
use stafett_protocol::wire::ServerFrame;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub struct Node {
    pub person: usize,
    pub device: Device,
    pub id: String,
    pub(super) inbound: VecDeque<ServerFrame>,
    pub(super) outbound: VecDeque<Vec<u8>>,
    pub(super) heard: Vec<ServerFrame>,
    pub(super) online: bool,
    /// Rounds in which nothing arrives, or nothing leaves.
    pub(super) deaf: usize,
    pub(super) mute: usize,
    /// Steps out of every net, or with a full disk.
    pub(super) away: usize,
    pub(super) disk_full: usize,
    /// By how much the device's clock is wrong, in milliseconds.
    pub(super) clock: i64,
    pub(super) backup: Option<Backup>,
    pub removed: bool,
    /// Its person has asked for its end on another device.
    pub(super) goes: bool,
    /// It was put back to its backup, which knew lines to these municipalities.
    pub(super) lines: Option<BTreeSet<u16>>,
    /// Its person is hostile, and lets nobody in.
    pub(super) stays_alone: bool,
}

/// A disk as it was, and how many texts had been written then.
#[derive(Clone)]
pub(super) struct Backup {
    pub disk: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    pub written: usize,
}

impl Node {
    pub fn new(person: usize, device: Device) -> Self {
        Self {
            person,
            device,
            id: String::new(),
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
            heard: vec![],
            online: false,
            deaf: 0,
            mute: 0,
            away: 0,
            disk_full: 0,
            clock: 0,
            backup: None,
            removed: false,
            goes: false,
            lines: None,
            stays_alone: false,
        }
    }

    pub fn is_online(&self) -> bool {
        self.online
    }

    /// Whether it could speak to a server now.
    pub(super) fn may_connect(&self) -> bool {
        !self.removed && self.disk_full == 0 && self.away == 0
    }

    pub(super) fn begin_step(&mut self) {
        self.disk_full = self.disk_full.saturating_sub(1);
        self.away = self.away.saturating_sub(1);
    }

    /// Every ailment ends.
    pub(super) fn heal(&mut self) {
        (self.deaf, self.mute, self.away, self.disk_full, self.clock) = (0, 0, 0, 0, 0);
    }

    /// Whether it has a row of this kind on its disk.
    pub fn keeps(&self, space: Space, prefix: &[u8]) -> bool {
        let from = (space as u8, prefix.to_vec());
        self.device.disk.range(from..).next().is_some_and(|((s, key), _)| *s == space as u8 && key.starts_with(prefix))
    }

    /// Whether it drives the move of a log.
    pub fn moves_a_log(&self) -> bool {
        self.keeps(Space::State, b"moving/")
    }
}
