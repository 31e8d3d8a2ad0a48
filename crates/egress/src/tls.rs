//! Whom we believe: the system's root certificates, as one file that pingora reads.
//!
//! pingora fails its whole TLS client when one certificate of the system's bundle cannot be parsed,
//! so we read the bundle ourselves, keep what rustls accepts, and hand over the rest.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Where distributions keep their bundle; `SSL_CERT_FILE` precedes them.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Writes the roots we believe to `directory/roots.pem` and returns its path.
///
/// # Errors
/// When the file cannot be written. A system without roots is not an error: it can still call
/// plain `http` servers, and an `https` one fails with a clear handshake error.
pub(crate) fn write_roots(directory: &Path, bundle: Option<&Path>) -> std::io::Result<PathBuf> {
    let found = bundle
        .map(Path::to_path_buf)
        .or_else(|| BUNDLES.iter().map(PathBuf::from).find(|path| path.exists()));
    let mut pem = Vec::new();
    if let Some(found) = found {
        let text = std::fs::read(found)?;
        let mut refused = 0_usize;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            match certificate {
                Ok(certificate) if RootCertStore::empty().add(certificate.clone()).is_ok() => {
                    append(&mut pem, &certificate);
                }
                Ok(_) | Err(_) => refused += 1,
            }
        }
        if refused > 0 {
            tracing::warn!(
                refused,
                "root certificates of this system were unreadable and left out"
            );
        }
    }
    let path = directory.join("roots.pem");
    std::fs::write(&path, pem)?;
    Ok(path)
}

fn append(pem: &mut Vec<u8>, certificate: &CertificateDer<'_>) {
    use base64::Engine as _;
    pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    for line in text.as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
}
