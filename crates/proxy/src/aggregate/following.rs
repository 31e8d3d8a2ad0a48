//! What changes at the servers of an endpoint, for one who listens to it (`protocol.md` §3.11).
//!
//! A list has changed when what this very listener sees of it has: a server that lists something anew which is not
//! shown, or lists the same, tells nothing. Updates of a resource are those of its server, under the URI that the
//! endpoint gave it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, join_all, select_all};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use mcp::expose::uri;
use mcp::{Message, Method, Object};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use upstream::{Error, Fault, Following, Interest, Listing, Pooled, Timeouts};

use super::Audience;
use super::view::View;
use crate::answer::Answer;
use crate::bridge::Bridge;
use crate::bridge::following::{Follow, subscribe, wanted};
use crate::bridge::relay::Relay;
use crate::call::Call;
use crate::deadline::Deadline;
use crate::destination::SEVERAL;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::incoming::Incoming;

/// Servers that change together are told of together.
const TOGETHER: Duration = Duration::from_millis(250);

/// One who listens to an endpoint.
pub(crate) struct Follows {
    audience: Arc<Audience>,
    view: Arc<View>,
    honoured: Interest,
    /// Of each server, when its catalog is another.
    news: Vec<stream::BoxStream<'static, ()>>,
    /// Of servers with resources that are watched, their updates.
    updates: BTreeMap<usize, Following>,
    /// When what has changed is told.
    due: Option<Instant>,
    ready: VecDeque<Message>,
    replaced: Arc<CancellationToken>,
    ended: bool,
}

/// Begins a `subscriptions/listen` at the endpoint.
pub(super) async fn listen(
    current: &Arc<Generation>,
    call: &Call,
    audience: Audience,
) -> Result<Answer, Failure> {
    let (id, interest) = wanted(&call.message)?;
    let follows = Follows::begin(
        Arc::new(audience.kept()),
        Arc::clone(&current.endpoints),
        interest,
    )
    .await;
    let stream = subscribe(Box::new(follows), &id);
    let deadline = Deadline::begin(&call.visit.to.name().into(), Timeouts::default());
    let incoming = Incoming::of(stream, call.message.clone(), deadline);
    let bridge = Bridge::Relay(Relay::new(
        super::same(call),
        Method::SubscriptionsListen,
        None,
        current.bounds.parked,
    ));
    Answer::begin(200, incoming, bridge).await
}

impl Follows {
    /// Listens until `replaced`, when the endpoint becomes another.
    pub(crate) async fn begin(
        audience: Arc<Audience>,
        replaced: Arc<CancellationToken>,
        interest: Interest,
    ) -> Self {
        // Before the first look at the catalogs, so that nothing is missed between the two.
        let news = audience.members.iter().filter_map(|(member, headers)| {
            let news = member.upstream.catalog_changes(headers.as_deref()?);
            Some(stream::unfold(news, changed).boxed())
        });
        let news = news.collect();
        let view = View::of(&audience).await;
        let mut follows = Self {
            audience,
            view,
            honoured: Interest::default(),
            news,
            updates: BTreeMap::new(),
            due: None,
            ready: VecDeque::new(),
            replaced,
            ended: false,
        };
        let uris = follows.watch(&interest.uris).await;
        follows.honoured = Interest { uris, ..interest };
        follows
    }

    /// Watches these resources from now on, and no others. Those that their servers tell of.
    pub(crate) async fn watch(&mut self, uris: &BTreeSet<Box<str>>) -> BTreeSet<Box<str>> {
        let mut wanted: BTreeMap<usize, BTreeMap<Box<str>, &str>> = BTreeMap::new();
        for exposed in uris {
            if let Ok(target) = self.view.located(exposed) {
                let of_server = wanted.entry(target.server).or_default();
                of_server.insert(target.original.into(), exposed);
            }
        }
        self.updates.retain(|server, _| wanted.contains_key(server));
        let begun = wanted.into_iter().map(|(server, uris)| {
            let before = self.updates.remove(&server);
            let (member, headers) = &self.audience.members[server];
            async move {
                let interest = Interest {
                    uris: uris.keys().cloned().collect(),
                    ..Interest::default()
                };
                let following = match (before, headers) {
                    (Some(mut following), _) => {
                        // What was wanted before is still followed if this fails.
                        let changed = following.change(interest).await;
                        if let Err(error) = changed {
                            tracing::debug!(%error, "what a client watches could not be followed");
                        }
                        Ok(following)
                    }
                    (None, Some(headers)) => {
                        let shared = Pooled::default();
                        member
                            .upstream
                            .follow(interest, &shared, Arc::clone(headers))
                            .await
                    }
                    (None, None) => return None,
                };
                match following {
                    Ok(following) => {
                        let honoured = &following.honoured().uris;
                        let told = uris.iter().filter(|(uri, _)| honoured.contains(&***uri));
                        let told: Vec<Box<str>> = told.map(|(_, exposed)| (*exposed).into()).collect();
                        Some((server, following, told))
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a resource is watched whose server does not tell of it");
                        None
                    }
                }
            }
        });
        let begun: Vec<_> = begun.collect();
        let mut told = BTreeSet::new();
        for (server, following, uris) in join_all(begun).await.into_iter().flatten() {
            told.extend(uris);
            self.updates.insert(server, following);
        }
        told
    }

