//! Certificates that clients are shown, each with its key, found by the name that a client asks for (RFC 6066 §3).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use config::Secret;
use policy::Certificate;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// A certificate with its chain and its key.
pub struct ServerCertificate {
    /// What it says.
    pub says: Certificate,
    key: Arc<CertifiedKey>,
}

/// Why a certificate cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// The text holds no certificate.
    NoCertificate,
    /// What it holds cannot be read.
    BrokenCertificate,
    /// The other text holds no private key.
    NoKey,
    /// What it holds is none that can sign here.
    BrokenKey,
    /// The key is not the one of this certificate.
    KeyOfAnother,
    /// It names nobody.
    NoName,
}

impl ServerCertificate {
    /// Reads a certificate, those above it behind it, and its key, all in PEM.
    ///
    /// # Errors
    /// See [`Unfit`]. One that is not valid now is no error: clocks differ, and a renewed one may be on its way.
    pub fn read(chain: &str, key: &Secret) -> Result<Self, Unfit> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| Unfit::BrokenCertificate)?;
        let leaf = chain.first().ok_or(Unfit::NoCertificate)?;
        let says = Certificate::read(leaf).ok_or(Unfit::BrokenCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => Unfit::NoKey,
            _ => Unfit::BrokenKey,
        })?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| Unfit::BrokenKey)?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(Unfit::KeyOfAnother),
            Err(_) => return Err(Unfit::BrokenCertificate),
        }
        let read = Self {
            says,
            key: Arc::new(key),
        };
        match read.names().is_empty() && read.says.addresses.is_empty() {
            true => Err(Unfit::NoName),
            false => Ok(read),
        }
    }

    /// The host names that it is shown for, in lower case: its alternative names, or without any its common name.
    pub fn names(&self) -> Vec<String> {
        let Certificate {
            hosts, common_name, ..
        } = &self.says;
        match (hosts.is_empty() && self.says.addresses.is_empty(), common_name) {
            (true, Some(name)) => vec![name.to_ascii_lowercase()],
            (true, None) | (false, _) => hosts.clone(),
        }
    }
}

/// The certificates of a listener, by the names that clients ask for.
pub(super) struct Shown {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// For who asks for no name, or for one that nobody has: what they then miss, they are told by their own judgement
    /// of the certificate, which people understand better than an end of the connection.
    first: Option<Arc<CertifiedKey>>,
}

impl Shown {
    pub(super) fn of(certificates: &[ServerCertificate]) -> Self {
        let mut by_name = HashMap::new();
        for certificate in certificates {
            for name in certificate.names() {
                by_name
                    .entry(name)
                    .or_insert_with(|| Arc::clone(&certificate.key));
            }
        }
        Self {
            by_name,
            first: certificates.first().map(|first| Arc::clone(&first.key)),
        }
    }

    /// The one for this name: its own, or one of its whole domain (RFC 9525 §6.3: `*` is one label, the leftmost).
    fn named(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.by_name.get(&name).or_else(|| {
            let (_, domain) = name.split_once('.')?;
            self.by_name.get(&format!("*.{domain}"))
        })
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.named(name));
        named.or(self.first.as_ref()).cloned()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCertificate => "there is no certificate in it",
            Self::BrokenCertificate => "what is in it cannot be read as certificates",
            Self::NoKey => "there is no private key in it",
            Self::BrokenKey => "the key in it cannot be used",
            Self::KeyOfAnother => "the key does not belong to the certificate",
            Self::NoName => "the certificate names no host",
        })
    }
}
