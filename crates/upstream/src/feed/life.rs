//! The life of one feed: what it opens, hands on, opens again, and when it ends. One task owns all of it.
//!
//! A wish that grows is asked for at once, one that shrinks after a while: clients that come and go leave the
//! server in peace. Either way what is open stays until what replaces it was confirmed, and a little longer,
//! for what was on its way over it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mcp::Message;
use tokio::time::Instant;

use super::change::Change;
use super::followers::{Followers, Wanted};
use super::interest::Interest;
use super::legacy::{self, Overhearing};
use super::modern::{self, Asked, Listening};
use crate::backoff::Backoff;
use crate::error::{Error, Fault};
use crate::registry::Upstream;
use crate::transport::{Conversation, Headers, Pooled};

/// Opening, the start of a process or of a platform included. Those who wait for it wait less.
const OPENED_WITHIN: Duration = Duration::from_secs(60);

/// What nobody wants any more is asked for this much longer.
const SHRUNK_AFTER: Duration = Duration::from_secs(10);

/// A subscription is still read for this long after another took its place.
const OVERLAP: Duration = Duration::from_secs(1);

/// Subscriptions read beside the newest.
const OVERLAPPING: usize = 4;

/// A stream that lasted this long is opened again as if it had been the first.
const LASTED: Duration = Duration::from_secs(60);

/// Numbers subscriptions, so that no two of this process have the same id.
static LAST: AtomicU64 = AtomicU64::new(0);

pub(super) struct Life {
    upstream: Arc<Upstream>,
    /// The session in which an earlier server is heard.
    pooled: Pooled,
    headers: Arc<Headers>,
    followers: Arc<Followers>,
    source: Source,
    /// Subscriptions whose place another took, and when they end.
    fading: VecDeque<(Listening, Instant)>,
    work: Option<BoxFuture<'static, Done>>,
    /// When what nobody wants any more is given up.
    narrow_at: Option<Instant>,
    /// When what could not be widened is tried again.
    widen_at: Option<Instant>,
    /// Whether changes may have been missed that nobody was told of yet.
    missed: bool,
    opened: Instant,
    backoff: Backoff,
}

/// Where changes are told.
enum Source {
    /// Nowhere; not to be opened before then.
    Closed(Option<Instant>),
    /// Nowhere, since the server tells nothing. Opened again for somebody who asks.
    Quiet,
    Modern(Box<Listening>),
    Legacy(Box<Overhearing>),
}

/// What an opening brought.
enum Opened {
    Modern(Box<Listening>, Interest),
    Legacy(Box<Overhearing>, Interest),
    Refused,
}

/// Work that was done.
enum Done {
    /// For what was wanted at this version.
    Opened(Interest, u64, Result<Opened, Error>),
    /// These resources are watched now besides; for what was wanted at this version.
    Adjusted(Vec<Box<str>>, u64),
}

/// What happened next.
enum Event {
    Changed,
    Done(Done),
    Heard(Result<Message, Error>),
    Faded,
    Due,
}

