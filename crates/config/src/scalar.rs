//! Values of one word: durations, sizes, names and addresses, each with an error that says what is wanted.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Why a word cannot be used, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong: `` `5` has no unit ``.
    pub text: String,
    /// What to do: ``did you mean `5s`?``
    pub hint: Option<String>,
}

impl Wrong {
    /// What is wrong, in lower case without a full stop.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

const UNITS_OF_TIME: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// A length of time: `500ms`, `300s`, `10m`, `1h`, `2d`, `1h30m`.
///
/// # Errors
/// A missing or unknown unit, a fraction, or more than `u64` milliseconds.
pub fn duration(text: &str) -> Result<Duration, Wrong> {
    let refused = |why: &str| Wrong::new(format!("`{}` {why}", shown(text)));
    let mut rest = text;
    let mut total: u64 = 0;
    loop {
        let (count, after) = digits(rest);
        if count.is_empty() {
            return Err(
                refused("is not a length of time").hint("write it like `500ms`, `30s`, `10m`, `1h` or `2d`")
            );
        }
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let Some((_, length)) = UNITS_OF_TIME.iter().find(|(known, _)| *known == unit) else {
            return Err(unknown_unit_of_time(text, count, unit));
        };
        let part = count
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(*length));
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| refused("is longer than we can count"))?;
        if after.is_empty() {
            return Ok(Duration::from_millis(total));
        }
        rest = after;
    }
}

fn unknown_unit_of_time(text: &str, count: &str, unit: &str) -> Wrong {
    let said = shown(text);
    let known = match unit.trim().to_ascii_lowercase().trim_end_matches('s') {
        "" if unit.is_empty() => {
            return Wrong::new(format!("`{said}` has no unit")).hint(format!("did you mean `{count}s`?"));
        }
        "" | "sec" | "second" => "s",
        "m" | "min" | "minute" => "m",
        "milli" | "msec" | "millisecond" => "ms",
        "h" | "hr" | "hour" => "h",
        "d" | "day" => "d",
        _ if unit.starts_with('.') => {
            return Wrong::new(format!("`{said}` has a fraction"))
                .hint("use a smaller unit: `1500ms` rather than `1.5s`");
        }
        _ => {
            return Wrong::new(format!("`{said}` has a unit we do not know"))
                .hint("ours are `ms`, `s`, `m`, `h` and `d`");
        }
    };
    Wrong::new(format!("`{said}` has a unit we do not know")).hint(format!("did you mean `{count}{known}`?"))
}

const UNITS_OF_SIZE: [(&str, u64); 8] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
];

/// A number of bytes: `10MiB`, `512KiB`, `1GB`, `4096`.
///
/// # Errors
/// No number, a fraction, an unknown unit, or more than `u64` bytes.
pub fn size(text: &str) -> Result<u64, Wrong> {
    let refused = |why: &str| Wrong::new(format!("`{}` {why}", shown(text)));
    let (count, unit) = digits(text);
    if count.is_empty() {
        return Err(refused("is not a size").hint("write it like `512KiB`, `10MiB` or `1GB`"));
    }
    let unit = unit.trim_start().to_ascii_lowercase();
    let Some((_, length)) = UNITS_OF_SIZE.iter().find(|(known, _)| *known == unit) else {
        let hint = match unit.as_str() {
            "k" => format!("did you mean `{count}KiB`?"),
            "m" => format!("did you mean `{count}MiB`?"),
            "g" => format!("did you mean `{count}GiB`?"),
            _ => "ours are `KiB`, `MiB`, `GiB`, `KB`, `MB`, `GB`, or none for bytes".to_owned(),
        };
        return Err(refused("has a unit we do not know").hint(hint));
    };
    let size = count
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(*length));
    size.ok_or_else(|| refused("is more than we can count"))
}

/// Words that mean something else in the path of a URL.
pub const REFUSED_NAMES: [&str; 6] = ["sse", "message", "messages", "notifications", "health", "ready"];

/// The name of a server: up to 64 of `A–Z a–z 0–9 _ . -`, and none of the [`REFUSED_NAMES`].
///
/// # Errors
/// Which of these rules it breaks.
pub fn server_name(text: &str) -> Result<String, Wrong> {
    let refused = |why: &str| Wrong::new(format!("`{}` {why}", shown(text)));
    if REFUSED_NAMES.contains(&text) {
        return Err(
            refused("cannot name a server").hint(format!("it would hide `/mcp/{text}`; choose another word"))
        );
    }
    if text.is_empty() || text.len() > 64 {
        return Err(refused("cannot name a server").hint("a name has 1 to 64 characters"));
    }
    if text.starts_with('.') && text.trim_matches('.').is_empty() {
        return Err(
            refused("cannot name a server").hint("in a URL it means a directory; choose another word")
        );
    }
    let odd = |c: &char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | '-');
    if text.chars().any(|c| odd(&c)) {
        let better: String = text.chars().map(|c| if odd(&c) { '-' } else { c }).collect();
        return Err(refused("cannot name a server").hint(format!(
            "letters, digits, `_`, `.` and `-` can be used: `{better}`"
        )));
    }
    Ok(text.to_owned())
}

