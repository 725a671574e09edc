//! What runs out by itself: the certificate authority, the certificate that the running server shows, employees' registrations.
//! Told while there is time to do something.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};
use stafett_protocol::codec::decode;
use stafett_protocol::consent::EmployeeCertificate;
use stafett_protocol::signed::Signed;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::doctor::Check;
use super::{day, serve};
use crate::args;
use crate::certs;
use crate::db::{Db, StoreError};
use crate::home::{Home, now_ms};

const DAY_MS: u64 = 86_400_000;
/// Every code, device and peer pins the authority: a new one is a year's work.
const AUTHORITY_DAYS: u64 = 365;
/// Renewed each day, good for thirty: with less left, it has not been renewed for weeks.
const SHOWN_DAYS: u64 = 14;
/// Leaders renew these; so many days ahead they are counted.
const EMPLOYEE_DAYS: u64 = 30;
const PATIENCE: Duration = Duration::from_secs(3);

/// How long the authority lasts on which everything stands.
pub fn authority(home: &Home) -> Check {
    let ends = home
        .read_text("ca.pem")
        .map_err(|error| error.to_string())
        .and_then(|pem| certs::authority_der(&pem).map_err(|error| error.to_string()))
        .and_then(|der| certs::ends_ms(&der).ok_or_else(|| "ca.pem does not say when it ends".to_owned()));
    Check { name: "authority", result: ends.and_then(|ends| lasting(ends, now_ms())) }
}

fn lasting(ends: u64, now: u64) -> Result<String, String> {
    let days = ends.saturating_sub(now) / DAY_MS;
    let pinned = "every code, device and peer pins it, and this version cannot renew it: install one that can";
    match days {
        _ if ends <= now => Err(format!("the certificate authority expired on {}; {pinned}", day(ends))),
        days if days < AUTHORITY_DAYS => {
            Err(format!("the certificate authority expires on {}, in {days} days; {pinned} before that", day(ends)))
        }
        days => Ok(format!("lasts until {}, {days} days", day(ends))),
    }
}

/// What a server that runs really shows, which is not what this command could make.
pub async fn running(home: &Home) -> Check {
    let result = match tokio::time::timeout(PATIENCE, shown(home)).await {
        Err(_) => Err(format!("{} does not answer within {} s", home.settings.listen, PATIENCE.as_secs())),
        Ok(Ok(None)) => Ok(format!("nothing answers at {}: it was not looked at", home.settings.listen)),
        Ok(Err(why)) => Err(format!("{}: {why}", home.settings.listen)),
        Ok(Ok(Some(leaf))) => match certs::ends_ms(&leaf) {
            None => Err("the certificate that it shows does not say when it ends".to_owned()),
            Some(ends) if ends.saturating_sub(now_ms()) / DAY_MS < SHOWN_DAYS => Err(format!(
                "the certificate that it shows ends on {} and was not renewed; look at the log, and start it anew",
                day(ends)
            )),
            Some(ends) => Ok(format!("answers, and shows this authority's certificate, good until {}", day(ends))),
        },
    };
    Check { name: "running server", result }
}

async fn shown(home: &Home) -> Result<Option<CertificateDer<'static>>, String> {
    let Ok(socket) = TcpStream::connect(&home.settings.listen).await else { return Ok(None) };
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let authority = serve::authority(home).map_err(|error| text(&error))?;
    let mut roots = RootCertStore::empty();
    roots
        .add(certs::authority_der(&authority.certificate_pem).map_err(|error| text(&error))?)
        .map_err(|error| text(&error))?;
    let config = ClientConfig::builder_with_provider(crate::tls::peer_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| text(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(serve::host(home).to_owned()).map_err(|error| text(&error))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    let stream = stream.map_err(|error| format!("what answers there is not this server: {error}"))?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
    Ok(leaf.map(CertificateDer::into_owned))
}

/// How many employees' registrations have run out or soon will. No names: their leaders see those.
pub async fn employees(db: &Db) -> Check {
    let counted = async {
        let mut conn = db.reader().await?;
        let rows = conn.rows("SELECT employee FROM persons WHERE employee IS NOT NULL", args![]).await?;
        let (now, mut out, mut soon, mut all) = (now_ms(), 0, 0, 0);
        for row in rows {
            let certificate: Option<EmployeeCertificate> =
                decode::<Signed<EmployeeCertificate>>(&row.bytes(0)?).ok().and_then(|signed| signed.peek().ok());
            let Some(certificate) = certificate else { return Err(StoreError::Damaged("an employee's registration")) };
            all += 1;
            match certificate.expires_at {
                ends if ends <= now => out += 1,
                ends if ends - now < EMPLOYEE_DAYS * DAY_MS => soon += 1,
                _ => {}
            }
        }
        Ok((all, out, soon))
    }
    .await;
    Check {
        name: "employees",
        result: match counted {
            Err(error) => Err(error.to_string()),
            Ok((all, 0, 0)) => Ok(format!("{all} registered, none of whom runs out within {EMPLOYEE_DAYS} days")),
            // Not this operator's to mend, and people do leave: told, and no fault of the server.
            Ok((all, out, soon)) => Ok(format!(
                "{all} registered; {out} have run out, {soon} will within {EMPLOYEE_DAYS} days: remind their leaders"
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_authority_is_told_a_year_ahead() {
        let (now, year) = (1_800_000_000_000, 365 * DAY_MS);
        assert!(lasting(now + 10 * year, now).is_ok_and(|said| said.contains("2037")));
        assert!(lasting(now + year, now).is_ok());
        assert!(lasting(now + year - 1, now).is_err_and(|said| said.contains("in 364 days")));
        assert!(lasting(now, now).is_err_and(|said| said.contains("expired")));
    }
}
