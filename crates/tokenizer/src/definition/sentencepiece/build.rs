//! Pieces and scores -> tokens and merges.
//!
//! The library merges the two adjacent symbols whose text together is the piece with the highest
//! score, the leftmost among equals, until no two make a piece. Symbols are characters, or pieces
//! that were merged; user-defined pieces are found first, and are not merged. So the merges are all
//! splits of a piece into two pieces, in the order of the scores of the whole.

use shardmill_core::token::TokenId;

use super::{Piece, Type, unsupported};
use crate::definition::refusal::quoted;
use crate::definition::strings::{Strings, Texts};
use crate::definition::tokenizer_json::byte_token;
use crate::definition::tokens::Merge;
use crate::definition::{AddedToken, NO_BYTE, Refusal, Tokens, Use};

/// What pieces mean.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) tokens: Tokens,
    pub(super) merges: Vec<Merge>,
    pub(super) added: Vec<AddedToken>,
    pub(super) unknown: TokenId,
    pub(super) fallback: Option<Box<[TokenId; 256]>>,
}

/// Longer pieces than this are refused if they can be split: each has a split after each character.
const LONGEST_PIECE: usize = 1 << 10;

/// The library looks at no more user-defined pieces that begin alike.
const MOST_NESTED: usize = 64;

pub(super) fn parts(pieces: &[Piece<'_>], byte_fallback: bool) -> Result<Parts, Refusal> {
    // The library has two maps; a text may be in one of them.
    let mut texts = Texts::with_capacity(pieces.len(), pieces.len() * 8);
    let mut unknown = None;
    let mut added = Vec::new();
    let mut bytes = Box::new([NO_BYTE; 256]);
    let mut tokens = Tokens::with_capacity(pieces.len(), 0);
    for (id, piece) in (0..).zip(pieces) {
        let start = texts.end().len();
        texts.end().extend_from_slice(piece.text.as_bytes());
        texts
            .commit(start, u64::from(id))
            .map_err(Refusal::damaged)?;
        let shown = || format!("piece {id}, {},", quoted(piece.text));
        let is_character = piece.text.chars().nth(1).is_none();
        let mut usage = Use::Decoded;
        match piece.usage {
            Type::Normal | Type::Unused if is_character => usage = Use::Text,
            Type::Normal | Type::Unused => {}
            Type::UserDefined => added.push(user_defined(piece, id)?),
            // The library would take the character for it.
            _ if is_character => {
                return Err(Refusal::unsupported(
                    shown(),
                    "is one character, which is not supported for its type",
                ));
            }
            Type::Control => {}
            Type::Unknown if unknown.is_some() => {
                return Err(Refusal::damaged_at(shown(), "is another unknown piece"));
            }
            Type::Unknown => unknown = Some(id),
            Type::Byte => {
                let byte = (0..=u8::MAX).find(|&byte| byte_token(byte) == piece.text);
                let Some(byte) = byte.filter(|_| byte_fallback) else {
                    return Err(Refusal::damaged_at(
                        shown(),
                        "is no byte of a byte_fallback",
                    ));
                };
                bytes[usize::from(byte)] = id;
            }
        }
        tokens.push(piece.text.as_bytes(), usage);
    }
    let Some(unknown) = unknown else {
        return Err(Refusal::damaged("has no unknown piece"));
    };
    check_nested(&added)?;
    let texts = texts.index().map_err(Refusal::damaged)?;
    let merges = merges(pieces, &texts)?;
    for merge in &merges {
        tokens.set_use(merge.merged, Use::Text);
    }
    let fallback = if byte_fallback {
        if let Some(byte) = (0..=u8::MAX).find(|&byte| bytes[usize::from(byte)] == NO_BYTE) {
            let what = format!(
                "has no piece {} for byte_fallback",
                quoted(&byte_token(byte))
            );
            return Err(Refusal::damaged(what));
        }
        tokens = tokens.with_byte_tokens(&bytes);
        Some(bytes)
    } else {
        None
    };
    Ok(Parts {
        tokens,
        merges,
        added,
        unknown,
        fallback,
    })
}

/// The library finds user-defined pieces in the normalized text, before it merges.
fn user_defined(piece: &Piece<'_>, id: TokenId) -> Result<AddedToken, Refusal> {
    // The library's tables take a NUL for the end; and spaces never occur in normalized text.
    if piece.text.contains(['\0', ' ']) {
        let path = format!("piece {id}, {},", quoted(piece.text));
        let what = "is user-defined with a space or NUL, which is not supported";
        return Err(Refusal::unsupported(path, what));
    }
    Ok(AddedToken {
        content: piece.text.to_owned(),
        id,
        special: false,
        normalized: true,
        single_word: false,
        lstrip: false,
        rstrip: false,
    })
}

fn check_nested(added: &[AddedToken]) -> Result<(), Refusal> {
    let mut texts: Vec<_> = added.iter().map(|token| &*token.content).collect();
    texts.sort_unstable();
    // Each begins with the one before.
    let mut open: Vec<&str> = Vec::new();
    for text in texts {
        while open.last().is_some_and(|last| !text.starts_with(last)) {
            open.pop();
        }
        open.push(text);
        if open.len() > MOST_NESTED {
            let what = "more than 64 user-defined pieces begin alike, which is not supported";
            return Err(unsupported(0, what.to_owned()));
        }
    }
    Ok(())
}

/// All splits of a piece into two symbols, in the order of scores.
fn merges(pieces: &[Piece<'_>], texts: &Strings) -> Result<Vec<Merge>, Refusal> {
    // A symbol is what text is merged from and to.
    let is_symbol = |id: TokenId| {
        let usage = pieces.get(id as usize).map(|piece| piece.usage);
        matches!(usage, Some(Type::Normal | Type::Unused))
    };
    let find = |text: &str| texts.find(text.as_bytes()).filter(|&id| is_symbol(id));
    let mut order: Vec<TokenId> = (0..)
        .zip(pieces)
        .filter(|(id, piece)| is_symbol(*id) && piece.text.chars().nth(1).is_some())
        .map(|(id, _)| id)
        .collect();
    // A sum with zero makes -0.0 and 0.0 equal, as the library has them.
    let score = |id: TokenId| pieces[id as usize].score + 0.0;
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));

    let mut merges = Vec::new();
    let mut rank = 0;
    for (at, &merged) in order.iter().enumerate() {
        let piece = &pieces[merged as usize];
        if at > 0 && score(order[at - 1]) > score(merged) {
            rank += 1;
        }
        let path = || format!("piece {merged}, {},", quoted(piece.text));
        if piece.text.len() > LONGEST_PIECE {
            let what = "has more than 1,024 bytes, which is not supported";
            return Err(Refusal::unsupported(path(), what));
        }
        for (index, c) in piece.text.char_indices() {
            // The library merges characters that are no pieces. User-defined ones it does not.
            let mut buffer = [0; 4];
            if texts.find(c.encode_utf8(&mut buffer).as_bytes()).is_none() {
                let what = format!("has {c:?}, which is no piece: this is not supported");
                return Err(Refusal::unsupported(path(), what));
            }
            let (left, right) = piece.text.split_at(index);
            if let (Some(left), Some(right)) = (find(left), find(right)) {
                merges.push(Merge {
                    left,
                    right,
                    merged,
                    rank,
                });
                if piece.usage == Type::Unused {
                    let what = "is unused and can be merged, which is not supported";
                    return Err(Refusal::unsupported(path(), what));
                }
            }
        }
    }
    Ok(merges)
}
