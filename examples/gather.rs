//! Turns your own ids into embeddings in your own buffer, and measures how long that takes.
//!
//! `cargo run --release --example gather -- wte.npy wpe.npy ids.u32 SEQ_LEN f32|f16|bf16 THREADS REPETITIONS OUT`
//!
//! `ids.u32` holds little-endian `u32`, `[batch, SEQ_LEN]`. Prints the seconds of each repetition as
//! JSON, and leaves the embeddings in OUT, row-major, without a header.
//! `benches/compare/embeddings.py` runs it beside PyTorch.
#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use std::path::Path;
use std::time::Instant;

use half::{bf16, f16};
use shardmill::table::{TableOptions, TableSpec};
use shardmill::{Buffer, Element, Gatherer, Table};

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [
        token,
        position,
        ids,
        seq_len,
        dtype,
        threads,
        repetitions,
        out,
    ] = &args[..]
    else {
        return Err("expected WTE WPE IDS SEQ_LEN DTYPE THREADS REPETITIONS OUT".into());
    };
    // Rows are read many times, and huge pages make that faster than the file's small pages.
    let open = |name: &str| {
        Table::open(&TableSpec::parse(name), &TableOptions::default())?.to_huge_pages()
    };
    let gatherer = Gatherer::new(open(token)?, Some(open(position)?))?;
    let gatherer = gatherer.with_threads(threads.parse()?);
    let ids = std::fs::read(ids)?;
    let ids = ids.as_chunks().0.iter().map(|id| u32::from_le_bytes(*id));
    let job = Job {
        gatherer,
        ids: ids.collect(),
        seq_len: seq_len.parse()?,
        repetitions: repetitions.parse()?,
    };
    let seconds = match &**dtype {
        "f32" => job.run::<f32>(out.as_ref()),
        "f16" => job.run::<f16>(out.as_ref()),
        "bf16" => job.run::<bf16>(out.as_ref()),
        other => Err(format!("no type is called {other}").into()),
    }?;
    println!("{}", serde_json::json!({ "seconds": seconds }));
    Ok(())
}

struct Job {
    gatherer: Gatherer,
    ids: Vec<u32>,
    seq_len: usize,
    repetitions: usize,
}

impl Job {
    /// Fills one buffer repeatedly; returns the time of each repetition except the first.
    fn run<E: Element>(&self, out: &Path) -> Result<Vec<f64>, AnyError> {
        let mut embeddings = Buffer::<E>::zeroed(self.ids.len() * self.gatherer.dim())?;
        let mut seconds = Vec::new();
        for _ in 0..=self.repetitions {
            let started = Instant::now();
            self.gatherer
                .gather_into(&self.ids, self.seq_len, &mut embeddings)?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        std::fs::write(out, bytemuck::cast_slice::<E, u8>(&embeddings))?;
        seconds.remove(0);
        Ok(seconds)
    }
}
