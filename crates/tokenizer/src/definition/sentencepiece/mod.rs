//! SentencePiece models of the type BPE, with the meaning that the sentencepiece library has.
//!
//! ```text
//! mod    the file as a whole
//! specs  how it was trained and how texts are normalized, as far as ids depend on it
//! build  pieces and scores -> tokens and merges
//! ```

mod build;
mod specs;
#[cfg(test)]
mod tests;

use crate::definition::protobuf::{Field, Message};
use crate::definition::{
    Alphabet, Cause, Decoding, Definition, ID_LIMIT, Kind, Merges, Model, Normalizer, Place,
    Refusal, Source, TokenizerFormat, Unknown,
};

use specs::{NormalizerSpec, TrainerSpec};

pub(super) const FORMAT: TokenizerFormat = TokenizerFormat {
    kind: Kind::SentencePiece,
    name: "SentencePiece model",
    library: "SentencePiece",
    takes_pattern: false,
    looks,
    parse,
};

/// What stands for a space.
const MARKER: char = '▁';

/// A piece of the vocabulary; its index is its id.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    text: &'a str,
    score: f32,
    usage: Type,
}

/// The types of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// Whether the first field is a piece that has a text.
fn looks(bytes: &[u8]) -> bool {
    let first = Message::new(bytes, 0).next_field();
    matches!(first, Ok(Some(field)) if field.number == 1 && piece(&field).is_ok())
}

fn piece<'a>(field: &Field<'a>) -> Result<Piece<'a>, Refusal> {
    let mut piece = Piece {
        text: "",
        score: 0.0,
        usage: Type::Normal,
    };
    let mut message = field.message()?;
    while let Some(part) = message.next_field()? {
        match part.number {
            1 => piece.text = part.text()?,
            2 => piece.score = part.float()?,
            3 => {
                piece.usage = match part.integer()? {
                    1 => Type::Normal,
                    2 => Type::Unknown,
                    3 => Type::Control,
                    4 => Type::UserDefined,
                    5 => Type::Unused,
                    6 => Type::Byte,
                    other => {
                        let what = format!("piece type {other} is not known");
                        return Err(unsupported(part.at, what));
                    }
                }
            }
            other => return Err(unknown_field(part.at, "of a piece", other)),
        }
    }
    if piece.text.is_empty() {
        return Err(Refusal::byte(field.at, "a piece has no text"));
    }
    if !piece.score.is_finite() {
        return Err(Refusal::byte(field.at, "a score is not a number"));
    }
    Ok(piece)
}

fn unsupported(at: usize, what: String) -> Refusal {
    Refusal::new(Cause::Unsupported, Place::Byte(at as u64), what)
}

fn unknown_field(at: usize, of: &str, number: u64) -> Refusal {
    unsupported(at, format!("field {number} {of} is not known"))
}

fn parse(source: &Source<'_>) -> Result<Definition, Refusal> {
    let mut pieces = Vec::new();
    let mut trainer = TrainerSpec::default();
    let mut normalizer = NormalizerSpec::default();
    let mut notes = Vec::new();
    let mut message = Message::new(source.bytes, 0);
    while let Some(field) = message.next_field()? {
        match field.number {
            1 => {
                if pieces.len() == ID_LIMIT as usize {
                    return Err(unsupported(
                        field.at,
                        "there are more than 524,288 pieces".into(),
                    ));
                }
                pieces.push(piece(&field)?);
            }
            // Messages of one field are merged.
            2 => trainer.read(field.message()?)?,
            3 => normalizer.read(field.message()?)?,
            // Tests of the model.
            4 => {}
            5 => {
                let mut spec = NormalizerSpec::default();
                spec.read(field.message()?)?;
                if spec.charsmap_bytes > 0 {
                    notes.push("denormalizer_spec is not applied when ids are decoded".to_owned());
                }
            }
            other => return Err(unknown_field(field.at, "of the model", other)),
        }
    }
    trainer.check()?;
    normalizer.check(trainer.whitespace_as_suffix)?;
    let build::Parts {
        tokens,
        merges,
        added,
        unknown,
        fallback,
    } = build::parts(&pieces, trainer.byte_fallback)?;
    let mut normalizers = Vec::new();
    if normalizer.add_dummy_prefix {
        normalizers.push(Normalizer::Prepend(MARKER.to_string()));
    }
    normalizers.push(Normalizer::Replace {
        from: " ".to_owned(),
        to: MARKER.to_string(),
    });
    Ok(Definition {
        kind: Kind::SentencePiece,
        normalizers,
        stages: Vec::new(),
        metaspace: None,
        model: Model {
            tokens,
            merges: Merges::List(merges),
            unknown: fallback.is_none().then_some(Unknown {
                id: unknown,
                fuse: true,
            }),
            alphabet: Alphabet::Characters { fallback },
            whole_tokens: false,
        },
        added,
        added_in_normalized: true,
        decoding: Decoding::Words {
            marker: MARKER,
            strip: u32::from(normalizer.add_dummy_prefix),
        },
        // The library adds none, unless it is asked to.
        bos: Vec::new(),
        eos: Vec::new(),
        notes,
    })
}
