//! Open pages hear that something has changed, and ask for themselves again. What has changed is not told here.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::watch;

/// Changes that come together are told once.
const TOGETHER: std::time::Duration = std::time::Duration::from_millis(30);

/// One event for each change since the page was made, or since now.
pub fn events(mut turn: watch::Receiver<u64>, seen: Option<u64>) -> Response {
    let behind = seen.is_some_and(|seen| seen != *turn.borrow_and_update());
    let changes = stream::unfold((turn, behind), |(mut turn, behind)| async move {
        if !behind {
            turn.changed().await.ok()?;
            tokio::time::sleep(TOGETHER).await;
        }
        let at = *turn.borrow_and_update();
        Some((Ok::<_, Infallible>(Event::default().event("news").data(at.to_string())), (turn, false)))
    });
    Sse::new(changes).keep_alive(KeepAlive::default()).into_response()
}
