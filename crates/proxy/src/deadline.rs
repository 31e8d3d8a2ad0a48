//! How long a call may take.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use upstream::{Fault, Removal, Timeouts, Upstream};

use crate::failure::Failure;

/// How long a call may still take.
#[derive(Clone)]
pub(crate) struct Deadline {
    upstream: Arc<str>,
    timeouts: Timeouts,
    /// Absent once it may take as long as it likes.
    last: Option<Instant>,
    heard: Instant,
    /// While a user is asked something.
    thinking: Option<Thinking>,
    /// Ends it before its time.
    removal: Arc<Removal>,
}

/// The time of a user, which is nobody's silence: what of it was not counted yet, and how long it may go on.
#[derive(Clone, Copy)]
struct Thinking {
    since: Instant,
    until: Instant,
}

impl Deadline {
    pub(crate) fn begin(upstream: &Arc<str>, timeouts: Timeouts) -> Self {
        let now = Instant::now();
        Self {
            upstream: Arc::clone(upstream),
            timeouts,
            last: Some(now + timeouts.whole),
            heard: now,
            thinking: None,
            removal: Arc::default(),
        }
    }

    /// For a call to this upstream, which ends when that is removed.
    pub(crate) fn of_call(upstream: &Upstream) -> Self {
        Self {
            removal: upstream.removal(),
            ..Self::begin(&upstream.name, upstream.timeouts)
        }
    }

    /// For one who waits for another's call there, which has deadlines of its own: however long that may take.
    pub(crate) fn of_wait(upstream: &Upstream) -> Self {
        let whole = upstream.timeouts.whole;
        Self {
            timeouts: Timeouts {
                silence: whole,
                whole,
            },
            ..Self::of_call(upstream)
        }
    }

    /// What ends it before its time.
    pub(crate) fn removal(&self) -> Arc<Removal> {
        Arc::clone(&self.removal)
    }

    /// Whose time it is.
    pub(crate) fn upstream(&self) -> &Arc<str> {
        &self.upstream
    }

    /// Waits for something of the upstream, but not for longer than the call has left.
    pub(crate) async fn keep<T>(
        &mut self,
        work: impl Future<Output = Result<T, upstream::Error>>,
    ) -> Result<T, Failure> {
        let Some(moment) = self.moment() else {
            return tokio::select! {
                biased;
                // What lasts as long as it likes has no end to wait for.
                () = self.removal.announced() => Err(Fault::Removed.of(&self.upstream).into()),
                outcome = work => outcome.map_err(Failure::Upstream),
            };
        };
        tokio::select! {
            biased;
            // Before anything else, since the end of its processes would be told as theirs.
            () = self.removal.is_cut() => Err(Fault::Removed.of(&self.upstream).into()),
            kept = tokio::time::timeout_at(moment, work) => match kept {
                Ok(outcome) => outcome.map_err(Failure::Upstream),
                Err(_) => Err(Fault::Silent(self.waited()).of(&self.upstream).into()),
            },
        }
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.moment().is_some_and(|moment| Instant::now() >= moment)
    }

    /// Whatever the upstream says of a call shows that it works on it.
    pub(crate) fn note_life(&mut self) {
        self.credit();
        self.heard = Instant::now();
    }

    /// A user is asked something, and may take so long. Who is asked already gets no more time for it, or a server
    /// that goes on asking would never end.
    pub(crate) fn ask(&mut self, patience: Duration) {
        let since = Instant::now();
        let until = since + patience;
        self.thinking.get_or_insert(Thinking { since, until });
    }

    /// Whether a user is asked something.
    pub(crate) fn is_asking(&self) -> bool {
        self.thinking.is_some()
    }

    /// Nothing is asked any more.
    pub(crate) fn answered(&mut self) {
        self.credit();
        self.thinking = None;
    }

    /// Counts the time that a user has thought so far.
    fn credit(&mut self) {
        let Some(thinking) = &mut self.thinking else {
            return;
        };
        let now = Instant::now().min(thinking.until);
        let thought = now.saturating_duration_since(thinking.since);
        thinking.since = now.max(thinking.since);
        self.heard += thought;
        self.last = self.last.map(|last| last + thought);
    }

