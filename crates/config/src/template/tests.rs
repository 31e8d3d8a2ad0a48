//! Templates, as users write them.

use std::cell::Cell;
use std::io;

use super::*;

/// An environment and a call with one of everything.
#[derive(Default)]
struct World {
    questions: Cell<usize>,
}

impl Environment for World {
    fn var(&self, name: &str) -> Option<String> {
        match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("${claim:email}".to_owned()),
            _ => None,
        }
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("/secret") => Ok("hunter2\n".to_owned()),
            Some("/windows") => Ok("hunter2\r\n".to_owned()),
            Some("/two") => Ok("hunter2\n\n".to_owned()),
            Some(_) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Lookup for World {
    fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.questions.set(self.questions.get() + 1);
        (name == "empty").then_some(Cow::Borrowed(""))
    }

    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "email").then_some(Cow::Borrowed("ada@example.com"))
    }

    fn principal(&self, _: &str) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed("p1"))
    }

    fn user(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

fn rendered(text: &str) -> String {
    let world = World::default();
    let template = Template::parse(text).unwrap().resolve(&world).unwrap();
    template.render(&world).unwrap().into_owned()
}

#[test]
fn every_way_of_writing_means_what_it_says() {
    for (written, meant) in [
        ("", ""),
        ("plain", "plain"),
        ("${SET}", "value"),
        ("${env:SET}", "value"),
        ("${UNSET:-x}", "x"),
        ("${env:UNSET:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-x}", "x"),
        ("${UNSET:-a:-b:c}", "a:-b:c"),
        ("Bearer ${file:/secret}", "Bearer hunter2"),
        ("${file:/windows}", "hunter2"),
        ("${file:/two}", "hunter2\n"),
        ("${file:/gone:-x}", "x"),
        ("<${claim:email}>", "<ada@example.com>"),
        ("${principal:id}", "p1"),
        ("${param:tenant:-default}", "default"),
        ("${param:empty:-default}", "default"),
        ("$$", "$"),
        ("$${SET}", "${SET}"),
        ("$$${SET}", "$value"),
        ("5$ and $x", "5$ and $x"),
        ("a}b", "a}b"),
    ] {
        assert_eq!(rendered(written), meant, "{written}");
    }
}

#[test]
fn what_was_filled_in_is_not_read_again() {
    assert_eq!(rendered("${DOLLAR}"), "${claim:email}");
}

#[test]
fn a_mistake_says_what_to_write() {
    for (written, position, text, hint) in [
        (
            "ab ${X",
            3,
            "a `${` is never closed",
            "close it with `}`, or write `$$` for a literal `$`",
        ),
        ("${}", 0, "`${}` has no name", "write it like `${claim:email}`"),
        (
            "${claim:}",
            0,
            "`${claim:}` has no name",
            "write it like `${claim:email}`",
        ),
        ("${:-x}", 0, "`${}` has no name", "write it like `${claim:email}`"),
        (
            "${clam:email}",
            0,
            "`${clam:…}` is not a template we know",
            "did you mean `${claim:email}`?",
        ),
        (
            "${input:token}",
            0,
            "`${input:…}` is not a template we know",
            "put the value into the environment and write `${env:token}`",
        ),
        (
            "${principal:nam}",
            0,
            "a principal has no `nam`",
            "did you mean `name`?",
        ),
        (
            "${NAME-x}",
            0,
            "`NAME-x` cannot be a variable",
            "a variable has letters, digits and `_`; a default follows `:-`",
        ),
        (
            "${A:-${B}}",
            0,
            "the default of `${A}` holds another template",
            "a default is plain text",
        ),
        (
            "${claim: email}",
            0,
            "`${claim: email}` has a space beside its name",
            "remove it",
        ),
    ] {
        let error = Template::parse(written).unwrap_err();
        assert_eq!(
            (error.position, error.text.as_str(), error.hint.as_deref()),
            (position, text, Some(hint)),
            "{written}"
        );
    }
}

#[test]
fn everything_missing_at_load_is_named_at_once() {
    let missing = Template::parse("${A} ${file:/gone} ${SET} ${B}")
        .unwrap()
        .resolve(&World::default())
        .unwrap_err();

    assert_eq!(missing.len(), 3);
    assert_eq!(missing[0], Unresolved::Variable { name: "A".to_owned() });
    assert_eq!(
        missing[1].to_string(),
        "the file `/gone` cannot be read: entity not found"
    );
}

#[test]
fn what_a_call_did_not_bring_is_named() {
    let missing = Template::parse("${claim:email} ${user:crm}")
        .unwrap()
        .render(&World::default())
        .unwrap_err();

    assert_eq!(
        missing,
        Missing {
            kind: Kind::User,
            name: "crm".to_owned()
        }
    );
    assert_eq!(missing.to_string(), "`${user:crm}` is missing");
}

#[test]
fn a_template_without_holes_asks_nothing_and_copies_nothing() {
    let world = World::default();
    let template = Template::parse("Bearer ${file:/secret} $$")
        .unwrap()
        .resolve(&world)
        .unwrap();

    assert_eq!(template.as_static(), Some("Bearer hunter2 $"));
    assert!(matches!(template.render(&world), Ok(Cow::Borrowed(_))));
    assert_eq!((template.needs().count(), world.questions.get()), (0, 0));
}

#[test]
fn needs_are_what_a_call_must_bring() {
    let template = Template::parse("${SET}${claim:email}-${param:t:-x}")
        .unwrap()
        .resolve(&World::default())
        .unwrap();

    assert_eq!(
        template.needs().collect::<Vec<_>>(),
        [(Kind::Claim, "email"), (Kind::Param, "t")]
    );
}

#[test]
fn an_unresolved_template_reads_nothing_during_a_call() {
    let missing = Template::parse("${file:/secret}")
        .unwrap()
        .render(&World::default())
        .unwrap_err();

    assert_eq!(missing.kind, Kind::File);
}

#[test]
fn nothing_filled_in_is_printed() {
    let template = Template::parse("Bearer ${file:/secret} ${claim:email:-hunter2}").unwrap();

    assert_eq!(
        format!("{:?}", template.resolve(&World::default()).unwrap()),
        "***${claim:email:-***}"
    );
}

#[test]
fn a_header_value_has_no_line_ends() {
    assert!(is_header_safe("Bearer abc\tdéf"));
    for broken in ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
        assert!(!is_header_safe(broken), "{broken:?}");
    }
}
