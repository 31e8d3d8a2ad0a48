//! Who gets which message of a shared wire.

use super::*;
use bytes::Bytes;

fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &mcp::Limits::default()).unwrap()
}

fn call(id: &str) -> Message {
    message(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x","_meta":{{"progressToken":"mine"}}}}}}"#
    ))
}

fn log() -> Message {
    message(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#)
}

fn question() -> Message {
    message(r#"{"jsonrpc":"2.0","id":"s1","method":"roots/list"}"#)
}

fn result(id: u64) -> Message {
    message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))
}

fn text(message: &Message) -> &str {
    std::str::from_utf8(message.bytes()).unwrap()
}

#[tokio::test]
async fn ids_and_tokens_on_the_wire_are_ours_and_come_back_as_the_client_s() {
    let pending = Pending::default();
    let (mut ticket, renamed) = pending.register(&call(r#""a""#)).unwrap();
    assert_eq!(renamed.id(), Some(&Id::number(1)));
    assert_eq!(renamed.progress_token(), Some(&b"1"[..]));

    let progress = message(
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5}}"#,
    );
    assert_eq!(
        pending.deliver(progress, Attribution::OnlyIfAlone),
        Delivery::Delivered
    );
    assert_eq!(pending.answer(&result(1)), Delivery::Delivered);

    assert_eq!(
        ticket.next().await.unwrap().progress_token(),
        Some(&br#""mine""#[..])
    );
    let answer = ticket.next().await.unwrap();
    assert_eq!(text(&answer), r#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
    assert!(ticket.next().await.is_none());
}

#[tokio::test]
async fn a_subscription_is_told_by_the_client_s_own_id() {
    let pending = Pending::default();
    let listen = message(r#"{"jsonrpc":"2.0","id":"mine","method":"subscriptions/listen"}"#);
    let (_first, _) = pending.register(&call("1")).unwrap();
    let (mut second, renamed) = pending.register(&listen).unwrap();
    assert_eq!(renamed.id(), Some(&Id::number(2)));

    let told = |id: &str| {
        let key = "io.modelcontextprotocol/subscriptionId";
        message(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{"_meta":{{"{key}":{id}}}}}}}"#
        ))
    };
    assert_eq!(
        pending.deliver(told("2"), Attribution::OnlyIfAlone),
        Delivery::Delivered
    );
    assert_eq!(
        pending.deliver(told("9"), Attribution::Oldest),
        Delivery::Unclaimed
    );

    let notification = second.next().await.unwrap();
    assert_eq!(notification.subscription().unwrap().raw(), r#""mine""#);
}

#[tokio::test]
async fn a_subscription_gets_only_what_names_it_and_its_end() {
    let pending = Pending::default();
    let listen = message(r#"{"jsonrpc":"2.0","id":"mine","method":"subscriptions/listen"}"#);
    let (mut subscription, _) = pending.register(&listen).unwrap();
    assert_eq!(pending.deliver(log(), Attribution::Oldest), Delivery::Unclaimed);

    let (mut call, _) = pending.register(&call("1")).unwrap();
    let deliver = |message| pending.deliver(message, Attribution::OnlyIfAlone);
    assert_eq!(deliver(log()), Delivery::Delivered, "to the only call");
    let cancelled = |id: u64| {
        let method = "notifications/cancelled";
        message(&format!(
            r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"requestId":{id}}}}}"#
        ))
    };
    assert_eq!(deliver(cancelled(1)), Delivery::Delivered);

    let ended = subscription.next().await.unwrap();
    assert_eq!(ended.cancelled_request(), listen.id().cloned());
    assert_eq!(
        call.next().await.unwrap().method(),
        Some(&Method::NotificationsMessage)
    );
}

#[tokio::test]
async fn what_names_no_request_goes_to_the_oldest_on_a_wire_of_one_client() {
    let pending = Pending::default();
    let (mut oldest, _) = pending.register(&call("1")).unwrap();
    let (_other, _) = pending.register(&call("2")).unwrap();

    assert_eq!(
        pending.deliver(question(), Attribution::Oldest),
        Delivery::Delivered
    );

    assert_eq!(oldest.next().await.unwrap().kind(), Kind::Request);
}

