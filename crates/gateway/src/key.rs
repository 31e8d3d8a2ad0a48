//! `causeway key new`: a key for who may call, shown once and kept nowhere.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use policy::authn::NewKey;

/// Makes a key and prints it alone on standard output, so that a script can take it; what the file is to say of it
/// goes beside.
pub(crate) fn new(name: &str) -> ExitCode {
    let NewKey { key, hash } = NewKey::random();
    let mut stdout = std::io::stdout().lock();
    let is_terminal = stdout.is_terminal();
    if is_terminal {
        eprintln!("the key, which is shown this once and kept nowhere:");
    }
    if let Err(error) = writeln!(stdout, "{}", key.expose()).and_then(|()| stdout.flush()) {
        eprintln!("causeway key new: it could not be printed: {error}");
        return ExitCode::FAILURE;
    }
    let name = serde_json::to_string(name).unwrap_or_default();
    eprintln!("for the file, under `auth: {{ keys: […] }}`:");
    eprintln!("  - {{ name: {name}, hash: \"{hash}\" }}");
    ExitCode::SUCCESS
}
