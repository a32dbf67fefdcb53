//! The three floating-point types of tables and outputs.
//!
//! This file lists the types; other rooms get from a [`Dtype`] to its Rust type with
//! [`with_element`]. They name a type only if it needs its own code: a file format with its own
//! spelling, or the vectors that widen and round it (`simd/scalar.rs` is their specification).

pub use half::{bf16, f16};

use crate::choice;

/// Evaluates an expression in which a name stands for the Rust type of a [`Dtype`]:
/// `with_element!(dtype, E => size_of::<E>())` is the size of an element.
#[macro_export]
macro_rules! with_element {
    ($dtype:expr, $element:ident => $body:expr) => {
        match $dtype {
            $crate::dtype::Dtype::F16 => {
                type $element = $crate::dtype::f16;
                $body
            }
            $crate::dtype::Dtype::BF16 => {
                type $element = $crate::dtype::bf16;
                $body
            }
            $crate::dtype::Dtype::F32 => {
                type $element = f32;
                $body
            }
        }
    };
}
pub use crate::with_element;

choice! {
    /// An element type of a table or an output.
    ///
    /// ```
    /// # use shardmill_core::dtype::Dtype;
    /// let sizes = Dtype::ALL.map(|dtype| (dtype.name(), dtype.size_bytes()));
    /// assert_eq!(sizes, [("f16", 2), ("bf16", 2), ("f32", 4)]);
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Dtype {
        /// IEEE 754 binary16, `torch.float16`.
        F16 = "f16",
        /// The upper half of a binary32, `torch.bfloat16`.
        BF16 = "bf16",
        /// IEEE 754 binary32, `torch.float32`.
        F32 = "f32",
    }
}

impl Dtype {
    /// The type's name in the `torch` module.
    pub const fn torch_name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F32 => "float32",
        }
    }

    /// The size of one element in bytes.
    pub const fn size_bytes(self) -> usize {
        with_element!(self, E => size_of::<E>())
    }
}

/// The elements of a table, row-major, by type.
///
/// ```
/// # use shardmill_core::dtype::{Dtype, Elements};
/// let elements = Elements::F32(&[0.5, 1.0]);
/// assert_eq!(elements.dtype(), Dtype::F32);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Elements<'a> {
    /// `f32` elements.
    F32(&'a [f32]),
    /// `f16` elements.
    F16(&'a [f16]),
    /// `bf16` elements.
    BF16(&'a [bf16]),
}

impl<'a> Elements<'a> {
    /// Views `bytes` as elements.
    ///
    /// # Panics
    ///
    /// If they are not aligned for the type, or not whole elements.
    pub fn from_bytes(dtype: Dtype, bytes: &'a [u8]) -> Self {
        with_element!(dtype, E => <E as sealed::Sealed>::tag_slice(bytemuck::cast_slice(bytes)))
    }

    /// The bytes of the elements in memory.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::F32(values) => bytemuck::cast_slice(values),
            Self::F16(values) => bytemuck::cast_slice(values),
            Self::BF16(values) => bytemuck::cast_slice(values),
        }
    }

    /// Their type.
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F16(_) => Dtype::F16,
            Self::BF16(_) => Dtype::BF16,
        }
    }
}

/// A vector of one of the types, with its tag.
#[derive(Debug)]
pub enum Values {
    /// `f32` elements.
    F32(Vec<f32>),
    /// `f16` elements.
    F16(Vec<f16>),
    /// `bf16` elements.
    BF16(Vec<bf16>),
}

impl Values {
    /// The same, borrowed.
    pub fn elements(&self) -> Elements<'_> {
        match self {
            Self::F32(values) => Elements::F32(values),
            Self::F16(values) => Elements::F16(values),
            Self::BF16(values) => Elements::BF16(values),
        }
    }
}

mod sealed {
    use super::{Elements, Values};

    pub trait Sealed: Sized {
        /// Tags a vector with its type.
        fn tag(values: Vec<Self>) -> Values;
        /// Tags a slice with its type.
        fn tag_slice(values: &[Self]) -> Elements<'_>;
    }
}

/// A Rust type that is one of the [`Dtype`]s. Sealed: `f32`, [`struct@f16`] and [`bf16`].
pub trait Element: sealed::Sealed + bytemuck::Pod + Send + Sync + std::fmt::Debug {
    /// The type's tag.
    const DTYPE: Dtype;
}

macro_rules! element {
    ($type:ty, $variant:ident) => {
        impl sealed::Sealed for $type {
            fn tag(values: Vec<Self>) -> Values {
                Values::$variant(values)
            }

            fn tag_slice(values: &[Self]) -> Elements<'_> {
                Elements::$variant(values)
            }
        }

        impl Element for $type {
            const DTYPE: Dtype = Dtype::$variant;
        }
    };
}

element!(f16, F16);
element!(bf16, BF16);
element!(f32, F32);
