//! Sines and cosines of the position, to be added to the token's row.

use super::super::{Table, zeroed_f32};
use super::{ROTARY_BASE, rates, sin_cos};
use crate::error::{Error, Result};

impl Table {
    /// The sinusoidal position table, `rows` x `dim` f32.
    ///
    /// Column `2i` is `sin(position * 10000^(-2i/dim))`, column `2i + 1` the cosine of the same
    /// angle; if `dim` is odd, the last column is a sine. Computed in double precision and rounded
    /// once, so the last bits differ from those of code that computes in f32.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if `dim` is 0 or the number of elements overflows, [`Error::Memory`] if
    /// memory runs out.
    pub fn sinusoidal(rows: usize, dim: usize) -> Result<Self> {
        let mut values = zeroed_f32(rows, dim)?;
        let rates = rates(ROTARY_BASE, dim).map_err(Error::io("sinusoidal", "cannot compute"))?;
        for (position, row) in values.chunks_exact_mut(dim.max(1)).enumerate() {
            fill_row(position, &rates, row);
        }
        Self::from_buffer(rows, dim, values)
    }
}

/// Computes the row of one position.
#[expect(clippy::cast_possible_truncation, reason = "the one rounding")]
pub(super) fn fill_row(position: usize, rates: &[f64], row: &mut [f32]) {
    for (pair, &rate) in row.chunks_mut(2).zip(rates) {
        let (sin, cos) = sin_cos(position, rate);
        pair[0] = sin as f32;
        if let Some(second) = pair.get_mut(1) {
            *second = cos as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use shardmill_core::dtype::Elements;

    use super::super::rate;
    use super::*;

    #[test]
    fn double_precision_values_equal_numpys_to_the_last_place() {
        let text = include_str!("../../../fixtures/golden/positional.json");
        let golden: serde_json::Value = serde_json::from_str(text).unwrap();
        let golden = &golden["sinusoidal"];
        let dim = usize::try_from(golden["d"].as_u64().unwrap()).unwrap();
        let expected = golden["f64_row_major"].as_array().unwrap();
        for (n, expected) in expected.iter().enumerate() {
            let (sin, cos) = sin_cos(n / dim, rate(ROTARY_BASE, n % dim / 2, dim));
            let value = if n % 2 == 0 { sin } else { cos };
            let expected = expected.as_f64().unwrap();
            let distance = value.to_bits().abs_diff(expected.to_bits());
            assert!(distance <= 1, "{n}: {value:e} {expected:e}");
        }
    }

    #[test]
    fn the_last_column_of_an_odd_dim_is_a_sine() {
        let table = Table::sinusoidal(3, 5).unwrap();
        let Elements::F32(values) = table.elements() else {
            panic!("f32");
        };
        let expected = (2.0 * 10_000f64.powf(-0.8)).sin();
        assert!((f64::from(values[14]) - expected).abs() < 1e-9);
        assert_eq!(values[..5], [0.0, 1.0, 0.0, 1.0, 0.0]);
        assert!(Table::sinusoidal(3, 0).is_err());
        assert!(Table::sinusoidal(usize::MAX, 2).is_err());
    }
}
