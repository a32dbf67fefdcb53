//! The keyed permutation: values that never change, and a second implementation in Python.
use crate::golden::support;

use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use shardmill::Order;
use shardmill::window::{KeyedPermutation, ShuffleOrder};

use support::skip;

/// A length, a seed, an epoch, and the windows at the first four places and the last.
const GOLDEN: [(u64, u64, u64, &[u64]); 8] = [
    (1, 9, 9, &[0, 0]),
    (3, 0, 0, &[0, 2, 1, 1]),
    (20, 123, 0, &[19, 10, 18, 13, 2]),
    (20, 123, 1, &[2, 9, 3, 5, 12]),
    (1029, 123, 0, &[270, 693, 168, 365, 978]),
    (
        1 << 33,
        u64::MAX,
        7,
        &[
            7_970_378_148,
            6_066_347_545,
            184_097_871,
            7_408_188_876,
            5_584_584_464,
        ],
    ),
    (
        1 << 63,
        0,
        0,
        &[
            6_936_589_210_850_884_206,
            2_499_761_202_638_020_071,
            3_125_078_833_522_486_382,
            8_418_270_339_126_954_492,
            7_405_516_417_863_776_724,
        ],
    ),
    (
        (1 << 63) - 1,
        1,
        u32::MAX as u64,
        &[
            7_612_590_472_457_444_079,
            2_026_209_670_939_017_507,
            5_966_528_354_477_771_187,
            2_731_340_698_038_630_613,
            5_464_405_968_971_738_172,
        ],
    ),
];

/// The algorithm as documented, in integers of unlimited width.
const PYTHON: &str = r"
import json, sys
M, G = 2**64 - 1, 0x9E3779B97F4A7C15
def mix(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & M
    z = (z ^ z >> 27) * 0x94D049BB133111EB & M
    return z ^ z >> 31
def window(n, seed, epoch, place):
    state = mix((mix(seed) + epoch * G) & M)
    key = [mix((state + (i + 1) * G) & M) for i in range(24)]
    width = max(2, (n - 1).bit_length())
    low = width // 2
    high = width - low
    x = place
    while True:
        a, b = x >> low, x % 2**low
        for i in range(0, 24, 2):
            a ^= mix(b ^ key[i]) >> (64 - high)
            b ^= mix(a ^ key[i + 1]) >> (64 - low)
        x = a << low | b
        if x < n:
            return x
def places(n):
    return list(range(min(n, 4))) + [n - 1]
print(json.dumps([[window(n, seed, epoch, place) for place in places(n)]
                  for n, seed, epoch in json.loads(sys.argv[1])]))
";

fn places(len: u64) -> Vec<u64> {
    (0..len.min(4)).chain([len - 1]).collect()
}

fn windows(len: u64, seed: u64, epoch: u64) -> Vec<u64> {
    let order = KeyedPermutation::new(len, seed, epoch).unwrap();
    places(len)
        .into_iter()
        .map(|place| order.at(place))
        .collect()
}

/// What Python computes for `[len, seed, epoch]`; `None` if Python is missing.
fn ask_python(cases: &[(u64, u64, u64)]) -> Option<Vec<Vec<u64>>> {
    let cases: Vec<Value> = cases.iter().map(|&(n, s, e)| json!([n, s, e])).collect();
    let cases = Value::from(cases).to_string();
    let Ok(output) = Command::new("python3")
        .args(["-c", PYTHON, &cases])
        .output()
    else {
        skip("python3", "the keyed permutation's second implementation");
        return None;
    };
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn the_values_stay_for_ever() {
    for (len, seed, epoch, expected) in GOLDEN {
        assert_eq!(windows(len, seed, epoch), expected, "{len} {seed} {epoch}");
        if let Ok(epoch) = u32::try_from(epoch) {
            let order = Order::shuffled(len, ShuffleOrder::Keyed, seed, epoch).unwrap();
            let found: Vec<_> = places(len).into_iter().map(|i| order.window(i)).collect();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_second_implementation_gives_the_same() {
    let golden = GOLDEN.map(|(len, seed, epoch, _)| (len, seed, epoch));
    let mut runner = TestRunner::default();
    let any_case = (0..64_u32, any::<u64>(), any::<u64>(), any::<u64>());
    let drawn = (0..500).map(|_| {
        let (shift, len, seed, epoch) = any_case.new_tree(&mut runner).unwrap().current();
        ((len >> shift).clamp(1, 1 << 63), seed, epoch)
    });
    let cases: Vec<_> = golden.into_iter().chain(drawn).collect();
    let Some(found) = ask_python(&cases) else {
        return;
    };
    assert_eq!(found.len(), cases.len());
    for (&(len, seed, epoch), found) in cases.iter().zip(found) {
        assert_eq!(windows(len, seed, epoch), found, "{len} {seed} {epoch}");
    }
}
