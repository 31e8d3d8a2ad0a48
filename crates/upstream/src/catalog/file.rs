//! One catalog as a file.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp::Revision;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::list::{Collecting, List};
use super::profile::Profile;
use super::{Catalog, Listing};

/// The form of the file. Another one is not read.
const VERSION: u32 = 1;

/// Bytes of a file that are read: more than a catalog ever is.
const LONGEST: u64 = 16 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Document<'a> {
    version: u32,
    #[serde(borrow)]
    profile: ProfileRow<'a>,
    #[serde(borrow)]
    lists: Vec<ListRow<'a>>,
}

#[derive(Serialize, Deserialize)]
struct ProfileRow<'a> {
    revision: &'a str,
    #[serde(borrow)]
    capabilities: &'a RawValue,
    #[serde(borrow)]
    server_info: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    ttl: Option<u64>,
    is_public: bool,
}

#[derive(Serialize, Deserialize)]
struct ListRow<'a> {
    /// `tools`, `prompts`, `resources` or `resourceTemplates`.
    list: &'a str,
    /// When it was read, in seconds since 1970.
    read: u64,
    /// In milliseconds.
    ttl: Option<u64>,
    is_public: bool,
    is_whole: bool,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// The catalog in this file; none if there is no file. Says that it was used now.
///
/// # Errors
/// In words: it cannot be read, or is not what we write.
pub(super) fn read(path: &Path) -> Result<Option<Catalog>, String> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    // What is used stays longest; it is no matter if that cannot be noted.
    let _ = file.set_modified(SystemTime::now());
    let mut text = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let not_ours = || "it is not what we write".to_owned();
    let document: Document<'_> = serde_json::from_slice(&text).map_err(|_| not_ours())?;
    if document.version != VERSION {
        return Err(format!("it is of version {}, not {VERSION}", document.version));
    }
    catalog(&document).map(Some).ok_or_else(not_ours)
}

fn catalog(document: &Document<'_>) -> Option<Catalog> {
    let said = &document.profile;
    let revision = Revision::parse(said.revision)?;
    let bytes = |text: &RawValue| Box::<[u8]>::from(text.get().as_bytes());
    let profile = Profile::new(
        revision,
        bytes(said.capabilities),
        said.server_info.map(bytes),
        said.instructions.map(bytes),
        said.ttl.map(Duration::from_millis),
        said.is_public,
    );
    let mut lists = [const { None }; 4];
    for row in &document.lists {
        let listing = Listing::ALL
            .into_iter()
            .find(|listing| listing.member() == row.list)?;
        let mut list = Collecting::new(listing, revision.era());
        list.note(row.ttl.map(Duration::from_millis), row.is_public);
        if !row.items.iter().all(|item| list.add(item)) || !row.is_whole {
            list.cut();
        }
        let age = Duration::from_secs(now().saturating_sub(row.read));
        lists[listing as usize] = Some(Arc::new(list.finish(age)));
    }
    Some(Catalog::new(Arc::new(profile), lists))
}

/// Replaces the file whole: a reader sees the one before or this one.
pub(super) fn replace(path: &Path, catalog: &Catalog) -> std::io::Result<()> {
    let text = text(catalog)?;
    let beside = path.with_extension("json.new");
    // One that a killed gateway left behind may have other permissions.
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// Makes the directory of these files, if it is not there.
pub(super) fn make_directory(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn text(catalog: &Catalog) -> serde_json::Result<Vec<u8>> {
    let profile = &catalog.profile;
    let optional = |text: &'_ Option<Box<[u8]>>| -> serde_json::Result<Option<Box<RawValue>>> {
        text.as_deref().map(serde_json::from_slice).transpose()
    };
    let (server_info, instructions) = (optional(&profile.server_info)?, optional(&profile.instructions)?);
    let lists = Listing::ALL.into_iter();
    let lists = lists.filter_map(|listing| Some((listing, catalog.list(listing)?)));
    let lists = lists.map(|(listing, list)| row(listing, list));
    serde_json::to_vec(&Document {
        version: VERSION,
        profile: ProfileRow {
            revision: profile.revision.as_str(),
            capabilities: serde_json::from_slice(&profile.capabilities)?,
            server_info: server_info.as_deref(),
            instructions: instructions.as_deref(),
            ttl: profile.ttl.map(milliseconds),
            is_public: profile.is_public,
        },
        lists: lists.collect::<serde_json::Result<_>>()?,
    })
}

fn row(listing: Listing, list: &List) -> serde_json::Result<ListRow<'_>> {
    let items = list.items.iter().map(|item| serde_json::from_slice(&item.text));
    Ok(ListRow {
        list: listing.member(),
        read: now().saturating_sub(list.age().as_secs()),
        ttl: list.ttl.map(milliseconds),
        is_public: list.is_public,
        is_whole: list.is_whole,
        items: items.collect::<serde_json::Result<_>>()?,
    })
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
