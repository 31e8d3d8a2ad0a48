//! Reload: a changed file, or SIGHUP, puts the whole file into practice or none of it.
//!
//! Upstreams that are made of the same as before are the same objects, so their children, sessions
//! and listeners do not notice. An exchange keeps the generation it began with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use config::{Located, Problems};
use proxy::Generation;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior};
use upstream::Upstream;

use crate::assemble::{House, Standing};
use crate::document::Fixed;
use crate::loading::{Disabled, Loading};
use crate::reading::{Content, Reading};
use crate::retire::Retired;
use crate::telemetry::Telemetry;
use crate::watch::{LOOK_EVERY, Watch};

/// Keeps what is served and what the file says the same.
pub(crate) struct Reload {
    file: PathBuf,
    house: Arc<House>,
    current: Arc<ArcSwap<Generation>>,
    standing: Standing,
    /// What was read last, whether it was loaded or not.
    content: Content,
    watch: Watch,
    looks: Interval,
    hangup: Signal,
    retired: Arc<Retired>,
    loading: Arc<Loading>,
    telemetry: Telemetry,
}

/// What a reload is made of.
pub(crate) struct Parts {
    pub(crate) file: PathBuf,
    pub(crate) house: Arc<House>,
    pub(crate) current: Arc<ArcSwap<Generation>>,
    pub(crate) standing: Standing,
    pub(crate) content: Content,
    pub(crate) retired: Arc<Retired>,
    pub(crate) loading: Arc<Loading>,
    pub(crate) telemetry: Telemetry,
}

/// Why it is time to read the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It may have changed, or a file it names.
    Seen,
    /// Somebody asked for it.
    Told,
}

/// What became of a reading.
pub(crate) enum Outcome {
    /// There was nothing new in it.
    Same,
    /// It is served now.
    Loaded(Change),
    /// It is not; what stands in the way, line by line.
    Refused(String),
}

/// What is other than before.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) added: Vec<Arc<Upstream>>,
    /// Those that stand in the place of a former one of their name.
    pub(crate) changed: Vec<Arc<Upstream>>,
    pub(crate) removed: Vec<Arc<str>>,
}

impl Reload {
    /// Watches the file from now on.
    ///
    /// # Errors
    /// When the system does not let us receive SIGHUP.
    pub(crate) fn new(parts: Parts) -> std::io::Result<Self> {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            watch: Watch::new(parts.content.files()),
            looks,
            hangup: signal(SignalKind::hangup())?,
            file: parts.file,
            house: parts.house,
            current: parts.current,
            standing: parts.standing,
            content: parts.content,
            retired: parts.retired,
            loading: parts.loading,
            telemetry: parts.telemetry,
        })
    }

    /// Waits until it is time to read. May be given up and asked again: nothing is lost.
    pub(crate) async fn due(&mut self) -> Reason {
        loop {
            tokio::select! {
                Some(()) = self.hangup.recv() => return Reason::Told,
                _ = self.looks.tick() => {}
            }
            self.retired.sweep();
            if self.watch.look().await {
                return Reason::Seen;
            }
        }
    }

    /// Reads the file, and serves what it says if it can.
    pub(crate) async fn read(&mut self, reason: Reason) -> Outcome {
        let file = self.file.clone();
        // Files may lie on something that is slow or gone; nothing else waits for that.
        let Ok(mut reading) = tokio::task::spawn_blocking(move || Reading::of(&file)).await else {
            return Outcome::Same;
        };
        let content = std::mem::take(&mut reading.content);
        let same = content == self.content;
        self.watch.has_read(content.files(), same);
        if same && reason == Reason::Seen {
            return Outcome::Same;
        }
        self.content = content;
        match self.serve(reading) {
            Ok((change, disabled)) => {
                self.loading.loaded(disabled);
                Outcome::Loaded(change)
            }
            Err(said) => {
                self.loading.refused(&said);
                Outcome::Refused(said)
            }
        }
    }

    /// Serves what was read from now on.
    fn serve(&mut self, reading: Reading) -> Result<(Change, Vec<Disabled>), String> {
        let Reading {
            source, plan, said, ..
        } = reading;
        let plan = plan.ok_or(said)?;
        let problems = Problems::default();
        refuse_changes(&self.house.fixed, &plan.fixed, &problems);
        if problems.any_mistake() {
            return Err(problems.render(&source));
        }
        let log = plan.log.clone();
        let disabled = Disabled::of(&plan);
        let standing = self
            .house
            .assemble(plan, Some(&self.standing))
            .map_err(|line| format!("{}: {line}\n", source.name()))?;
        let former = std::mem::replace(&mut self.standing, standing).generation;
        let now = &self.standing.generation;
        self.current.store(Arc::clone(now));
        self.retired.retire(now, gone(&former, now));
        now.bearers.are(now.authn.clone());
        let change = Change::between(&former, now);
        if !Arc::ptr_eq(&former.endpoints, &now.endpoints) {
            former.endpoints.cancel();
        }
        self.telemetry.follow(log.as_deref());
        Ok((change, disabled))
    }
}

/// What cannot change while the process runs.
fn refuse_changes(before: &Fixed, now: &Fixed, problems: &Problems) {
    fn refuse<T: PartialEq>(before: &Located<T>, now: &Located<T>, problems: &Problems) {
        if before.value != now.value {
            let problem = now.problem("this cannot change while the gateway runs");
            problems.add(problem.hint("restart it, or set this back to what it was"));
        }
    }
    refuse(&before.listen, &now.listen, problems);
    refuse(&before.tls, &now.tls, problems);
    refuse(&before.admin, &now.admin, problems);
    refuse(&before.state, &now.state, problems);
    refuse(&before.calls, &now.calls, problems);
}

/// The upstreams that are no more, former ones of changed names included.
fn gone(before: &Generation, now: &Generation) -> Vec<Arc<Upstream>> {
    let stays = |former: &Arc<Upstream>| {
        let there = now.upstreams.get(&former.name);
        there.is_some_and(|there| Arc::ptr_eq(there, former))
    };
    before
        .upstreams
        .iter()
        .filter(|former| !stays(former))
        .cloned()
        .collect()
}

impl Change {
    fn between(before: &Generation, now: &Generation) -> Self {
        let mut change = Self::default();
        for upstream in now.upstreams.iter() {
            match before.upstreams.get(&upstream.name) {
                None => change.added.push(Arc::clone(upstream)),
                Some(former) if !Arc::ptr_eq(former, upstream) => change.changed.push(Arc::clone(upstream)),
                Some(_) => {}
            }
        }
        let removed = before.upstreams.iter().map(|former| Arc::clone(&former.name));
        change.removed = removed.filter(|name| now.upstreams.get(name).is_none()).collect();
        change
    }
}

/// `added crm; changed docs, files; removed old`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |upstreams: &[Arc<Upstream>]| -> Vec<Arc<str>> {
            upstreams
                .iter()
                .map(|upstream| Arc::clone(&upstream.name))
                .collect()
        };
        let parts = [
            ("added", names(&self.added)),
            ("changed", names(&self.changed)),
            ("removed", self.removed.clone()),
        ];
        let told: Vec<String> = parts
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(deed, names)| format!("{deed} {}", names.join(", ")))
            .collect();
        match told.is_empty() {
            true => f.write_str("all upstreams stay"),
            false => f.write_str(&told.join("; ")),
        }
    }
}
