//! Which hosts are ours, and which pages may call us: checked before anything else, on every route.
//!
//! A browser page that rebinds its own name to our address sends its name as `Host` and `Origin`;
//! neither is one of ours, so it is refused before a byte of its body is read.

use std::fmt;
use std::net::IpAddr;

/// Names under which a loopback listener is reached, containers of this machine included.
const LOOPBACK: [&str; 5] = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    "host.docker.internal",
    "host.containers.internal",
];

/// What a listener answers to.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    hosts: Vec<String>,
    judges_host: bool,
    /// Whether a host that is an address, and no name, is ours.
    takes_addresses: bool,
}

/// Why a request may not come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Its `Host` is not one of ours.
    Host,
    /// It comes from a page of another origin.
    Origin,
}

impl Gate {
    /// A gate for a listener: `named` are the hosts of `hosts:`, of `public_url` and of routes.
    /// On loopback its usual names are added; elsewhere the host is judged only if any is named.
    pub fn new(loopback: bool, named: impl IntoIterator<Item = String>) -> Self {
        let mut hosts: Vec<String> = named
            .into_iter()
            .map(|host| without_port(&host).to_ascii_lowercase())
            .collect();
        let judges_host = loopback || !hosts.is_empty();
        if loopback {
            hosts.extend(LOOPBACK.map(str::to_owned));
        }
        Self {
            hosts,
            judges_host,
            takes_addresses: false,
        }
    }

    /// A gate for the operator's pages. Their readers are on this machine, or ask by an address, as a
    /// collector of metrics does; a page can rebind a name to us, but never an address.
    pub fn for_operators(loopback: bool, named: impl IntoIterator<Item = String>) -> Self {
        let mut gate = Self::new(loopback, named);
        if !loopback {
            gate.hosts.extend(LOOPBACK.map(str::to_owned));
        }
        gate.takes_addresses = true;
        gate
    }

    /// Whether a request with these headers may come in. `host` is `None` when it is missing or
    /// written more than once.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, host: Option<&str>, origin: Option<&str>) -> Result<(), Denied> {
        let may_call = |host: &str| self.is_ours(host) || (self.takes_addresses && is_address(host));
        if self.judges_host && !host.is_some_and(may_call) {
            return Err(Denied::Host);
        }
        match origin {
            None => Ok(()),
            Some(origin)
                if origin
                    .split_once("://")
                    .is_some_and(|(_, host)| self.is_ours(host)) =>
            {
                Ok(())
            }
            Some(_) => Err(Denied::Origin),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = without_port(host);
        self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host))
    }
}

/// The host of `host:port`; brackets of an IPv6 address stay.
pub fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        Some(_) | None => host,
    }
}

fn is_address(host: &str) -> bool {
    let host = without_port(host);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse::<IpAddr>().is_ok()
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("this host name is not one of ours; `hosts:` or `public_url:` in the gateway's file names them"),
            Self::Origin => f.write_str("pages of this origin may not call the gateway"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_listener_answers_to_its_usual_names_on_any_port() {
        let gate = Gate::new(true, []);
        for host in [
            "localhost",
            "localhost:7080",
            "127.0.0.1:1",
            "[::1]:7080",
            "LOCALHOST",
            "host.docker.internal:7080",
        ] {
            assert_eq!(gate.judge(Some(host), None), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "[::2]:7080",
        ] {
            assert_eq!(gate.judge(Some(host), None), Err(Denied::Host), "{host}");
        }
        assert_eq!(gate.judge(None, None), Err(Denied::Host));
    }

    #[test]
    fn a_page_of_another_origin_is_denied() {
        let gate = Gate::new(true, ["tools.example.com".to_owned()]);
        assert_eq!(
            gate.judge(Some("localhost"), Some("http://localhost:6274")),
            Ok(())
        );
        assert_eq!(
            gate.judge(Some("localhost"), Some("https://tools.example.com")),
            Ok(())
        );
        for origin in [
            "https://evil.example",
            "null",
            "",
            "http://localhost.evil.example",
            "localhost",
        ] {
            assert_eq!(
                gate.judge(Some("localhost"), Some(origin)),
                Err(Denied::Origin),
                "{origin}"
            );
        }
    }

    #[test]
    fn an_operator_asks_by_an_address_or_from_this_machine() {
        for gate in [
            Gate::for_operators(true, []),
            Gate::for_operators(false, ["tools.example.com".to_owned()]),
        ] {
            for host in [
                "localhost:9090",
                "127.0.0.1:9090",
                "10.1.2.3:9090",
                "[fd00::1]:9090",
            ] {
                assert_eq!(gate.judge(Some(host), None), Ok(()), "{host}");
            }
            for host in ["evil.example", "10.1.2.3.evil.example", ""] {
                assert_eq!(gate.judge(Some(host), None), Err(Denied::Host), "{host}");
            }
            assert_eq!(
                gate.judge(Some("10.1.2.3"), Some("http://10.1.2.3")),
                Err(Denied::Origin)
            );
        }
    }

    #[test]
    fn a_public_listener_judges_the_host_once_it_knows_its_names() {
        assert_eq!(Gate::new(false, []).judge(Some("anything"), None), Ok(()));
        assert_eq!(
            Gate::new(false, []).judge(Some("anything"), Some("http://anything")),
            Err(Denied::Origin)
        );
        let named = Gate::new(false, ["tools.example.com:443".to_owned()]);
        assert_eq!(named.judge(Some("tools.example.com"), None), Ok(()));
        assert_eq!(named.judge(Some("localhost"), None), Err(Denied::Host));
    }
}
