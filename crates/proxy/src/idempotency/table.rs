//! Where word is left of calls that are made once, within its bounds.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::time::Instant;

use super::promise::{End, Promise, Running};
use crate::metrics::Metrics;

/// How long what became of a call is remembered after its end.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Calls that run or are remembered.
const MOST: usize = 8192;

/// Bytes of all answers that are kept.
const BYTES: usize = 64 << 20;

/// Where word of one call is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place(pub(super) [u8; 32]);

/// What became of calls with idempotency keys, for as long as the process lives.
pub struct Promises {
    state: Mutex<State>,
    keys: IntGauge,
}

/// What is known of a call.
pub(super) enum Found {
    /// Nothing: it is made now.
    Nothing(Promise),
    Running(Running),
    Ended(End),
    /// The place is another call's.
    Another,
    /// As many run as may.
    NoRoom,
}

#[derive(Default)]
struct State {
    calls: HashMap<Place, Known>,
    /// Those that have ended, by when they did.
    ended: BTreeSet<(Instant, Place)>,
    bytes: usize,
}

struct Known {
    /// What it is the same call by.
    request: [u8; 32],
    stage: Stage,
}

enum Stage {
    Runs(Running),
    Ended(End),
}

impl Promises {
    /// Nothing yet, counted here.
    pub fn new(metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            keys: metrics.idempotency_keys.clone(),
        })
    }

    /// What is known of a call; if nothing is, it is this one's to make.
    pub(super) fn find(self: &Arc<Self>, place: Place, request: [u8; 32]) -> Found {
        let mut state = self.state.lock();
        state.expire(Instant::now());
        let found = match state.known(place, request) {
            Some(found) => found,
            None if state.calls.len() >= MOST && !state.forget_oldest() => Found::NoRoom,
            None => {
                let (promise, running) = Promise::begin(self, place);
                let stage = Stage::Runs(running);
                state.calls.insert(place, Known { request, stage });
                Found::Nothing(promise)
            }
        };
        self.count(&state);
        found
    }

    /// It has ended so. Those that ended first are forgotten when there is no room for all.
    pub(super) fn end(&self, place: Place, end: End) {
        let mut state = self.state.lock();
        if matches!(end, End::NotMade) {
            state.calls.remove(&place);
        } else if let Some(known) = state.calls.get_mut(&place) {
            let (now, bytes) = (Instant::now(), end.bytes());
            known.stage = Stage::Ended(end);
            state.ended.insert((now, place));
            state.bytes += bytes;
            while state.bytes > BYTES && state.forget_oldest() {}
        }
        self.count(&state);
    }

    fn count(&self, state: &State) {
        self.keys
            .set(i64::try_from(state.calls.len()).unwrap_or(i64::MAX));
    }
}

impl State {
    fn known(&self, place: Place, request: [u8; 32]) -> Option<Found> {
        let known = self.calls.get(&place)?;
        Some(match &known.stage {
            _ if known.request != request => Found::Another,
            Stage::Runs(running) => Found::Running(running.clone()),
            Stage::Ended(end) => Found::Ended(end.clone()),
        })
    }

    fn expire(&mut self, now: Instant) {
        while self.ended.first().is_some_and(|(at, _)| *at + KEPT_FOR <= now) {
            self.forget_oldest();
        }
    }

