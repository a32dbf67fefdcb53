//! Tests of SentencePiece models.

use crate::definition::protobuf::tests::{bytes, float, integer};
use crate::definition::{
    Alphabet, Decoding, Definition, Kind, Merges, NO_BYTE, Normalizer, Refusal, Source, Unknown,
    Use, parse,
};

/// Pieces of a model: text, score and type.
type Pieces<'a> = Vec<(&'a str, f32, u64)>;

fn usual() -> Pieces<'static> {
    vec![
        ("<unk>", 0.0, 2),
        ("<s>", 0.0, 3),
        ("ab", -1.0, 1),
        ("abc", -2.0, 1),
        ("bc", -1.0, 1),
        ("▁", -3.0, 1),
        ("a", -4.0, 1),
        ("b", -5.0, 1),
        ("c", -6.0, 1),
    ]
}

/// A model; the specs are lists of fields with integers.
fn model(pieces: &Pieces<'_>, trainer: &[(u64, u64)], normalizer: &[(u64, u64)]) -> Vec<u8> {
    let mut model = Vec::new();
    for &(text, score, usage) in pieces {
        let mut piece = Vec::new();
        bytes(1, text.as_bytes(), &mut piece);
        float(2, score, &mut piece);
        if usage != 1 {
            integer(3, usage, &mut piece);
        }
        bytes(1, &piece, &mut model);
    }
    for (number, fields) in [(2, trainer), (3, normalizer)] {
        let mut spec = Vec::new();
        for &(number, value) in fields {
            integer(number, value, &mut spec);
        }
        bytes(number, &spec, &mut model);
    }
    model
}

const BPE: &[(u64, u64)] = &[(3, 2)];
const PLAIN: &[(u64, u64)] = &[(4, 0)];

fn read_bytes(bytes: &[u8]) -> Result<Definition, Refusal> {
    parse(&Source {
        bytes,
        ..Source::default()
    })
}

fn read(pieces: &Pieces<'_>) -> Result<Definition, Refusal> {
    read_bytes(&model(pieces, BPE, PLAIN))
}

/// What is wrong with one more piece.
fn message(text: &str, usage: u64) -> String {
    let mut pieces = usual();
    pieces.push((text, -9.0, usage));
    read(&pieces).unwrap_err().to_string()
}

#[test]
fn merges_are_all_splits_in_the_order_of_scores() {
    let definition = read(&usual()).unwrap();
    let Merges::List(list) = &definition.model.merges else {
        panic!("no list");
    };
    let merges: Vec<_> = list
        .iter()
        .map(|m| (m.left, m.right, m.merged, m.rank))
        .collect();
    // Equal scores have equal ranks, so that the leftmost counts.
    assert_eq!(
        merges,
        [(6, 7, 2, 0), (7, 8, 4, 0), (6, 4, 3, 1), (2, 8, 3, 1)]
    );
    assert_eq!(definition.kind, Kind::SentencePiece);
    assert_eq!(
        definition.model.unknown,
        Some(Unknown { id: 0, fuse: true })
    );
    assert_eq!(definition.model.tokens.usage(1), Use::Decoded);
    assert_eq!(
        definition.decoding,
        Decoding::Words {
            marker: '▁',
            strip: 1
        }
    );
    assert_eq!(
        definition.normalizers[0],
        Normalizer::Prepend("▁".to_owned())
    );
    let no_prefix = read_bytes(&model(&usual(), BPE, &[(3, 0), (4, 0)])).unwrap();
    assert_eq!(no_prefix.normalizers.len(), 1);
    assert_eq!(
        no_prefix.decoding,
        Decoding::Words {
            marker: '▁',
            strip: 0
        }
    );
}

#[test]
fn user_defined_pieces_are_added_tokens_and_not_merged() {
    let mut pieces = usual();
    pieces[4].2 = 4;
    let definition = read(&pieces).unwrap();
    assert_eq!(
        (&*definition.added[0].content, definition.added[0].id),
        ("bc", 4)
    );
    assert!(definition.added_in_normalized && definition.added[0].normalized);
    let Merges::List(list) = &definition.model.merges else {
        panic!("no list");
    };
    assert!(
        list.iter()
            .all(|m| ![m.left, m.right, m.merged].contains(&4))
    );
}