#[test]
fn what_names_no_request_goes_to_nobody_where_several_run_on_a_shared_wire() {
    let pending = Pending::default();
    let deliver = || pending.deliver(log(), Attribution::OnlyIfAlone);
    assert_eq!(deliver(), Delivery::Unclaimed);

    let (_first, _) = pending.register(&call("1")).unwrap();
    assert_eq!(deliver(), Delivery::Delivered);

    let (_second, _) = pending.register(&call("2")).unwrap();
    assert_eq!(deliver(), Delivery::Unclaimed);
}

#[tokio::test]
async fn a_slow_reader_loses_notifications_and_questions_but_never_its_answer() {
    let pending = Pending::default();
    let (mut ticket, _) = pending.register(&call("1")).unwrap();
    while pending.deliver(log(), Attribution::Oldest) == Delivery::Delivered {}

    assert_eq!(
        pending.deliver(question(), Attribution::Oldest),
        Delivery::Overflowed
    );
    assert_eq!(pending.answer(&result(1)), Delivery::Delivered);

    let mut last = None;
    while let Some(next) = ticket.next().await {
        last = Some(next.kind());
    }
    assert_eq!(last, Some(Kind::Result));
}

#[test]
fn a_reader_of_long_messages_is_bounded_by_their_bytes() {
    let pending = Pending::default();
    let (_ticket, _) = pending.register(&call("1")).unwrap();
    let long = "x".repeat(QUEUE_BYTES / 2);
    let long = message(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":"{long}"}}}}"#
    ));

    let outcomes = [(); 2].map(|()| pending.deliver(long.clone(), Attribution::Oldest));

    assert_eq!(outcomes, [Delivery::Delivered, Delivery::Overflowed]);
}

#[tokio::test]
async fn a_dropped_ticket_leaves_nothing_behind() {
    let pending = Pending::default();
    let (abandoned, _) = pending.register(&call("1")).unwrap();
    let (_running, _) = pending.register(&call("2")).unwrap();

    drop(abandoned);

    assert_eq!(pending.running(), 1);
    assert_eq!(pending.answer(&result(1)), Delivery::Unclaimed);
    assert_eq!(
        pending.deliver(log(), Attribution::OnlyIfAlone),
        Delivery::Delivered
    );
}

#[test]
fn a_request_taken_back_before_it_is_written_is_none() {
    let pending = Pending::default();
    let (unwritten, _) = pending.register(&call("1")).unwrap();
    let (written, _) = pending.register(&call("2")).unwrap();
    assert!(pending.begin(written.id));

    assert!(!pending.take_back(unwritten.id));
    assert!(pending.take_back(written.id));

    assert!(!pending.begin(unwritten.id));
}

#[tokio::test]
async fn whoever_waits_for_the_table_to_be_empty_is_told() {
    let pending = Pending::default();
    let (ticket, _) = pending.register(&call("1")).unwrap();

    let ((), ()) = tokio::join!(pending.emptied(), async { drop(ticket) });

    assert_eq!(pending.running(), 0);
}

#[tokio::test]
async fn a_closed_table_ends_all_waiting_and_takes_nobody_new() {
    let pending = Pending::default();
    let (mut ticket, _) = pending.register(&call("1")).unwrap();

    pending.close();

    assert!(ticket.next().await.is_none());
    assert!(pending.register(&call("2")).is_none());
    assert_eq!(pending.answer(&result(1)), Delivery::Unclaimed);
}

#[tokio::test]
async fn what_is_asked_beside_the_calls_of_a_shared_wire_makes_no_call_one_of_several() {
    let pending = Pending::default();
    let subscribe = r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a://1"}}"#;
    let (mut aside, _) = pending.register(&message(subscribe)).unwrap();
    let deliver = |attribution| pending.deliver(question(), attribution);
    assert_eq!(deliver(Attribution::OnlyIfAlone), Delivery::Unclaimed);

    let (mut only, _) = pending.register(&call("1")).unwrap();

    assert_eq!(deliver(Attribution::OnlyIfAlone), Delivery::Delivered);
    assert!(only.next().await.is_some());
    assert_eq!(
        deliver(Attribution::Oldest),
        Delivery::Delivered,
        "where one client has the wire, it is its own"
    );
    assert!(aside.next().await.is_some());
}
