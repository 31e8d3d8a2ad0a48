//! How long ten thousand rules take: `cargo test --release -p causeway-policy --test rules -- --ignored --nocapture`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use super::*;

/// Calls that are measured each time.
const CALLS: u32 = 10_000;

#[test]
#[ignore = "it measures, and another load disturbs it"]
fn ten_thousand_rules_decide_in_microseconds() {
    let mut list = String::new();
    for place in 0..9_990 {
        let role = ["user", "admin", "guest"][place % 3];
        let upstream = ["crm", "docs"][place % 2];
        let _ = writeln!(
            list,
            "- {{ roles: [{role}], upstreams: [{upstream}], tools: [tool_{place}] }}"
        );
    }
    for place in 0..9 {
        let _ = writeln!(
            list,
            "- {{ tools: ['last_{place}*'], arguments: {{ region: eu }} }}"
        );
    }
    let _ = writeln!(
        list,
        "- {{ tools: ['when*'], when: \"args.region == claims.region\" }}"
    );
    let began = Instant::now();
    let rules = rules(&list);
    println!("read {} rules in {:?}", rules.all().len(), began.elapsed());

    let ann = ann();
    let caller = at_mcp(Some(&ann));
    let began = Instant::now();
    let selection = rules.select(&caller);
    println!("select, the first time: {:?}", began.elapsed());
    let began = Instant::now();
    for _ in 0..100 {
        black_box(rules.select(black_box(&caller)));
    }
    println!("select: {:?}", began.elapsed() / 100);

    let arguments = br#"{"region":"eu","q":"x"}"#;
    for name in ["tool_9", "tool_9984", "tool_10", "last_8x", "when", "none"] {
        let began = Instant::now();
        for _ in 0..CALLS {
            black_box(selection.decide(black_box("crm"), &tool(name), Some(arguments)));
        }
        let each = began.elapsed() / CALLS;
        let effect = selection.decide("crm", &tool(name), Some(arguments)).effect;
        println!("decide {name}: {each:?}, {effect:?}");
        assert!(each.as_micros() < 20, "{name} takes {each:?}");
    }
}
