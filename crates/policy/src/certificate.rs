//! What a certificate says of its holder. Whether that is true was judged before, by the handshake that it came in.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

/// Names that are looked at; no certificate in use has nearly as many.
const NAMES: usize = 256;

/// What a certificate says of its holder, less what nobody here asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The common name of its subject; the last, most specific one where there are several.
    pub common_name: Option<String>,
    /// Subject alternative names that are host names, in lower case. `*.example.com` is one.
    pub hosts: Vec<String>,
    /// Those that are URIs: `spiffe://example.org/agent`.
    pub uris: Vec<String>,
    /// Those that are addresses.
    pub addresses: Vec<IpAddr>,
    /// Before this it is not valid yet.
    pub begins: SystemTime,
    /// After this it is not valid any more.
    pub ends: SystemTime,
}

impl Certificate {
    /// Reads one in DER. `None` when it is none, or its names are more than anybody needs.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let mut names = Self {
            common_name: certificate
                .subject()
                .iter_common_name()
                .last()
                .and_then(|name| name.as_str().ok())
                .filter(|name| is_plain(name))
                .map(str::to_owned),
            hosts: Vec::new(),
            uris: Vec::new(),
            addresses: Vec::new(),
            begins: time(certificate.validity().not_before)?,
            ends: time(certificate.validity().not_after)?,
        };
        // Two of this extension are an error, and so is one that cannot be read.
        let Some(alternative) = certificate.subject_alternative_name().ok()? else {
            return Some(names);
        };
        if alternative.value.general_names.len() > NAMES {
            return None;
        }
        for name in &alternative.value.general_names {
            match name {
                GeneralName::DNSName(name) if is_host(name) => names.hosts.push(name.to_ascii_lowercase()),
                GeneralName::URI(name) if is_uri(name) => names.uris.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                // A name of another kind, or one that no honest authority signs, is no name of ours.
                _ => {}
            }
        }
        Some(names)
    }
}

/// Without characters that make one name look like another where it is shown or compared: a zero byte in the middle
/// has made readers disagree on where a name ends.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|letter| letter.is_control())
}

/// Letters that host names have, and `*`; so that none of them passes for a name of another kind.
fn is_host(name: &str) -> bool {
    let letters = |letter: u8| letter.is_ascii_alphanumeric() || b".-_*".contains(&letter);
    !name.is_empty() && name.bytes().all(letters)
}

/// What begins with a scheme (RFC 3986 §3.1), and so with nothing that another kind of name begins with.
fn is_uri(name: &str) -> bool {
    let scheme = |letter: u8| letter.is_ascii_alphanumeric() || b"+-.".contains(&letter);
    let (head, _) = name.split_once(':').unwrap_or_default();
    is_plain(name) && !head.is_empty() && head.bytes().all(scheme)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// `None` for a time that the system's clock cannot hold.
fn time(time: ASN1Time) -> Option<SystemTime> {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    match seconds >= 0 {
        true => UNIX_EPOCH.checked_add(distance),
        false => UNIX_EPOCH.checked_sub(distance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_passes_for_one_of_another_kind() {
        for (name, host, uri) in [
            ("a.example.com", true, false),
            ("*.example.com", true, false),
            ("CN=a.example.com", false, false),
            ("a.example.com\0.evil", false, false),
            ("spiffe://example.org/agent", false, true),
            ("urn:x:y", false, true),
            ("CN=a:b", false, false),
            (":b", false, false),
            ("x:\n", false, false),
            ("", false, false),
        ] {
            assert_eq!((is_host(name), is_uri(name)), (host, uri), "{name:?}");
        }
        assert!(Certificate::read(b"").is_none());
        assert!(Certificate::read(&[0x30, 0x82, 0xff, 0xff]).is_none());
    }
}
