//! A principal's own child: who is asked on it, and what becomes of it.

use super::*;

/// Answers handshakes and asks something when `tools/call` comes. It says in a log which handshake or
/// cancellation it heard last, when asked for a list, and at once what it was answered.
const ASKING: &str = r#"
        initialize='"initialize"'; call='"tools/call"'; list='"tools/list"'
        while read -r line; do
            case "$line" in
            *$initialize*)
                told=$line
                echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}' ;;
            *$call*)
                echo '{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}' ;;
            *$list*)
                echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":'"$told"'}}' ;;
            *cancelled*)
                told=$line ;;
            *result*|*error*)
                echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":'"$line"'}}' ;;
            esac
        done"#;

fn pooled(scope: &str) -> Pooled {
    Pooled {
        capabilities: Some(r#"{"elicitation":{}}"#.into()),
        scope: scope.as_bytes().into(),
    }
}

fn tool_call() -> Message {
    message(r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"x"}}"#)
}

async fn ask(link: &mut Box<dyn Link>, request: &Message) -> (Message, Box<dyn MessageStream>) {
    let Messages::Stream(mut stream) = soon(link.send(request)).await.unwrap().messages else {
        panic!("it is not answered at once");
    };
    let first = soon(stream.next()).await.unwrap();
    (first, stream)
}

#[tokio::test]
async fn a_principal_has_a_child_of_its_own_whose_question_is_the_only_call_s() {
    let stdio = stdio(ASKING, 2);
    let mut link = soon(open(&stdio, Conversation::Pooled(pooled("ann"))))
        .await
        .unwrap();
    let mut again = soon(open(&stdio, Conversation::Pooled(pooled("ann"))))
        .await
        .unwrap();

    let (declared, listing) = ask(&mut again, &call()).await;
    assert!(
        std::str::from_utf8(declared.bytes())
            .unwrap()
            .contains(r#""capabilities":{"elicitation":{}}"#)
    );
    drop(listing);
    let (question, mut stream) = ask(&mut link, &tool_call()).await;
    assert_eq!(question.id().unwrap().raw(), r#""q""#);
    let answer = Message::result_reply(question.id().unwrap(), r#"{"action":"accept"}"#);
    soon(link.send(&answer)).await.unwrap();
    let heard = soon(stream.next()).await.unwrap();
    let heard = std::str::from_utf8(heard.bytes()).unwrap();
    assert!(
        heard.contains(r#""id":"q","result":{"action":"accept"}"#),
        "{heard}"
    );

    // Another principal has another child, and a third finds no place as long as both are used.
    let mut other = soon(open(&stdio, Conversation::Pooled(pooled("bob"))))
        .await
        .unwrap();
    let (_, running) = ask(&mut other, &tool_call()).await;
    let full = open(&stdio, Conversation::Pooled(pooled("eve")))
        .await
        .err()
        .unwrap();
    assert!(matches!(full.fault, Fault::Full(_)), "{full}");
    drop(running);
    let third = soon(open(&stdio, Conversation::Pooled(pooled("eve")))).await;
    assert!(third.is_ok());
    drop(stream);
    soon(stdio.stop()).await;
}

#[tokio::test]
async fn a_call_is_taken_back_while_it_is_read_by_the_id_on_the_wire_and_for_the_reason_given() {
    let stdio = stdio(ASKING, 1);
    let mut link = soon(open(&stdio, Conversation::Pooled(pooled("ann"))))
        .await
        .unwrap();
    let mut beside = soon(open(&stdio, Conversation::Pooled(pooled("ann"))))
        .await
        .unwrap();
    let (_, mut stream) = ask(&mut link, &tool_call()).await;

    soon(link.cancel(&tool_call(), "enough")).await;

    let ended = soon(stream.next()).await.unwrap_err();
    assert_eq!(ended.fault, Fault::Cancelled);
    drop(stream);
    let (told, _listing) = ask(&mut beside, &call()).await;
    let told = std::str::from_utf8(told.bytes()).unwrap();
    // The handshake was the first request on this wire, and nothing is said twice.
    let cancelled = r#""method":"notifications/cancelled","params":{"requestId":2,"reason":"enough"}"#;
    assert!(told.contains(cancelled), "{told}");
    soon(stdio.stop()).await;
}

#[tokio::test]
async fn a_principal_s_child_that_ended_meanwhile_is_begun_anew_for_what_it_never_heard() {
    let stdio = stdio(ASKING, 2);
    let mut link = soon(open(&stdio, Conversation::Pooled(pooled("ann"))))
        .await
        .unwrap();
    let (wire, _) = soon(stdio.children.greeted(&pooled("ann"))).await.unwrap();
    wire.stop();

    let (question, _stream) = ask(&mut link, &tool_call()).await;

    assert_eq!(question.kind(), mcp::Kind::Request);
    assert!(!wire.is_alive());
    soon(stdio.stop()).await;
}

#[tokio::test]
async fn a_child_that_greets_nobody_fills_no_places() {
    let refusing = r#"while read -r _; do
        echo '{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"not today"}}'
    done"#;
    let stdio = stdio(refusing, 4);
    for scope in ["ann", "bob"] {
        let refused = soon(open(&stdio, Conversation::Pooled(pooled(scope)))).await;
        assert_eq!(refused.err().unwrap().fault, Fault::NotAgreed);
        assert_eq!(stdio.children.places(), 0);
    }
    soon(stdio.stop()).await;
}
