//! Any object: editing it gives an object with the members one expects.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp::{ClientCapabilities, Object};

fuzz_target!(|bytes: &[u8]| {
    let capabilities = ClientCapabilities::new(bytes);
    _ = (capabilities.elicitation_form(), capabilities.extension("a"));
    let Ok(object) = Object::parse(bytes) else { return };
    assert_eq!(object.edit().apply(), bytes);

    // The first is removed, the second set, and one more added.
    let names: Vec<&str> = object.members().iter().map(|member| &*member.key).collect();
    let mut edits = object.edit();
    if let Some(first) = names.first() {
        edits.remove(first);
    }
    if let Some(second) = names.get(1) {
        edits.set(second, "[1, 2]");
    }
    edits.insert("new", "{}");
    let text = edits.apply();

    let edited = Object::parse(&text).expect("an edited object is an object");
    let kept = names.iter().filter(|name| Some(*name) != names.first()).copied();
    assert!(
        edited
            .members()
            .iter()
            .map(|member| &*member.key)
            .eq(kept.chain(["new"]))
    );
    if let Some(second) = names
        .get(1)
        .filter(|second| Some(*second) != names.first() && **second != "new")
    {
        assert_eq!(edited.get(second), Some(&b"[1, 2]"[..]));
    }
});
