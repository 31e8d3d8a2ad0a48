//! What a reload takes away: upstreams live on until the last call to them has ended, and what was
//! counted for them and for their routes is forgotten.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use proxy::Generation;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use upstream::Upstream;

use crate::assemble::House;

/// How often it is looked whether anybody still uses an upstream.
const GLANCE: Duration = Duration::from_millis(20);

/// Upstreams on their way out.
pub(crate) struct Retired {
    house: Arc<House>,
    current: Arc<ArcSwap<Generation>>,
    /// Generations that exchanges may still hold, the current one included.
    generations: Arc<Mutex<Vec<Weak<Generation>>>>,
    /// Names of upstreams that have ended since the last sweep.
    ended: Arc<Mutex<Vec<Arc<str>>>>,
    ending: TaskTracker,
    at_once: CancellationToken,
}

impl Retired {
    pub(crate) fn new(house: Arc<House>, current: Arc<ArcSwap<Generation>>) -> Self {
        let generations = Arc::new(Mutex::new(vec![Arc::downgrade(&current.load())]));
        Self {
            house,
            current,
            generations,
            ended: Arc::default(),
            ending: TaskTracker::new(),
            at_once: CancellationToken::new(),
        }
    }

    /// Another generation serves from now on, without these upstreams. Whoever listens to one is told;
    /// its calls end, within the grace; then its processes do.
    pub(crate) fn retire(&self, now: &Arc<Generation>, gone: Vec<Arc<Upstream>>) {
        locked(&self.generations).push(Arc::downgrade(now));
        for upstream in gone {
            upstream.remove();
            let (generations, ended) = (Arc::clone(&self.generations), Arc::clone(&self.ended));
            let at_once = self.at_once.clone();
            let grace = now.grace;
            self.ending.spawn(async move {
                tokio::select! {
                    () = at_once.cancelled() => {}
                    in_time = tokio::time::timeout(grace, unused(&upstream, &generations)) => {
                        if in_time.is_err() {
                            tracing::warn!(upstream = %upstream.name, "removed; calls to it are cut at the end of the grace");
                            upstream.cut();
                        }
                    }
                }
                upstream.stop().await;
                locked(&ended).push(Arc::clone(&upstream.name));
            });
        }
    }

    /// Forgets what was counted for what is no more: for an upstream once it has ended, for a route once
    /// the last exchange of its generations has. To be called now and then, and never while a generation
    /// is being made, whose upstreams may have the names of former ones.
    pub(crate) fn sweep(&self) {
        let current = self.current.load();
        for name in std::mem::take(&mut *locked(&self.ended)) {
            if current.upstreams.get(&name).is_none() {
                self.house.forget_upstream(&name);
            }
        }
        let mut generations = locked(&self.generations);
        let before = generations.len();
        generations.retain(|generation| generation.strong_count() > 0);
        if generations.len() < before {
            self.house.forget_others(&current);
        }
    }

    /// Ends all of them now.
    pub(crate) async fn end(&self) {
        self.at_once.cancel();
        self.ending.close();
        self.ending.wait().await;
    }
}

/// Waits until nobody holds an upstream but the generations that have it, and who asks.
async fn unused(upstream: &Arc<Upstream>, generations: &Mutex<Vec<Weak<Generation>>>) {
    let mut quiet = false;
    loop {
        let has_it = |generation: &Arc<Generation>| {
            let theirs = generation.upstreams.get(&upstream.name);
            theirs.is_some_and(|theirs| Arc::ptr_eq(theirs, upstream))
        };
        let alive: Vec<Arc<Generation>> = locked(generations).iter().filter_map(Weak::upgrade).collect();
        let holders = 1 + alive.iter().filter(|generation| has_it(generation)).count();
        let idle = Arc::strong_count(upstream) <= holders;
        drop(alive);
        // An exchange that began with a former generation takes its upstream a moment later.
        if idle && quiet {
            return;
        }
        quiet = idle;
        tokio::time::sleep(GLANCE).await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
