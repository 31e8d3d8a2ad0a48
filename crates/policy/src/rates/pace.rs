//! Paces: how fast a bucket fills, and when it will be full, without rounding.
//!
//! This is the generic cell rate algorithm: of a bucket nothing is kept but the moment when it will be full again. What
//! is taken puts that moment off; time alone brings it nearer, so nothing has to be filled, and nothing drifts. Where
//! one call in a rate of `7/s` costs no whole number of nanoseconds, the part of one is kept too.

use std::time::Duration;

/// How much passes in what time, and how much of it at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// One unit costs `period / amount` nanoseconds, in lowest terms.
    period: u64,
    amount: u32,
    /// What one unit costs.
    step: Moment,
    /// How far from full a bucket may be, with one unit left.
    slack: Moment,
}

/// A moment, or a length of time: nanoseconds, and parts of one, of which its pace says how many make a whole.
///
/// In three words of 32 bits, so that a bucket needs no padding: there may be a million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    high: u32,
    low: u32,
    parts: u32,
}

impl Pace {
    /// `amount` in `period`, and `burst` at once; all at least 1. None if a nanosecond would have more parts than
    /// we count: an amount beyond 4 billion that has next to no divisor in common with its period.
    pub(super) fn new(amount: u64, period: Duration, burst: u64) -> Option<Self> {
        let period = u64::try_from(period.as_nanos()).ok()?;
        let common = divisor(amount, period);
        let mut pace = Self {
            period: period / common,
            amount: u32::try_from(amount / common).ok()?,
            step: Moment::default(),
            slack: Moment::default(),
        };
        pace.step = pace.cost(1);
        pace.slack = pace.cost(burst - 1);
        Some(pace)
    }

    /// Whether a bucket that is full at this moment has a whole unit left now.
    ///
    /// # Errors
    /// How long until it has.
    pub(super) fn has_one(&self, full: Moment, now: u64) -> Result<(), Duration> {
        let latest = self.sum(Moment::of(now, 0), self.slack);
        if full <= latest {
            return Ok(());
        }
        // Rounded up: whoever waits so long does not come too early.
        let wait = (full.nanoseconds() - latest.nanoseconds()) + u64::from(full.parts > latest.parts);
        Err(Duration::from_nanos(wait))
    }

    /// When it is full after these units were taken from it now, be they there or not.
    pub(super) fn taken(&self, full: Moment, now: u64, units: u64) -> Moment {
        let cost = match units {
            1 => self.step,
            units => self.cost(units),
        };
        self.sum(full.max(Moment::of(now, 0)), cost)
    }

    /// What so many units cost. Beyond 584 years it is no more.
    fn cost(&self, units: u64) -> Moment {
        let amount = u128::from(self.amount);
        let parts = u128::from(units) * u128::from(self.period);
        match u64::try_from(parts / amount) {
            Ok(nanoseconds) => Moment::of(nanoseconds, (parts % amount) as u32),
            Err(_) => Moment::of(u64::MAX, 0),
        }
    }

    fn sum(&self, one: Moment, other: Moment) -> Moment {
        let parts = u64::from(one.parts) + u64::from(other.parts);
        let carried = u64::from(parts >= u64::from(self.amount));
        let nanoseconds = one.nanoseconds().saturating_add(other.nanoseconds());
        Moment::of(
            nanoseconds.saturating_add(carried),
            (parts - carried * u64::from(self.amount)) as u32,
        )
    }
}

impl Moment {
    /// Whether it has come.
    pub(super) fn is_past(self, now: u64) -> bool {
        self <= Self::of(now, 0)
    }

    fn of(nanoseconds: u64, parts: u32) -> Self {
        Self {
            high: (nanoseconds >> 32) as u32,
            low: nanoseconds as u32,
            parts,
        }
    }

    fn nanoseconds(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }
}

fn divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_a_nanosecond_is_not_lost() {
        let pace = Pace::new(3_000_000_000, Duration::from_secs(1), 1).unwrap();
        let mut full = Moment::default();
        for _ in 0..3_000_000 {
            full = pace.taken(full, 0, 1);
        }
        assert_eq!(full, Moment::of(1_000_000, 0));
        assert_eq!(full, pace.taken(Moment::default(), 0, 3_000_000));
    }

    #[test]
    fn who_waits_as_told_comes_neither_early_nor_late() {
        let pace = Pace::new(7, Duration::from_secs(1), 2).unwrap();
        let full = pace.taken(pace.taken(Moment::default(), 5, 1), 5, 1);

        let wait = pace.has_one(full, 5).unwrap_err();

        assert_eq!(wait, Duration::from_nanos(142_857_143));
        let then = 5 + wait.as_nanos() as u64;
        assert!(pace.has_one(full, then).is_ok());
        assert!(pace.has_one(full, then - 1).is_err());
    }

    #[test]
    fn what_cannot_be_counted_is_not_and_what_is_beyond_time_stays_there() {
        assert_eq!(Pace::new((1 << 33) + 1, Duration::from_secs(1), 1), None);
        assert!(Pace::new(1 << 40, Duration::from_secs(86_400), 1 << 40).is_some());

        let pace = Pace::new(1, Duration::from_secs(86_400), 1).unwrap();
        let never = pace.taken(Moment::of(7, 0), u64::MAX, u64::MAX);
        assert!(pace.has_one(never, 0).is_err());
        assert!(pace.has_one(never, u64::MAX).is_ok());
    }
}
