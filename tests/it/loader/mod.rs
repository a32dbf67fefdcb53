//! Compares the loader with a specification that has all documents in memory, and checks where it
//! resumes, what it refuses and what it does with damage.
mod states;

use crate::common_dataset;

use std::sync::Arc;

use common_dataset::model::{Document, any_source, documents};
use common_dataset::{Dataset, config as tokenize_config, encoding, oracle, text_path, write};
use half::{bf16, f16};
use proptest::prelude::*;
use shardmill::dataset::Eot;
use shardmill::document::Format;
use shardmill::embed::embed_to;
use shardmill::loader::{LoadedBatch, LoaderState, NO_DOCUMENT};
use shardmill::sink::MemorySink;
use shardmill::window::{IGNORED_TARGET, ShuffleOrder, Tail, WindowKind};
use shardmill::{
    Buffer, Dtype, Elements, EmbedConfig, Gatherer, InitialTables, Loader, LoaderConfig, Order,
    Stats, Table, TokenStore,
};
use tempfile::TempDir;

/// A loader can move to another thread, and several threads can read a batch.
const _: fn() = || {
    fn sends<T: Send>() {}
    fn shares<T: Send + Sync>() {}
    sends::<Loader>();
    shares::<LoadedBatch>();
};

/// A batch, copied out of its buffers.
#[derive(Clone, Debug, Default, PartialEq)]
struct Owned {
    rows: usize,
    inputs: Vec<u32>,
    targets: Vec<u32>,
    positions: Vec<u32>,
    documents: Vec<u64>,
    cu_seqlens: Vec<i32>,
    windows: Vec<u64>,
    embeddings: Vec<f32>,
    next_sample: u64,
}

impl Owned {
    fn of(batch: &LoadedBatch) -> Self {
        assert_eq!(batch.inputs().len(), batch.rows() * batch.seq_len());
        let embeddings = match batch.embeddings() {
            None => Vec::new(),
            Some(Elements::F32(values)) => values.to_vec(),
            Some(Elements::F16(values)) => values.iter().map(|x| x.to_f32()).collect(),
            Some(Elements::BF16(values)) => values.iter().map(|x| x.to_f32()).collect(),
        };
        let parts = batch.cu_seqlens().windows(2).map(|ends| ends[1] - ends[0]);
        assert_eq!(parts.max(), Some(batch.max_seqlen()));
        Self {
            rows: batch.rows(),
            inputs: batch.inputs().to_vec(),
            targets: batch.targets().to_vec(),
            positions: batch.positions().to_vec(),
            documents: batch.documents().to_vec(),
            cu_seqlens: batch.cu_seqlens().to_vec(),
            windows: batch.windows().to_vec(),
            embeddings,
            next_sample: batch.state_after().next_sample(),
        }
    }
}

/// All batches of a loader. Checks their number, and the state after each.
fn all(mut loader: Loader) -> Vec<Owned> {
    let mut found = Vec::new();
    while let Some(batch) = loader.next() {
        let batch = batch.unwrap();
        assert_eq!(loader.state(), *batch.state_after());
        found.push(Owned::of(&batch));
    }
    assert_eq!(found.len() as u64, loader.n_batches());
    assert!(loader.next().is_none());
    found
}

/// A window of the specification: inputs, targets, and the document of each input.
type Row = (Vec<u32>, Vec<u32>, Vec<u64>);