    /// The time in which a user was asked is nobody's silence.
    pub(crate) fn pause_since(&mut self, began: Instant) {
        let paused = began.elapsed();
        self.heard += paused;
        self.last = self.last.map(|last| last + paused);
    }

    /// From now on there is none.
    pub(crate) fn lift(&mut self) {
        self.last = None;
    }

    fn moment(&self) -> Option<Instant> {
        let silent = self.heard + self.timeouts.silence;
        self.last.map(|last| silent.min(last) + self.left_to_think())
    }

    fn left_to_think(&self) -> Duration {
        self.thinking.map_or(Duration::ZERO, |thinking| {
            thinking.until.saturating_duration_since(thinking.since)
        })
    }

    fn waited(&self) -> Duration {
        let silent = self.heard + self.timeouts.silence;
        match self.last {
            Some(last) if last <= silent => self.timeouts.whole,
            Some(_) | None => self.timeouts.silence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn deadline() -> Deadline {
        let timeouts = Timeouts {
            silence: 10 * SECOND,
            whole: 25 * SECOND,
        };
        Deadline::begin(&"docs".into(), timeouts)
    }

    /// Waits for something that comes after so long.
    async fn wait(deadline: &mut Deadline, after: Duration) -> Result<(), Fault> {
        let work = async {
            tokio::time::sleep(after).await;
            Ok(())
        };
        let outcome = deadline.keep(work).await;
        deadline.note_life();
        outcome.map_err(|failure| match failure {
            Failure::Upstream(error) => error.fault,
            other => panic!("{other:?}"),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_call() {
        let mut deadline = deadline();

        let outcome = wait(&mut deadline, 11 * SECOND).await;

        assert_eq!(outcome, Err(Fault::Silent(10 * SECOND)));
    }

    #[tokio::test(start_paused = true)]
    async fn every_word_begins_the_silence_anew_but_not_the_whole() {
        let mut deadline = deadline();

        assert_eq!(wait(&mut deadline, 9 * SECOND).await, Ok(()));
        assert_eq!(wait(&mut deadline, 9 * SECOND).await, Ok(()));
        let outcome = wait(&mut deadline, 9 * SECOND).await;

        assert_eq!(outcome, Err(Fault::Silent(25 * SECOND)));
        assert!(deadline.has_passed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_who_thinks_costs_the_call_no_time() {
        let mut deadline = deadline();
        assert_eq!(wait(&mut deadline, 9 * SECOND).await, Ok(()));

        let asked = Instant::now();
        tokio::time::advance(1000 * SECOND).await;
        deadline.pause_since(asked);

        assert_eq!(wait(&mut deadline, 9 * SECOND).await, Ok(()));
        assert_eq!(
            wait(&mut deadline, 9 * SECOND).await,
            Err(Fault::Silent(25 * SECOND))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_who_thinks_in_the_middle_of_a_call_costs_it_no_time_either() {
        let mut deadline = deadline();
        deadline.ask(1000 * SECOND);

        assert_eq!(wait(&mut deadline, 900 * SECOND).await, Ok(()));
        assert_eq!(wait(&mut deadline, 90 * SECOND).await, Ok(()));
        deadline.answered();

        assert_eq!(wait(&mut deadline, 9 * SECOND).await, Ok(()));
        assert_eq!(
            wait(&mut deadline, 11 * SECOND).await,
            Err(Fault::Silent(10 * SECOND))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_who_never_answers_is_waited_for_as_long_as_one_may_think() {
        let mut deadline = deadline();
        deadline.ask(100 * SECOND);
        assert_eq!(wait(&mut deadline, 60 * SECOND).await, Ok(()));
        // Asked once more before that was answered: no more time.
        deadline.ask(100 * SECOND);

        let began = Instant::now();
        let outcome = wait(&mut deadline, 1000 * SECOND).await;

        assert_eq!(outcome, Err(Fault::Silent(10 * SECOND)));
        assert_eq!(began.elapsed(), 50 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_has_begun_may_be_quiet() {
        let mut deadline = deadline();

        assert_eq!(wait(&mut deadline, SECOND).await, Ok(()));
        deadline.lift();

        assert_eq!(wait(&mut deadline, 7 * 24 * 3600 * SECOND).await, Ok(()));
        assert!(!deadline.has_passed());
    }
}
