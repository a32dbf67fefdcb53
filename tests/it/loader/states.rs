//! What a loader refuses, and where it resumes.

use super::*;

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
            (embed.windows.seq_len, embed.windows.stride, embed.dtype) = (100, Some(70), dtype);
            (
                embed.windows.window,
                embed.windows.tail,
                embed.windows.shuffle,
            ) = (window, tail, Some(7));
            embed.windows.epoch = 2;
            (embed.init_seed, embed.dim) = (Some(123), Some(5));
            let mut sink = MemorySink::default();
            embed_to(&dataset.store, &embed, &mut sink, &Stats::default()).unwrap();

            let mut config = LoaderConfig::default();
            (config.windows.seq_len, config.windows.stride, config.dtype) = (100, Some(70), dtype);
            (
                config.windows.window,
                config.windows.tail,
                config.windows.batch_size,
            ) = (window, tail, 6);
            (config.windows.shuffle, config.windows.epoch, config.threads) = (Some(7), 2, 2);
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
    (config.windows.seq_len, config.windows.batch_size) = (16, 4);
    (config.windows.shuffle, config.windows.shuffle_order) = (Some(1), ShuffleOrder::Keyed);
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
    (config.windows.seq_len, config.windows.stride) = (16, Some(8));
    (config.windows.shuffle, config.windows.window) = (Some(5), WindowKind::Documents);
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
        (
            |c| c.windows.seq_len = 32,
            "`seq_len` 16, the loader has 32",
        ),
        (|c| c.windows.stride = None, "`stride` 8, the loader has 16"),
        (
            |c| c.windows.window = WindowKind::Stream,
            "`window` documents, the loader has stream",
        ),
        (
            |c| c.windows.tail = Tail::Pad,
            "`tail` drop, the loader has pad",
        ),
        (
            |c| c.windows.shuffle = Some(6),
            "`shuffle` 5, the loader has 6",
        ),
        (
            |c| c.windows.shuffle = None,
            "`shuffle` 5, the loader has none",
        ),
        (
            |c| c.windows.shuffle_order = ShuffleOrder::Keyed,
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

    // Settings that do not shape samples may change.
    let mut other = config.clone();
    (
        other.windows.batch_size,
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
        (config.windows.seq_len, config.windows.batch_size) = (10, 4);
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
    (config.windows.seq_len, config.windows.batch_size) = (10, 1);
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
        (
            error(|c| c.windows.seq_len = 0),
            "seq_len: must be at least 1",
        ),
        (
            error(|c| c.windows.stride = Some(0)),
            "stride: must be at least 1",
        ),
        (
            error(|c| c.windows.batch_size = 0),
            "batch_size: must be at least 1",
        ),
        (error(|c| c.threads = 0), "threads: must be from 1 to 1024"),
        (error(|c| c.depth = 1025), "depth: must be from 1 to 1024"),
        (
            error(|c| c.rank = 1),
            "rank: is 1, of a world size of 1; ranks count from 0",
        ),
        (
            error(|c| c.windows.tail = Tail::Pad),
            "tail: pad needs `window` documents",
        ),
        (
            error(|c| c.windows.batch_size = 1 << 40),
            "batch_size: 1,099,511,627,776 windows of 256 are",
        ),
        (
            error(|c| c.windows.seq_len = 10_000_000),
            "no window of 10000000 and its target; lower `seq_len`",
        ),
        (
            error(|c| {
                (c.windows.drop_last, c.windows.batch_size, c.world_size) = (true, 4096, 1000);
            }),
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

    // The largest possible windows are refused before their 35 TB are allocated.
    let mut config = LoaderConfig::default();
    (config.windows.seq_len, config.windows.batch_size) = (i32::MAX.cast_unsigned().into(), 1);
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
        (
            config.windows.seq_len,
            config.windows.stride,
            config.threads,
            config.depth,
        ) = (16, Some(1), threads, depth);
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