    /// What is to be told of lists that are not what they were.
    async fn look(&mut self) {
        let view = View::of(&self.audience).await;
        let differs = |listing| view.listed(listing).digest != self.view.listed(listing).digest;
        let tools = self.honoured.tools && differs(Listing::Tools);
        let prompts = self.honoured.prompts && differs(Listing::Prompts);
        let resources =
            self.honoured.resources && (differs(Listing::Resources) || differs(Listing::Templates));
        self.tell(tools, prompts, resources);
        self.view = view;
        self.due = None;
    }

    fn tell(&mut self, tools: bool, prompts: bool, resources: bool) {
        for (told, method) in [
            (tools, Method::NotificationsToolsListChanged),
            (prompts, Method::NotificationsPromptsListChanged),
            (resources, Method::NotificationsResourcesListChanged),
        ] {
            if told {
                self.ready.push_back(Message::notification(method.as_str(), None));
            }
        }
    }

    /// A change of a server as it is called at the endpoint.
    fn update(&self, server: usize, change: &Message) -> Option<Message> {
        if change.method() != Some(&Method::NotificationsResourcesUpdated) {
            return None;
        }
        let alias = &self.view.seen[server].alias;
        let params = Object::parse(change.params()?).ok()?;
        let exposed = uri::expose(alias, &params.get_text("uri")?).into_owned();
        let mut edits = params.edit();
        edits.set("uri", serde_json::to_string(&exposed).ok()?);
        let params = edits.apply();
        let method = Method::NotificationsResourcesUpdated;
        Some(Message::notification(
            method.as_str(),
            Some(&String::from_utf8_lossy(&params)),
        ))
    }
}

#[async_trait]
impl Follow for Follows {
    fn honoured(&self) -> &Interest {
        &self.honoured
    }

    async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            if self.ended {
                return Err(Fault::Removed.of(&SEVERAL.into()));
            }
            let due = self.due;
            let later = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.replaced.cancelled() => {
                    // Who listens anew meets other servers.
                    let Interest { tools, prompts, resources, .. } = self.honoured;
                    self.tell(tools, prompts, resources);
                    self.ended = true;
                }
                (server, change) = any(&mut self.updates) => match change {
                    Ok(change) => self.ready.extend(self.update(server, &change)),
                    Err(_) => {
                        self.updates.remove(&server);
                    }
                },
                () = one(&mut self.news) => {
                    self.due.get_or_insert_with(|| Instant::now() + TOGETHER);
                }
                () = later => self.look().await,
            }
        }
    }
}

async fn changed(mut news: watch::Receiver<u64>) -> Option<((), watch::Receiver<u64>)> {
    news.changed().await.ok()?;
    Some(((), news))
}

/// Waits until one of them has something; those that have ended are left out.
async fn one(news: &mut Vec<stream::BoxStream<'static, ()>>) {
    loop {
        if news.is_empty() {
            return std::future::pending().await;
        }
        let (told, place, _) = select_all(news.iter_mut().map(|news| news.next())).await;
        match told {
            Some(()) => return,
            None => drop(news.swap_remove(place)),
        }
    }
}

/// The next change of any server.
async fn any(updates: &mut BTreeMap<usize, Following>) -> (usize, Result<Message, Error>) {
    if updates.is_empty() {
        return std::future::pending().await;
    }
    let next = updates.iter_mut().map(|(server, following)| -> BoxFuture<'_, _> {
        async move { (*server, following.next().await) }.boxed()
    });
    select_all(next).await.0
}
