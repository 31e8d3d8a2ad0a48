//! `WWW-Authenticate`: what a server wants to see (RFC 9110 §11.6.1).
//!
//! A line may hold several challenges, a comma both ends one and parts its parameters, and what is quoted may hold
//! commas. So a line is read once, from left to right; what follows the first thing that does not belong there is not
//! guessed at.

/// A longer line, in bytes, is not read.
const LONGEST: usize = 8 << 10;
/// More challenges, of all lines together, are not read.
const MOST: usize = 16;
/// A challenge with more parameters is none.
const MOST_PARAMETERS: usize = 32;

/// One thing that the server would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// In small letters: `bearer`.
    pub scheme: String,
    /// What stands for parameters where there are none: `Negotiate YII=`.
    pub token68: Option<String>,
    /// Names in small letters, and values without their quotes. No name stands twice.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// All challenges of these lines. One in which a name stands twice could be meant either way, and is left out.
    pub fn all<'l>(lines: impl IntoIterator<Item = &'l [u8]>) -> Vec<Self> {
        let mut challenges = Vec::new();
        for line in lines {
            let Some(line) = std::str::from_utf8(line)
                .ok()
                .filter(|line| line.len() <= LONGEST)
            else {
                continue;
            };
            let mut reader = Reader { rest: line };
            while challenges.len() < MOST
                && let Some(challenge) = reader.challenge()
            {
                challenges.extend(challenge);
            }
        }
        challenges
    }

    /// A parameter, by its name in small letters.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(known, _)| known == name);
        named.next().map(|(_, value)| value.as_str())
    }

    fn is_of_two_minds(&self) -> bool {
        let names = |range: &[(String, String)]| -> Vec<String> {
            range.iter().map(|(name, _)| name.clone()).collect()
        };
        let mut names = names(&self.parameters);
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

struct Reader<'l> {
    rest: &'l str,
}

impl<'l> Reader<'l> {
    /// The next challenge; nothing inside if it is to be left out, nothing at all when the line ends, or ends to make
    /// sense.
    fn challenge(&mut self) -> Option<Option<Challenge>> {
        self.skip(|c| matches!(c, ' ' | '\t' | ','));
        let scheme = self.token()?;
        let mut challenge = Challenge {
            scheme: scheme.to_ascii_lowercase(),
            token68: None,
            parameters: Vec::new(),
        };
        if self.skip(|c| c == ' ') == 0 {
            return self.is_at_end().then_some(Some(challenge));
        }
        if let Some(token68) = self.token68() {
            challenge.token68 = Some(token68.to_owned());
            return Some(Some(challenge));
        }
        loop {
            let before = self.rest;
            match self.parameter()? {
                Some(parameter) => challenge.parameters.push(parameter),
                // It is the scheme of the next.
                None => {
                    self.rest = before;
                    break;
                }
            }
            if challenge.parameters.len() > MOST_PARAMETERS {
                return None;
            }
            self.blanks();
            if !self.is_at_end() {
                return None;
            }
            if self.skip(|c| matches!(c, ' ' | '\t' | ',')) == 0 || self.rest.is_empty() {
                break;
            }
        }
        Some((!challenge.is_of_two_minds()).then_some(challenge))
    }

    /// A name and its value; nothing inside if what stands here has no `=`, nothing at all if it has no value.
    fn parameter(&mut self) -> Option<Option<(String, String)>> {
        let Some(name) = self.token() else {
            return self.rest.is_empty().then_some(None);
        };
        self.blanks();
        let Some(rest) = self.rest.strip_prefix('=') else {
            return Some(None);
        };
        self.rest = rest;
        self.blanks();
        let value = match self.rest.strip_prefix('"') {
            Some(rest) => {
                self.rest = rest;
                self.quoted()?
            }
            None => self.token()?.to_owned(),
        };
        Some(Some((name.to_ascii_lowercase(), value)))
    }

