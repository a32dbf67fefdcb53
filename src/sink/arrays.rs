//! The three arrays of a run, a file each: embeddings, inputs and targets.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shardmill_core::choice;
use shardmill_core::dtype::{Dtype, Element};
use shardmill_core::hash::Hash128;
use shardmill_core::token::TokenId;

use crate::error::Result;
use crate::publish::durability::Durability;
use crate::publish::hashed_file::HashedFile;
use crate::sink::{Batch, Sink};
use crate::table::{npy, safetensors};

choice! {
    /// How arrays are laid out in files and streams.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum ArrayFormat {
        /// The format of `numpy.save`; bf16, for which NumPy has no type, is stored as `<u2`.
        #[default]
        Npy = "npy",
        /// A safetensors file of one tensor with the array's name.
        Safetensors = "safetensors",
        /// The elements alone, little-endian, row-major.
        Raw = "raw",
    }
}

impl ArrayFormat {
    const fn extension(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Safetensors => "safetensors",
            Self::Raw => "bin",
        }
    }
}

/// The arrays, in listing order.
const ARRAYS: [&str; 3] = ["embeddings", "inputs", "targets"];

/// Whether `name` is the name of an array's file in any format.
pub(crate) fn is_array_name(name: &str) -> bool {
    name.split_once('.').is_some_and(|(array, extension)| {
        let extensions = ArrayFormat::ALL.map(ArrayFormat::extension);
        ARRAYS.contains(&array) && extensions.contains(&extension)
    })
}

/// The array files of a run: their names and the headers before their elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArrayLayout {
    pub(crate) format: ArrayFormat,
    /// `[n, seq_len, dim]` of the embeddings.
    pub(crate) shape: [u64; 3],
    /// The element type of the embeddings.
    pub(crate) dtype: Dtype,
}

impl ArrayLayout {
    pub(crate) fn names(self) -> [String; 3] {
        ARRAYS.map(|array| format!("{array}.{}", self.format.extension()))
    }

    /// The header before the elements of each file.
    pub(crate) fn headers(self) -> [Vec<u8>; 3] {
        let [_, inputs, targets] = ARRAYS;
        let ids = |array| match self.format {
            ArrayFormat::Npy => npy::npy_header(npy::U32_DESCR, &self.shape[..2]),
            ArrayFormat::Safetensors => {
                safetensors::header(array, safetensors::U32, &self.shape[..2])
            }
            ArrayFormat::Raw => Vec::new(),
        };
        [self.embeddings_header(), ids(inputs), ids(targets)]
    }

    /// The header before the embeddings.
    pub(super) fn embeddings_header(self) -> Vec<u8> {
        match self.format {
            ArrayFormat::Npy => npy::npy_header(npy::descr(self.dtype), &self.shape),
            ArrayFormat::Safetensors => {
                safetensors::header(ARRAYS[0], safetensors::element(self.dtype), &self.shape)
            }
            ArrayFormat::Raw => Vec::new(),
        }
    }

    /// The size of each file in bytes; `None` if it exceeds what a file can hold.
    pub(crate) fn file_bytes(self) -> Option<[u64; 3]> {
        let [n, seq_len, dim] = self.shape;
        let tokens = n.checked_mul(seq_len)?;
        let embeddings = tokens
            .checked_mul(dim)?
            .checked_mul(self.dtype.size_bytes() as u64)?;
        let ids = tokens.checked_mul(size_of::<TokenId>() as u64)?;
        let mut bytes = [embeddings, ids, ids];
        for (bytes, header) in bytes.iter_mut().zip(self.headers()) {
            *bytes = bytes.checked_add(header.len() as u64)?;
        }
        Some(bytes)
    }

