//! The element types, as vector lanes.
#![allow(
    clippy::inline_always,
    reason = "what is not inlined into the entered function loses its instructions"
)]

use std::convert::identity;

use half::{bf16, f16};
use shardmill_core::dtype::Element;
use shardmill_core::simd::{LANES, Lines, Simd, scalar};

/// An element type, as a vector lane.
pub(super) trait Lane: Element {
    /// Widens one value, exactly.
    fn widen(self) -> f32;
    /// Rounds one value to this type.
    fn round(value: f32) -> Self;
    /// Widens a vector, exactly.
    fn load<S: Simd>(s: S, from: &[Self; LANES]) -> S::F32x16;
    /// Rounds a vector to this type.
    fn store<S: Simd>(s: S, values: S::F32x16, to: &mut [Self; LANES]);
    /// Rounds two vectors to this type and writes them past the caches.
    fn stream<S: Simd>(s: S, values: [S::F32x16; 2], to: &mut Lines<Self>);
}

/// Maps an element type to its operations.
macro_rules! lane {
    ($type:ty, $widen:expr, $round:expr, $load:ident, $store:ident, $stream:ident) => {
        impl Lane for $type {
            #[inline(always)]
            fn widen(self) -> f32 {
                $widen(self)
            }

            #[inline(always)]
            fn round(value: f32) -> Self {
                $round(value)
            }

            #[inline(always)]
            fn load<S: Simd>(s: S, from: &[Self; LANES]) -> S::F32x16 {
                s.$load(from)
            }

            #[inline(always)]
            fn store<S: Simd>(s: S, values: S::F32x16, to: &mut [Self; LANES]) {
                s.$store(values, to);
            }

            #[inline(always)]
            fn stream<S: Simd>(s: S, values: [S::F32x16; 2], to: &mut Lines<Self>) {
                s.$stream(values, to);
            }
        }
    };
}

lane!(f32, identity, identity, load_f32, store_f32, stream_f32);
lane!(
    f16,
    scalar::widen_f16,
    scalar::round_f16,
    load_f16,
    store_f16,
    stream_f16
);
lane!(
    bf16,
    scalar::widen_bf16,
    scalar::round_bf16,
    load_bf16,
    store_bf16,
    stream_bf16
);
