//! Calls that are made once, whatever their clients lose: an idempotency key names one call of a tool, and whoever comes
//! again with it is told what became of that call (docs/caching.md).
//!
//! A [`Promise`] goes with a call from before it is made to its end: whichever way it ends, in an answer, in a failure
//! or by being dropped, it leaves word behind. What may have happened is never made to happen again.

mod key;
mod table;
mod promise;

use std::sync::Arc;

use mcp::{Kind, Method, Refusal, code};
use sha2::{Digest as _, Sha256};
use upstream::Upstream;

use crate::answer::{Answer, First};
use crate::call::Call;
use crate::canonical::add;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::serve::{admit, reach};
use crate::session::state::fingerprint;
use crate::waiting::wait;

pub(crate) use key::{META, is_named};
pub(crate) use promise::Promise;
pub use table::Promises;

use promise::{End, Told};
use table::Found;

/// What became of a call with a key that did not reach its server, or that did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It was the first with its key.
    First,
    /// It waited for the first, which was running.
    Joined,
    /// It was told what the first was answered.
    Answered,
    /// What became of the first is not known any more, or never was.
    Unknown,
    /// The key is another call's, or there is no room.
    Refused,
}

impl Repeat {
    pub(crate) const ALL: [Self; 5] = [
        Self::First,
        Self::Joined,
        Self::Answered,
        Self::Unknown,
        Self::Refused,
    ];

    /// As it is recorded and counted.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Joined => "joined",
            Self::Answered => "answered",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
        }
    }
}

/// Whether this call is to be made once: it calls a tool and names a key, be it a good one or not.
pub(crate) fn wants_once(call: &Call) -> bool {
    call.message.kind() == Kind::Request
        && call.message.method() == Some(&Method::ToolsCall)
        && is_named(call)
}

/// Makes a call that names a key, or tells what became of the one that was made.
pub(crate) async fn once(
    current: &Arc<Generation>,
    call: &mut Call,
    upstream: &Arc<Upstream>,
) -> Result<Answer, Failure> {
    // Who may not make this call is told so, whatever is remembered.
    admit(current, &call.visit, upstream)?;
    if call.lacks_session() {
        return Err(Failure::SessionMissing);
    }
    let key = key::read(call)?;
    let place = key::place(current, call, upstream, &key);
    let request = same(call);
    let mut deadline = Deadline::of_wait(upstream);
    let mut repeat = Repeat::Answered;
    loop {
        let end = match current.promises.find(place, request) {
            Found::Nothing(mut promise) => {
                note(current, call, Repeat::First);
                if call.message.params_member("requestState").is_some() {
                    // What it brings may be for a call that runs already.
                    promise.sent();
                }
                call.promise = Some(promise);
                return first(current, call, upstream).await;
            }
            Found::Running(running) => {
                repeat = Repeat::Joined;
                wait(current, call, &mut deadline, running.end()).await?
            }
            Found::Ended(end) => end,
            Found::Another => {
                note(current, call, Repeat::Refused);
                return Err(another().into());
            }
            Found::NoRoom => {
                note(current, call, Repeat::Refused);
                return Err(no_room().into());
            }
        };
        match end {
            // It was not made: this one is, unless one more was faster.
            End::NotMade => {}
            End::Answered(told) => {
                note(current, call, repeat);
                return Ok(retold(call, &told));
            }
            End::AnsweredAtLength => {
                note(current, call, Repeat::Unknown);
                return Err(not_kept().into());
            }
            End::Unknown => {
                note(current, call, Repeat::Unknown);
                return Err(unknown().into());
            }
        }
    }
}

/// Makes the call, and leaves word of what becomes of it.
async fn first(
    current: &Arc<Generation>,
    call: &mut Call,
    upstream: &Arc<Upstream>,
) -> Result<Answer, Failure> {
    let outcome = reach(current, call, upstream, Deadline::of_call(upstream)).await;
    let Some(promise) = call.promise.take() else {
        return outcome;
    };
    match outcome {
        Ok(mut answer) => {
            match &answer.first {
                First::Answer(message) => promise.answered(message, answer.status),
                First::Begun(_) | First::Told => answer.promises(promise),
                // Taken without a word: nobody will ever know.
                First::Accepted => drop(promise),
            }
            Ok(answer)
        }
        Err(failure) => {
            promise.failed(&failure);
            Err(failure)
        }
    }
}

/// What makes a call the same call when it comes again: its tool, its arguments, and in whose words it is answered.
fn same(call: &Call) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(fingerprint(&call.message));
    let session = call.session.as_ref();
    let revision = session.map_or(call.revision, |session| session.revision());
    add(&mut hash, b'r', revision.as_str().as_bytes());
    hash.finalize().into()
}

fn retold(call: &Call, told: &Told) -> Answer {
    let message = match call.message.id() {
        Some(id) => told.message.with_id(id),
        None => told.message.clone(),
    };
    let mut answer = Answer::said(message);
    answer.status = told.status;
    answer
}

fn note(current: &Generation, call: &mut Call, repeat: Repeat) {
    current.account.metrics().idempotency_calls[repeat as usize].inc();
    if repeat != Repeat::First {
        call.entry.repeats(repeat);
    }
}

/// With the status of an answered call: 400 would send a client of both eras to the other (`protocol.md` D-10).
fn refusal(code: i64, words: &str, data: Option<&str>) -> Refusal {
    let mut refusal = Refusal::new(code, words.to_owned());
    refusal.status = 200;
    refusal.data = data.map(str::to_owned);
    refusal
}

fn another() -> Refusal {
    let words = "this idempotency key was used for another call: of another tool, with other arguments, or under another \
                 revision; make a new key for each call";
    refusal(code::INVALID_PARAMS, words, None)
}

fn no_room() -> Refusal {
    let words =
        "as many calls with idempotency keys run as may; nothing was sent, so the call may be made again";
    refusal(
        code::INTERNAL_ERROR,
        words,
        Some(r#"{"reason":"full","retryable":true}"#),
    )
}

fn unknown() -> Refusal {
    let words = "the call with this idempotency key was sent to its server, and what became of it is not known; it may \
                 have had its effects, and is not made again";
    refusal(
        code::INTERNAL_ERROR,
        words,
        Some(r#"{"reason":"outcome_unknown","retryable":false}"#),
    )
}

fn not_kept() -> Refusal {
    let words = "the call with this idempotency key was made and answered; the answer was too long to be kept, and the call \
                 is not made again";
    refusal(
        code::INTERNAL_ERROR,
        words,
        Some(r#"{"reason":"answer_not_kept","retryable":false}"#),
    )
}
