//! What is held of tokens: for whom, how long, who is fetching one, and what failed lately.
//!
//! Nothing here waits. Every table has a bound, and the ones that were first asked for give way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::Secret;
use tokio::sync::watch;
use tokio::time::Instant;

use super::unfetched::Unfetched;

/// As many tokens are held, and as many bytes of them.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 16 << 20;
/// How many may be fetched or waited for at a time.
const MOST_FLIGHTS: usize = 1_000;
/// How long is waited after a failure, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];
/// A token that is refused so soon after one before it was is not fetched a third time.
const SOON: Duration = Duration::from_secs(60);

/// For whom a token is: a digest.
pub(super) type Key = [u8; 32];

/// What became of a fetch.
pub(super) type Outcome = Result<Arc<Secret>, Unfetched>;

/// A fetch that others wait for.
pub(super) type Flight = watch::Receiver<Option<Outcome>>;

#[derive(Default)]
pub(super) struct Held {
    of: HashMap<Key, Entry>,
    /// The same keys, those that were asked for first in front.
    order: VecDeque<Key>,
    bytes: usize,
    flights: usize,
    /// The number of the last flight.
    number: u64,
    /// What fails for everybody.
    pause: Option<Pause>,
}

#[derive(Default)]
struct Entry {
    token: Option<Token>,
    flight: Option<(u64, Flight)>,
    pause: Option<Pause>,
    /// A token that the upstream refused.
    refused: Option<(Arc<Secret>, Instant)>,
}

/// A token and its times.
pub(super) struct Token {
    pub(super) secret: Arc<Secret>,
    pub(super) since: SystemTime,
    /// From here on another one is fetched.
    pub(super) due: SystemTime,
    /// From here on it is not used.
    pub(super) until: SystemTime,
    /// How often the upstream had asked for more when it was asked for.
    pub(super) steps: u8,
}

struct Pause {
    why: Unfetched,
    length: Duration,
    until: Instant,
}

/// What is to be done for one who wants a token.
pub(super) enum Next {
    /// Use this one.
    Use(Arc<Secret>),
    /// Use this one, and fetch another meanwhile.
    Renew(Arc<Secret>, Start),
    /// Fetch one, and wait.
    Fetch(Start),
    /// Wait for who fetches one.
    Wait(Flight),
    /// There is none now.
    Fail(Unfetched),
}

/// A fetch that is to begin.
pub(super) struct Start {
    pub(super) number: u64,
    pub(super) tell: watch::Sender<Option<Outcome>>,
    pub(super) flight: Flight,
    /// The token that the upstream refused.
    pub(super) refused: Option<Arc<Secret>>,
}

impl Held {
    /// What to do for this one.
    pub(super) fn next(&mut self, key: Key, now: SystemTime) -> Next {
        let entry = self.of.get(&key);
        let token = entry.and_then(|entry| entry.token.as_ref());
        // A clock that was set back knows nothing of what it was told later.
        let good = token.filter(|token| token.since <= now && now < token.until);
        let good = good.map(|token| (Arc::clone(&token.secret), now >= token.due));
        let flight = entry.and_then(|entry| entry.flight.as_ref().map(|(_, flight)| flight.clone()));
        match (good, flight) {
            (Some((secret, false)), _) | (Some((secret, true)), Some(_)) => Next::Use(secret),
            (Some((secret, true)), None) => match self.start(key) {
                Ok(start) => Next::Renew(secret, start),
                Err(_) => Next::Use(secret),
            },
            (None, Some(flight)) => Next::Wait(flight),
            (None, None) => match self.start(key) {
                Ok(start) => Next::Fetch(start),
                Err(why) => Next::Fail(why),
            },
        }
    }

    /// Takes in that the upstream refuses a token. One that was replaced meanwhile is not the matter.
    pub(super) fn refuse(&mut self, key: &Key, token: &str) -> Result<(), Unfetched> {
        let Some(entry) = self.of.get_mut(key) else {
            return Ok(());
        };
        let Some(held) = entry.token.take_if(|held| held.secret.expose() == token) else {
            return Ok(());
        };
        self.bytes -= held.secret.expose().len();
        let before = entry.refused.replace((held.secret, Instant::now()));
        if before.is_some_and(|(_, at)| at.elapsed() < SOON) {
            entry.pause = Some(Pause::after(entry.pause.take(), Unfetched::Rejected));
            return Err(Unfetched::Rejected);
        }
        Ok(())
    }

    /// Forgets a token that is good and not good enough: one that was asked for before the last of so many steps.
    pub(super) fn outgrow(&mut self, key: &Key, steps: u8) {
        let Some(entry) = self.of.get_mut(key) else { return };
        if let Some(held) = entry.token.take_if(|held| held.steps < steps) {
            self.bytes -= held.secret.expose().len();
        }
    }

    /// How many steps this token was asked for after; nothing if another one is held.
    pub(super) fn steps(&self, key: &Key, token: &str) -> Option<u8> {
        let held = self.of.get(key)?.token.as_ref()?;
        (held.secret.expose() == token).then_some(held.steps)
    }

