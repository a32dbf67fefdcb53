//! A place in a store: which objects it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::path::Path as Key;
use object_store::{Error as StoreError, ObjectMeta};

use crate::error::Result;
use crate::remote::failure::refused;
use crate::remote::object::Object;
use crate::remote::requests::Answer;
use crate::remote::store::Store;

/// A place in a store: an object, or those below a prefix.
#[derive(Debug)]
pub(crate) struct Place {
    store: Arc<Store>,
    key: String,
    /// What the store says of this key. `None` if it can only be a prefix.
    look: Option<Look>,
}

type Look = object_store::Result<Answer<object_store::Result<Option<ObjectMeta>>>>;

impl Place {
    /// Begins to ask whether there is an object.
    pub(super) fn new(store: Arc<Store>, key: String) -> Self {
        let is_prefix = key.is_empty() || key.ends_with('/');
        let look = (!is_prefix).then(|| Ok(store.start_look(parse(&key)?)));
        Self { store, key, look }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Whether the objects of its store can be listed.
    pub(crate) fn has_list(&self) -> bool {
        self.store.lists.is_some()
    }

    /// The object or prefix `key` of the store as shown in messages.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.store.path(key)
    }

    /// The object of exactly this key, if there is one. To be called once.
    pub(crate) fn object(&self) -> Result<Option<Arc<Object>>> {
        let failed = |error: &StoreError| refused(&self.path(&self.key), "cannot open", error);
        let meta = match &self.look {
            None => None,
            Some(Ok(look)) => look.wait().map_err(|error| failed(&error))?,
            Some(Err(error)) => return Err(failed(error)),
        };
        Ok(meta.map(|meta| Arc::new(Object::new(Arc::clone(&self.store), meta))))
    }

    /// The objects whose keys are `prefix` and a slash and more, in no particular order. `path` is for
    /// messages.
    pub(crate) fn list(&self, prefix: &str, path: &Path) -> Result<Vec<Arc<Object>>> {
        let failed = |error: StoreError| refused(path, "cannot list", &error);
        let prefix = parse(prefix).map_err(failed)?;
        let prefix = match prefix.as_ref() {
            "" => None,
            prefix => Some(format!("{prefix}/")),
        };
        let Some(lists) = self.store.lists.clone() else {
            return Ok(Vec::new());
        };
        let list = async move { lists.all(prefix.as_deref()).await };
        let listed = self.store.requests.start(list).wait().map_err(failed)?;
        let object = |meta| Arc::new(Object::new(Arc::clone(&self.store), meta));
        Ok(listed.into_iter().map(object).collect())
    }
}

/// `key` as it is, which is not encoded.
fn parse(key: &str) -> object_store::Result<Key> {
    if key.starts_with('/') || key.ends_with("//") {
        // They would be left out silently.
        let source = object_store::path::Error::EmptySegment {
            path: key.to_owned(),
        };
        return Err(StoreError::InvalidPath { source });
    }
    Ok(Key::parse(key)?)
}
