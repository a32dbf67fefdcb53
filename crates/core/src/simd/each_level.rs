//! Tests at every level, for the crates that have kernels.

/// Stamps each test once per level. A level that this CPU lacks is reported here, and a failure in
/// `expected_levels_are_there`.
#[macro_export]
macro_rules! for_each_level {
    ($($test:ident),+ $(,)?) => {
        $crate::for_each_level!(@ at_scalar "scalar" $($test)+);
        $crate::for_each_level!(@ at_avx2 "avx2" $($test)+);
        $crate::for_each_level!(@ at_avx512 "avx512" $($test)+);
        $crate::for_each_level!(@ at_neon "neon" $($test)+);
    };
    (@ $module:ident $level:literal $($test:ident)+) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    match $level.parse::<$crate::simd::Level>() {
                        Ok(level) => super::$test(level),
                        Err(error) => eprintln!("not run: {error}"),
                    }
                }
            )+
        }
    };
}
