//! The Box-Muller transform of PyTorch's `normal_()`, in single precision.
//!
//! Logarithm, sine and cosine are the Cephes polynomials (Moshier) as PyTorch's AVX2 code runs
//! them: eight lanes at once, with one rounding for every multiply-add that its compiler fuses.
//! Here they are plain loops over lanes, without a branch inside.

use shardmill_core::simd::{Kernel, Simd};

/// How many numbers are transformed together: element `k` of the first half with `k` of the second.
pub(super) const BLOCK: usize = 16;
const HALF: usize = BLOCK / 2;

/// Turns blocks of uniform numbers from [0, 1) into standard normal numbers.
///
/// With AVX2 and FMA, the eight lanes of a half become one register, and each multiply-add one
/// instruction. Without FMA, a multiply-add is a call into the C library, with the same bits.
#[derive(Debug)]
pub(super) struct BoxMuller<'a>(pub(super) &'a mut [[f32; BLOCK]]);

impl Kernel for BoxMuller<'_> {
    type Output = ();

    #[allow(clippy::inline_always, reason = "takes the level's instructions")]
    #[inline(always)]
    fn run<S: Simd>(self, _s: S) {
        box_muller(self.0);
    }
}

#[allow(clippy::inline_always, reason = "takes the level's instructions")]
#[inline(always)]
fn box_muller(blocks: &mut [[f32; BLOCK]]) {
    for block in blocks {
        let mut radius = [0.0f32; HALF];
        let mut angle = [0.0f32; HALF];
        for k in 0..HALF {
            radius[k] = (-2.0 * ln(1.0 - block[k])).sqrt();
            angle[k] = std::f32::consts::TAU * block[k + HALF];
        }
        let (mut sin, mut cos) = ([0.0f32; HALF], [0.0f32; HALF]);
        for k in 0..HALF {
            (sin[k], cos[k]) = sin_cos(angle[k]);
        }
        for k in 0..HALF {
            // PyTorch adds the mean, 0, which turns -0 into +0.
            block[k] = radius[k] * cos[k] + 0.0;
            block[k + HALF] = radius[k] * sin[k] + 0.0;
        }
    }
}

/// Cephes `logf` for normal numbers above 0, each multiply-add rounded once.
#[allow(clippy::inline_always, reason = "part of box_muller")]
#[allow(clippy::cast_precision_loss, reason = "an exponent has 8 bits")]
#[allow(clippy::excessive_precision, reason = "as the source prints them")]
#[inline(always)]
fn ln(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_375;
    const LN2_LOW: f32 = -2.121_944_40e-4;
    const POLYNOMIAL: [f32; 9] = [
        7.037_683_629_2e-2,
        -1.151_461_031_0e-1,
        1.167_699_874_0e-1,
        -1.242_014_084_6e-1,
        1.424_932_278_7e-1,
        -1.666_805_766_5e-1,
        2.000_071_476_5e-1,
        -2.499_999_399_3e-1,
        3.333_333_117_4e-1,
    ];
    let bits = x.to_bits();
    // x = fraction * 2^exponent, with the fraction in [0.5, 1).
    let fraction = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    let exponent = ((bits >> 23).cast_signed() - 126) as f32;
    let is_low = fraction < std::f32::consts::FRAC_1_SQRT_2;
    let m = (fraction - 1.0) + if is_low { fraction } else { 0.0 };
    let exponent = exponent - if is_low { 1.0 } else { 0.0 };
    let square = m * m;
    let mut y = POLYNOMIAL[0];
    for c in &POLYNOMIAL[1..] {
        y = y.mul_add(m, *c);
    }
    y = (y * m).mul_add(square, exponent * LN2_LOW);
    y -= 0.5 * square;
    exponent.mul_add(LN2_HIGH, m + y)
}

/// Cephes `sinf` and `cosf` for `0 <= t < 8`, each multiply-add rounded once.
#[allow(clippy::inline_always, reason = "part of box_muller")]
#[allow(clippy::cast_precision_loss, reason = "at most 10")]
#[allow(clippy::excessive_precision, reason = "as the source prints them")]
#[inline(always)]
fn sin_cos(t: f32) -> (f32, f32) {
    const FOUR_OVER_PI: f32 = 1.273_239_544_735_16;
    const TWO_23: f32 = 8_388_608.0;
    // -pi/4 in three parts: with j of few bits, each product is exact or nearly so.
    const MINUS_PI_4: [f32; 3] = [
        -0.785_156_25,
        -2.418_756_484_985_351_562_5e-4,
        -3.774_894_977_445_941_08e-8,
    ];
    // After adding 2^23, the integer is in the low bits. A cast would saturate and stay scalar.
    let whole = ((t * FOUR_OVER_PI).trunc() + TWO_23).to_bits() & 15;
    let octant = (whole.cast_signed() + 1) & !1;
    let j = octant as f32;
    let mut x = t;
    for part in MINUS_PI_4 {
        x = j.mul_add(part, x);
    }
    let z = x * x;
    let mut cos = 2.443_315_711_809_948e-5f32;
    cos = cos.mul_add(z, -1.388_731_625_493_765e-3);
    cos = cos.mul_add(z, 4.166_664_568_298_827e-2);
    cos = (cos * z).mul_add(z, -(z * 0.5)) + 1.0;
    let mut sin = -1.951_529_589_1e-4f32;
    sin = sin.mul_add(z, 8.332_160_873_6e-3);
    sin = sin.mul_add(z, -1.666_665_461_1e-1);
    sin = (sin * z).mul_add(x, x);
    let is_swapped = octant & 2 != 0;
    let (sin, cos) = if is_swapped { (cos, sin) } else { (sin, cos) };
    let sin_sign = (octant & 4).cast_unsigned() << 29;
    let cos_sign = (!(octant - 2) & 4).cast_unsigned() << 29;
    let sin = f32::from_bits(sin.to_bits() ^ sin_sign);
    (sin, f32::from_bits(cos.to_bits() ^ cos_sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_uniform_gives_a_number_that_is_not_finite() {
        for u1 in [0.0, f32::EPSILON / 2.0, 0.5, 1.0 - f32::EPSILON / 2.0] {
            for u2 in [0.0, 0.25, 0.5, 0.75, 1.0 - f32::EPSILON / 2.0] {
                let mut block = [[u1; BLOCK]];
                block[0][HALF..].fill(u2);
                box_muller(&mut block);
                assert!(block[0].iter().all(|x| x.is_finite() && x.abs() < 6.0));
                assert!(block[0].iter().all(|x| x.to_bits() != (-0.0f32).to_bits()));
            }
        }
    }
}
