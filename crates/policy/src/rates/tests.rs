//! Rules, buckets and clocks, as an operator and a caller see them.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use config::{Problems, Source};

use super::*;
use crate::Identity;

const SEED: u64 = 20_261_122;
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

const KNOWN: Known<'_> = Known {
    upstreams: &["crm", "docs"],
    routes: &["/mcp", "/mcp/{server}"],
};

/// What is said of these rules, and the rules.
fn read(yaml: &str) -> (Rates, Vec<String>) {
    let source = Source::from_text("gateway.yaml", yaml);
    let problems = Problems::default();
    let node = source.parse(&problems).expect("it is YAML");
    let mut fields = Field::root(&node, &problems).fields().expect("it is a map");
    let rates = Rates::check(&fields.optional("rates"), &KNOWN);
    fields.finish();
    let said = problems.into_sorted();
    let said = said.iter().map(|problem| {
        let line = problem.at().map_or(0, |at| at.line);
        format!("{line}: {problem}")
    });
    (rates, said.collect())
}

fn rates(rules: &str) -> Rates {
    let (rates, said) = read(&format!("rates:\n{rules}\n"));
    assert_eq!(said, [""; 0]);
    rates
}

/// A call, in the words of the test.
struct Call {
    principal: Principal,
    address: IpAddr,
    route: &'static str,
    method: Method,
    upstream: Option<&'static str>,
    tool: Option<&'static str>,
}

fn call(subject: &str) -> Call {
    let mut identity = Identity::new(&"key".into(), "key", subject);
    identity.roles = vec![subject.to_owned()];
    identity.tenant = subject.split_once('@').map(|(_, tenant)| tenant.to_owned());
    Call {
        principal: Principal::Known(Arc::new(identity)),
        address: [10, 0, 0, 1].into(),
        route: "/mcp",
        method: Method::ToolsCall,
        upstream: Some("crm"),
        tool: Some("find"),
    }
}

impl Call {
    fn admit(&self, rates: &Rates, now: Instant) -> Result<Permit, Limited> {
        let subject = Subject {
            principal: &self.principal,
            address: self.address,
            route: self.route,
            method: &self.method,
            upstream: self.upstream,
            tool: self.tool,
        };
        rates.admit(&subject, now)
    }

    fn tool(mut self, tool: &'static str) -> Self {
        self.tool = Some(tool);
        self
    }

    fn upstream(mut self, upstream: &'static str) -> Self {
        self.upstream = Some(upstream);
        self
    }

    fn method(mut self, method: Method) -> Self {
        self.method = method;
        self.tool = None;
        self
    }

    fn address(mut self, address: &str) -> Self {
        self.address = address.parse().unwrap();
        self
    }
}

/// How many of so many calls are let through, all at once.
fn passed(rates: &Rates, call: &Call, calls: usize, now: Instant) -> usize {
    (0..calls).filter(|_| call.admit(rates, now).is_ok()).count()
}

/// The bucket of the textbook: so many tokens, and so many more with time.
struct Tokens {
    amount: i128,
    period: i128,
    burst: i128,
    /// In tokens times the period.
    level: i128,
    at: i128,
}

impl Tokens {
    fn admits(&mut self, now: i128) -> bool {
        self.level = (self.level + (now - self.at) * self.amount).min(self.burst * self.period);
        self.at = now;
        let admits = self.level >= self.period;
        self.level -= if admits { self.period } else { 0 };
        admits
    }
}

#[test]
fn calls_are_counted_exactly() {
    for (amount, unit, seconds, burst) in [
        (100, "m", 60, 100),
        (7, "s", 1, 3),
        (999_983, "s", 1, 5),
        (1_000_000_000, "s", 1, 2),
        (11, "h", 3_600, 1),
        (13, "d", 86_400, 20),
    ] {
        let rates = rates(&format!(
            "  - {{ per: principal, calls: {amount}/{unit}, burst: {burst} }}"
        ));
        let mut random = fastrand::Rng::with_seed(SEED);
        let period = i128::from(seconds) * 1_000_000_000;
        let mut oracle = Tokens {
            amount,
            period,
            burst,
            level: burst * period,
            at: 0,
        };
        let (start, ann) = (Instant::now(), call("ann"));
        let mut now = 0_u64;
        let mean = (period / amount) as u64;
        for step in 0..20_000 {
            now += match random.u8(..4) {
                0 => 0,
                1 => random.u64(..=mean),
                2 => mean,
                _ => random.u64(..=2 * mean + 1),
            };
            let admitted = ann.admit(&rates, start + Duration::from_nanos(now));
            assert_eq!(
                admitted.is_ok(),
                oracle.admits(now.into()),
                "{amount}/{unit}, seed {SEED}, step {step}: {admitted:?}"
            );
        }
    }
}

