//! Tokenized data can be read back: text byte for byte, ids across shard borders, and each token's
//! document.

use crate::common_dataset;

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::LazyLock;

use common_dataset::same_ids::assert_same_ids;
use common_dataset::{
    Dataset, config, encoding, format_of, model, records_path, shardmill, text, text_path,
};
use proptest::prelude::*;
use shardmill::dataset::{Eot, TokenDtype, Tokens};
use shardmill::document::Format;
use shardmill::tokenizer::BUILTIN_NAMES;
use shardmill::{Level, Special};

/// Texts in many scripts, edge cases, JSON Lines; without the large English ones.
fn inputs() -> Vec<PathBuf> {
    let texts = [
        "udhr.txt",
        "edge/bom.txt",
        "edge/crlf.txt",
        "edge/empty.txt",
        "edge/nul.txt",
        "edge/special_tokens.txt",
        "edge/no_final_newline.txt",
        "the-verdict.txt",
    ];
    let texts = texts.into_iter().map(text_path);
    texts.chain([records_path()]).collect()
}

fn documents_of(inputs: &[PathBuf]) -> Vec<(u32, Range<u64>, String)> {
    let read = |path: &PathBuf| (format_of(path), fs::read(path).unwrap());
    model::texts(&inputs.iter().map(read).collect::<Vec<(Format, Vec<u8>)>>())
}

/// Decodes a document's ids without its own end-of-text token, which must be there.
fn decode(ids: &[u32], eot: Eot, encoding: &shardmill::Tokenizer) -> Vec<u8> {
    let end_of_text = encoding.end_of_text().unwrap();
    let text = match eot {
        Eot::After => ids.strip_suffix(&[end_of_text]).unwrap(),
        Eot::Before => ids.strip_prefix(&[end_of_text]).unwrap(),
        Eot::None => ids,
    };
    encoding.decode_bytes(text).unwrap()
}

#[test]
fn each_document_comes_back_byte_for_byte() {
    let inputs = inputs();
    let documents = documents_of(&inputs);
    let settings = Eot::ALL
        .into_iter()
        .zip([Special::Text, Special::Encode, Special::Text]);
    for (name, (eot, special)) in BUILTIN_NAMES.into_iter().zip(settings.cycle()) {
        let mut config = config(150_000);
        config.settings.eot = eot;
        config.settings.special = special;
        let dataset = Dataset::make(&inputs, encoding(name), &config);
        let found = dataset.documents();
        assert_eq!(found.len(), documents.len());
        for (found, (source, bytes, text)) in found.iter().zip(&documents) {
            assert_eq!((found.source, &found.bytes), (*source, bytes));
            let decoded = decode(&found.ids, eot, encoding(name));
            assert!(
                decoded == text.as_bytes(),
                "{name}, {source} from {bytes:?}"
            );
        }
    }
}

#[test]
fn each_document_comes_back_from_the_program() {
    let inputs = inputs();
    let documents = documents_of(&inputs);
    let whole: String = documents.iter().map(|(_, _, text)| text.as_str()).collect();
    for (eot, special) in Eot::ALL.into_iter().zip(Special::ALL) {
        let mut config = config(150_000);
        config.settings.eot = eot;
        // The inputs have special tokens, which one of the choices refuses.
        config.settings.special = if special == Special::Error {
            Special::Text
        } else {
            special
        };
        let dataset = Dataset::make(&inputs, encoding("gpt2"), &config);
        let program = |options: &[&str]| {
            shardmill(
                dataset.directory.path(),
                &[&["decode", "out"], options].concat(),
                b"",
            )
        };
        assert!(program(&[]) == whole.as_bytes(), "{eot:?}");
        let last = documents.len() - 1;
        // The first spans units, the fourth is empty, the sixth has special tokens.
        for index in [0, 3, 5, 7, 8, last] {
            let found = program(&["--document", &index.to_string()]);
            assert!(
                found == documents[index].2.as_bytes(),
                "{eot:?}, document {index}"
            );
        }
        let found = program(&["--documents", "1..9"]);
        let expected: String = documents[1..9]
            .iter()
            .map(|(_, _, text)| text.as_str())
            .collect();
        assert!(found == expected.as_bytes(), "{eot:?}");
        assert!(program(&["--documents", "4..4"]).is_empty());
        let found = program(&["--documents", "2..5", "--keep-special"]);
        let [before, after] =
            [Eot::Before, Eot::After].map(|place| if place == eot { "<|endoftext|>" } else { "" });
        let kept = documents[2..5]
            .iter()
            .flat_map(|(_, _, text)| [before, text, after]);
        assert_eq!(
            String::from_utf8(found).unwrap(),
            kept.collect::<String>(),
            "{eot:?}"
        );
    }
}

