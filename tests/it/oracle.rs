//! Checks that ids equal those of tiktoken-rs: whole fixtures through the pipeline, every place
//! where a text may be cut, special tokens, and random tokens decoded and cut.

use crate::common_dataset;
use crate::support::long_texts;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use common_dataset::model::{any_text, texts};
use common_dataset::same_ids::assert_same_ids;
use common_dataset::{
    Dataset, TEXTS, config, encoding, format_of, oracle, ordinary_oracle, records_path, text,
    text_path, write,
};
use long_texts::long_texts;
use proptest::prelude::*;
use shardmill::dataset::Eot;
use shardmill::tokenizer::BUILTIN_NAMES;
use shardmill::{Error, Special, TokenId};
use tempfile::TempDir;
use tiktoken_rs::CoreBPE;

/// All fixtures, as arguments of a run.
fn fixtures() -> Vec<PathBuf> {
    let texts = TEXTS.iter().map(|name| text_path(name));
    texts.chain([records_path()]).collect()
}

/// The ids of each document of the fixtures by one vocabulary; cached, because several encodings
/// share them.
fn fixture_ids(vocabulary: &'static str) -> &'static [Vec<TokenId>] {
    static KEPT: [OnceLock<Vec<Vec<TokenId>>>; 4] = [const { OnceLock::new() }; 4];
    let index = ["r50k_base", "p50k_base", "cl100k_base", "o200k_base"]
        .iter()
        .position(|name| *name == vocabulary)
        .unwrap();
    KEPT[index].get_or_init(|| {
        let bpe = oracle(vocabulary);
        let documents = documents();
        documents
            .iter()
            .map(|text| bpe.encode_ordinary(text))
            .collect()
    })
}

/// The texts of the fixtures' documents, in corpus order.
fn documents() -> Vec<String> {
    let sources: Vec<_> = fixtures()
        .iter()
        .map(|path| (format_of(path), std::fs::read(path).unwrap()))
        .collect();
    texts(&sources)
        .into_iter()
        .map(|(_, _, text)| text)
        .collect()
}

/// For each vocabulary, once with texts cut into many units and once in a single unit, where only
/// chunks cut them.
#[test]
fn fixtures_have_the_ids_of_tiktoken_in_every_encoding() {
    let (many, one) = (100_000, 256 << 20);
    for (name, unit) in [
        ("gpt2", many),
        ("r50k_base", one),
        ("p50k_base", many),
        ("p50k_edit", one),
        ("cl100k_base", many),
        ("cl100k_base", one),
        ("o200k_base", many),
        ("o200k_harmony", one),
    ] {
        let mut config = config(unit);
        config.settings.eot = Eot::None;
        let dataset = Dataset::make(&fixtures(), encoding(name), &config);
        let shards = dataset.store.n_shards();
        assert!(shards == 1 || (unit == many && shards > 40), "{shards}");
        let expected = fixture_ids(ordinary_oracle(name));
        let found = dataset.documents();
        assert_eq!(found.len(), expected.len(), "{name}");
        assert!(found.len() > 4_800, "the records are there");
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_same_ids(&found.ids, expected, &format!("{name}, document {index}"));
        }
    }
}

/// A pretoken of 300 KB is merged in pieces, while tiktoken-rs merges it as a whole.
#[test]
fn long_pretokens_have_the_ids_of_tiktoken_through_the_pipeline() {
    let directory = TempDir::new().unwrap();
    for (kind, text) in &long_texts() {
        let path = write(directory.path(), &format!("{kind}.txt"), text);
        for name in ["gpt2", "p50k_base", "cl100k_base", "o200k_base"] {
            let mut config = config(256 << 20);
            config.settings.eot = Eot::None;
            let dataset = Dataset::make(&[&path], encoding(name), &config);
            let expected = oracle(name).encode_ordinary(text);
            assert_same_ids(&dataset.ids(), &expected, &format!("{name}, {kind}"));
        }
    }
}

/// If an encoding shares its vocabulary with another, its ids are those that the other is compared
/// with above.
#[test]
fn encodings_that_share_a_vocabulary_have_the_same_ordinary_ids_in_tiktoken() {
    for (name, other) in [("p50k_edit", "p50k_base"), ("o200k_harmony", "o200k_base")] {
        for file in [
            "the-verdict.txt",
            "edge/crlf.txt",
            "edge/special_tokens.txt",
        ] {
            let text = text(file);
            let [found, expected] = [name, other].map(|name| oracle(name).encode_ordinary(&text));
            assert_same_ids(&found, &expected, name);
        }
    }
}

