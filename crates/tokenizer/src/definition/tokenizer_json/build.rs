//! A model's parts -> what they mean.

use shardmill_core::token::TokenId;

use super::model::RawModel;
use crate::definition::refusal::quoted;
use crate::definition::strings::Strings;
use crate::definition::tokens::Merge;
use crate::definition::{
    Alphabet, Merges, Model, NO_BYTE, Refusal, Tokens, Unknown, Use, alphabet,
};

/// The meaning of a model whose vocabulary is byte-level, or not.
pub(in crate::definition) fn model(
    model: RawModel<'_>,
    is_byte_level: bool,
) -> Result<Model, Refusal> {
    model.check_plain()?;
    let unk_token = model.text("unk_token")?;
    let fuse = model.flag("fuse_unk")?;
    let byte_fallback = model.flag("byte_fallback")?;
    let whole_tokens = model.flag("ignore_merges")?;
    let RawModel { vocab, merges, .. } = model;
    let mut merges = merges.finish();

    let missing = missing_bytes(&vocab);
    let fallback = match (byte_fallback, is_byte_level) {
        (true, true) => {
            check_no_fallback(&vocab, &missing)?;
            None
        }
        (true, false) => fallback(&vocab)?,
        (false, _) => None,
    };
    if whole_tokens && fallback.is_some() {
        return Err(Refusal::unsupported(
            "model.ignore_merges",
            "with byte_fallback is not supported",
        ));
    }
    // Whether there is a text that the vocabulary cannot express.
    let can_lack = if is_byte_level {
        !missing.is_empty()
    } else {
        fallback.is_none()
    };
    let unknown = match unk_token.filter(|_| can_lack) {
        None => None,
        Some(token) => Some(Unknown {
            id: unknown(&token, &vocab, &merges)?,
            fuse,
        }),
    };
    let tokens = if is_byte_level {
        byte_level_tokens(&vocab, &mut merges, whole_tokens)
    } else {
        text_tokens(vocab, &merges, whole_tokens, fallback.as_deref())?
    };
    Ok(Model {
        tokens,
        merges: Merges::List(merges),
        alphabet: if is_byte_level {
            Alphabet::Bytes
        } else {
            Alphabet::Characters { fallback }
        },
        unknown,
        whole_tokens,
    })
}

/// The tokens of a byte-level vocabulary. Merges of texts outside the alphabet never happen, and
/// are removed.
fn byte_level_tokens(vocab: &Strings, merges: &mut Vec<Merge>, whole_tokens: bool) -> Tokens {
    let mut tokens = Tokens::with_capacity(vocab.limit() as usize, vocab.len_bytes());
    let mut outside = Vec::new();
    for id in 0..vocab.limit() {
        let Some(text) = vocab.get(id) else {
            continue;
        };
        tokens.skip_to(id);
        let mut is_inside = true;
        tokens.push_with(Use::Decoded, |bytes| {
            is_inside = alphabet::undo(text, bytes) && !text.is_empty();
        });
        if !is_inside {
            outside.push(id);
        } else if whole_tokens || tokens.bytes(id).len() == 1 {
            tokens.set_use(id, Use::Text);
        }
    }
    if !outside.is_empty() {
        let is_outside = |id: TokenId| outside.binary_search(&id).is_ok();
        merges.retain(|merge| !is_outside(merge.left) && !is_outside(merge.right));
    }
    for merge in merges {
        tokens.set_use(merge.merged, Use::Text);
    }
    tokens
}

/// The bytes for which a byte-level vocabulary has no token.
fn missing_bytes(vocab: &Strings) -> Vec<u8> {
    let mut buffer = [0; 4];
    (0..=u8::MAX)
        .filter(|&byte| {
            let text = alphabet::character(byte).encode_utf8(&mut buffer);
            vocab.find(text.as_bytes()).is_none()
        })
        .collect()
}

/// A byte fallback acts on the characters that stand for bytes, which is not implemented. It does
/// nothing if all of these are tokens, or if its own tokens are not there.
fn check_no_fallback(vocab: &Strings, missing: &[u8]) -> Result<(), Refusal> {
    for &byte in missing {
        let text = alphabet::character(byte).to_string();
        if text.bytes().all(|byte| find_byte(vocab, byte).is_some()) {
            let what = "true is not supported for a byte-level vocabulary that lacks bytes";
            return Err(Refusal::unsupported("model.byte_fallback", what));
        }
    }
    Ok(())
}

