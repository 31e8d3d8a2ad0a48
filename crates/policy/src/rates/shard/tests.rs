//! A shard against a plain map, and against buckets that nobody ever drives out.

use std::collections::HashMap;
use std::time::Duration;

use super::super::pace::Pace;
use super::*;

const SEED: u64 = 20_261_122;

fn key(name: u64) -> Key {
    // Few places, so that many meet.
    Key {
        shard: 0,
        place: name.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58 | name << 32,
    }
}

fn a_call() -> Pace {
    Pace::new(1, Duration::from_secs(1), 10).unwrap()
}

#[test]
fn a_slot_is_as_small_as_was_promised() {
    assert_eq!(size_of::<Slot>(), 48);
    // At least three eighths of the slots are used once there are more than a few.
    const { assert!(super::super::BUCKETS * 48 * 8 / 3 < 150_000_000) };
}

#[test]
fn whatever_comes_and_goes_each_key_is_found() {
    let mut random = fastrand::Rng::with_seed(SEED);
    let (mut shard, mut model) = (Shard::default(), HashMap::new());
    let pace = a_call();
    let mut now = 0;
    for _ in 0..200_000 {
        let name = random.u64(..300);
        match random.u8(..4) {
            0 => now += random.u64(..100_000_000),
            1 => {
                let mut bucket = shard.bucket(key(name));
                bucket.calls = pace.taken(bucket.calls, now, 1);
                shard.put(key(name), bucket, usize::MAX);
                model.insert(name, bucket);
            }
            2 => {
                let mut bucket = shard.bucket(key(name));
                bucket.places += 1;
                shard.put(key(name), bucket, usize::MAX);
                model.insert(name, bucket);
            }
            _ => {
                shard.sweep(now, 4);
                if let Some(bucket) = model.get_mut(&name).filter(|bucket| bucket.places > 0) {
                    bucket.places -= 1;
                    shard.release(key(name));
                }
            }
        }
        let (found, kept) = (shard.bucket(key(name)), model.get(&name).copied());
        let kept = kept.filter(|kept| !kept.is_idle(now)).unwrap_or_default();
        assert!(
            found == kept || found.is_idle(now) && kept.is_idle(now),
            "{found:?} {kept:?}"
        );
    }
    let serving = model.values().filter(|bucket| bucket.places > 0).count();
    assert_eq!(shard.serving, serving);
    assert_eq!(shard.kept, shard.slots.iter().filter(|slot| slot.is_used).count());
}

#[test]
fn nobody_gains_by_being_driven_out() {
    const CAPACITY: usize = 50;
    let mut random = fastrand::Rng::with_seed(SEED);
    let (mut shard, mut truth) = (Shard::default(), HashMap::<u64, Moment>::new());
    let pace = a_call();
    let (mut now, mut displaced) = (0, 0);
    for _ in 0..200_000 {
        now += random.u64(..20_000_000);
        let name = random.u64(..200);
        shard.sweep(now, 4);
        let known = shard.find(key(name)).is_some();
        displaced += usize::from(!known && shard.kept == CAPACITY);
        let mut bucket = shard.bucket(key(name));
        let real = truth.entry(name).or_default();
        assert!(bucket.calls >= *real || real.is_past(now), "{bucket:?} {real:?}");
        if pace.has_one(bucket.calls, now).is_ok() {
            bucket.calls = pace.taken(bucket.calls, now, 1);
            *real = pace.taken(*real, now, 1);
            shard.put(key(name), bucket, CAPACITY);
        }
        assert!(shard.kept <= CAPACITY);
    }
    assert!(displaced > 10_000, "{displaced}");
}

#[test]
fn the_one_closest_to_full_goes_and_never_one_that_serves_a_call() {
    let mut shard = Shard::default();
    let pace = a_call();
    for name in 0..8 {
        let bucket = Bucket {
            calls: pace.taken(Moment::default(), 0, 10 - name),
            bytes: Moment::default(),
            places: u32::from(name >= 6),
        };
        shard.put(key(name), bucket, 8);
    }

    shard.put(key(100), Bucket::default(), 8);
    shard.put(key(101), shard.bucket(key(101)), 8);

    // 7 and 6 are the fullest, and serve calls; the first newcomer said of itself that it is full.
    let left = |name| shard.find(key(name)).is_some();
    let gone: Vec<_> = (0..8).filter(|name| !left(*name)).collect();
    assert_eq!(gone, [5]);
    assert!(!left(100) && left(101));
    assert_eq!(shard.bucket(key(101)).calls, pace.taken(Moment::default(), 0, 5));
}

#[test]
fn room_that_is_not_needed_is_given_back() {
    let mut shard = Shard::default();
    let pace = a_call();
    for name in 0..10_000 {
        let bucket = Bucket {
            calls: pace.taken(Moment::default(), 0, 1),
            ..Bucket::default()
        };
        shard.put(key(name), bucket, usize::MAX);
    }
    assert!(shard.slots.len() >= 10_000);

    for _ in 0..10_000 {
        shard.sweep(2_000_000_000, 4);
    }

    assert_eq!((shard.kept, shard.slots.len()), (0, FEWEST));
}
