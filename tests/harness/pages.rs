//! Pages of `docs/` that tests keep true: a section stands between two comments that name it, and is what its test has seen.
use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

/// One test at a time, since several keep sections of one page.
static PAGES: Mutex<()> = Mutex::new(());

/// Fails the test unless the section says this. With `UPDATE_DOCS=1` it writes it instead.
#[track_caller]
pub fn keep(page: &str, section: &str, text: &str) {
    let path = path_of(page);
    let alone = PAGES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let before = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let after = with_section(&before, section, text)
        .unwrap_or_else(|| panic!("{page} has no place for `{section}`: two comments that name it"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, after).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    // A test that fails must not keep the others from their sections.
    drop(alone);
    assert!(
        before == after,
        "docs/{page} does not say what was seen; `UPDATE_DOCS=1` writes this into `{section}`:\n{text}"
    );
}

fn path_of(page: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("tests/ has a parent")
        .join("docs")
        .join(page)
}

fn with_section(page: &str, section: &str, text: &str) -> Option<String> {
    let (open, close) = (
        format!("<!-- seen: {section} -->\n"),
        format!("<!-- end: {section} -->"),
    );
    let (before, rest) = page.split_once(&open)?;
    let (_, after) = rest.split_once(&close)?;
    Some(format!("{before}{open}\n{}\n\n{close}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::with_section;

    #[test]
    fn a_section_is_replaced_and_nothing_else() {
        let page = "# A page\n<!-- seen: a -->\nold\n<!-- end: a -->\n<!-- seen: b -->\nb\n<!-- end: b -->\n";

        let written = with_section(page, "a", "new\n").unwrap();

        assert_eq!(
            written,
            "# A page\n<!-- seen: a -->\n\nnew\n\n<!-- end: a -->\n<!-- seen: b -->\nb\n<!-- end: b -->\n"
        );
        assert_eq!(with_section(&written, "a", "new").as_ref(), Some(&written));
        assert_eq!(with_section(page, "c", "new"), None);
    }
}
