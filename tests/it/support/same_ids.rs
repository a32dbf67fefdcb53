//! Code that tests and fuzz targets share.

#![allow(unreachable_pub, reason = "the library of the fuzz targets exports it")]

/// Asserts that two lists of ids are equal; reports only the first difference.
pub fn assert_same_ids(found: &[u32], expected: &[u32], what: &str) {
    if found != expected {
        let at = found.iter().zip(expected).take_while(|(a, b)| a == b);
        let at = at.count();
        let near = |ids: &[u32]| {
            let end = ids.len().min(at + 8);
            ids[at.saturating_sub(4).min(end)..end].to_vec()
        };
        panic!(
            "{what}: id {at} of {} and {} differs: {:?}, expected {:?}",
            found.len(),
            expected.len(),
            near(found),
            near(expected)
        );
    }
}