/// Every window of the documents, in the order of the dataset.
fn rows(documents: &[Document], config: &LoaderConfig, end_of_text: u32) -> Vec<Row> {
    let [seq_len, stride] =
        [config.windows.seq_len, config.windows.stride()].map(|n| usize::try_from(n).unwrap());
    let numbered = |(number, document): (u64, &Document)| {
        let ids = document.ids.iter();
        ids.map(|id| (number, *id)).collect::<Vec<_>>()
    };
    let streams: Vec<Vec<(u64, u32)>> = (0..).zip(documents).map(numbered).collect();
    let streams = match config.windows.window {
        WindowKind::Documents => streams,
        WindowKind::Stream => vec![streams.concat()],
    };
    let mut rows = Vec::new();
    for stream in streams {
        let mut reached = 0;
        for start in (0..stream.len()).step_by(stride) {
            let end = stream.len().min(start + seq_len + 1);
            let is_whole = end == start + seq_len + 1;
            let has_news = end - 1 > reached.max(start);
            if !is_whole && (config.windows.tail == Tail::Drop || !has_news) {
                break;
            }
            reached = end - 1;
            let taken = &stream[start..end];
            let mut inputs: Vec<_> = taken.iter().take(seq_len).map(|(_, id)| *id).collect();
            inputs.resize(seq_len, end_of_text);
            let mut targets: Vec<_> = taken[1..].iter().map(|(_, id)| *id).collect();
            targets.resize(seq_len, IGNORED_TARGET);
            let mut numbers: Vec<_> = taken.iter().take(seq_len).map(|(n, _)| *n).collect();
            numbers.resize(seq_len, NO_DOCUMENT);
            rows.push((inputs, targets, numbers));
        }
    }
    rows
}

/// The batches of a process, from place `first` of the order on.
fn specification(
    rows: &[Row],
    order: &Order,
    first: usize,
    config: &LoaderConfig,
    tables: Option<&(Table, Table)>,
) -> Vec<Owned> {
    let [batch_size, world_size, rank] = [
        usize::try_from(config.windows.batch_size).unwrap(),
        config.world_size as usize,
        config.rank as usize,
    ];
    let places: Vec<u64> = (first as u64..rows.len() as u64).collect();
    let mut batches = Vec::new();
    let mut next_sample = first as u64;
    for step in places.chunks(batch_size * world_size) {
        next_sample += step.len() as u64;
        let mine: Vec<_> = step.iter().skip(rank).step_by(world_size).collect();
        if mine.is_empty() || (config.windows.drop_last && step.len() < batch_size * world_size) {
            continue;
        }
        let mut batch = Owned {
            rows: mine.len(),
            cu_seqlens: vec![0],
            next_sample,
            ..Owned::default()
        };
        for &place in mine {
            let window = order.window(place);
            batch.windows.push(window);
            let (inputs, targets, documents) = &rows[usize::try_from(window).unwrap()];
            let mut position = 0;
            for (i, document) in documents.iter().enumerate() {
                let is_new = i > 0 && documents[i - 1] != *document;
                if is_new {
                    let at = batch.inputs.len() + i;
                    batch.cu_seqlens.push(i32::try_from(at).unwrap());
                }
                position = if is_new && config.restart_positions {
                    0
                } else {
                    position
                };
                batch.positions.push(position);
                position += 1;
            }
            batch.inputs.extend(inputs);
            batch.targets.extend(targets);
            batch.documents.extend(documents);
            batch
                .cu_seqlens
                .push(i32::try_from(batch.inputs.len()).unwrap());
        }
        if let Some((token, position)) = tables {
            let mut rows = [vec![0.0; token.dim()], vec![0.0; token.dim()]];
            for (id, at) in batch.inputs.iter().zip(&batch.positions) {
                token.row_to_f32(*id as usize, &mut rows[0]);
                position.row_to_f32(*at as usize, &mut rows[1]);
                let sum = rows[0].iter().zip(&rows[1]).map(|(a, b)| a + b);
                batch.embeddings.extend(sum.map(|x| match config.dtype {
                    Dtype::F32 => x,
                    Dtype::F16 => f16::from_f32(x).to_f32(),
                    Dtype::BF16 => bf16::from_f32(x).to_f32(),
                }));
            }
        }
        batches.push(batch);
    }
    batches
}

