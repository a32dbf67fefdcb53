//! The loader against a specification that has all documents in memory; what it goes on with, what
//! it refuses, and what it does with damage.
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

/// A loader may move to another thread, and a batch be read by several.
const _: fn() = || {
    fn sends<T: Send>() {}
    fn shares<T: Send + Sync>() {}
    sends::<Loader>();
    shares::<LoadedBatch>();
};

/// A batch, out of its buffers.
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

/// All batches, and what the loader says of itself on the way.
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
    let [seq_len, stride] = [config.seq_len, config.stride()].map(|n| usize::try_from(n).unwrap());
    let numbered = |(number, document): (u64, &Document)| {
        let ids = document.ids.iter();
        ids.map(|id| (number, *id)).collect::<Vec<_>>()
    };
    let streams: Vec<Vec<(u64, u32)>> = (0..).zip(documents).map(numbered).collect();
    let streams = match config.window {
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
            if !is_whole && (config.tail == Tail::Drop || !has_news) {
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

/// The batches of a process, from place `first` on.
fn specification(
    rows: &[Row],
    order: &Order,
    first: usize,
    config: &LoaderConfig,
    tables: Option<&(Table, Table)>,
) -> Vec<Owned> {
    let [batch_size, world_size, rank] = [
        usize::try_from(config.batch_size).unwrap(),
        config.world_size as usize,
        config.rank as usize,
    ];
    let places: Vec<u64> = (first as u64..rows.len() as u64).collect();
    let mut batches = Vec::new();
    let mut next_sample = first as u64;
    for step in places.chunks(batch_size * world_size) {
        next_sample += step.len() as u64;
        let mine: Vec<_> = step.iter().skip(rank).step_by(world_size).collect();
        if mine.is_empty() || (config.drop_last && step.len() < batch_size * world_size) {
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

/// Settings of any kind, of which a few hundred windows make a few batches.
fn any_config() -> impl Strategy<Value = LoaderConfig> {
    let windows = (1..12_u64, 1..16_u64, 0..3_u8);
    let order = (0..3_u8, any::<u64>(), 0..5_u32);
    let batches = (1..6_u64, any::<bool>(), 1..9_u32, any::<u32>());
    let how = (any::<bool>(), 0..3_usize, 1..5_usize, 1..5_usize);
    (windows, order, batches, how).prop_map(|(windows, order, batches, how)| {
        let mut config = LoaderConfig::default();
        (config.seq_len, config.stride) = (windows.0, Some(windows.1));
        (config.window, config.tail) = match windows.2 {
            0 => (WindowKind::Stream, Tail::Drop),
            1 => (WindowKind::Documents, Tail::Drop),
            _ => (WindowKind::Documents, Tail::Pad),
        };
        config.shuffle = (order.0 > 0).then_some(order.1);
        config.shuffle_order = ShuffleOrder::ALL[usize::from(order.0 > 1)];
        config.epoch = order.2;
        (config.batch_size, config.drop_last, config.world_size, _) = batches;
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
        tokenize.eot = eot;
        let dataset = Dataset::make(&paths, gpt2, &tokenize);
        let store = Arc::new(TokenStore::open(&dataset.out()).unwrap());
        let documents = documents(&sources, eot, oracle("gpt2"), gpt2.end_of_text());
        let rows = rows(&documents, &config, gpt2.end_of_text());
        let n = rows.len() as u64;
        let step = config.batch_size * u64::from(config.world_size);
        let gatherer = Gatherer::new(tables.0.clone(), Some(tables.1.clone())).unwrap();
        let loader = Loader::new(&store, &config, Some(gatherer));
        if n == 0 || (config.drop_last && n < step) {
            let error = loader.unwrap_err().to_string();
            prop_assert!(error.contains("seq_len") || error.starts_with("drop_last: "), "{}", error);
            return Ok(());
        }
        let order = match config.shuffle {
            None => Order::Sequential,
            Some(seed) => Order::shuffled(n, config.shuffle_order, seed, config.epoch).unwrap(),
        };
        let loader = loader.unwrap();
        prop_assert_eq!(loader.n_windows(), n);
        prop_assert_eq!(loader.n_dropped(), if config.drop_last { n % step } else { 0 });
        let begin = loader.state();
        let expected = specification(&rows, &order, 0, &config, Some(tables));
        prop_assert_eq!(all(loader), expected);

        // The rest of the pass from any sample, without tables.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "any place will do")]
        let first = (part * (n + 1) as f64) as usize;
        let saved = serde_json::to_string(&begin.with_next_sample(first as u64)).unwrap();
        let state: LoaderState = serde_json::from_str(&saved).unwrap();
        let mut config = config;
        // The state has an epoch of its own.
        config.epoch += 1;
        let resumed = Loader::resume(&store, &config, None, &state).unwrap();
        prop_assert_eq!(all(resumed), specification(&rows, &order, first, &config, None));
    }
}

/// A dataset of a few shards, a few documents in each.
fn stories() -> Dataset {
    let paths = ["the-verdict.txt", "udhr.txt", "edge/crlf.txt", "code.txt"].map(text_path);
    Dataset::make(&paths, encoding("gpt2"), &tokenize_config(20_000))
}

fn open(dataset: &Dataset) -> Arc<TokenStore> {
    Arc::new(TokenStore::open(&dataset.out()).unwrap())
}

#[test]
fn embeddings_are_those_of_embed() {
    let dataset = stories();
    for dtype in Dtype::ALL {
        for (window, tail) in [
            (WindowKind::Stream, Tail::Drop),
            (WindowKind::Documents, Tail::Drop),
            (WindowKind::Documents, Tail::Pad),
        ] {
            let mut embed = EmbedConfig::default();
            (embed.seq_len, embed.stride, embed.dtype) = (100, Some(70), dtype);
            (embed.window, embed.tail, embed.shuffle) = (window, tail, Some((7, 2)));
            (embed.init_seed, embed.dim) = (Some(123), Some(5));
            let mut sink = MemorySink::default();
            embed_to(&dataset.store, &embed, &mut sink, &Stats::default()).unwrap();

            let mut config = LoaderConfig::default();
            (config.seq_len, config.stride, config.dtype) = (100, Some(70), dtype);
            (config.window, config.tail, config.batch_size) = (window, tail, 6);
            (config.shuffle, config.epoch, config.threads) = (Some(7), 2, 2);
            let initial = InitialTables::new(123, 50257, 5, 100);
            let (token, position) = initial.tables().unwrap();
            let gatherer = Gatherer::new(token, Some(position)).unwrap();
            let mut found = MemorySink::default();
            for batch in Loader::new(&open(&dataset), &config, Some(gatherer)).unwrap() {
                let batch = batch.unwrap();
                found.inputs.extend(batch.inputs());
                found.targets.extend(batch.targets());
                found.embeddings.extend(match batch.embeddings().unwrap() {
                    Elements::F16(values) => bytemuck::cast_slice(values),
                    Elements::BF16(values) => bytemuck::cast_slice(values),
                    Elements::F32(values) => bytemuck::cast_slice::<f32, u8>(values),
                });
            }
            assert!(found.inputs == sink.inputs && found.targets == sink.targets);
            assert!(
                found.embeddings == sink.embeddings,
                "{window:?} {tail:?} {dtype:?}"
            );
        }
    }
}

#[test]
fn a_run_goes_on_with_other_processes_and_misses_nothing() {
    let dataset = stories();
    let store = open(&dataset);
    let mut config = LoaderConfig::default();
    (config.seq_len, config.batch_size) = (16, 4);
    (config.shuffle, config.shuffle_order) = (Some(1), ShuffleOrder::Keyed);
    let mut seen: Vec<u64> = Vec::new();
    let mut state = None;
    // Three processes for five steps, then eight, then two, then one to the end.
    for (world_size, steps) in [(3, 5), (8, 4), (2, 9), (1, usize::MAX)] {
        let mut after = None;
        for rank in 0..world_size {
            (config.rank, config.world_size) = (rank, world_size);
            let mut loader = match &state {
                None => Loader::new(&store, &config, None).unwrap(),
                Some(state) => Loader::resume(&store, &config, None, state).unwrap(),
            };
            for batch in loader.by_ref().take(steps) {
                seen.extend(batch.unwrap().windows());
            }
            let here = loader.state();
            assert_eq!(
                after.get_or_insert(here.clone()),
                &here,
                "states differ by rank"
            );
        }
        state = after;
    }
    let n_windows = Loader::new(&store, &config, None).unwrap().n_windows();
    assert_eq!(state.unwrap().next_sample(), n_windows);
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..n_windows));
}

type Change = fn(&mut LoaderConfig);

#[test]
fn a_state_of_something_else_is_refused_by_name() {
    let dataset = stories();
    let store = open(&dataset);
    let mut config = LoaderConfig::default();
    (config.seq_len, config.stride) = (16, Some(8));
    (config.shuffle, config.window) = (Some(5), WindowKind::Documents);
    let state = Loader::new(&store, &config, None).unwrap().state();
    let refused = |config: &LoaderConfig, state: &LoaderState, what: &str| {
        let error = Loader::resume(&store, config, None, state).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("state: ") && text.contains(what),
            "{what}: {text}"
        );
    };
    let changes: [(Change, &str); 7] = [
        (|c| c.seq_len = 32, "`seq_len` 16, the loader has 32"),
        (|c| c.stride = None, "`stride` 8, the loader has 16"),
        (
            |c| c.window = WindowKind::Stream,
            "`window` documents, the loader has stream",
        ),
        (|c| c.tail = Tail::Pad, "`tail` drop, the loader has pad"),
        (|c| c.shuffle = Some(6), "`shuffle` 5, the loader has 6"),
        (|c| c.shuffle = None, "`shuffle` 5, the loader has none"),
        (
            |c| c.shuffle_order = ShuffleOrder::Keyed,
            "`shuffle_order` torch, the loader has keyed",
        ),
    ];
    for (change, what) in changes {
        let mut other = config.clone();
        change(&mut other);
        refused(&other, &state, what);
    }
    let beyond = state.clone().with_next_sample(1 << 40);
    refused(
        &config,
        &beyond,
        "is at sample 1099511627776, the dataset has",
    );

    let paths = [text_path("the-verdict.txt")];
    let dataset = Dataset::make(&paths, encoding("gpt2"), &tokenize_config(20_000));
    let other = Loader::new(&open(&dataset), &config, None).unwrap().state();
    refused(&config, &other, "was saved with dataset ");

    // What shapes no sample may change.
    let mut other = config.clone();
    (
        other.batch_size,
        other.threads,
        other.depth,
        other.world_size,
    ) = (3, 2, 1, 2);
    Loader::resume(&store, &other, None, &state).unwrap();
    for text in ["{}", "null", "{\"format_version\":1}"] {
        assert!(serde_json::from_str::<LoaderState>(text).is_err());
    }
}

#[test]
fn an_id_beyond_the_vocabulary_is_an_error_of_its_batch() {
    let dataset = stories();
    // Windows of 10: token 10 * 37 + 3 is an input of window 37 and of none before it.
    let path = dataset.out().join("shard-00000.u32");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[373 * 4..374 * 4].copy_from_slice(&60_000_u32.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let store = open(&dataset);
    for threads in [1, 2, 4] {
        let mut config = LoaderConfig::default();
        (config.seq_len, config.batch_size) = (10, 4);
        (config.threads, config.depth) = (threads, 4);
        let mut loader = Loader::new(&store, &config, None).unwrap();
        for _ in 0..37 / 4 {
            loader.next().unwrap().unwrap();
        }
        let error = loader.next().unwrap().unwrap_err().to_string();
        assert!(
            error.contains("id 60000 is beyond the vocabulary of 50257"),
            "{error}"
        );
        assert_eq!(
            loader.state().next_sample(),
            36,
            "the batch that failed comes again"
        );
        assert!(loader.next().is_none());
    }
}

#[test]
fn damaged_records_are_an_error_of_their_batch() {
    let dataset = stories();
    let info = &dataset.store.manifest().shards[1];
    let path = dataset.out().join(&info.docs_file);
    let mut bytes = std::fs::read(&path).unwrap();
    for record in bytes.chunks_mut(32) {
        record[..8].copy_from_slice(&1_u64.to_le_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    let mut config = LoaderConfig::default();
    (config.seq_len, config.batch_size) = (10, 1);
    let good = dataset.store.shard_start(1) / 10;
    let found: Vec<_> = Loader::new(&open(&dataset), &config, None)
        .unwrap()
        .collect();
    assert_eq!(found.len() as u64, good + 1);
    let error = found
        .into_iter()
        .next_back()
        .unwrap()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("shard-00001.docs: ends at token 1, "),
        "{error}"
    );
}

#[test]
fn what_cannot_work_is_refused_before_the_first_batch() {
    let dataset = stories();
    let error = |change: fn(&mut LoaderConfig)| {
        let mut config = LoaderConfig::default();
        change(&mut config);
        Loader::new(&open(&dataset), &config, None)
            .unwrap_err()
            .to_string()
    };
    for (text, what) in [
        (error(|c| c.seq_len = 0), "seq_len: must be at least 1"),
        (error(|c| c.stride = Some(0)), "stride: must be at least 1"),
        (
            error(|c| c.batch_size = 0),
            "batch_size: must be at least 1",
        ),
        (error(|c| c.threads = 0), "threads: must be from 1 to 1024"),
        (error(|c| c.depth = 1025), "depth: must be from 1 to 1024"),
        (
            error(|c| c.rank = 1),
            "rank: is 1, of a world size of 1; ranks count from 0",
        ),
        (
            error(|c| c.tail = Tail::Pad),
            "tail: pad needs `window` documents",
        ),
        (
            error(|c| c.batch_size = 1 << 40),
            "batch_size: 1,099,511,627,776 windows of 256 are",
        ),
        (
            error(|c| c.seq_len = 10_000_000),
            "no window of 10000000 and its target; lower `seq_len`",
        ),
        (
            error(|c| (c.drop_last, c.batch_size, c.world_size) = (true, 4096, 1000)),
            "drop_last: would drop everything: ",
        ),
    ] {
        assert!(text.contains(what), "{text}");
    }
    let short = |n_vocab, context_length| {
        let (token, position) = InitialTables::new(1, n_vocab, 2, context_length)
            .tables()
            .unwrap();
        let gatherer = Gatherer::new(token, Some(position)).unwrap();
        let config = LoaderConfig::default();
        Loader::new(&open(&dataset), &config, Some(gatherer))
            .unwrap_err()
            .to_string()
    };
    assert!(
        short(50_000, 256).contains("id 50256"),
        "{}",
        short(50_000, 256)
    );
    assert!(short(50_257, 255).contains("the position table has 255 rows"));

    // The largest windows there may be are refused before their 35 TB are asked for.
    let mut config = LoaderConfig::default();
    (config.seq_len, config.batch_size) = (i32::MAX.cast_unsigned().into(), 1);
    let zeros = Buffer::<f32>::zeroed(50_257 * 4096).unwrap();
    let token = Table::from_buffer(50_257, 4096, zeros).unwrap();
    let gatherer = Gatherer::new(token, None).unwrap();
    let error = Loader::new(&open(&dataset), &config, Some(gatherer)).unwrap_err();
    assert!(error.to_string().contains("no window of 2147483647"));
}

#[test]
fn a_loader_that_is_dropped_or_kept_from_going_on_ends() {
    let dataset = stories();
    let store = open(&dataset);
    for (threads, depth) in [(1, 1), (2, 4), (8, 2)] {
        let mut config = LoaderConfig::default();
        (config.seq_len, config.stride, config.threads, config.depth) =
            (16, Some(1), threads, depth);
        let mut loader = Loader::new(&store, &config, None).unwrap();
        let kept: Vec<_> = loader.by_ref().take(20).map(Result::unwrap).collect();
        let expected = (0..20).flat_map(|batch| batch * 4..batch * 4 + 4);
        assert!(
            kept.iter()
                .flat_map(LoadedBatch::windows)
                .copied()
                .eq(expected)
        );
        drop(loader);
        assert_eq!(Arc::strong_count(&store), 1, "a thread is left");
    }
}