    /// What remains of a quoted text behind its first quote.
    fn quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => text.push(characters.next()?),
                other => text.push(other),
            }
        }
        self.rest = characters.as_str();
        Some(text)
    }

    /// A text that stands alone: `=` only at its end, and nothing of the challenge behind it.
    fn token68(&mut self) -> Option<&'l str> {
        let is_of_it = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '+' | '/');
        let body = self.rest.trim_start_matches(is_of_it);
        if body.len() == self.rest.len() {
            return None;
        }
        let after = body.trim_start_matches('=');
        let token68 = &self.rest[..self.rest.len() - after.len()];
        let behind = after.trim_start_matches([' ', '\t']);
        if !behind.is_empty() && !behind.starts_with(',') {
            return None;
        }
        self.rest = behind;
        Some(token68)
    }

    fn token(&mut self) -> Option<&'l str> {
        let is_of_it = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let after = self.rest.trim_start_matches(is_of_it);
        let token = &self.rest[..self.rest.len() - after.len()];
        self.rest = after;
        (!token.is_empty()).then_some(token)
    }

    fn blanks(&mut self) {
        self.skip(|c| matches!(c, ' ' | '\t'));
    }

    fn skip(&mut self, is_skipped: impl Fn(char) -> bool) -> usize {
        let before = self.rest.len();
        self.rest = self.rest.trim_start_matches(is_skipped);
        before - self.rest.len()
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty() || self.rest.starts_with(',')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(line: &str) -> Vec<Challenge> {
        Challenge::all([line.as_bytes()])
    }

    fn shown(line: &str) -> String {
        let challenges = all(line);
        let texts = challenges.iter().map(|challenge| {
            let mut text = challenge.scheme.clone();
            if let Some(token68) = &challenge.token68 {
                text += &format!(" {token68}");
            }
            for (name, value) in &challenge.parameters {
                text += &format!(" {name}<{value}>");
            }
            text
        });
        texts.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_line_is_the_challenges_that_it_holds() {
        for (line, meant) in [
            ("", ""),
            (", ,", ""),
            ("Bearer", "bearer"),
            ("Bearer ", "bearer"),
            ("Bearer realm=x", "bearer realm<x>"),
            (
                "BEARER Realm = \"x\" , Scope=\"a b\"",
                "bearer realm<x> scope<a b>",
            ),
            (
                r#"Bearer a="x, Basic realm=\"y\"",b=z"#,
                r#"bearer a<x, Basic realm="y"> b<z>"#,
            ),
            (
                "Basic realm=\"a\", Bearer scope=\"b\"",
                "basic realm<a>; bearer scope<b>",
            ),
            ("Negotiate, Bearer a=b", "negotiate; bearer a<b>"),
            ("Negotiate YII==, Bearer a=b", "negotiate YII==; bearer a<b>"),
            (
                "Bearer a=b, Negotiate YII, Basic c=d",
                "bearer a<b>; negotiate YII; basic c<d>",
            ),
            ("Bearer a=b,, c=d,", "bearer a<b> c<d>"),
            ("Bearer a=b c=d", ""),
            ("Bearer a=", "bearer a="),
            ("Bearer a=\"b", ""),
            ("Bearer a=\"b\\", ""),
            ("Bearer a=b, A=c, Basic d=e", "basic d<e>"),
            ("Basic a=b, Bearer \u{1}=x", "basic a<b>"),
            ("a=b", ""),
        ] {
            assert_eq!(shown(line), meant, "{line}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        assert_eq!(shown(&format!("Bearer a=\"{}\"", "x".repeat(LONGEST))), "");
        assert_eq!(all(&"a,".repeat(100)).len(), MOST);
        let parameters: Vec<_> = (0..=MOST_PARAMETERS)
            .map(|number| format!("a{number}=b"))
            .collect();
        assert_eq!(shown(&format!("Bearer {}", parameters.join(","))), "");
        assert_eq!(Challenge::all([&b"Bearer a=\"\xff\""[..]]), []);
    }

    proptest! {
        #[test]
        fn any_line_is_read_to_an_end(line in "[ -~]{0,200}") {
            prop_assert!(all(&line).len() <= MOST);
        }

        #[test]
        fn what_is_written_is_read_back(
            challenges in prop::collection::vec(
                ("[a-z]{1,8}", prop::collection::btree_map("[a-z]{1,8}", "[ -~]{0,20}", 1..5)), 1..5,
            ),
        ) {
            let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
            let written = challenges.iter().map(|(scheme, parameters)| {
                let parameters = parameters.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value)));
                format!("{scheme} {}", parameters.collect::<Vec<_>>().join(", "))
            });
            let read = all(&written.collect::<Vec<_>>().join(", "));
            let meant = challenges.into_iter().map(|(scheme, parameters)| Challenge {
                scheme, token68: None, parameters: parameters.into_iter().collect(),
            });
            prop_assert_eq!(read, meant.collect::<Vec<_>>());
        }
    }
}
