//! tekken.json of Mistral: ranks as in tiktoken, after as many ids of special tokens.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::definition::base64;
use crate::definition::node::{Fields, Node};
use crate::definition::refusal::quoted;
use crate::definition::strings::Texts;
use crate::definition::tiktoken::{model, special_token, stage};
use crate::definition::tokenizer_json::{first_key, text};
use crate::definition::{
    AddedToken, Decoding, Definition, ID_LIMIT, Kind, Refusal, Source, TokenizerFormat,
};
use crate::pretoken::Syntax;

pub(super) const FORMAT: TokenizerFormat = TokenizerFormat {
    kind: Kind::Tekken,
    name: "tekken.json",
    library: "mistral-common",
    takes_pattern: false,
    looks,
    parse,
};

/// Other formats have no such key.
fn looks(bytes: &[u8]) -> bool {
    first_key(bytes, |key| key == "config") && first_key(bytes, |key| key == "vocab")
}

/// The parts of a file.
#[derive(Debug, Default)]
struct Parts<'a> {
    config: Option<&'a RawValue>,
    ranks: Option<Texts>,
    special_tokens: Option<&'a RawValue>,
}

/// Parts for other inputs than texts, and what the file calls itself.
const OTHER_KEYS: [&str; 7] = [
    "version",
    "type",
    "image",
    "multimodal",
    "audio",
    "video",
    "model_settings_builder",
];

struct TopLevel<'f> {
    file_bytes: usize,
    refusal: &'f mut Option<Refusal>,
}

impl<'de> Visitor<'de> for TopLevel<'_> {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts<'de>, A::Error> {
        let mut parts = Parts::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let is_twice = match &*key {
                "config" => parts.config.replace(map.next_value()?).is_some(),
                "special_tokens" => parts.special_tokens.replace(map.next_value()?).is_some(),
                "vocab" => {
                    let mut ranks =
                        Texts::with_capacity(self.file_bytes / 96, self.file_bytes / 16);
                    map.next_value_seed(Vocab {
                        ranks: &mut ranks,
                        refusal: self.refusal,
                    })?;
                    parts.ranks.replace(ranks).is_some()
                }
                other if OTHER_KEYS.contains(&other) => {
                    map.next_value::<IgnoredAny>()?;
                    false
                }
                _ => {
                    *self.refusal = Some(Refusal::unsupported(key, "is not known"));
                    return Err(A::Error::custom(""));
                }
            };
            if is_twice {
                *self.refusal = Some(Refusal::damaged_at(key, "is there twice"));
                return Err(A::Error::custom(""));
            }
        }
        Ok(parts)
    }
}

/// A token as in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token<'a> {
    rank: u64,
    #[serde(borrow)]
    #[serde(rename = "token_bytes")]
    text: Cow<'a, str>,
    #[serde(rename = "token_str")]
    _text: IgnoredAny,
}

struct Vocab<'v, 'f> {
    ranks: &'v mut Texts,
    refusal: &'f mut Option<Refusal>,
}

impl<'de> DeserializeSeed<'de> for Vocab<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Vocab<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tokens")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(token) = seq.next_element::<Token<'de>>()? {
            let added = add(self.ranks, index, &token);
            if let Err(what) = added {
                *self.refusal = Some(Refusal::damaged_at(format!("vocab[{index}]"), what));
                return Err(A::Error::custom(""));
            }
            index += 1;
        }
        Ok(())
    }
}

fn add(ranks: &mut Texts, index: u64, token: &Token<'_>) -> Result<(), String> {
    if token.rank != index {
        return Err(format!("has rank {}, not {index}", token.rank));
    }
    let text = token.text.as_bytes();
    let start = ranks.end().len();
    let is_valid = base64::decode(text, ranks.end());
    if !is_valid || text.is_empty() {
        let text = quoted(&token.text);
        return Err(format!("has {text}, which is not a token in base64"));
    }
    ranks.commit(start, index)
}

