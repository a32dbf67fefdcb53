//! The sections of a page that say what is in the dataset, in their order.

use shardmill_core::show::{count, counted};

use crate::page::chart::{Curve, Histogram, log2, row_bar};
use crate::page::table::Column::{Number, Text};
use crate::page::table::{Table, figures, on_demand};
use crate::page::text::{decimals, name, percent, ratio, short, token};
use crate::report::{
    Bar, Coverage, Distribution, Report, SourceShare, SourceSums, TO_COVER, TokenUse,
};

/// A section with a heading.
pub(super) fn section(heading: &str, body: &str) -> String {
    format!("<section>\n<h2>{heading}</h2>\n{body}</section>\n")
}

pub(super) fn note(text: &str) -> String {
    format!("<p class=\"note\">{text}</p>\n")
}

/// A chart with a line below it.
fn figure(svg: &str, caption: &str) -> String {
    format!("<figure>\n{svg}<figcaption>{caption}</figcaption>\n</figure>\n")
}

/// The most important numbers.
pub(super) fn summary(report: &Report) -> String {
    let Report { totals, .. } = report;
    let lead = format!(
        "<p class=\"lead\">{} of {} from {} in {}.</p>\n",
        counted(totals.tokens, "token"),
        name(&report.encoding.name),
        counted(totals.documents, "document"),
        counted(report.sources.count, "source"),
    );
    let used = &report.vocabulary;
    let figures = figures(&[
        ("Tokens", count(totals.tokens), String::new()),
        (
            "Documents",
            count(totals.documents),
            format!("{} empty", count(totals.empty_documents)),
        ),
        ("Bytes of text", count(totals.text_bytes), String::new()),
        (
            "Bytes per token",
            ratio(totals.text_bytes, totals.tokens),
            String::new(),
        ),
        ("Shards", count(report.shards), String::new()),
        (
            "Ids that occur",
            count(used.used),
            format!("of {}", count(used.ids)),
        ),
    ]);
    lead + &figures
}

/// What comes from which source.
pub(super) fn sources(report: &Report) -> String {
    let sources = &report.sources;
    let tokens = report.totals.tokens;
    let has_bytes = report.density.is_some();
    let mut columns = vec![
        Text("Source"),
        Number("Tokens"),
        Number("Share"),
        Number("Documents"),
    ];
    columns.extend(has_bytes.then_some(Number("Bytes per token")));
    let mut table = Table::stacked(&columns);
    let cells = |first: String, sums: &SourceSums| {
        let per_token = has_bytes.then(|| ratio(sums.text_bytes, sums.tokens));
        let numbers = [
            first,
            count(sums.tokens),
            percent(sums.tokens, tokens),
            count(sums.documents),
        ];
        numbers.into_iter().chain(per_token).collect::<Vec<_>>()
    };
    let most = sources
        .largest
        .first()
        .map_or(0, |source| source.sums.tokens);
    for source in &sources.largest {
        let same = |other: &&SourceShare| other.name == source.name;
        let mut first = name(&source.name);
        if sources.largest.iter().filter(same).nth(1).is_some() {
            // Only its index identifies it.
            first = format!("{first} (source {})", source.index);
        }
        first.push_str(&row_bar(source.sums.tokens, most));
        table.row("", &cells(first, &source.sums));
    }
    let n_others = sources.count - sources.largest.len() as u64;
    if n_others > 0 {
        let first = format!("{} others", count(n_others));
        table.row("others", &cells(first, &sources.others));
    }
    let intro = if n_others > 0 {
        format!(
            "The {} with the most tokens, of {}.",
            counted(sources.largest.len() as u64, "source"),
            count(sources.count)
        )
    } else {
        "Those with the most tokens come first.".to_owned()
    };
    section("Sources", &(note(&intro) + &table.html()))
}

/// How the bars of a distribution are drawn and described.
struct Drawn {
    id: &'static str,
    title: String,
    /// What a bar stands for.
    range: fn(&Bar) -> String,
    /// The number under the left end of a bar, if it gets one.
    tick: fn(&Bar) -> Option<String>,
    /// About so many of these fit under the chart.
    most_ticks: usize,
    /// How far into a bar a value in it is, from 0 to 1.
    within: fn(&Bar, u64) -> f64,
    value: fn(u64) -> String,
}

