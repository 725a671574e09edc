//! The devices of one person: certified by the first, given the person's key by letter, removable by each other.

use crate::answer::{self, Devices, Moment, RemovedDevice, UsedUp};
use crate::client::input::{Cause, Problem};
use crate::client::me::own_device_key;
use crate::client::queue::{OneDevice, OutLetter};
use crate::client::{Client, people};
use crate::rows::Space;
use ed25519_dalek::SigningKey;
use stafett_protocol::code::{Proof, key_hash, proof_holds};
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::credential::{DeviceCertificate, PersonCertificate, letter_key_hash};
use stafett_protocol::ids::DeviceId;
use stafett_protocol::letter::{BundledRow, Content, DeviceBundle, Opened};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::{CertifiedDevice, CodeKind, DeviceClaim, DeviceRemoval, Request};

impl Client {
    pub(crate) fn device_link(&mut self) -> Result<answer::Code, Problem> {
        let code = self.offer(CodeKind::Device, (false, false))?;
        Ok(answer::Code { code })
    }

    /// A new device of ours asks: the proof under the code's secret is its authentication.
    pub(crate) fn device_asks(&mut self, signed: &Signed<DeviceClaim>) -> Result<(), Problem> {
        let forged = |e: &dyn core::fmt::Display| {
            Problem::rule(Cause::ForgedDevice, format!("somebody tried to add a device to your account: {e}"))
        };
        let claim = signed.peek().map_err(|e| forged(&e))?;
        signed.verify(&claim.device_key).map_err(|e| forged(&e))?;
        let (mut invite, secret) = self.invite_of(&claim.ticket)?;
        let letter_hash = letter_key_hash(claim.letter_key.as_slice());
        let proved =
            proof_holds(&claim.proof, &secret, Proof::Device, &claim.ticket, &[&claim.device_key, &letter_hash.0]);
        let me = self.me()?;
        if !proved || invite.kind != CodeKind::Device || claim.person != me.person || invite.person.is_some() {
            return Err(forged(&"the proof does not hold, or the code was used before"));
        }
        let certificate = DeviceCertificate {
            person: me.person,
            device_key: claim.device_key,
            letter_key: letter_hash,
            issued_at: self.now,
        };
        let certificate = Signed::sign(&certificate, &me.person_key()?);
        let device = DeviceId::of_key(&claim.device_key);
        let name = crate::client::joining::invitations::open_name(&secret, &claim.ticket, claim.sealed_name.as_slice());
        self.table.write(Space::State, &own_device_key(device), name.into_bytes());
        let bundle = self.device_bundle(&certificate)?;
        invite.person = Some(claim.person);
        self.keep_invite(&claim.ticket, &invite);
        self.queue_request(&Request::CertifyDevice(CertifiedDevice { certificate, claim: signed.clone() }));
        let to = OneDevice { device, letter_key: claim.letter_key };
        self.queue(
            "l",
            encode(&OutLetter { to: claim.person, device: Some(to), content: Content::DeviceBundle(bundle) }),
        );
        Ok(())
    }

    fn device_bundle(&self, certificate: &Signed<DeviceCertificate>) -> Result<DeviceBundle, Problem> {
        let me = self.me()?;
        let row = |space: Space, key: &[u8], value: &[u8]| BundledRow {
            space: space as u8,
            key: key.to_vec().into(),
            value: value.to_vec().into(),
        };
        let mut rows = vec![row(Space::Identity, b"device certificate", &encode(certificate))];
        if let Some(employee) = &me.employee {
            rows.push(row(Space::Identity, b"employee", &encode(employee)));
        }
        rows.extend(self.table.scan(Space::Pin, b"").map(|(key, value)| row(Space::Pin, key, value)));
        for told in [b"device/".as_slice(), b"unit-name/", b"person-home/", people::NAMES] {
            rows.extend(self.table.scan(Space::State, told).map(|(key, value)| row(Space::State, key, value)));
        }
        Ok(DeviceBundle {
            person_secret: me.person_secret.unwrap_or_default().to_vec().into(),
            name: me.name.clone(),
            rows,
        })
    }

    /// The first device's answer to ours: our person key, our certificate, the people it knows.
    pub(crate) fn take_device_bundle(
        &mut self,
        from: &PersonCertificate,
        bundle: &DeviceBundle,
        opened: &Opened,
    ) -> Result<(), Problem> {
        let refused = |why: &str| Problem::rule(Cause::DeviceBundle, why);
        let me = self.me.as_mut().ok_or_else(|| refused("no account"))?;
        let by_inviter = key_hash(&from.person_key) == me.inviter && from.person == me.person;
        let secret: [u8; 32] = bundle.person_secret.as_slice().try_into().map_err(|_| refused("no key inside"))?;
        if !by_inviter
            || SigningKey::from_bytes(&secret).verifying_key().to_bytes() != from.person_key
            || me.person_secret.is_some()
        {
            return Err(refused("it is not from the device whose code was used"));
        }
        me.person_secret = Some(secret);
        me.person_certificate = Some(opened.from.person.clone());
        me.name.clone_from(&bundle.name);
        for row in &bundle.rows {
            let (key, value) = (row.key.as_slice(), row.value.as_slice());
            match (Space::from_number(row.space), key) {
                (Some(Space::Identity), b"device certificate") => me.device_certificate = decode(value).ok(),
                (Some(Space::Identity), b"employee") => me.employee = decode(value).ok(),
                (Some(space @ (Space::Pin | Space::State)), _) => self.table.write(space, key, value.to_vec()),
                _ => {}
            }
        }
        me.save(&mut self.table);
        me.identity().map(drop)
    }

    pub(crate) fn device_list(&mut self) -> Result<Devices, Problem> {
        let me = self.me()?;
        let devices: Vec<_> = self
            .table
            .scan(Space::State, b"device/")
            .filter_map(|(key, name)| {
                let id = DeviceId(key.strip_prefix(b"device/")?.try_into().ok()?);
                let name = String::from_utf8_lossy(name).into_owned();
                Some(answer::Device { device: id.to_string(), name, this: id == me.device() })
            })
            .collect();
        let used_up = self.packages_used_up().map(|at| UsedUp { at: Moment::at(at) }).into_iter().collect();
        Ok(Devices { person: me.person.to_string(), devices, used_up })
    }

    /// Ends a device of one's own, once the server agrees that another one has all that it has, or at once if it is lost:
    /// the server turns it away, and its leaves go with the next plan.
    pub(crate) fn device_remove(&mut self, device: &str, lost: bool) -> Result<RemovedDevice, Problem> {
        let own = self.me()?.device();
        let id = people::unique("device", device, self.own_devices())?;
        if id == own {
            return Err(Problem::rule(Cause::OwnDevice, "a device cannot remove itself; use another of your devices"));
        }
        Ok(self.ask_to_end(id, lost))
    }

    /// Ends this very device at the server, before all that is on it goes. Not the only one: its person could never come back.
    pub(crate) fn device_leave(&mut self) -> Result<RemovedDevice, Problem> {
        let own = self.me()?.device();
        if self.own_devices().into_iter().all(|device| device == own) {
            return Err(Problem::rule(Cause::OwnDevice, "it is the only one; its person could never come back"));
        }
        Ok(self.ask_to_end(own, false))
    }

    fn ask_to_end(&mut self, device: DeviceId, lost: bool) -> RemovedDevice {
        self.queue_request(&Request::RemoveDevice(DeviceRemoval { device, lost: lost.into() }));
        RemovedDevice { device: device.to_string() }
    }
}
