//! A connection between its opening and the session that begins on it.

use std::sync::Arc;

use super::connection::Connection;

/// A connection that was opened and that nobody keeps yet: it ends when this is dropped.
pub(super) struct Started {
    connection: Option<Arc<Connection>>,
}

impl Started {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        let connection = Some(connection);
        Self { connection }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        self.connection
            .as_ref()
            .expect("only `keep`, which consumes it, takes it out")
    }

    /// The connection is kept from now on by whoever asked.
    pub(super) fn keep(mut self) -> Arc<Connection> {
        self.connection
            .take()
            .expect("only `keep`, which consumes it, takes it out")
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.stop();
        }
    }
}