impl Life {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        pooled: Pooled,
        headers: Arc<Headers>,
        followers: Arc<Followers>,
    ) -> Self {
        Self {
            upstream,
            pooled,
            headers,
            followers,
            source: Source::Closed(None),
            fading: VecDeque::new(),
            work: None,
            narrow_at: None,
            widen_at: None,
            missed: false,
            opened: Instant::now(),
            backoff: Backoff::default(),
        }
    }

    /// Lives until `ends` says that nobody follows any more.
    pub(super) async fn live(mut self, ends: impl Fn() -> bool) {
        while self.look() || !ends() {
            loop {
                match self.event().await {
                    // Most events: nothing has to be looked at anew.
                    Event::Heard(Ok(message)) => self.hear(&message),
                    Event::Heard(Err(error)) => break self.lose(&error),
                    Event::Done(done) => break self.finish(done),
                    Event::Changed | Event::Due => break,
                    Event::Faded => {}
                }
            }
        }
    }

    /// Does what has to be done for what is wanted by now. False when nobody follows and nothing is left to do.
    fn look(&mut self) -> bool {
        match self.followers.wanted() {
            None => return self.tidy(),
            Some(wanted) if self.work.is_none() => self.serve(wanted),
            // What comes of it is looked at first.
            Some(_) => {}
        }
        true
    }

    fn serve(&mut self, wanted: Wanted) {
        let now = Instant::now();
        match &self.source {
            Source::Closed(_) | Source::Quiet if wanted.interest.is_empty() => {
                self.source = Source::Closed(None);
                self.settle(wanted.version);
            }
            Source::Closed(Some(not_before)) if *not_before > now && wanted.awaited.is_none() => {}
            Source::Quiet if wanted.awaited.is_none() => {}
            Source::Closed(_) | Source::Quiet => self.open(wanted),
            Source::Modern(_) => {
                let due = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
                if !self.followers.unanswered(&wanted).is_empty() {
                    return self.open(wanted);
                }
                self.settle(wanted.version);
                self.narrow(self.followers.asked() != wanted.interest);
                if due(self.narrow_at) && wanted.interest.is_empty() {
                    self.narrow_at = None;
                    self.followers.opened(Interest::default(), Interest::default());
                    self.replace(Source::Closed(None));
                } else if due(self.narrow_at) || due(self.widen_at) {
                    self.open(wanted);
                }
            }
            Source::Legacy(overhearing) => {
                let unanswered = self.followers.unanswered(&wanted);
                if !unanswered.uris.is_empty() && overhearing.subscribe {
                    return self.adjust(wanted.version, unanswered.uris, BTreeSet::new());
                }
                let surplus: BTreeSet<_> = overhearing
                    .subscribed
                    .difference(&wanted.interest.uris)
                    .cloned()
                    .collect();
                self.followers.denied(&unanswered);
                self.settle(wanted.version);
                self.narrow(!surplus.is_empty());
                if self.narrow_at.is_some_and(|moment| moment <= now) {
                    self.adjust(wanted.version, BTreeSet::new(), surplus);
                }
            }
        }
    }

    /// More is open than anybody wants, or is not any more: that is looked at again after a while.
    fn narrow(&mut self, surplus: bool) {
        let later = Instant::now() + SHRUNK_AFTER;
        self.narrow_at = surplus.then(|| self.narrow_at.unwrap_or(later));
    }

    /// Nobody follows any more: in a session that others use, nothing of the feed's stays behind.
    fn tidy(&mut self) -> bool {
        let Source::Legacy(overhearing) = &mut self.source else {
            return false;
        };
        if self.work.is_some() {
            return true;
        }
        let subscribed = overhearing.subscribed.clone();
        if subscribed.is_empty() {
            return false;
        }
        self.adjust(0, BTreeSet::new(), subscribed);
        true
    }

    /// All that is wanted was asked for: who was cut off hears that something may have changed, and who
    /// waits what is honoured.
    fn settle(&mut self, version: u64) {
        if self.stands() && std::mem::take(&mut self.missed) {
            self.followers.tell_all();
        }
        self.followers.settle(version);
    }

    /// Whether anything is open.
    fn stands(&self) -> bool {
        matches!(self.source, Source::Modern(_) | Source::Legacy(_))
    }

    fn open(&mut self, wanted: Wanted) {
        (self.narrow_at, self.widen_at) = (None, None);
        let (upstream, headers) = (Arc::clone(&self.upstream), Arc::clone(&self.headers));
        let pooled = self.pooled.clone();
        let opening = async move {
            let opened = open(&upstream, &pooled, &headers, &wanted.interest);
            let opened = tokio::time::timeout(OPENED_WITHIN, opened).await;
            let opened = opened.unwrap_or_else(|_| Err(Fault::Silent(OPENED_WITHIN).of(&upstream.name)));
            Done::Opened(wanted.interest, wanted.version, opened)
        };
        self.work = Some(opening.boxed());
    }

    fn adjust(&mut self, version: u64, subscribe: BTreeSet<Box<str>>, unsubscribe: BTreeSet<Box<str>>) {
        self.narrow_at = None;
        let upstream = Arc::clone(&self.upstream);
        let (headers, followers) = (Arc::clone(&self.headers), Arc::clone(&self.followers));
        if let Source::Legacy(overhearing) = &mut self.source {
            overhearing.subscribed.retain(|uri| !unsubscribe.contains(uri));
        }
        let conversation = Conversation::Pooled(self.pooled.clone());
        let adjusting = legacy::adjust(upstream, conversation, headers, followers, subscribe, unsubscribe);
        self.work = Some(
            adjusting
                .map(move |subscribed| Done::Adjusted(subscribed, version))
                .boxed(),
        );
    }

    fn finish(&mut self, done: Done) {
        let (asked, version, opened) = match done {
            Done::Opened(asked, version, opened) => (asked, version, opened),
            Done::Adjusted(subscribed, version) => {
                // If its stream broke meanwhile, all is asked for once more.
                if let Source::Legacy(overhearing) = &mut self.source {
                    overhearing.subscribed.extend(subscribed);
                    self.settle(version);
                }
                return;
            }
        };
        match opened {
            Ok(Opened::Modern(listening, confirmed)) => {
                self.followers.opened(asked, confirmed);
                self.replace(Source::Modern(listening));
                self.settle(version);
            }
            Ok(Opened::Legacy(overhearing, lists)) => {
                let asked = Interest {
                    tools: true,
                    prompts: true,
                    resources: true,
                    ..Interest::default()
                };
                self.followers.opened(asked, lists);
                self.replace(Source::Legacy(overhearing));
            }
            // What is open goes on without what was wanted besides.
            Ok(Opened::Refused) if self.stands() => {
                self.followers.denied(&asked);
                self.settle(version);
            }
            Err(error) if self.stands() => {
                tracing::debug!(upstream = %self.upstream.name, %error, "a subscription was not widened");
                self.followers.denied(&asked);
                self.settle(version);
                self.widen_at = Some(Instant::now() + self.backoff.pause());
            }
            Ok(Opened::Refused) => {
                self.followers.settle(version);
                self.source = self.closed();
            }
            Err(error) => {
                tracing::debug!(upstream = %self.upstream.name, %error, "its changes cannot be followed");
                self.followers.refuse(version, &error);
                self.source = self.closed();
            }
        }
    }

    /// Nothing is open. It is tried again for those who were told something before; who was not is told
    /// nothing whatever comes of it.
    fn closed(&mut self) -> Source {
        match self.followers.wanted() {
            Some(wanted) if wanted.honoured => Source::Closed(Some(Instant::now() + self.backoff.pause())),
            Some(_) | None => Source::Quiet,
        }
    }

    fn replace(&mut self, source: Source) {
        self.opened = Instant::now();
        let before = std::mem::replace(&mut self.source, source);
        if let Source::Modern(listening) = before {
            if self.fading.len() == OVERLAPPING {
                self.fading.pop_front();
            }
            self.fading.push_back((*listening, Instant::now() + OVERLAP));
        }
    }

    fn hear(&mut self, message: &Message) {
        if let Some(change) = Change::read(message) {
            self.backoff.reset();
            self.followers.tell(&change);
        }
    }

    fn lose(&mut self, error: &Error) {
        tracing::debug!(upstream = %self.upstream.name, %error, "a stream of changes ended");
        self.upstream.count_lost_feed();
        if self.opened.elapsed() >= LASTED {
            self.backoff.reset();
        }
        self.missed = true;
        (self.narrow_at, self.widen_at) = (None, None);
        self.followers.opened(Interest::default(), Interest::default());
        self.source = self.closed();
    }

    /// Waits for what happens next.
    async fn event(&mut self) -> Event {
        let wake = match &self.source {
            Source::Closed(not_before) => *not_before,
            Source::Quiet => None,
            Source::Modern(_) | Source::Legacy(_) => self.narrow_at.into_iter().chain(self.widen_at).min(),
        };
        let wake = wake.filter(|_| self.work.is_none());
        let faded = self.fading.front().map(|(_, end)| *end);
        let followers = Arc::clone(&self.followers);
        let name = Arc::clone(&self.upstream.name);
        let (source, fading, work) = (&mut self.source, &mut self.fading, &mut self.work);
        tokio::select! {
            () = followers.changed.notified() => Event::Changed,
            done = done(work) => Event::Done(done),
            heard = std::future::poll_fn(|context| poll(source, fading, &name, context)) => Event::Heard(heard),
            () = at(wake) => Event::Due,
            () = at(faded) => {
                self.fading.pop_front();
                Event::Faded
            }
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn done(work: &mut Option<BoxFuture<'static, Done>>) -> Done {
    match work {
        Some(running) => {
            let done = running.await;
            *work = None;
            done
        }
        None => std::future::pending().await,
    }
}

/// The next message of what is open; those whose place was taken come first, and end unnoticed.
fn poll(
    source: &mut Source,
    fading: &mut VecDeque<(Listening, Instant)>,
    upstream: &Arc<str>,
    context: &mut Context<'_>,
) -> Poll<Result<Message, Error>> {
    let mut index = 0;
    while let Some((listening, _)) = fading.get_mut(index) {
        match listening.poll(upstream, context) {
            Poll::Ready(Ok(message)) => return Poll::Ready(Ok(message)),
            Poll::Ready(Err(_)) => drop(fading.remove(index)),
            Poll::Pending => index += 1,
        }
    }
    match source {
        Source::Closed(_) | Source::Quiet => Poll::Pending,
        Source::Modern(listening) => listening.poll(upstream, context),
        Source::Legacy(overhearing) => overhearing.poll(context),
    }
}

/// Opens what tells of this, in the newest era that the server speaks. One that turns out to speak another is
/// asked in that.
async fn open(
    upstream: &Arc<Upstream>,
    pooled: &Pooled,
    headers: &Arc<Headers>,
    wanted: &Interest,
) -> Result<Opened, Error> {
    match open_as_assumed(upstream, pooled, headers, wanted).await {
        Err(error) if matches!(error.fault, Fault::Misjudged(_) | Fault::NotSpoken { .. }) => {
            upstream.forget_eras();
            open_as_assumed(upstream, pooled, headers, wanted).await
        }
        outcome => outcome,
    }
}

async fn open_as_assumed(
    upstream: &Arc<Upstream>,
    pooled: &Pooled,
    headers: &Arc<Headers>,
    wanted: &Interest,
) -> Result<Opened, Error> {
    let eras = upstream.learn(headers).await?;
    if eras.modern.is_some() {
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        return Ok(match modern::listen(upstream, headers, wanted, number).await? {
            Asked::Acknowledged(listening, told) => Opened::Modern(Box::new(listening), told),
            Asked::Refused => Opened::Refused,
        });
    }
    Ok(match legacy::overhear(upstream, pooled, headers).await? {
        Some((overhearing, lists)) => Opened::Legacy(Box::new(overhearing), lists),
        None => Opened::Refused,
    })
}
