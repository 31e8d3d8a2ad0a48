//! What a server says of itself before anybody calls it: its answer to `server/discover` or to `initialize`.
//!
//! Asked once for all who wait, never with a client's call, and kept per set of credentials: a server may
//! show each of them something else. What it said by `initialize` holds as long as the session does; what it
//! said by `server/discover` as long as it says, and never for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use mcp::{Era, Id, Message, Revision};
use tokio::time::Instant;

use crate::error::{Error, Fault};
use crate::flight::Flight;
use crate::handshake::{self, Eras, Legacy};
use crate::registry::Upstream;
use crate::transport::{Conversation, Discovery, Headers, Pooled};

/// Sets of credentials remembered at once; beyond it the one asked for longest ago is forgotten.
const REMEMBERED: usize = 1024;

/// What was said by `server/discover` is asked for again after this long at the latest.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// A server that has not answered `server/discover` in this time is silent: it is known to know the method.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

type Credentials = Vec<(HeaderName, HeaderValue)>;

/// What a server says of itself.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// The eras it speaks.
    pub eras: Arc<Eras>,
    /// The revision of what follows: the newest that both sides know, of the era that was asked for.
    pub revision: Revision,
    /// Its answer to `server/discover` or to `initialize`, as it was received.
    pub result: Message,
}

/// What servers of 2026-07-28 said of themselves. Those before it are asked in the session that the
/// transport keeps.
#[derive(Default)]
pub(crate) struct Introductions {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_credentials: HashMap<Credentials, Arc<Entry>>,
    clock: u64,
}

#[derive(Default)]
struct Entry {
    known: Mutex<Known>,
    asking: Flight<Arc<Introduction>>,
}

#[derive(Default)]
struct Known {
    introduction: Option<(Arc<Introduction>, Instant)>,
    used: u64,
}

impl Upstream {
    /// What it says of itself in the newest era that it speaks, to who presents these credentials.
    ///
    /// # Errors
    /// When it cannot be reached or does not answer.
    pub async fn introduction(self: &Arc<Self>, headers: &Headers) -> Result<Arc<Introduction>, Error> {
        let eras = self.learn(headers).await?;
        let newest = match eras.modern {
            Some(_) => Era::Modern,
            None => Era::Legacy,
        };
        match self.introduction_in(newest, headers).await {
            // It turned out to be another than it was.
            Err(Error {
                fault: Fault::NotSpoken { .. },
                ..
            }) if newest == Era::Modern => self.introduction_in(Era::Legacy, headers).await,
            outcome => outcome,
        }
    }

    /// What it says of itself in this era.
    ///
    /// # Errors
    /// As [`Upstream::introduction`]; [`Fault::NotSpoken`] when it does not speak the era.
    pub async fn introduction_in(
        self: &Arc<Self>,
        era: Era,
        headers: &Headers,
    ) -> Result<Arc<Introduction>, Error> {
        match era {
            Era::Modern => self.discovered(headers).await,
            Era::Legacy => self.greeted(headers).await,
        }
    }

    /// What it speaks, with nothing left to be asked: a 2026-07-28 server that did not say whether it also answers
    /// `initialize` is asked one of ours.
    ///
    /// # Errors
    /// When it cannot be reached, or what it answers says nothing of eras.
    pub async fn learn_both(self: &Arc<Self>, headers: &Headers) -> Result<Arc<Eras>, Error> {
        let eras = self.learn(headers).await?;
        if eras.legacy != Legacy::Unasked {
            return Ok(eras);
        }
        let ask = || {
            let (upstream, headers) = (Arc::clone(self), headers.clone());
            async move { upstream.ask_legacy(&headers).await }
        };
        self.asking_both.join(ask).await
    }

    async fn ask_legacy(self: &Arc<Self>, headers: &Headers) -> Result<Arc<Eras>, Error> {
        let legacy = match self.greeted(headers).await {
            Ok(introduction) => Legacy::Spoken(introduction.revision),
            Err(error) => match error.fault {
                // It is there, and answers that it does not take this for a greeting, in whatever words. What
                // broke before it was answered says nothing, and is not remembered.
                Fault::NotSpoken { .. }
                | Fault::NotAgreed
                | Fault::Misjudged(_)
                | Fault::Status {
                    status: 400 | 404 | 405 | 415,
                    ..
                } => Legacy::NotSpoken,
                _ => return Err(error),
            },
        };
        self.note_legacy(legacy);
        self.learn(headers).await
    }

