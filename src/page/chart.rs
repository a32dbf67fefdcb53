//! Charts as SVG. Widths are percentages and text keeps its size, so a chart fits any page.

use std::fmt::Write;

use crate::page::text::{escape, percent, short};

/// The height of a chart, and of the parts of it, in pixels.
const HEIGHT: f64 = 250.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = 222.0;

/// The height of a row of labels over the bars.
const LABEL_ROW: f64 = 18.0;

/// Bars side by side.
pub(super) struct Histogram {
    /// Identifies the chart on the page.
    pub(super) id: &'static str,
    /// What the chart shows, for those who do not see it.
    pub(super) title: String,
    /// The bars: what each one is, as HTML, and its count.
    pub(super) bars: Vec<(String, u64)>,
    /// Labels under the axis, each at a number of bars from the left.
    pub(super) ticks: Vec<(f64, String)>,
    /// Lines with labels over the bars, from left to right.
    pub(super) marks: Vec<(f64, String)>,
}

/// Begins a chart.
fn begin(id: &str, title: &str) -> String {
    let title = escape(title);
    format!(
        "<svg class=\"chart\" role=\"img\" aria-labelledby=\"{id}-title\" width=\"100%\" \
         height=\"{HEIGHT}\">\n<title id=\"{id}-title\">{title}</title>\n"
    )
}

/// Adds a line across the chart, with a label to its left.
fn push_grid(svg: &mut String, y: f64, label: &str) {
    let _ = writeln!(
        svg,
        "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
         <text class=\"tick\" x=\"-8\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
        y + 4.0
    );
}

/// Adds a label under the chart, at `x` percent.
fn push_tick(svg: &mut String, x: f64, label: &str) {
    let _ = writeln!(
        svg,
        "<line class=\"axis\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{BOTTOM}\" y2=\"{:.1}\"/>\
         <text class=\"tick\" x=\"{x:.2}%\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
        BOTTOM + 5.0,
        BOTTOM + 19.0
    );
}

/// Adds the axis under the chart.
fn push_axis(svg: &mut String) {
    let _ = writeln!(
        svg,
        "<line class=\"axis\" x1=\"0\" x2=\"100%\" y1=\"{BOTTOM}\" y2=\"{BOTTOM}\"/>"
    );
}

impl Histogram {
    /// The chart as SVG.
    pub(super) fn svg(&self) -> String {
        let mut svg = begin(self.id, &self.title);
        let total: u64 = self.bars.iter().map(|&(_, count)| count).sum();
        let highest = self.bars.iter().map(|&(_, count)| count).max().unwrap_or(0);
        let (step, n_steps) = steps(share(highest, total));
        let y = |share: f64| BOTTOM - (BOTTOM - TOP) * share / (step * f64::from(n_steps));
        for index in 1..=n_steps {
            let at = step * f64::from(index);
            // A step is a number of tenths.
            let label = (at * 10.0).round() / 10.0;
            push_grid(&mut svg, y(at), &format!("{label}%"));
        }
        #[expect(clippy::cast_precision_loss, reason = "there are a few dozen bars")]
        let width = 100.0 / self.bars.len().max(1) as f64;
        // Before the bars, which hide what is behind them.
        let mut label_y = 12.0;
        for (at, label) in &self.marks {
            let x = at * width;
            let (anchor, dx) = if x > 55.0 { ("end", -5) } else { ("start", 5) };
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{:.1}\" \
                 y2=\"{BOTTOM}\"/><text class=\"label\" x=\"{x:.2}%\" dx=\"{dx}\" \
                 y=\"{label_y:.1}\" text-anchor=\"{anchor}\">{label}</text>",
                label_y - 10.0
            );
            label_y += LABEL_ROW;
        }
        let mut left = 0.0;
        for (what, count) in &self.bars {
            let top = y(share(*count, total));
            // A bar of a few documents is a line, not nothing.
            let height = match count {
                0 => 0.0,
                _ => (BOTTOM - top).max(1.0),
            };
            let _ = writeln!(
                svg,
                "<rect class=\"bar\" x=\"{:.2}%\" y=\"{:.1}\" width=\"{:.2}%\" \
                 height=\"{height:.1}\"><title>{what} ({})</title></rect>",
                left + width * 0.06,
                BOTTOM - height,
                width * 0.88,
                percent(*count, total)
            );
            left += width;
        }
        push_axis(&mut svg);
        for (at, label) in &self.ticks {
            push_tick(&mut svg, at * width, label);
        }
        svg + "</svg>\n"
    }
}