fn parse(source: &Source<'_>) -> Result<Definition, Refusal> {
    let text = text(source.bytes)?;
    let mut refusal = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parts = deserializer.deserialize_map(TopLevel {
        file_bytes: text.len(),
        refusal: &mut refusal,
    });
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let parts = parts
        .and_then(|parts| deserializer.end().map(|()| parts))
        .map_err(|error| Refusal::json(&error))?;
    let missing = |path: &str| Refusal::damaged_at(path, "is missing");
    let config = config(parts.config.ok_or_else(|| missing("config"))?)?;
    let ranks = parts.ranks.ok_or_else(|| missing("vocab"))?;
    let in_vocab = |what| Refusal::damaged_at("vocab", what);
    let ranks = ranks.index().map_err(in_vocab)?;
    let added = special_tokens(parts.special_tokens, config.specials, config.version)?;

    // The rest of the list is not used.
    let used = config.size - config.specials;
    if used > ranks.limit() {
        let what = format!("has {} tokens, not {used}", ranks.limit());
        return Err(Refusal::damaged_at("vocab", what));
    }
    let find = |content: &str| {
        let token = added.iter().find(|token| token.content == content);
        token.map(|token| token.id).into_iter().collect()
    };
    Ok(Definition {
        kind: Kind::Tekken,
        normalizers: Vec::new(),
        stages: vec![stage(&config.pattern, Syntax::Fancy)],
        metaspace: None,
        model: model(&ranks, config.specials, used)?,
        bos: find("<s>"),
        eos: find("</s>"),
        added,
        added_in_normalized: false,
        decoding: Decoding::Bytes,
        notes: Vec::new(),
    })
}

struct Config {
    pattern: String,
    /// How many ids there are, with special tokens.
    size: u32,
    specials: u32,
    version: u64,
}

fn config(json: &RawValue) -> Result<Config, Refusal> {
    let mut fields = Fields::new(Node::parse(json.get(), "config")?, "config")?;
    let pattern = fields.need_text("pattern")?;
    let mut size = |key| -> Result<u32, Refusal> {
        let path = fields.path(key);
        let size = fields.need_integer(key)?;
        let size = u32::try_from(size).ok().filter(|&size| size <= ID_LIMIT);
        size.ok_or_else(|| Refusal::unsupported(path, "is more than 524,288"))
    };
    let (all, specials) = (
        size("default_vocab_size")?,
        size("default_num_special_tokens")?,
    );
    if specials > all {
        let what = "is less than default_num_special_tokens";
        return Err(Refusal::damaged_at("config.default_vocab_size", what));
    }
    // How many tokens the list has; the sizes above hold.
    fields.need_integer("num_vocab_tokens")?;
    let name = fields.need_text("version")?;
    let version = name
        .strip_prefix('v')
        .and_then(|digits| digits.parse().ok());
    let Some(version) = version.filter(|version| matches!(version, 1 | 2 | 3 | 7 | 11 | 13 | 15))
    else {
        let what = format!("{} is not supported", quoted(&name));
        return Err(Refusal::unsupported("config.version", what));
    };
    fields.finish()?;
    Ok(Config {
        pattern,
        size: all,
        specials,
        version,
    })
}

/// The special tokens of files that list none, in order.
const DEFAULT_SPECIALS: [&str; 20] = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];

/// The special tokens, with fillers up to `count`.
fn special_tokens(
    json: Option<&RawValue>,
    count: u32,
    version: u64,
) -> Result<Vec<AddedToken>, Refusal> {
    const PATH: &str = "special_tokens";
    let listed = match json.map(|json| Node::parse(json.get(), PATH)).transpose()? {
        None | Some(Node::Null) if version <= 7 => DEFAULT_SPECIALS.map(str::to_owned).to_vec(),
        None | Some(Node::Null) => return Err(Refusal::damaged_at(PATH, "is missing")),
        Some(node) => listed(node)?,
    };
    let mut contents = listed;
    let first_filler = contents.len();
    if first_filler > count as usize {
        let what = format!("has {first_filler} tokens, more than {count}");
        return Err(Refusal::damaged_at(PATH, what));
    }
    contents.extend((first_filler..count as usize).map(|id| format!("<SPECIAL_{id}>")));
    let mut sorted: Vec<_> = contents.iter().collect();
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        let what = format!("has {} twice", quoted(pair[0]));
        return Err(Refusal::damaged_at(PATH, what));
    }
    Ok((0..)
        .zip(contents)
        .map(|(id, content)| special_token(content, id))
        .collect())
}

