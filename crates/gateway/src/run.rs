//! The story of a process: read, open, assemble, serve, show, stop.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use audit::To;
use config::{Located, Problems, ProcessEnvironment, Source};
use proxy::{Generation, Listener, bind, serve_clients, serve_pages};
use tokio::sync::watch;
use tokio::task::JoinSet;
use upstream::{Headers, Introduction, Upstream, introduce};

use crate::admin::Admin;
use crate::assemble::{House, assemble};
use crate::banner::{Banner, Example};
use crate::document::{self, Plan};
use crate::drain::{StopSignals, drain};
use crate::telemetry;

/// Exit status for a file with mistakes.
const MISTAKEN: u8 = 2;

/// An upstream that has not said what it speaks by then is shown as one that did not.
const ASKED_WITHIN: Duration = Duration::from_secs(30);

/// `ready` is not held up longer by upstreams that are slow to answer; they are shown as they come.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Serves what a file describes until it is told to stop.
pub(crate) fn run(file: &Path) -> ExitCode {
    let plan = match read(file) {
        Ok((plan, _)) => plan,
        Err(code) => return code,
    };
    telemetry::begin(plan.log.as_deref());
    if plan.open_to_all && !plan.listen.value.ip().is_loopback() {
        tracing::warn!(listen = %plan.listen.value, "`auth: none`: everybody who can reach this address may call");
    }
    let (clients, admin) = match open(&plan) {
        Ok(listeners) => listeners,
        Err(line) => return fail(&line),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    let banner = Banner::new(plan.calls == Some(To::Stdout));
    let grace = plan.grace;
    let house = match assemble(plan, runtime.handle()) {
        Ok(house) => house,
        Err(line) => return fail(&line),
    };
    runtime.block_on(serve(house, clients, admin, &banner, grace));
    // What still runs now was cut; it must not hold up the end.
    runtime.shutdown_background();
    ExitCode::SUCCESS
}

/// Tells every mistake in a file.
pub(crate) fn check(file: &Path) -> ExitCode {
    match read(file) {
        Ok((plan, source)) => {
            println!(
                "{}: no mistakes, {} upstreams",
                source.name(),
                plan.upstreams.len()
            );
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// Reads and checks a file; what is wrong with it is printed.
fn read(file: &Path) -> Result<(Plan, Source), ExitCode> {
    let source = Source::read(file).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file",
            std::io::ErrorKind::PermissionDenied => "it may not be read",
            _ => "it cannot be read",
        };
        eprintln!("{}: {hint} ({error})", file.display());
        ExitCode::from(MISTAKEN)
    })?;
    let problems = Problems::default();
    let plan = document::read(&source, &problems, &ProcessEnvironment);
    if !problems.is_empty() {
        eprint!("{}", problems.render(&source));
    }
    match plan {
        Some(plan) if !problems.any_mistake() => Ok((plan, source)),
        Some(_) | None => Err(ExitCode::from(MISTAKEN)),
    }
}

/// Opens the listeners before anything else exists: a taken port is the most likely thing to go wrong.
fn open(plan: &Plan) -> Result<(Listener, Option<Listener>), String> {
    let listener = |address: &Located<std::net::SocketAddr>| {
        bind(address.value).map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "{}: {} is taken by another process; stop it, or set `{}:` to another address",
                address.path, address.value, address.path
            ),
            _ => format!("{}: {} cannot be opened: {error}", address.path, address.value),
        })
    };
    Ok((
        listener(&plan.listen)?,
        plan.admin.as_ref().map(listener).transpose()?,
    ))
}

