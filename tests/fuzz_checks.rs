//! The checks of the fuzz targets on random input, on any toolchain, with their memory counted.

#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod checks;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proptest::prelude::*;

use checks::{inputs, records, tables, tokenizers, units};

/// Counts the allocated bytes and their maximum.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call is forwarded to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How much memory a reader may use beyond its input.
const MAX_BYTES: usize = 64 << 20;

/// How much memory a page of Parquet, or what a column of Arrow is decoded with, may take: what its header says, which is a 31-bit number.
const PAGE_BYTES: usize = 2 << 30;

/// Runs `check` alone; it must take little memory and little time on any input.
fn bounded(check: fn(&[u8]), input: &[u8]) {
    bounded_by(MAX_BYTES, check, input);
}

/// Likewise, with at most `bytes` of memory beyond the input.
fn bounded_by(bytes: usize, check: fn(&[u8]), input: &[u8]) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let owned = input.to_vec();
    let (done, is_done) = mpsc::channel::<()>();
    let checking = std::thread::spawn(move || {
        let _done = done;
        check(&owned);
    });
    // A check that hangs is abandoned.
    let waited = is_done.recv_timeout(Duration::from_secs(20));
    assert_eq!(waited, Err(RecvTimeoutError::Disconnected), "takes long");
    if let Err(panic) = checking.join() {
        std::panic::resume_unwind(panic);
    }
    let taken = MOST.load(Ordering::Relaxed) - before;
    assert!(taken <= input.len() + bytes, "{taken} bytes");
}

#[test]
fn the_allocator_counts() {
    // Far more than the bound, because other tests free memory at the same time.
    let greedy = |_: &[u8]| drop(std::hint::black_box(vec![1_u8; 2 * MAX_BYTES]));
    assert!(std::panic::catch_unwind(|| bounded(greedy, b"")).is_err());
}

/// The text of a `.npy` header, usually with something wrong in it.
fn npy_text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "{",
        "}",
        "'descr'",
        "'fortran_order'",
        "'shape'",
        ": ",
        ", ",
        "'<f4'",
        "'<f2'",
        "'<u2'",
        "False",
        "True",
        "(",
        ")",
        "2",
        "1",
        "0",
        "18446744073709551615",
        "4611686018427387904",
        "[",
        "'",
        "\\",
        "\n",
        " ",
    ]);
    let good = Just(vec![
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }",
    ]);
    prop_oneof![good, prop::collection::vec(part, 0..24)].prop_map(|parts| parts.concat().into())
}

/// The header of a safetensors file, likewise.
fn safetensors_text() -> impl Strategy<Value = Vec<u8>> {
    let number = prop::sample::select(vec!["0", "1", "2", "8", "16", "18446744073709551615", "-1"]);
    let dtype = prop::sample::select(vec!["F32", "F16", "BF16", "F64", "U8", "F4", ""]);
    let name = prop::sample::select(vec!["a", "wte.weight", "b.a", "", "__metadata__"]);
    let shape = prop::collection::vec(number.clone(), 0..4);
    let tensor = (name, dtype, shape, number.clone(), number);
    prop::collection::vec(tensor, 0..4).prop_map(|tensors| {
        let entries = tensors.into_iter().map(|(name, dtype, shape, from, to)| {
            let shape = shape.join(",");
            format!(
                "\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":[{shape}],\"data_offsets\":[{from},{to}]}}"
            )
        });
        format!("{{{}}}", entries.collect::<Vec<_>>().join(",")).into()
    })
}

/// An input of `tables`.
fn table() -> impl Strategy<Value = Vec<u8>> {
    let file = prop_oneof![
        (Just(2), npy_text()),
        (Just(3), safetensors_text()),
        (0..4_u8, prop::collection::vec(any::<u8>(), 0..40)),
    ];
    let n_elements = prop::sample::select(vec![0_u16, 4, 8, 16, 300]);
    (file, n_elements).prop_map(|((how, text), n)| [&[how], &text[..], &n.to_le_bytes()].concat())
}

/// An input of `units`: lines that are records, or nearly.
fn source() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "{\"text\":\"",
        "\"}",
        "\n",
        "\r\n",
        "{\"text\": 1, \"text\":\"",
        "a b",
        " ",
        "\\n",
        "\\u00e9",
        "\\ud800",
        "é",
        "\"",
        "{",
        "}",
        "[1e999]",
        ", \"x\": ",
        "null",
        "\t",
        "0",
    ]);
    let lines = prop_oneof![
        prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat()),
        prop::collection::vec("[a-z \\\\\"é]{0,12}", 0..12).prop_map(|texts| {
            let lines = texts.into_iter().map(|text| {
                let text = serde_json::Value::from(text);
                format!(" {{\"id\": [1], \"text\": {text}}}\r\n")
            });
            lines.collect()
        }),
    ];
    (any::<[u8; 2]>(), lines, prop::option::of(any::<u8>()))
        .prop_map(|(how, lines, last)| [&how[..], lines.as_bytes(), last.as_slice()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn tables_are_refused_or_lie_in_their_file(input in table()) {
        bounded(tables::check, &input);
    }

    #[test]
    fn changed_records_are_found_or_made_good(
        how in any::<u8>(),
        edits in prop::collection::vec(any::<[u8; 6]>(), 0..4),
    ) {
        let input = [&[how], &edits.concat()[..]].concat();
        bounded(records::check, &input);
    }

    #[test]
    fn changed_tokenizer_files_are_refused_or_encode(
        which in any::<u8>(),
        edits in prop::collection::vec(any::<[u8; 6]>(), 0..4),
    ) {
        bounded(tokenizers::check, &[&[which], &edits.concat()[..]].concat());
    }

    #[test]
    fn changed_inputs_are_refused_or_read_alike(
        which in any::<u8>(),
        edits in prop::collection::vec(any::<[u8; 6]>(), 0..4),
    ) {
        let input = [&[which], &edits.concat()[..]].concat();
        let page = if inputs::has_columns(which) { PAGE_BYTES } else { 0 };
        bounded_by(MAX_BYTES + page, inputs::check, &input);
    }

    #[test]
    fn any_cuts_give_the_documents_of_a_plain_reader(input in source()) {
        bounded(units::check, &input);
    }
}

/// Bugs that `records` found: a pipe in place of an array and of a manifest, which readers waited
/// for; document records of 1 GiB, all of which `repair` read; an `embed.json` of 64 MiB in a
/// dataset that lacks a shard, and a pipe in its place.
const RECORDS: [&[u8]; 5] = [
    &[0, 2, 10, 0, 0, 0, 0],
    &[0, 4, 10, 0, 0, 0, 0],
    &[0, 5, 13, 0, 0, 14, 0],
    &[36, 0, 13, 0, 0, 10, 0, 5, 8, 0, 0, 0, 0],
    &[36, 0, 10, 0, 0, 0, 0, 5, 8, 0, 0, 0, 0],
];

#[test]
fn what_was_found_once_stays_mended() {
    for input in RECORDS {
        bounded(records::check, input);
    }
}

/// As they are, so that changes begin with what works.
#[test]
fn unchanged_inputs_are_read() {
    for which in 0..inputs::FILES {
        assert!(!inputs::read_unchanged(which).is_empty());
    }
}

/// As they are, so that changes begin with what works.
#[test]
fn unchanged_tokenizer_files_open() {
    for which in 0..6 {
        tokenizers::open_unchanged(which).unwrap();
    }
}
