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
                GeneralName::DNSName(name) if is_plain(name) => names.hosts.push(name.to_ascii_lowercase()),
                GeneralName::URI(name) if is_plain(name) => names.uris.push((*name).to_owned()),
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
