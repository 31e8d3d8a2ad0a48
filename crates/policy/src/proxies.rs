//! Where a request comes from, when proxies stand in front: what they say is believed of those alone whom the file
//! names. Everybody else may write into these headers what they like.

use std::net::IpAddr;

use config::{Field, Located, Problem, scalar};
use http::{HeaderMap, header};

/// Proxies that a request may have come through; a longer list is made up.
const HOPS: usize = 32;

/// The proxies that are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    bits: u8,
}

impl Proxies {
    /// Reads `trusted_proxies`: addresses and networks.
    pub fn check(field: &Field<'_>) -> Self {
        let mut networks = Vec::new();
        for item in field.list().unwrap_or_default() {
            let Some(network) = item.parsed(network).map(Located::into_value) else {
                continue;
            };
            if network.bits == 0 {
                let text = "everybody is believed about where they come from";
                let problem = Problem::new(Some(item.at()), item.path(), text);
                let hint = "name the addresses that the proxies connect from";
                item.problems().add(problem.hint(hint).warning());
            }
            networks.push(network);
        }
        Self(networks)
    }

    /// Where a request comes from that `peer` has sent: of what its headers list, the last that is none of ours.
    ///
    /// `X-Forwarded-For` and `Forwarded` (RFC 7239) must agree where both stand. A front sets one of them, and what it
    /// passes on of the other its client has written. What is not understood is not believed either: then it is the
    /// peer's own address, which is true in any case.
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.believes(peer) {
            return peer;
        }
        let usual = headers.contains_key("x-forwarded-for");
        let standard = headers.contains_key(header::FORWARDED);
        let told = match (usual, standard) {
            (false, false) => None,
            (true, false) => self.last(&addresses(headers)),
            (false, true) => self.last(&forwarded(headers)),
            (true, true) => {
                let (one, other) = (self.last(&addresses(headers)), self.last(&forwarded(headers)));
                one.filter(|_| one == other)
            }
        };
        told.unwrap_or(peer)
    }

    /// The last that is none of ours, or else the first of all. What stands before it was not said by one of ours, and
    /// need not even be addresses.
    fn last(&self, hops: &[Option<IpAddr>]) -> Option<IpAddr> {
        if hops.len() > HOPS {
            return None;
        }
        let mut last = None;
        for hop in hops.iter().rev() {
            let hop = (*hop)?;
            last = Some(hop);
            if !self.believes(hop) {
                break;
            }
        }
        last
    }

    fn believes(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
}

impl Network {
    fn holds(self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                first.to_bits() == address.to_bits() & mask
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                first.to_bits() == address.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn network(text: &str) -> Result<Network, scalar::Wrong> {
    let wrong = || {
        scalar::Wrong::new(format!(
            "`{}` is neither an address nor a network",
            scalar::shown(text)
        ))
        .hint("write `10.0.0.7`, `10.0.0.0/8` or `fd00::/8`")
    };
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
    if bits > most {
        return Err(wrong());
    }
    let network = Network { first: address, bits };
    if !network.holds(address) {
        let first = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        };
        return Err(
            scalar::Wrong::new(format!("`{text}` has bits behind the first {bits}"))
                .hint(format!("write `{first}/{bits}`")),
        );
    }
    Ok(network)
}

/// The addresses of all lines of `X-Forwarded-For`, in their order; nothing in place of what is none.
fn addresses(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all("x-forwarded-for").iter();
    let items = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    items
        .map(|item| address(std::str::from_utf8(item).ok()?.trim()))
        .collect()
}

/// The same of `Forwarded`: what stands behind `for` in each of its elements.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    for line in headers.get_all(header::FORWARDED) {
        let Ok(line) = line.to_str() else {
            return vec![None];
        };
        let elements = unquoted(line, b',');
        hops.extend(elements.into_iter().map(|element| {
            let mut pairs = unquoted(element, b';').into_iter();
            let node = pairs.find_map(|pair| {
                let (name, node) = pair.trim().split_once('=')?;
                name.eq_ignore_ascii_case("for").then_some(node)
            })?;
            let bare = node.strip_prefix('"').and_then(|node| node.strip_suffix('"'));
            address(bare.unwrap_or(node))
        }));
    }
    hops
}

/// The parts of a line between separators that do not stand in quotes.
fn unquoted(line: &str, separator: u8) -> Vec<&str> {
    let mut quoted = false;
    line.split(|letter: char| {
        quoted ^= letter == '"';
        !quoted && letter == char::from(separator)
    })
    .collect()
}

/// An address, with or without a port behind it.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let bare = match (bracketed, text.split_once(':')) {
        (Some((address, "")), _) => address,
        (Some((address, port)), _) => port
            .strip_prefix(':')
            .filter(|port| is_port(port))
            .map(|_| address)?,
        // One colon is before a port; an address of version 6 has several.
        (None, Some((address, port))) if !port.contains(':') => Some(address).filter(|_| is_port(port))?,
        (None, _) => text,
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// RFC 7239 §6 allows names in place of numbers, which say nothing to us.
fn is_port(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|letter| letter.is_ascii_alphanumeric() || b"._-".contains(&letter))
}

