//! A second implementation of the dataset, short rather than fast: whole documents go to the
//! oracle, and a unit's share of a document is found by counting the bytes of its tokens.

use std::ops::Range;

use proptest::prelude::*;
use shardmill::TokenId;
use shardmill::dataset::{DocRecord, Eot, Position};
use shardmill::document::Format;
use tiktoken_rs::CoreBPE;

/// A document with its ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) source: u32,
    /// The text in the source, or the JSON line.
    pub(crate) bytes: Range<u64>,
    pub(crate) ids: Vec<TokenId>,
}

/// A shard of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelShard {
    pub(crate) start: Position,
    pub(crate) ids: Vec<TokenId>,
    pub(crate) records: Vec<DocRecord>,
}

/// The documents of sources, as (source, bytes in it, text).
pub(crate) fn texts(sources: &[(Format, Vec<u8>)]) -> Vec<(u32, Range<u64>, String)> {
    let mut found = Vec::new();
    for (source, (format, bytes)) in (0..).zip(sources) {
        if *format == Format::Text {
            let text = String::from_utf8(bytes.clone()).unwrap();
            found.push((source, 0..bytes.len() as u64, text));
            continue;
        }
        let mut start = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let record = line.strip_suffix(b"\n").unwrap_or(line);
            let record = record.strip_suffix(b"\r").unwrap_or(record);
            if !record.trim_ascii().is_empty() {
                let value: serde_json::Value = serde_json::from_slice(record).unwrap();
                let text = value["text"].as_str().unwrap().to_owned();
                found.push((source, start..start + record.len() as u64, text));
            }
            start += line.len() as u64;
        }
    }
    found
}

/// Whole documents, tokenized by the oracle.
pub(crate) fn documents(
    sources: &[(Format, Vec<u8>)],
    eot: Eot,
    bpe: &CoreBPE,
    end_of_text: TokenId,
) -> Vec<Document> {
    let encode = |(source, bytes, text): (u32, Range<u64>, String)| {
        let mut ids = bpe.encode_ordinary(&text);
        match eot {
            Eot::After => ids.push(end_of_text),
            Eot::Before => ids.insert(0, end_of_text),
            Eot::None => {}
        }
        Document { source, bytes, ids }
    };
    texts(sources).into_iter().map(encode).collect()
}

/// Where units begin: the start of the corpus, and the first allowed cut at or after each multiple
/// of the unit size.
pub(crate) fn cuts(sources: &[(Format, Vec<u8>)], unit: u64) -> Vec<Position> {
    let mut allowed = Vec::new();
    let mut offset = 0;
    for (source, (format, bytes)) in (0..).zip(sources) {
        allowed.push((offset, Position { source, byte: 0 }));
        for (byte, pair) in (1..).zip(bytes.windows(2)) {
            let may_cut = match format {
                Format::Jsonl => pair[0] == b'\n',
                Format::Text => {
                    bytes.len() as u64 > unit && pair[1] == b' ' && (0x21..=0x7e).contains(&pair[0])
                }
                other => panic!("the model does not know {other:?}"),
            };
            if may_cut {
                allowed.push((offset + byte, Position { source, byte }));
            }
        }
        offset += bytes.len() as u64;
    }
    let boundaries = (1..=offset / unit).filter_map(|k| {
        let first = allowed.iter().find(|(at, _)| *at >= k * unit)?;
        Some(first.1)
    });
    let mut cuts: Vec<_> = [Position::default()]
        .into_iter()
        .chain(boundaries)
        .collect();
    cuts.dedup();
    cuts
}

