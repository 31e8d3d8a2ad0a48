//! Tokens of which anything is changed: none is believed.

use std::collections::HashSet;

use policy::authn::Issuers;
use proptest::prelude::*;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::signer::Signer;
use crate::world::{claims, issuer, verify};

/// A good token of each algorithm, and who believes it.
fn good() -> Vec<(String, Issuers)> {
    let every = "algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]";
    let signers = Signer::of_each_algorithm().into_iter();
    signers
        .map(|(algorithm, signer)| {
            (
                signer.token(algorithm, &claims(json!({}))),
                issuer(&[&signer], every),
            )
        })
        .collect()
}

fn is_believed(runtime: &Runtime, issuers: &Issuers, token: &str) -> bool {
    runtime.block_on(verify(issuers, token)).is_ok()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// What can be done to a token at one place.
fn mutate(token: &str, way: u8, at: usize, byte: u8) -> Option<String> {
    let mut bytes = token.as_bytes().to_vec();
    let at = at % bytes.len();
    match way % 5 {
        0 => bytes[at] ^= 1 << (byte % 8),
        1 => bytes[at] = byte,
        2 => bytes.insert(at, byte),
        3 => _ = bytes.remove(at),
        _ => bytes.truncate(at),
    }
    let mutated = String::from_utf8(bytes).ok()?;
    (mutated != token).then_some(mutated)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 16, ..ProptestConfig::default() })]

    /// 10,000 and more in all: each case changes every token at many places.
    #[test]
    fn a_mutated_token_is_not_believed(changes in prop::collection::vec((any::<u8>(), any::<usize>(), any::<u8>()), 100)) {
        let (runtime, good) = (runtime(), good());
        for (token, issuers) in &good {
            prop_assert!(is_believed(&runtime, issuers, token));
            for (way, at, byte) in &changes {
                if let Some(mutated) = mutate(token, *way, *at, *byte) {
                    prop_assert!(!is_believed(&runtime, issuers, &mutated), "{token}\n{mutated}");
                }
            }
        }
    }
}

#[test]
fn no_bit_of_a_token_is_without_meaning() {
    let runtime = runtime();
    for (token, issuers) in good() {
        assert!(is_believed(&runtime, &issuers, &token));
        for at in 0..token.len() {
            for bit in 0..8 {
                if let Some(mutated) = mutate(&token, 0, at, bit) {
                    assert!(!is_believed(&runtime, &issuers, &mutated), "{mutated}");
                }
            }
        }
    }
}

#[test]
#[ignore = "takes minutes; run with --release"]
fn a_million_mutated_tokens() {
    let (runtime, good) = (runtime(), good());
    let mut random = TestRng::new();
    let (mut tried, mut seen) = (0_u32, HashSet::new());
    while tried < 1_000_000 {
        for (token, issuers) in &good {
            let [way, byte, ..] = random.next().to_le_bytes();
            let at = usize::try_from(random.next() >> 16).unwrap();
            let Some(mutated) = mutate(token, way, at, byte) else {
                continue;
            };
            assert!(!is_believed(&runtime, issuers, &mutated), "{token}\n{mutated}");
            seen.insert((way % 5, at % token.len()));
            tried += 1;
        }
    }
    for (token, issuers) in &good {
        assert!(is_believed(&runtime, issuers, token));
    }
    println!(
        "{tried} mutated tokens, {} ways and places, none believed",
        seen.len()
    );
}

/// Numbers that are the same at each run (`splitmix64`).
struct TestRng(u64);

impl TestRng {
    fn new() -> Self {
        Self(0x5eed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
