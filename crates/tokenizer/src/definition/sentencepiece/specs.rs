//! How a model was trained and how texts are normalized, as far as ids depend on it.

use super::unknown_field;
use crate::definition::Refusal;
use crate::definition::protobuf::Message;
use crate::definition::refusal::quoted;

/// What of `trainer_spec` has an effect on ids.
#[derive(Debug)]
pub(super) struct TrainerSpec {
    model_type: u64,
    pub(super) byte_fallback: bool,
    pub(super) whitespace_as_suffix: bool,
}

impl Default for TrainerSpec {
    fn default() -> Self {
        Self {
            model_type: 1,
            byte_fallback: false,
            whitespace_as_suffix: false,
        }
    }
}

impl TrainerSpec {
    pub(super) fn read(&mut self, mut message: Message<'_>) -> Result<(), Refusal> {
        while let Some(field) = message.next_field()? {
            match field.number {
                3 => self.model_type = field.integer()?,
                24 => self.whitespace_as_suffix = field.flag()?,
                35 => self.byte_fallback = field.flag()?,
                // How training went, and how ids are shown. Types of pieces say what they are.
                1 | 2 | 4..=7 | 10..=23 | 25 | 26 | 30..=34 | 36 | 40..=51 | 52..=55 => {}
                other => return Err(unknown_field(field.at, "of trainer_spec", other)),
            }
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        const PATH: &str = "trainer_spec.model_type";
        let name = match self.model_type {
            2 => return Ok(()),
            1 => "UNIGRAM",
            3 => "WORD",
            4 => "CHAR",
            other => return Err(Refusal::damaged_at(PATH, format!("{other} is not known"))),
        };
        Err(Refusal::unsupported(
            PATH,
            format!("{name} is not supported"),
        ))
    }
}

/// What of `normalizer_spec` has an effect on ids.
#[derive(Debug)]
pub(super) struct NormalizerSpec {
    name: String,
    pub(super) charsmap_bytes: usize,
    pub(super) add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    escape_whitespaces: bool,
}

impl Default for NormalizerSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            charsmap_bytes: 0,
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
        }
    }
}

impl NormalizerSpec {
    pub(super) fn read(&mut self, mut message: Message<'_>) -> Result<(), Refusal> {
        while let Some(field) = message.next_field()? {
            match field.number {
                1 => field.text()?.clone_into(&mut self.name),
                2 => self.charsmap_bytes = field.bytes()?.len(),
                3 => self.add_dummy_prefix = field.flag()?,
                4 => self.remove_extra_whitespaces = field.flag()?,
                5 => self.escape_whitespaces = field.flag()?,
                // What the charsmap was made from.
                6 => {}
                other => return Err(unknown_field(field.at, "of normalizer_spec", other)),
            }
        }
        Ok(())
    }

    pub(super) fn check(&self, whitespace_as_suffix: bool) -> Result<(), Refusal> {
        let unsupported = |field: &str, what: &str| {
            Err(Refusal::unsupported(
                format!("normalizer_spec.{field}"),
                format!("{what} is not supported"),
            ))
        };
        if self.charsmap_bytes > 0 {
            // The name alone does nothing.
            return unsupported(
                "precompiled_charsmap",
                &format!("of {}", quoted(&self.name)),
            );
        }
        if self.remove_extra_whitespaces {
            return unsupported("remove_extra_whitespaces", "true");
        }
        if !self.escape_whitespaces {
            return unsupported("escape_whitespaces", "false");
        }
        if whitespace_as_suffix && self.add_dummy_prefix {
            return Err(Refusal::unsupported(
                "trainer_spec.treat_whitespace_as_suffix",
                "true is not supported",
            ));
        }
        Ok(())
    }
}