/// A share in percent.
#[expect(
    clippy::cast_precision_loss,
    reason = "it is drawn on a few hundred pixels"
)]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// The distance of the lines of a grid that reaches `highest` percent, and their number.
fn steps(highest: f64) -> (f64, u32) {
    for step in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 25.0] {
        for n in 1..=4 {
            if step * f64::from(n) >= highest {
                return (step, n);
            }
        }
    }
    (25.0, 4)
}

/// The binary logarithm of a number that is not 0.
#[expect(
    clippy::cast_precision_loss,
    reason = "it is drawn on a few hundred pixels"
)]
pub(super) fn log2(n: u64) -> f64 {
    // Not the standard library's, whose last digit depends on the machine.
    libm::log2(n.max(1) as f64)
}

/// How far up to `most` the number `n` is on a logarithmic axis from 1, in percent.
fn log_position(n: u64, most: u64) -> f64 {
    100.0 * log2(n) / log2(most.max(2))
}

/// A curve of shares over a logarithmic axis, with points that have labels.
pub(super) struct Curve {
    /// Identifies the chart on the page.
    pub(super) id: &'static str,
    /// What the chart shows, for those who do not see it.
    pub(super) title: String,
    /// The end of the axis.
    pub(super) most: u64,
    /// The points of the curve: a number, and a count of `total`.
    pub(super) points: Vec<(u64, u64)>,
    /// Three points with labels, from left to right.
    pub(super) marks: Vec<(u64, u64, String)>,
    pub(super) total: u64,
}

impl Curve {
    /// The chart as SVG.
    pub(super) fn svg(&self) -> String {
        const CURVE_TOP: f64 = 22.0;
        let mut svg = begin(self.id, &self.title);
        let height = BOTTOM - CURVE_TOP;
        let y = |count: u64| BOTTOM - height * share(count, self.total) / 100.0;
        for percent in [25_u32, 50, 75, 100] {
            let at = BOTTOM - height * f64::from(percent) / 100.0;
            push_grid(&mut svg, at, &format!("{percent}%"));
        }
        push_axis(&mut svg);
        let powers = (0..20).map(|power| 10_u64.pow(power));
        for power in powers.take_while(|&power| power <= self.most) {
            push_tick(&mut svg, log_position(power, self.most), &short(power));
        }
        // Paths have no percentages, so this one is stretched.
        let mut path = String::new();
        for &(n, count) in &self.points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            let x = log_position(n, self.most) * 10.0;
            let y = 1000.0 - 10.0 * share(count, self.total);
            let _ = write!(path, "{command}{x:.1} {y:.1}");
        }
        let _ = writeln!(
            svg,
            "<svg y=\"{CURVE_TOP}\" width=\"100%\" height=\"{height}\" \
             viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\">\
             <path class=\"curve\" d=\"{path}\" vector-effect=\"non-scaling-stroke\"/></svg>"
        );
        for (index, (n, count, label)) in self.marks.iter().enumerate() {
            let (x, y) = (log_position(*n, self.most), y(*count));
            // At the right end, where the curve is above all labels but the last.
            let label_y = match index {
                0 => y - 6.0,
                1 => y + 16.0,
                _ => CURVE_TOP - 6.0,
            };
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{x:.2}%\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <circle class=\"point\" cx=\"{x:.2}%\" cy=\"{y:.1}\" r=\"4\"/>\
                 <text class=\"label\" x=\"100%\" y=\"{label_y:.1}\" \
                 text-anchor=\"end\">{label}</text>"
            );
        }
        svg + "</svg>\n"
    }
}

/// A thin bar of a share of `most`, for a row of a table, which has the number.
pub(super) fn row_bar(part: u64, most: u64) -> String {
    format!(
        "<svg class=\"row\" aria-hidden=\"true\" width=\"100%\" height=\"3\">\
         <rect class=\"bar\" width=\"{:.2}%\" height=\"3\"/></svg>",
        share(part, most)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_reach_the_highest_bar_in_few_steps() {
        assert_eq!(steps(0.0), (0.1, 1));
        assert_eq!(steps(7.3), (2.0, 4));
        assert_eq!(steps(16.0), (5.0, 4));
        assert_eq!(steps(100.0), (25.0, 4));
    }

    #[test]
    fn charts_of_nothing_are_charts() {
        let histogram = Histogram {
            id: "none",
            title: String::new(),
            bars: Vec::new(),
            ticks: Vec::new(),
            marks: Vec::new(),
        };
        let curve = Curve {
            id: "none",
            title: String::new(),
            most: 0,
            points: Vec::new(),
            marks: Vec::new(),
            total: 0,
        };
        for svg in [histogram.svg(), curve.svg()] {
            assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
        }
    }
}
