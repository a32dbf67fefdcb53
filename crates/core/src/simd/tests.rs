//! Checks every level against the scalar specification, and that against the `half` crate.

use half::{bf16, f16};

use crate::for_each_level;

use super::{
    BLOCK, Block, BlockKernel, Blocks, Kernel, LANES, LINES_ELEMENTS, Level, Lines, Nibbles,
    PACKED, PACKED_A_WORD, Simd, scalar,
};

/// `f32` bit patterns across the whole range (4093 is prime), then around every rounding edge.
fn patterns() -> Vec<u32> {
    let sweep = (0..1_049_344_u32).map(|k| k.wrapping_mul(4093));
    let edges = (0..=0xffff_u32).flat_map(|upper| {
        [
            0, 1, 0xfff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x7fff, 0x8000, 0x8001, 0xffff,
        ]
        .map(|lower| upper << 16 | lower)
    });
    sweep.chain(edges).collect()
}

#[test]
fn widening_is_that_of_the_half_crate() {
    for bits in 0..=u16::MAX {
        let ours = scalar::widen_f16(f16::from_bits(bits)).to_bits();
        assert_eq!(
            ours,
            f16::from_bits(bits).to_f32_const().to_bits(),
            "f16 {bits:04x}"
        );
        let ours = scalar::widen_bf16(bf16::from_bits(bits)).to_bits();
        assert_eq!(ours, u32::from(bits) << 16, "bf16 {bits:04x}");
    }
}

#[test]
fn rounding_is_that_of_the_half_crate_but_for_bf16_nan() {
    for bits in patterns() {
        let value = f32::from_bits(bits);
        let theirs = f16::from_f32_const(value).to_bits();
        assert_eq!(
            scalar::round_f16(value).to_bits(),
            theirs,
            "f16 of {bits:08x}"
        );
        let nan_or = |bits| if value.is_nan() { 0xffff } else { bits };
        let theirs = nan_or(bf16::from_f32_const(value).to_bits());
        assert_eq!(
            scalar::round_bf16(value).to_bits(),
            theirs,
            "bf16 of {bits:08x}"
        );
    }
}

/// Everything that a level computes from two vectors.
#[derive(Debug, PartialEq)]
struct Results {
    sums: [u32; LANES],
    differences: [u32; LANES],
    products: [u32; LANES],
    turned: [u32; LANES],
    f16: [u16; LANES],
    bf16: [u16; LANES],
    streamed_f16: [u16; LINES_ELEMENTS],
    streamed_bf16: [u16; LINES_ELEMENTS],
    streamed_f32: [u32; LINES_ELEMENTS],
    widened_f16: [u32; LANES],
    widened_bf16: [u32; LANES],
}

/// The bits of a number, with one pattern for every NaN, because an operation may produce any NaN.
fn bits_or_nan(value: f32) -> u32 {
    if value.is_nan() { f32::NAN } else { value }.to_bits()
}

struct Operations {
    a: [f32; LANES],
    b: [f32; LANES],
}

