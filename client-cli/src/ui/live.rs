//! Open pages hear that something has changed, and ask for themselves again. What has changed is not told here.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::watch;

/// Changes that come together are told once.
const TOGETHER: std::time::Duration = std::time::Duration::from_millis(30);

/// One event now, by which a page knows whether it is still as it was made, and one for each change.
pub fn events(turn: watch::Receiver<u64>) -> Response {
    let first = (turn, true);
    let changes = stream::unfold(first, |(mut turn, first)| async move {
        if !first {
            turn.changed().await.ok()?;
            tokio::time::sleep(TOGETHER).await;
        }
        let at = *turn.borrow_and_update();
        Some((Ok::<_, Infallible>(Event::default().event("turn").data(at.to_string())), (turn, false)))
    });
    Sse::new(changes).keep_alive(KeepAlive::default()).into_response()
}
