//! The names of BOS and EOS in the files beside a tokenizer. They are hints for the user: the EOS
//! there is often the end of a turn in a chat, and not of a document.

use shardmill_core::token::TokenId;

use crate::definition::node::Node;

/// What the files beside a tokenizer call BOS and EOS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) bos: Option<String>,
    pub(crate) eos: Option<String>,
    /// From `generation_config.json`, which has ids only.
    pub(crate) bos_ids: Vec<TokenId>,
    pub(crate) eos_ids: Vec<TokenId>,
    /// `add_bos_token` and `add_eos_token`.
    pub(crate) adds_bos: Option<bool>,
    pub(crate) adds_eos: Option<bool>,
}

/// The files that have such names, in the order in which they are asked.
pub(crate) const FILES: [&str; 3] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
];

/// Larger files are not read.
const MOST_BYTES: usize = 4 << 20;

/// The names in the contents of some of [`FILES`]; the first that has a name counts. A file that
/// cannot be read has none.
pub(crate) fn names(contents: &[&[u8]]) -> Names {
    let mut names = Names::default();
    for content in contents {
        if content.len() > MOST_BYTES {
            continue;
        }
        let text = str::from_utf8(content).unwrap_or_default();
        // These files may have long lists of tokens, which do not matter.
        let Ok(Node::Object(fields)) = serde_json::from_str(text) else {
            continue;
        };
        for (key, node) in fields {
            match &*key {
                "bos_token" => names.bos = names.bos.take().or_else(|| name(node)),
                "eos_token" => names.eos = names.eos.take().or_else(|| name(node)),
                "add_bos_token" => names.adds_bos = names.adds_bos.or_else(|| flag(&node)),
                "add_eos_token" => names.adds_eos = names.adds_eos.or_else(|| flag(&node)),
                "bos_token_id" if names.bos_ids.is_empty() => names.bos_ids = ids(&node),
                "eos_token_id" if names.eos_ids.is_empty() => names.eos_ids = ids(&node),
                _ => {}
            }
        }
    }
    names
}

/// A token is a string, or an object with its content.
fn name(node: Node) -> Option<String> {
    match node {
        Node::Text(text) => Some(text),
        Node::Object(fields) => {
            let content = fields.into_iter().find(|(key, _)| key == "content")?.1;
            match content {
                Node::Text(text) => Some(text),
                _ => None,
            }
        }
        _ => None,
    }
}

const fn flag(node: &Node) -> Option<bool> {
    match node {
        Node::Bool(value) => Some(*value),
        _ => None,
    }
}

/// An id, or a list of ids.
fn ids(node: &Node) -> Vec<TokenId> {
    match node {
        Node::Integer(id) => TokenId::try_from(*id).into_iter().collect(),
        Node::Array(items) => items.iter().flat_map(ids).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_several_shapes() {
        let config = br#"{"add_bos_token":true,"bos_token":null,"eos_token":{"content":"<e>","lstrip":false},
            "added_tokens_decoder":{"0":{"content":"<s>"}}}"#;
        let map = br#"{"bos_token":"<s>","eos_token":"other"}"#;
        let generation = br#"{"bos_token_id":1,"eos_token_id":[2,3]}"#;
        let names = names(&[config, b"damaged", map, generation]);
        assert_eq!(
            (names.bos.as_deref(), names.eos.as_deref()),
            (Some("<s>"), Some("<e>"))
        );
        assert_eq!((names.bos_ids, names.eos_ids), (vec![1], vec![2, 3]));
        assert_eq!((names.adds_bos, names.adds_eos), (Some(true), None));
    }
}
