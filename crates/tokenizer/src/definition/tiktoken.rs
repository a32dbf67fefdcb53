//! Rank files of tiktoken: lines of a token in base64, a space and its rank, which is its id.
//!
//! How texts are split, and special tokens, come from outside.

use shardmill_core::token::TokenId;

use crate::definition::base64;
use crate::definition::patterns::PATTERNS;
use crate::definition::refusal::quoted;
use crate::definition::strings::{Strings, Texts};
use crate::definition::{
    AddedToken, Alphabet, Cause, Decoding, Definition, ID_LIMIT, Kind, Merges, Model, Place,
    Refusal, Source, TokenizerFormat, Tokens, Use,
};
use crate::pretoken::{Behavior, Stage, Syntax};

pub(super) const FORMAT: TokenizerFormat = TokenizerFormat {
    kind: Kind::Tiktoken,
    name: "tiktoken",
    library: "tiktoken",
    takes_pattern: true,
    looks,
    parse,
};

/// Whether the first line that is not blank is one of a rank file.
fn looks(bytes: &[u8]) -> bool {
    const LONGEST_LINE: usize = 1 << 16;
    let head = &bytes[..bytes.len().min(LONGEST_LINE)];
    let line = lines(head).find(|line| !line.trim_ascii().is_empty());
    line.and_then(fields).is_some_and(|(token, rank)| {
        base64::decode(token, &mut Vec::new()) && number(rank).is_some()
    })
}

/// The lines, which end as Python's `bytes.splitlines` has it.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The two fields of a line.
fn fields(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.trim_ascii();
    let at = memchr::memchr2(b' ', b'\t', line)?;
    Some((&line[..at], line[at + 1..].trim_ascii_start()))
}

fn number(digits: &[u8]) -> Option<u64> {
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| str::from_utf8(digits).ok()?.parse().ok())?
}

fn parse(source: &Source<'_>) -> Result<Definition, Refusal> {
    let mut ranks = Texts::with_capacity(source.bytes.len() / 16, source.bytes.len() / 2);
    for (index, line) in lines(source.bytes).enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let refuse = |what: String| Refusal::line(index as u64 + 1, what);
        let parts = fields(line).and_then(|(token, rank)| Some((token, number(rank)?)));
        let Some((token, rank)) = parts else {
            return Err(refuse("is not a token in base64 and its rank".to_owned()));
        };
        let start = ranks.end().len();
        let is_valid = base64::decode(token, ranks.end());
        if !is_valid || token.is_empty() {
            let token = quoted(&String::from_utf8_lossy(token));
            return Err(refuse(format!("{token} is not a token in base64")));
        }
        ranks.commit(start, rank).map_err(refuse)?;
    }
    let ranks = ranks.index().map_err(Refusal::damaged)?;
    let added = special_tokens(source.special, &ranks)?;
    check_gaps(&ranks, &added)?;
    let Some((pattern, syntax)) = source.pattern else {
        let names: Vec<_> = PATTERNS.iter().map(|row| row.name).collect();
        return Err(Refusal::new(
            Cause::Incomplete,
            Place::File,
            "has ranks only, and needs a split pattern",
        )
        .hint(format!(
            "give a regular expression, or one of these names: {}",
            names.join(", ")
        )));
    };
    Ok(Definition {
        kind: Kind::Tiktoken,
        normalizers: Vec::new(),
        stages: vec![stage(pattern, syntax)],
        metaspace: None,
        model: model(&ranks, 0, ranks.limit())?,
        added,
        added_in_normalized: false,
        decoding: Decoding::Bytes,
        bos: Vec::new(),
        eos: Vec::new(),
        notes: Vec::new(),
    })
}

/// How tiktoken splits: what is between matches is left out.
pub(super) fn stage(pattern: &str, syntax: Syntax) -> Stage {
    Stage::Regex {
        pattern: pattern.to_owned(),
        syntax,
        behavior: Behavior::Removed,
        invert: true,
    }
}

/// A model of the tokens with ranks below `limit`, whose ids are their ranks + `offset`.
pub(super) fn model(ranks: &Strings, offset: u32, limit: u32) -> Result<Model, Refusal> {
    for byte in 0..=u8::MAX {
        if ranks.find(&[byte]).is_none_or(|rank| rank >= limit) {
            let what = format!("has no token for the byte 0x{byte:02X}");
            return Err(Refusal::damaged(what));
        }
    }
    let mut tokens = Tokens::with_capacity(ranks.limit() as usize, ranks.len_bytes());
    for rank in 0..limit {
        if let Some(bytes) = ranks.get(rank) {
            tokens.skip_to(rank + offset);
            tokens.push(bytes, Use::Text);
        }
    }
    Ok(Model {
        tokens,
        merges: Merges::Ranks,
        alphabet: Alphabet::Bytes,
        unknown: None,
        whole_tokens: true,
    })
}

/// A rank without a token is a line that is lost, unless a special token has it as its id.
fn check_gaps(ranks: &Strings, added: &[AddedToken]) -> Result<(), Refusal> {
    let is_special = |id| added.iter().any(|token| token.id == id);
    let gap = (0..ranks.limit()).find(|&rank| ranks.get(rank).is_none() && !is_special(rank));
    match gap {
        None => Ok(()),
        Some(rank) => Err(Refusal::damaged(format!("has no token with rank {rank}"))
            .hint("if a special token has that id, name it")),
    }
}

