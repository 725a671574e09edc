//! The loopback port: one listener on 127.0.0.1 and nothing else. Whoever connects has bounds before anything is read.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::ui::neighbour;

/// A browser opens six for each page, and keeps one for what is new.
const CONNECTIONS: usize = 128;
const HEAD_TIME: Duration = Duration::from_secs(20);
const HEAD_BYTES: usize = 32 * 1024;

/// The listener, and its port.
pub async fn bind(port: u16) -> std::io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// Answers until the process ends.
pub async fn serve<F>(listener: TcpListener, answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static)
where
    F: Future<Output = Response> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let own = listener.local_addr();
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let (Ok((stream, peer)), Ok(own)) = (listener.accept().await, &own) else {
            // Out of handles, most likely: others will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if !neighbour::is_ours(peer, *own) {
            continue;
        }
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
            // Whoever breaks off harms nobody.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}