#[test]
fn a_byte_fallback_has_all_bytes() {
    let names: Vec<_> = (0..=255).map(|byte| format!("<0x{byte:02X}>")).collect();
    let mut pieces = usual();
    pieces.extend(names.iter().map(|name| (&**name, 0.0, 6)));
    let definition = read_bytes(&model(&pieces, &[(3, 2), (35, 1)], PLAIN)).unwrap();
    let Alphabet::Characters {
        fallback: Some(ids),
    } = &definition.model.alphabet
    else {
        panic!("no fallback");
    };
    assert!(ids.iter().all(|&id| id != NO_BYTE));
    assert_eq!(definition.model.tokens.bytes(ids[10]), b"\n");
    assert_eq!(definition.model.unknown, None);
    pieces.pop();
    let short = read_bytes(&model(&pieces, &[(3, 2), (35, 1)], PLAIN)).unwrap_err();
    assert_eq!(
        short.to_string(),
        "has no piece \"<0xFF>\" for byte_fallback"
    );
    assert_eq!(
        message("<0x00>", 6),
        "piece 9, \"<0x00>\", is no byte of a byte_fallback"
    );
}

#[test]
fn pieces_that_would_mean_something_else_are_refused() {
    assert_eq!(
        message("abcbc", 5),
        "piece 9, \"abcbc\", is unused and can be merged, which is not supported"
    );
    assert_eq!(
        message("ax", 1),
        "piece 9, \"ax\", has 'x', which is no piece: this is not supported"
    );
    assert_eq!(
        message("x", 3),
        "piece 9, \"x\", is one character, which is not supported for its type"
    );
    assert_eq!(
        message("<unk2>", 2),
        "piece 9, \"<unk2>\", is another unknown piece"
    );
    assert_eq!(
        message("a b", 4),
        "piece 9, \"a b\", is user-defined with a space or NUL, which is not supported"
    );
    assert_eq!(message("a", 1), "\"a\" is there twice, with ids 6 and 9");
    assert_eq!(
        message(&"a".repeat(2000), 1)
            .split(',')
            .next_back()
            .unwrap(),
        " which is not supported"
    );
    assert!(message("x", 7).ends_with("piece type 7 is not known"));
    assert!(message("", 1).ends_with("a piece has no text"));
    let mut pieces = usual();
    pieces.remove(0);
    assert_eq!(
        read(&pieces).unwrap_err().to_string(),
        "has no unknown piece"
    );
    // One that no merge makes is only decoded.
    pieces = usual();
    pieces.push(("cab▁c", -9.0, 5));
    pieces[2].2 = 5;
    assert!(
        read(&pieces)
            .unwrap_err()
            .to_string()
            .contains("piece 2, \"ab\",")
    );
}

#[test]
fn other_models_and_normalizations_are_refused_by_name() {
    for (trainer, normalizer, expected) in [
        (
            &[][..],
            PLAIN,
            "trainer_spec.model_type UNIGRAM is not supported",
        ),
        (
            &[(3, 1)],
            PLAIN,
            "trainer_spec.model_type UNIGRAM is not supported",
        ),
        (
            &[(3, 3)],
            PLAIN,
            "trainer_spec.model_type WORD is not supported",
        ),
        (
            &[(3, 4)],
            PLAIN,
            "trainer_spec.model_type CHAR is not supported",
        ),
        (&[(3, 9)], PLAIN, "trainer_spec.model_type 9 is not known"),
        (
            &[(3, 2), (24, 1)],
            PLAIN,
            "trainer_spec.treat_whitespace_as_suffix true is not supported",
        ),
        (
            BPE,
            &[],
            "normalizer_spec.remove_extra_whitespaces true is not supported",
        ),
        (
            BPE,
            &[(4, 0), (5, 0)],
            "normalizer_spec.escape_whitespaces false is not supported",
        ),
    ] {
        let refusal = read_bytes(&model(&usual(), trainer, normalizer)).unwrap_err();
        assert_eq!(refusal.to_string(), expected);
    }
    let mut with_map = model(&usual(), BPE, PLAIN);
    let mut spec = Vec::new();
    bytes(1, b"nmt_nfkc", &mut spec);
    bytes(2, b"xyz", &mut spec);
    bytes(3, &spec, &mut with_map);
    let refusal = read_bytes(&with_map).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "normalizer_spec.precompiled_charsmap of \"nmt_nfkc\" is not supported"
    );
    let mut extended = model(&usual(), BPE, PLAIN);
    integer(200, 1, &mut extended);
    assert!(
        read_bytes(&extended)
            .unwrap_err()
            .to_string()
            .ends_with("field 200 of the model is not known")
    );
}

#[test]
fn a_cut_or_damaged_model_is_refused() {
    let whole = model(&usual(), BPE, PLAIN);
    for end in 0..whole.len() {
        assert!(read_bytes(&whole[..end]).is_err(), "{end}");
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x80;
        // It is refused, or it is another model; it does not panic.
        let _ = read_bytes(&damaged);
    }
}
