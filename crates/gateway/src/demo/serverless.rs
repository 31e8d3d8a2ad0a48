//! How a function platform treats a server: it starts late, cuts streams and forgets.
//!
//! An instance begins with a request that carries no living session, which waits for the cold start. It
//! lives through a handshake and one answer more; then its session is gone, and the next request with that
//! id gets 404. A stream is cut without its end, whoever still waits for something.

use std::time::Duration;

/// What the platform does to us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serverless {
    /// How long a request waits for an instance.
    pub(super) cold: Duration,
    /// How long a stream lives.
    pub(super) kill: Duration,
}

/// Reads `2s`, `500ms` or `1m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u32 = number
        .parse()
        .map_err(|_| "expected a number and a unit, such as 2s".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number.into())),
        "s" => Ok(Duration::from_secs(number.into())),
        "m" => Ok(Duration::from_secs(60 * u64::from(number))),
        _ => Err("the unit is ms, s or m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        for broken in ["", "2", "s", "2h", "-1s", "1.5s", "99999999999s"] {
            assert!(duration(broken).is_err(), "{broken}");
        }
    }
}
