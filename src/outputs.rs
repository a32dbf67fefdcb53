//! The kinds of output: a dataset, and embeddings, which may lie in the dataset that they were made
//! from.

use std::collections::HashSet;
use std::path::Path;

use crate::dataset::{
    EMBEDDINGS, MANIFEST, PLAN, ShardInfo, read_manifest, receipt_unit, shard_file_unit,
};
use crate::publish::inventory::{Inventory, OutputRecord};
use crate::publish::json_file::read_json;
use crate::sink::is_array_name;

/// The name of the record of embeddings.
pub(crate) const EMBED: &str = "embed.json";

/// A record of embeddings is never longer than this.
const MAX_RECORD_BYTES: u64 = 1 << 30;

/// Tells what runs make from what they do not.
pub(crate) static OUTPUTS: Inventory = Inventory {
    records: &[
        OutputRecord {
            name: MANIFEST,
            files: files_of_dataset,
        },
        OutputRecord {
            name: EMBED,
            files: files_of_embeddings,
        },
    ],
    is_output_file: |name| shard_file_unit(name).is_some() || is_array_name(name),
    is_scratch: is_spool,
    nested: EMBEDDINGS,
    plan: PLAN,
    receipt_unit,
    file_unit: shard_file_unit,
};

/// Whether `name` is the name of a stream's copy.
fn is_spool(name: &str) -> bool {
    let number = name.strip_prefix("stream-");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn files_of_dataset(directory: &Path) -> Option<HashSet<String>> {
    let manifest = read_manifest(directory).ok()?;
    let files = manifest.shards.iter().flat_map(ShardInfo::files);
    Some(files.map(|file| file.name.to_owned()).collect())
}

fn files_of_embeddings(directory: &Path) -> Option<HashSet<String>> {
    let path = directory.join(EMBED);
    let record: serde_json::Value = read_json(&path, "record", MAX_RECORD_BYTES).ok()??;
    let files = record["files"].as_array().into_iter().flatten();
    Some(
        files
            .filter_map(|file| Some(file["file"].as_str()?.to_owned()))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::inventory::Room;

    #[test]
    fn names_are_matched_whole() {
        let random = "0123456789abcdef";
        for name in [
            "shard-00000.u32",
            "shard-123456.docs",
            "shard-00001.bad.jsonl",
            "manifest.json",
            "embed.json",
            "embeddings.npy",
            &format!(".shard-00001.u16.tmp-7-{random}"),
            &format!(".stream-3.tmp-7-{random}"),
        ] {
            assert!(OUTPUTS.has_file(Room::Output, name), "{name}");
            assert!(!OUTPUTS.has_file(Room::Partial, name), "{name}");
        }
        for name in [
            "state.json",
            "plan.json",
            "shard-00000.json",
            &format!(".shard-00001.json.tmp-7-{random}"),
            &format!(".state.json.tmp-7-{random}"),
        ] {
            assert!(OUTPUTS.has_file(Room::Partial, name), "{name}");
            assert!(!OUTPUTS.has_file(Room::Output, name), "{name}");
        }
        for name in [
            "stream-of-consciousness.txt",
            "stream-0",
            "shard-.docs",
            "shard-0.docs",
            "shard-1.bad.jsonl",
            "mine.bad.jsonl",
            "shard-00000.txt",
            "shard-00000.u32.bak",
            ".stream-.tmp-7-0123456789abcdef",
            ".thesis.txt.tmp-7-0123456789abcdef",
            ".shard-00000.u32.tmp-99",
            ".shard-00000.u32.tmp-x-0123456789abcdef",
            ".shard-00000.u32.tmp-7-0123456789abcde",
            ".tmp-7-0123456789abcdef",
        ] {
            assert!(!OUTPUTS.has_file(Room::Output, name), "{name}");
            assert!(!OUTPUTS.has_file(Room::Partial, name), "{name}");
        }
    }
}
