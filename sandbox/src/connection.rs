//! One client's connection: HTTP/1.1 or HTTP/2 as it likes, until it ends, or what happens to one of its requests ends it.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::proxy::Answer;

/// What happens to a whole connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The client is asked to open another one for what comes next.
    GoAway,
    /// It ends at once.
    Cut,
    /// Nothing more is heard of it.
    Mute,
}

/// Where orders for a connection are given.
pub(crate) type Orders = mpsc::UnboundedSender<Order>;

/// Serves a connection by what `answer` says to each request.
pub(crate) async fn serve<S, F>(stream: S, answer: impl Fn(Request<Incoming>, Orders) -> F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Response<Answer>> + Send + 'static,
{
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let service = service_fn(|request| {
        let answer = answer(request, orders.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            // Whoever went away, or was sent away, is no error of ours.
            _ended = &mut connection => return,
            Some(order) = ordered.recv() => match order {
                Order::GoAway => connection.as_mut().graceful_shutdown(),
                Order::Cut => return,
                Order::Mute => pending().await,
            },
        }
    }
}
