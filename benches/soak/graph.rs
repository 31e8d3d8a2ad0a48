//! The run as a picture: memory, descriptors and processes over time, each against its baseline.

use std::fmt::Write as _;
use std::time::Duration;

use crate::sample::Sample;

const WIDTH: f64 = 720.0;
const PANEL: f64 = 120.0;
/// Beside the panels, for their figures, and between them, for their names.
const LEFT: f64 = 64.0;
const GAP: f64 = 34.0;

/// A panel: its name, what it shows, and of what number.
type Panel = (&'static str, &'static str, fn(&Sample) -> f64);

const PANELS: [Panel; 3] = [
    ("memory, MiB", "#1f77b4", |sample| sample.memory as f64 / 1024.0),
    ("descriptors", "#2ca02c", |sample| sample.descriptors as f64),
    ("processes", "#d62728", |sample| sample.processes as f64),
];

/// An SVG that is readable on white and on black.
pub(crate) fn draw(samples: &[(Duration, Sample)], baseline: &Sample) -> String {
    let height = PANELS.len() as f64 * (PANEL + GAP) + GAP;
    let lasted = samples.last().map_or(1.0, |(at, _)| at.as_secs_f64()).max(1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"#808080\">\n",
        LEFT + WIDTH + 16.0
    );
    for (number, (name, colour, figure)) in PANELS.into_iter().enumerate() {
        let top = GAP + number as f64 * (PANEL + GAP);
        let most = samples
            .iter()
            .map(|(_, sample)| figure(sample))
            .fold(figure(baseline), f64::max);
        let scale = most.max(1.0) * 1.1;
        let y = |value: f64| top + PANEL * (1.0 - value / scale);
        let points: String = samples
            .iter()
            .map(|(at, sample)| {
                let x = LEFT + WIDTH * at.as_secs_f64() / lasted;
                format!("{x:.1},{:.1} ", y(figure(sample)))
            })
            .collect();
        let (was, bottom, right) = (y(figure(baseline)), top + PANEL, LEFT + WIDTH);
        let _ = write!(
            svg,
            "<text x=\"{LEFT}\" y=\"{}\">{name}</text>\n\
             <path d=\"M{LEFT} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#808080\"/>\n\
             <path d=\"M{LEFT} {was:.1}H{right}\" fill=\"none\" stroke=\"#808080\" stroke-dasharray=\"4 4\"/>\n\
             <polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{:.0}</text>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{most:.0}</text>\n",
            top - 8.0,
            LEFT - 6.0,
            was + 4.0,
            figure(baseline),
            LEFT - 6.0,
            y(most) + 4.0,
        );
    }
    let minutes = lasted / 60.0;
    let _ = write!(
        svg,
        "<text x=\"{LEFT}\" y=\"{0}\">0</text>\n<text x=\"{1}\" y=\"{0}\" text-anchor=\"end\">{minutes:.0} min; dashed: the baseline</text>\n</svg>\n",
        height - GAP + 16.0,
        LEFT + WIDTH,
    );
    svg
}