impl Drawn {
    /// The chart of `distribution`, and its numbers.
    fn draw(self, distribution: &Distribution) -> (String, Table) {
        let bars = &distribution.bars;
        let mut table = Table::small(&[Text("Range"), Number("Documents"), Number("Share")]);
        for bar in bars {
            let share = percent(bar.count, distribution.n);
            table.row("", &[(self.range)(bar), count(bar.count), share]);
        }
        let ticks = (0_u32..).zip(bars);
        let ticks = ticks.filter_map(|(at, bar)| Some((f64::from(at), (self.tick)(bar)?)));
        let ticks: Vec<_> = ticks.collect();
        let every = ticks.len().div_ceil(self.most_ticks).max(1);
        let place = |value: u64| {
            let is_in = |bar: &Bar| bar.until.is_none_or(|until| value < until);
            let (at, bar) = (0_u32..).zip(bars).find(|&(_, bar)| is_in(bar))?;
            Some(f64::from(at) + (self.within)(bar, value).clamp(0.0, 1.0))
        };
        let marks = [
            ("median", distribution.median),
            ("90% \u{2264}", distribution.p90),
            ("99% \u{2264}", distribution.p99),
        ];
        let marks = marks.into_iter().filter_map(|(what, value)| {
            Some((place(value)?, format!("{what} {}", (self.value)(value))))
        });
        let histogram = Histogram {
            id: self.id,
            title: self.title,
            bars: (bars.iter().map(|bar| ((self.range)(bar), bar.count))).collect(),
            ticks: ticks.into_iter().step_by(every).collect(),
            marks: marks.collect(),
        };
        (histogram.svg(), table)
    }
}

/// How long documents are.
pub(super) fn lengths(report: &Report) -> String {
    let lengths = &report.lengths;
    let drawn = Drawn {
        id: "lengths",
        title: format!(
            "Documents by their length in tokens: half have at most {}, nine tenths at most {}.",
            count(lengths.median),
            count(lengths.p90)
        ),
        range: |bar| match bar.until {
            Some(until) if until - bar.from == 1 => counted(bar.from, "token"),
            Some(until) => format!("{} to {} tokens", count(bar.from), count(until - 1)),
            None => format!("{} tokens or more", count(bar.from)),
        },
        tick: |bar| Some(short(bar.from)),
        most_ticks: 7,
        // Bars are powers of two, so a length has its place by its logarithm.
        within: |bar, value| log2(value) - log2(bar.from),
        value: count,
    };
    let (svg, table) = drawn.draw(lengths);
    let plain = |name, value: u64| (name, count(value), String::new());
    let numbers = figures(&[
        (
            "Shortest",
            count(lengths.min),
            format!("{} without text", count(report.totals.empty_documents)),
        ),
        plain("Median", lengths.median),
        ("Mean", decimals(lengths.sum, lengths.n, 1), String::new()),
        plain("90% have at most", lengths.p90),
        plain("99% have at most", lengths.p99),
        plain("Longest", lengths.max),
    ]);
    let caption = "Share of documents by their length in tokens. Each bar has twice the range of \
                   the one before.";
    let notes = note(
        "A length counts the tokens that begin or end a document, and all shards that it lies in. \
         Percentiles are exact below 2,048, and rounded down by less than 0.1% above. All other \
         numbers are exact.",
    );
    let body = numbers + &figure(&svg, caption) + &on_demand(table) + &notes;
    section("Lengths of documents", &body)
}

/// How much text a token stands for.
pub(super) fn density(report: &Report) -> String {
    let totals = &report.totals;
    let whole = ratio(totals.text_bytes, totals.tokens);
    let Some(density) = &report.density else {
        let body = format!("{whole} in the whole dataset. {WITHOUT_TOKENIZER}");
        return section("Bytes per token", &note(&body));
    };
    let hundredths = |value: u64| decimals(value, 100, 2);
    let drawn = Drawn {
        id: "density",
        title: format!(
            "Documents by their bytes of text per token: half have at most {}.",
            hundredths(density.median)
        ),
        range: |bar| match bar.until {
            Some(until) => format!(
                "{} to {}",
                decimals(bar.from, 100, 2),
                decimals(until - 1, 100, 2)
            ),
            None => format!("{} or more", decimals(bar.from, 100, 2)),
        },
        tick: |bar| (bar.from.is_multiple_of(100)).then(|| count(bar.from / 100)),
        most_ticks: 13,
        #[expect(clippy::cast_precision_loss, reason = "a place in a bar")]
        within: |bar, value| {
            let width = bar.until.map_or(1, |until| until - bar.from);
            (value - bar.from) as f64 / width as f64
        },
        value: hundredths,
    };
    let (svg, table) = drawn.draw(density);
    let plain = |name, value: u64| (name, hundredths(value), String::new());
    let numbers = figures(&[
        ("Whole dataset", whole, String::new()),
        plain("Lowest document", density.min),
        plain("10% have at most", density.p10),
        plain("Median document", density.median),
        plain("90% have at most", density.p90),
        plain("Highest document", density.max),
    ]);
    let caption = "Share of documents with text by their bytes of text per token.";
    let notes = note(
        "Text is what the tokens of a document stand for, without those that begin or end it, \
         which do count as tokens. Values of documents are rounded down to hundredths.",
    );
    let body = numbers + &figure(&svg, caption) + &on_demand(table) + &notes;
    section("Bytes per token", &body)
}