#[test]
fn u16_shards_have_the_ids_of_u32_shards() {
    for name in ["gpt2", "p50k_edit"] {
        let [narrow, wide] = [TokenDtype::U16, TokenDtype::U32].map(|dtype| {
            let mut config = config(200_000);
            config.settings.token_dtype = dtype;
            Dataset::make(&inputs(), encoding(name), &config)
        });
        assert_same_ids(&narrow.ids(), &wide.ids(), name);
        for (index, (narrow, wide)) in narrow.store.shards().zip(wide.store.shards()).enumerate() {
            let (narrow, wide) = (narrow.unwrap(), wide.unwrap());
            assert_eq!(narrow.documents(), wide.documents(), "shard {index}");
            assert!(matches!(narrow.tokens(), Tokens::U16(_)));
        }
        let files = narrow.files();
        let ids = narrow.store.manifest().shards.iter();
        let bytes: usize = ids.map(|shard| files[&shard.file].len()).sum();
        assert_eq!(bytes as u64, 2 * narrow.store.n_tokens());
        // A reader that knows only the layout.
        let first: Vec<_> = files["shard-00000.u16"]
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&bytes| u32::from(u16::from_le_bytes(bytes)))
            .collect();
        assert_same_ids(&first, &wide.ids()[..first.len()], name);
    }
    let mut config = config(1 << 20);
    config.settings.token_dtype = TokenDtype::U16;
    assert!(Dataset::try_make(&inputs(), encoding("cl100k_base"), &config).is_err());
}

/// About 60 shards, some of a few tokens, and one of none, which has only blank lines.
static SMALL: LazyLock<(Dataset, Dataset, Vec<u32>)> = LazyLock::new(|| {
    let directory = tempfile::TempDir::new().unwrap();
    let record = "{\"text\": \"one two\"}\n";
    let blank = "\n".repeat(900);
    let inputs = [
        text_path("the-verdict.txt"),
        common_dataset::write(
            directory.path(),
            "b.jsonl",
            format!("{record}{blank}{record}"),
        ),
        text_path("edge/empty.txt"),
        text_path("edge/crlf.txt"),
    ];
    let [wide, narrow] = [TokenDtype::U32, TokenDtype::U16].map(|dtype| {
        let mut config = config(400);
        config.settings.token_dtype = dtype;
        Dataset::make(&inputs, encoding("gpt2"), &config)
    });
    let ids = wide.ids();
    (wide, narrow, ids)
});

#[test]
fn every_token_belongs_to_the_document_that_has_it() {
    let (dataset, _, ids) = &*SMALL;
    let store = &dataset.store;
    assert!(store.n_shards() > 50);
    assert!(
        store
            .shards()
            .any(|shard| shard.unwrap().tokens().is_empty())
    );
    let mut next = 0;
    for document in store.documents().map(Result::unwrap) {
        assert_eq!(document.tokens.start, next, "documents follow each other");
        next = document.tokens.end;
        let mut piece_start = document.bytes.start;
        for offset in document.tokens.clone() {
            let record = store.document_of(offset).unwrap().unwrap();
            assert_eq!(record.source, document.source);
            if record.byte_start != piece_start {
                assert!(record.began_earlier());
                piece_start = record.byte_start;
            }
            assert_eq!(
                record.goes_on(),
                record.byte_start + record.byte_len < document.bytes.end
            );
            assert_eq!(
                record.began_earlier(),
                record.byte_start > document.bytes.start
            );
            assert_eq!(
                record.is_empty(),
                document.tokens.end - document.tokens.start == 1
            );
        }
    }
    assert_eq!(next, ids.len() as u64);
    assert_eq!(store.n_tokens(), next);
    assert!(store.document_of(next).unwrap().is_none());
    assert!(store.document_of(u64::MAX).unwrap().is_none());
}

