//! Whatever is written, nothing panics, and what went in comes out.

#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::io;
use std::path::Path;

use config::{Environment, Field, KeyRing, Lookup, Problems, Purpose, Secret, Source, Template, scalar};
use proptest::prelude::*;

/// Answers every question with the name it was asked for.
struct Echo;

impl Environment for Echo {
    fn var(&self, name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        Ok(path.display().to_string())
    }
}

impl Lookup for Echo {
    fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(name.to_owned().into())
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(name.to_owned().into())
    }

    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(name.to_owned().into())
    }

    fn principal(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(name.to_owned().into())
    }

    fn user(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(name.to_owned().into())
    }
}

/// Text made of what YAML finds interesting.
fn yamlish() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n"),
        Just("  "),
        Just("\t"),
        Just(": "),
        Just(":"),
        Just("- "),
        Just("? "),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(", "),
        Just("&a "),
        Just("*a"),
        Just("<<: "),
        Just("!!str "),
        Just("!!int "),
        Just("|\n"),
        Just(">-\n"),
        Just("\""),
        Just("'"),
        Just("#"),
        Just("---\n"),
        Just("...\n"),
        Just("%"),
        Just("~"),
        Just("a"),
        Just("b"),
        Just("7"),
        Just("true"),
        Just("${X}"),
        Just("\\"),
        Just("é"),
        Just("\u{feff}"),
        Just("\r"),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Reads a document every way there is.
fn read_every_way(text: &str) {
    let source = Source::from_text("x", text);
    let problems = Problems::default();
    if let Some(node) = source.parse(&problems) {
        let root = Field::root(&node, &problems);
        let mut fields = vec![root];
        while let Some(field) = fields.pop() {
            fields.extend(field.list().unwrap_or_default());
            fields.extend(
                field
                    .entries()
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(_, field)| field),
            );
            if let Some(fields) = field.fields() {
                fields.finish();
            }
            let _ = (
                field.text(),
                field.flag(),
                field.duration(),
                field.size(),
                field.number(0..=9_u8),
                field.template(&Echo),
            );
        }
    } else {
        assert_eq!(
            problems.len(),
            1 + problems.render(&source).matches("written twice").count()
        );
    }
    let _ = problems.render(&source);
}

proptest! {
    #[test]
    fn any_bytes_are_a_document_or_a_problem(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(source) = Source::from_bytes("x", bytes) {
            read_every_way(source.text());
        }
    }

    #[test]
    fn anything_like_yaml_is_a_document_or_a_problem(text in yamlish()) {
        read_every_way(&text);
    }

    #[test]
    fn any_text_is_a_template_or_a_mistake_in_it(text in "(\\$|\\{|\\}|:|-|[a-z]|\\PC){0,40}") {
        if let Err(error) = Template::parse(&text) {
            let begins = text[error.position..].starts_with("${");
            prop_assert!(begins);
        }
    }

    #[test]
    fn a_text_with_its_dollars_doubled_is_itself(text in "(\\$|\\{|\\PC){0,40}") {
        let template = Template::parse(&text.replace('$', "$$")).unwrap();
        prop_assert_eq!(template.as_static(), Some(text.as_str()));
    }

    #[test]
    fn a_template_renders_its_pieces_in_order(pieces in prop::collection::vec(("[^$]{0,5}", 0..6_usize, "[a-z]{1,5}"), 0..6)) {
        let kinds = ["env", "file", "param", "header", "claim", "user"];
        let written: String = pieces.iter().map(|(text, kind, name)| format!("{text}${{{}:{name}}}", kinds[*kind])).collect();
        let wanted: String = pieces.iter().map(|(text, _, name)| format!("{text}{name}")).collect();

        let template = Template::parse(&written).unwrap().resolve(&Echo).unwrap();

        prop_assert_eq!(template.needs().count(), pieces.iter().filter(|(_, kind, _)| *kind > 1).count());
        prop_assert_eq!(template.render(&Echo).unwrap(), wanted);
    }

    #[test]
    fn any_word_is_a_scalar_or_a_wrong_one(text in "\\PC{0,30}") {
        let _ = (scalar::duration(&text), scalar::size(&text), scalar::listen_address(&text), scalar::server_name(&text));
        let _ = scalar::suggestion(&text, &["alpha", "beta"]);
    }

    #[test]
    fn a_duration_is_what_was_written(count in 0..1_000_000_u64) {
        prop_assert_eq!(scalar::duration(&format!("{count}ms")).unwrap().as_millis(), u128::from(count));
        prop_assert_eq!(scalar::duration(&format!("{count}h{count}s")).unwrap().as_secs(), count * 3601);
    }

    #[test]
    fn what_was_sealed_opens(claims in prop::collection::vec(any::<u8>(), 0..300), aad in prop::collection::vec(any::<u8>(), 0..50)) {
        let ring = KeyRing::new(&Secret::from("0123456789abcdef"), None).unwrap();
        let sealed = ring.seal(Purpose::Session, &aad, &claims);
        prop_assert_eq!(ring.open(Purpose::Session, &sealed.kid, &aad, &sealed.body), Some(claims));
    }

    #[test]
    fn no_other_text_opens(body in "[A-Za-z0-9_-]{0,300}|\\PC{0,80}") {
        let ring = KeyRing::new(&Secret::from("0123456789abcdef"), None).unwrap();
        prop_assert_eq!(ring.open(Purpose::Session, ring.kid(), b"", &body), None);
    }
}
