//! What the server tells its operator: JSON lines on stderr, without names, ids or addresses of people.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts writing. A second call (tests, `demo`) changes nothing.
pub fn start() {
    let asked = std::env::var("STAFETT_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let usual = || Targets::new().with_default(LevelFilter::INFO).with_target("sqlx", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr);
    let _ = tracing_subscriber::registry().with(lines.with_filter(asked.unwrap_or_else(usual))).try_init();
}
