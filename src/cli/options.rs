//! One table that maps the library's names of settings and functions to the command line's names.

#[cfg(test)]
mod tests;

use shardmill::{Error, show};

/// The library's names, each with the command line's name.
const NAMES: &[(&str, &str)] = &[
    ("arguments", "INPUT"),
    ("bad_records", "--bad-records"),
    ("base", "--base"),
    ("batch_size", "--batch-size"),
    ("bos", "--bos-token"),
    ("clip_distance", "--clip-distance"),
    ("context_length", "--context-length"),
    ("corpus", "INPUT"),
    ("dim", "--dim"),
    ("dims", "--dims"),
    ("documents", "--documents"),
    ("drop_last", "--drop-last"),
    ("end_of_text", "--eot-token"),
    ("eot", "--eot"),
    ("format", "--input-format"),
    ("heads", "--heads"),
    ("id_field", "--id-field"),
    ("init_seed", "--init-seed"),
    ("invalid_utf8", "--invalid-utf8"),
    ("keep_fields", "--keep-fields"),
    ("key_len", "--key-len"),
    ("level", "--simd"),
    ("max_distance", "--max-distance"),
    ("max_document_bytes", "--max-document-bytes"),
    ("max_tokens", "--max-tokens"),
    ("min_tokens", "--min-tokens"),
    ("num_buckets", "--num-buckets"),
    ("out", "--out"),
    ("overwrite", "--overwrite"),
    ("position_draw", "--init-position-draw"),
    ("position_table", "--position-table"),
    ("query_len", "--query-len"),
    ("repair", "`tokenize --repair`"),
    ("repetitions", "--repetitions"),
    ("rope_base", "--rope-base"),
    ("rope_style", "--rope-style"),
    ("separator", "--separator"),
    ("seq_len", "--seq-len"),
    ("share", "--units"),
    ("shuffle", "--shuffle"),
    ("shuffle_order", "--shuffle-order"),
    ("size_bytes", "--size"),
    ("special", "--special"),
    ("split", "--validation"),
    ("stride", "--stride"),
    ("table_dtype", "--table-dtype"),
    ("tail", "--tail"),
    ("text_field", "--text-field"),
    ("threads", "--threads"),
    ("token_dtype", "--token-dtype"),
    ("token_table", "--token-table"),
    ("tokenize_units", "`tokenize --units`"),
    ("tokenizer", "--tokenizer"),
    ("unit_size_bytes", "--unit-size"),
    ("verify", "shardmill verify"),
    ("window", "--window"),
];

/// The message of `error`, in the command line's words.
pub(crate) fn line(error: &Error) -> String {
    let line = error.to_string();
    if let Error::Config { field, .. } = error {
        let rest = line.strip_prefix(field).unwrap_or(&line);
        return format!("{}{}", spelled(field).unwrap_or(field), translate(rest));
    }
    // A path may have any name, and is not translated.
    let path = error.path().map(|path| show::name(path).to_string());
    match path
        .as_ref()
        .and_then(|path| line.split_at_checked(path.len()))
    {
        Some((path, rest)) => format!("{path}{}", translate(rest)),
        None => translate(&line),
    }
}

fn spelled(name: &str) -> Option<&'static str> {
    let row = NAMES.iter().find(|(known, _)| *known == name);
    row.map(|&(_, spelled)| spelled)
}

/// `text` with the names in backquotes that are in the table replaced by the command line's words.
/// Text in quotes comes from outside and stays as it is.
pub(crate) fn translate(text: &str) -> String {
    let mut translated = String::new();
    let mut rest = text;
    while let Some((before, quoted)) = rest.split_once('`') {
        translated.push_str(before);
        let found = quoted
            .split_once('`')
            .filter(|_| !before.ends_with(['\'', '"']));
        if let Some((spelled, after)) =
            found.and_then(|(name, after)| Some((spelled(name)?, after)))
        {
            translated.push_str(spelled);
            rest = after;
        } else {
            translated.push('`');
            rest = quoted;
        }
    }
    translated + rest
}
