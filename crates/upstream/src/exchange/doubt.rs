//! Refusals in words that say of a server that it is another than it was known to be.

use std::sync::Arc;

use mcp::{Era, Message, code};

use super::Exchange;
use crate::error::{Error, Fault};
use crate::handshake::{Eras, Legacy};
use crate::registry::Upstream;
use crate::transport::{Headers, Messages, Reply};

impl Exchange {
    /// A refusal in words that a server of this era would not choose: it is asked anew what it speaks, and
    /// a client of another era is told so. If it cannot be asked now, the refusal stands, and what was known.
    ///
    /// That a revision is not spoken (`-32022`) never leaves the gateway, which chose it (§2.10): once the
    /// server has said anew that it speaks it, the request, which it did not carry out, goes there once more.
    ///
    /// # Errors
    /// [`Fault::NotSpoken`] when it speaks another era now, [`Fault::Broken`] when it refuses what it says
    /// that it speaks.
    pub(super) async fn judged(
        &mut self,
        message: &Message,
        outcome: Result<Reply, Error>,
        spoken: Era,
    ) -> Result<Reply, Error> {
        let refused = spoken == Era::Modern && refuses_revision(&outcome);
        if !refused && !matches!(&outcome, Ok(Reply { doubtful: true, .. })) {
            return outcome;
        }
        let upstream = Arc::clone(&self.upstream);
        let anew = upstream.doubt(&self.headers).await;
        // Whoever asked just before us asked for us too.
        let eras = anew.clone().or_else(|| upstream.eras());
        if eras.is_some_and(|eras| !speaks(&eras, spoken)) {
            return Err(upstream.does_not_speak(spoken));
        }
        if !refused {
            return outcome;
        }
        let outcome = match anew {
            Some(_) => {
                self.link = Some(upstream.link(&self.conversation, &self.headers).await?);
                self.put(message).await
            }
            None => outcome,
        };
        if refuses_revision(&outcome) {
            let what = "it refuses 2026-07-28, which it says that it speaks".into();
            return Err(Fault::Broken(what).of(&upstream.name));
        }
        outcome
    }
}

impl Upstream {
    /// Something that it said does not fit what is known of it: it is asked anew, if that was not done just
    /// now. None when it was not asked, or did not answer; then what is known stays.
    pub(crate) async fn doubt(&self, headers: &Headers) -> Option<Arc<Eras>> {
        let before = self.eras();
        let eras = self.ask_anew(headers).await?;
        if before.as_ref() != Some(&eras) {
            self.forget_what_it_said();
        }
        Some(eras)
    }
}

fn speaks(eras: &Eras, era: Era) -> bool {
    match era {
        Era::Modern => eras.modern.is_some(),
        // That it was not asked yet is no longer a reason to hope: it has just refused.
        Era::Legacy => matches!(eras.legacy, Legacy::Spoken(_)),
    }
}

fn refuses_revision(outcome: &Result<Reply, Error>) -> bool {
    let Ok(Reply {
        messages: Messages::One(answer),
        ..
    }) = outcome
    else {
        return false;
    };
    answer.error_code() == Some(code::UNSUPPORTED_VERSION)
}

#[cfg(test)]
mod tests;
