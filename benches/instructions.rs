//! Work whose instructions are counted, not timed: `benches/instructions/count` runs this program
//! under an emulator that counts.
//!
//! Usage: `instructions WORK LEVEL TIMES`, where WORK is `scan/ENCODING/CORPUS`,
//! `first/ENCODING/CORPUS`, `warm/ENCODING/CORPUS` or `gather/TABLE/POSITIONS/OUTPUT`. Does the work
//! TIMES times and prints the bytes of one time: those of the text, or of the output. The
//! instructions of one time are the difference of two runs.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;

use half::{bf16, f16};
use shardmill::table::{Rope, RopeStyle};
use shardmill::{Element, Gatherer, Level, Table, Tokenizer};

const ROWS: u16 = 512;
const DIM: u16 = 768;
const SEQ_LEN: u16 = 256;

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [work, level, times] = args.as_slice() else {
        println!("counted by benches/instructions/count");
        return;
    };
    let level: Level = level.parse().expect("a level of this CPU");
    let times = times.parse().expect("a number");
    let work: Vec<_> = work.split('/').collect();
    let bytes = match *work {
        ["scan", encoding, corpus] => {
            let (encoding, text) = (tokenizer(encoding, level), text(corpus));
            repeat(times, || {
                black_box(encoding.pretoken_ends(&text, level));
            });
            text.len()
        }
        ["first", encoding, corpus] => {
            let text = text(corpus);
            repeat(times, || {
                black_box(tokenizer(encoding, level).encode_ordinary(&text));
            });
            text.len()
        }
        ["warm", encoding, corpus] => {
            let (encoding, text) = (tokenizer(encoding, level), text(corpus));
            encoding.encode_ordinary(&text);
            repeat(times, || {
                black_box(encoding.encode_ordinary(&text));
            });
            text.len()
        }
        ["gather", table, positions, output] => {
            let gatherer = gatherer(table, positions).with_level(level).with_threads(1);
            match output {
                "f32" => gather::<f32>(&gatherer, times),
                "f16" => gather::<f16>(&gatherer, times),
                "bf16" => gather::<bf16>(&gatherer, times),
                _ => panic!("no type {output}"),
            }
        }
        _ => panic!("no such work"),
    };
    println!("{bytes}");
}

fn repeat(times: usize, mut work: impl FnMut()) {
    for _ in 0..times {
        work();
    }
}

fn tokenizer(name: &str, level: Level) -> Tokenizer {
    let tokenizer = Tokenizer::by_name(name).expect("a built-in encoding");
    tokenizer.with_level(level)
}

fn text(file: &str) -> String {
    std::fs::read_to_string(format!("fixtures/text/{file}")).expect("a fixture")
}

fn table(dtype: &str, rows: u16) -> Table {
    let row = move |row| (0..DIM).map(move |i| f32::from(row ^ i) / 256.0 - 2.0);
    let values = || (0..rows).flat_map(row);
    let [rows, dim] = [rows, DIM].map(usize::from);
    match dtype {
        "f32" => Table::from_vec(rows, dim, values().collect::<Vec<_>>()),
        "f16" => Table::from_vec(rows, dim, values().map(f16::from_f32).collect()),
        "bf16" => Table::from_vec(rows, dim, values().map(bf16::from_f32).collect()),
        _ => panic!("no type {dtype}"),
    }
    .expect("a small table")
}

fn gatherer(dtype: &str, positions: &str) -> Gatherer {
    let added = (positions == "added").then(|| table("f32", SEQ_LEN));
    let gatherer = Gatherer::new(table(dtype, ROWS), added).expect("tables of the same dim");
    let style = match positions {
        "pairs" => RopeStyle::Interleaved,
        "halves" => RopeStyle::Half,
        "added" | "none" => return gatherer,
        _ => panic!("no positions {positions}"),
    };
    let rope = Rope::new(style, SEQ_LEN.into(), DIM.into(), 10_000.0).expect("an even dim");
    gatherer.with_rope(rope).expect("no position table")
}

fn gather<E: Element>(gatherer: &Gatherer, times: usize) -> usize {
    let ids: Vec<_> = (0..4 * u32::from(SEQ_LEN))
        .map(|i| i * 7919 % u32::from(ROWS))
        .collect();
    let mut out = vec![E::zeroed(); ids.len() * usize::from(DIM)];
    repeat(times, || {
        let done = gatherer.gather_into(&ids, SEQ_LEN.into(), black_box(&mut out));
        done.expect("sizes match");
    });
    size_of_val(&*out)
}