#[test]
fn shards_without_tokens_or_documents_can_be_read() {
    let directory = tempfile::TempDir::new().unwrap();
    let no_text = common_dataset::write(directory.path(), "a.txt", "");
    let no_record = common_dataset::write(directory.path(), "b.jsonl", "\n\r\n \n");
    for dtype in TokenDtype::ALL {
        let mut config = config(1);
        config.settings.eot = Eot::None;
        config.settings.token_dtype = dtype;
        let dataset = Dataset::make(&[&no_text, &no_record], encoding("gpt2"), &config);
        assert_eq!(dataset.store.n_shards(), 3);
        assert!(dataset.ids().is_empty());
        let documents: Vec<_> = dataset.store.documents().map(Result::unwrap).collect();
        assert_eq!(documents.len(), 1);
        assert_eq!((documents[0].source, &documents[0].tokens), (0, &(0..0)));
        assert!(dataset.store.shard(0).unwrap().documents()[0].is_empty());
        assert!(dataset.store.document_of(0).unwrap().is_none());
    }
}

#[test]
fn shards_begin_where_those_before_them_end() {
    let (dataset, _, ids) = &*SMALL;
    let mut start = 0;
    for (index, shard) in dataset.store.shards().enumerate() {
        assert_eq!(dataset.store.shard_start(index), start);
        start += shard.unwrap().tokens().len() as u64;
    }
    assert_eq!(start, ids.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn reads_over_shard_borders_are_slices_of_all_ids(start in 0..6_000_usize, length in 0..3_000_usize) {
        let (wide, narrow, ids) = &*SMALL;
        let mut to = vec![u32::MAX; length];
        for dataset in [wide, narrow] {
            let outcome = dataset.store.read(start as u64, &mut to);
            match ids.get(start..start + length) {
                Some(expected) => {
                    prop_assert!(outcome.is_ok());
                    prop_assert_eq!(&to[..], expected);
                }
                None => prop_assert!(outcome.is_err()),
            }
        }
    }
}

#[test]
fn reads_beyond_the_end_are_refused() {
    let (dataset, _, ids) = &*SMALL;
    let end = ids.len() as u64;
    let read = |start, length| dataset.store.read(start, &mut vec![0; length]);
    assert!(read(0, ids.len()).is_ok());
    assert!(read(end, 0).is_ok());
    assert!(read(end, 1).is_err());
    assert!(read(end + 1, 0).is_err());
    assert!(read(u64::MAX, 1).is_err());
    assert!(
        text("the-verdict.txt").len() > 20_000,
        "long enough for 50 shards"
    );
}

#[test]
fn a_text_that_is_split_already_has_the_ids_of_its_pieces() {
    let gpt2 = encoding("gpt2");
    let text = text("udhr.txt");
    let ends = gpt2.pretoken_ends(&text, Level::detect());
    let ids = gpt2.encode_pretokens(&text, &ends).unwrap();
    assert_same_ids(&ids, &gpt2.encode_ordinary(&text), "udhr.txt");
    for level in Level::available() {
        let gpt2 = gpt2.clone().with_level(level);
        assert_same_ids(&ids, &gpt2.encode_ordinary(&text), level.name());
    }
    assert_eq!(gpt2.encode_pretokens("", &[]).unwrap(), [0; 0]);
    for (text, ends, what) in [
        (
            "ab",
            &[0, 2][..],
            "a pretoken from byte 0 cannot end at byte 0 of a text of 2",
        ),
        (
            "ab",
            &[2, 1],
            "a pretoken from byte 2 cannot end at byte 1 of a text of 2",
        ),
        (
            "ab",
            &[3],
            "a pretoken from byte 0 cannot end at byte 3 of a text of 2",
        ),
        (
            "\u{e9}",
            &[1, 2],
            "a pretoken from byte 0 cannot end at byte 1 of a text of 2",
        ),
        ("ab", &[1], "pretokens end at byte 1 of a text of 2"),
        ("ab", &[], "pretokens end at byte 0 of a text of 2"),
    ] {
        let error = gpt2.encode_pretokens(text, ends).unwrap_err();
        assert_eq!(error.to_string(), what);
    }
}
