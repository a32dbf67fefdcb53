//! The three floating-point types of tables and outputs.

use half::{bf16, f16};

/// An element type of a table or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE 754 binary16, `torch.float16`.
    F16,
    /// The upper half of a binary32, `torch.bfloat16`.
    BF16,
    /// IEEE 754 binary32, `torch.float32`.
    F32,
}

impl Dtype {
    /// Every type, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::F16, Self::BF16, Self::F32];

    /// `f16`, `bf16` or `f32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F32 => "f32",
        }
    }

    /// Bytes of one element.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
        }
    }
}

mod sealed {
    use half::{bf16, f16};

    /// A vector of one of the types, with its tag.
    #[derive(Debug)]
    pub enum Values {
        F32(Vec<f32>),
        F16(Vec<f16>),
        BF16(Vec<bf16>),
    }

    pub trait Sealed: Sized {
        /// Tags a vector with its type.
        fn tag(values: Vec<Self>) -> Values;
    }

    impl Sealed for f32 {
        fn tag(values: Vec<Self>) -> Values {
            Values::F32(values)
        }
    }

    impl Sealed for f16 {
        fn tag(values: Vec<Self>) -> Values {
            Values::F16(values)
        }
    }

    impl Sealed for bf16 {
        fn tag(values: Vec<Self>) -> Values {
            Values::BF16(values)
        }
    }
}

pub(crate) use sealed::Values;

/// A Rust type that is one of the [`Dtype`]s. Sealed: `f32`, [`struct@f16`] and [`bf16`].
pub trait Element: sealed::Sealed + bytemuck::Pod + Send + Sync + std::fmt::Debug {
    /// The type's tag.
    const DTYPE: Dtype;
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;
}

impl Element for f16 {
    const DTYPE: Dtype = Dtype::F16;
}

impl Element for bf16 {
    const DTYPE: Dtype = Dtype::BF16;
}
