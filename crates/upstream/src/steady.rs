//! A stream whose next message may be given up and asked for again, whatever kind it is.

use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mcp::Message;

use crate::error::Error;
use crate::transport::MessageStream;

type Heard = (Box<dyn MessageStream>, Result<Message, Error>);

pub(crate) struct Steady {
    /// Absent while a message is waited for.
    stream: Option<Box<dyn MessageStream>>,
    /// Kept when its caller gives up, so that nothing is lost with it.
    hearing: Option<BoxFuture<'static, Heard>>,
}

impl Steady {
    pub(crate) fn new(stream: Box<dyn MessageStream>) -> Self {
        Self {
            stream: Some(stream),
            hearing: None,
        }
    }

    /// The next message, or why there are no more.
    pub(crate) async fn next(&mut self) -> Result<Message, Error> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Message, Error>> {
        if let Some(mut stream) = self.stream.take() {
            let hearing = async move {
                let heard = stream.next().await;
                (stream, heard)
            };
            self.hearing = Some(hearing.boxed());
        }
        let Some(hearing) = &mut self.hearing else {
            // Only if an earlier poll has panicked.
            return Poll::Pending;
        };
        let (stream, heard) = ready!(hearing.as_mut().poll(context));
        self.hearing = None;
        self.stream = Some(stream);
        Poll::Ready(heard)
    }
}
