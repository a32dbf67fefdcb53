//! PyTorch's CPU random generator.
//!
//! MT19937 as Matsumoto and Nishimura published it (2002 initialization), with PyTorch's rules for
//! turning 32-bit draws into numbers (`ATen/core/DistributionsHelper.h`). PyTorch guarantees the
//! stream for a seed; it is the same on every machine.

/// The number of state words.
const N: usize = 624;
/// The recurrence combines words this far apart.
const M: usize = 397;

/// PyTorch's CPU generator: a `torch.Generator` right after `manual_seed`.
///
/// # Examples
///
/// ```
/// use shardmill::table::TorchGenerator;
///
/// let mut generator = TorchGenerator::new(123);
/// // torch.manual_seed(123); torch.rand(1)
/// assert_eq!(generator.uniform_f32(), 0.296_111_94);
/// ```
#[derive(Clone, Debug)]
pub struct TorchGenerator {
    state: [u32; N],
    /// The next word of `state` to return; `N` if all are used up.
    next: usize,
    /// The second normal of the last pair, see [`fill_normal`](Self::fill_normal).
    pub(super) cached_normal: Option<f64>,
}

impl TorchGenerator {
    /// The generator after `manual_seed(seed)`. Only the low 32 bits of the seed count.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "PyTorch drops the high bits"
    )]
    pub fn new(seed: u64) -> Self {
        let mut state = [0; N];
        let mut word = seed as u32;
        for (i, slot) in state.iter_mut().enumerate() {
            if i > 0 {
                word = (word ^ (word >> 30))
                    .wrapping_mul(1_812_433_253)
                    .wrapping_add(i as u32);
            }
            *slot = word;
        }
        Self {
            state,
            next: N,
            cached_normal: None,
        }
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        let [word] = self.words();
        word
    }

    /// The next 64 bits: two draws, the first in the high half.
    pub fn next_u64(&mut self) -> u64 {
        let [high, low] = self.words();
        u64::from(high) << 32 | u64::from(low)
    }

    /// A uniform number in [0, 1) with 24 bits, `torch.rand(1)`: one draw.
    pub fn uniform_f32(&mut self) -> f32 {
        to_uniform_f32(self.next_u32())
    }

    /// A uniform number in [0, 1) with 53 bits, `torch.rand(1, dtype=torch.float64)`: two draws.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
    pub fn uniform_f64(&mut self) -> f64 {
        const BITS: u32 = f64::MANTISSA_DIGITS;
        (self.next_u64() & ((1 << BITS) - 1)) as f64 / (1u64 << BITS) as f64
    }

    /// A number below 2^63, `torch.empty((), dtype=torch.int64).random_()`: two draws.
    pub fn random_int63(&mut self) -> u64 {
        self.next_u64() & (u64::MAX >> 1)
    }

    /// Fills `out` with the numbers that as many calls of [`uniform_f32`](Self::uniform_f32) would
    /// return.
    pub fn fill_uniform(&mut self, out: &mut [f32]) {
        let mut rest = out;
        while !rest.is_empty() {
            let words = self.block();
            let n = words.len().min(rest.len());
            let (now, later) = rest.split_at_mut(n);
            for (out, &word) in now.iter_mut().zip(words) {
                *out = to_uniform_f32(temper(word));
            }
            self.next += n;
            rest = later;
        }
    }

    /// Skips `n` 32-bit draws.
    pub fn skip(&mut self, n: u64) {
        let mut left = n;
        loop {
            let unused = self.block().len();
            match usize::try_from(left) {
                Ok(left) if left <= unused => {
                    self.next += left;
                    return;
                }
                _ => self.next = N,
            }
            left -= unused as u64;
        }
    }

    fn words<const K: usize>(&mut self) -> [u32; K] {
        std::array::from_fn(|_| {
            let word = temper(self.block()[0]);
            self.next += 1;
            word
        })
    }

    /// The unused state words, untempered; at least one.
    fn block(&mut self) -> &[u32] {
        if self.next == N {
            twist(&mut self.state);
            self.next = 0;
        }
        &self.state[self.next..]
    }
}

/// The next `N` state words.
fn twist(state: &mut [u32; N]) {
    for i in 0..N - M {
        state[i] = state[i + M] ^ mix(state[i], state[i + 1]);
    }
    for i in N - M..N - 1 {
        state[i] = state[i + M - N] ^ mix(state[i], state[i + 1]);
    }
    state[N - 1] = state[M - 1] ^ mix(state[N - 1], state[0]);
}

fn mix(high: u32, low: u32) -> u32 {
    let word = (high & 0x8000_0000) | (low & 0x7fff_ffff);
    (word >> 1) ^ ((low & 1) * 0x9908_b0df)
}

fn temper(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c_5680;
    word ^= (word << 15) & 0xefc6_0000;
    word ^ (word >> 18)
}

#[allow(clippy::cast_precision_loss, reason = "24 bits are exact in an f32")]
fn to_uniform_f32(word: u32) -> f32 {
    const BITS: u32 = f32::MANTISSA_DIGITS;
    (word & ((1 << BITS) - 1)) as f32 / (1u32 << BITS) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_value_comes_out() {
        // C++'s [rand.predef]: the 10000th draw of mt19937 with its default seed.
        let mut generator = TorchGenerator::new(5489);
        generator.skip(9999);
        assert_eq!(generator.next_u32(), 4_123_659_995);
    }

    #[test]
    fn skipping_and_filling_equal_drawing() {
        for n in [0, 1, 622, 623, 624, 625, 1248, 5000] {
            let mut drawn = TorchGenerator::new(7);
            let mut skipped = TorchGenerator::new(7);
            let mut filled = TorchGenerator::new(7);
            let each: Vec<f32> = (0..n).map(|_| drawn.uniform_f32()).collect();
            let mut all = vec![0.0; n];
            filled.fill_uniform(&mut all);
            skipped.skip(n as u64);
            assert_eq!(all, each);
            let next = drawn.next_u32();
            assert_eq!((skipped.next_u32(), filled.next_u32()), (next, next), "{n}");
        }
    }
}
