//! Legacy sessions: a conversation whose memory is its sealed id.
//!
//! What a session needs is in the token itself ([`token`]), so that any process with the key can
//! serve it and a restart forgets nothing. Written down is which sessions their clients have ended.
//! Kept in memory is what dies with a connection anyway, or may be forgotten: who listens to a session,
//! which questions wait for an answer, and the sessions of the 2024-11-05 transport, which are their
//! stream.

pub(crate) mod token;
mod opened;
pub(crate) mod sse;
mod ended;
pub(crate) mod listeners;
pub(crate) mod unheard;
pub(crate) mod replay;
pub(crate) mod event_id;
pub(crate) mod questions;
pub(crate) mod settings;
pub(crate) mod running;
pub(crate) mod state;
pub(crate) mod parked;
mod binding;
mod shrink;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::KeyRing;
use mcp::translate::Between;
use mcp::{Message, Revision};
use policy::Principal;
use upstream::{Listing, Session};

use crate::aggregate::cursor::{self, Cursor};
use crate::bridge::levels::Levels;
use crate::call::Visit;
use crate::downstream::hearing::Followed;
use crate::metrics::Metrics;

pub(crate) use questions::Asking;
pub use replay::Resume;
pub(crate) use sse::{SseSession, Stream};
pub(crate) use token::Claims;

use binding::{binding, binding_at, binding_of_sse, with_principal};
use ended::Ended;
use event_id::{Place, Stamp};
use listeners::{Listener, Listeners};
use opened::Opened;
use parked::Parked;
use questions::{Asked, Asker, Questions};
use replay::{Found, Gauges, Reader, Replays, Teller};
use running::RunningCalls;
use settings::Settings;
use sse::SseSessions;
use state::{State, Waits};
use unheard::Unheard;

/// Begins, recognizes and ends sessions.
pub struct Sessions {
    keys: Arc<KeyRing>,
    lifetime: Duration,
    resume: Option<Resume>,
    opened: Opened,
    kept: Arc<Kept>,
}

/// What is remembered for as long as the process lives, whatever the configuration becomes.
struct Kept {
    owner: String,
    ended: Arc<Ended>,
    listeners: Arc<Listeners>,
    unheard: Arc<Unheard<Followed>>,
    questions: Arc<Questions>,
    sse: Arc<SseSessions>,
    settings: Arc<Settings>,
    running: Arc<RunningCalls>,
    parked: Arc<Parked>,
    levels: Levels,
    replays: Arc<Replays>,
}

impl Sessions {
    /// Sessions sealed with these keys, which expire after `lifetime`, used or not. Which ones their
    /// clients have ended is kept in `ended`; without it, a restart forgets them.
    pub fn new(keys: KeyRing, lifetime: Duration, ended: Option<PathBuf>, metrics: &Metrics) -> Self {
        let gauges = Gauges {
            streams: metrics.resumable_streams.clone(),
            bytes: metrics.replay_bytes.clone(),
        };
        let ended = Arc::new(Ended::kept_in(ended, seconds(SystemTime::now())));
        Self {
            keys: Arc::new(keys),
            lifetime,
            resume: None,
            opened: Opened::default(),
            kept: Arc::new(Kept {
                owner: format!("{:08x}", fastrand::u32(..)),
                listeners: Arc::default(),
                unheard: Arc::new(Unheard::new(&ended)),
                ended,
                questions: Arc::default(),
                sse: Arc::default(),
                settings: Arc::default(),
                running: Arc::default(),
                parked: Arc::default(),
                levels: Levels::default(),
                replays: Arc::new(Replays::new(gauges)),
            }),
        }
    }

    /// The same sessions, under the keys and the lifetime of another configuration.
    pub fn succeed(&self, keys: KeyRing, lifetime: Duration) -> Self {
        Self {
            keys: Arc::new(keys),
            lifetime,
            resume: None,
            opened: Opened::default(),
            kept: Arc::clone(&self.kept),
        }
    }

    /// The same sessions, whose clients can come back to their streams. What is kept of them is of this process.
    #[must_use]
    pub fn resumable(mut self, resume: Option<Resume>) -> Self {
        self.resume = resume;
        self
    }

    /// The id of a session that begins now; `None` when it would be longer than what we take.
    pub(crate) fn begin(&self, visit: &Visit, agreed: Revision, with_upstream: &Session) -> Option<String> {
        let claims = self.claims(token::Id::new(), &visit.principal, agreed, with_upstream);
        token::seal(&self.keys, &self.kept.owner, &binding(visit), &claims)
    }

