//! How clients reach us: what a request is before it is a message, and how an answer is written.

pub(crate) mod body;
pub(crate) mod reply;
pub(crate) mod streamable_http;