/// The token of a byte in a fallback.
pub(in crate::definition) fn byte_token(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

fn find_byte(vocab: &Strings, byte: u8) -> Option<TokenId> {
    vocab.find(byte_token(byte).as_bytes())
}

/// The ids of the bytes; `None` if there are none at all. HF tokenizers falls back only for a
/// character all of whose bytes are tokens.
fn fallback(vocab: &Strings) -> Result<Option<Box<[TokenId; 256]>>, Refusal> {
    let mut ids = Box::new([NO_BYTE; 256]);
    let mut missing = None;
    let mut found = false;
    for byte in 0..=u8::MAX {
        match find_byte(vocab, byte) {
            Some(id) => {
                ids[usize::from(byte)] = id;
                found = true;
            }
            None if is_needed(byte) && !(byte.is_ascii() && vocab.find(&[byte]).is_some()) => {
                missing = Some(byte);
            }
            None => {}
        }
    }
    match missing {
        _ if !found => Ok(None),
        Some(byte) => Err(Refusal::unsupported(
            "model.vocab",
            format!(
                "lacks {}, which byte_fallback needs",
                quoted(&byte_token(byte))
            ),
        )),
        None => Ok(Some(ids)),
    }
}

/// Whether UTF-8 has this byte.
pub(in crate::definition) const fn is_needed(byte: u8) -> bool {
    !matches!(byte, 0xc0 | 0xc1 | 0xf5..)
}

/// The tokens of a vocabulary of texts.
fn text_tokens(
    vocab: Strings,
    merges: &[Merge],
    whole_tokens: bool,
    fallback: Option<&[TokenId; 256]>,
) -> Result<Tokens, Refusal> {
    let mut is_byte = vec![false; vocab.limit() as usize];
    for &id in fallback.into_iter().flatten() {
        if let Some(is_byte) = is_byte.get_mut(id as usize) {
            *is_byte = true;
        }
    }
    let is_byte = |id: TokenId| is_byte[id as usize];
    for merge in merges {
        let ids = [merge.left, merge.right, merge.merged];
        if let Some(id) = ids.into_iter().find(|&id| is_byte(id)) {
            let text = String::from_utf8_lossy(vocab.get(id).unwrap_or_default());
            return Err(Refusal::unsupported(
                format!("model.merges[{}]", merge.rank),
                format!("uses {}, a byte of byte_fallback", quoted(&text)),
            ));
        }
    }
    let (bytes, spans) = vocab.into_parts();
    let mut tokens = Tokens::from_spans(bytes, spans, |text| {
        // A character's first byte says how long it is.
        let character_bytes = match text.first() {
            None => return Use::Decoded,
            Some(0..0x80) => 1,
            Some(0x80..0xe0) => 2,
            Some(0xe0..0xf0) => 3,
            Some(0xf0..) => 4,
        };
        if whole_tokens || text.len() == character_bytes {
            Use::Text
        } else {
            Use::Decoded
        }
    });
    for merge in merges {
        tokens.set_use(merge.merged, Use::Text);
    }
    match fallback {
        Some(fallback) => Ok(tokens.with_byte_tokens(fallback)),
        None => Ok(tokens),
    }
}

/// The id of the unknown token, which takes no part in merges and is not a text itself.
fn unknown(token: &str, vocab: &Strings, merges: &[Merge]) -> Result<TokenId, Refusal> {
    let Some(id) = vocab.find(token.as_bytes()) else {
        let what = format!("{} is not in the vocabulary", quoted(token));
        return Err(Refusal::damaged_at("model.unk_token", what));
    };
    if token.chars().nth(1).is_none() {
        let what = format!(
            "{} is a character itself, which is not supported",
            quoted(token)
        );
        return Err(Refusal::unsupported("model.unk_token", what));
    }
    let uses = |merge: &&Merge| [merge.left, merge.right, merge.merged].contains(&id);
    match merges.iter().find(uses) {
        None => Ok(id),
        Some(merge) => Err(Refusal::unsupported(
            format!("model.merges[{}]", merge.rank),
            format!("uses {}, the unk_token", quoted(token)),
        )),
    }
}