    /// Takes in that there is reason to try again what failed for everybody.
    pub(super) fn resume(&mut self) {
        self.pause = None;
    }

    /// Takes in what a fetch had.
    pub(super) fn land(&mut self, key: Key, number: u64, landed: &Result<Token, Unfetched>) {
        let is_of_all = landed.as_ref().is_err_and(Unfetched::is_of_all);
        match landed {
            Ok(_) => self.pause = None,
            Err(why) if is_of_all => self.pause = Some(Pause::after(self.pause.take(), why.clone())),
            Err(_) => {}
        }
        let is_this = |entry: &&mut Entry| entry.flight.as_ref().is_some_and(|(flown, _)| *flown == number);
        let Some(entry) = self.of.get_mut(&key).filter(is_this) else {
            return;
        };
        match landed {
            Ok(token) => {
                entry.pause = None;
                self.bytes += token.secret.expose().len();
                let before = entry.token.replace(Token {
                    secret: Arc::clone(&token.secret),
                    ..*token
                });
                self.bytes -= before.map_or(0, |before| before.secret.expose().len());
            }
            Err(why) if !is_of_all && why.is_lasting() => {
                entry.pause = Some(Pause::after(entry.pause.take(), why.clone()));
            }
            Err(_) => {}
        }
        self.bound();
    }

    /// Ends a fetch, however it went.
    pub(super) fn end(&mut self, key: &Key, number: u64) {
        self.flights -= 1;
        if let Some(entry) = self.of.get_mut(key) {
            entry.flight.take_if(|(flown, _)| *flown == number);
        }
    }

    fn start(&mut self, key: Key) -> Result<Start, Unfetched> {
        let own = self.of.get_mut(&key).and_then(|entry| entry.pause.as_mut());
        for pause in [own, self.pause.as_mut()].into_iter().flatten() {
            if Instant::now() < pause.until {
                return Err(pause.why.clone());
            }
            // Of all who waited for its end, one tries whether it is over.
            pause.until = Instant::now() + pause.length;
        }
        if self.flights >= MOST_FLIGHTS {
            return Err(Unfetched::Busy);
        }
        self.flights += 1;
        self.number += 1;
        let (tell, flight) = watch::channel(None);
        let order = &mut self.order;
        let entry = self.of.entry(key).or_insert_with(|| {
            order.push_back(key);
            Entry::default()
        });
        entry.flight = Some((self.number, flight.clone()));
        let refused = entry.refused.as_ref().map(|(token, _)| Arc::clone(token));
        let number = self.number;
        self.bound();
        Ok(Start {
            number,
            tell,
            flight,
            refused,
        })
    }

    fn bound(&mut self) {
        while self.order.len() > MOST || self.bytes > MOST_BYTES {
            let oldest = self.order.pop_front();
            let Some(oldest) = oldest.and_then(|oldest| self.of.remove(&oldest)) else {
                return;
            };
            self.bytes -= oldest.token.map_or(0, |token| token.secret.expose().len());
        }
    }
}

impl Pause {
    /// Twice as long as the one before.
    fn after(before: Option<Self>, why: Unfetched) -> Self {
        let [first, most] = PAUSES;
        let length = before.map_or(first, |before| (before.length * 2).min(most));
        let until = Instant::now() + length;
        Self { why, length, until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn key(number: usize) -> Key {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    fn hold(held: &mut Held, number: usize, text: &str) {
        let Next::Fetch(start) = held.next(key(number), at(1)) else {
            panic!("it is held already")
        };
        let token = Token {
            secret: Arc::new(text.into()),
            since: at(1),
            due: at(10),
            until: at(20),
            steps: 0,
        };
        held.land(key(number), start.number, &Ok(token));
        held.end(&key(number), start.number);
    }

    #[tokio::test]
    async fn the_oldest_give_way() {
        let mut held = Held::default();
        for number in 0..MOST + 10 {
            hold(&mut held, number, "token");
        }
        assert_eq!((held.of.len(), held.order.len()), (MOST, MOST));
        assert_eq!((held.bytes, held.flights), (MOST * 5, 0));
        assert!(matches!(held.next(key(9), at(2)), Next::Fetch(_)));
        assert!(matches!(held.next(key(20), at(2)), Next::Use(_)));

        hold(&mut held, MOST + 11, &"x".repeat(MOST_BYTES - 10));
        assert!(held.bytes <= MOST_BYTES && held.of.len() < 10);
    }

    #[tokio::test]
    async fn no_more_are_fetched_at_a_time_than_may() {
        let mut held = Held::default();
        let starts: Vec<_> = (0..MOST_FLIGHTS)
            .map(|number| held.next(key(number), at(1)))
            .collect();
        assert!(starts.iter().all(|next| matches!(next, Next::Fetch(_))));
        assert!(matches!(held.next(key(MOST), at(1)), Next::Fail(Unfetched::Busy)));
        assert!(matches!(held.next(key(0), at(1)), Next::Wait(_)));
        held.end(&key(0), 1);
        assert!(matches!(held.next(key(MOST), at(1)), Next::Fetch(_)));
    }
}
