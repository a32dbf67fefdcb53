//! One object, in the state in which it was listed. Whatever is read of it is of that state, or an error.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{Error as StoreError, GetOptions, ObjectMeta};

use crate::error::{Error, Result};
use crate::remote::failure::{changed, unread};
use crate::remote::requests::{Answer, TRIES, wait_before};
use crate::remote::store::Store;

/// With so many bytes more, the tries are counted anew.
const PROGRESS_BYTES: usize = 64 << 10;

/// An object that was listed.
#[derive(Debug)]
pub(crate) struct Object {
    pub(super) store: Arc<Store>,
    meta: ObjectMeta,
}

/// Why a range could not be read, and how much of it was.
#[derive(Debug)]
enum Broken {
    Store(StoreError),
    /// The object is not the one that was listed.
    Changed,
    /// The body ended early.
    Short,
}

impl Object {
    pub(super) fn new(store: Arc<Store>, meta: ObjectMeta) -> Self {
        Self { store, meta }
    }

    /// Its name in the store.
    pub(crate) fn key(&self) -> &str {
        self.meta.location.as_ref()
    }

    /// As shown in messages.
    pub(super) fn path(&self) -> PathBuf {
        self.store.path(self.key())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.meta.size
    }

    pub(crate) fn modified(&self) -> SystemTime {
        SystemTime::from(self.meta.last_modified)
    }

    /// Whether there is an object. Some listings show directories, too, as empty objects.
    pub(crate) fn exists(&self) -> Result<bool> {
        let found = self.store.look(self.meta.location.clone());
        Ok(found
            .map_err(|error| unread(&self.path(), 0, &error))?
            .is_some())
    }

    /// Checks that the object is still as it was listed. What was read of it was, if its store has
    /// tags for states; then nothing is asked.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        if self.meta.e_tag.is_some() {
            return Ok(());
        }
        match self.store.look(self.meta.location.clone()) {
            Ok(Some(now)) if self.is_same(&now) => Ok(()),
            Ok(_) => Err(changed(&self.path(), 0)),
            Err(error) => Err(unread(&self.path(), 0, &error)),
        }
    }

    /// Whether `now`, which came with an answer, is the state that was listed.
    fn is_same(&self, now: &ObjectMeta) -> bool {
        // A header has whole seconds; a listing may have more.
        let has_time = |meta: &ObjectMeta| meta.last_modified.timestamp();
        let is_same_state = match (&self.meta.e_tag, &now.e_tag) {
            (Some(listed), Some(now)) => bare(listed) == bare(now),
            _ => has_time(&self.meta) == has_time(now),
        };
        is_same_state && self.meta.size == now.size
    }

    /// All of the bytes `range`.
    pub(crate) fn read(self: &Arc<Self>, range: Range<u64>) -> Result<Vec<u8>> {
        self.start(range).wait()
    }

    /// Begins to read all of the object, which is small.
    pub(crate) fn read_ahead(self: &Arc<Self>) -> Ahead {
        Ahead(Arc::new(Mutex::new(self.start(0..self.bytes()))))
    }

    /// Begins to read the bytes `range`.
    pub(super) fn start(self: &Arc<Self>, range: Range<u64>) -> Answer<Result<Vec<u8>>> {
        let object = Arc::clone(self);
        self.store.requests.start(async move {
            let mut bytes =
                Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
            match object.fetch(&range, &mut bytes).await {
                Ok(()) => Ok(bytes),
                Err(broken) => Err(object.error(range.start + bytes.len() as u64, &broken)),
            }
        })
    }

    fn error(&self, at: u64, broken: &Broken) -> Error {
        let path = self.path();
        match broken {
            Broken::Changed => changed(&path, at),
            Broken::Store(error) => unread(&path, at, error),
            Broken::Short => Error::Read {
                path,
                offset: at,
                source: std::io::Error::new(
                    std::io::ErrorKind::UnexpectedEof,
                    "the server ends its answers early",
                ),
            },
        }
    }

    /// Appends the bytes `range` to `bytes`, with as many requests as that takes.
    async fn fetch(
        &self,
        range: &Range<u64>,
        bytes: &mut Vec<u8>,
    ) -> std::result::Result<(), Broken> {
        let mut tries = 0;
        let mut counted = 0;
        while (bytes.len() as u64) < range.end - range.start {
            let start = range.start + bytes.len() as u64;
            let broken = match self.fetch_once(start..range.end, bytes).await {
                Ok(()) => continue,
                Err((broken, is_final)) if is_final => return Err(broken),
                Err((broken, _)) => broken,
            };
            if bytes.len() >= counted + PROGRESS_BYTES {
                counted = bytes.len();
                tries = 0;
            }
            tries += 1;
            if tries == TRIES {
                return Err(broken);
            }
            wait_before(tries).await;
        }
        Ok(())
    }

    /// Appends the bytes `range` to `bytes`, as far as one answer brings them. With an error comes
    /// whether it is final.
    async fn fetch_once(
        &self,
        range: Range<u64>,
        bytes: &mut Vec<u8>,
    ) -> std::result::Result<(), (Broken, bool)> {
        let options = GetOptions {
            if_match: self.condition(),
            version: self.meta.version.clone(),
            range: Some(range.clone().into()),
            ..GetOptions::default()
        };
        let got = self
            .store
            .inner
            .get_opts(&self.meta.location, options)
            .await;
        let got = got.map_err(|error| (Broken::Store(error), true))?;
        if !self.is_same(&got.meta) {
            return Err((Broken::Changed, true));
        }
        let expected = bytes.len() as u64 + (range.end - range.start);
        let mut stream = got.into_stream();
        loop {
            let part: Option<Bytes> = match stream.try_next().await {
                Ok(part) => part,
                // A change shows in the answer to the next request.
                Err(error) => return Err((Broken::Store(error), false)),
            };
            match part {
                Some(part) if bytes.len() as u64 + part.len() as u64 > expected => {
                    return Err((Broken::Short, true));
                }
                Some(part) => bytes.extend_from_slice(&part),
                None if bytes.len() as u64 == expected => return Ok(()),
                None => return Err((Broken::Short, false)),
            }
        }
    }

    /// The tag that an answer must have. A weak tag is never equal, so the answer's is compared.
    fn condition(&self) -> Option<String> {
        let tag = self.meta.e_tag.as_ref()?;
        if tag.starts_with("W/") {
            return None;
        }
        // Listings of some stores have no quotes.
        Some(if tag.starts_with('"') {
            tag.clone()
        } else {
            format!("\"{tag}\"")
        })
    }
}

/// A tag without its quotes.
fn bare(tag: &str) -> &str {
    tag.trim_start_matches("W/").trim_matches('"')
}

/// A small object that is being read.
#[derive(Clone, Debug)]
pub(crate) struct Ahead(Arc<Mutex<Answer<Result<Vec<u8>>>>>);

impl Ahead {
    /// Waits for its bytes; to be called once.
    pub(crate) fn take(&self) -> Result<Vec<u8>> {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answer.wait()
    }
}
