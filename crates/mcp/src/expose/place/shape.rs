//! Shapes of JSON in which places lie, and one walk over a text that finds them all.
//!
//! The walk goes as deep as a shape does, never as deep as a text: what no shape names is passed over.

use super::Place;
use crate::json::{self, Scanner, Syntax};
use crate::span::Span;

/// What a value looks like as far as it matters here. A value that looks otherwise has no places.
pub(super) enum Shape {
    /// A string, which is a place.
    Text(Place),
    /// An object with these members.
    Object(&'static [(&'static str, Shape)]),
    /// An object whose members are all alike, whatever their names.
    Map(&'static Shape),
    /// An array.
    Array(&'static Shape),
    /// An array, or one value in its stead.
    Content(&'static Shape),
    /// An object that says in a member which of these it is.
    Tagged(&'static str, &'static [Case]),
    /// As another shape that is said elsewhere.
    As(&'static Shape),
}

/// A member of an object that says that it is one of a kind.
pub(super) struct Case {
    /// What the object must say that it is: one of these.
    pub(super) is: &'static [&'static str],
    pub(super) member: &'static str,
    pub(super) shape: Shape,
}

/// A place that was found.
#[derive(Clone, Copy)]
struct Found {
    place: Place,
    span: Span,
    /// Which of the cases of the innermost tagged object around it that is still being walked it is of.
    case: u8,
}

/// The places of one value and nothing behind it, in the order of the text. `None` if the text is not JSON.
pub(super) fn places(
    shape: &'static Shape,
    scanner: &mut Scanner<'_>,
) -> Option<impl Iterator<Item = (Place, Span)> + use<>> {
    let mut found = Vec::new();
    walk(shape, scanner, &mut found).ok()?;
    scanner.end().ok()?;
    // Nothing is known of what was leapt over.
    let found = if scanner.too_deep().is_none() {
        found
    } else {
        Vec::new()
    };
    Some(found.into_iter().map(|found| (found.place, found.span)))
}

fn walk(shape: &'static Shape, scanner: &mut Scanner<'_>, found: &mut Vec<Found>) -> Result<Span, Syntax> {
    match (shape, scanner.peek()) {
        (Shape::As(shape), _) => walk(shape, scanner, found),
        (Shape::Text(place), Some(b'"')) => {
            let span = scanner.value()?;
            found.push(Found {
                place: *place,
                span,
                case: 0,
            });
            Ok(span)
        }
        (Shape::Object(members), Some(b'{')) => scanner.object(|scanner, name| {
            let member = members.iter().find(|(member, _)| *member == name);
            walk_if(member.map(|(_, shape)| shape), scanner, found)
        }),
        (Shape::Map(each), Some(b'{')) => scanner.object(|scanner, _| walk_if(Some(each), scanner, found)),
        (Shape::Array(each) | Shape::Content(each), Some(b'[')) => {
            scanner.array(|scanner| walk_if(Some(each), scanner, found))
        }
        (Shape::Content(one), _) => walk(one, scanner, found),
        (Shape::Tagged(tag, cases), Some(b'{')) => tagged(tag, cases, scanner, found),
        (Shape::Text(_) | Shape::Object(_) | Shape::Map(_) | Shape::Array(_) | Shape::Tagged(..), _) => {
            scanner.value()
        }
    }
}

fn walk_if(
    shape: Option<&'static Shape>,
    scanner: &mut Scanner<'_>,
    found: &mut Vec<Found>,
) -> Result<(), Syntax> {
    match shape {
        Some(shape) => walk(shape, scanner, found),
        None => scanner.value(),
    }
    .map(|_| ())
}

/// The tag may stand behind what it decides over. So all cases are walked, and those it has not said are let go of.
fn tagged(
    tag: &'static str,
    cases: &'static [Case],
    scanner: &mut Scanner<'_>,
    found: &mut Vec<Found>,
) -> Result<Span, Syntax> {
    let first = found.len();
    // One bit for each case, of which there are few.
    let mut said = 0_u32;
    let walked = scanner.object(|scanner, name| {
        if name == tag {
            let value = scanner.value()?;
            if let Some(is) = json::decode(scanner.text(value)) {
                for (number, case) in cases.iter().enumerate() {
                    said |= u32::from(case.is.contains(&&*is)) << number;
                }
            }
            return Ok(());
        }
        let Some(number) = cases.iter().position(|case| case.member == name) else {
            return scanner.value().map(|_| ());
        };
        let from = found.len();
        walk(&cases[number].shape, scanner, found)?;
        for found in &mut found[from..] {
            found.case = u8::try_from(number).unwrap_or(u8::MAX);
        }
        Ok(())
    })?;
    let mut kept = first;
    for index in first..found.len() {
        if said >> found[index].case & 1 == 1 {
            found[kept] = found[index];
            kept += 1;
        }
    }
    found.truncate(kept);
    Ok(walked)
}
