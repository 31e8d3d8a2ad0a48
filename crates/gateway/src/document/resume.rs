//! `resume`: how much is kept for clients that come back to their streams.

use std::time::Duration;

use config::{Field, Located};
use proxy::Resume;

/// What is kept when the section says no more than that it is there.
const USUAL: Resume = Resume {
    events: 1000,
    kept_for: Duration::from_secs(300),
};

/// Nothing is kept unless the section is written.
pub(super) fn check(field: &Field<'_>) -> Option<Resume> {
    let mut fields = field.fields()?;
    let events = fields
        .optional("events")
        .number(1..=100_000)
        .map_or(USUAL.events, Located::into_value);
    let written = fields.optional("for");
    let kept_for = written.duration().map_or(USUAL.kept_for, Located::into_value);
    if !(1..=3600).contains(&kept_for.as_secs()) {
        written.report("events are kept from 1s to 1h", None);
    }
    fields.finish();
    Some(Resume { events, kept_for })
}
