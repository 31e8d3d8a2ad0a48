//! One question at a time, and one answer for all who wait for it.

use std::sync::{Mutex, MutexGuard};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::error::{Error, Fault};

type Asking<T> = BoxFuture<'static, Result<T, Error>>;

/// A question that several may have at once.
///
/// It is carried on by whoever waits for it: one who leaves takes nothing from the others, and when all
/// have left it ends. So nobody waits longer than the one question takes, and nothing runs on its own.
pub(crate) struct Flight<T> {
    asked: Mutex<Option<WeakShared<Asking<T>>>>,
}

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self {
            asked: Mutex::new(None),
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// The answer to the question that is being asked; if none is, `ask` begins it.
    ///
    /// # Errors
    /// Those of the question, shared by all who waited for it. That a server refused the credentials of
    /// whoever asked says nothing of another's: then `ask` is asked for this caller alone.
    pub(crate) async fn join<W>(&self, ask: impl Fn() -> W) -> Result<T, Error>
    where
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (joined, ours) = self.board(&ask);
        match joined.await {
            Err(Error {
                fault: Fault::Unauthorized(_),
                ..
            }) if !ours => ask().boxed().await,
            outcome => outcome,
        }
    }

    fn board<W>(&self, ask: impl Fn() -> W) -> (Shared<Asking<T>>, bool)
    where
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let mut asked = self.locked();
        // One that has its answer belongs to those who waited; who comes later asks again.
        let running = asked
            .as_ref()
            .and_then(WeakShared::upgrade)
            .filter(|running| running.peek().is_none());
        if let Some(running) = running {
            return (running, false);
        }
        let begun = ask().boxed().shared();
        *asked = begun.downgrade();
        (begun, true)
    }

    fn locked(&self) -> MutexGuard<'_, Option<WeakShared<Asking<T>>>> {
        self.asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    /// A question that is answered when the test says so.
    #[derive(Clone)]
    struct Question {
        asked: Arc<AtomicUsize>,
        answered: Arc<Semaphore>,
        answer: Result<u8, Fault>,
    }

    impl Question {
        fn with(answer: Result<u8, Fault>) -> Self {
            Self {
                asked: Arc::default(),
                answered: Arc::new(Semaphore::new(0)),
                answer,
            }
        }

        async fn ask(self) -> Result<u8, Error> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.answered.acquire().await.unwrap().forget();
            self.answer.map_err(|fault| fault.of(&"scripted".into()))
        }

        fn times(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn all_who_wait_share_one_answer_and_the_next_asks_again() {
        for answer in [Ok(7), Err(Fault::Silent(std::time::Duration::from_secs(5)))] {
            let (flight, question) = (Flight::default(), Question::with(answer));
            let all = (0..5).map(|_| flight.join(|| question.clone().ask()));
            let answering = async { question.answered.add_permits(1) };

            let (heard, ()) = tokio::join!(futures_util::future::join_all(all), answering);

            assert!(heard.iter().all(|heard| heard.is_ok() == question.answer.is_ok()));
            assert_eq!(question.times(), 1);
            question.answered.add_permits(1);
            let _ = flight.join(|| question.clone().ask()).await;
            assert_eq!(question.times(), 2, "an answer is not remembered here");
        }
    }

    #[tokio::test]
    async fn one_who_leaves_takes_nothing_from_those_who_stay() {
        let (flight, question) = (Flight::default(), Question::with(Ok(7)));
        let mut first = Box::pin(flight.join(|| question.clone().ask()));
        let mut second = Box::pin(flight.join(|| question.clone().ask()));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());

        drop(first);
        question.answered.add_permits(1);

        assert_eq!(second.await.unwrap(), 7);
        assert_eq!(question.times(), 1);
    }

    #[tokio::test]
    async fn refused_credentials_are_those_of_whoever_asked() {
        let (flight, question) = (Flight::default(), Question::with(Err(Fault::Unauthorized(401))));
        question.answered.add_permits(3);
        let all = (0..3).map(|_| flight.join(|| question.clone().ask()));

        let heard = futures_util::future::join_all(all).await;

        assert!(heard.iter().all(Result::is_err));
        assert_eq!(question.times(), 3, "each heard it of its own");
    }
}