/// The contents of the special tokens that a file lists, by id.
fn listed(node: Node) -> Result<Vec<String>, Refusal> {
    let Node::Array(items) = node else {
        return Err(crate::definition::node::wrong(
            "special_tokens",
            "an array",
            &node,
        ));
    };
    let mut contents = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let path = format!("special_tokens[{index}]");
        let mut fields = Fields::new(item, &*path)?;
        let rank = fields.need_integer("rank")?;
        let content = fields.need_text("token_str")?;
        fields.need_bool("is_control")?;
        fields.finish()?;
        if rank != index as u64 || content.is_empty() {
            let what = format!("{} has rank {rank}, not {index}", quoted(&content));
            return Err(Refusal::damaged_at(path, what));
        }
        contents.push(content);
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::definition::{Merges, Use};

    /// A file of 256 bytes and two more tokens, with some values replaced by JSON pointer.
    fn file(changes: &[(&str, Value)]) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let row =
            |rank: usize, text: &str| json!({"rank": rank, "token_bytes": text, "token_str": null});
        let byte = |byte: usize| {
            let [a, b] = [byte >> 2, (byte & 3) << 4].map(|at| alphabet[at] as char);
            row(byte, &format!("{a}{b}=="))
        };
        let mut vocab: Vec<_> = (0..256).map(byte).collect();
        vocab.extend([row(256, "YWI="), row(257, "YWJj")]);
        let mut file = json!({
            "config": {
                "pattern": "x",
                "num_vocab_tokens": 258,
                "default_vocab_size": 287,
                "default_num_special_tokens": 30,
                "version": "v3",
            },
            "vocab": vocab,
            "image": {"image_patch_size": 16},
        });
        for (pointer, value) in changes {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            match file.pointer_mut(parent).unwrap() {
                Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
                parent => parent[key] = value.clone(),
            }
        }
        file.to_string()
    }

    fn read(changes: &[(&str, Value)]) -> Result<Definition, Refusal> {
        crate::definition::parse(&Source {
            bytes: file(changes).as_bytes(),
            ..Source::default()
        })
    }

    #[test]
    fn ids_are_ranks_after_special_tokens() {
        let definition = read(&[]).unwrap();
        let tokens = &definition.model.tokens;
        // The last token is more than the size.
        assert_eq!((tokens.limit(), tokens.count()), (287, 257));
        assert_eq!(
            (tokens.bytes(30), tokens.bytes(286)),
            (&b"\0"[..], &b"ab"[..])
        );
        assert_eq!(tokens.usage(29), Use::None);
        assert_eq!(definition.model.merges, Merges::Ranks);
        let content = |id: usize| &*definition.added[id].content;
        assert_eq!(
            (content(1), content(19), content(20)),
            ("<s>", "[TOOL_CONTENT]", "<SPECIAL_20>")
        );
        assert_eq!(
            (definition.added.len(), &*definition.bos, &*definition.eos),
            (30, &[1][..], &[2][..])
        );
        let listed = json!([{"rank": 0, "token_str": "<unk>", "is_control": true}]);
        let definition = read(&[("/special_tokens", listed)]).unwrap();
        assert_eq!(definition.added[1].content, "<SPECIAL_1>");
    }

    #[test]
    fn what_is_wrong_is_refused_by_path() {
        for (pointer, value, expected) in [
            ("/other", json!(1), "other is not known"),
            ("/config/other", json!(1), "config.other is not known"),
            (
                "/config/version",
                json!("v99"),
                "config.version \"v99\" is not supported",
            ),
            ("/config/version", json!("v11"), "special_tokens is missing"),
            (
                "/config/default_vocab_size",
                json!(289),
                "vocab has 258 tokens, not 259",
            ),
            (
                "/config/default_vocab_size",
                json!(29),
                "config.default_vocab_size is less than default_num_special_tokens",
            ),
            (
                "/config/default_vocab_size",
                json!(1 << 30),
                "config.default_vocab_size is more than 524,288",
            ),
            (
                "/config/default_num_special_tokens",
                json!(19),
                "special_tokens has 20 tokens, more than 19",
            ),
            (
                "/config/default_num_special_tokens",
                json!(100),
                "has no token for the byte 0xBB",
            ),
            ("/vocab/7/rank", json!(8), "vocab[7] has rank 8, not 7"),
            (
                "/vocab/7/token_bytes",
                json!("!"),
                "vocab[7] has \"!\", which is not a token in base64",
            ),
            (
                "/vocab/7/token_bytes",
                json!("CA=="),
                "vocab \"\\u{8}\" is there twice, with ids 7 and 8",
            ),
            (
                "/special_tokens",
                json!([{"rank": 1, "token_str": "x", "is_control": true}]),
                "special_tokens[0] \"x\" has rank 1, not 0",
            ),
            (
                "/special_tokens",
                json!([{"rank": 0, "token_str": "<SPECIAL_3>", "is_control": true}]),
                "special_tokens has \"<SPECIAL_3>\" twice",
            ),
            (
                "/special_tokens",
                json!({}),
                "special_tokens is not an array but an object",
            ),
        ] {
            assert_eq!(read(&[(pointer, value)]).unwrap_err().to_string(), expected);
        }
        let unknown = read(&[("/vocab/7/other", json!(1))]).unwrap_err();
        assert!(unknown.to_string().contains("unknown field"));
    }
}
