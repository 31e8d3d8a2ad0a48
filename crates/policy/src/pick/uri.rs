//! A URI as its server may come to read it. Servers parse what they are given; who judges it as it is written judges
//! something else.

use percent_encoding::percent_decode_str;

/// The same URI without what parsers take away or make the same: white space, capitals of scheme and host, percent
/// signs, backslashes, `.` and `..`.
pub(super) fn normal(uri: &str) -> String {
    let kept: String = uri
        .chars()
        .filter(|letter| !matches!(letter, '\t' | '\r' | '\n'))
        .collect();
    let kept = kept.trim_matches(|letter: char| letter <= ' ');
    let decoded = percent_decode_str(kept).decode_utf8_lossy().replace('\\', "/");
    let Some((scheme, rest)) = decoded.split_once(':') else {
        return decoded;
    };
    let scheme = scheme.to_ascii_lowercase();
    let Some(rest) = rest.strip_prefix("//") else {
        return format!("{scheme}:{rest}");
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (path, rest) = rest.split_at(end);
    let authority = authority.to_ascii_lowercase();
    format!("{scheme}://{authority}{}{rest}", without_dots(path))
}

/// A path in which `.` and `..` were followed (RFC 3986 §5.2.4).
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut followed = path.split('/').peekable();
    while let Some(segment) = followed.next() {
        if !matches!(segment, "." | "..") {
            segments.push(segment);
            continue;
        }
        // What begins the path stays.
        if segment == ".." && segments.len() > 1 {
            segments.pop();
        }
        if followed.peek().is_none() {
            segments.push("");
        }
    }
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_uri_is_one() {
        for (spelled, read) in [
            ("note://private/p", "note://private/p"),
            ("NOTE://Private/p", "note://private/p"),
            ("no\tte://private/p\n", "note://private/p"),
            (" note://private/p", "note://private/p"),
            ("note://%70rivate/p", "note://private/p"),
            ("note:\\\\private\\p", "note://private/p"),
            ("file:///public/../private/p", "file:///private/p"),
            ("file:///public/./a/..", "file:///public/"),
            ("file:///../../a", "file:///a"),
            ("note://{id}", "note://{id}"),
            ("URN:a:B", "urn:a:B"),
            ("plain", "plain"),
        ] {
            assert_eq!(normal(spelled), read, "{spelled:?}");
        }
    }
}
