//! An HTTP answer: plain JSON when nothing is said before it, else a stream of events.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::{Response, StatusCode, header};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

use super::message::{Answer, Fault};
use super::work::Work;

/// How answers are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    AsNeeded,
    Json,
    Stream,
}

/// Runs a call and answers it. `outbound` feeds `messages`, as the call itself does.
///
/// With `outlives`, the call goes on when the client hangs up: before 2026-07-28 that is no cancellation.
pub(super) async fn reply(
    work: Work,
    outbound: mpsc::Sender<Value>,
    mut messages: mpsc::Receiver<Value>,
    form: Form,
    outlives: bool,
    kill: Option<Duration>,
) -> Response<Body> {
    let mut work = Running {
        work: Some(work),
        outlives,
    };
    let mut first = VecDeque::new();
    tokio::select! {
        biased;
        answer = &mut work => return match answer {
            // A status other than 200 cannot be told by a stream.
            Some(answer) if answer.status != 200 || messages.is_empty() && form != Form::Stream => {
                json(answer.status, &answer.message)
            }
            // Everything is said; what is left is to write it down.
            answer => {
                while let Ok(message) = messages.try_recv() {
                    first.push_back(event(&message));
                }
                first.extend(answer.map(|answer| event(&answer.message)));
                let (_, nothing) = mpsc::channel(1);
                stream(Stream::new(first, nothing, None, kill))
            }
        },
        Some(message) = messages.recv() => first.push_back(event(&message)),
        () = std::future::ready(()), if form == Form::Stream => {}
    }
    let task = tokio::spawn(async move {
        if let Some(answer) = work.await {
            let _ = outbound.send(answer.message).await;
        }
    });
    let owned = if outlives { None } else { Some(Owned(task)) };
    stream(Stream::new(first, messages, owned, kill))
}

/// A call until it ends; dropped before, it is cancelled or goes on without an audience.
struct Running {
    work: Option<Work>,
    outlives: bool,
}

impl Future for Running {
    type Output = Option<Answer>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Answer>> {
        let Some(work) = &mut self.work else {
            return Poll::Ready(None);
        };
        let answer = std::task::ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(answer)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(work) = self.work.take().filter(|_| self.outlives)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

/// A task that ends with its owner.
pub(super) struct Owned(pub(super) JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer of one piece.
pub(super) fn json(status: u16, message: &Value) -> Response<Body> {
    // A tree of JSON values has nothing that cannot be written.
    let text = serde_json::to_vec(message).unwrap_or_default();
    let mut response = whole(status, text.into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}

pub(super) fn refused(id: Option<Value>, fault: Fault) -> Response<Body> {
    let answer = Answer::fault(id, fault);
    json(answer.status, &answer.message)
}

pub(super) fn empty(status: u16) -> Response<Body> {
    whole(status, Bytes::new())
}

/// A refusal below the protocol, in words.
pub(super) fn plain(status: u16, text: &'static str) -> Response<Body> {
    let mut response = whole(status, Bytes::from_static(text.as_bytes()));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain"),
    );
    response
}

fn whole(status: u16, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

pub(super) fn stream(stream: Stream) -> Response<Body> {
    let mut response = Response::new(Body::Stream(stream));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-cache"),
    );
    headers.insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    response
}

fn event(message: &Value) -> Bytes {
    let mut event = b"event: message\ndata: ".to_vec();
    // Compact JSON has no newline, so one `data` line holds it.
    let _ = serde_json::to_writer(&mut event, message);
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// What hyper sends after the head.
pub(super) enum Body {
    Whole(Option<Bytes>),
    Stream(Stream),
}

/// Events as they come; ends when nobody can send any more.
pub(super) struct Stream {
    first: VecDeque<Bytes>,
    messages: mpsc::Receiver<Value>,
    alive: Pin<Box<Sleep>>,
    kill: Option<Pin<Box<Sleep>>>,
    _task: Option<Owned>,
}

impl Stream {
    const SILENCE: Duration = Duration::from_secs(15);

    pub(super) fn new(
        first: VecDeque<Bytes>,
        messages: mpsc::Receiver<Value>,
        task: Option<Owned>,
        kill: Option<Duration>,
    ) -> Stream {
        Stream {
            first,
            messages,
            alive: Box::pin(tokio::time::sleep(Stream::SILENCE)),
            kill: kill.map(|kill| Box::pin(tokio::time::sleep(kill))),
            _task: task,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(kill) = &mut self.kill
            && kill.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(io::Error::other("the instance is gone"))));
        }
        if let Some(event) = self.first.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        if let Poll::Ready(message) = self.messages.poll_recv(context) {
            self.alive.as_mut().reset(Instant::now() + Stream::SILENCE);
            return Poll::Ready(message.map(|message| Ok(event(&message))));
        }
        if self.alive.as_mut().poll(context).is_ready() {
            self.alive.as_mut().reset(Instant::now() + Stream::SILENCE);
            // The timer has to be polled once more to wake us again.
            context.waker().wake_by_ref();
            return Poll::Ready(Some(Ok(Bytes::from_static(b": still here\n\n"))));
        }
        Poll::Pending
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Stream(stream) => stream
                .poll(context)
                .map(|event| event.map(|event| event.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(bytes) => bytes.is_none(),
            Body::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Body::Stream(_) => SizeHint::default(),
        }
    }
}