async fn serve(house: House, clients: Listener, admin: Option<Listener>, banner: &Banner, grace: Duration) {
    let House {
        generation,
        metrics,
        admin_gate,
        guard,
    } = house;
    let mut signals = match StopSignals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be received, so nothing could stop this process cleanly");
            return;
        }
    };
    let (address, admin_address) = (clients.address(), admin.as_ref().map(Listener::address));
    let current = Arc::new(ArcSwap::new(Arc::clone(&generation)));
    let knows = Arc::new(Introductions::default());
    let (stop, stopped) = watch::channel(false);
    let mut listeners = JoinSet::new();
    listeners.spawn(serve_clients(clients, Arc::clone(&current), stopped.clone()));
    if let Some(admin) = admin {
        let page = Admin {
            current: Arc::clone(&current),
            metrics,
            knows: Arc::clone(&knows),
        };
        listeners.spawn(serve_pages(admin, admin_gate, Arc::new(page), stopped));
    }
    generation.health.set_ready();
    banner.listening(address, admin_address);

    let show = async {
        let mut asked = ask_all(&generation);
        let all = show_answers(&mut asked, &generation, &knows, banner);
        let _ = tokio::time::timeout(READY_WITHIN, all).await;
        banner.ready(address, example(&generation, &knows).as_ref());
        show_answers(&mut asked, &generation, &knows, banner).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = signals.next() => {}
        () = show => {}
    }
    tracing::info!("stopping; once more to stop at once");
    tokio::select! {
        () = drain(&generation, &guard, grace) => {}
        // The guard ends what we leave behind.
        () = signals.next() => {
            tracing::warn!("stopped at once");
            // What is on record so far shall be on the disk.
            generation.account.log().close();
        }
    }
    let _ = stop.send(true);
}

/// What the upstreams turned out to be, by name.
#[derive(Default)]
pub(crate) struct Introductions {
    known: Mutex<HashMap<String, Result<Introduction, String>>>,
}

impl Introductions {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<String, Result<Introduction, String>>> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// An upstream, and what it turned out to be.
type Answered = (Arc<Upstream>, Result<Introduction, String>);

/// Asks every upstream what it speaks, side by side.
fn ask_all(generation: &Generation) -> JoinSet<Answered> {
    let mut asked = JoinSet::new();
    for upstream in generation.upstreams.iter().cloned() {
        let injection = generation.injections.get(&upstream.name).cloned();
        asked.spawn(async move {
            let outcome = tokio::time::timeout(ASKED_WITHIN, ask(&upstream, injection.as_deref()))
                .await
                .unwrap_or_else(|_| Err(format!("did not answer within {ASKED_WITHIN:?}")));
            (upstream, outcome)
        });
    }
    asked
}

/// Shows each upstream as it answers. May be given up and begun again: no answer is lost.
async fn show_answers(
    asked: &mut JoinSet<Answered>,
    generation: &Generation,
    knows: &Introductions,
    banner: &Banner,
) {
    let width = generation
        .upstreams
        .iter()
        .map(|upstream| upstream.name.len())
        .max()
        .unwrap_or(0);
    while let Some(answered) = asked.join_next().await {
        if let Ok((upstream, outcome)) = answered {
            banner.upstream(&upstream, &outcome, width);
            knows.lock().insert(upstream.name.to_string(), outcome);
        }
    }
}

async fn ask(
    upstream: &Arc<Upstream>,
    injection: Option<&policy::Injection>,
) -> Result<Introduction, String> {
    if injection.is_some_and(policy::Injection::needs_call) {
        return Err("its headers are made of what a call brings, so it is asked at the first call".into());
    }
    let injected = injection.map(policy::Injection::standing).unwrap_or_default();
    introduce(
        upstream,
        &Headers {
            injected,
            passed: Vec::new(),
        },
    )
    .await
    .map_err(|error| error.to_string())
}

/// The line to try: the first upstream with tools, if it is the demo that has `echo`.
fn example(generation: &Generation, knows: &Introductions) -> Option<Example> {
    let known = knows.lock();
    let upstream = generation.upstreams.iter().find(|upstream| {
        let tools = known
            .get(&*upstream.name)
            .and_then(|known| known.as_ref().ok()?.tools);
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