/// The shards of a corpus.
pub(crate) fn shards(
    sources: &[(Format, Vec<u8>)],
    unit: u64,
    eot: Eot,
    bpe: &CoreBPE,
    end_of_text: TokenId,
) -> Vec<ModelShard> {
    let cuts = cuts(sources, unit);
    let start = |&start: &Position| ModelShard {
        start,
        ..ModelShard::default()
    };
    let mut shards: Vec<_> = cuts.iter().map(start).collect();
    for document in documents(sources, eot, bpe, end_of_text) {
        let Document { source, bytes, ids } = document;
        let position = |byte| Position { source, byte };
        let inside: Vec<_> = cuts
            .iter()
            .filter(|&&cut| position(bytes.start) < cut && cut < position(bytes.end))
            .map(|cut| cut.byte)
            .collect();
        let first = cuts.partition_point(|&cut| cut <= position(bytes.start)) - 1;
        let edges = [&[bytes.start], &inside[..], &[bytes.end]].concat();
        let mut rest = &ids[..];
        for (piece, edge) in edges.windows(2).enumerate() {
            let is_last = piece == inside.len();
            let take = if is_last {
                rest.len()
            } else {
                count_tokens(
                    rest,
                    edge[1] - edge[0],
                    bpe,
                    piece == 0 && eot == Eot::Before,
                )
            };
            let shard = &mut shards[first + piece];
            shard.ids.extend(&rest[..take]);
            rest = &rest[take..];
            let is_empty = ids.len() == usize::from(eot != Eot::None);
            shard.records.push(DocRecord {
                end_tokens: shard.ids.len() as u64,
                byte_start: edge[0],
                byte_len: edge[1] - edge[0],
                source,
                flags: u32::from(piece > 0) + 2 * u32::from(!is_last) + 4 * u32::from(is_empty),
            });
        }
    }
    shards
}

/// How many of `ids` stand for exactly `bytes`, after a leading end-of-text token if there is one.
fn count_tokens(ids: &[TokenId], bytes: u64, bpe: &CoreBPE, has_eot: bool) -> usize {
    let lead = usize::from(has_eot);
    let mut length = 0;
    let mut taken = lead;
    while length < bytes {
        length += bpe.decode_bytes(&ids[taken..=taken]).unwrap().len() as u64;
        taken += 1;
    }
    assert_eq!(length, bytes, "a unit ends inside of a token");
    taken
}

/// Text made of pieces that tokenizers trip over.
pub(crate) fn any_text(max_pieces: usize) -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "the",
        "Word",
        " word",
        " ",
        "  ",
        "     ",
        "\n",
        "\r\n",
        "\r",
        "\t",
        "\n\n  ",
        "'s",
        "'LL",
        "'ſ",
        "1",
        "2024",
        "é",
        "ñandú",
        "日本語",
        "Aあb",
        "❤\u{fe0f}",
        "e\u{301}",
        "\u{a0}",
        "\u{3000}",
        "\u{2028}",
        "—",
        "!",
        "...",
        "/",
        ".\n/",
        "<|endoftext|>",
        "<|",
        "|>",
        "😀",
        "\0",
        "x x",
        "{\"text\": 1}",
    ]);
    prop::collection::vec(piece, 0..max_pieces).prop_map(|pieces| pieces.concat())
}

/// A source of either format; JSON Lines with blank lines and both line ends.
pub(crate) fn any_source() -> impl Strategy<Value = (Format, Vec<u8>)> {
    let line = (
        any_text(12),
        0..5_u8,
        prop::sample::select(vec!["\n", "\r\n"]),
    );
    let lines = (prop::collection::vec(line, 0..8), any::<bool>());
    prop_oneof![
        any_text(60).prop_map(|text| {
            // What looks like JSON Lines is not text just because of its name.
            let start = text.trim_start_matches('\u{feff}').trim_start();
            let text = if start.starts_with('{') {
                format!(".{text}")
            } else {
                text
            };
            (Format::Text, text.into_bytes())
        }),
        lines.prop_map(|(lines, ends_in_line_end)| {
            let mut source = String::new();
            for (text, shape, end) in lines {
                let text = serde_json::Value::from(text);
                let record = match shape {
                    0 => " 	".to_owned(),
                    1 => String::new(),
                    2 => format!("{{\"text\": \"not this\", \"text\": {text}}}"),
                    3 => format!(" {{\"id\": [1, {{}}], \"text\": {text} }} "),
                    _ => format!("{{\"text\":{text}}}"),
                };
                source += &record;
                source += end;
            }
            if !ends_in_line_end {
                source.truncate(source.trim_end_matches(['\r', '\n']).len());
            }
            (Format::Jsonl, source.into_bytes())
        }),
    ]
}
