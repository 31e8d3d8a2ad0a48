//! What a command and its children do, seen from the transport.

mod pooled;

use super::*;
use crate::error::Fault;
use crate::transport::Messages;
use bytes::Bytes;
use futures_util::FutureExt as _;
use mcp::{Message, Revision};

/// Answers one `initialize`, and says something else before any answer of its.
const LEGACY: &str = r#"
        n=0
        initialize='"initialize"'
        while read -r line; do
            n=$((n + 1))
            echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}'
            case "$line" in
            *$initialize*)
                initialize=
                echo '{"jsonrpc":"2.0","id":'$n',"result":{"protocolVersion":"2025-06-18","capabilities":{}}}' ;;
            *)
                echo '{"jsonrpc":"2.0","id":'$n',"error":{"code":-32601,"message":"unknown"}}' ;;
            esac
        done"#;

/// Reads, and answers nothing.
const MUTE: &str = "cat >/dev/null";

fn stdio(script: &str, children: usize) -> Stdio {
    let command = Command {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: Vec::new(),
        directory: None,
    };
    let bounds = Bounds {
        line: 1 << 20,
        limits: mcp::Limits::default(),
        children,
        idle: Duration::from_secs(900),
    };
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    // `grep guard` reads its input to the end, as a guard does.
    let guard = Arc::new(Guard::new("grep".into()));
    let name = "files".into();
    Stdio::new(name, command, guard, Handle::current(), bounds, Arc::new(metrics))
}

fn message(text: &'static str) -> Message {
    Message::parse(Bytes::from_static(text.as_bytes()), &mcp::Limits::default()).unwrap()
}

fn initialize() -> Message {
    message(r#"{"jsonrpc":"2.0","id":"c","method":"initialize","params":{}}"#)
}

fn call() -> Message {
    message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)
}

async fn open(stdio: &Stdio, conversation: Conversation) -> Result<Box<dyn Link>, Error> {
    stdio.open(&conversation, Arc::default()).await
}

async fn discover(stdio: &Stdio) -> Result<Discovery, Error> {
    stdio.discover(&Headers::default()).await
}

async fn soon<T>(expected: impl Future<Output = T>) -> T {
    let bounded = tokio::time::timeout(Duration::from_secs(10), expected);
    bounded.await.expect("this happens soon")
}

