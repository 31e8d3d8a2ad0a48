//! What one session was told on its streams: a ring of events, oldest first, each on the stream it belongs to.
//!
//! Nothing waits here and nobody is woken: see [`super::stream`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus::IntGauge;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bytes of events that one session may keep. Beyond it the oldest fall out, as beyond the number of events.
pub(super) const BYTES: usize = 32 << 20;

/// The same of all sessions together: while there are more, whoever is told something new loses what is oldest.
pub(super) const BYTES_OF_ALL: i64 = 256 << 20;

/// Streams of one session that are told of or kept at once. Beyond it the one that ended first is forgotten, and when
/// none has ended, a new one cannot be resumed.
pub(super) const STREAMS: usize = 64;

/// The streams of one session, and what was told on them.
///
/// An event that a reader has not taken yet stays, whatever the bounds say; there is one for each reader, and what a
/// reader that came back has missed.
pub(super) struct Ring {
    streams: HashMap<u64, Told>,
    /// The stream of each event, in the order they were told.
    order: VecDeque<u64>,
    bytes: usize,
    /// Events that may be kept.
    pub(super) events: usize,
    /// Bytes of all sessions.
    all: IntGauge,
    /// The session was ended by its client: what ends now is not kept.
    pub(super) over: bool,
}

/// One stream.
pub(super) struct Told {
    /// The number of the first event that is kept, or of the next one.
    first: u64,
    events: VecDeque<Bytes>,
    /// The event that its reader takes next, or is taking, while there is a reader.
    pub(super) unread: Option<u64>,
    /// Which reader that is; each new one takes over from the one before.
    pub(super) turn: u64,
    /// Since when nobody reads.
    pub(super) deserted: Instant,
    pub(super) ended: Option<Ended>,
    /// A stream that listens gives way when another one comes for the same.
    pub(super) listens: bool,
    pub(super) gives_way: bool,
    pub(super) kept_for: Duration,
    pub(super) changed: Arc<Notify>,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) since: Instant,
    /// How long its client is to stay away, in milliseconds, when it may come for another.
    pub(super) pause: Option<u64>,
}

impl Told {
    fn begun(listens: bool, kept_for: Duration) -> Self {
        Self {
            first: 1,
            events: VecDeque::new(),
            unread: None,
            turn: 0,
            deserted: Instant::now(),
            ended: None,
            listens,
            gives_way: false,
            kept_for,
            changed: Arc::default(),
        }
    }

    /// The number of the event that is told next.
    pub(super) fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// Whether everything behind `event` is kept, or yet to come.
    pub(super) fn goes_on_behind(&self, event: u64) -> bool {
        self.first <= event + 1 && event < self.next()
    }

    pub(super) fn event(&self, number: u64) -> Option<&Bytes> {
        let index = number.checked_sub(self.first)?;
        self.events.get(usize::try_from(index).ok()?)
    }

    /// Whether a reader has yet to take what was told.
    pub(super) fn is_behind(&self) -> bool {
        self.unread.is_some_and(|unread| unread < self.next())
    }

    /// Whether it ended so long ago that it is not kept any more.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        let ended = self.ended.filter(|_| self.unread.is_none());
        ended.is_some_and(|ended| now.duration_since(ended.since.max(self.deserted)) >= self.kept_for)
    }

    fn may_lose_first(&self) -> bool {
        self.unread.is_none_or(|unread| self.first < unread)
    }
}

impl Ring {
    pub(super) fn new(events: usize, all: &IntGauge) -> Self {
        Self {
            streams: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            events,
            all: all.clone(),
            over: false,
        }
    }

    /// Whether there is room for another stream, when need be in place of the one that ended first.
    pub(super) fn make_room(&mut self) -> bool {
        if self.streams.len() < STREAMS {
            return true;
        }
        let ended = |(number, told): (&u64, &Told)| match told.unread {
            None => told.ended.map(|ended| (ended.since, *number)),
            Some(_) => None,
        };
        let first = self.streams.iter().filter_map(ended).min();
        if let Some((_, first)) = first {
            self.forget(first);
        }
        first.is_some()
    }

    /// Begins a stream.
    pub(super) fn begin(&mut self, stream: u64, listens: bool, kept_for: Duration) -> &mut Told {
        let told = Told::begun(listens, kept_for);
        self.streams.entry(stream).insert_entry(told).into_mut()
    }

    pub(super) fn stream(&mut self, stream: u64) -> Option<&mut Told> {
        self.streams.get_mut(&stream)
    }

    pub(super) fn streams(&mut self) -> impl Iterator<Item = &mut Told> {
        self.streams.values_mut()
    }

    /// How many streams it has.
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Keeps an event, and lets go of the oldest that are too many.
    pub(super) fn keep(&mut self, stream: u64, event: &[u8]) {
        let Some(told) = self.streams.get_mut(&stream) else {
            return;
        };
        // A copy, since a small message may be a piece of a large buffer, and would keep all of it.
        told.events.push_back(Bytes::copy_from_slice(event));
        self.order.push_back(stream);
        self.bytes += event.len();
        self.all.add(measured(event.len()));
        while (self.order.len() > self.events || self.bytes > BYTES || self.all.get() > BYTES_OF_ALL)
            && self.lose_oldest()
        {}
    }

    /// Lets go of the oldest event that no reader has yet to take; whether there was one.
    fn lose_oldest(&mut self) -> bool {
        let streams = &mut self.streams;
        let oldest = self
            .order
            .iter()
            .position(|stream| streams.get(stream).is_none_or(Told::may_lose_first));
        let Some(told) = oldest
            .and_then(|oldest| self.order.remove(oldest))
            .and_then(|stream| streams.get_mut(&stream))
        else {
            return false;
        };
        let lost = told.events.pop_front().map_or(0, |event| event.len());
        told.first += 1;
        self.let_go(lost);
        true
    }

