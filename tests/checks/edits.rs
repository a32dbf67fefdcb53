//! Changes of files, chosen by the bytes of an input.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Files by their names, with `/` in them for those in directories.
pub(super) type Files = BTreeMap<String, Entry>;

/// What a name refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Bytes(Vec<u8>),
    /// Zeros follow the bytes up to a length, without taking disk space.
    Sparse(Vec<u8>, u64),
    Fifo,
    Directory,
    /// A link to the other name, in the same directory.
    Link(String),
}

/// Boundary values, for binary records.
const WORDS: [u64; 8] = [
    0,
    1,
    u64::MAX,
    u64::MAX - 1,
    1 << 63,
    1 << 32,
    u32::MAX as u64,
    7,
];

/// Replacements for a number or a string in JSON. None is the length of a sparse file, which
/// readers would have to read.
const SCALARS: [&str; 24] = [
    "0",
    "1",
    "2",
    "3",
    "20",
    "-1",
    "255",
    "4294967295",
    "4294967297",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e999",
    "0.5",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"../x\"",
    "\"/etc/passwd\"",
    "\"a\\u0000b\"",
    "\"shard-00000.u32\"",
    "\"00000000000000000000000000000000\"",
];

/// An input makes at most this many changes.
const MAX_EDITS: usize = 24;

/// Changes `files` as `input` says, six bytes for each change.
pub(super) fn apply(files: &mut Files, input: &[u8]) {
    for edit in input.chunks(6).take(MAX_EDITS) {
        let mut fields = [0; 6];
        fields[..edit.len()].copy_from_slice(edit);
        let [file, op, low, high, a, b] = fields;
        let names: Vec<_> = files.keys().cloned().collect();
        let Some(name) = nth(&names, file) else {
            return;
        };
        let other = nth(&names, b).unwrap_or(name);
        let at = usize::from(low) + 256 * usize::from(high);
        match op % 16 {
            8 => files.remove(name),
            9 => files.insert(other.clone(), files[name].clone()),
            10 => files.insert(name.clone(), Entry::Fifo),
            11 => files.insert(name.clone(), Entry::Directory),
            12 => {
                let beside = other.rsplit('/').next().unwrap_or(other);
                files.insert(name.clone(), Entry::Link(beside.to_owned()))
            }
            op => {
                if let Some(Entry::Bytes(bytes)) = files.get_mut(name) {
                    change(bytes, op, at, [a, b]);
                    if op == 13 {
                        let sparse = Entry::Sparse(std::mem::take(bytes), 1 << (16 + a % 26));
                        files.insert(name.clone(), sparse);
                    }
                }
                None
            }
        };
    }
}

fn nth(names: &[String], n: u8) -> Option<&String> {
    names.get(usize::from(n) % names.len().max(1))
}

fn change(bytes: &mut Vec<u8>, op: u8, at: usize, [a, b]: [u8; 2]) {
    let length = bytes.len();
    let inside = at % length.max(1);
    match op {
        0 if length > 0 => bytes[inside] ^= 1 << (a % 8),
        1 if length > 0 => bytes[inside] = a,
        2 => {
            let many = vec![a; 1 + usize::from(b) * 64];
            bytes.splice(inside..inside, many);
        }
        3 => {
            let end = length.min(inside + 1 + usize::from(b));
            bytes.drain(inside.min(end)..end);
        }
        4 => bytes.truncate(inside),
        5 => {
            if let Some(word) = bytes.as_chunks_mut().0.get_mut(at % (length / 8).max(1)) {
                *word = WORDS[usize::from(a) % WORDS.len()].to_le_bytes();
            }
        }
        // The most common change, because it keeps JSON valid.
        6 | 7 | 14 | 15 => {
            let found = scalars(bytes);
            if let Some(scalar) = found.get(at % found.len().max(1)) {
                let other = SCALARS[usize::from(a) % SCALARS.len()];
                bytes.splice(scalar.clone(), other.bytes());
            }
        }
        _ => {}
    }
}

/// The numbers and strings in the JSON `text`.
fn scalars(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let start = at;
        if text[at] == b'"' {
            at += 1;
            while at < text.len() && text[at] != b'"' {
                at += 1 + usize::from(text[at] == b'\\');
            }
            at = text.len().min(at + 1);
        } else if text[at].is_ascii_digit() {
            while at < text.len() && text[at].is_ascii_digit() {
                at += 1;
            }
        } else {
            at += 1;
            continue;
        }
        found.push(start..at);
    }
    found
}

/// Writes `files` into `directory`.
pub(super) fn write(files: &Files, directory: &Path) {
    for (name, entry) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match entry {
            Entry::Bytes(bytes) => fs::write(path, bytes).unwrap(),
            Entry::Sparse(bytes, length) => {
                fs::write(&path, bytes).unwrap();
                let file = File::options().write(true).open(path).unwrap();
                // If the file system has no files of this length, it stays as it is.
                let _ = file.set_len(*length);
            }
            Entry::Fifo => {
                mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            }
            Entry::Directory => fs::create_dir(path).unwrap(),
            Entry::Link(target) => symlink(target, path).unwrap(),
        }
    }
}