/// An address to listen on: `127.0.0.1:7080`, `[::]:7080`, `localhost:7080`. No name is looked up.
///
/// # Errors
/// What is missing.
pub fn listen_address(text: &str) -> Result<SocketAddr, Wrong> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let refused = Wrong::new(format!("`{}` is not an address to listen on", shown(text)));
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None if digits(text).1.is_empty() => ("", text),
        None => (text, ""),
    };
    if text.parse::<IpAddr>().is_ok() || port.is_empty() {
        let host = if text.contains("::") {
            format!("[{text}]")
        } else {
            host.to_owned()
        };
        return Err(refused.hint(format!("a port is missing: `{host}:7080`")));
    }
    let Ok(number) = port.parse::<u16>() else {
        return Err(refused.hint("a port is a number from 0 to 65535"));
    };
    match host {
        "localhost" => Ok(SocketAddr::from(([127, 0, 0, 1], number))),
        "" | "*" => Err(refused.hint(format!(
            "write `127.0.0.1:{port}`, or `0.0.0.0:{port}` for every interface"
        ))),
        _ => Err(refused.hint(format!("write an IP address and a port: `127.0.0.1:{port}`"))),
    }
}

/// The word of `known` that was probably meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let furthest = (word.chars().count() / 3).max(1);
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&word, &known.to_lowercase()), *known))
        .filter(|(distance, known)| *distance <= furthest && *distance < known.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// What to say about a word that is not among those known.
#[must_use]
pub fn suggestion(word: &str, known: &[&str]) -> String {
    if let Some(nearest) = nearest(word, known) {
        return format!("did you mean `{nearest}`?");
    }
    let list: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
    match list.as_slice() {
        [] => "none is known here".to_owned(),
        [only] => format!("the only one is {only}"),
        [.., _] => format!("there are {}", list.join(", ")),
    }
}

/// A word as it may be shown in a message: short, and without control characters.
#[must_use]
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let visible = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = visible.take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_say_which() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("300s", 300_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for (text, wanted) in [
            ("5", "did you mean `5s`?"),
            ("5sec", "did you mean `5s`?"),
            ("5 s", "did you mean `5s`?"),
            ("10 minutes", "did you mean `10m`?"),
            ("1.5s", "use a smaller unit: `1500ms` rather than `1.5s`"),
            ("3w", "ours are `ms`, `s`, `m`, `h` and `d`"),
            ("soon", "write it like `500ms`, `30s`, `10m`, `1h` or `2d`"),
            ("", "write it like `500ms`, `30s`, `10m`, `1h` or `2d`"),
            ("-5s", "write it like `500ms`, `30s`, `10m`, `1h` or `2d`"),
        ] {
            assert_eq!(
                duration(text).unwrap_err().hint.as_deref(),
                Some(wanted),
                "{text}"
            );
        }
        assert!(duration("99999999999999999999d").is_err());
        assert!(duration("18446744073709551615d").is_err());
    }

    #[test]
    fn sizes_are_binary_or_decimal_but_never_doubtful() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("512KiB", 524_288),
            ("10MiB", 10_485_760),
            ("1GB", 1_000_000_000),
            ("1 gib", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert_eq!(
            size("10M").unwrap_err().hint.as_deref(),
            Some("did you mean `10MiB`?")
        );
        for text in ["", "big", "1.5MiB", "10 parsecs", "99999999999GiB", "-1"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_name_fits_a_path_and_hides_none() {
        for text in ["docs", "crm-a", "A.b_c", "a..b", &"x".repeat(64)] {
            assert!(server_name(text).is_ok(), "{text}");
        }
        for text in
            REFUSED_NAMES
                .into_iter()
                .chain(["", ".", "..", "a b", "a/b", "ä", "a,b", &"x".repeat(65)])
        {
            assert!(server_name(text).is_err(), "{text}");
        }
        assert!(
            server_name("my server")
                .unwrap_err()
                .hint
                .is_some_and(|hint| hint.contains("`my-server`"))
        );
    }

    #[test]
    fn an_address_to_listen_on_has_host_and_port() {
        for text in ["127.0.0.1:7080", "0.0.0.0:0", "[::1]:80", "localhost:7080"] {
            assert!(listen_address(text).is_ok(), "{text}");
        }
        for (text, wanted) in [
            ("127.0.0.1", "a port is missing: `127.0.0.1:7080`"),
            ("::1", "a port is missing: `[::1]:7080`"),
            ("localhost", "a port is missing: `localhost:7080`"),
            (":80", "write `127.0.0.1:80`, or `0.0.0.0:80` for every interface"),
            ("80", "write `127.0.0.1:80`, or `0.0.0.0:80` for every interface"),
            ("127.0.0.1:http", "a port is a number from 0 to 65535"),
            ("127.0.0.1:70000", "a port is a number from 0 to 65535"),
            ("example.com:80", "write an IP address and a port: `127.0.0.1:80`"),
        ] {
            assert_eq!(
                listen_address(text).unwrap_err().hint.as_deref(),
                Some(wanted),
                "{text}"
            );
        }
    }

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["command", "args", "url"];
        assert_eq!(nearest("commnad", &known), Some("command"));
        assert_eq!(nearest("URL", &known), Some("url"));
        assert_eq!(nearest("transport", &known), None);
        assert_eq!(
            suggestion("transport", &known),
            "there are `command`, `args`, `url`"
        );
    }

    #[test]
    fn a_word_in_a_message_is_short_and_tame() {
        assert_eq!(shown("a\u{1b}[31m\nb"), "a\u{fffd}[31m\u{fffd}b");
        assert_eq!(shown(&"x".repeat(100)).chars().count(), 61);
    }
}
