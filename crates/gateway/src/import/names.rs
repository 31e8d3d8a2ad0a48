//! What servers are called here: as in the file, or as near to it as a name can be.

use std::collections::HashSet;

use config::scalar::server_name;

use crate::terminal::harmless;

/// The longest name.
const LONGEST: usize = 64;

/// The names that are given away.
#[derive(Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// Names of the files that can stay as they are.
    reserved: HashSet<String>,
}

impl Names {
    /// A name that stands in a file.
    pub(super) fn reserve(&mut self, name: &str) {
        if server_name(name).is_ok() {
            self.reserved.insert(name.to_owned());
        }
    }

    /// What it is called; a change is told.
    pub(super) fn fit(&mut self, name: &str, tell: &mut dyn FnMut(String)) -> String {
        if server_name(name).is_ok() && self.taken.insert(name.to_owned()) {
            return name.to_owned();
        }
        let near = near(name);
        let mut fitting = near.clone();
        let mut number = 2;
        while self.reserved.contains(&fitting) || !self.taken.insert(fitting.clone()) {
            let end = format!("-{number}");
            fitting = format!("{}{end}", &near[..near.len().min(LONGEST - end.len())]);
            number += 1;
        }
        let shown = harmless::line(name);
        tell(match server_name(name) {
            Err(wrong) if !wrong.text.is_empty() => {
                format!("is called `{fitting}` here, since `{shown}` cannot name a server")
            }
            _ => format!("is called `{fitting}` here, since another has its name"),
        });
        fitting
    }
}

/// A name that could be, of letters, digits, `_`, `.` and `-`.
fn near(name: &str) -> String {
    let mut near = String::new();
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') => near.push(c),
            _ if near.ends_with('-') => {}
            _ => near.push('-'),
        }
    }
    let mut near = near.trim_matches('-').to_owned();
    near.truncate(LONGEST);
    if near.trim_matches('.').is_empty() {
        near = "server".to_owned();
    }
    if server_name(&near).is_err() {
        near.push_str("-server");
    }
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_can_name_a_server_and_none_is_given_twice() {
        let mut names = Names::default();
        let long = "x".repeat(80);
        let given = [
            "my server",
            "my-server",
            "sse",
            "日本",
            "..",
            "",
            &long,
            &long,
            "my/server",
        ];
        for name in given {
            names.reserve(name);
        }
        let fitted: Vec<String> = given.iter().map(|name| names.fit(name, &mut |_| {})).collect();

        let expected = [
            "my-server-2",
            "my-server",
            "sse-server",
            "server",
            "server-2",
            "server-3",
        ];
        assert_eq!(fitted[..6], expected);
        let different: HashSet<&String> = fitted.iter().collect();
        assert_eq!(different.len(), given.len());
        assert!(fitted.iter().all(|name| server_name(name).is_ok()), "{fitted:?}");
    }
}
