//! What is kept of servers that list well, badly, slowly or not at all.

mod lister;

mod keeping;
mod reading;
mod storing;
mod weighing;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::transport::Headers;
use lister::{Lister, headers, tool};

/// How long a test lets a caller wait.
const WITHIN: Duration = Duration::from_secs(3);

async fn read(upstream: &Arc<Upstream>) -> Arc<Catalog> {
    let catalog = upstream.catalog(&Headers::default(), WITHIN).await;
    catalog.expect("it can be read")
}

async fn refused(upstream: &Arc<Upstream>) -> Fault {
    let catalog = upstream.catalog(&Headers::default(), WITHIN).await;
    catalog.expect_err("it cannot be read").fault
}

/// The keys of a list.
fn keys(catalog: &Catalog, listing: Listing) -> Vec<&str> {
    let list = catalog.list(listing).expect("there is such a list");
    list.items.iter().map(|item| &*item.key).collect()
}

fn tools(catalog: &Catalog) -> Vec<&str> {
    keys(catalog, Listing::Tools)
}

/// Time goes by, and what is due happens.
async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}
