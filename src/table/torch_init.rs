//! PyTorch's initial weights: `normal_()` and the tables of `torch.nn.Embedding`.
//!
//! Equal bit for bit to PyTorch on x86-64 with AVX2 (`ATen/native/cpu/DistributionTemplates.h`).
//! `normal_()` uses two methods:
//!
//! - 16 numbers and more: uniforms are drawn in place, then each block of 16 goes through a
//!   Box-Muller transform in single precision, in which logarithm, sine and cosine are the Cephes
//!   polynomials with every multiply-add rounded once. If the last block is incomplete, the last 16
//!   places are drawn again.
//! - fewer: one Box-Muller pair at a time in double precision, the second number of which is kept
//!   in the generator for the next such call.

use std::slice;

use shardmill_core::simd::Level;

use super::box_muller::{BLOCK, BoxMuller};
use super::{Table, TorchGenerator, zeroed_f32};
use crate::error::{Error, Result};

/// How many blocks are drawn before they are transformed: 16 KiB, which stay in L1 in between.
const TILE_BLOCKS: usize = 256;

impl TorchGenerator {
    /// Fills `out` with standard normal numbers, like `torch.Tensor.normal_()` on an f32 tensor.
    ///
    /// The number of draws, and the numbers themselves, depend on the length, because PyTorch uses
    /// another method from 16 numbers on.
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        self.fill_normal_at(Level::detect(), out);
    }

    /// [`fill_normal`](Self::fill_normal) with the instructions of `level`.
    fn fill_normal_at(&mut self, level: Level, out: &mut [f32]) {
        if out.len() < BLOCK {
            return self.fill_normal_short(out);
        }
        let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
        for tile in blocks.chunks_mut(TILE_BLOCKS) {
            self.fill_uniform(tile.as_flattened_mut());
            level.dispatch(BoxMuller(tile));
        }
        if rest.is_empty() {
            return;
        }
        // PyTorch also draws for the rest before it draws the last 16 places again.
        self.skip(rest.len() as u64);
        if let Some(last) = out.last_chunk_mut::<BLOCK>() {
            self.fill_uniform(last);
            level.dispatch(BoxMuller(slice::from_mut(last)));
        }
    }

    /// Advances like [`fill_normal`](Self::fill_normal) of `len` numbers, without computing them.
    pub fn skip_normal(&mut self, len: u64) {
        const LEN: u64 = BLOCK as u64;
        if len < LEN {
            for _ in 0..len {
                self.fill_normal_short(&mut [0.0]);
            }
        } else {
            self.skip(len);
            self.skip(if len.is_multiple_of(LEN) { 0 } else { LEN });
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "PyTorch rounds the double last"
    )]
    fn fill_normal_short(&mut self, out: &mut [f32]) {
        for x in out {
            let normal = self
                .cached_normal
                .take()
                .unwrap_or_else(|| self.normal_pair());
            // PyTorch adds the mean, 0, which turns -0 into +0.
            *x = (normal + 0.0) as f32;
        }
    }

    /// Draws two normal numbers and keeps the second.
    fn normal_pair(&mut self) -> f64 {
        let angle = 2.0 * std::f64::consts::PI * self.uniform_f64();
        let radius = (-2.0 * libm::log1p(-self.uniform_f64())).sqrt();
        self.cached_normal = Some(radius * libm::sin(angle));
        radius * libm::cos(angle)
    }

    /// The weight of `torch.nn.Embedding(rows, dim)`: a table of `rows` x `dim` f32.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if `dim` is 0 or the number of elements overflows, [`Error::Memory`] if
    /// memory runs out.
    pub fn embedding(&mut self, rows: usize, dim: usize) -> Result<Table> {
        let mut values = zeroed_f32(rows, dim)?;
        self.fill_normal(&mut values);
        Table::from_buffer(rows, dim, values)
    }
}

/// The tables of a model that PyTorch has just initialized: `torch.manual_seed(seed)`, then
/// `Embedding(n_vocab, dim)`, then `Embedding(context_length, dim)`.
///
/// Each table is the same whether or not the other is used: draws for an unused table are skipped.
///
/// # Examples
///
/// ```
/// use shardmill::InitialTables;
///
/// let mut initial = InitialTables::new(123, 50, 16, 4);
/// // A model made a second time continues where the first left the generator.
/// initial.position_draw = 2;
/// let (tokens, positions) = initial.tables()?;
/// assert_eq!((tokens.rows(), positions.rows()), (50, 4));
/// assert_eq!(positions.bytes(), initial.position_table()?.bytes());
/// # Ok::<(), shardmill::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InitialTables {
    /// The seed; only its low 32 bits count.
    pub seed: u64,
    /// Rows of the token table.
    pub n_vocab: usize,
    /// Elements of a row, in both tables.
    pub dim: usize,
    /// Rows of the position table.
    pub context_length: usize,
    /// Which of several successively drawn position tables to use, counted from 1.
    pub position_draw: u32,
}

impl InitialTables {
    /// Tables of these sizes, with the first position table drawn.
    pub fn new(seed: u64, n_vocab: usize, dim: usize, context_length: usize) -> Self {
        Self {
            seed,
            n_vocab,
            dim,
            context_length,
            position_draw: 1,
        }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] names the field that is 0; [`Error::Shape`] if the number of elements of a
    /// table overflows.
    pub fn validate(&self) -> Result<()> {
        let at_least_1 = [
            ("dim", self.dim),
            ("context_length", self.context_length),
            ("position_draw", self.position_draw as usize),
        ];
        for (field, value) in at_least_1 {
            if value == 0 {
                return Err(Error::config(field, "must be at least 1"));
            }
        }
        self.elements(self.n_vocab)?;
        self.elements(self.context_length)?;
        Ok(())
    }

