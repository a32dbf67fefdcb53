//! Compiled tokenizers in a directory, one file each.
//!
//! ```text
//! magic     8 bytes
//! format    u64, in the machine's byte order: another order is another format
//! key       32 hex digits: what was compiled, by which version of shardmill
//! checksum  32 hex digits: of all that follows
//! lengths   5 x u64: of the sections, in bytes
//! sections  each from a multiple of 8 bytes on: the vocabulary's tables, `Joins` as words, the ends
//!           and bytes of `Decoded`, the head as JSON
//! ```
//!
//! A file appears as a whole, or not at all. One that is damaged, or of another version, is as good
//! as none, and so is a directory that cannot be written.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use shardmill_core::hash::Hash128;
use shardmill_core::map::{self, Slab};
use shardmill_core::token::TokenId;

use crate::bpe::Vocabulary;
use crate::tokenizer::compiled::{Compiled, Head};
use crate::tokenizer::decoded::Decoded;
use crate::tokenizer::joins::Joins;

/// Changes whenever the same file compiles to something else; a test tells.
const FORMAT: u64 = 2;

const MAGIC: &[u8; 8] = b"shardmil";

const CHECKSUM_AT: usize = 48;
const LENGTHS_AT: usize = 80;
const SECTIONS: usize = 5;

/// The tables of a vocabulary begin here, so that they are aligned.
const HEADER_BYTES: usize = 128;

/// The oldest files above this number are removed.
const MOST_FILES: usize = 16;

/// A longer file is not read.
const MOST_BYTES: u64 = 1 << 30;

/// What JSON has.
#[derive(Serialize, Deserialize)]
struct Stored<H> {
    head: H,
    joins: Option<(bool, Option<char>)>,
}

/// What says which file was compiled, how, and by what.
pub(super) fn key(
    file_hash: Hash128,
    pattern: Option<&str>,
    special_tokens: &[(String, TokenId)],
) -> Hash128 {
    let version = env!("CARGO_PKG_VERSION");
    Hash128::of_json(&(FORMAT, version, file_hash, pattern, special_tokens))
}

/// The compiled tokenizer of this key, if the directory has it.
pub(super) fn load(dir: &Path, key: Hash128) -> Option<Compiled> {
    let mut file = map::open_file(&dir.join(name(key))).ok()?;
    let metadata = file.metadata().ok()?;
    let len = Some(metadata.len()).filter(|&len| metadata.is_file() && len <= MOST_BYTES)?;
    let len = usize::try_from(len).ok().filter(|len| len % 8 == 0)?;
    let mut slab = Slab::<u64>::zeroed(len / 8).ok()?;
    file.read_exact(bytemuck::cast_slice_mut(&mut slab)).ok()?;
    read(slab, key)
}

fn read(slab: Slab<u64>, key: Hash128) -> Option<Compiled> {
    let bytes: &[u8] = bytemuck::cast_slice(&slab);
    let (start, rest) = bytes.split_at_checked(LENGTHS_AT)?;
    if start != header(key, Hash128::of(rest)) {
        return None;
    }
    let mut at = HEADER_BYTES;
    let mut sections = [const { 0..0 }; SECTIONS];
    for (section, length) in sections.iter_mut().zip(rest.chunks(8)) {
        let length = u64::from_ne_bytes(length.try_into().ok()?);
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        bytes.get(at..end)?;
        *section = at..end;
        at = end.next_multiple_of(8);
    }
    let [tables, joins, ends, decoded, json] = sections;
    let stored: Stored<Head> = serde_json::from_slice(&bytes[json]).ok()?;
    let decoded = Decoded::of_parts(
        bytemuck::try_cast_slice(&bytes[ends]).ok()?,
        &bytes[decoded],
    )?;
    let joins = match stored.joins {
        Some((is_whole, split)) => {
            let words = bytemuck::try_cast_slice(&bytes[joins]).ok()?;
            Some(Joins::of_words(words, is_whole, split)?)
        }
        None => None,
    };
    Some(Compiled {
        head: stored.head,
        decoded,
        joins,
        vocabulary: Vocabulary::of_image(slab, tables)?,
    })
}

/// Keeps a compiled tokenizer, if it can be.
pub(super) fn store(dir: &Path, key: Hash128, compiled: &Compiled) {
    if let Some(bytes) = to_bytes(key, compiled) {
        // Without it, the next time takes longer, and nothing else.
        let _ = write(dir, key, &bytes);
        let _ = remove_oldest(dir);
    }
}

/// `None` if it has what is not stored.
fn to_bytes(key: Hash128, compiled: &Compiled) -> Option<Vec<u8>> {
    let Compiled {
        head,
        decoded,
        joins,
        vocabulary,
    } = compiled;
    let joins = match joins {
        Some(joins) => Some(joins.words()?),
        None => None,
    };
    let json = serde_json::to_vec(&Stored {
        head,
        joins: joins
            .as_ref()
            .map(|&(_, is_whole, split)| (is_whole, split)),
    });
    let (json, words) = (json.ok()?, joins.unwrap_or_default().0);
    let (ends, decoded) = decoded.parts();
    let sections: [&[u8]; SECTIONS] = [
        vocabulary.image()?,
        bytemuck::cast_slice(&words),
        bytemuck::cast_slice(ends),
        decoded,
        &json,
    ];
    let mut bytes = vec![0; LENGTHS_AT];
    for section in sections {
        bytes.extend((section.len() as u64).to_ne_bytes());
    }
    bytes.resize(HEADER_BYTES, 0);
    for section in sections {
        bytes.extend_from_slice(section);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let checksum = Hash128::of(&bytes[LENGTHS_AT..]);
    bytes[..LENGTHS_AT].copy_from_slice(&header(key, checksum));
    Some(bytes)
}

fn header(key: Hash128, checksum: Hash128) -> [u8; LENGTHS_AT] {
    let mut header = [0; LENGTHS_AT];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&FORMAT.to_ne_bytes());
    header[16..CHECKSUM_AT].copy_from_slice(key.to_string().as_bytes());
    header[CHECKSUM_AT..].copy_from_slice(checksum.to_string().as_bytes());
    header
}