#[test]
fn bytes_are_charged_into_debt() {
    let rates = rates("  - { per: principal, bytes: 10KiB/s }");
    let (start, ann) = (Instant::now(), call("ann"));

    let permit = ann.admit(&rates, start).unwrap();
    permit.charge(10 * 1024, start);
    permit.charge(20 * 1024, start);

    let limited = ann.admit(&rates, start).unwrap_err();
    assert_eq!(limited.spent, Spent::Bytes);
    // The debt of two seconds, and one byte.
    assert_eq!(limited.retry_after, Duration::from_nanos(2_000_097_657));
    assert_eq!(limited.seconds(), 3);
    assert!(ann.admit(&rates, start + limited.retry_after).is_ok());
}

#[test]
fn what_is_charged_long_after_is_not_paid_with_the_time_before() {
    let rates = rates("  - { per: principal, bytes: 10KiB/s }");
    let (start, ann) = (Instant::now(), call("ann"));
    let permit = ann.admit(&rates, start).unwrap();

    permit.charge(20 * 1024, start + YEAR);

    let refused = ann.admit(&rates, start + YEAR).unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_nanos(1_000_097_657));
}

#[test]
fn two_threads_admit_no_more_than_one() {
    let rates = rates(concat!(
        "  - { per: principal, calls: 1000/d }\n",
        "  - { per: route, calls: 1500/d }\n",
        "  - { per: tool, concurrent: 3 }"
    ));
    let (now, start, most) = (Instant::now(), Barrier::new(4), AtomicUsize::new(0));
    let running = AtomicUsize::new(0);
    let counts: Vec<usize> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (rates, start, most, running) = (&rates, &start, &most, &running);
                scope.spawn(move || {
                    let ann = call(["ann", "bob"][thread % 2]);
                    start.wait();
                    let mut admitted = 0;
                    for _ in 0..5_000 {
                        let Ok(permit) = ann.admit(rates, now) else {
                            continue;
                        };
                        admitted += 1;
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        running.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                    admitted
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(
        counts[0] + counts[2] <= 1_000 && counts[1] + counts[3] <= 1_000,
        "{counts:?}"
    );
    assert_eq!(counts.iter().sum::<usize>(), 1_500);
    assert!(most.into_inner() <= 3);
}

#[test]
fn a_refusal_takes_nothing() {
    let rates = rates(concat!(
        "  - { per: principal, calls: 10/m }\n",
        "  - { per: principal, concurrent: 10 }\n",
        "  - { per: tool, tools: [export], calls: 2/m }\n",
        "  - { per: route, calls: 12/m }"
    ));
    let (now, ann) = (Instant::now(), call("ann"));
    let export = call("ann").tool("export");

    assert_eq!(passed(&rates, &export, 100, now), 2);
    assert_eq!(passed(&rates, &ann, 100, now), 8);
    assert_eq!(passed(&rates, &call("bob"), 100, now), 2);
}

#[test]
fn places_are_given_back_also_after_a_reload() {
    let rules = "  - { per: principal, concurrent: 2 }";
    let before = rates(rules);
    let (now, ann) = (Instant::now(), call("ann"));
    let one = ann.admit(&before, now).unwrap();
    let two = ann.admit(&before, now).unwrap();
    assert_eq!(ann.admit(&before, now).unwrap_err().spent, Spent::Places);
    assert!(call("bob").admit(&before, now).is_ok());
    let after = rates(rules).succeed(&before);
    assert!(ann.admit(&after, now).is_err());

    drop(one);
    drop(before);

    let three = ann.admit(&after, now).unwrap();
    assert!(ann.admit(&after, now).is_err());
    drop((two, three));
    assert_eq!(after.kept(), 0);
}

#[test]
fn a_rule_that_is_the_same_keeps_its_buckets_wherever_it_stands() {
    let before = rates(concat!(
        "  - { per: principal, calls: 5/m }\n",
        "  - { per: route, calls: 100/m }\n",
        "  - { per: tool, calls: 7/m }"
    ));
    let (now, ann) = (Instant::now(), call("ann"));
    assert_eq!(passed(&before, &ann, 100, now), 5);

    let after = rates(concat!(
        "  - { per: tool, calls: 8/m }\n",
        "  # moved\n",
        "  - { calls: 5/m, per: [principal] }"
    ))
    .succeed(&before);

    assert_eq!(passed(&after, &ann, 100, now), 0);
    assert_eq!(passed(&after, &call("bob"), 100, now), 5);
    assert_eq!(passed(&after, &call("eve"), 100, now), 3);
}

#[test]
fn two_readings_of_the_file_lock_in_the_same_order() {
    let one = "  - { per: principal, calls: 1000000/s }\n";
    let other = "  - { per: route, calls: 1000000/s }\n";
    let before = rates(&format!("{one}{other}"));
    let after = rates(&format!("{other}{one}")).succeed(&before);
    let now = Instant::now();
    thread::scope(|scope| {
        for rates in [&before, &after] {
            scope.spawn(|| passed(rates, &call("ann"), 50_000, now));
        }
    });
    assert_eq!(passed(&after, &call("ann"), 1, now), 1);
    assert_eq!(passed(&before, &call("ann"), 1_000_000, now), 899_999);
}

#[test]
fn a_clock_that_stands_still_or_leaps_lets_no_more_through_than_the_burst() {
    let rates = rates("  - { per: principal, calls: 100/m, burst: 20 }");
    let (now, ann) = (Instant::now(), call("ann"));
    assert_eq!(passed(&rates, &ann, 1_000, now), 20);
    assert_eq!(passed(&rates, &ann, 1_000, now), 0);
    assert_eq!(passed(&rates, &ann, 1_000, now + YEAR), 20);
    // Back again: what another thread saw a moment ago.
    assert_eq!(passed(&rates, &ann, 1_000, now), 0);
    assert_eq!(passed(&rates, &ann, 1_000, now + YEAR + 6 * SECOND / 10), 1);
    if let Some(earlier) = now.checked_sub(SECOND) {
        assert_eq!(passed(&rates, &call("bob"), 1_000, earlier), 20);
    }
}

#[test]
fn who_shares_a_bucket() {
    let at = |text: &str| call("x").address(text);
    let cases = [
        ("principal", call("ann"), call("ann").tool("other"), true),
        ("principal", call("ann"), call("bob"), false),
        ("tenant", call("ann@acme"), call("bob@acme"), true),
        ("tenant", call("ann@acme"), call("bob@globex"), false),
        ("tenant", call("ann"), call("bob"), true),
        ("tenant", call("ann@"), call("bob"), false),
        ("address", at("10.0.0.1"), at("::ffff:10.0.0.1"), true),
        ("address", at("10.0.0.1"), at("10.0.0.2"), false),
        ("address", at("2001:db8::1"), at("2001:db8::ffff:1"), true),
        ("address", at("2001:db8::1"), at("2001:db8:0:1::1"), false),
        ("route", call("ann"), call("bob"), true),
        ("upstream", call("ann"), call("bob").tool("x"), true),
        ("upstream", call("ann"), call("ann").upstream("docs"), false),
        ("tool", call("ann"), call("bob"), true),
        ("tool", call("ann"), call("ann").tool("x"), false),
        ("tool", call("ann"), call("ann").upstream("docs"), false),
        ("[principal, tool]", call("ann"), call("bob"), false),
        ("[principal, tool]", call("ann"), call("ann").tool("x"), false),
        ("[tool, principal]", call("ann"), call("ann"), true),
    ];
    for (per, one, other, together) in cases {
        let rates = rates(&format!("  - {{ per: {per}, calls: 1/d }}"));
        let now = Instant::now();
        assert_eq!(passed(&rates, &one, 2, now), 1);
        assert_eq!(passed(&rates, &other, 2, now) == 0, together, "{per}");
    }
    let rates = rates("  - { per: principal, calls: 1/d }");
    let mut nobody = call("");
    nobody.principal = Principal::Anonymous;
    let elsewhere = Call {
        principal: Principal::Anonymous,
        ..call("").address("10.9.9.9")
    };
    assert_eq!(passed(&rates, &nobody, 2, Instant::now()), 1);
    assert_eq!(passed(&rates, &elsewhere, 2, Instant::now()), 0);
}

#[test]
fn what_a_rule_counts() {
    let list = || call("ann").method(Method::ToolsList);
    let read = || call("ann").method(Method::ResourcesRead);
    let cases = [
        ("", call("ann"), true),
        ("", read(), true),
        ("", call("ann").method(Method::PromptsGet), true),
        ("", list(), false),
        ("", call("ann").method(Method::Ping), false),
        (", counts: all", list(), true),
        (", counts: calls", list(), false),
        (", methods: [tools/list]", list(), true),
        (", methods: ['*/list']", call("ann"), false),
        (
            ", methods: [acme/extra]",
            call("ann").method(Method::parse("acme/extra")),
            true,
        ),
        (", tools: [find]", call("ann"), true),
        (", tools: [find]", call("ann").tool("export"), false),
        (", tools: ['*']", read(), false),
        (", upstreams: [crm]", call("ann"), true),
        (", upstreams: [crm]", call("ann").upstream("docs"), false),
        (
            ", upstreams: ['*']",
            Call {
                upstream: None,
                ..list()
            },
            false,
        ),
        (", roles: ['a*']", call("ann"), true),
        (", roles: ['a*']", call("bob"), false),
        (
            ", roles: ['*']",
            Call {
                principal: Principal::Anonymous,
                ..call("")
            },
            false,
        ),
        (", routes: [/mcp]", call("ann"), true),
        (", routes: ['/mcp/{server}']", call("ann"), false),
    ];
    for (terms, call, is_counted) in cases {
        let rates = rates(&format!("  - {{ per: principal, calls: 1/d{terms} }}"));
        let now = Instant::now();
        assert_eq!(passed(&rates, &call, 2, now) == 1, is_counted, "{terms}");
    }
}

#[test]
fn the_whole_quota_is_told_before_that_of_one_tool() {
    for (terms, scope) in [
        ("per: principal", Scope::Quota),
        ("per: principal, routes: [/mcp]", Scope::Quota),
        ("per: address", Scope::Quota),
        ("per: upstream", Scope::Tool),
        ("per: [principal, tool]", Scope::Tool),
        ("per: principal, tools: [find]", Scope::Tool),
        ("per: principal, upstreams: [crm]", Scope::Tool),
    ] {
        let rates = rates(&format!("  - {{ {terms}, calls: 1/m }}"));
        let now = Instant::now();
        let _ = call("ann").admit(&rates, now);
        let limited = call("ann").admit(&rates, now).unwrap_err();
        assert_eq!(limited.scope, scope, "{terms}");
        assert_eq!(limited.to_string(), "too many calls; try again in 60 seconds");
    }
    let rates = rates("  - { per: tool, calls: 1/d }\n  - { per: principal, calls: 1/m }\n");
    let now = Instant::now();
    let _ = call("ann").admit(&rates, now);
    let limited = call("ann").admit(&rates, now).unwrap_err();
    assert_eq!((limited.scope, limited.at.line), (Scope::Quota, 3));
    assert_eq!(*limited.per, [Per::Principal]);
}

#[test]
fn mistakes_are_told_with_their_line_all_at_once() {
    for (rules, words) in [
        ("{ calls: 1/m }", "`per` is missing"),
        ("{ per: user, calls: 1/m }", "`user` is not a choice here"),
        ("{ per: principle, calls: 1/m }", "did you mean `principal`?"),
        ("{ per: [], calls: 1/m }", "counts for nobody"),
        ("{ per: [tool, tool], calls: 1/m }", "written twice"),
        ("{ per: tool }", "this limits nothing"),
        ("{ per: tool, call: 1/m }", "did you mean `calls`?"),
        ("{ per: tool, calls: 100 }", "did you mean `100/m`?"),
        ("{ per: tool, calls: 100/min }", "did you mean `100/m`?"),
        (
            "{ per: tool, calls: 100/5m }",
            "a rate is per `s`, `m`, `h` or `d`",
        ),
        ("{ per: tool, calls: 0/m }", "lets nothing through"),
        ("{ per: tool, calls: 1.5/m }", "not a number of calls"),
        ("{ per: tool, calls: -1/m }", "not a number of calls"),
        ("{ per: tool, calls: 9999999999/m }", "more than we count"),
        ("{ per: tool, calls: many }", "`many` is not a rate"),
        ("{ per: tool, bytes: 10M/m }", "did you mean `10MiB`?"),
        ("{ per: tool, bytes: 10MiB }", "did you mean `10MiB/m`?"),
        ("{ per: tool, bytes: 0MiB/m }", "lets nothing through"),
        ("{ per: tool, bytes: 2000GiB/m }", "write up to 1TiB"),
        ("{ per: tool, bytes: 8589934593/s }", "finer than we count"),
        ("{ per: tool, concurrent: 0 }", "out of range"),
        (
            "{ per: tool, concurrent: 1, burst: 3 }",
            "no rate that this is a burst of",
        ),
        ("{ per: tool, calls: 1/m, burst: 0 }", "out of range"),
        (
            "{ per: route, calls: 1/m, upstreams: [cmr] }",
            "did you mean `crm`?",
        ),
        (
            "{ per: route, calls: 1/m, upstreams: ['x*'] }",
            "there is no upstream `x*`",
        ),
        (
            "{ per: route, calls: 1/m, routes: [/mpc] }",
            "did you mean `/mcp`?",
        ),
        (
            "{ per: route, calls: 1/m, tools: [] }",
            "an empty list counts nothing",
        ),
        (
            "{ per: route, calls: 1/m, roles: [] }",
            "an empty list counts nothing",
        ),
        (
            "{ per: tool, calls: 1/m, counts: all }",
            "counts `tools/call` and nothing else",
        ),
        ("{ per: route, calls: 1/m, counts: al }", "did you mean `all`?"),
        (
            "{ per: route, calls: 1/m, counts: all, methods: [ping] }",
            "keep one of them",
        ),
        (
            "{ per: route, calls: 1/m, methods: [tools/cal] }",
            "did you mean `tools/call`?",
        ),
        (
            "{ per: route, calls: 1/m }\n  - { per: route, calls: 1/m }",
            "the rule of line 2 again",
        ),
        ("often", "expected a map of keys"),
    ] {
        let (_, said) = read(&format!("rates:\n  - {rules}\n"));
        let line = if rules.contains('\n') { "3: " } else { "2: " };
        assert!(
            said.iter()
                .any(|said| said.contains(words) && said.starts_with(line)),
            "{rules}: {said:?}"
        );
    }
    let many = "  - { per: tool, calls: 1/m }\n".repeat(101);
    assert!(read(&format!("rates:\n{many}")).1[0].contains("101 rules"));
    assert!(read("rates: 100/m\n").1[0].contains("expected a list"));
    assert!(read("listen: x\n").0.is_empty());
}

#[test]
fn a_million_addresses_neither_grow_the_table_nor_reset_a_bucket() {
    // As many rules as make a table small enough for a test.
    let many: String = (1..100)
        .map(|calls| format!("  - {{ per: principal, calls: {calls}/d, methods: [x/{calls}] }}\n"))
        .collect();
    let rates = rates(&format!("{many}  - {{ per: address, calls: 10/d }}\n"));
    let now = Instant::now();
    let from = |number: u32| Call {
        address: std::net::Ipv4Addr::from_bits(number).into(),
        ..call("x")
    };
    assert_eq!(passed(&rates, &from(1), 20, now), 10);
    for number in 2..100_000 {
        let _ = from(number).admit(&rates, now);
    }

    assert!(rates.kept() <= BUCKETS / 100 + 64, "{}", rates.kept());
    assert_eq!(passed(&rates, &from(1), 20, now), 0);
    // Once the time of one call has passed, whoever is new is served, and the tables empty themselves.
    let later = now + Duration::from_secs(86_400);
    assert_eq!(passed(&rates, &from(200_000), 20, later), 10);
    for _ in 0..100_000 {
        let _ = from(fastrand::u32(300_000..300_100)).admit(&rates, later);
    }
    assert!(rates.kept() < 5_000, "{}", rates.kept());
}
