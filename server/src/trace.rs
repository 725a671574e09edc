//! What the server tells its operator: JSON lines on stderr, without names, ids or addresses of people.

use tracing_subscriber::EnvFilter;

/// Starts writing. A second call (tests, `demo`) changes nothing.
pub fn start() {
    let filter = EnvFilter::try_from_env("STAFETT_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
