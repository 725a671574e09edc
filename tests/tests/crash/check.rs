//! What must hold of a database that a crash has left: whole, with what was acknowledged, and taking the rest once.

use super::script::*;
use stafett_protocol::codec::decode;
use stafett_protocol::event::Position;
use stafett_protocol::ids::{DeviceId, Hash, ScopeId};
use stafett_protocol::signed::Signed;
use stafett_protocol::wire::*;
use stafett_server::args;
use stafett_server::db::StoreError;
use stafett_server::store::{chain, mail};
use std::collections::BTreeMap;
use std::path::Path;

/// What a crash has left: opens, is whole, has what was acknowledged, and takes everything once more, once.
pub async fn check(town: &Town, dir: &Path, played: &Played, acknowledged: usize) -> Result<(), String> {
    let open = town.open(dir).await.map_err(|error| format!("does not open: {error}"))?;
    let result = check_open(&open, played, acknowledged).await;
    open.close().await;
    result
}

async fn check_open(open: &Open, played: &Played, acknowledged: usize) -> Result<(), String> {
    whole(open).await?;
    let before = chains(open).await?;
    for (scope, least) in played.events(acknowledged) {
        let found = before.get(&scope).copied().unwrap_or_default();
        if found < least {
            return Err(format!("{least} events were acknowledged, {found} are there"));
        }
    }
    for (at, (step, answer)) in played.0.iter().enumerate() {
        let told = at < acknowledged;
        match step {
            Step::Restart => {}
            // These would be done a second time: looked at instead.
            Step::Offer(_) if told => {}
            Step::Letter(letter) if told => letter_lies(open, letter.to).await?,
            Step::Take(device) if told => is_taken(open, *device, answer).await?,
            step => {
                let again = take(open, step).await.map_err(|code| format!("step {at}: {code}"))?;
                if told && again != *answer {
                    return Err(format!("step {at} was acknowledged, and is answered otherwise now"));
                }
            }
        }
    }
    let after = chains(open).await?;
    if after != played.events(played.steps()) {
        return Err(format!("not everything stands exactly once: {after:?}"));
    }
    whole(open).await
}

impl Played {
    /// How many events of each scope the first steps hold.
    pub fn events(&self, steps: usize) -> BTreeMap<ScopeId, u64> {
        let mut found = BTreeMap::new();
        for (step, _) in &self.0[..steps] {
            if let Step::Submit(_, bundle) = step {
                for envelope in &bundle.envelopes {
                    *found.entry(envelope.event.peek().unwrap().scope).or_default() += 1;
                }
            }
        }
        found
    }
}

/// The same for a database that another run of the story has left: its keys are others, its steps the same.
pub async fn check_another(town: &Town, dir: &Path, played: &Played, acknowledged: usize) -> Result<(), String> {
    let open = town.open(dir).await.map_err(|error| format!("does not open: {error}"))?;
    whole(&open).await?;
    let found = chains(&open).await?;
    open.close().await;
    for (scope, least) in played.events(acknowledged) {
        if found.get(&scope).copied().unwrap_or_default() < least {
            return Err(format!("{least} events were acknowledged, {found:?} are there"));
        }
    }
    Ok(())
}

async fn whole(open: &Open) -> Result<(), String> {
    let lost = |error: StoreError| error.to_string();
    let mut conn = open.db.reader().await.map_err(lost)?;
    for (check, good) in [("PRAGMA integrity_check", Some("ok")), ("PRAGMA foreign_key_check", None)] {
        let row = conn.row(check, args![]).await.map_err(lost)?;
        let said = row.map(|row| row.text(0).map_err(lost)).transpose()?;
        if said.as_deref() != good {
            return Err(format!("{check}: {said:?}"));
        }
    }
    Ok(())
}

/// Reads every chain from its beginning; the receipts must sign what is there.
pub async fn chains(open: &Open) -> Result<BTreeMap<ScopeId, u64>, String> {
    let lost = |error: StoreError| error.to_string();
    let mut conn = open.db.reader().await.map_err(lost)?;
    let mut found = BTreeMap::new();
    for scope in SCOPES {
        let (mut head, mut seq) = (Hash::default(), 0);
        while let Some((records, receipt)) = chain::page(&mut conn, scope, seq, u64::MAX).await.map_err(lost)? {
            for record in records {
                seq += 1;
                head = record.head_after(&head);
                if record.seq != seq {
                    return Err(format!("record {} stands at {seq}", record.seq));
                }
            }
            let receipt = receipt.verify(&open.server.municipality.public()).map_err(|error| error.to_string())?;
            if (receipt.position, receipt.scope) != (Position { seq, head }, scope) {
                return Err(format!("a receipt signs something else than the {seq} records before it"));
            }
        }
        let position = chain::position(&mut conn, scope).await.map_err(lost)?.unwrap_or_default();
        if position != (Position { seq, head }) {
            return Err(format!("the scope stands at {position:?}, its records end at {seq}"));
        }
        if seq > 0 {
            found.insert(scope, seq);
        }
    }
    Ok(found)
}

async fn letter_lies(open: &Open, device: DeviceId) -> Result<(), String> {
    let lost = |error: StoreError| error.to_string();
    let mut conn = open.db.reader().await.map_err(lost)?;
    let mut letters = 0;
    for id in mail::waiting(&mut conn, device).await.map_err(lost)? {
        let item = mail::item(&mut conn, device, id).await.map_err(lost)?;
        letters += u64::from(item.is_some_and(|item| matches!(item.mail, Mail::Letter(_))));
    }
    if letters == 1 { Ok(()) } else { Err(format!("a letter was acknowledged, and there are {letters}")) }
}

/// What was handed out once is not handed out again.
async fn is_taken(open: &Open, device: DeviceId, answer: &Answer) -> Result<(), String> {
    let lost = |error: StoreError| error.to_string();
    let mut conn = open.db.reader().await.map_err(lost)?;
    let rows = conn.rows("SELECT offer FROM key_packages WHERE device = $1", args![&device.0]).await.map_err(lost)?;
    for row in rows {
        let offer = decode::<Signed<KeyPackageOffer>>(&row.bytes(0).map_err(lost)?).map_err(|e| e.to_string())?;
        if *answer == Answer::Package(Some(offer)) {
            return Err("a key package was acknowledged as handed out, and is there again".into());
        }
    }
    Ok(())
}
