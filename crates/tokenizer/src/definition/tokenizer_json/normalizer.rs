//! Normalizers of tokenizer.json.

use super::Version;
use crate::definition::node::{Fields, Node, type_of, unsupported_type, wrong};
use crate::definition::refusal::quoted;
use crate::definition::{Metaspace, Normalizer, PrefixScheme, Refusal};

/// The normalizers in order; in version 2.0 perhaps a word marker, which is the last of them.
pub(super) fn parse(
    node: Node,
    version: Version,
) -> Result<(Vec<Normalizer>, Option<Metaspace>), Refusal> {
    let mut found = (Vec::new(), None);
    if node != Node::Null {
        push(node, "normalizer", version, &mut found)?;
    }
    Ok(found)
}

fn push(
    node: Node,
    path: &str,
    version: Version,
    found: &mut (Vec<Normalizer>, Option<Metaspace>),
) -> Result<(), Refusal> {
    let mut fields = Fields::new(node, path)?;
    let kind = type_of(&mut fields)?;
    if kind == "Sequence" {
        let items = fields.need_array("normalizers")?;
        fields.finish()?;
        for (index, item) in items.into_iter().enumerate() {
            push(
                item,
                &format!("{path}.normalizers[{index}]"),
                version,
                found,
            )?;
        }
        return Ok(());
    }
    if found.1.is_some() {
        let what = "after a MetaspaceNormalizer is not supported";
        return Err(Refusal::unsupported(path, what));
    }
    let normalizer = match &*kind {
        "NFC" => Normalizer::Nfc,
        "Prepend" => {
            let text = fields.need_text("prepend")?;
            if text.is_empty() {
                // HF tokenizers then repeats characters.
                let what = "\"\" is not supported";
                return Err(Refusal::unsupported(fields.path("prepend"), what));
            }
            Normalizer::Prepend(text)
        }
        "Replace" => {
            let from = literal(fields.need("pattern")?, &fields.path("pattern"))?;
            let to = fields.need_text("content")?;
            Normalizer::Replace { from, to }
        }
        "Strip" => Normalizer::Strip {
            left: fields.need_bool("strip_left")?,
            right: fields.need_bool("strip_right")?,
        },
        "MetaspaceNormalizer" if version == Version::Two => {
            found.1 = Some(marker(fields)?);
            return Ok(());
        }
        _ => return Err(unsupported_type(path, &kind)),
    };
    fields.finish()?;
    found.0.push(normalizer);
    Ok(())
}

/// A pattern that is a literal text.
fn literal(pattern: Node, path: &str) -> Result<String, Refusal> {
    let mut fields = Fields::new(pattern, path)?;
    if fields.has("Regex") {
        return Err(Refusal::unsupported(
            fields.path("Regex"),
            "of a normalizer is not supported",
        ));
    }
    let text = fields.need_text("String")?;
    if text.is_empty() {
        let what = "\"\" is not supported";
        return Err(Refusal::unsupported(fields.path("String"), what));
    }
    fields.finish()?;
    Ok(text)
}

/// The word marker of version 2.0. Whether words are split is not known here.
fn marker(mut fields: Fields) -> Result<Metaspace, Refusal> {
    let replacement = fields.need_char("replacement")?;
    let prepend = fields.need("prepend")?;
    let prepend = scheme(&prepend, &fields.path("prepend"))?;
    if fields.need_bool("drop_whitespace")? {
        let what = "true is not supported";
        return Err(Refusal::unsupported(fields.path("drop_whitespace"), what));
    }
    fields.finish()?;
    Ok(Metaspace {
        replacement,
        prepend,
        split: false,
    })
}

/// Before which pieces a word marker is put.
pub(super) fn scheme(node: &Node, path: &str) -> Result<PrefixScheme, Refusal> {
    match node {
        Node::Text(text) => match &**text {
            "first" => Ok(PrefixScheme::First),
            "never" => Ok(PrefixScheme::Never),
            "always" => Ok(PrefixScheme::Always),
            _ => Err(Refusal::damaged_at(
                path,
                format!("{} is not first, never or always", quoted(text)),
            )),
        },
        other => Err(wrong(path, "a string", other)),
    }
}
