//! The types of JSON, its numbers, and what is wrong with what is not JSON.

/// The types of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    /// For messages, with its article.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// What is wrong with JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    ByteOrderMark,
    Value,
    Key,
    Colon,
    CommaOrBracket,
    CommaOrBrace,
    Control,
    Escape,
    Hex,
    CutString,
    CutArray,
    CutObject,
    Cut,
    Trailing,
    AfterReturn,
}

impl Syntax {
    /// For messages.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::ByteOrderMark => "a byte order mark after the start of the file",
            Self::Value => "expected a value",
            Self::Key => "expected a string as the key",
            Self::Colon => "expected ':'",
            Self::CommaOrBracket => "expected ',' or ']'",
            Self::CommaOrBrace => "expected ',' or '}'",
            Self::Control => "a control character in a string is not escaped",
            Self::Escape => "an unknown escape",
            Self::Hex => "an escape \\u without four hex digits",
            Self::CutString => "the line ends inside a string",
            Self::CutArray => "the line ends inside an array",
            Self::CutObject => "the line ends inside an object",
            Self::Cut => "the line ends before the value",
            Self::Trailing => "something follows the object",
            Self::AfterReturn => {
                "something follows the object after \\r alone, which does not end a line"
            }
        }
    }
}

/// The length of the number at the start of `bytes`.
pub(super) fn number(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += match bytes.get(at)? {
        // No digit may follow a leading zero. One that does is taken for the next token, and
        // refused there.
        b'0' => 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') && digits(at + 1) > 0 {
        at += 1 + digits(at + 1);
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let length = digits(at + 1 + sign);
        if length > 0 {
            at += 1 + sign + length;
        }
    }
    Some(at)
}
