//! Embedding tables: `rows` x `dim` elements of one [`Dtype`].
//!
//! Reads them from files, computes them, or draws them as PyTorch would. Does not know what the
//! rows mean or who gathers them.
//!
//! ```text
//! mod          a table and its elements
//! open         the name `FILE[#key]`, the formats, opening
//! options      which tensor of a file to open, and what is refused
//! npy          .npy files: where the elements are, and the header of a new file
//! safetensors  the same for .safetensors files
//! mt19937      PyTorch's generator
//! box_muller   uniform numbers -> normal numbers, rounded as PyTorch rounds them
//! torch_init   the tables that PyTorch draws
//! positions    arrays computed from positions
//! ```

mod box_muller;
mod mt19937;
pub(crate) mod npy;
mod open;
mod options;
mod positions;
pub(crate) mod safetensors;
mod torch_init;

use std::fmt;
use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use half::{bf16, f16};
use shardmill_core::dtype::{Dtype, Element, Elements, Values, with_element};
use shardmill_core::map::{Buffer, Map, Slab};

use crate::error::{Error, Result};

pub use mt19937::TorchGenerator;
pub use open::{FORMATS, TableFormat, TableSpec};
pub use options::TableOptions;
pub(crate) use positions::check_base;
pub use positions::{PositionScheme, ROTARY_BASE, Rope, RopeStyle, alibi_slopes};
pub use torch_init::InitialTables;

const _: () = assert!(
    cfg!(target_endian = "little"),
    "table files are little-endian and viewed in place"
);

/// A row-major matrix of `rows` x `dim` elements, owned or mapped from a file.
///
/// Cloning shares the elements.
///
/// # Examples
///
/// ```
/// use shardmill::{Dtype, Table};
///
/// let table = Table::from_vec(2, 3, vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0])?;
/// assert_eq!((table.rows(), table.dim(), table.dtype()), (2, 3, Dtype::F32));
/// let mut row = [0.0; 3];
/// table.row_to_f32(1, &mut row);
/// assert_eq!(row, [3.0, 4.0, 5.0]);
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone)]
pub struct Table {
    rows: usize,
    dim: usize,
    data: Data,
}

/// Where the elements are stored.
#[derive(Clone)]
enum Data {
    Owned(Arc<Values>),
    /// Bytes of a mapped file or on huge pages: in range, aligned for the type, little-endian, a
    /// whole number of elements. Checked when opened.
    Bytes(Arc<Bytes>, Range<usize>, Dtype),
}

/// Bytes that begin on a page.
enum Bytes {
    File(Map),
    Memory(Slab<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::File(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}

/// Where a format's reader found the elements in the bytes of a file.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    rows: usize,
    dim: usize,
    dtype: Dtype,
    bytes: Range<usize>,
}

impl Extent {
    /// The elements of a `shape` that a header claims, from byte `start` of a file. It is not yet
    /// known whether the file has that byte range.
    fn new(shape: &[u64], dtype: Dtype, start: usize) -> std::result::Result<Self, String> {
        let &[rows, dim] = shape else {
            return Err(format!(
                "has shape {shape:?}; a table has two dimensions, [rows, dim]"
            ));
        };
        if dim == 0 {
            return Err(format!("has shape {shape:?}; dim must be at least 1"));
        }
        let too_large = || format!("shape {shape:?} is larger than any file");
        let rows = usize::try_from(rows).map_err(|_| too_large())?;
        let dim = usize::try_from(dim).map_err(|_| too_large())?;
        let end = rows
            .checked_mul(dim)
            .and_then(|n| n.checked_mul(dtype.size_bytes()))
            .and_then(|n| n.checked_add(start))
            .ok_or_else(too_large)?;
        Ok(Self {
            rows,
            dim,
            dtype,
            bytes: start..end,
        })
    }
}

impl Table {
    /// Makes a table of `rows` x `dim` from its elements, row-major.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if `values` does not hold exactly `rows` x `dim` elements, or `dim` is 0.
    pub fn from_vec<E: Element>(rows: usize, dim: usize, values: Vec<E>) -> Result<Self> {
        check_len(rows, dim, values.len())?;
        Ok(Self {
            rows,
            dim,
            data: Data::Owned(Arc::new(E::tag(values))),
        })
    }

