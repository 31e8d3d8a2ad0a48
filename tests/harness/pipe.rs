//! An ear on the pipes of children: a child of ours listens itself, and an official one is started by `overhear`. Who
//! hears something wrong writes it where the gateway of the test finds it, in the directory that both run in.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    thread,
};

use serde_json::{Value, json};

use crate::{Side, Wrong, dialogue::Dialogue};

/// Where it is written, one JSON value a line.
const FILE: &str = "heard-on-pipes.jsonl";

/// The ear of one child.
#[derive(Default)]
pub struct PipeEar {
    dialogue: Dialogue,
    judged: BTreeMap<(Side, String), usize>,
}

impl PipeEar {
    /// Judges a line. What is no JSON is left to those who must cope with it.
    pub fn hear(&mut self, side: Side, line: &[u8]) {
        let Ok(said) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        for verdict in self.dialogue.hear(side, said) {
            if let Err(problem) = &verdict.outcome {
                let wrong = Wrong::new(side, &verdict.revision, problem);
                write(&json!({ "side": name(side), "revision": wrong.revision, "problem": wrong.problem }));
            }
            *self.judged.entry((verdict.side, verdict.revision)).or_default() += 1;
        }
    }

    /// Tells how much was judged.
    pub fn tell(&self) {
        for ((side, revision), count) in &self.judged {
            write(&json!({ "side": name(*side), "revision": revision, "judged": count }));
        }
    }
}

/// What was heard on the pipes of a gateway. When it is dropped, it fails the test if the gateway itself said something
/// wrong; what an official server says is judged by who asks for it.
pub(crate) struct Pipes {
    directory: PathBuf,
}

impl Pipes {
    /// Of children that run in this directory.
    pub(crate) fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// How many messages were judged by children that have ended, by side and revision; and what was wrong.
    pub(crate) fn heard(&self) -> (BTreeMap<(Side, String), usize>, BTreeSet<Wrong>) {
        let (mut judged, mut wrong) = (BTreeMap::new(), BTreeSet::new());
        let text = std::fs::read_to_string(self.directory.join(FILE)).unwrap_or_default();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).expect("ears write JSON");
            let side = match line["side"].as_str() {
                Some("client") => Side::Client,
                _ => Side::Server,
            };
            let revision = line["revision"].as_str().unwrap_or_default();
            match (line["problem"].as_str(), line["judged"].as_u64()) {
                (Some(problem), _) => {
                    wrong.insert(Wrong::new(side, revision, problem));
                }
                (None, count) => {
                    let count = usize::try_from(count.unwrap_or_default()).expect("a count is small");
                    *judged.entry((side, revision.to_owned())).or_default() += count;
                }
            }
        }
        (judged, wrong)
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        let (_, mut wrong) = self.heard();
        wrong.retain(|wrong| wrong.side == Side::Client);
        if !thread::panicking() {
            assert!(
                wrong.is_empty(),
                "the gateway told a child what it should not: {wrong:#?}"
            );
        }
    }
}

fn name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

fn write(line: &Value) {
    let file = OpenOptions::new().create(true).append(true).open(FILE);
    // One write, so that two children do not mix their lines. A directory that has gone belongs to a test that has ended.
    let _ = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
}