const WITHOUT_TOKENIZER: &str = "The tokenizer was not at hand when this page was made, so there \
                                 are no bytes by source or document.";

/// The most frequent tokens.
pub(super) fn tokens(report: &Report) -> String {
    let frequent = &report.vocabulary.most_frequent;
    let total = report.totals.tokens;
    let has_text = report.density.is_some();
    let most = frequent.first().map_or(0, |token| token.count);
    let text = |id: &TokenUse| match &id.bytes {
        Some(bytes) => token(bytes),
        None => "no token".to_owned(),
    };
    let mut columns = vec![Number("Id"), Number("Count"), Number("Share")];
    if has_text {
        columns.insert(0, Text("Token"));
    }
    let half = |uses: &[TokenUse]| {
        let mut table = Table::new(&columns);
        for used in uses {
            let numbers = [
                used.id.to_string(),
                count(used.count),
                percent(used.count, total),
            ];
            let bar = row_bar(used.count, most);
            let first = has_text.then(|| text(used) + &bar);
            table.row("", &first.into_iter().chain(numbers).collect::<Vec<_>>());
        }
        table.html()
    };
    let halves: Vec<_> = (frequent.chunks(frequent.len().div_ceil(2).max(1)))
        .map(|uses| format!("<div>\n{}</div>\n", half(uses)))
        .collect();
    let intro = if has_text {
        "What cannot be seen is in boxes: \u{2423} is a space, and two hex digits are a byte of an \
         incomplete character."
            .to_owned()
    } else {
        format!(
            "There are no texts: the tokenizer {} was not at hand when this page was made.",
            name(&report.encoding.name)
        )
    };
    let body = format!(
        "{}<div class=\"pair\">\n{}</div>\n",
        note(&intro),
        halves.concat()
    );
    section("Most frequent tokens", &body)
}

/// How much of the vocabulary occurs.
pub(super) fn vocabulary(report: &Report) -> String {
    let used = &report.vocabulary;
    let total = report.totals.tokens;
    let never = used.ids.saturating_sub(used.used);
    let holes = used.holes.filter(|&holes| holes > 0);
    let numbers = figures(&[
        ("Ids", count(used.ids), String::new()),
        ("That occur", count(used.used), percent(used.used, used.ids)),
        (
            "That never occur",
            count(never),
            holes.map_or_else(
                || percent(never, used.ids),
                |holes| {
                    format!(
                        "{}; {} are no tokens",
                        percent(never, used.ids),
                        count(holes)
                    )
                },
            ),
        ),
    ]);
    let [half, most, almost_all, _] = &used.to_cover;
    let mark = |covered: &Coverage, share| {
        (
            covered.ids,
            covered.tokens,
            format!("{share}: {}", counted(covered.ids, "id")),
        )
    };
    let curve = Curve {
        id: "coverage",
        title: format!(
            "What share of all tokens the most frequent ids are: {} are half of all tokens.",
            counted(half.ids, "id")
        ),
        most: used.ids,
        points: (used.coverage.iter().map(|point| (point.ids, point.tokens))).collect(),
        marks: vec![
            mark(half, "50%"),
            mark(most, "90%"),
            mark(almost_all, "99%"),
        ],
        total,
    };
    let mut table = Table::small(&[Text("Most frequent ids"), Number("Share of tokens")]);
    let is_shown = |ids: u64| ids == used.used || 10_u64.pow(ids.max(1).ilog10()) == ids;
    for point in used.coverage.iter().filter(|point| is_shown(point.ids)) {
        table.row("", &[count(point.ids), percent(point.tokens, total)]);
    }
    let mut needed = Table::small(&[Text("Share of tokens"), Number("Ids that are enough")]);
    for (covered, per_mille) in used.to_cover.iter().zip(TO_COVER) {
        needed.row("", &[percent(per_mille, 1000), count(covered.ids)]);
    }
    let caption = "Share of all tokens by the number of most frequent ids. The axis ends with the \
                   vocabulary.";
    let tables = format!(
        "<div class=\"pair\">\n<div>\n{}</div>\n<div>\n{}</div>\n</div>\n",
        table.html(),
        needed.html()
    );
    section(
        "Vocabulary",
        &(numbers + &figure(&curve.svg(), caption) + &tables),
    )
}
