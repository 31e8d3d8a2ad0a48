//! What a tool asks before it goes on: filled in at a terminal, told in a pipe.
use harness::questions::{Question, completion, input_required, name, visit};
use harness::{Exit, Gateway, Mood, Reply, Running, Server, Terminal};
use serde_json::{Value, json};

use super::{at, piped, plain};

/// A server that asks this once, and returns what it was answered.
async fn asking(question: Question) -> Server {
    Server::of(Mood::Modern)
        .on("tools/call", move |request| {
            let result = match request.params().get("inputResponses") {
                None => input_required(&[("q", question.clone())], Some("s")),
                Some(answers) => {
                    assert_eq!(request.params()["requestState"], "s");
                    json!({ "content": [{ "type": "text", "text": answers["q"].to_string() }], "resultType": "complete" })
                }
            };
            Reply::result(request, &result)
        })
        .start()
        .await
}

async fn in_front_of(server: &Server) -> Running {
    Gateway::new().server("x", server).start().await
}

/// What the server was answered.
fn answered(terminal: &Terminal) -> Value {
    let screen = plain(&terminal.screen());
    let last = screen.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {screen}"))
}

#[tokio::test]
async fn a_form_is_filled_in_field_by_field() {
    // By hand, since the order of the fields matters.
    let form = r#"{"type":"object","required":["zip","colour","sure"],"properties":{
        "zip":{"type":"integer","title":"Postal code","minimum":10000,"maximum":99999},
        "colour":{"type":"string","enum":["r","g"],"enumNames":["Red","Green"],"description":"Of the bike."},
        "sure":{"type":"boolean"},
        "bells":{"type":"number","default":1},
        "remark":{"type":"string","maxLength":5}}}"#;
    let server = Server::of(Mood::Modern)
        .on("tools/call", move |request| match request.params().get("inputResponses") {
            None => Reply::result_of(
                request,
                &format!(
                    r#"{{"resultType":"input_required","inputRequests":{{"q":{{"method":"elicitation/create","params":{{"message":"Which bike?\u001b[2J","requestedSchema":{form}}}}}}}}}"#
                ),
            ),
            Some(answers) => {
                let text = json!([{ "type": "text", "text": answers["q"].to_string() }]);
                Reply::result(request, &json!({ "content": text, "resultType": "complete" }))
            }
        })
        .start()
        .await;
    let gateway = in_front_of(&server).await;

    let terminal = Terminal::start(at(&gateway, &["call", "echo"]), 80);
    terminal.shows("Which bike?\\u{1b}[2J").await;
    terminal.shows("[Y]es, [d]ecline, [c]ancel").await;
    terminal.types("y");
    terminal.shows("Postal code (a whole number): ").await;
    terminal.types("12");
    terminal.shows("at least 10000").await;
    terminal.types("88131");
    terminal.shows("2  Green").await;
    terminal.types("green?");
    terminal.shows("from 1 to 2").await;
    terminal.types("2");
    terminal.shows("sure (y or n): ").await;
    terminal.types("maybe");
    terminal.types("no");
    terminal.shows("bells (a number, optional) [1]: ").await;
    terminal.types("");
    terminal.shows("remark (text, optional): ").await;
    terminal.types("");

    assert_eq!(terminal.ended().await, Exit::Code(0), "{}", terminal.screen());
    let content = json!({ "zip": 88131, "colour": "g", "sure": false, "bells": 1 });
    assert_eq!(
        answered(&terminal),
        json!({ "action": "accept", "content": content })
    );
}

#[tokio::test]
async fn a_question_is_declined_or_cancelled() {
    let server = asking(name()).await;
    let gateway = in_front_of(&server).await;
    for (word, action) in [("d", "decline"), ("c", "cancel")] {
        let terminal = Terminal::start(at(&gateway, &["call", "echo"]), 80);
        terminal.shows("[c]ancel: ").await;
        terminal.types(word);

        assert_eq!(terminal.ended().await, Exit::Code(0), "{}", terminal.screen());
        assert_eq!(answered(&terminal), json!({ "action": action }));
    }
}

#[tokio::test]
async fn ctrl_d_cancels_in_the_middle_of_a_form() {
    let server = asking(name()).await;
    let gateway = in_front_of(&server).await;

    let terminal = Terminal::start(at(&gateway, &["call", "echo"]), 80);
    terminal.shows("[c]ancel: ").await;
    terminal.types("");
    terminal.shows("name (text): ").await;
    terminal.types("");
    terminal.shows("this one is needed").await;
    terminal.ends_input();

    assert_eq!(terminal.ended().await, Exit::Code(0), "{}", terminal.screen());
    assert_eq!(answered(&terminal), json!({ "action": "cancel" }));
}

#[tokio::test]
async fn a_page_is_shown_and_not_opened() {
    let server = asking(visit("https://example.com/sign-in?x=1")).await;
    let gateway = in_front_of(&server).await;

    let terminal = Terminal::start(at(&gateway, &["call", "echo"]), 80);
    terminal.shows("https://example.com/sign-in?x=1").await;
    terminal.shows("[c]ancel: ").await;
    terminal.types("y");

    assert_eq!(terminal.ended().await, Exit::Code(0), "{}", terminal.screen());
    assert_eq!(answered(&terminal), json!({ "action": "accept" }));
}

#[tokio::test]
async fn ctrl_c_leaves_a_question_unanswered() {
    let server = asking(name()).await;
    let gateway = in_front_of(&server).await;

    let terminal = Terminal::start(at(&gateway, &["call", "echo"]), 80);
    terminal.shows("[c]ancel: ").await;
    terminal.interrupts();

    assert_eq!(terminal.ended().await, Exit::Code(130));
    server.only("tools/call");
}

#[tokio::test]
async fn a_question_of_an_earlier_server_is_answered_too() {
    let gateway = Gateway::new()
        .upstream("old", "{ command: causeway, args: [demo, --era, legacy] }")
        .start()
        .await;

    let terminal = Terminal::start(at(&gateway, &["call", "ask", r#"{"question":"Why?"}"#]), 80);
    terminal.shows("Why?").await;
    terminal.shows("[c]ancel: ").await;
    terminal.types("y");
    terminal.shows("Answer (text): ").await;
    terminal.types("because");

    assert_eq!(terminal.ended().await, Exit::Code(0), "{}", terminal.screen());
    assert!(
        terminal.screen().ends_with("answer: because\n"),
        "{}",
        terminal.screen()
    );
}

#[tokio::test]
async fn a_pipe_is_told_what_was_asked() {
    let server = asking(name()).await;
    let gateway = in_front_of(&server).await;

    let (exit, said, complaints) = piped(at(&gateway, &["call", "echo"])).await;

    assert_eq!((exit, said.as_str()), (Exit::Code(1), ""));
    for words in ["What is your name? (name)", "needs a terminal"] {
        assert!(complaints.contains(words), "{complaints}");
    }
    server.only("tools/call");
}

#[tokio::test]
async fn what_no_person_can_answer_is_said_so() {
    let server = asking(completion()).await;
    let gateway = in_front_of(&server).await;

    let (exit, _, complaints) = piped(at(&gateway, &["call", "echo"])).await;

    assert_eq!(exit, Exit::Code(1));
    assert!(complaints.contains("sampling"), "{complaints}");
}
