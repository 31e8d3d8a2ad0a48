//! The story of a process: read, open, assemble, serve, show, stop.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use audit::To;
use config::{Located, Problems};
use proxy::{Generation, Listener, bind, serve_clients, serve_pages};
use tokio::sync::watch;
use tokio::task::JoinSet;
use upstream::Upstream;

use crate::admin::Admin;
use crate::assemble::{House, Standing};
use crate::banner::{Banner, Example};
use crate::compare;
use crate::descriptors::Descriptors;
use crate::document::{Auth, Fixed};
use crate::drain::{StopSignals, drain};
use crate::introductions::{Answered, Asked, Introductions, Known};
use crate::loading::{Disabled, Loading};
use crate::reading::{Content, Reading};
use crate::reload::{Outcome, Parts, Reload};
use crate::retire::Retired;
use crate::telemetry::Telemetry;

/// Exit status for a file with mistakes.
const MISTAKEN: u8 = 2;

/// `ready` is not held up longer by upstreams that are slow to answer; they are shown as they come.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Serves what a file describes until it is told to stop.
pub(crate) fn run(file: &Path) -> ExitCode {
    let Reading {
        plan, said, content, ..
    } = Reading::of(file);
    eprint!("{said}");
    let Some(plan) = plan else {
        return ExitCode::from(MISTAKEN);
    };
    let telemetry = Telemetry::begin(plan.log.as_deref());
    let listen = plan.fixed.listen.value;
    if matches!(plan.auth, Auth::None) && !listen.ip().is_loopback() {
        tracing::warn!(%listen, "`auth: none`: everybody who can reach this address may call");
    }
    let descriptors = Descriptors::raise();
    descriptors.warn_of(plan.bounds.streams);
    let (clients, admin) = match open(&plan.fixed) {
        Ok(listeners) => listeners,
        Err(line) => return fail(&line),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    let opened = House::open(&plan, runtime.handle()).and_then(|house| {
        let loading =
            Loading::new(&house.metrics, Disabled::of(&plan)).map_err(|error| format!("metrics: {error}"))?;
        let standing = house.assemble(plan, None)?;
        Ok((house, loading, standing))
    });
    let (house, loading, standing) = match opened {
        Ok(opened) => opened,
        Err(line) => return fail(&line),
    };
    let process = Process {
        file,
        content,
        house: Arc::new(house),
        loading: Arc::new(loading),
        standing,
        telemetry,
        descriptors,
    };
    runtime.block_on(process.serve(clients, admin));
    // What still runs now was cut; it must not hold up the end.
    runtime.shutdown_background();
    ExitCode::SUCCESS
}

/// Tells every mistake in a file.
pub(crate) fn check(file: &Path) -> ExitCode {
    let Reading {
        plan, said, source, ..
    } = Reading::of(file);
    eprint!("{said}");
    let Some(plan) = plan else {
        return ExitCode::from(MISTAKEN);
    };
    let problems = Problems::default();
    compare::with_kept(&plan, &problems);
    if problems.any_mistake() {
        eprint!("{}", problems.render(&source));
        return ExitCode::from(MISTAKEN);
    }
    println!(
        "{}: no mistakes, {} upstreams",
        source.name(),
        plan.upstreams.len()
    );
    ExitCode::SUCCESS
}

/// Opens the listeners before anything else exists: a taken port is the most likely thing to go wrong.
fn open(fixed: &Fixed) -> Result<(Listener, Option<Listener>), String> {
    let listener = |address: &Located<SocketAddr>| {
        bind(address.value).map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "{}: {} is taken by another process; stop it, or set `{}:` to another address",
                address.path, address.value, address.path
            ),
            _ => format!("{}: {} cannot be opened: {error}", address.path, address.value),
        })
    };
    let admin = fixed
        .admin
        .value
        .map(|address| fixed.admin.clone().map(|_| address));
    Ok((
        listener(&fixed.listen)?,
        admin.as_ref().map(listener).transpose()?,
    ))
}

/// All that serves, before it does.
struct Process<'a> {
    file: &'a Path,
    content: Content,
    house: Arc<House>,
    loading: Arc<Loading>,
    standing: Standing,
    telemetry: Telemetry,
    descriptors: Descriptors,
}

