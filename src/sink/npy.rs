//! `embeddings.npy`, `inputs.npy` and `targets.npy`.

use std::path::Path;

use crate::hash::Hash128;
use crate::shard::{Durability, HashedFile};
use crate::sink::{Batch, Sink};
use crate::table::npy;
use crate::{Dtype, Element, Result};

/// Writes the three arrays of a run.
#[derive(Debug)]
pub(crate) struct NpySink {
    embeddings: HashedFile,
    inputs: HashedFile,
    targets: HashedFile,
}

/// A finished array file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NpyFile {
    pub(crate) file: String,
    pub(crate) bytes: u64,
    /// Hashes of its 16 MiB blocks.
    pub(crate) blocks: Vec<Hash128>,
}

/// The names of the arrays, in the order in which they are listed.
pub(crate) const NAMES: [&str; 3] = ["embeddings.npy", "inputs.npy", "targets.npy"];

/// The headers of the arrays for `[n, seq_len, dim]` elements of `dtype`.
pub(crate) fn headers(shape: [u64; 3], dtype: Dtype) -> [Vec<u8>; 3] {
    let ids = npy::npy_header(npy::U32_DESCR, &shape[..2]);
    [npy::npy_header(npy::descr(dtype), &shape), ids.clone(), ids]
}

impl NpySink {
    /// Begins the arrays in `directory`.
    pub(crate) fn create(
        directory: &Path,
        shape: [u64; 3],
        dtype: Dtype,
        durability: Durability,
    ) -> Result<Self> {
        let headers = headers(shape, dtype);
        let begin = |index: usize| {
            let mut file = HashedFile::create(directory, NAMES[index], durability)?;
            file.write(&headers[index])?;
            Ok(file)
        };
        Ok(Self {
            embeddings: begin(0)?,
            inputs: begin(1)?,
            targets: begin(2)?,
        })
    }

    /// Completes the files.
    pub(crate) fn finish(self) -> Result<Vec<NpyFile>> {
        [self.embeddings, self.inputs, self.targets]
            .into_iter()
            .zip(NAMES)
            .map(|(file, name)| {
                let (bytes, blocks) = file.finish()?;
                Ok(NpyFile {
                    file: name.to_owned(),
                    bytes,
                    blocks,
                })
            })
            .collect()
    }
}

impl Sink for NpySink {
    fn write<E: Element>(&mut self, batch: &Batch<'_, E>) -> Result<()> {
        self.embeddings
            .write(bytemuck::cast_slice(batch.embeddings))?;
        self.inputs.write(bytemuck::cast_slice(batch.inputs))?;
        self.targets.write(bytemuck::cast_slice(batch.targets))
    }
}
