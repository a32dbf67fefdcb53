//! Post-processors of tokenizer.json, for the ids of BOS and EOS, and decoders.

use shardmill_core::token::TokenId;

use super::Version;
use crate::definition::node::{Fields, Node, type_of, unsupported_type, wrong};
use crate::definition::refusal::quoted;
use crate::definition::{Decoding, Refusal};

/// What a post-processor adds around a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Post {
    pub(super) bos: Vec<TokenId>,
    pub(super) eos: Vec<TokenId>,
}

pub(super) fn post_processor(node: Node, version: Version) -> Result<Post, Refusal> {
    let mut post = Post::default();
    if node != Node::Null {
        post.push(node, "post_processor", version)?;
    }
    Ok(post)
}

impl Post {
    fn push(&mut self, node: Node, path: &str, version: Version) -> Result<(), Refusal> {
        let mut fields = Fields::new(node, path)?;
        let kind = type_of(&mut fields)?;
        match (&*kind, version) {
            ("TemplateProcessing", _) => self.template(&mut fields, version)?,
            ("Sequence", Version::One) => {
                let items = fields.need_array("processors")?;
                for (index, item) in items.into_iter().enumerate() {
                    self.push(item, &format!("{path}.processors[{index}]"), version)?;
                }
            }
            ("ByteLevel", Version::One) => {
                // All of it is about offsets.
                fields.need_bool("add_prefix_space")?;
                fields.need_bool("trim_offsets")?;
                fields.bool_or("use_regex", true)?;
            }
            ("RobertaProcessing" | "BertProcessing", Version::One) => {
                let eos = token_and_id(&fields.need("sep")?, &fields.path("sep"))?;
                let bos = token_and_id(&fields.need("cls")?, &fields.path("cls"))?;
                if kind == "RobertaProcessing" {
                    fields.need_bool("trim_offsets")?;
                    fields.need_bool("add_prefix_space")?;
                }
                self.wrap(vec![bos], vec![eos]);
            }
            _ => return Err(unsupported_type(path, &kind)),
        }
        fields.finish()
    }

    /// Adds ids around what is there.
    fn wrap(&mut self, mut bos: Vec<TokenId>, mut eos: Vec<TokenId>) {
        bos.append(&mut self.bos);
        self.bos = bos;
        self.eos.append(&mut eos);
    }

    fn template(&mut self, fields: &mut Fields, version: Version) -> Result<(), Refusal> {
        let single = fields.need_array("single")?;
        fields.need_array("pair")?;
        let specials = match version {
            Version::One => special_tokens(fields)?,
            Version::Two => Vec::new(),
        };
        let path = fields.path("single");
        let (mut bos, mut eos) = (Vec::new(), Vec::new());
        let mut texts = 0;
        for (index, piece) in single.into_iter().enumerate() {
            let path = format!("{path}[{index}]");
            match self::piece(piece, &path, version, &specials)? {
                Piece::Text => texts += 1,
                Piece::Ids(mut ids) if texts == 0 => bos.append(&mut ids),
                Piece::Ids(mut ids) => eos.append(&mut ids),
            }
        }
        if texts != 1 {
            let what = "does not have the text once, which is not supported";
            return Err(Refusal::unsupported(path, what));
        }
        self.wrap(bos, eos);
        Ok(())
    }
}

/// A piece of a template.
enum Piece {
    Text,
    Ids(Vec<TokenId>),
}

fn piece(
    node: Node,
    path: &str,
    version: Version,
    specials: &[(String, Vec<TokenId>)],
) -> Result<Piece, Refusal> {
    let mut fields = Fields::new(node, path)?;
    if version == Version::Two {
        if fields.has("type_id") {
            fields.need_integer("type_id")?;
        }
        let piece = match fields.take("ids") {
            Some(ids) => Piece::Ids(self::ids(ids, &fields.path("ids"))?),
            None => text(&fields.need_text("seq")?, path)?,
        };
        fields.finish()?;
        return Ok(piece);
    }
    let is_text = fields.has("Sequence");
    let key = if is_text { "Sequence" } else { "SpecialToken" };
    let mut inner = Fields::new(fields.need(key)?, fields.path(key))?;
    fields.finish()?;
    let id = inner.need_text("id")?;
    inner.need_integer("type_id")?;
    let place = inner.path("id");
    inner.finish()?;
    if is_text {
        return text(&id, path);
    }
    match specials.iter().find(|(name, _)| *name == id) {
        Some((_, ids)) => Ok(Piece::Ids(ids.clone())),
        None => Err(Refusal::damaged_at(
            place,
            format!("{} is not in special_tokens", quoted(&id)),
        )),
    }
}

