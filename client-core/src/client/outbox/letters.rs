//! Letters out and in. Out: a row in the outbox with the plain content, sealed to every device of the
//! recipient when it is sent. In: opened, its signature chain followed, then handed to whom it concerns.

use crate::client::input::{Cause, Problem};
use crate::client::keys::mail_key;
use crate::client::queue::OutLetter;
use crate::client::stream::Sent;
use crate::client::{Client, people};
use crate::letter::{self, SealedLetter};
use crate::rows::Space;
use openmls_traits::OpenMlsProvider as _;
use stafett_protocol::codec::{decode, encode};
use stafett_protocol::consent::Voucher;
use stafett_protocol::ids::{DeviceId, PersonId, ScopeId};
use stafett_protocol::letter::{Content, Letter, LetterBody, Opened};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::Request;

pub(crate) const INFO: &[u8] = b"stafett/1 letter";

/// The device that a request is to register.
pub(crate) fn certified(request: Request) -> Option<DeviceId> {
    let Request::CertifyDevice(certified) = request else { return None };
    certified.certificate.peek().ok().map(|certificate| DeviceId::of_key(&certificate.device_key))
}

impl Client {
    /// Sends what can be addressed; asks for those whose devices are not known.
    pub(crate) fn send_letters(&mut self) -> Result<(), Problem> {
        let waiting: Vec<(Vec<u8>, OutLetter)> = self
            .queued_rows("l")
            .into_iter()
            .filter_map(|(key, value)| decode::<OutLetter>(&value).ok().map(|letter| (key, letter)))
            .filter(|(key, _)| !self.stream.waits_for(&Sent::Row(key.clone())) && !self.going.parked.contains(key))
            .filter(|(_, letter)| !letter.device.as_ref().is_some_and(|to| self.awaits_registration(to.device)))
            .collect();
        for (key, out) in waiting {
            let devices = match &out.device {
                Some(one) => vec![(one.device, one.letter_key.clone())],
                None => people::pin(&self.table, out.to)
                    .filter(|_| self.stream.asked.contains(&out.to) && !self.stream.asks_for(out.to))
                    .map(|p| p.devices.into_iter().map(|d| (d.device, d.letter_key)).collect())
                    .unwrap_or_default(),
            };
            if devices.is_empty() {
                self.ask_persons(&[out.to]);
                self.ask_elsewhere(out.to);
                continue;
            }
            // Letters lie at the recipient's own municipality; while it is away they wait here.
            let home = self.person_home(out.to);
            if !self.reach(home) {
                continue;
            }
            let own = self.me()?.device();
            let others: Vec<_> = devices.into_iter().filter(|(device, _)| *device != own).collect();
            let mut letters: Vec<Letter> = vec![];
            for (device, letter_key) in &others {
                // A key that nothing can be sealed to concerns its device alone.
                match self.seal_letter(*device, letter_key.as_slice(), out.to, &out.content) {
                    Ok(letter) => letters.push(letter),
                    Err(problem) => self.report(&problem),
                }
            }
            if letters.is_empty() {
                if !others.is_empty() {
                    self.keep_row(&key, "no-letter-key");
                }
                self.table.delete(Space::Outbox, &key);
                continue;
            }
            self.stream.send(home, Request::Letters(letters), Sent::Row(key));
        }
        Ok(())
    }

    fn seal_letter(
        &self,
        device: DeviceId,
        letter_key: &[u8],
        to: PersonId,
        content: &Content,
    ) -> Result<Letter, Problem> {
        let me = self.me()?;
        let body = LetterBody { to, written_at: self.now, sender_name: me.name.clone(), content: content.clone() };
        let opened = Opened { from: me.credential()?, body: Signed::sign(&body, &me.device_key()) };
        let SealedLetter { kem, sealed } =
            letter::seal(self.provider.crypto(), letter_key, INFO, &device.0, &encode(&opened))
                .map_err(|e| Problem::rule(Cause::Letter, e.to_string()))?;
        Ok(Letter { to: device, kem: kem.into(), sealed: sealed.into() })
    }

    /// Vouchers that have come for a scope, by person.
    pub(crate) fn vouchers(&self, scope: ScopeId) -> Vec<(PersonId, Voucher)> {
        self.table
            .scan(Space::Mail, &mail_key("voucher", &[&scope.0]))
            .filter_map(|(_, value)| decode::<Voucher>(value).ok())
            .filter_map(|v| v.employee.peek().ok().map(|e| (e.person, v)))
            .collect()
    }

    /// Whether the server has not taken a new device yet: until then nothing is told to it, the person's key least of all.
    fn awaits_registration(&self, device: DeviceId) -> bool {
        let rows = self.queued_rows("r").into_iter().filter_map(|(_, value)| decode::<Request>(&value).ok());
        rows.filter_map(certified).any(|certified| certified == device)
    }

    /// A device that the server will never take is told nothing.
    pub(crate) fn registration_refused(&mut self, row: &[u8]) {
        let request = self.table.read(Space::Outbox, row).map(decode::<Request>);
        let Some(device) = request.and_then(Result::ok).and_then(certified) else { return };
        for (key, value) in self.queued_rows("l") {
            let letter = decode::<OutLetter>(&value).ok().and_then(|letter| letter.device);
            if letter.is_some_and(|to| to.device == device) {
                self.table.delete(Space::Outbox, &key);
            }
        }
    }
}