impl Kernel for Operations {
    type Output = Results;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Results {
        let (a, b) = (s.load_f32(&self.a), s.load_f32(&self.b));
        let halves = self
            .a
            .map(|value| f16::from_bits((value.to_bits() >> 16) as u16));
        let bhalves = self
            .a
            .map(|value| bf16::from_bits((value.to_bits() >> 16) as u16));
        let mut sums = [0.0; LANES];
        s.store_f32(s.add(a, b), &mut sums);
        let [mut differences, mut products, mut turned] = [[0.0; LANES]; 3];
        s.store_f32(s.sub(a, b), &mut differences);
        s.store_f32(s.mul(a, b), &mut products);
        s.store_f32(s.turn_pairs(b, a), &mut turned);
        let (mut to_f16, mut to_bf16) = ([f16::ZERO; LANES], [bf16::ZERO; LANES]);
        s.store_f16(a, &mut to_f16);
        s.store_bf16(a, &mut to_bf16);
        let mut streamed_f16 = Lines([f16::ZERO; LINES_ELEMENTS]);
        s.stream_f16([a, b], &mut streamed_f16);
        let mut streamed_bf16 = Lines([bf16::ZERO; LINES_ELEMENTS]);
        s.stream_bf16([a, b], &mut streamed_bf16);
        let mut streamed_f32 = Lines([0.0; LINES_ELEMENTS]);
        s.stream_f32([a, b], &mut streamed_f32);
        let (mut widened_f16, mut widened_bf16) = ([0.0; LANES], [0.0; LANES]);
        s.store_f32(s.load_f16(&halves), &mut widened_f16);
        s.store_f32(s.load_bf16(&bhalves), &mut widened_bf16);
        s.prefetch(&self.a);
        Results {
            sums: sums.map(f32::to_bits),
            differences: differences.map(bits_or_nan),
            products: products.map(bits_or_nan),
            turned: turned.map(bits_or_nan),
            f16: to_f16.map(f16::to_bits),
            bf16: to_bf16.map(bf16::to_bits),
            streamed_f16: streamed_f16.0.map(f16::to_bits),
            streamed_bf16: streamed_bf16.0.map(bf16::to_bits),
            streamed_f32: streamed_f32.0.map(f32::to_bits),
            widened_f16: widened_f16.map(f32::to_bits),
            widened_bf16: widened_bf16.map(f32::to_bits),
        }
    }
}

/// NaN + x and x + NaN are covered; NaN + NaN is left out, because its bits are not guaranteed.
fn operations_are_the_specification(level: Level) {
    let addends = [
        0.0,
        -0.0,
        1.0,
        f32::MIN_POSITIVE,
        1e-45,
        f32::NEG_INFINITY,
        -65504.0,
    ];
    for (index, bits) in patterns().as_chunks::<LANES>().0.iter().enumerate() {
        let a = bits.map(f32::from_bits);
        let mut b = [addends[index % addends.len()]; LANES];
        // Pairs of different lanes, so that a swapped pair shows.
        b[1] = 3.0;
        b[14] = -0.3;
        let expected = Level::scalar().dispatch(Operations { a, b });
        assert_eq!(level.dispatch(Operations { a, b }), expected, "{bits:08x?}");
    }
}

/// Each level's NaN test covers sixteen lanes: a NaN in any one of them must be found.
fn nan_is_found_in_every_lane(level: Level) {
    for lane in 0..LANES {
        let mut a = [1.0; LANES];
        a[lane] = f32::from_bits(0xff80_0001);
        let results = level.dispatch(Operations { a, b: [1.0; LANES] });
        let mut expected = [0x3f80; LANES];
        expected[lane] = 0xffff;
        assert_eq!(results.bf16, expected);
        assert_eq!(results.streamed_bf16[..LANES], expected);
    }
}

/// A plain loop: the level's instructions must not change the result of `mul_add`.
struct MulAdd<'a>(&'a [f32]);

impl Kernel for MulAdd<'_> {
    type Output = Vec<u32>;

    #[inline(always)]
    fn run<S: Simd>(self, _s: S) -> Vec<u32> {
        let mut out = Vec::with_capacity(self.0.len());
        for value in self.0 {
            out.push(value.mul_add(1.000_000_1, -0.693_359_4).to_bits());
        }
        out
    }
}

fn plain_loops_are_the_same(level: Level) {
    let values: Vec<_> = (0..10_000_u16).map(|k| f32::from(k) * 0.37).collect();
    assert_eq!(
        level.dispatch(MulAdd(&values)),
        Level::scalar().dispatch(MulAdd(&values))
    );
}

/// The masks of a block: its classes, then its bits, lowest first.
struct BlockMasks<'a>(&'a Block, &'a Nibbles);

impl BlockKernel for BlockMasks<'_> {
    type Output = [[u64; 8]; 2];

    #[inline(always)]
    fn run<B: Blocks>(self, s: B) -> Self::Output {
        let Self(block, nibbles) = self;
        let bits = [
            s.bits::<0>(block),
            s.bits::<1>(block),
            s.bits::<2>(block),
            s.bits::<3>(block),
            s.bits::<4>(block),
            s.bits::<5>(block),
            s.bits::<6>(block),
            s.bits::<7>(block),
        ];
        [s.classes(block, nibbles), bits]
    }
}