    /// The token table, `n_vocab` x `dim` f32, and the position table, `context_length` x `dim`
    /// f32.
    ///
    /// # Errors
    ///
    /// Those of [`validate`](Self::validate), and [`Error::Memory`] if memory runs out.
    pub fn tables(&self) -> Result<(Table, Table)> {
        self.validate()?;
        let mut generator = TorchGenerator::new(self.seed);
        let tokens = generator.embedding(self.n_vocab, self.dim)?;
        let positions = self.draw_positions(&mut generator)?;
        Ok((tokens, positions))
    }

    /// The token table alone.
    ///
    /// # Errors
    ///
    /// Those of [`tables`](Self::tables).
    pub fn token_table(&self) -> Result<Table> {
        self.validate()?;
        TorchGenerator::new(self.seed).embedding(self.n_vocab, self.dim)
    }

    /// The position table alone, for use with a token table from elsewhere.
    ///
    /// # Errors
    ///
    /// Those of [`tables`](Self::tables).
    pub fn position_table(&self) -> Result<Table> {
        self.validate()?;
        let mut generator = TorchGenerator::new(self.seed);
        generator.skip_normal(self.elements(self.n_vocab)?);
        self.draw_positions(&mut generator)
    }

    fn draw_positions(&self, generator: &mut TorchGenerator) -> Result<Table> {
        let elements = self.elements(self.context_length)?;
        for _ in 1..self.position_draw {
            generator.skip_normal(elements);
        }
        generator.embedding(self.context_length, self.dim)
    }

    fn elements(&self, rows: usize) -> Result<u64> {
        let elements = rows.checked_mul(self.dim).ok_or_else(|| {
            Error::shape(format!(
                "a table of {rows} x {} has too many elements",
                self.dim
            ))
        })?;
        Ok(elements as u64)
    }
}

#[cfg(test)]
mod tests {
    use shardmill_core::for_each_level;

    use sha2::{Digest, Sha256};

    use super::*;

    fn golden(name: &str) -> serde_json::Value {
        let path = format!("{}/fixtures/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn numbers_are_pytorchs(level: Level) {
        let golden = golden("init_small");
        for (seed, by_len) in golden["normal"].as_object().unwrap() {
            for (len, expected) in by_len.as_object().unwrap() {
                let mut values = vec![0.0; len.parse().unwrap()];
                TorchGenerator::new(seed.parse().unwrap()).fill_normal_at(level, &mut values);
                let hex: Vec<_> = values
                    .iter()
                    .map(|x| format!("{:08x}", x.to_bits()))
                    .collect();
                assert_eq!(hex.concat(), expected["f32"], "seed {seed}, n {len}");
            }
        }
    }

    fn the_whole_table_of_the_notebook_is_pytorchs(level: Level) {
        let mut values = vec![0.0f32; 50257 * 256];
        TorchGenerator::new(123).fill_normal_at(level, &mut values);
        let digest = Sha256::digest(bytemuck::cast_slice::<f32, u8>(&values));
        let hex: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex.concat(),
            golden("init_notebook")["token_weight_f32le_sha256"]
        );
    }

    for_each_level!(
        numbers_are_pytorchs,
        the_whole_table_of_the_notebook_is_pytorchs,
    );

    #[test]
    fn skipping_equals_filling() {
        // Twice in a row, so that the cached second normal is carried over as well.
        for first in 0..40 {
            for second in [0, 1, 2, 15, 16, 17] {
                let mut filled = TorchGenerator::new(9);
                let mut skipped = TorchGenerator::new(9);
                for len in [first, second] {
                    filled.fill_normal(&mut vec![0.0; len]);
                    skipped.skip_normal(len as u64);
                }
                let mut left = [0.0; 3];
                let mut right = [0.0; 3];
                filled.fill_normal(&mut left);
                skipped.fill_normal(&mut right);
                assert_eq!(left.map(f32::to_bits), right.map(f32::to_bits));
            }
        }
    }

    #[test]
    fn tiles_leave_no_seam() {
        let tile = BLOCK * TILE_BLOCKS;
        let mut whole = vec![0.0; 2 * tile + 5];
        TorchGenerator::new(1).fill_normal(&mut whole);
        let mut generator = TorchGenerator::new(1);
        for start in (0..2 * tile).step_by(BLOCK) {
            let mut block = [0.0; BLOCK];
            generator.fill_normal(&mut block);
            let last = whole.len() - BLOCK;
            let kept = (last - start.min(last)).min(BLOCK);
            assert_eq!(whole[start..start + kept], block[..kept]);
        }
    }

    #[test]
    fn sizes_of_zero_and_beyond_memory_are_errors() {
        let mut generator = TorchGenerator::new(0);
        assert!(generator.embedding(usize::MAX, 2).is_err());
        assert!(generator.embedding(usize::MAX / 8, 2).is_err());
        assert!(generator.embedding(3, 0).is_err());
        let good = InitialTables::new(0, 3, 4, 5);
        let mut no_draw = good.clone();
        no_draw.position_draw = 0;
        for (bad, field) in [
            (
                InitialTables {
                    dim: 0,
                    ..good.clone()
                },
                "dim",
            ),
            (
                InitialTables {
                    context_length: 0,
                    ..good.clone()
                },
                "context_length",
            ),
            (no_draw, "position_draw"),
        ] {
            let error = bad.tables().unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
        let huge = InitialTables {
            n_vocab: usize::MAX,
            ..good
        };
        assert!(matches!(huge.position_table(), Err(Error::Shape { .. })));
    }
}