    /// Makes a table of `rows` x `dim` from elements on huge pages.
    ///
    /// # Errors
    ///
    /// Those of [`from_vec`](Self::from_vec).
    pub fn from_buffer<E: Element>(rows: usize, dim: usize, values: Buffer<E>) -> Result<Self> {
        check_len(rows, dim, values.len())?;
        let bytes = 0..size_of_val(&*values);
        let memory = Bytes::Memory(values.into_bytes());
        Ok(Self {
            rows,
            dim,
            data: Data::Bytes(Arc::new(memory), bytes, E::DTYPE),
        })
    }

    /// A copy on huge pages, which make random reads faster than the small pages of a mapped file.
    /// It is worth its time and memory if many more rows are gathered than the table has.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if memory runs out.
    pub fn to_huge_pages(&self) -> Result<Self> {
        with_element!(self.dtype(), E => {
            let mut copy = Buffer::<E>::zeroed(self.rows * self.dim)?;
            bytemuck::cast_slice_mut(&mut copy).copy_from_slice(self.bytes());
            Self::from_buffer(self.rows, self.dim, copy)
        })
    }

    /// The first `rows` x `dim` elements as another table.
    pub(crate) fn view(&self, rows: usize, dim: usize) -> Result<Self> {
        let len = rows.saturating_mul(dim);
        check_len(rows, dim, len.min(self.rows * self.dim))?;
        let data = match self.data.clone() {
            Data::Bytes(bytes, range, dtype) => {
                let end = range.start + len * dtype.size_bytes();
                Data::Bytes(bytes, range.start..end, dtype)
            }
            Data::Owned(_) => return self.to_huge_pages()?.view(rows, dim),
        };
        Ok(Self { rows, dim, data })
    }

    /// A view of `extent`, which must lie inside `map`, or a copy if it is misaligned.
    fn from_map(map: Map, extent: Extent) -> Self {
        let Extent {
            rows,
            dim,
            dtype,
            bytes,
        } = extent;
        let slice = &map[bytes.clone()];
        let data = if slice.as_ptr().addr().is_multiple_of(dtype.size_bytes()) {
            Data::Bytes(Arc::new(Bytes::File(map)), bytes, dtype)
        } else {
            Data::Owned(Arc::new(with_element!(dtype, E => copy::<E>(slice))))
        };
        Self { rows, dim, data }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of elements of a row, at least 1.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.elements().dtype()
    }

    /// All elements, row-major: `rows` x `dim` of them.
    pub fn elements(&self) -> Elements<'_> {
        match &self.data {
            Data::Owned(values) => values.elements(),
            Data::Bytes(bytes, range, dtype) => Elements::from_bytes(*dtype, &bytes[range.clone()]),
        }
    }

    /// The bytes of the elements, as in memory and in files: little-endian, row-major.
    pub fn bytes(&self) -> &[u8] {
        self.elements().bytes()
    }

    /// Writes row `i`, widened to `f32`, to `out`.
    ///
    /// # Panics
    ///
    /// If `i` is not less than `rows`, or `out` does not hold `dim` elements.
    pub fn row_to_f32(&self, i: usize, out: &mut [f32]) {
        assert!(i < self.rows, "row {i} of a table of {} rows", self.rows);
        assert_eq!(out.len(), self.dim, "a row has dim elements");
        let row = i * self.dim..(i + 1) * self.dim;
        match self.elements() {
            Elements::F32(v) => out.copy_from_slice(&v[row]),
            Elements::F16(v) => widen(&v[row], out, f16::to_f32),
            Elements::BF16(v) => widen(&v[row], out, bf16::to_f32),
        }
    }

    /// Writes the table as a `.npy` file: the same bytes that `numpy.save` would write.
    ///
    /// NumPy has no bf16, so such a table is written as `<u2` and read back with
    /// [`TableOptions::table_dtype`].
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_npy(&self, mut out: impl io::Write) -> io::Result<()> {
        let shape = [self.rows as u64, self.dim as u64];
        out.write_all(&npy::npy_header(npy::descr(self.dtype()), &shape))?;
        out.write_all(self.bytes())
    }
}

impl Table {
    /// Whether the elements lie in a mapped file.
    fn is_mapped(&self) -> bool {
        matches!(&self.data, Data::Bytes(bytes, ..) if matches!(**bytes, Bytes::File(_)))
    }
}

