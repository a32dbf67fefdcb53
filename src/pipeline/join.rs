//! Finished units -> the manifest.

use shardmill_core::hash::Hash128;

use crate::dataset::{
    DoneUnit, EncodingInfo, FORMAT_VERSION, Manifest, RangeInfo, Settings, SourceInfo, Totals,
};
use crate::document::Format;

/// The manifest of a dataset of `units`, which are in order and cover the corpus. `name` returns a
/// source's name and format; it is called once for each source.
pub(crate) fn manifest(
    encoding: EncodingInfo,
    settings: Settings,
    mut name: impl FnMut(u32) -> (String, Format),
    units: Vec<DoneUnit>,
) -> Manifest {
    let mut sources = SourceHashes::default();
    let mut totals = Totals::default();
    let mut shards = Vec::with_capacity(units.len());
    for unit in units {
        totals = totals.plus(&unit.totals());
        for range in unit.ranges {
            sources.push(&mut name, range);
        }
        shards.push(unit.shard);
    }
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        encoding,
        settings,
        shuffled: None,
        sources: sources.finish(),
        shards,
        totals,
        dataset_id: Hash128::of(b""),
    };
    manifest.with_id()
}

/// Combines the hashes of ranges, which come in corpus order, into those of sources.
#[derive(Debug, Default)]
pub(crate) struct SourceHashes {
    done: Vec<SourceInfo>,
    open: Option<(u32, SourceInfo)>,
    /// The hashes of the open source's ranges.
    hashes: Vec<Hash128>,
}

impl SourceHashes {
    pub(crate) fn push(&mut self, name: impl FnOnce(u32) -> (String, Format), range: RangeInfo) {
        let index = range.source;
        if self.open.as_ref().is_none_or(|&(open, _)| open != index) {
            self.close();
            let (name, format) = name(index);
            let info = SourceInfo {
                name,
                format,
                compression: range.compression,
                bytes: 0,
                hash: range.hash,
            };
            self.open = Some((index, info));
        }
        if let Some((_, info)) = &mut self.open {
            info.bytes += range.bytes;
            self.hashes.push(range.hash);
        }
    }

    fn close(&mut self) {
        if let Some((_, mut info)) = self.open.take() {
            info.hash = Hash128::of_hashes(&self.hashes);
            self.hashes.clear();
            self.done.push(info);
        }
    }

    pub(crate) fn finish(mut self) -> Vec<SourceInfo> {
        self.close();
        self.done
    }
}