/// Polls once, as a caller who leaves at once would.
async fn leave(call: impl Future) {
    tokio::select! {
        biased;
        _ = call => panic!("it was not to be done at once"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn a_server_that_speaks_before_it_answers_is_understood() {
    let stdio = stdio(LEGACY, 1);

    assert_eq!(soon(discover(&stdio)).await.unwrap(), Discovery::Legacy);
    let shared = soon(stdio.share(&Pooled::default(), &Headers::default()))
        .await
        .unwrap();
    let mut link = soon(open(&stdio, Conversation::Greeting)).await.unwrap();
    let reply = soon(link.send(&initialize())).await.unwrap();

    assert_eq!(shared.session.revision, Revision::V2025_06_18);
    assert!(reply.session.is_some());
    assert!(matches!(reply.messages, Messages::One(answer) if answer.id() == initialize().id()));
    soon(stdio.stop()).await;
}

#[tokio::test]
async fn a_server_of_both_eras_that_is_slow_to_start_is_not_taken_for_an_old_one() {
    // Answers nothing before both questions are there, and then the first.
    let stdio = stdio(
        r#"echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}'
           read -r discover; read -r initialize
           echo '{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}'
           echo '{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"this is 2026-07-28"}}'
           cat >/dev/null"#,
        1,
    );

    let discovery = soon(discover(&stdio)).await.unwrap();

    assert!(matches!(discovery, Discovery::Modern { .. }), "{discovery:?}");
    soon(stdio.stop()).await;
}

#[tokio::test]
async fn a_batch_on_one_line_is_several_messages() {
    let stdio = stdio(
        r#"read -r line; echo '[{"jsonrpc":"2.0","method":"notifications/message"},{"jsonrpc":"2.0","id":1,"result":{}}]'; cat"#,
        1,
    );

    let mut link = soon(open(&stdio, Conversation::Modern)).await.unwrap();
    let reply = soon(link.send(&call())).await.unwrap();

    let Messages::Stream(mut stream) = reply.messages else {
        panic!("the notification comes first");
    };
    assert_eq!(stream.next().await.unwrap().kind(), mcp::Kind::Notification);
    assert_eq!(stream.next().await.unwrap().id(), call().id());
    soon(stdio.stop()).await;
}

/// Each after a question under the same id that is no message either, and is none of the call's.
#[tokio::test]
async fn an_answer_that_cannot_be_read_fails_its_call_at_once_and_says_why() {
    let deep = format!(r#""result":{{"a":{}{}}}"#, "[".repeat(300), "]".repeat(300));
    for (members, why) in [
        (deep.as_str(), "(`bounds.depth`)"),
        (
            r#""result":{},"error":{"code":1,"message":"x"}"#,
            "`result` and `error`",
        ),
        (r#""result":{},"result":{}"#, "`result`"),
        (r#""error":"x""#, "`error`"),
    ] {
        let script = format!(
            r#"read -r line
               echo '{{"jsonrpc":"2.0","id":1,"method":"roots/list","params":5}}'
               echo '{{"jsonrpc":"2.0","id":1,{members}}}'
               cat >/dev/null"#
        );
        let stdio = stdio(&script, 1);
        let mut link = soon(open(&stdio, Conversation::Modern)).await.unwrap();

        let error = soon(link.send(&call())).await.err().expect("it is no answer");

        let said = error.to_string();
        assert!(said.contains("its answer is no JSON-RPC message: "), "{said}");
        assert!(said.contains(why), "{said}");
        soon(stdio.stop()).await;
    }
}

#[tokio::test]
async fn a_child_counts_from_before_its_start_until_it_has_ended() {
    let stdio = stdio(MUTE, 1);
    let greeting = soon(open(&stdio, Conversation::Greeting)).await.unwrap();

    let second = open(&stdio, Conversation::Greeting).await;
    assert!(matches!(second.err().unwrap().fault, Fault::Full(_)));

    drop(greeting);
    soon(async {
        while stdio.children.seats.are_taken() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(open(&stdio, Conversation::Greeting).await.is_ok());
    soon(stdio.stop()).await;
}

#[tokio::test]
async fn a_child_whose_caller_left_ends() {
    let stdio = stdio(MUTE, 1);

    leave(discover(&stdio)).await;
    leave(open(&stdio, Conversation::Greeting)).await;

    stdio.children.lives.close();
    soon(stdio.children.lives.wait()).await;
}

#[tokio::test]
async fn a_handshake_of_ours_outlives_the_caller_who_began_it() {
    let stdio = stdio(LEGACY, 1);
    let children = &stdio.children;
    let started = children.shared.get_or_start(|| children.start_shared());
    soon(started).await.unwrap();

    leave(children.greeted(&Pooled::default())).await;

    // A second `initialize` on the same pipe would be refused.
    let (_, agreement) = soon(children.greeted(&Pooled::default())).await.unwrap();
    assert_eq!(agreement.session.revision, Revision::V2025_06_18);
    soon(stdio.stop()).await;
}

#[tokio::test]
async fn on_a_shared_child_no_client_cancels_a_call_of_another() {
    let stdio = stdio(
        r#"while read -r line; do case "$line" in
               *cancelled*) echo '{"jsonrpc":"2.0","id":1,"error":{"code":0,"message":"cancelled"}}' ;;
               *prompts*) echo '{"jsonrpc":"2.0","id":2,"result":{}}' ;;
               esac; done"#,
        1,
    );
    let mut ours = soon(open(&stdio, Conversation::Modern)).await.unwrap();
    let mut theirs = soon(open(&stdio, Conversation::Modern)).await.unwrap();
    let cancelled =
        message(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    let (call, other) = (
        call(),
        message(r#"{"jsonrpc":"2.0","id":1,"method":"prompts/list"}"#),
    );

    let meanwhile = async {
        theirs.send(&cancelled).await.unwrap();
        theirs.send(&other).await.unwrap();
    };
    tokio::select! {
        biased;
        _ = ours.send(&call) => panic!("it was cancelled"),
        () = soon(meanwhile) => {}
    }

    soon(stdio.stop()).await;
}

#[tokio::test]
async fn a_child_that_closed_its_input_finishes_its_answers_while_another_takes_its_place() {
    let stdio = stdio(
        r#"read -r line; exec 0<&-
               echo '{"jsonrpc":"2.0","method":"notifications/message"}'
               sleep 0.2
               echo '{"jsonrpc":"2.0","id":1,"result":{}}'
               sleep 60"#,
        1,
    );
    let mut link = soon(open(&stdio, Conversation::Modern)).await.unwrap();
    let Messages::Stream(mut stream) = soon(link.send(&call())).await.unwrap().messages else {
        panic!("the notification comes first");
    };
    stream.next().await.unwrap();

    let unheard = soon(link.send(&call())).await;
    let mut next = soon(open(&stdio, Conversation::Modern)).await.unwrap();
    let heard = soon(next.send(&call())).await;

    assert!(matches!(unheard.err().unwrap().fault, Fault::Exited(_)));
    assert!(heard.is_ok());
    assert_eq!(soon(stream.next()).await.unwrap().kind(), mcp::Kind::Result);
    soon(stdio.stop()).await;
}

/// Agrees to a session; `$more` happens at its next line.
fn agreeing(more: &str) -> String {
    format!(
        r#"read -r line
               echo '{{"jsonrpc":"2.0","id":1,"result":{{"protocolVersion":"2025-06-18","capabilities":{{}}}}}}'
               read -r line; {more}"#
    )
}

async fn begin(stdio: &Stdio) -> Session {
    let mut link = soon(open(stdio, Conversation::Greeting)).await.unwrap();
    let reply = soon(link.send(&initialize())).await.unwrap();
    Session {
        id: reply.session,
        revision: Revision::V2025_06_18,
        greeting: None,
    }
}

#[tokio::test]
async fn what_is_of_the_session_is_told_to_who_listens_and_not_to_a_call() {
    let stdio = stdio(
        &agreeing(
            r#"echo '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
                   echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}'
                   echo '{"jsonrpc":"2.0","id":2,"result":{}}'
                   echo '{"jsonrpc":"2.0","id":"q","method":"roots/list"}'
                   read -r answer
                   echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":2}}'
                   cat >/dev/null"#,
        ),
        1,
    );
    let session = begin(&stdio).await;
    let conversation = Conversation::Session(session.clone());
    let mut heard = soon(stdio.listen(&session, Arc::default())).await.unwrap();

    let mut link = soon(open(&stdio, conversation)).await.unwrap();
    let reply = soon(link.send(&call())).await.unwrap();

    let Messages::Stream(mut stream) = reply.messages else {
        panic!("the log comes first");
    };
    let log = soon(stream.next()).await.unwrap();
    assert_eq!(log.method(), Some(&mcp::Method::NotificationsMessage));
    assert_eq!(soon(stream.next()).await.unwrap().kind(), mcp::Kind::Result);
    let changed = soon(heard.next()).await.unwrap();
    assert_eq!(
        changed.method(),
        Some(&mcp::Method::NotificationsToolsListChanged)
    );
    let question = soon(heard.next()).await.unwrap();
    assert_eq!(question.kind(), mcp::Kind::Request);
    let answer = Message::result_reply(question.id().unwrap(), r#"{"roots":[]}"#);
    soon(link.send(&answer)).await.unwrap();
    let log = soon(heard.next()).await.unwrap();
    assert_eq!(log.method(), Some(&mcp::Method::NotificationsMessage));
    soon(stdio.stop()).await;
}

#[tokio::test]
async fn a_question_that_nobody_hears_is_refused() {
    let stdio = stdio(
        &agreeing(
            r#"echo '{"jsonrpc":"2.0","id":"q","method":"roots/list"}'
                   read -r answer
                   echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":'"$answer"'}}'
                   cat >/dev/null"#,
        ),
        1,
    );
    let session = begin(&stdio).await;
    let mut link = soon(open(&stdio, Conversation::Session(session.clone())))
        .await
        .unwrap();
    soon(link.send(&handshake::initialized_notification()))
        .await
        .unwrap();
    let wire = stdio.children.of_session(&session).unwrap();
    let mut heard = loop {
        // Read only once the refusal has gone out, or there would be somebody to ask.
        if wire.routing.unclaimed.is_waiting() {
            break soon(stdio.listen(&session, Arc::default())).await.unwrap();
        }
        tokio::task::yield_now().await;
    };

    let told = soon(heard.next()).await.unwrap();

    let text = std::str::from_utf8(told.bytes()).unwrap();
    assert!(text.contains(r#""id":"q""#) && text.contains("-32601"), "{text}");
    soon(stdio.stop()).await;
}

#[tokio::test]
async fn a_session_is_gone_with_its_child_and_says_so_to_all() {
    let stdio = stdio(&agreeing("exit 3"), 1);
    let session = begin(&stdio).await;
    let mut heard = soon(stdio.listen(&session, Arc::default())).await.unwrap();
    let mut early = soon(open(&stdio, Conversation::Session(session.clone())))
        .await
        .unwrap();
    let mut link = soon(open(&stdio, Conversation::Session(session.clone())))
        .await
        .unwrap();

    // In flight when the child crashes: it may have run, so it is no lost session to its caller.
    let running = soon(link.send(&call())).await.err().unwrap();
    assert!(matches!(running.fault, Fault::Exited(_)), "{running}");

    assert_eq!(soon(heard.next()).await.unwrap_err().fault, Fault::SessionGone);
    let unsent = soon(early.send(&call())).await.err().unwrap();
    assert_eq!(unsent.fault, Fault::SessionGone);
    let next = open(&stdio, Conversation::Session(session)).await.err().unwrap();
    assert_eq!(next.fault, Fault::SessionGone);
    soon(stdio.stop()).await;
}

#[tokio::test]
async fn a_cancellation_finds_its_way_past_a_full_queue() {
    let stdio = stdio(
        r#"read -r line
               echo '{"jsonrpc":"2.0","method":"notifications/message"}'
               while read -r line; do case "$line" in
               *cancelled*) echo '{"jsonrpc":"2.0","id":"q","method":"roots/list"}' ;;
               *last*) echo '{"jsonrpc":"2.0","id":999,"result":{}}'; break ;;
               esac; done; cat >/dev/null"#,
        1,
    );
    let mut link = soon(open(&stdio, Conversation::Modern)).await.unwrap();
    let Messages::Stream(running) = soon(link.send(&call())).await.unwrap().messages else {
        panic!("the notification comes first");
    };
    let children = &stdio.children;
    let wire = children.modern.get_or_start(|| children.start_shared());
    let wire = soon(wire).await.unwrap();
    // Nobody writes while this task does not wait: the queue fills up.
    let mut filled = 0;
    while wire
        .put(&handshake::initialized_notification())
        .now_or_never()
        .is_some()
    {
        filled += 1;
    }
    assert!(filled > 0);

    drop(running);

    // The child answers the cancellation with a question, which is refused and so counted.
    let dropped = children.dropped();
    soon(async {
        while dropped.get() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    soon(stdio.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_crashes_at_its_start_is_not_asked_again_without_pause() {
    let stdio = stdio("exit 1", 1);
    for _ in 0..5 {
        tokio::time::advance(Duration::from_secs(60)).await;
        stdio.children.pauses.note_crash(tokio::time::Instant::now());
    }

    for conversation in [
        Conversation::Modern,
        Conversation::Pooled(Pooled::default()),
        Conversation::Greeting,
    ] {
        let error = open(&stdio, conversation).await.err().unwrap();
        assert!(error.to_string().contains("the next start is in"), "{error}");
    }
    let error = discover(&stdio).await.unwrap_err();
    assert!(error.to_string().contains("the next start is in"), "{error}");
}

#[tokio::test]
async fn after_its_stop_nothing_starts() {
    let stdio = stdio(MUTE, 1);

    soon(stdio.stop()).await;

    let error = open(&stdio, Conversation::Modern).await.err().unwrap();
    assert!(matches!(error.fault, Fault::NotStarted(_)));
}
