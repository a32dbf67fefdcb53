//! All objects below a prefix, page by page: none is left out silently.

use std::sync::Arc;

use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::{Error as StoreError, ObjectMeta};

use crate::remote::failure::breaks_off;
use crate::remote::requests::{TRIES, wait_before};

/// A store that has lists sends at least this many objects at once, unless there are no more.
const PAGE: usize = 1000;

/// The lists of a store.
pub(super) struct Lists {
    store: Arc<dyn PaginatedListStore>,
    /// Whether a list may begin after a key. Then it can be checked that one is whole.
    begins_after: bool,
}

impl Lists {
    pub(super) fn new(store: Arc<dyn PaginatedListStore>, begins_after: bool) -> Self {
        Self {
            store,
            begins_after,
        }
    }

    /// All objects whose keys begin with `prefix`.
    pub(super) async fn all(&self, prefix: Option<&str>) -> object_store::Result<Vec<ObjectMeta>> {
        let mut listed: Vec<ObjectMeta> = Vec::new();
        let mut options = PaginatedListOptions::default();
        loop {
            let page = self.page(prefix, &options).await?;
            let is_full = page.result.objects.len() >= PAGE;
            listed.extend(page.result.objects);
            match page.page_token {
                Some(token) if options.page_token.as_ref() == Some(&token) => {
                    return Err(wrong("repeats itself"));
                }
                Some(token) => options.page_token = Some(token),
                None => {
                    if is_full && self.begins_after {
                        self.check_end(prefix, &listed).await?;
                    }
                    return Ok(listed);
                }
            }
        }
    }

    /// Checks that nothing comes after `listed`. A server that does not know how to send further pages
    /// sends the first one, and nothing says that there are more.
    async fn check_end(
        &self,
        prefix: Option<&str>,
        listed: &[ObjectMeta],
    ) -> object_store::Result<()> {
        // The slash because a key's own is not in its name here.
        let offset = listed.last().map(|last| format!("{}/", last.location));
        let options = PaginatedListOptions {
            offset,
            ..PaginatedListOptions::default()
        };
        let rest = self.page(prefix, &options).await?;
        if rest.result.objects.is_empty() {
            return Ok(());
        }
        Err(wrong("ends early"))
    }

    /// One page. The client of the store tries a request again that fails, but not an answer that
    /// breaks off.
    async fn page(
        &self,
        prefix: Option<&str>,
        options: &PaginatedListOptions,
    ) -> object_store::Result<PaginatedListResult> {
        let mut tries = 0;
        loop {
            match self.store.list_paginated(prefix, options.clone()).await {
                Err(error) if breaks_off(&error) && tries + 1 < TRIES => tries += 1,
                answer => return answer,
            }
            wait_before(tries).await;
        }
    }
}

fn wrong(what: &str) -> StoreError {
    let source = format!("the server's list {what}; name each object in a list of inputs");
    StoreError::Generic {
        store: "",
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::sync::Mutex;

    use object_store::{Error, ListResult, Result};

    use super::*;

    /// Its answers: of each, how many objects it has, and the token of the next page; or no answer.
    type Answers = VecDeque<Option<(usize, Option<&'static str>)>>;

    struct Script(Mutex<Answers>);

    impl PaginatedListStore for Script {
        fn list_paginated<'a, 'b, 'c>(
            &'a self,
            _: Option<&'b str>,
            _: PaginatedListOptions,
        ) -> Pin<Box<dyn Future<Output = Result<PaginatedListResult>> + Send + 'c>>
        where
            'a: 'c,
            'b: 'c,
        {
            let answer = self.0.lock().unwrap().pop_front().expect("an answer");
            let answer = match answer {
                Some((objects, token)) => Ok(PaginatedListResult {
                    result: ListResult {
                        objects: (0..objects).map(object).collect(),
                        common_prefixes: Vec::new(),
                        extensions: PaginatedListOptions::default().extensions,
                    },
                    page_token: token.map(ToOwned::to_owned),
                }),
                None => Err(Error::Generic {
                    store: "",
                    source: "the answer breaks off".into(),
                }),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    fn object(index: usize) -> ObjectMeta {
        ObjectMeta {
            location: format!("{index:04}").into(),
            last_modified: std::time::SystemTime::UNIX_EPOCH.into(),
            size: 0,
            e_tag: None,
            version: None,
        }
    }

    /// How many objects are listed, and how many answers are not asked for; or what is wrong.
    fn count(
        begins_after: bool,
        answers: impl IntoIterator<Item = Option<(usize, Option<&'static str>)>>,
    ) -> std::result::Result<(usize, usize), String> {
        let store = Arc::new(Script(Mutex::new(answers.into_iter().collect())));
        let lists = Lists::new(Arc::clone(&store) as _, begins_after);
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().unwrap();
        let listed = runtime.block_on(lists.all(Some("a/")));
        let left = store.0.lock().unwrap().len();
        let error = |error: Error| std::error::Error::source(&error).unwrap().to_string();
        listed.map(|listed| (listed.len(), left)).map_err(error)
    }

    #[test]
    fn a_list_is_whole_or_an_error() {
        assert_eq!(count(true, [Some((10, None))]), Ok((10, 0)));
        let pages = [Some((PAGE, Some("1"))), Some((10, None))];
        assert_eq!(count(true, pages), Ok((PAGE + 10, 0)));
        // A full last page may be all that the server knows to answer.
        let pages = [Some((PAGE, None)), Some((0, None))];
        assert_eq!(count(true, pages), Ok((PAGE, 0)));
        assert_eq!(count(false, pages), Ok((PAGE, 1)));
        let wrong = count(true, [Some((PAGE, None)), Some((1, None))]);
        assert!(wrong.unwrap_err().contains("list ends early"));
        let wrong = count(true, [Some((1, Some("1"))), Some((1, Some("1")))]);
        assert!(wrong.unwrap_err().contains("list repeats itself"));
    }

    #[test]
    fn a_page_that_breaks_off_is_asked_for_again() {
        assert_eq!(count(true, [None, None, Some((1, None))]), Ok((1, 0)));
        let wrong = count(true, std::iter::repeat_n(None, TRIES as usize));
        assert_eq!(wrong.unwrap_err(), "the answer breaks off");
    }
}