fn name(key: Hash128) -> String {
    format!("{key}.tokenizer")
}

fn write(dir: &Path, key: Hash128, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let temporary = dir.join(format!(".{key}.{}", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, dir.join(name(key))));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A file that is being written is not this old.
const ABANDONED: Duration = Duration::from_hours(1);

/// Whether this is the name of a file that [`write()`] has not finished.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let parts = name.and_then(|name| name.strip_prefix('.')?.split_once('.'));
    parts.is_some_and(|(key, _)| key.parse::<Hash128>().is_ok())
}

fn remove_oldest(dir: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let modified = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified());
        let modified = modified.unwrap_or(SystemTime::UNIX_EPOCH);
        if path
            .extension()
            .is_some_and(|extension| extension == "tokenizer")
        {
            files.push((modified, path));
        } else if is_temporary(&path) && modified.elapsed().is_ok_and(|age| age > ABANDONED) {
            fs::remove_file(&path)?;
        }
    }
    files.sort();
    let excess = files.len().saturating_sub(MOST_FILES);
    files[..excess]
        .iter()
        .try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Source, parse};

    const FILE: &[u8] = br#"{"version":"1.0",
        "added_tokens":[{"id":261,"content":"<e>","single_word":false,"lstrip":false,"rstrip":false,
            "normalized":false,"special":true}],
        "normalizer":{"type":"Replace","pattern":{"String":" "},"content":"\u2581"},
        "model":{"type":"BPE","vocab":{"a":0,"b":1,"\u2581":2,"ab":3,"\u2581a":4},
            "merges":["a b","\u2581 a"]}}"#;

    /// A word list that has all bytes, so that tables can express it.
    fn compiled() -> Compiled {
        let mut file: serde_json::Value = serde_json::from_slice(FILE).unwrap();
        file["model"]["byte_fallback"] = true.into();
        for byte in 0..=u8::MAX {
            file["model"]["vocab"][format!("<0x{byte:02X}>")] = (u32::from(byte) + 5).into();
        }
        let bytes = file.to_string().into_bytes();
        let definition = parse(&Source {
            bytes: &bytes,
            ..Source::default()
        });
        Compiled::of(&definition.unwrap(), Hash128::of(&bytes)).unwrap()
    }

    fn slab(bytes: &[u8]) -> Slab<u64> {
        let mut slab = Slab::zeroed(bytes.len() / 8).unwrap();
        bytemuck::cast_slice_mut(&mut slab).copy_from_slice(&bytes[..bytes.len() / 8 * 8]);
        slab
    }

    #[test]
    fn what_is_stored_is_what_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new/directory");
        let (key, compiled) = (Hash128::of(b"key"), compiled());
        store(&dir, key, &compiled);
        let loaded = load(&dir, key).unwrap();
        assert_eq!(to_bytes(key, &loaded), to_bytes(key, &compiled));
        assert!(load(&dir, Hash128::of(b"other")).is_none());
        // Nothing else is left there.
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn damage_anywhere_is_as_good_as_none() {
        let key = Hash128::of(b"key");
        let bytes = to_bytes(key, &compiled()).unwrap();
        assert!(read(slab(&bytes), key).is_some());
        assert!(read(slab(&bytes), Hash128::of(b"other")).is_none());
        let places = (0..HEADER_BYTES).chain((HEADER_BYTES..bytes.len()).step_by(997));
        for at in places {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(read(slab(&damaged), key).is_none(), "byte {at}");
        }
        for len in (0..bytes.len()).step_by(8 * 499) {
            assert!(read(slab(&bytes[..len]), key).is_none(), "{len} bytes");
        }
    }

    #[test]
    fn the_oldest_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..20_u32 {
            let path = dir.path().join(format!("{i:02}.tokenizer"));
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(u64::from(i));
            File::create(path).unwrap().set_modified(time).unwrap();
        }
        fs::write(dir.path().join("other"), "").unwrap();
        let abandoned = dir.path().join(format!(".{}.17", Hash128::of(b"key")));
        let file = File::create(abandoned).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        remove_oldest(dir.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            (left.len(), &*left[0], &*left[16]),
            (17, "04.tokenizer", "other")
        );
    }

    /// If this changes, so must [`FORMAT`]: what older versions stored is not what this one makes.
    #[test]
    fn what_a_file_compiles_to_changes_with_the_format() {
        let bytes = to_bytes(Hash128::of(b"key"), &compiled()).unwrap();
        let digest = Hash128::of(&bytes[HEADER_BYTES..]).to_string();
        assert_eq!((FORMAT, &*digest), (2, "d87859c1a79f2208ee9c7880426bdb89"));
    }
}