impl Process<'_> {
    async fn serve(self, clients: Listener, admin: Option<Listener>) {
        let house = self.house;
        let generation = Arc::clone(&self.standing.generation);
        let current = Arc::new(ArcSwap::new(Arc::clone(&generation)));
        let retired = Arc::new(Retired::new(Arc::clone(&house), Arc::clone(&current)));
        let reload = Reload::new(Parts {
            file: self.file.to_owned(),
            house: Arc::clone(&house),
            current: Arc::clone(&current),
            standing: self.standing,
            content: self.content,
            retired: Arc::clone(&retired),
            loading: Arc::clone(&self.loading),
            telemetry: self.telemetry,
        });
        let (mut signals, reload) = match StopSignals::listen().and_then(|signals| Ok((signals, reload?))) {
            Ok(both) => both,
            Err(error) => {
                tracing::error!(%error, "signals cannot be received, so nothing could stop this process cleanly");
                return;
            }
        };
        let address = clients.address();
        let banner = Banner::new(house.fixed.calls.value == Some(To::Stdout), house.fixed.tls.value);
        let knows = Arc::new(Introductions::default());
        let (stop, stopped) = watch::channel(false);
        let mut listeners = JoinSet::new();
        listeners.spawn(serve_clients(clients, Arc::clone(&current), stopped.clone()));
        let admin_address = admin.as_ref().map(Listener::address);
        if let Some(admin) = admin {
            let page = Admin {
                current: Arc::clone(&current),
                metrics: house.metrics.clone(),
                knows: Arc::clone(&knows),
                loading: self.loading,
            };
            listeners.spawn(serve_pages(admin, Arc::clone(&current), Arc::new(page), stopped));
        }
        generation.health.set_ready();
        banner.listening(address, admin_address);
        // It would be held for as long as the process lives.
        drop(generation);

        let shown = Shown {
            file: self.file,
            current: &current,
            knows: &knows,
            banner: &banner,
            address,
            descriptors: self.descriptors,
        };
        let health = Arc::clone(&current.load().health);
        tokio::select! {
            () = signals.next() => {}
            () = shown.tend(reload) => {}
            () = self.descriptors.watch(&health) => {}
        }
        tracing::info!("stopping; once more to stop at once");
        let last = current.load_full();
        tokio::select! {
            () = drain(&last, &retired, &house.guard) => {}
            // The guard ends what we leave behind.
            () = signals.next() => {
                tracing::warn!("stopped at once");
                // What is on record so far shall be on the disk.
                last.account.log().close();
            }
        }
        let _ = stop.send(true);
    }
}

/// What people are shown while the process serves.
struct Shown<'a> {
    file: &'a Path,
    current: &'a ArcSwap<Generation>,
    knows: &'a Introductions,
    banner: &'a Banner,
    address: SocketAddr,
    descriptors: Descriptors,
}

impl Shown<'_> {
    /// Gets to know the upstreams and follows the file, without end.
    async fn tend(&self, mut reload: Reload) {
        let mut asked = Asked::default();
        let first = self.current.load_full();
        let mut comparing = JoinSet::new();
        let compare = |comparing: &mut JoinSet<()>, generation: &Arc<Generation>| {
            // What was compared with another file is nobody's business.
            comparing.abort_all();
            for upstream in generation.upstreams.iter() {
                comparing.spawn(compare::with_server(Arc::clone(upstream), Arc::clone(generation)));
            }
        };
        for upstream in first.upstreams.iter() {
            asked.ask(upstream, &first);
        }
        compare(&mut comparing, &first);
        let mut streams = first.bounds.streams;
        drop(first);
        let patience = tokio::time::sleep(READY_WITHIN);
        tokio::pin!(patience);
        let mut ready = false;
        loop {
            if !ready && (asked.is_done() || patience.is_elapsed()) {
                ready = true;
                let example = example(&self.current.load(), self.knows);
                self.banner.ready(self.address, example.as_ref());
            }
            tokio::select! {
                answered = asked.next() => self.answered(&answered),
                reason = reload.due() => match reload.read(reason).await {
                    Outcome::Same => {}
                    Outcome::Loaded(change) => {
                        self.banner.reloaded(self.file, &change);
                        for name in change.removed.iter().chain(change.changed.iter().map(|upstream| &upstream.name)) {
                            self.knows.lock().remove(&**name);
                        }
                        let now = self.current.load_full();
                        if std::mem::replace(&mut streams, now.bounds.streams) != now.bounds.streams {
                            self.descriptors.warn_of(streams);
                        }
                        for upstream in change.added.iter().chain(&change.changed) {
                            asked.ask(upstream, &now);
                        }
                        compare(&mut comparing, &now);
                    }
                    Outcome::Refused(said) => self.banner.not_reloaded(self.file, &said),
                },
                Some(_) = comparing.join_next() => {}
                () = &mut patience, if !ready => {}
            }
        }
    }

    /// One has answered, or has not; one that a reload took away meanwhile is nobody's business.
    fn answered(&self, (upstream, outcome): &Answered) {
        let current = self.current.load();
        let there = current.upstreams.get(&upstream.name);
        if !there.is_some_and(|there| Arc::ptr_eq(there, upstream)) {
            return;
        }
        self.banner.upstream(upstream, outcome, width(&current));
        self.knows
            .lock()
            .insert(upstream.name.to_string(), Known::now(outcome.clone()));
    }
}

/// The longest name.
fn width(generation: &Generation) -> usize {
    let length = |upstream: &Arc<Upstream>| upstream.name.len();
    generation.upstreams.iter().map(length).max().unwrap_or(0)
}

/// The line to try: the first upstream with tools, if it is the demo that has `echo`.
fn example(generation: &Generation, knows: &Introductions) -> Option<Example> {
    let known = knows.lock();
    let upstream = generation.upstreams.iter().find(|upstream| {
        let tools = known
            .get(&*upstream.name)
            .and_then(|known| known.outcome.as_ref().ok()?.tools);
        &*upstream.name == "demo" && tools.is_some_and(|tools| tools > 0)
    })?;
    let reachable = generation
        .routes
        .iter()
        .any(|route| route.path == "/mcp/{server}");
    reachable.then(|| Example {
        path: format!("/mcp/{}", upstream.name),
    })
}

fn fail(line: &str) -> ExitCode {
    eprintln!("causeway: {line}");
    ExitCode::FAILURE
}