/// The places where rule A allows a cut.
fn rule_a(text: &str) -> Vec<usize> {
    let pairs = text.as_bytes().windows(2).zip(1..);
    pairs
        .filter(|(pair, _)| pair[1] == b' ' && (0x21..=0x7e).contains(&pair[0]))
        .map(|(_, at)| at)
        .collect()
}

/// The pieces of `text` between `cuts`.
fn pieces<'a>(text: &'a str, cuts: &[usize]) -> Vec<&'a str> {
    let starts = [0].into_iter().chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([text.len()]);
    starts
        .zip(ends)
        .map(|(start, end)| &text[start..end])
        .collect()
}

/// Long fixtures consist of few words, so each distinct piece goes to the oracle once.
fn encode_pieces<'a>(
    pieces: &[&'a str],
    bpe: &CoreBPE,
    seen: &mut HashMap<&'a str, Vec<TokenId>>,
) -> Vec<TokenId> {
    let mut ids = Vec::new();
    for &piece in pieces {
        ids.extend_from_slice(
            seen.entry(piece)
                .or_insert_with(|| bpe.encode_ordinary(piece)),
        );
    }
    ids
}

/// The encodings that split and merge in different ways; the others have the ids of one of these.
const VOCABULARIES: [&str; 4] = ["r50k_base", "p50k_base", "cl100k_base", "o200k_base"];

#[test]
fn a_text_cut_wherever_rule_a_allows_keeps_its_ids() {
    let documents = documents();
    let cuts: usize = documents.iter().map(|text| rule_a(text).len()).sum();
    assert!(cuts > 500_000, "{cuts} cuts");
    for name in VOCABULARIES {
        let mut seen = HashMap::new();
        for (index, (text, whole)) in documents.iter().zip(fixture_ids(name)).enumerate() {
            let ids = encode_pieces(&pieces(text, &rule_a(text)), oracle(name), &mut seen);
            assert_same_ids(&ids, whole, &format!("{name}, document {index}"));
        }
    }
}

proptest! {
    #![proptest_config(proptest_config(300))]

    #[test]
    fn any_of_the_cuts_of_rule_a_keep_the_ids(
        text in any_text(40),
        chosen in any::<u64>(),
        name in prop::sample::select(BUILTIN_NAMES.to_vec()),
    ) {
        let cuts: Vec<_> = rule_a(&text)
            .into_iter()
            .enumerate()
            .filter(|(index, _)| chosen >> (index % 64) & 1 == 1)
            .map(|(_, at)| at)
            .collect();
        let bpe = oracle(name);
        let ids = encode_pieces(&pieces(&text, &cuts), bpe, &mut HashMap::new());
        prop_assert_eq!(ids, bpe.encode_ordinary(&text));
    }
}

/// The seed is printed with the failing input; nothing is written next to the tests.
fn proptest_config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// tiktoken's ids with every special token allowed.
///
/// tiktoken gives 200018 of `o200k_harmony` two names, tiktoken-rs only one.
fn encode_special(name: &str, text: &str) -> Vec<TokenId> {
    let text = if name == "o200k_harmony" {
        text.replace("<|endofprompt|>", "<|reserved_200018|>")
    } else {
        text.to_owned()
    };
    oracle(name).encode_with_special_tokens(&text)
}

/// Where the first special token of the encoding begins in `text`.
fn first_special(name: &str, text: &str) -> Option<usize> {
    let mut names: Vec<_> = oracle(name).special_tokens().into_iter().collect();
    if name == "o200k_harmony" {
        names.push("<|endofprompt|>");
    }
    names.into_iter().filter_map(|name| text.find(name)).min()
}

/// Special tokens of all encodings, and text that looks like them.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<|endoftext|>",
        "<|endofprompt|>",
        "<|fim_prefix|>",
        "<|fim_middle|>",
        "<|fim_suffix|>",
        "<|startoftext|>",
        "<|return|>",
        "<|constrain|>",
        "<|channel|>",
        "<|start|>",
        "<|end|>",
        "<|message|>",
        "<|call|>",
        "<|reserved_200000|>",
        "<|reserved_200013|>",
        "<|reserved_200018|>",
        "<|reserved_201087|>",
        "<|reserved_201088|>",
        "<|endoftext|",
        "<|",
        "|>",
        "<",
        "|",
        ">",
        "<||>",
        "endoftext",
        "end",
        " ",
        "\n",
        "a",
        " b",
        "é",
        "日本",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn check_special(name: &str, text: &str) {
    let ours = encoding(name);
    let ids = ours.encode(text, Special::Encode).unwrap();
    assert_same_ids(
        &ids,
        &encode_special(name, text),
        &format!("{name} {text:?}"),
    );
    let ids = ours.encode(text, Special::Text).unwrap();
    assert_same_ids(
        &ids,
        &oracle(name).encode_ordinary(text),
        &format!("{name} {text:?}"),
    );
    let refused = ours.encode(text, Special::Error);
    assert_eq!(
        refused.is_err(),
        first_special(name, text).is_some(),
        "{name} {text:?}"
    );
    if let Ok(strict) = refused {
        assert_eq!(strict, ids, "{name} {text:?}");
    }
}