    /// A line of PyTorch that reads the embeddings. `torch.bfloat16` has no NumPy type, so its bits
    /// pass as integers.
    pub(crate) fn pytorch(self) -> String {
        let [file, ..] = self.names();
        let [n, seq_len, dim] = self.shape;
        match (self.format, self.dtype) {
            (ArrayFormat::Npy, Dtype::F16 | Dtype::F32) => {
                format!("torch.from_numpy(numpy.load('{file}'))")
            }
            (ArrayFormat::Npy, Dtype::BF16) => {
                format!("torch.from_numpy(numpy.load('{file}').view('<i2')).view(torch.bfloat16)")
            }
            (ArrayFormat::Safetensors, _) => {
                format!("safetensors.torch.load_file('{file}')['{}']", ARRAYS[0])
            }
            (ArrayFormat::Raw, dtype) => format!(
                "torch.from_file('{file}', size={n} * {seq_len} * {dim}, dtype=torch.{}).view({n}, {seq_len}, {dim})",
                dtype.torch_name()
            ),
        }
    }
}

/// Writes the three arrays of a run.
#[derive(Debug)]
pub(crate) struct ArraySink {
    names: [String; 3],
    /// Embeddings, inputs, targets.
    files: [HashedFile; 3],
}

/// A finished array file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArrayFile {
    pub(crate) file: String,
    pub(crate) bytes: u64,
    /// Hashes of its 16 MiB blocks.
    pub(crate) blocks: Vec<Hash128>,
}

impl ArraySink {
    /// Begins the arrays in `directory`.
    pub(crate) fn create(
        directory: &Path,
        layout: ArrayLayout,
        durability: Durability,
    ) -> Result<Self> {
        let names = layout.names();
        let [embeddings, inputs, targets] = layout.headers();
        let begin = |name: &str, header: &[u8]| -> Result<HashedFile> {
            let mut file = HashedFile::create(directory, name, durability)?;
            file.write(header)?;
            Ok(file)
        };
        let files = [
            begin(&names[0], &embeddings)?,
            begin(&names[1], &inputs)?,
            begin(&names[2], &targets)?,
        ];
        Ok(Self { names, files })
    }

    /// Completes the files.
    pub(crate) fn finish(self) -> Result<Vec<ArrayFile>> {
        let files = self.files.into_iter().zip(self.names);
        files
            .map(|(open, file)| {
                let (bytes, blocks) = open.finish()?;
                Ok(ArrayFile {
                    file,
                    bytes,
                    blocks,
                })
            })
            .collect()
    }
}

impl Sink for ArraySink {
    fn write<E: Element>(&mut self, batch: &Batch<'_, E>) -> Result<()> {
        let [embeddings, inputs, targets] = &mut self.files;
        embeddings.write(bytemuck::cast_slice(batch.embeddings))?;
        inputs.write(bytemuck::cast_slice(batch.inputs))?;
        targets.write(bytemuck::cast_slice(batch.targets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_known_by_their_names() {
        for format in ArrayFormat::ALL {
            let layout = ArrayLayout {
                format,
                shape: [1, 1, 1],
                dtype: Dtype::F32,
            };
            assert!(layout.names().iter().all(|name| is_array_name(name)));
        }
        for other in [
            "embeddings",
            "inputs.csv",
            "targets.npy.gz",
            ".npy",
            "x.bin",
        ] {
            assert!(!is_array_name(other), "{other}");
        }
    }

    #[test]
    fn sizes_beyond_a_file_are_none() {
        let layout = |shape| ArrayLayout {
            format: ArrayFormat::Safetensors,
            shape,
            dtype: Dtype::F16,
        };
        let [embeddings, inputs, targets] = layout([3, 4, 5]).file_bytes().unwrap();
        assert_eq!((embeddings - 3 * 4 * 5 * 2) % 8, 0);
        assert_eq!((inputs % 8, targets % 8), (0, 0));
        for shape in [[1 << 63, 2, 1], [1 << 62, 2, 1], [1 << 61, 1, 8]] {
            assert_eq!(layout(shape).file_bytes(), None, "{shape:?}");
        }
    }
}