fn masks_say_what_each_byte_is(level: Level) {
    let mut random = 1_u64;
    let mut byte = || {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (random >> 56) as u8
    };
    for _ in 0..1000 {
        let block: Block = std::array::from_fn(|_| byte());
        let nibbles = Nibbles {
            low: std::array::from_fn(|_| byte()),
            high: std::array::from_fn(|_| byte()),
        };
        let masks = level.dispatch_blocks(BlockMasks(&block, &nibbles));
        for (i, byte) in block.into_iter().enumerate() {
            let classes = if byte < 0x80 {
                nibbles.low[usize::from(byte & 15)] & nibbles.high[usize::from(byte >> 4)]
            } else {
                0
            };
            for (bit, mask) in masks[0].iter().enumerate() {
                assert_eq!(mask >> i & 1, u64::from(classes >> bit & 1), "byte {i}");
            }
            for (bit, mask) in masks[1].iter().enumerate() {
                assert_eq!(mask >> i & 1, u64::from(byte >> bit & 1), "byte {i}");
            }
        }
    }
}

/// Writes the places of ones.
struct Ones<'a>(u64, usize, &'a mut [usize; BLOCK]);

impl BlockKernel for Ones<'_> {
    type Output = ();

    #[inline(always)]
    fn run<B: Blocks>(self, b: B) {
        b.ones(self.0, self.1, self.2);
    }
}

fn ones_are_found_in_order(level: Level) {
    let mut random = 1_u64;
    for round in 0..20_000_usize {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        // From no ones to all.
        let dense = random | random.rotate_left(17) | random.rotate_left(31);
        let bits = [0, u64::MAX, 1 << 63, random & random >> 9, random, dense][round % 6];
        let base = round << 20;
        let expected: Vec<usize> = (0..BLOCK)
            .filter(|at| bits >> at & 1 != 0)
            .map(|at| base + at)
            .collect();
        let mut places = [7; BLOCK];
        level.dispatch_blocks(Ones(bits, base, &mut places));
        assert_eq!(places[..expected.len()], expected, "{bits:x}");
    }
}

/// Unpacks numbers.
struct Unpack<'a>([u64; 2], &'a mut [u32; PACKED]);

impl Kernel for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        s.unpack(self.0, self.1);
    }
}

fn packed_numbers_are_unpacked(level: Level) {
    let mut random = 1_u64;
    for _ in 0..10_000 {
        let words = [(); 2].map(|()| {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            random ^ random >> 32
        });
        let mut numbers = [7; PACKED];
        level.dispatch(Unpack(words, &mut numbers));
        let expected = words.map(|word| [0, 20, 40].map(|at| word >> at & 0xf_ffff));
        let numbers = numbers[..2 * PACKED_A_WORD].iter().map(|&n| u64::from(n));
        assert_eq!(numbers.collect::<Vec<_>>(), expected.concat());
    }
}

for_each_level!(
    packed_numbers_are_unpacked,
    ones_are_found_in_order,
    masks_say_what_each_byte_is,
    operations_are_the_specification,
    nan_is_found_in_every_lane,
    plain_loops_are_the_same,
);

#[test]
fn names_are_parsed_and_shown() {
    for level in Level::available() {
        assert_eq!(level.name().parse::<Level>().unwrap(), level);
        assert_eq!(level.to_string(), level.name());
    }
    assert_eq!(Level::available().last(), Some(&Level::detect()));
    let error = "sse9".parse::<Level>().unwrap_err().to_string();
    assert!(
        error.starts_with("this CPU has no level 'sse9'; it has scalar"),
        "{error}"
    );
}

/// `EXPECT_SIMD` names the levels that a test machine must have, separated by commas. If it is set,
/// a test that passes only because a level is missing is noticed.
#[test]
fn expected_levels_are_there() {
    let expected = std::env::var("EXPECT_SIMD").unwrap_or_default();
    for name in expected.split(',').filter(|name| !name.is_empty()) {
        assert!(
            name.parse::<Level>().is_ok(),
            "this CPU has no level '{name}'"
        );
    }
}
