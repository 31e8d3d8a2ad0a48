//! TLS in front of clients: which certificate a connection is shown, and whose certificates are believed.
//!
//! All of it is one [`rustls::ServerConfig`], made anew with each file: a connection begins with what is current and
//! keeps it, and no session of before is resumed past a client authority that was taken out of the file.

mod proven;
mod shown;

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

pub(crate) use proven::Proven;
pub use shown::{ServerCertificate, Unfit};

/// What TLS offers, in the order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How connections begin that are encrypted.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    /// Judges what clients come with.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// Whose certificates clients may come with, and whether they must.
pub struct ClientAuthority {
    roots: RootCertStore,
    required: bool,
}

/// Why certificates of authorities cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAuthority {
    /// There is none in the text.
    Missing,
    /// One of them is none that certificates can be verified by; counted from 1.
    Broken(usize),
}

impl Tls {
    /// Shows these certificates, the first of them to who asks for none by name, and believes this authority.
    ///
    /// # Errors
    /// What rustls says of a combination that it cannot serve.
    pub fn new(
        certificates: &[ServerCertificate],
        clients: Option<ClientAuthority>,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let verifier = match clients {
            None => None,
            Some(ClientAuthority { roots, required }) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match required {
                    true => verifier,
                    false => verifier.allow_unauthenticated(),
                };
                let verifier = verifier
                    .build()
                    .map_err(|error| rustls::Error::General(error.to_string()))?;
                Some(verifier)
            }
        };
        let builder = match &verifier {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
        };
        let mut config = builder.with_cert_resolver(Arc::new(shown::Shown::of(certificates)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(Self {
            config: Arc::new(config),
            verifier,
        })
    }

    /// Whether clients may come with certificates.
    pub fn asks_for_certificates(&self) -> bool {
        self.verifier.is_some()
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl ClientAuthority {
    /// Reads certificates of authorities in PEM. `required`: who shows no certificate of theirs is not even heard.
    ///
    /// # Errors
    /// See [`NoAuthority`].
    pub fn read(pem: &str, required: bool) -> Result<Self, NoAuthority> {
        let mut roots = RootCertStore::empty();
        for (index, certificate) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
            let certificate = certificate.map_err(|_| NoAuthority::Broken(index + 1))?;
            roots
                .add(certificate)
                .map_err(|_| NoAuthority::Broken(index + 1))?;
        }
        match roots.is_empty() {
            true => Err(NoAuthority::Missing),
            false => Ok(Self { roots, required }),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl fmt::Display for NoAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no certificate in it"),
            Self::Broken(index) => write!(f, "certificate {index} in it cannot be read"),
        }
    }
}
