//! The places of one upstream for sessions that have a process or a connection of their own
//! (`bounds.children`): who gets one, and who makes place.
//!
//! When all are taken, the session that has been idle longest ends, since it is begun anew when its client
//! comes back. One in which a call runs, or which somebody listens to, never does.

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The time in which a place is made: a process may be slow to end.
const MADE_WITHIN: Duration = Duration::from_secs(10);

/// One that was used just now is likely to be used at once: by the call that it was begun for.
const SETTLED: Duration = Duration::from_millis(250);

/// What may make place for another.
pub(crate) trait Seated {
    /// Since when nobody uses it; none if somebody does, or it is ending anyway.
    fn idle_since(&self) -> Option<Instant>;

    /// Ends it, unless somebody uses it by now: then it is false.
    fn displace(&self) -> bool;
}

/// The places.
pub(crate) struct Seats {
    free: Arc<Semaphore>,
    bound: usize,
    displaced: IntCounter,
}

/// A place, taken until this is dropped: from before the session's beginning until all of it has ended.
pub(crate) type Seat = OwnedSemaphorePermit;

/// All places are taken, by sessions that are used.
#[derive(Debug)]
pub(crate) struct NoSeat;

enum Made {
    /// One is ending.
    Place,
    /// One may be idle for long enough by then.
    NotBefore(Instant),
    /// All are in use.
    None,
}

impl Seats {
    /// So many places; those who make place are counted.
    pub(crate) fn new(bound: usize, displaced: IntCounter) -> Self {
        Self {
            free: Arc::new(Semaphore::new(bound.min(Semaphore::MAX_PERMITS))),
            bound,
            displaced,
        }
    }

    /// How many there are.
    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    /// A place; if none is free, that of the one among `seated` who is idle longest, once that has ended.
    ///
    /// # Errors
    /// When all are in use, or none was left within [`MADE_WITHIN`].
    pub(crate) async fn take<S: Seated>(&self, seated: impl Fn() -> Vec<Arc<S>>) -> Result<Seat, NoSeat> {
        let deadline = Instant::now() + MADE_WITHIN;
        loop {
            // Those whose place is being made are served before this finds any.
            if let Ok(seat) = Arc::clone(&self.free).try_acquire_owned() {
                return Ok(seat);
            }
            match make_place(seated()) {
                Made::Place => break,
                Made::NotBefore(then) if then < deadline => tokio::time::sleep_until(then).await,
                Made::NotBefore(_) | Made::None => return Err(NoSeat),
            }
        }
        self.displaced.inc();
        let left = Arc::clone(&self.free).acquire_owned();
        match tokio::time::timeout_at(deadline, left).await {
            Ok(Ok(seat)) => Ok(seat),
            Ok(Err(_)) | Err(_) => Err(NoSeat),
        }
    }

    #[cfg(test)]
    pub(crate) fn are_taken(&self) -> bool {
        self.free.available_permits() < self.bound
    }
}

/// Ends the one that is idle longest.
fn make_place<S: Seated>(seated: Vec<Arc<S>>) -> Made {
    let idle = seated
        .into_iter()
        .filter_map(|seated| Some((seated.idle_since()?, seated)));
    let mut idle: Vec<_> = idle.collect();
    idle.sort_by_key(|(since, _)| *since);
    for (since, seated) in idle {
        let settled = since + SETTLED;
        if Instant::now() < settled {
            return Made::NotBefore(settled);
        }
        if seated.displace() {
            return Made::Place;
        }
    }
    Made::None
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;

    use super::*;

    /// A session that ends as soon as it is told to.
    struct Session {
        since: Mutex<Option<Instant>>,
        seat: Mutex<Option<Seat>>,
    }

    impl Session {
        fn new(seat: Seat, used: bool) -> Arc<Self> {
            Arc::new(Self {
                since: Mutex::new((!used).then(Instant::now)),
                seat: Mutex::new(Some(seat)),
            })
        }

        fn has_ended(&self) -> bool {
            self.seat.lock().unwrap().is_none()
        }
    }

    impl Seated for Session {
        fn idle_since(&self) -> Option<Instant> {
            *self.since.lock().unwrap()
        }

        fn displace(&self) -> bool {
            let mut since = self.since.lock().unwrap();
            since.take().is_some() && self.seat.lock().unwrap().take().is_some()
        }
    }

    fn seats(bound: usize) -> Seats {
        Seats::new(bound, IntCounter::new("displaced", "displaced").unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_idle_longest_makes_place_and_one_in_use_never() {
        let seats = seats(3);
        let nobody = || Vec::<Arc<Session>>::new();
        let mut all = Vec::new();
        for used in [true, false, false] {
            all.push(Session::new(seats.take(nobody).await.unwrap(), used));
            tokio::time::advance(SETTLED).await;
        }

        let _fourth = seats.take(|| all.clone()).await.unwrap();
        let ended: Vec<_> = all.iter().map(|session| session.has_ended()).collect();
        assert_eq!(ended, [false, true, false]);

        let _fifth = seats.take(|| all.clone()).await.unwrap();
        assert!(all[2].has_ended() && !all[0].has_ended());
        assert_eq!(seats.displaced.get(), 2);

        let sixth = seats.take(|| all.clone()).now_or_never();
        assert!(sixth.expect("it is refused at once").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_just_used_is_given_a_moment_to_be_used_again() {
        let seats = seats(1);
        let only = Session::new(seats.take(Vec::<Arc<Session>>::new).await.unwrap(), false);

        let next = seats.take(|| vec![Arc::clone(&only)]);
        let mut next = std::pin::pin!(next);
        assert!(next.as_mut().now_or_never().is_none());
        assert!(!only.has_ended());

        *only.since.lock().unwrap() = None;
        assert!(next.await.is_err(), "somebody uses it now");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_end_is_not_waited_for_forever() {
        let seats = seats(1);
        let only = Session::new(seats.take(Vec::<Arc<Session>>::new).await.unwrap(), false);
        let kept = only.seat.lock().unwrap().take();
        *only.seat.lock().unwrap() = Some(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap());

        assert!(seats.take(|| vec![Arc::clone(&only)]).await.is_err());
        drop(kept);
    }
}
