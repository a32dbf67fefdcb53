//! Calls of other libraries that panic if data contradicts itself.
//!
//! Their panics are caught, and become errors of the data. A program that has a panic hook asks
//! [`is_guarded`] whether the panic is such a one, of which there is nothing to report.

use std::cell::Cell;
#[cfg(any(feature = "arrow", feature = "parquet"))]
use std::panic;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is caught, and becomes an error. A panic hook that prints what it
/// is told prints nothing then.
pub fn is_guarded() -> bool {
    IS_GUARDED.get()
}

/// What `call` returns, or `None` if it panics. What it changes may be left in any state then, so
/// the caller drops it.
#[cfg(any(feature = "arrow", feature = "parquet"))]
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    let before = IS_GUARDED.replace(true);
    let result = panic::catch_unwind(panic::AssertUnwindSafe(call)).ok();
    IS_GUARDED.set(before);
    result
}

#[cfg(all(test, any(feature = "arrow", feature = "parquet")))]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_none() {
        assert_eq!(guarded(|| 7), Some(7));
        assert_eq!(guarded(|| [1, 2].get(2).copied().expect("a value")), None);
        assert!(!is_guarded());
        assert_eq!(guarded(is_guarded), Some(true));
    }
}
