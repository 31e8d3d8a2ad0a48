//! The section `tls`: certificates for the clients' listener, and whose certificates clients may come with.
//!
//! The files are read here, with everything else that the file names, so that a change of one is a change of the file.

use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use config::{Environment, Field, Located, Problem, Secret, scalar};
use proxy::{ClientAuthority, ServerCertificate, Tls, Unfit};

/// Reads the section. `None` when it is not written, or not good.
pub(super) fn check(field: &Field<'_>, environment: &dyn Environment) -> Option<Tls> {
    if !field.is_written() {
        return None;
    }
    let mut fields = field.fields()?;
    let listed = fields.required("certificates").list();
    let authority = fields.optional("client_ca");
    let wanted = fields.optional("client_certificate");
    fields.finish();

    let clients = authority_of(&authority, &wanted, environment);
    let listed = listed?;
    if listed.is_empty() {
        field.report(
            "there is no certificate in it",
            Some("add one: `certificates: [{ cert: cert.pem, key: key.pem }]`"),
        );
    }
    let mut shown: Vec<ServerCertificate> = Vec::new();
    for field in &listed {
        let Some(certificate) = certificate(field, environment) else {
            continue;
        };
        let names = certificate.names();
        if let Some(name) = names
            .iter()
            .find(|name| shown.iter().any(|other| other.names().contains(name)))
        {
            field.report(
                format!("another certificate is for `{}` too", scalar::shown(name)),
                Some("keep one of them; clients ask for a certificate by its name"),
            );
        }
        shown.push(certificate);
    }
    if shown.is_empty() || shown.len() < listed.len() {
        return None;
    }
    match Tls::new(&shown, clients?) {
        Ok(tls) => Some(tls),
        Err(error) => {
            field.report(format!("it cannot be served: {error}"), None);
            None
        }
    }
}

/// Nobody can be known by a certificate that nobody is asked for.
pub(super) fn must_ask_for_certificates(tls: Option<&Tls>, written: &Field<'_>, auth: &Field<'_>) {
    // What is wrong with the section itself has been told.
    let is_wrong = written.is_written() && tls.is_none();
    if is_wrong || tls.is_some_and(Tls::asks_for_certificates) {
        return;
    }
    let Some(mut fields) = auth.fields() else { return };
    fields.optional("certificates").report(
        "clients are not asked for certificates",
        Some("name the authority that signs them: `tls: { certificates: […], client_ca: ca.pem }`"),
    );
}

/// Whose certificates clients may come with: nothing where that is wrong, `Some(None)` where they are not asked.
fn authority_of(
    authority: &Field<'_>,
    wanted: &Field<'_>,
    environment: &dyn Environment,
) -> Option<Option<ClientAuthority>> {
    let choices = [("required", true), ("optional", false)];
    // Who takes the trouble to name an authority does not mean that nobody needs it.
    let required = match wanted.is_written() {
        true => wanted.choice(&choices).map(Located::into_value),
        false => Some(true),
    };
    if !authority.is_written() {
        if wanted.is_written() {
            wanted.report(
                "nobody's certificates are believed without `client_ca`",
                Some("name the authority's certificate, `client_ca: ca.pem`, or remove this"),
            );
            return None;
        }
        return Some(None);
    }
    let text = file(authority, environment)?;
    match ClientAuthority::read(text.expose(), required?) {
        Ok(authority) => Some(Some(authority)),
        Err(wrong) => {
            let hint = "it is a file in PEM with the certificates of those who sign for clients";
            authority.report(wrong.to_string(), Some(hint));
            None
        }
    }
}

fn certificate(field: &Field<'_>, environment: &dyn Environment) -> Option<ServerCertificate> {
    let mut fields = field.fields()?;
    let (cert, key) = (fields.required("cert"), fields.required("key"));
    fields.finish();
    let (chain, secret) = (file(&cert, environment), file(&key, environment));
    let read = match ServerCertificate::read(chain?.expose(), &secret?) {
        Ok(read) => read,
        Err(unfit) => {
            let (of, hint) = match unfit {
                Unfit::NoCertificate | Unfit::BrokenCertificate => (
                    &cert,
                    "it is a file in PEM: the certificate, and behind it those above it",
                ),
                Unfit::NoKey | Unfit::BrokenKey => (
                    &key,
                    "it is a file in PEM with an RSA, ECDSA or Ed25519 key, not encrypted",
                ),
                Unfit::KeyOfAnother => (&key, "take the key that the certificate was made with"),
                Unfit::NoName => (&cert, "have it made for a host name (a subject alternative name)"),
            };
            of.report(unfit.to_string(), Some(hint));
            return None;
        }
    };
    warn_of_its_time(&cert, &read, SystemTime::now());
    Some(read)
}

/// Only warns: clients judge for themselves, and a renewed certificate is taken when its file changes.
fn warn_of_its_time(cert: &Field<'_>, read: &ServerCertificate, now: SystemTime) {
    let text = if now > read.says.ends {
        "this certificate has expired, and clients will refuse it"
    } else if now < read.says.begins {
        "this certificate is not valid yet, and clients will refuse it"
    } else {
        return;
    };
    let problem = Problem::new(Some(cert.at()), cert.path(), text);
    let hint = "renew it; a changed file is read while the gateway runs";
    cert.problems().add(problem.hint(hint).warning());
}

/// What stands in the file that this names.
fn file(field: &Field<'_>, environment: &dyn Environment) -> Option<Secret> {
    let path = field.resolved_text(environment)?.into_value();
    let shown = scalar::shown(&path);
    match environment.file(Path::new(&path)) {
        Ok(text) => Some(text.into()),
        Err(error) => {
            let text = match error.kind() {
                ErrorKind::NotFound => format!("there is no file `{shown}`"),
                ErrorKind::PermissionDenied => format!("the file `{shown}` may not be read"),
                ErrorKind::InvalidData => format!("the file `{shown}` is not PEM"),
                _ => format!("the file `{shown}` cannot be read: {error}"),
            };
            let hint = match error.kind() {
                ErrorKind::NotFound => "paths are seen from where the gateway is started",
                ErrorKind::InvalidData => {
                    "`openssl x509 -inform der -in FILE` makes PEM of a certificate in DER"
                }
                _ => "the user that runs the gateway must be able to read it",
            };
            field.report(text, Some(hint));
            None
        }
    }
}
