//! Any stream of lines: how it is cut does not matter, and what is held is bounded.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mcp::{FrameError, LineReader};

fuzz_target!(|bytes: &[u8]| {
    let [max, cut, text @ ..] = bytes else { return };
    let (max, cut) = (usize::from(*max), usize::from(*cut).min(text.len()));

    let whole = read(max, [text]);
    let (before, after) = text.split_at(cut);

    assert_eq!(read(max, [before, after]), whole);
    assert_eq!(read(max, text.chunks(1)), whole);
    for line in whole.into_iter().flatten() {
        assert!(!line.is_empty() && line.len() <= max && !line.contains(&b'\n'));
    }
});

fn read<'a>(max: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Bytes, FrameError>> {
    let mut reader = LineReader::new(max);
    let mut lines = Vec::new();
    for chunk in chunks {
        reader.push(chunk);
        lines.extend(reader.by_ref());
        assert!(reader.unfinished() <= max + 1);
    }
    lines
}