    /// Forgets what ended first; false when all that is known runs.
    fn forget_oldest(&mut self) -> bool {
        let Some((_, place)) = self.ended.pop_first() else {
            return false;
        };
        if let Some(Known {
            stage: Stage::Ended(end),
            ..
        }) = self.calls.remove(&place)
        {
            self.bytes -= end.bytes();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use mcp::{Id, Message};
    use prometheus::Registry;
    use tokio::time::advance;

    use super::*;

    fn promises() -> Arc<Promises> {
        Promises::new(&Metrics::new(&Registry::new()).unwrap())
    }

    fn place(number: usize) -> Place {
        let mut place = [0; 32];
        place[..8].copy_from_slice(&number.to_le_bytes());
        Place(place)
    }

    fn make(promises: &Arc<Promises>, number: usize) -> Promise {
        match promises.find(place(number), [1; 32]) {
            Found::Nothing(promise) => promise,
            _ => panic!("{number} is known"),
        }
    }

    fn end(promises: &Arc<Promises>, number: usize) -> Option<End> {
        match promises.find(place(number), [1; 32]) {
            Found::Ended(end) => Some(end),
            _ => None,
        }
    }

    fn answer(bytes: usize) -> Message {
        Message::result_reply(
            &Id::number(1),
            &format!(r#"{{"content":"{}"}}"#, "x".repeat(bytes)),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn what_became_of_a_call_is_remembered_for_ten_minutes() {
        let promises = promises();
        let promise = make(&promises, 1);
        advance(3600 * Duration::from_secs(1)).await;
        assert!(matches!(promises.find(place(1), [1; 32]), Found::Running(_)));
        assert!(matches!(promises.find(place(1), [2; 32]), Found::Another));
        promise.answered(&answer(1), 200);

        advance(KEPT_FOR - Duration::from_secs(1)).await;
        assert!(matches!(end(&promises, 1), Some(End::Answered(_))));
        assert!(matches!(promises.find(place(1), [2; 32]), Found::Another));
        advance(Duration::from_secs(1)).await;
        make(&promises, 1);
    }

    #[tokio::test]
    async fn whoever_waits_is_told_of_every_end() {
        for (sent, answered, expected) in [
            (false, None, "NotMade"),
            (true, None, "Unknown"),
            (true, Some(10), "Answered"),
            // Too long to be kept, and not too long to be told.
            (true, Some(2 << 20), "Answered"),
        ] {
            let promises = promises();
            let mut promise = make(&promises, 1);
            let Found::Running(running) = promises.find(place(1), [1; 32]) else {
                panic!("it runs");
            };
            if sent {
                promise.sent();
            }
            match answered {
                Some(bytes) => promise.answered(&answer(bytes), 200),
                None => drop(promise),
            }
            let told = format!("{:?}", running.end().await);
            assert!(told.starts_with(expected), "{told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_not_made_may_be_made_and_one_that_was_may_not() {
        let promises = promises();
        drop(make(&promises, 1));
        let mut promise = make(&promises, 1);
        promise.sent();
        drop(promise);
        assert!(matches!(end(&promises, 1), Some(End::Unknown)));

        make(&promises, 2).answered(&answer(2 << 20), 200);
        assert!(matches!(end(&promises, 2), Some(End::AnsweredAtLength)));
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_ended_first_make_room_and_those_that_run_do_not() {
        let promises = promises();
        let runs = make(&promises, 0);
        for number in 1..MOST {
            make(&promises, number).answered(&answer(1), 200);
            advance(Duration::from_millis(1)).await;
        }
        let more = make(&promises, MOST);
        assert!(end(&promises, 2).is_some());
        assert!(end(&promises, 1).is_none(), "it ended first");
        drop((runs, more));

        let promises = self::promises();
        let all: Vec<_> = (0..MOST).map(|number| make(&promises, number)).collect();
        assert!(matches!(promises.find(place(MOST), [1; 32]), Found::NoRoom));
        assert!(
            matches!(promises.find(place(0), [1; 32]), Found::Running(_)),
            "who runs is found"
        );
        drop(all);
        make(&promises, MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn all_answers_together_have_a_bound() {
        let promises = promises();
        for number in 0..100 {
            make(&promises, number).answered(&answer(1_000_000), 200);
            advance(Duration::from_millis(1)).await;
        }
        let (bytes, kept) = {
            let state = promises.state.lock();
            let ends = state.calls.values().map(|known| match &known.stage {
                Stage::Ended(end) => end.bytes(),
                Stage::Runs(_) => 0,
            });
            assert_eq!(ends.sum::<usize>(), state.bytes);
            (state.bytes, state.calls.len())
        };
        assert!(bytes <= BYTES && kept > 60, "{bytes} {kept}");
        assert!(end(&promises, 0).is_none() && end(&promises, 99).is_some());
    }
}
