//! Pre-tokenizers of tokenizer.json.

use super::Version;
use super::normalizer::scheme;
use crate::definition::node::{Fields, Node, type_of, unsupported_type, wrong};
use crate::definition::patterns::GPT2;
use crate::definition::refusal::quoted;
use crate::definition::{Metaspace, PrefixScheme, Refusal};
use crate::pretoken::{Behavior, Stage, Syntax};

/// What the pre-tokenizers of a file are.
#[derive(Debug, Default)]
pub(super) struct Pre {
    pub(super) stages: Vec<Stage>,
    pub(super) metaspace: Option<Metaspace>,
    pub(super) is_byte_level: bool,
}

pub(super) fn parse(node: Node, version: Version) -> Result<Pre, Refusal> {
    let mut pre = Pre::default();
    if node != Node::Null {
        pre.push(node, "pre_tokenizer", version)?;
    }
    Ok(pre)
}

impl Pre {
    fn push(&mut self, node: Node, path: &str, version: Version) -> Result<(), Refusal> {
        let mut fields = Fields::new(node, path)?;
        let kind = type_of(&mut fields)?;
        if kind == "Sequence" {
            let items = fields.need_array("pretokenizers")?;
            fields.finish()?;
            for (index, item) in items.into_iter().enumerate() {
                self.push(item, &format!("{path}.pretokenizers[{index}]"), version)?;
            }
            return Ok(());
        }
        // What follows sees the characters that stand for bytes, or markers for spaces.
        let before = match (self.is_byte_level, self.metaspace) {
            (true, _) => Some("ByteLevel"),
            (_, Some(_)) => Some("Metaspace"),
            _ => None,
        };
        if let Some(before) = before {
            return Err(Refusal::unsupported(
                path,
                format!("({}) after {before} is not supported", quoted(&kind)),
            ));
        }
        match (&*kind, version) {
            ("ByteLevel", Version::One) => self.byte_level(&mut fields)?,
            ("Metaspace", Version::One) => self.metaspace = Some(metaspace(&mut fields)?),
            ("Split", _) => self.stages.push(split(&mut fields, version)?),
            ("Digits", _) => {
                let individual = match version {
                    Version::One => fields.need_bool("individual_digits")?,
                    Version::Two => fields.bool_or("individual_digits", false)?,
                };
                self.stages.push(Stage::Digits { individual });
            }
            ("Punctuation", _) => {
                let behavior = behavior(&mut fields, true)?;
                self.stages.push(Stage::Punctuation { behavior });
            }
            _ => return Err(unsupported_type(path, &kind)),
        }
        fields.finish()
    }

    fn byte_level(&mut self, fields: &mut Fields) -> Result<(), Refusal> {
        if fields.need_bool("add_prefix_space")? {
            self.stages.push(Stage::PrefixSpace);
        }
        // It is about offsets.
        fields.need_bool("trim_offsets")?;
        if fields.bool_or("use_regex", true)? {
            self.stages.push(Stage::Regex {
                pattern: GPT2.to_owned(),
                syntax: Syntax::Onig,
                behavior: Behavior::Isolated,
                invert: false,
            });
        }
        self.is_byte_level = true;
        Ok(())
    }
}

fn metaspace(fields: &mut Fields) -> Result<Metaspace, Refusal> {
    let replacement = fields.need_char("replacement")?;
    let prepend = match fields.take("prepend_scheme") {
        None => PrefixScheme::Always,
        Some(node) => scheme(&node, &fields.path("prepend_scheme"))?,
    };
    // An older field; true means nothing beside the scheme.
    if optional_bool(fields, "add_prefix_space")? == Some(false) && prepend != PrefixScheme::Never {
        return Err(Refusal::damaged_at(
            fields.path("add_prefix_space"),
            "false contradicts prepend_scheme",
        )
        .hint("tokenizers 0.23 refuses it, too"));
    }
    let split = optional_bool(fields, "split")?.unwrap_or(true);
    // Another older field, which is ignored.
    match fields.take("str_rep") {
        None | Some(Node::Null | Node::Text(_)) => {}
        Some(other) => return Err(wrong(&fields.path("str_rep"), "a string", &other)),
    }
    Ok(Metaspace {
        replacement,
        prepend,
        split,
    })
}

fn optional_bool(fields: &mut Fields, key: &str) -> Result<Option<bool>, Refusal> {
    match fields.take(key) {
        None | Some(Node::Null) => Ok(None),
        Some(Node::Bool(value)) => Ok(Some(value)),
        Some(other) => Err(wrong(&fields.path(key), "true or false", &other)),
    }
}

fn split(fields: &mut Fields, version: Version) -> Result<Stage, Refusal> {
    let is_one = version == Version::One;
    let path = fields.path("pattern");
    let mut pattern = Fields::new(fields.need("pattern")?, &*path)?;
    let is_regex = pattern.has("Regex");
    let text = pattern.need_text(if is_regex { "Regex" } else { "String" })?;
    pattern.finish()?;
    let behavior = behavior(fields, !is_one)?;
    let invert = if is_one {
        fields.need_bool("invert")?
    } else {
        fields.bool_or("invert", false)?
    };
    if is_regex {
        return Ok(Stage::Regex {
            pattern: text,
            syntax: if is_one { Syntax::Onig } else { Syntax::Fancy },
            behavior,
            invert,
        });
    }
    if text.is_empty() {
        return Err(Refusal::unsupported(
            format!("{path}.String"),
            "\"\" is not supported",
        ));
    }
    Ok(Stage::Literal {
        text,
        behavior,
        invert,
    })
}

/// What becomes of matches. Without the field, they are isolated, if it may be missing.
fn behavior(fields: &mut Fields, may_be_missing: bool) -> Result<Behavior, Refusal> {
    if may_be_missing && !fields.has("behavior") {
        return Ok(Behavior::Isolated);
    }
    let name = fields.need_text("behavior")?;
    Ok(match &*name {
        "Isolated" => Behavior::Isolated,
        "Removed" => Behavior::Removed,
        "MergedWithPrevious" => Behavior::MergedWithPrevious,
        "MergedWithNext" => Behavior::MergedWithNext,
        "Contiguous" => Behavior::Contiguous,
        _ => {
            return Err(Refusal::damaged_at(
                fields.path("behavior"),
                format!("{} is not known", quoted(&name)),
            ));
        }
    })
}