    /// What a session is that begins now, with what was `agreed` with its client.
    pub(crate) fn claims(
        &self,
        id: token::Id,
        principal: &Principal,
        agreed: Revision,
        with_upstream: &Session,
    ) -> Claims {
        let server = with_upstream.revision;
        Claims {
            id,
            expires: seconds(SystemTime::now()) + self.lifetime.as_secs(),
            revision: agreed.as_str().to_owned(),
            server: (server != agreed).then(|| server.as_str().to_owned()),
            principal: principal.binding().to_vec(),
            upstream: with_upstream.id.as_deref().map(str::to_owned),
            greeting: with_upstream.greeting.as_deref().map(str::to_owned),
        }
    }

    /// Opens a session of the 2024-11-05 transport: its stream, and the token in the address that its
    /// client POSTs to.
    pub(crate) fn open_sse(&self, visit: &Visit) -> (Stream, String) {
        let id = token::Id::new();
        let nothing_yet = Session {
            id: None,
            revision: Revision::V2024_11_05,
            greeting: None,
        };
        let claims = self.claims(id.clone(), &visit.principal, Revision::V2024_11_05, &nothing_yet);
        let token = token::seal(&self.keys, &self.kept.owner, &binding_of_sse(visit), &claims);
        let stream = self.kept.sse.open(id, visit.principal.binding().to_vec());
        // A token without a session of an upstream in it is never too long.
        (stream, token.unwrap_or_default())
    }

    /// The open session of the 2024-11-05 transport behind the token of an address.
    pub(crate) fn find_sse(&self, visit: &Visit, token: &str) -> Option<Arc<SseSession>> {
        let claims = token::open(&self.keys, &binding_of_sse(visit), token)?;
        self.kept.sse.find(&claims.id, visit.principal.binding())
    }

    /// A place among the streams that listen to a session; `None` when it has too many.
    pub(crate) fn listen(&self, session: &Claims) -> Option<Listener> {
        let listener = self.kept.listeners.join(&session.id)?;
        // It may have been ended since it was recognized, before this stream was there to be told.
        if self.kept.ended.contains(&session.id) {
            listener.ended().cancel();
        }
        Some(listener)
    }

    /// What is followed for sessions that nobody listens to just now.
    pub(crate) fn unheard(&self) -> &Arc<Unheard<Followed>> {
        &self.kept.unheard
    }

    /// For asking the client of a session.
    pub(crate) fn asker(&self, session: &Claims) -> Asker {
        Asker::new(&self.kept.questions, &session.id)
    }

    /// The same for one of the 2024-11-05 transport.
    pub(crate) fn asker_in(&self, session: &SseSession) -> Asker {
        Asker::new(&self.kept.questions, session.id())
    }

    /// The question that is answered under this id.
    pub(crate) fn answered(&self, session: &Claims, answer: &mcp::Id) -> Option<Asked> {
        self.kept.questions.answered(&session.id, answer)
    }

    /// The session behind an id. One that is tampered with, expired, ended, another principal's or
    /// another route's does not exist, and nobody can tell which.
    pub(crate) fn recognize(&self, visit: &Visit, text: &str) -> Option<Arc<Claims>> {
        let claims = self.open(&binding(visit), text)?;
        let lives = claims.expires > seconds(SystemTime::now())
            && claims.principal == visit.principal.binding()
            && !self.kept.ended.contains(&claims.id);
        lives.then_some(claims)
    }

    fn open(&self, binding: &[u8], text: &str) -> Option<Arc<Claims>> {
        if let Some(known) = self.opened.get(text, binding) {
            return Some(known);
        }
        let claims = Arc::new(token::open(&self.keys, binding, text)?);
        self.opened.keep(text, binding, &claims);
        Some(claims)
    }

