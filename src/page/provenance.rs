//! The sections of a page that say what was left out, and how the dataset was made.

use shardmill_core::show::{self, count, counted};

use crate::document::{BadKind, InvalidUtf8};
use crate::page::sections::{note, section};
use crate::page::table::Column::{Number, Text};
use crate::page::table::{Table, facts};
use crate::page::text::{escape, name};
use crate::report::Report;

/// What of the inputs is not in the dataset.
pub(super) fn left_out(report: &Report) -> String {
    let Report {
        totals, settings, ..
    } = report;
    let bad = &totals.bad_records;
    let mut body = String::new();
    if bad.total() == 0 {
        body.push_str("<p>No record was left out.</p>\n");
    } else {
        let mut table = Table::small(&[Text("Records left out"), Number("Count")]);
        for kind in BadKind::ALL.into_iter().filter(|&kind| bad.get(kind) > 0) {
            table.row("", &[kind.words().to_owned(), count(bad.get(kind))]);
        }
        table.row("others", &["all".to_owned(), count(bad.total())]);
        if bad.more_lines > 0 {
            let lines = bad.total().saturating_add(bad.more_lines);
            table.row("others", &["their lines".to_owned(), count(lines)]);
        }
        body.push_str(&table.html());
        body.push_str(&first_records(report));
    }
    let sequences = counted(totals.invalid_sequences, "sequence");
    let invalid = match settings.invalid_utf8 {
        InvalidUtf8::Strict => "Invalid UTF-8 was refused.".to_owned(),
        InvalidUtf8::Replace => format!("Invalid UTF-8 that became U+FFFD: {sequences}."),
        InvalidUtf8::Ignore => format!("Invalid UTF-8 that was left out: {sequences}."),
    };
    let files = note(
        "A dataset does not record which files its inputs were chosen from; the run that made it \
         reported those that it left out.",
    );
    let mut limits = Table::small(&[Text("Documents left out for their size"), Number("Count")]);
    let mut has_limits = false;
    for (what, limit, documents) in totals.outside_limits.by_limit(settings.limits()) {
        has_limits = true;
        limits.row(
            "",
            &[format!("{what} than {}", count(limit)), count(documents)],
        );
    }
    if has_limits {
        body.push_str(&limits.html());
    }
    let others = settings.split.map_or_else(String::new, |_| {
        let documents = counted(totals.other_side, "document");
        format!("<p>On the other side of the split: {documents}.</p>\n")
    });
    section(
        "Left out",
        &format!("{body}{others}<p>{invalid}</p>\n{files}"),
    )
}

/// The first records that were left out.
fn first_records(report: &Report) -> String {
    let mut table = Table::records(&[Text("Source"), Text("Place"), Text("Why")]);
    for record in &report.bad_records {
        let place = match (record.line, record.row) {
            (Some(line), _) if record.lines > 1 => {
                let last = line.saturating_add(record.lines - 1);
                format!("lines {} to {}", count(line), count(last))
            }
            (Some(line), _) => format!("line {}", count(line)),
            (None, Some(row)) => format!("row {}", count(row)),
            (None, None) => format!("byte {}", count(record.byte_start)),
        };
        table.row("", &[name(&record.name), place, name(&record.message)]);
    }
    let shown = report.bad_records.len() as u64;
    let intro = if shown < report.totals.bad_records.total() {
        format!("The first {}:", count(shown))
    } else {
        "Each of them:".to_owned()
    };
    note(&intro) + &table.html()
}

/// The fields that are kept of each document.
fn kept_fields(report: &Report) -> String {
    let fields: Vec<_> = report
        .settings
        .kept_fields()
        .map(|(key, _)| name(key))
        .collect();
    if fields.is_empty() {
        "none".to_owned()
    } else {
        fields.join(", ")
    }
}

/// The tokenizer and the settings.
pub(super) fn made_with(report: &Report) -> String {
    let Report {
        encoding, settings, ..
    } = report;
    let code = |text: &str| format!("<code>{}</code>", escape(&show::name(text).to_string()));
    let id = |id: Option<u32>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
    let mut list = vec![
        ("Dataset", code(&report.dataset_id.to_string())),
        ("Format version", report.format_version.to_string()),
        ("Tokenizer", name(&encoding.name)),
        ("Vocabulary", counted(encoding.n_vocab.into(), "id")),
        (
            "Vocabulary hash",
            code(&encoding.vocabulary_hash.to_string()),
        ),
        ("Split by", code(&encoding.pattern)),
    ];
    if let Some(file) = &encoding.tokenizer {
        list.extend([
            ("Tokenizer file", name(&file.kind)),
            ("File hash", code(&file.file_hash.to_string())),
            ("Rules", name(&file.rules)),
            ("Rules hash", code(&file.rules_hash.to_string())),
            ("Normalization", name(&file.normalization)),
        ]);
    }
    if let Some(split) = settings.split {
        let share = format!("{} of a million", count(split.validation_millionths.into()));
        list.extend([
            ("Held out for validation", share),
            ("Side", split.side.name().to_owned()),
        ]);
    }
    if let Some(shuffled) = report.shuffled {
        list.extend([
            ("Shuffled with seed", shuffled.seed.to_string()),
            ("Dataset before", code(&shuffled.dataset_id.to_string())),
        ]);
    }
    list.extend([
        ("End of text", id(encoding.end_of_text)),
        (
            "End of text stands",
            match settings.eot.name() {
                "none" => "nowhere".to_owned(),
                place => format!("{place} each document"),
            },
        ),
        ("Beginning of text", id(settings.bos)),
        ("Special tokens in text", settings.special.name().to_owned()),
        ("Invalid UTF-8", settings.invalid_utf8.name().to_owned()),
        ("Bad records", settings.bad_records.name().to_owned()),
        ("Text field", name(&settings.text_field)),
        ("Kept fields", kept_fields(report)),
        ("Ids stored as", settings.token_dtype.name().to_owned()),
        ("Unit size", counted(settings.unit_size_bytes, "byte")),
        ("Bytes of sources", count(report.totals.source_bytes)),
    ]);
    section("Made with", &facts(&list))
}
