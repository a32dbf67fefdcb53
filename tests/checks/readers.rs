//! Runs every reader of a dataset, whole or damaged.

use std::path::Path;
use std::sync::Arc;

use shardmill::TokenStore;
use shardmill::dataset::bad_records;
use shardmill::loader::LoaderState;
use shardmill::window::DocumentWindows;
use shardmill::window::Tail;
use shardmill::{Gatherer, Loader, LoaderConfig, Report, Stats, Tokenizer};

/// Reads all of the dataset in `directory`: the result is an error or possibly wrong data, but
/// never data past the end.
pub fn read_all(directory: &Path, encoding: &Tokenizer) -> Option<Arc<TokenStore>> {
    let store = Arc::new(TokenStore::open(directory).ok()?);
    let mut ids = vec![0; usize::try_from(store.n_tokens()).unwrap()];
    store.read(0, &mut ids).unwrap();
    assert!(store.read(1, &mut ids).is_err() || ids.is_empty());
    let _ = encoding.decode_bytes(&ids);
    let _ = bad_records(directory, 9);
    for encoding in [None, Some(encoding)] {
        if let Ok(report) = Report::of(&store, encoding, &Stats::default()) {
            assert_eq!(report.lengths.sum, store.n_tokens());
            assert!(shardmill::page::html(&report).ends_with("</html>\n"));
        }
    }
    for offset in 0..=store.n_tokens() {
        let record = store.document_of(offset).unwrap();
        assert!(record.is_none() || offset < store.n_tokens());
    }
    // At most one document per record.
    let records = store.shards().map(|shard| shard.unwrap().documents().len());
    assert!(store.documents().count() <= records.sum());
    for tail in Tail::ALL {
        let Ok(windows) = DocumentWindows::new(&*store, 2, 1, tail) else {
            continue;
        };
        assert!(windows.len() <= store.n_tokens());
        for i in 0..windows.len() {
            let tokens = windows.window(i).unwrap().tokens;
            assert!(tokens.start < tokens.end && tokens.end <= store.n_tokens());
        }
    }
    Some(store)
}

/// Takes a few batches of `store` from `state` on, which is a loader's state or anything else.
pub fn load(store: &Arc<TokenStore>, config: &LoaderConfig, gatherer: &Gatherer, state: &[u8]) {
    let state = serde_json::from_slice::<LoaderState>(state);
    let mut loaders = vec![Loader::new(store, config, Some(gatherer.clone()))];
    if let Ok(state) = state {
        let loader = Loader::resume(store, config, Some(gatherer.clone()), &state);
        if let Ok(loader) = &loader {
            assert!(state.next_sample() <= loader.n_windows());
        }
        loaders.push(loader);
    }
    for loader in loaders.into_iter().flatten() {
        for batch in loader.take(2).map_while(Result::ok) {
            let ids = batch.rows() * batch.seq_len();
            assert_eq!((batch.inputs().len(), batch.targets().len()), (ids, ids));
        }
    }
}
