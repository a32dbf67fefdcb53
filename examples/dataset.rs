//! The loop of a trainer: a text becomes a dataset, its windows become batches, and the token and
//! position rows of each batch are added into one buffer, which is reused.
//!
//! `cargo run --example dataset [INPUT [OUT]]`
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use shardmill::dataset::Eot;
use shardmill::{
    Corpus, CorpusOptions, Gatherer, InitialTables, Order, Stats, TokenStore, TokenizeConfig,
    Tokenizer, Windows, tokenize,
};

const SEQ_LEN: usize = 4;
const STRIDE: u64 = 5;
const BATCH_SIZE: usize = 8;
const DIM: usize = 256;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let story = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/text/the-verdict.txt");
    let input = args.next().unwrap_or_else(|| story.into());
    let out = args.next();
    let out = out.unwrap_or_else(|| std::env::temp_dir().join("shardmill-example"));
    run(&input, &out, &mut io::stdout().lock())
}

/// Makes one pass over the text at `input`, with its dataset at `out`.
pub(crate) fn run(input: &Path, out: &Path, print: &mut impl Write) -> Result<()> {
    let encoding = Tokenizer::by_name("gpt2")?;
    let store = dataset(input, out, &encoding)?;
    let gatherer = gatherer(&encoding)?;

    let windows = Windows::new(store.n_tokens(), SEQ_LEN as u64, STRIDE)?;
    let order = Order::Sequential; // or Order::data_loader_epoch(windows.len(), seed, epoch)?
    let batches = windows.batches(BATCH_SIZE as u64, false)?;

    let mut inputs = vec![0; BATCH_SIZE * SEQ_LEN];
    let mut targets = inputs.clone();
    let mut embeddings = vec![0.0f32; inputs.len() * DIM];
    for b in 0..batches.len() {
        let rows = batches.rows(b).zip(0..);
        let mut n = 0;
        for (place, row) in rows {
            let window = order.window(place);
            let ids = row * SEQ_LEN..(row + 1) * SEQ_LEN;
            store.read(windows.inputs(window).start, &mut inputs[ids.clone()])?;
            store.read(windows.targets(window).start, &mut targets[ids])?;
            n = row + 1;
        }
        let ids = n * SEQ_LEN;
        gatherer.gather_into(&inputs[..ids], SEQ_LEN, &mut embeddings[..ids * DIM])?;
        if b == 0 {
            let rows: Vec<_> = inputs[..ids].chunks(SEQ_LEN).collect();
            writeln!(print, "inputs {rows:?}")?;
            let rows: Vec<_> = targets[..ids].chunks(SEQ_LEN).collect();
            writeln!(print, "targets {rows:?}")?;
            writeln!(print, "embeddings [{n}, {SEQ_LEN}, {DIM}]")?;
            writeln!(print, "first row {:.4?} ...", &embeddings[..3])?;
        }
    }
    let (n_tokens, n_windows) = (store.n_tokens(), windows.len());
    writeln!(
        print,
        "{n_tokens} tokens, {n_windows} windows, {} batches",
        batches.len()
    )?;
    Ok(())
}

/// Tokenizes `input` to `out`, or reuses the dataset of it that is already there.
fn dataset(input: &Path, out: &Path, encoding: &Tokenizer) -> Result<TokenStore> {
    let corpus = Corpus::open(&[input.into()], &CorpusOptions::default())?;
    let mut config = TokenizeConfig::default();
    config.settings.eot = Eot::None;
    let run = serde_json::json!({"made_by": "the example"});
    tokenize(&corpus, encoding, &config, out, &run, &Stats::default())?;
    Ok(TokenStore::open(out)?)
}

/// The token table that PyTorch draws after `torch.manual_seed(123)`, and the second position table
/// after it.
fn gatherer(encoding: &Tokenizer) -> Result<Gatherer> {
    let mut initial = InitialTables::new(123, encoding.n_vocab() as usize, DIM, SEQ_LEN);
    initial.position_draw = 2;
    let (tokens, positions) = initial.tables()?;
    Ok(Gatherer::new(tokens, Some(positions))?)
}