    /// What clients have set where servers know no sessions.
    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.kept.settings
    }

    /// Calls of sessions that servers know nothing of.
    pub(crate) fn running(&self) -> &Arc<RunningCalls> {
        &self.kept.running
    }

    /// Calls that wait for their clients' return.
    pub(crate) fn parked(&self) -> &Arc<Parked> {
        &self.kept.parked
    }

    /// The gateway stops: calls that wait for their clients' return are ended, in words that their servers
    /// understand, and from now on none can wait.
    pub async fn stop(&self) {
        self.kept.unheard.close();
        self.kept.parked.close().await;
    }

    /// What servers were told of the log messages that are wanted.
    pub(crate) fn levels(&self) -> &Levels {
        &self.kept.levels
    }

    /// The `requestState` of a call that waits.
    pub(crate) fn seal_state(
        &self,
        (visit, server): (&Visit, &str),
        request: &Message,
        waits: Waits,
        within: Duration,
    ) -> String {
        let state = State {
            waits,
            expires: seconds(SystemTime::now()) + within.as_secs().max(1),
            principal: visit.principal.binding().to_vec(),
            request: state::fingerprint(request),
        };
        state::seal(&self.keys, &binding_at(visit, server), &state)
    }

    /// What waits for the client of a request; nothing when its `requestState` is not ours, was made for another
    /// principal, place or request, or has expired.
    pub(crate) fn open_state(
        &self,
        (visit, server): (&Visit, &str),
        request: &Message,
        text: &str,
    ) -> Option<State> {
        let state = state::open(&self.keys, &binding_at(visit, server), text)?;
        let good = state.expires > seconds(SystemTime::now())
            && state.principal == visit.principal.binding()
            && state.request == state::fingerprint(request);
        good.then_some(state)
    }

    /// The cursor of a list, for the client of a request and nobody else.
    pub(crate) fn seal_cursor(&self, visit: &Visit, listing: Listing, cursor: &Cursor) -> String {
        cursor::seal(&self.keys, &with_principal(visit), listing, cursor)
    }

    /// What a cursor says; nothing when it is not ours, or was made for another principal, place or list, or is too
    /// old.
    pub(crate) fn open_cursor(
        &self,
        visit: &Visit,
        listing: Listing,
        text: &str,
        now: u64,
    ) -> Option<Cursor> {
        cursor::open(&self.keys, &with_principal(visit), listing, text, now)
    }

    /// How much is kept for clients that come back to their streams; nothing unless it is set.
    pub(crate) fn resume(&self) -> Option<Resume> {
        self.resume
    }

    /// For the ids of a session's events.
    pub(crate) fn stamp(&self, session: &Claims) -> Stamp {
        Stamp::new(&self.keys, session)
    }

    /// Begins the stream that answers a call. When as many are kept as may be it is not, and has no stamp.
    pub(crate) fn replay_call(&self, session: &Claims) -> (Teller, Reader, Option<Stamp>) {
        let begun = self
            .resume
            .and_then(|resume| self.kept.replays.begin(&session.id, false, resume));
        match begun {
            Some((teller, reader)) => (teller, reader, Some(self.stamp(session))),
            None => {
                let (teller, reader) = self.kept.replays.unkept();
                (teller, reader, None)
            }
        }
    }

    /// Begins a stream that listens; none when as many are kept as may be.
    pub(crate) fn replay_listening(&self, session: &Claims, resume: Resume) -> Option<(Teller, Reader)> {
        self.kept.replays.begin(&session.id, true, resume)
    }

    /// What there is of a stream of a session.
    pub(crate) fn find_replay(&self, session: &Claims, place: Place) -> Found {
        self.kept.replays.find(&session.id, place.stream, place.event)
    }

    /// A session's streams that listen without a client give way to another one.
    pub(crate) fn make_way(&self, session: &Claims) {
        self.kept.replays.make_way(&session.id);
    }

    /// The client ends its session.
    pub(crate) fn end(&self, claims: &Claims) {
        let now = seconds(SystemTime::now());
        self.kept.settings.forget(&claims.id);
        self.kept.ended.insert(&claims.id, claims.expires, now);
        self.kept.unheard.forget(&claims.id);
        self.kept.listeners.end(&claims.id);
        self.kept.replays.end(&claims.id);
    }
}

impl Claims {
    /// What was agreed in its handshake.
    pub(crate) fn revision(&self) -> Revision {
        Revision::parse(&self.revision).unwrap_or(Revision::LATEST_LEGACY)
    }

    /// What was agreed with its server.
    pub(crate) fn server(&self) -> Revision {
        let server = self.server.as_deref().and_then(Revision::parse);
        server.unwrap_or_else(|| self.revision())
    }

    /// The revisions on both sides of it.
    pub(crate) fn between(&self) -> Between {
        Between {
            client: self.revision(),
            server: self.server(),
        }
    }

    /// How long it has yet.
    pub(crate) fn time_left(&self) -> Duration {
        Duration::from_secs(self.expires.saturating_sub(seconds(SystemTime::now())))
    }

    /// Whose the sessions are that its calls have with servers of an endpoint of many: its own.
    pub(crate) fn scope(&self) -> Vec<u8> {
        let mut scope = self.id.to_string().into_bytes();
        scope.extend_from_slice(&self.principal);
        scope
    }

    /// The session with the upstream.
    pub(crate) fn with_upstream(&self) -> Session {
        Session {
            id: self.upstream.as_deref().map(Into::into),
            revision: self.server(),
            greeting: self.greeting.as_deref().map(Into::into),
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