    async fn discovered(self: &Arc<Self>, headers: &Headers) -> Result<Arc<Introduction>, Error> {
        let entry = self.introductions.entry(&headers.injected);
        if let Some(known) = entry.fresh() {
            return Ok(known);
        }
        let ask = || {
            let (upstream, entry) = (Arc::clone(self), Arc::clone(&entry));
            let headers = Arc::new(Headers {
                injected: headers.injected.clone(),
                passed: Vec::new(),
            });
            async move {
                let introduction = Arc::new(upstream.discover(&headers).await?);
                entry.keep(&introduction);
                Ok(introduction)
            }
        };
        entry.asking.join(ask).await
    }

    async fn discover(self: &Arc<Self>, headers: &Arc<Headers>) -> Result<Introduction, Error> {
        let mut pass = self.breaker.admit()?;
        let question = handshake::discover_request(&Id::number(0));
        let asked = async {
            let reply = self
                .ask_ourselves(&Conversation::Bridged, headers, &question)
                .await?;
            reply.messages.answer().await
        };
        let answered = tokio::time::timeout(ANSWERED_WITHIN, asked).await;
        let answered = answered.unwrap_or_else(|_| Err(Fault::Silent(ANSWERED_WITHIN).of(&self.name)));
        pass.learned(&answered);
        self.note(answered.as_ref().err());
        let silent = || Fault::Broken("it took `server/discover` without answering".into()).of(&self.name);
        let result = answered?.ok_or_else(silent)?;
        match handshake::judge_discovery(&self.name, &result)? {
            Discovery::Modern { revision, .. } if result.result().is_some() => Ok(Introduction {
                eras: self.learn(headers).await?,
                revision,
                result,
            }),
            Discovery::Modern { .. } | Discovery::Legacy => {
                self.forget_eras();
                Err(self.does_not_speak(Era::Modern))
            }
        }
    }

    async fn greeted(&self, headers: &Headers) -> Result<Arc<Introduction>, Error> {
        let mut pass = self.breaker.admit()?;
        let greeted = self.share(&Pooled::default(), headers).await;
        pass.learned(&greeted);
        self.note(greeted.as_ref().err());
        let agreement = greeted?;
        Ok(Arc::new(Introduction {
            eras: self.learn(headers).await?,
            revision: agreement.session.revision,
            result: agreement.result,
        }))
    }
}

impl Introductions {
    /// Another server may answer there now.
    pub(crate) fn forget(&self) {
        self.locked().by_credentials.clear();
    }

    fn entry(&self, credentials: &Credentials) -> Arc<Entry> {
        let mut table = self.locked();
        table.clock += 1;
        let now = table.clock;
        if let Some(entry) = table.by_credentials.get(credentials) {
            entry.known().used = now;
            return Arc::clone(entry);
        }
        if table.by_credentials.len() >= REMEMBERED {
            let oldest = table
                .by_credentials
                .iter()
                .min_by_key(|(_, entry)| entry.known().used);
            let oldest = oldest.map(|(credentials, _)| credentials.clone());
            oldest.and_then(|oldest| table.by_credentials.remove(&oldest));
        }
        let entry = Arc::new(Entry::default());
        entry.known().used = now;
        table
            .by_credentials
            .insert(credentials.clone(), Arc::clone(&entry));
        entry
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Entry {
    fn fresh(&self) -> Option<Arc<Introduction>> {
        let known = self.known();
        let (introduction, until) = known.introduction.as_ref()?;
        (Instant::now() < *until).then(|| Arc::clone(introduction))
    }

    fn keep(&self, introduction: &Arc<Introduction>) {
        let until = Instant::now() + kept_for(&introduction.result);
        self.known().introduction = Some((Arc::clone(introduction), until));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// As long as the server says (`ttlMs`); one that does not say means that it is not to be kept.
fn kept_for(result: &Message) -> Duration {
    let said = result.result_member("ttlMs");
    let milliseconds = said.and_then(|said| serde_json::from_slice::<u64>(said).ok());
    Duration::from_millis(milliseconds.unwrap_or(0)).min(KEPT_FOR)
}

#[cfg(test)]
mod tests;
