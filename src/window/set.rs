//! The windows of a dataset, of either kind, with their ids.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use shardmill_core::choice;
use shardmill_core::show::counted;
use shardmill_core::token::TokenId;

use crate::dataset::TokenStore;
use crate::error::{Error, Result};
use crate::threads::thread_pool;
use crate::window::{DocumentWindows, LeftOut, Tail, Windows};

/// The target of padding: -100 as an `i32`, which PyTorch's `cross_entropy` ignores by default.
pub const IGNORED_TARGET: TokenId = (-100_i32).cast_unsigned();

choice! {
    /// Whether windows stay within documents.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum WindowKind {
        /// All documents form one stream, and windows cross their ends.
        #[default]
        Stream = "stream",
        /// A window lies within one document.
        Documents = "documents",
    }
}

impl WindowKind {
    /// Checks that windows of this kind can have `tail`.
    ///
    /// # Errors
    /// [`Error::Config`] for padding without documents.
    pub fn check_tail(self, tail: Tail) -> Result<()> {
        match (self, tail) {
            (Self::Stream, Tail::Pad) => Err(Error::config(
                "tail",
                "pad needs `window` documents; a stream has one tail, which is left out",
            )),
            _ => Ok(()),
        }
    }
}

/// The windows of a dataset.
#[derive(Debug)]
pub(crate) struct WindowSet<S> {
    store: S,
    kind: Kind<S>,
    seq_len: u64,
}

#[derive(Debug)]
enum Kind<S> {
    Stream(Windows),
    Documents(DocumentWindows<S>),
}

/// Where the ids of a window come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The document, if windows stay within documents.
    pub(crate) document: Option<u64>,
    /// The offset in the dataset of the first input.
    pub(crate) start: u64,
    /// How many inputs come from the dataset; the rest is padding.
    pub(crate) inputs: usize,
}

impl<S: Deref<Target = TokenStore> + Clone + Send + Sync> WindowSet<S> {
    /// The windows of `store`. If its documents must be read, uses `threads` threads.
    ///
    /// # Errors
    /// Those of [`Windows::new`], [`DocumentWindows::new`] and [`WindowKind::check_tail`];
    /// [`Error::Threads`] if the threads cannot start.
    pub(crate) fn new(
        store: S,
        (seq_len, stride): (u64, u64),
        kind: WindowKind,
        tail: Tail,
        threads: usize,
    ) -> Result<Self> {
        kind.check_tail(tail)?;
        if tail == Tail::Pad && store.manifest().encoding.end_of_text.is_none() {
            return Err(Error::config(
                "tail",
                "pad needs an end-of-text token, which the dataset's tokenizer does not have",
            ));
        }
        let kind = match kind {
            WindowKind::Stream => Kind::Stream(Windows::new(store.n_tokens(), seq_len, stride)?),
            WindowKind::Documents => {
                let new = || DocumentWindows::new(store.clone(), seq_len, stride, tail);
                Kind::Documents(thread_pool(threads)?.install(new)?)
            }
        };
        Ok(Self {
            store,
            kind,
            seq_len,
        })
    }

    /// The dataset.
    pub(crate) fn store(&self) -> &TokenStore {
        &self.store
    }

    /// Refuses a dataset without windows.
    ///
    /// # Errors
    /// [`Error::Input`] says what it has instead.
    pub(crate) fn check_not_empty(&self) -> Result<()> {
        if self.len() > 0 {
            return Ok(());
        }
        let n_tokens = self.store.n_tokens();
        let tokens = counted(n_tokens, "token");
        let seq_len = self.seq_len;
        let (what, hint) = match &self.kind {
            Kind::Stream(_) if n_tokens > 1 => (
                format!("has {tokens}, no window of {seq_len} and its target"),
                format!("lower `seq_len` to {} or less", n_tokens - 1),
            ),
            Kind::Stream(_) => (
                format!("has {tokens}, no window and its target, whatever `seq_len`"),
                "add more text".to_owned(),
            ),
            Kind::Documents(windows) => (
                format!(
                    "has {tokens} in {}, none of them with a window of {seq_len} and its target",
                    counted(windows.left_out().documents, "document"),
                ),
                match windows.tail() {
                    Tail::Drop => "lower `seq_len` or use `tail` pad".to_owned(),
                    Tail::Pad => "lower `seq_len`".to_owned(),
                },
            ),
        };
        Err(Error::input(self.store.path(), (what, hint)))
    }

    /// The number of windows.
    pub(crate) fn len(&self) -> u64 {
        match &self.kind {
            Kind::Stream(windows) => windows.len(),
            Kind::Documents(windows) => windows.len(),
        }
    }

    /// The documents and tokens in no window; `None` for documents if windows form a stream.
    pub(crate) fn left_out(&self) -> (Option<u64>, u64) {
        match &self.kind {
            Kind::Stream(windows) => (None, windows.n_left_out()),
            Kind::Documents(windows) => {
                let LeftOut { documents, tokens } = windows.left_out();
                (Some(documents), tokens)
            }
        }
    }

    /// The number of tokens that are an input of more than one window.
    pub(crate) fn n_repeated(&self) -> u64 {
        match &self.kind {
            Kind::Stream(windows) => windows.n_repeated(),
            Kind::Documents(windows) => windows.n_repeated(),
        }
    }

    /// Fills `inputs` and `targets`, of `seq_len` ids each, with those of window `i`.
    ///
    /// # Errors
    /// [`Error::Shard`] if an id is beyond the vocabulary, or the document records changed.
    ///
    /// # Panics
    /// If there is no window `i`.
    pub(crate) fn read(
        &self,
        i: u64,
        inputs: &mut [TokenId],
        targets: &mut [TokenId],
    ) -> Result<Origin> {
        let (document, tokens) = match &self.kind {
            Kind::Stream(windows) => {
                let inputs = windows.inputs(i);
                (None, inputs.start..inputs.end + 1)
            }
            Kind::Documents(windows) => {
                let window = windows.window(i)?;
                (Some(window.document), window.tokens)
            }
        };
        let start = tokens.start;
        let n_tokens = tokens.end - start;
        // Both are at most `seq_len`, the length of the slices.
        let n_targets = usize::try_from(n_tokens - 1).unwrap_or(targets.len());
        let n_inputs = usize::try_from(n_tokens.min(self.seq_len)).unwrap_or(inputs.len());
        self.store.read(start, &mut inputs[..n_inputs])?;
        self.store.read(start + 1, &mut targets[..n_targets])?;
        self.check(&inputs[..1])?;
        self.check(&targets[..n_targets])?;
        inputs[n_inputs..].fill(
            self.store
                .manifest()
                .encoding
                .end_of_text
                .unwrap_or_default(),
        );
        targets[n_targets..].fill(IGNORED_TARGET);
        Ok(Origin {
            document,
            start,
            inputs: n_inputs,
        })
    }

    /// Checks that every id has a row in the tables that were opened for the vocabulary.
    fn check(&self, ids: &[TokenId]) -> Result<()> {
        let n_vocab = self.store.manifest().encoding.n_vocab;
        // Finding the maximum is vectorized.
        match ids.iter().copied().max() {
            Some(id) if id >= n_vocab => Err(Error::shard(
                self.store.path(),
                (
                    format!("id {id} is beyond the vocabulary of {n_vocab}"),
                    "`verify` says what is damaged",
                ),
            )),
            _ => Ok(()),
        }
    }
}
