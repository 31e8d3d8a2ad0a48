//! What a connection has proved of its client, and to whom.

use std::sync::Arc;

use policy::Certificate;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;

use super::Tls;

/// A client's certificate, verified when its connection began.
pub(crate) struct Proven {
    certificate: Certificate,
    chain: Vec<CertificateDer<'static>>,
    by: Arc<dyn ClientCertVerifier>,
}

impl Tls {
    /// What a handshake has proved that ended well, by the chain that it showed. A certificate that cannot be read
    /// proves nothing, whoever signed it.
    pub(crate) fn proves(&self, chain: &[CertificateDer<'static>]) -> Option<Proven> {
        Some(Proven {
            certificate: Certificate::read(chain.first()?)?,
            chain: chain.to_vec(),
            by: Arc::clone(self.verifier.as_ref()?),
        })
    }
}

impl Proven {
    /// The certificate, if it is good before those who are believed now. A connection may outlive a reload that took
    /// its authority away.
    pub(crate) fn before(&self, tls: Option<&Tls>) -> Option<&Certificate> {
        let verifier = tls?.verifier.as_ref()?;
        let (leaf, between) = self.chain.split_first()?;
        let is_good = Arc::ptr_eq(verifier, &self.by)
            || verifier
                .verify_client_cert(leaf, between, UnixTime::now())
                .is_ok();
        is_good.then_some(&self.certificate)
    }
}