fn special_tokens(
    special: &[(String, TokenId)],
    ranks: &Strings,
) -> Result<Vec<AddedToken>, Refusal> {
    let mut added: Vec<AddedToken> = Vec::with_capacity(special.len());
    for (content, id) in special {
        let shown = quoted(content);
        let refuse = |what: String| Err(Refusal::new(Cause::Damaged, Place::File, what));
        if content.is_empty() {
            return refuse(format!("special token {id} is empty"));
        }
        if *id >= ID_LIMIT {
            return refuse(format!("special token {shown}: id {id} is 524,288 or more"));
        }
        if ranks.get(*id).is_some() {
            return refuse(format!(
                "special token {shown}: id {id} is the rank of a token"
            ));
        }
        added.push(special_token(content.clone(), *id));
    }
    // tiktoken finds any of two that begin alike, as its hash map has them.
    let mut names: Vec<_> = added.iter().map(|token| &*token.content).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        if pair[1].starts_with(pair[0]) {
            let (short, long) = (quoted(pair[0]), quoted(pair[1]));
            let what = format!("special token {long} begins with another, {short}");
            return Err(Refusal::new(Cause::Unsupported, Place::File, what));
        }
    }
    let mut ids: Vec<_> = added.iter().map(|token| token.id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(added),
        Some(pair) => Err(Refusal::damaged(format!(
            "two special tokens have the id {}",
            pair[0]
        ))),
    }
}

pub(super) fn special_token(content: String, id: TokenId) -> AddedToken {
    AddedToken {
        content,
        id,
        special: true,
        normalized: false,
        single_word: false,
        lstrip: false,
        rstrip: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 256 bytes, then these lines.
    fn file(lines: &str) -> Vec<u8> {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let line = |byte: usize| {
            let [a, b] = [byte >> 2, (byte & 3) << 4].map(|at| alphabet[at] as char);
            format!("{a}{b}== {byte}\n")
        };
        let text: String = (0..=255).map(line).collect();
        (text + lines).into_bytes()
    }

    fn read(bytes: &[u8], special: &[(String, TokenId)]) -> Result<Definition, Refusal> {
        crate::definition::parse(&Source {
            bytes,
            pattern: Some(("a|b", Syntax::Fancy)),
            special,
            ..Source::default()
        })
    }

    fn message(lines: &str) -> String {
        read(&file(lines), &[]).unwrap_err().to_string()
    }

    #[test]
    fn ranks_are_ids() {
        let special = [("<|e|>".to_owned(), 257)];
        let definition = read(&file("YWI= 256\r\nYWJj 258"), &special).unwrap();
        let tokens = &definition.model.tokens;
        assert_eq!((tokens.limit(), tokens.count()), (259, 258));
        assert_eq!(
            (tokens.bytes(65), tokens.bytes(256), tokens.bytes(258)),
            (&b"A"[..], &b"ab"[..], &b"abc"[..])
        );
        assert_eq!(definition.added, [special_token("<|e|>".to_owned(), 257)]);
        assert_eq!(definition.kind, Kind::Tiktoken);
    }

    #[test]
    fn what_is_wrong_is_refused_by_line() {
        assert_eq!(
            message("YWI= 256\nYWI=\n"),
            "line 258: is not a token in base64 and its rank"
        );
        assert_eq!(
            message("YWI 256"),
            "line 257: \"YWI\" is not a token in base64"
        );
        assert_eq!(
            message("YWI= x"),
            "line 257: is not a token in base64 and its rank"
        );
        assert_eq!(
            message("YWI= 256 7"),
            "line 257: is not a token in base64 and its rank"
        );
        assert_eq!(
            message("YWI= -1"),
            "line 257: is not a token in base64 and its rank"
        );
        assert_eq!(
            message("YWI= 255"),
            "line 257: \"ab\" and \"\u{fffd}\" have the same id 255"
        );
        assert_eq!(
            message("QQ== 256"),
            "\"A\" is there twice, with ids 65 and 256"
        );
        assert_eq!(message("YWI= 257"), "has no token with rank 256");
        assert_eq!(
            message("YWI= 524288"),
            "line 257: \"ab\": id 524288 is 524,288 or more"
        );
        assert_eq!(
            message("YWI= 99999999999999999999"),
            "line 257: is not a token in base64 and its rank"
        );
        let short = file("");
        let short = &short[..short.len() - 9];
        assert_eq!(
            read(short, &[]).unwrap_err().to_string(),
            "has no token for the byte 0xFF"
        );
    }

    #[test]
    fn a_pattern_is_needed() {
        let refusal = crate::definition::parse(&Source {
            bytes: &file(""),
            ..Source::default()
        })
        .unwrap_err();
        assert_eq!(
            (refusal.cause, &*refusal.what),
            (
                Cause::Incomplete,
                "has ranks only, and needs a split pattern"
            )
        );
        assert!(refusal.hint.unwrap().contains("cl100k, o200k"));
    }

    #[test]
    fn special_tokens_are_checked() {
        let message = |special: &[(&str, TokenId)]| {
            let special: Vec<_> = special
                .iter()
                .map(|&(name, id)| (name.to_owned(), id))
                .collect();
            read(&file(""), &special).unwrap_err().to_string()
        };
        assert_eq!(
            message(&[("x", 7)]),
            "special token \"x\": id 7 is the rank of a token"
        );
        assert_eq!(message(&[("", 700)]), "special token 700 is empty");
        assert_eq!(
            message(&[("x", 300), ("y", 300)]),
            "two special tokens have the id 300"
        );
        assert_eq!(
            message(&[("x", 300), ("xy", 301)]),
            "special token \"xy\" begins with another, \"x\""
        );
        assert_eq!(
            message(&[("x", 1 << 20)]),
            "special token \"x\": id 1048576 is 524,288 or more"
        );
    }
}