#[cfg(test)]
mod tests {
    use config::{Problems, Source};

    use super::*;

    fn read(text: &str) -> (Proxies, String) {
        let source = Source::from_text("f", text);
        let problems = Problems::default();
        let node = source.parse(&problems).unwrap();
        let read = Proxies::check(&Field::root(&node, &problems));
        (read, problems.render(&source))
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let (proxies, said) = read("[10.0.0.0/8, 127.0.0.1, \"fd00::/8\"]");
        assert_eq!(said, "");
        let usual = "x-forwarded-for";
        for (peer, lines, source) in [
            // Nobody else is.
            ("192.0.2.1", &[(usual, "198.51.100.7")][..], "192.0.2.1"),
            ("127.0.0.2", &[(usual, "198.51.100.7")], "127.0.0.2"),
            ("11.0.0.1", &[("forwarded", "for=198.51.100.7")], "11.0.0.1"),
            // The last that is none of ours; what stands before it its client has written.
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &[(usual, "198.51.100.7")], "198.51.100.7"),
            ("::ffff:127.0.0.1", &[(usual, "198.51.100.7")], "198.51.100.7"),
            ("fd12::1", &[(usual, "2001:db8::7")], "2001:db8::7"),
            (
                "10.1.2.3",
                &[(usual, "1.1.1.1, 198.51.100.7, 10.9.9.9")],
                "198.51.100.7",
            ),
            ("10.1.2.3", &[(usual, "evil, 198.51.100.7")], "198.51.100.7"),
            (
                "10.1.2.3",
                &[(usual, "1.1.1.1"), (usual, "198.51.100.7")],
                "198.51.100.7",
            ),
            ("10.1.2.3", &[(usual, "10.0.0.1, 10.0.0.2")], "10.0.0.1"),
            ("10.1.2.3", &[(usual, "198.51.100.7:4711")], "198.51.100.7"),
            ("10.1.2.3", &[(usual, "[2001:db8::7]:4711")], "2001:db8::7"),
            ("10.1.2.3", &[(usual, "[2001:db8::7]")], "2001:db8::7"),
            // What is not understood is not believed.
            ("10.1.2.3", &[(usual, "")], "10.1.2.3"),
            ("10.1.2.3", &[(usual, "198.51.100.7,")], "10.1.2.3"),
            ("10.1.2.3", &[(usual, "198.51.100.7, unknown")], "10.1.2.3"),
            ("10.1.2.3", &[(usual, "198.51.100.7:")], "10.1.2.3"),
            ("10.1.2.3", &[(usual, "[198.51.100.7")], "10.1.2.3"),
            ("10.1.2.3", &[(usual, &"1.1.1.1,".repeat(40))], "10.1.2.3"),
            // The standard's way to say it.
            (
                "10.1.2.3",
                &[("forwarded", "for=198.51.100.7;proto=https")],
                "198.51.100.7",
            ),
            (
                "10.1.2.3",
                &[("forwarded", "by=x; For=\"[2001:db8::7]:_p\"")],
                "2001:db8::7",
            ),
            (
                "10.1.2.3",
                &[(
                    "forwarded",
                    "for=\"1.1.1.1,for=9.9.9.9\", for=198.51.100.7, for=10.1.1.1",
                )],
                "198.51.100.7",
            ),
            ("10.1.2.3", &[("forwarded", "for=_hidden")], "10.1.2.3"),
            ("10.1.2.3", &[("forwarded", "proto=https")], "10.1.2.3"),
            // Both: one of them may be the client's own.
            (
                "10.1.2.3",
                &[(usual, "198.51.100.7"), ("forwarded", "for=198.51.100.7")],
                "198.51.100.7",
            ),
            (
                "10.1.2.3",
                &[(usual, "198.51.100.7"), ("forwarded", "for=9.9.9.9")],
                "10.1.2.3",
            ),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            let found = proxies.source(peer.parse().unwrap(), &headers);
            assert_eq!(found, source.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_network_is_written_by_its_first_address() {
        for (text, words) in [
            (
                "[10.0.0.1/8]",
                "`10.0.0.1/8` has bits behind the first 8; write `10.0.0.0/8`",
            ),
            ("[\"fd00::1/64\"]", "write `fd00::/64`"),
            (
                "[10.0.0.0/33]",
                "`10.0.0.0/33` is neither an address nor a network",
            ),
            ("[10.0.0.0/]", "neither"),
            ("[localhost]", "neither"),
            ("[0.0.0.0/0]", "warning: [0]: everybody is believed"),
            ("10.0.0.1", "write `[10.0.0.1]`"),
        ] {
            let (_, said) = read(text);
            assert!(said.contains(words), "{text}\n{said}");
        }
        let (all, _) = read("[0.0.0.0/0, \"::/0\"]");
        assert!(all.believes("8.8.8.8".parse().unwrap()) && all.believes("2001:db8::1".parse().unwrap()));
    }
}
