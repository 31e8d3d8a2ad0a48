//! How clients reach us: what a request is before it is a message, and how an answer is written.

pub(crate) mod streamable_http;
pub(crate) mod batch;
pub(crate) mod listen;
pub(crate) mod sse;
pub(crate) mod hearing;
pub(crate) mod held;
pub(crate) mod resumable;
pub(crate) mod telling;
pub(crate) mod parting;
pub(crate) mod refusal;

pub(crate) mod body;
pub(crate) mod reply;