/// Shows shape, type and storage; never the elements.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("rows", &self.rows)
            .field("dim", &self.dim)
            .field("dtype", &self.dtype())
            .field("is_mapped", &self.is_mapped())
            .finish_non_exhaustive()
    }
}

fn check_len(rows: usize, dim: usize, len: usize) -> Result<()> {
    if dim == 0 || rows.checked_mul(dim) != Some(len) {
        let what = format!("a table of {rows} x {dim} cannot be made of {len} elements");
        return Err(Error::shape(what));
    }
    Ok(())
}

/// Copies little-endian elements from any address.
fn copy<E: Element>(bytes: &[u8]) -> Values {
    let mut values = vec![E::zeroed(); bytes.len() / size_of::<E>()];
    bytemuck::cast_slice_mut(&mut values).copy_from_slice(bytes);
    E::tag(values)
}

fn widen<E: Copy>(row: &[E], out: &mut [f32], to_f32: impl Fn(E) -> f32) {
    for (out, &x) in out.iter_mut().zip(row) {
        *out = to_f32(x);
    }
}

/// A buffer of `rows` x `dim` zeros.
fn zeroed_f32(rows: usize, dim: usize) -> Result<Buffer<f32>> {
    let len = rows
        .checked_mul(dim)
        .ok_or_else(|| Error::shape(format!("a table of {rows} x {dim} is too large")))?;
    Ok(Buffer::zeroed(len)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_vec_checks_the_shape() {
        assert!(Table::from_vec(2, 3, vec![0.0f32; 6]).is_ok());
        for (rows, dim, len) in [
            (2, 3, 5),
            (2, 3, 7),
            (3, 0, 0),
            (usize::MAX, 2, 6),
            (0, 3, 1),
        ] {
            let error = Table::from_vec(rows, dim, vec![f16::ONE; len]).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{rows} {dim} {len}");
        }
        assert_eq!(Table::from_vec::<bf16>(0, 3, vec![]).unwrap().rows(), 0);
    }

    #[test]
    fn every_type_widens_its_rows_and_shows_its_bytes() {
        let halves = Table::from_vec(2, 1, vec![f16::ONE, f16::from_f32(-2.0)]).unwrap();
        let brains = Table::from_vec(2, 1, vec![bf16::ONE, bf16::from_f32(-2.0)]).unwrap();
        let singles = Table::from_vec(2, 1, vec![1.0f32, -2.0]).unwrap();
        assert_eq!(halves.bytes(), [0x00, 0x3c, 0x00, 0xc0]);
        assert_eq!(brains.bytes(), [0x80, 0x3f, 0x00, 0xc0]);
        assert_eq!(singles.bytes(), [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        for table in [halves, brains, singles] {
            let mut row = [0.0];
            table.clone().row_to_f32(1, &mut row);
            assert_eq!(row.map(f32::to_bits), [(-2.0f32).to_bits()]);
        }
    }

    #[test]
    fn a_copy_on_huge_pages_is_the_same_table() {
        let bits = (0..=u16::MAX).cycle().take(1 << 20);
        let halves: Vec<_> = bits.map(f16::from_bits).collect();
        let halves = Table::from_vec(1 << 10, 1 << 10, halves).unwrap();
        let brains = Table::from_vec(2, 1, vec![bf16::ONE, bf16::from_f32(-2.0)]).unwrap();
        let singles = Table::from_vec(0, 3, Vec::<f32>::new()).unwrap();
        for table in [halves, brains, singles] {
            let copy = table.to_huge_pages().unwrap();
            assert_eq!((copy.rows(), copy.dim()), (table.rows(), table.dim()));
            assert_eq!(copy.dtype(), table.dtype());
            assert!(copy.bytes() == table.bytes());
        }
        let buffer = Buffer::<f32>::zeroed(6).unwrap();
        assert!(Table::from_buffer(2, 2, buffer).is_err());
    }

    #[test]
    fn debug_shows_no_elements() {
        let table = Table::from_vec(1000, 1, vec![0.5f32; 1000]).unwrap();
        let text = format!("{table:?}");
        assert!(text.contains("rows: 1000") && text.len() < 100, "{text}");
    }

    #[test]
    #[should_panic(expected = "row 2 of a table of 2 rows")]
    fn a_row_past_the_end_panics() {
        let table = Table::from_vec(2, 1, vec![0.0f32; 2]).unwrap();
        table.row_to_f32(2, &mut [0.0]);
    }
}