proptest! {
    #![proptest_config(proptest_config(150))]

    #[test]
    fn special_tokens_in_any_text_are_those_of_tiktoken(text in soup()) {
        for name in BUILTIN_NAMES {
            check_special(name, &text);
        }
    }
}

#[test]
fn special_tokens_of_the_fixture_are_taken_as_asked_for() {
    let path = text_path("edge/special_tokens.txt");
    let text = text("edge/special_tokens.txt");
    for name in BUILTIN_NAMES {
        check_special(name, &text);
        // So small that the text is cut between its special tokens.
        let mut config = config(40);
        config.settings.eot = Eot::None;
        config.settings.special = Special::Encode;
        let dataset = Dataset::make(&[&path], encoding(name), &config);
        assert!(dataset.store.n_shards() > 3);
        assert_same_ids(&dataset.ids(), &encode_special(name, &text), name);
        config.settings.special = Special::Error;
        match Dataset::try_make(&[&path], encoding(name), &config) {
            Err(Error::Byte { offset, what, .. }) => {
                assert_eq!(offset, first_special(name, &text).unwrap() as u64, "{name}");
                assert!(what.contains("<|"), "{what}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn harmony_has_both_names_of_the_end_of_the_prompt() {
    let ours = encoding("o200k_harmony");
    for name in ["<|endofprompt|>", "<|reserved_200018|>"] {
        assert_eq!(ours.encode(name, Special::Encode).unwrap(), [200_018]);
    }
    assert_eq!(ours.decode_bytes(&[200_018]).unwrap(), b"<|endofprompt|>");
    assert_eq!(
        oracle("o200k_harmony").encode_with_special_tokens("<|reserved_200018|>"),
        [200_018]
    );
    assert_eq!(
        encoding("o200k_base")
            .encode("<|endofprompt|>", Special::Encode)
            .unwrap(),
        [200_018]
    );
}

/// Bytes of random tokens, with the first and last few cut off, made valid.
fn token_soup(bpe: &CoreBPE, ids: &[u32], n_vocab: u32, cut: (usize, usize)) -> String {
    let bytes: Vec<_> = ids
        .iter()
        .filter_map(|id| bpe.decode_bytes(&[id % n_vocab]).ok())
        .flatten()
        .collect();
    let start = cut.0.min(bytes.len());
    let end = bytes.len().saturating_sub(cut.1).max(start);
    String::from_utf8_lossy(&bytes[start..end]).into_owned()
}

proptest! {
    #![proptest_config(proptest_config(40))]

    #[test]
    fn random_tokens_have_the_ids_of_tiktoken_through_the_pipeline(
        documents in prop::collection::vec(
            (prop::collection::vec(any::<u32>(), 0..300), (0..9_usize, 0..9_usize)),
            1..6,
        ),
        unit in 1..2_000_u64,
        name in prop::sample::select(BUILTIN_NAMES.to_vec()),
    ) {
        let directory = TempDir::new().unwrap();
        let (ours, bpe) = (encoding(name), oracle(name));
        let mut expected = Vec::new();
        let mut paths = Vec::new();
        let mut records = String::new();
        for (index, (ids, cut)) in documents.into_iter().enumerate() {
            let text = token_soup(bpe, &ids, ours.n_vocab(), cut);
            records += &serde_json::json!({"text": text}).to_string();
            records.push('\n');
            expected.push(bpe.encode_ordinary(&text));
            // A token may make the text look like a compressed file.
            let path = write(directory.path(), &format!("{index}.txt"), format!("a{text}"));
            expected.push(bpe.encode_ordinary(&format!("a{text}")));
            paths.push(path);
        }
        paths.push(write(directory.path(), "records.jsonl", records));
        let mut config = config(unit);
        config.settings.eot = Eot::None;
        let dataset = Dataset::make(&paths, ours, &config);
        let (of_records, of_texts): (Vec<_>, Vec<_>) =
            expected.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).unzip();
        let found: Vec<_> = dataset.documents().into_iter().map(|document| document.ids).collect();
        prop_assert_eq!(found, [of_texts, of_records].concat());
    }
}