fn text(id: &str, path: &str) -> Result<Piece, Refusal> {
    if id == "A" {
        Ok(Piece::Text)
    } else {
        let what = format!("is not about text \"A\" but {}", quoted(id));
        Err(Refusal::damaged_at(path, what))
    }
}

/// The ids of each special token of a template.
fn special_tokens(fields: &mut Fields) -> Result<Vec<(String, Vec<TokenId>)>, Refusal> {
    let path = fields.path("special_tokens");
    let entries = Fields::new(fields.need("special_tokens")?, &*path)?.into_entries();
    let mut specials = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        let mut fields = Fields::new(node, format!("{path}.{name}"))?;
        fields.need_text("id")?;
        let ids = ids(fields.need("ids")?, &fields.path("ids"))?;
        fields.need_array("tokens")?;
        fields.finish()?;
        specials.push((name, ids));
    }
    Ok(specials)
}

fn ids(node: Node, path: &str) -> Result<Vec<TokenId>, Refusal> {
    let Node::Array(items) = node else {
        return Err(wrong(path, "an array", &node));
    };
    items.iter().map(|item| id(item, path)).collect()
}

fn id(node: &Node, path: &str) -> Result<TokenId, Refusal> {
    match node {
        Node::Integer(id) => TokenId::try_from(*id)
            .map_err(|_| Refusal::damaged_at(path, format!("{id} is not an id"))),
        other => Err(wrong(path, "an id", other)),
    }
}

/// The id of a pair `["<s>", 1]`.
fn token_and_id(node: &Node, path: &str) -> Result<TokenId, Refusal> {
    match node {
        Node::Array(items) => match &items[..] {
            [Node::Text(_), number] => id(number, path),
            _ => Err(Refusal::damaged_at(path, "is not a token and its id")),
        },
        other => Err(wrong(path, "a token and its id", other)),
    }
}

/// How ids become text. It has no effect on ids, so nothing is refused; what is unusual is noted.
pub(super) fn decoding(node: Node, is_byte_level: bool, notes: &mut Vec<String>) -> Decoding {
    let kind = match &node {
        Node::Null => "null".to_owned(),
        Node::Object(fields) => fields
            .iter()
            .find(|(key, _)| key == "type")
            .map_or_else(|| "without a type".to_owned(), |(_, node)| node.shown()),
        other => other.kind().to_owned(),
    };
    let usual = usual(node);
    match usual {
        Some(usual) if is_byte_level == (usual == Decoding::Bytes) => return usual,
        _ => {}
    }
    notes.push(format!(
        "decoder {kind} is not the usual one; decoded text may differ"
    ));
    if is_byte_level {
        Decoding::Bytes
    } else {
        Decoding::Other
    }
}

/// The decoding of usual decoders.
fn usual(node: Node) -> Option<Decoding> {
    let mut fields = Fields::new(node, "").ok()?;
    match &*type_of(&mut fields).ok()? {
        "ByteLevel" => Some(Decoding::Bytes),
        "Metaspace" => {
            let marker = fields.need_char("replacement").ok()?;
            let scheme = fields.take("prepend_scheme");
            Some(Decoding::Metaspace {
                marker,
                drop_in_first: scheme != Some(Node::Text("never".to_owned())),
            })
        }
        "Sequence" => words(fields.need_array("decoders").ok()?),
        _ => None,
    }
}

/// Markers become spaces, byte tokens bytes, and spaces at the beginning go.
fn words(decoders: Vec<Node>) -> Option<Decoding> {
    let mut found = Vec::new();
    for node in decoders {
        let mut fields = Fields::new(node, "").ok()?;
        found.push((type_of(&mut fields).ok()?, fields));
    }
    let mut decoders = found.into_iter();
    let (kind, mut replace) = decoders.next()?;
    let mut pattern = Fields::new(replace.need("pattern").ok()?, "").ok()?;
    let marker = pattern.need_char("String").ok()?;
    if kind != "Replace" || replace.need_text("content").ok()? != " " {
        return None;
    }
    let names: Vec<_> = decoders.collect();
    let strip = match names.iter().map(|(kind, _)| &**kind).collect::<Vec<_>>()[..] {
        ["ByteFallback", "Fuse"] => 0,
        ["ByteFallback", "Fuse", "Strip"] => {
            let mut fields = names.into_iter().next_back()?.1;
            if fields.need_char("content").ok()? != ' ' || fields.need_integer("stop").ok()? != 0 {
                return None;
            }
            u32::try_from(fields.need_integer("start").ok()?).ok()?
        }
        _ => return None,
    };
    Some(Decoding::Words { marker, strip })
}
