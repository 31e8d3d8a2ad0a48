//! What a reload that takes an upstream away means for what still runs there: it is told first, and cut at the end of
//! the grace.

use tokio_util::sync::CancellationToken;

/// How far the removal of one upstream has come.
#[derive(Debug, Default)]
pub struct Removal {
    announced: CancellationToken,
    cut: CancellationToken,
}

impl Removal {
    /// Nothing new begins there, and whoever listens is told; running calls go on.
    pub(crate) fn announce(&self) {
        self.announced.cancel();
    }

    /// What still runs there ends now.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// Waits until a reload removes it.
    pub async fn announced(&self) {
        self.announced.cancelled().await;
    }

    /// Waits until the calls that still run there are to end.
    pub async fn is_cut(&self) {
        self.cut.cancelled().await;
    }
}
