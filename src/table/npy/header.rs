//! The text of a `.npy` header: a Python dict literal with three known keys.
//!
//! NumPy evaluates the literal; this parser is strict. Accepted are: keys in any order, each
//! exactly once; strings without escapes; `True` or `False`; a tuple of plain integers; spaces
//! between any two of these; a trailing comma in dict and tuple.

use shardmill_core::show::shortened;

/// NumPy's own limit on dimensions.
const MAX_DIMENSIONS: usize = 64;

/// What a header says, not yet checked against the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) descr: String,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

/// Reads the header's text.
pub(super) fn parse(text: &[u8]) -> Result<Header, String> {
    // The bytes may be a mapped file. A copy cannot change while it is parsed.
    let text = text.to_vec();
    let mut cursor = Cursor { text: &text, at: 0 };
    let header = cursor.dict()?;
    cursor.skip_space();
    if cursor.at < text.len() {
        return Err(cursor.expected("the end"));
    }
    Ok(header)
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn dict(&mut self) -> Result<Header, String> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.token(b'{')?;
        while !self.take(b'}') {
            let key = self.string()?;
            self.token(b':')?;
            let is_repeated = match key.as_str() {
                "descr" => descr.replace(self.descr()?).is_some(),
                "fortran_order" => fortran_order.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.tuple()?).is_some(),
                _ => return Err(format!(".npy header: unknown key '{}'", shortened(&key))),
            };
            if is_repeated {
                return Err(format!(".npy header: '{key}' stands there twice"));
            }
            if !self.take(b',') {
                self.token(b'}')?;
                break;
            }
        }
        let missing = |key: &str| format!(".npy header: '{key}' is missing");
        Ok(Header {
            descr: descr.ok_or_else(|| missing("descr"))?,
            fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }

    fn descr(&mut self) -> Result<String, String> {
        if self.take(b'[') {
            return Err("has structured elements; a table has one type".to_owned());
        }
        self.string()
    }

    fn string(&mut self) -> Result<String, String> {
        self.skip_space();
        let Some(&quote @ (b'\'' | b'"')) = self.text.get(self.at) else {
            return Err(self.expected("a string"));
        };
        let rest = &self.text[self.at + 1..];
        let end = rest.iter().position(|&byte| byte == quote);
        let inside = &rest[..end.ok_or_else(|| self.expected("a string that ends"))?];
        if inside
            .iter()
            .any(|byte| !(b' '..=b'~').contains(byte) || *byte == b'\\')
        {
            return Err(self.expected("a string of plain characters"));
        }
        self.at += inside.len() + 2;
        Ok(String::from_utf8_lossy(inside).into_owned())
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.skip_space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.expected("True or False"))
    }

    fn tuple(&mut self) -> Result<Vec<u64>, String> {
        let mut items = Vec::new();
        self.token(b'(')?;
        while !self.take(b')') {
            if items.len() == MAX_DIMENSIONS {
                return Err(self.expected("at most 64 dimensions"));
            }
            items.push(self.integer()?);
            if self.take(b',') {
                continue;
            }
            if items.len() == 1 {
                return Err(self.expected("',' after the only dimension"));
            }
            self.token(b')')?;
            break;
        }
        Ok(items)
    }

    fn integer(&mut self) -> Result<u64, String> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = String::from_utf8_lossy(&rest[..digits]);
        let value = text.parse();
        let value = value.map_err(|_| self.expected("a dimension that fits 64 bits"))?;
        self.at += digits;
        Ok(value)
    }

    fn token(&mut self, byte: u8) -> Result<(), String> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.expected(&format!("'{}'", char::from(byte))))
    }

    /// Takes `byte` if it comes next, after any spaces.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_next = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> String {
        format!(".npy header: expected {what} at byte {}", self.at)
    }
}
