//! What it costs to count a call: `cargo test --release -p causeway-policy --test rates_cost -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use config::{Field, Problems, Source};
use mcp::Method;
use policy::Principal;
use policy::rates::{BUCKETS, Known, Rates, Subject};

fn rates(rules: &str) -> Rates {
    let source = Source::from_text("gateway.yaml", rules);
    let problems = Problems::default();
    let known = Known {
        upstreams: &[],
        routes: &[],
    };
    let node = source.parse(&problems).unwrap();
    let rates = Rates::check(&Field::root(&node, &problems), &known);
    assert!(problems.is_empty());
    rates
}

/// What this process has of the machine's memory, in bytes.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

fn admit(rates: &Rates, address: u32, now: Instant) -> bool {
    let subject = Subject {
        principal: &Principal::Anonymous,
        address: Ipv4Addr::from_bits(address).into(),
        route: "/mcp",
        method: &Method::ToolsCall,
        upstream: Some("crm"),
        tool: Some("find"),
    };
    rates.admit(&subject, now).is_ok()
}

#[test]
#[ignore = "it measures"]
fn what_a_call_costs() {
    const CALLS: u32 = 2_000_000;
    for (named, rules) in [
        ("calls", "- { per: address, calls: 1/s, burst: 1000000000 }"),
        (
            "calls and places",
            "- { per: address, calls: 1/s, burst: 1000000000, concurrent: 2 }",
        ),
        (
            "three rules",
            concat!(
                "- { per: [address, route], calls: 1/s, burst: 1000000000 }\n",
                "- { per: principal, calls: 1/s, burst: 1000000000 }\n",
                "- { per: tool, concurrent: 9 }"
            ),
        ),
    ] {
        for keys in [1_u32, 1_000, 1_000_000] {
            let rates = rates(rules);
            let start = Instant::now();
            // No bucket fills so soon: all keys stay.
            let at = |call: u32| start + Duration::from_nanos(call.into());
            (0..keys).for_each(|key| assert!(admit(&rates, key, start)));
            let kept = rates.kept();
            let mut random = fastrand::Rng::with_seed(1);
            let began = Instant::now();
            let passed = (0..CALLS)
                .filter(|call| admit(&rates, random.u32(..keys), at(*call)))
                .count();
            let each = began.elapsed().as_nanos() / u128::from(CALLS);
            println!("{named}: {each} ns for a call among {kept} keys ({passed} of {CALLS} passed)");
        }
    }
}

#[test]
#[ignore = "it measures"]
fn what_a_key_takes() {
    let rates = rates("- { per: address, calls: 1/d }");
    let (before, now) = (resident(), Instant::now());
    let mut most = 0;
    for address in 0..2 * BUCKETS as u32 {
        admit(&rates, address, now);
        if address % 10_000 == 0 {
            most = most.max(resident() - before);
        }
    }
    let (kept, taken) = (rates.kept(), resident() - before);
    println!(
        "{kept} keys take {} MB, at most {} MB: {} bytes each",
        taken / 1_000_000,
        most / 1_000_000,
        taken / kept as u64
    );
    assert!(kept <= BUCKETS + 64 && most < 150_000_000);
}