/// Settings of every kind, with which a few hundred windows make a few batches.
fn any_config() -> impl Strategy<Value = LoaderConfig> {
    let windows = (1..12_u64, 1..16_u64, 0..3_u8);
    let order = (0..3_u8, any::<u64>(), 0..5_u32);
    let batches = (1..6_u64, any::<bool>(), 1..9_u32, any::<u32>());
    let how = (any::<bool>(), 0..3_usize, 1..5_usize, 1..5_usize);
    (windows, order, batches, how).prop_map(|(windows, order, batches, how)| {
        let mut config = LoaderConfig::default();
        (config.windows.seq_len, config.windows.stride) = (windows.0, Some(windows.1));
        (config.windows.window, config.windows.tail) = match windows.2 {
            0 => (WindowKind::Stream, Tail::Drop),
            1 => (WindowKind::Documents, Tail::Drop),
            _ => (WindowKind::Documents, Tail::Pad),
        };
        config.windows.shuffle = (order.0 > 0).then_some(order.1);
        config.windows.shuffle_order = ShuffleOrder::ALL[usize::from(order.0 > 1)];
        config.windows.epoch = order.2;
        (
            config.windows.batch_size,
            config.windows.drop_last,
            config.world_size,
            _,
        ) = batches;
        config.rank = batches.3 % config.world_size;
        config.restart_positions = how.0;
        config.dtype = Dtype::ALL[how.1];
        (config.threads, config.depth) = (how.2, how.3);
        config
    })
}

fn paths(directory: &TempDir, sources: &[(Format, Vec<u8>)]) -> Vec<std::path::PathBuf> {
    let extension = |format| {
        if format == Format::Jsonl {
            "jsonl"
        } else {
            "txt"
        }
    };
    let write = |(index, (format, bytes)): (usize, &(Format, Vec<u8>))| {
        write(
            directory.path(),
            &format!("{index}.{}", extension(*format)),
            bytes,
        )
    };
    sources.iter().enumerate().map(write).collect()
}

/// Small tables for GPT-2's vocabulary, and 12 positions.
fn tables() -> (Table, Table) {
    InitialTables::new(1, 50257, 3, 12).tables().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn batches_are_those_of_the_specification(
        sources in prop::collection::vec(any_source(), 1..6),
        eot in prop::sample::select(Eot::ALL.to_vec()),
        unit in 1..200_u64,
        config in any_config(),
        part in 0.0..1.0_f64,
    ) {
        static TABLES: std::sync::OnceLock<(Table, Table)> = std::sync::OnceLock::new();
        let tables = TABLES.get_or_init(tables);
        let directory = TempDir::new().unwrap();
        let paths = paths(&directory, &sources);
        let gpt2 = encoding("gpt2");
        let mut tokenize = tokenize_config(unit);
        tokenize.settings.eot = eot;
        let dataset = Dataset::make(&paths, gpt2, &tokenize);
        let store = Arc::new(TokenStore::open(&dataset.out()).unwrap());
        let documents = documents(&sources, eot, oracle("gpt2"), gpt2.end_of_text().unwrap());
        let rows = rows(&documents, &config, gpt2.end_of_text().unwrap());
        let n = rows.len() as u64;
        let step = config.windows.batch_size * u64::from(config.world_size);
        let gatherer = Gatherer::new(tables.0.clone(), Some(tables.1.clone())).unwrap();
        let loader = Loader::new(&store, &config, Some(gatherer));
        if n == 0 || (config.windows.drop_last && n < step) {
            let error = loader.unwrap_err().to_string();
            prop_assert!(error.contains("seq_len") || error.starts_with("drop_last: "), "{}", error);
            return Ok(());
        }
        let order = match config.windows.shuffle {
            None => Order::Sequential,
            Some(seed) => Order::shuffled(n, config.windows.shuffle_order, seed, config.windows.epoch).unwrap(),
        };
        let loader = loader.unwrap();
        prop_assert_eq!(loader.n_windows(), n);
        prop_assert_eq!(loader.n_dropped(), if config.windows.drop_last { n % step } else { 0 });
        let begin = loader.state();
        let expected = specification(&rows, &order, 0, &config, Some(tables));
        prop_assert_eq!(all(loader), expected);

        // The rest of the pass, resumed from any sample, without tables.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "any place will do")]
        let first = (part * (n + 1) as f64) as usize;
        let saved = serde_json::to_string(&begin.with_next_sample(first as u64)).unwrap();
        let state: LoaderState = serde_json::from_str(&saved).unwrap();
        let mut config = config;
        // The epoch comes from the state.
        config.windows.epoch += 1;
        let resumed = Loader::resume(&store, &config, None, &state).unwrap();
        prop_assert_eq!(all(resumed), specification(&rows, &order, first, &config, None));
    }
}
