//! A message of one revision, as a peer of another is to read it.
//!
//! Between a client and a server of the same revision nothing is read and nothing is changed: the very same bytes.
//! Between others only what the tables of `step` name is removed, put in or rewritten, in one copy and without
//! building a tree; every other byte stays: unknown members, the text of numbers, the order of members.
//!
//! It knows shapes and nothing else. Which messages cross at all, what is asked of whom and which answer belongs to
//! which question is the business of others; so is every id.
//!
//! Garbage where a table needs structure passes as it is, for its reader to judge: a translation never fails, and
//! never makes of a message more than some twenty times its length. The exceptions are a tool that the reader could
//! not call (it is not listed), and what the other revision has no words for ([`Unaskable`]).

mod step;

mod request;
mod answer;
mod notice;
mod question;
mod capability;

mod content;
mod error;
mod shape;
mod structured;
mod unaskable;

mod value;

pub use unaskable::Unaskable;

use crate::message::Message;
use crate::method::Method;
use crate::revision::Revision;
use std::borrow::Cow;
use step::{Way, ways};

/// The two revisions of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Between {
    /// What the client speaks.
    pub client: Revision,
    /// What the server speaks.
    pub server: Revision,
}

/// What a request of 2026-07-28 says on itself, and a client of an earlier revision has said once.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// The text of the object of client capabilities, as [`Between::client_capabilities`] made it.
    pub capabilities: &'a [u8],
    /// The text of an `Implementation`: who is calling.
    pub client_info: Option<&'a [u8]>,
    /// From which level on log messages are wanted; one of [`crate::meta::LOG_LEVELS`].
    pub log_level: Option<&'a str>,
}

impl Between {
    /// Whether there is nothing to translate.
    pub fn is_same(self) -> bool {
        self.client == self.server
    }

    /// A client's request or notification as its server is to read it.
    ///
    /// Towards 2026-07-28 a request says on itself what was [`Said`]; from there to an earlier revision nothing of
    /// that is left. Members that have a meaning in the server's revision but none in the client's are taken out:
    /// `task`, `inputResponses`, `requestState`. Its id, its progress token and the context of its trace stay.
    pub fn request(self, message: &Message, said: &Said<'_>) -> Message {
        if self.is_same() {
            return message.clone();
        }
        request::translate(self.toward_server(), self.server, message, said)
    }

    /// The server's answer to a request of the method `asked`, as its client is to read it.
    ///
    /// An error may come out as a result, where that is what the client's revision would have said. Not for results
    /// that are no end of the call (see [`crate::input::result_type`]), nor for `-32042` where it is to become a
    /// question ([`crate::input::url_requests`]): they would come out as what they are not.
    pub fn answer(self, asked: &Method, message: &Message) -> Message {
        if self.is_same() {
            return message.clone();
        }
        answer::translate(self.toward_client(), asked, message)
    }

    /// A notification of the server as its client is to read it; `None` if that revision has no such thing.
    pub fn notice(self, message: &Message) -> Option<Message> {
        if self.is_same() {
            return Some(message.clone());
        }
        notice::translate(self.toward_client(), message)
    }

    /// The parameters of a server's question as its client is to read them. `name` becomes the `elicitationId` of a
    /// question by URL that needs one and has none (2025-11-25): unique among the questions of the gateway.
    ///
    /// # Errors
    /// If the client's revision cannot be asked this.
    pub fn question<'a>(
        self,
        method: &Method,
        params: Option<&'a [u8]>,
        name: &str,
    ) -> Result<Option<Cow<'a, [u8]>>, Unaskable> {
        if self.is_same() {
            return Ok(params.map(Cow::Borrowed));
        }
        let asked = question::ask(self.toward_client(), method, params.unwrap_or(b"{}"), name)?;
        Ok(params.and(Some(asked)))
    }

    /// What the client answered to a question of that method, a result, as the server is to read it.
    ///
    /// # Errors
    /// If the server's revision has no words for it.
    pub fn reply<'a>(self, method: &Method, result: &'a [u8]) -> Result<Cow<'a, [u8]>, Unaskable> {
        if self.is_same() {
            return Ok(Cow::Borrowed(result));
        }
        question::reply(self.toward_server(), method, result)
    }

    /// The client's capabilities, the text of an object, as they may be declared to this server. What is no object
    /// declares nothing.
    pub fn client_capabilities(self, text: &[u8]) -> Vec<u8> {
        if self.is_same() {
            return text.to_vec();
        }
        let ends = self.toward_server().flat_map(|way| way.client);
        capability::translate(text, ends, std::iter::empty())
    }

    /// The server's capabilities, the text of an object, as this client may be told of them. Extensions pass, except
    /// for that of tasks, which no two eras have in common.
    pub fn server_capabilities(self, text: &[u8]) -> Vec<u8> {
        if self.is_same() {
            return text.to_vec();
        }
        let ends = self.toward_client().flat_map(|way| way.server);
        let put = self.toward_client().flat_map(|way| way.server_put);
        capability::translate(text, ends, put)
    }

    fn toward_server(self) -> impl Iterator<Item = &'static Way> + Clone {
        ways(self.client, self.server)
    }

    fn toward_client(self) -> impl Iterator<Item = &'static Way> + Clone {
        ways(self.server, self.client)
    }
}
