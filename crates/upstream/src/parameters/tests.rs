//! How the list of an upstream's tools is read, by a server that answers as it is told.

use std::future::Future;

use futures_util::future::join;
use mcp::Revision;

use super::*;
use crate::metrics::Metrics;
use crate::registry::Timeouts;
use crate::streamable_http::tests::peer::Peer;

fn upstream(peer: &Peer, revision: Revision) -> Arc<Upstream> {
    Arc::new(Upstream::new(
        "new".into(),
        Timeouts::default(),
        Box::new(peer.client()),
        Some(revision),
        Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap()),
    ))
}

async fn look_up(
    upstream: &Arc<Upstream>,
    tool: &str,
    server: impl Future,
) -> Result<Option<Arc<Parameters>>, Error> {
    let headers = Headers::default();
    join(upstream.parameters(tool, &headers), server).await.0
}

#[tokio::test]
async fn every_page_is_read_and_a_server_that_goes_in_circles_is_left() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer, Revision::V2026_07_28);

    let server = async {
        // An empty cursor is a cursor.
        for (cursor, answer) in [
            (None, r#"{"tools":[{"name":"a"},7,{"no":1}],"nextCursor":""}"#),
            (Some(""), r#"{"tools":"garbage","nextCursor":"2"}"#),
            (Some("2"), r#"{"tools":[{"name":"b"}],"nextCursor":"2"}"#),
        ] {
            let asked = peer.post("tools/list").await;
            assert_eq!(asked.message["params"]["cursor"].as_str(), cursor);
            asked.result(answer).await;
        }
    };
    let found = look_up(&upstream, "b", server).await.unwrap();

    assert!(found.unwrap().is_empty());
    assert!(
        upstream
            .parameters("a", &Headers::default())
            .await
            .unwrap()
            .is_some()
    );
    assert!(peer.is_quiet());
}

#[tokio::test]
async fn a_tool_that_is_not_listed_is_looked_for_again_but_not_at_once() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer, Revision::V2026_07_28);

    let server = async { peer.post("tools/list").await.result(r#"{"tools":[]}"#).await };
    assert!(look_up(&upstream, "new", server).await.unwrap().is_none());
    for tool in ["new", "other"] {
        assert!(look_up(&upstream, tool, async {}).await.unwrap().is_none());
    }
    assert!(peer.is_quiet());

    tokio::time::pause();
    tokio::time::advance(LISTED_AGAIN).await;
    tokio::time::resume();
    let server = async {
        let asked = peer.post("tools/list").await;
        asked.result(r#"{"tools":[{"name":"new"}]}"#).await;
    };
    assert!(look_up(&upstream, "new", server).await.unwrap().is_some());
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_read_again_at_once() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer, Revision::V2026_07_28);

    let server = async {
        peer.post("tools/list")
            .await
            .respond(500, "", "text/plain", "")
            .await
    };
    assert!(look_up(&upstream, "a", server).await.is_err());

    assert!(look_up(&upstream, "a", async {}).await.unwrap().is_none());
    assert!(peer.is_quiet());
}

#[tokio::test]
async fn a_list_that_was_found_wrong_is_read_anew_but_not_each_time() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer, Revision::V2026_07_28);
    let headers = Headers::default();
    let server = async { peer.post("tools/list").await.result(r#"{"tools":[]}"#).await };
    look_up(&upstream, "a", server).await.unwrap();

    for _ in 0..2 {
        let server = async {
            let asked = peer.post("tools/list").await;
            asked.result(r#"{"tools":[{"name":"a"}]}"#).await;
        };
        let (found, ()) = join(upstream.parameters_anew("a", &headers), server).await;
        assert!(found.unwrap().is_some());
        assert!(upstream.parameters_anew("a", &headers).await.unwrap().is_some());
        assert!(peer.is_quiet());

        tokio::time::pause();
        tokio::time::advance(LISTED_AGAIN).await;
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_legacy_server_lists_in_the_session_that_all_share() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer, Revision::V2025_06_18);

    let server = async {
        peer.greet("s1").await;
        let asked = peer.post("tools/list").await;
        assert_eq!(asked.header("mcp-session-id"), Some("s1"));
        assert!(
            asked.message["params"].is_null(),
            "what it does not know is not said to it"
        );
        asked
            .result(r#"{"tools":[{"name":"a","inputSchema":{"properties":{"b":{"type":"boolean","x-mcp-header":"B"}}}}]}"#)
            .await;
    };
    let found = look_up(&upstream, "a", server).await.unwrap();

    assert!(!found.unwrap().is_empty());
}

#[tokio::test]
async fn a_tool_with_invalid_annotations_repeats_nothing() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer, Revision::V2026_07_28);

    let server = async {
        let tool = r#"{"name":"a","inputSchema":{"properties":{"b":{"type":"number","x-mcp-header":"B"}}}}"#;
        let asked = peer.post("tools/list").await;
        asked.result(&format!(r#"{{"tools":[{tool}]}}"#)).await;
    };
    let found = look_up(&upstream, "a", server).await.unwrap();

    assert!(found.unwrap().is_empty());
}
