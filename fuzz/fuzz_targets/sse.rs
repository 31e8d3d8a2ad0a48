//! Any stream of events: how it is cut does not matter, and no event is longer than the bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp::FrameError;
use mcp::SseReader;
use mcp::frame::sse::Event;

fuzz_target!(|bytes: &[u8]| {
    let [max, cut, text @ ..] = bytes else { return };
    let (max, cut) = (usize::from(*max), usize::from(*cut).min(text.len()));

    let whole = read(max, [text]);
    let (before, after) = text.split_at(cut);

    assert_eq!(read(max, [before, after]), whole);
    assert_eq!(read(max, text.chunks(1)), whole);
    for event in whole.into_iter().flatten() {
        assert!(event.data.len() <= max);
        assert!(event != Event::default());
    }
});

fn read<'a>(max: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Event, FrameError>> {
    let mut reader = SseReader::new(max);
    let mut events = Vec::new();
    for chunk in chunks {
        reader.push(chunk);
        events.extend(reader.by_ref());
    }
    events
}