    /// Forgets a stream and all that was told on it.
    pub(super) fn forget(&mut self, stream: u64) {
        if let Some(told) = self.streams.remove(&stream) {
            let bytes = told.events.iter().map(Bytes::len).sum();
            self.order.retain(|other| *other != stream);
            self.let_go(bytes);
        }
    }

    /// Forgets what is not kept any more.
    pub(super) fn forget_stale(&mut self, now: Instant) {
        let over = self.over;
        let gone =
            |told: &Told| told.is_stale(now) || (over && told.ended.is_some() && told.unread.is_none());
        let stale: Vec<u64> = self
            .streams
            .iter()
            .filter(|(_, told)| gone(told))
            .map(|(stream, _)| *stream)
            .collect();
        for stream in stale {
            self.forget(stream);
        }
    }

    fn let_go(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.all.sub(measured(bytes));
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.all.sub(measured(self.bytes));
    }
}

fn measured(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Duration = Duration::from_secs(300);

    fn gauge() -> IntGauge {
        IntGauge::new("bytes", "kept").unwrap()
    }

    fn ring(events: usize) -> Ring {
        let mut ring = Ring::new(events, &gauge());
        ring.begin(1, false, KEPT);
        ring.begin(2, false, KEPT);
        ring
    }

    fn kept(ring: &mut Ring, stream: u64) -> Vec<Bytes> {
        ring.stream(stream).unwrap().events.iter().cloned().collect()
    }

    #[test]
    fn the_oldest_of_all_streams_fall_out() {
        let mut ring = ring(3);
        for (stream, event) in [(1, "a"), (2, "b"), (1, "c"), (2, "d"), (2, "e")] {
            ring.keep(stream, event.as_bytes());
        }

        assert_eq!(kept(&mut ring, 1), ["c"]);
        assert_eq!(kept(&mut ring, 2), ["d", "e"]);
        let told = ring.stream(2).unwrap();
        assert!(!told.goes_on_behind(0), "its first event is lost");
        assert!(told.goes_on_behind(1) && told.goes_on_behind(3));
        assert!(!told.goes_on_behind(4), "there never was a fourth");
        assert_eq!((ring.bytes, ring.all.get()), (3, 3));
    }

    #[test]
    fn what_a_reader_has_yet_to_take_stays_and_others_fall_out_for_it() {
        let mut ring = ring(2);
        ring.keep(1, b"a");
        ring.keep(1, b"b");
        ring.stream(1).unwrap().unread = Some(1);

        ring.keep(2, b"c");

        assert_eq!(kept(&mut ring, 1), ["a", "b"]);
        assert!(kept(&mut ring, 2).is_empty());
        ring.stream(1).unwrap().unread = Some(2);
        ring.keep(2, b"d");
        assert_eq!(kept(&mut ring, 1), ["b"], "it has taken the first");
        assert_eq!(kept(&mut ring, 2), ["d"]);
    }

    #[test]
    fn bytes_are_bounded_for_each_session_and_for_all() {
        let all = gauge();
        let mut ring = Ring::new(1000, &all);
        ring.begin(1, false, KEPT);
        let large = vec![b'x'; BYTES / 4];
        for _ in 0..6 {
            ring.keep(1, &large);
        }
        assert_eq!(kept(&mut ring, 1).len(), 4);
        ring.keep(1, &vec![b'x'; BYTES + 1]);
        assert_eq!(
            (kept(&mut ring, 1).len(), all.get()),
            (0, 0),
            "longer than all that is kept"
        );

        all.set(BYTES_OF_ALL);
        ring.keep(1, b"a");
        assert_eq!(kept(&mut ring, 1).len(), 0, "others have filled it");

        all.set(0);
        ring.keep(1, b"a");
        drop(ring);
        assert_eq!(all.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_kept_for_so_long_after_its_end_and_after_its_last_reader() {
        let mut ring = ring(9);
        ring.keep(1, b"a");
        let end = |ring: &mut Ring| {
            let (since, pause) = (Instant::now(), None);
            ring.stream(1).unwrap().ended = Some(Ended { since, pause });
        };
        end(&mut ring);

        tokio::time::advance(KEPT - Duration::from_secs(1)).await;
        ring.forget_stale(Instant::now());
        assert_eq!(ring.len(), 2);
        ring.stream(1).unwrap().deserted = Instant::now();
        tokio::time::advance(KEPT - Duration::from_secs(1)).await;
        ring.forget_stale(Instant::now());
        assert_eq!(ring.len(), 2);

        tokio::time::advance(Duration::from_secs(1)).await;
        ring.forget_stale(Instant::now());
        assert!(ring.stream(1).is_none() && ring.stream(2).is_some());
        assert!(ring.order.is_empty() && ring.all.get() == 0);
    }

    #[test]
    fn a_session_has_so_many_streams_and_gives_up_what_ended_first() {
        let mut ring = Ring::new(9, &gauge());
        for stream in 0..STREAMS as u64 {
            assert!(ring.make_room());
            ring.begin(stream, false, KEPT);
        }
        assert!(!ring.make_room(), "all of them are still told of");

        let (since, pause) = (Instant::now(), None);
        ring.stream(7).unwrap().ended = Some(Ended { since, pause });
        assert!(ring.make_room());
        assert!(ring.stream(7).is_none() && ring.len() == STREAMS - 1);
    }
}
