//! A URL -> sources: an object, those below a prefix, or those that match a pattern. The rules for names
//! are those of directories.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardmill_core::hash::Hash128;

use crate::corpus::Kind;
use crate::corpus::list::{Listed, Listing, Named, refuse};
use crate::corpus::pattern::is_pattern;
use crate::corpus::report::SkippedFiles;
use crate::corpus::select::{Filter, Selection, is_hidden};
use crate::error::{Error, Result};
use crate::remote::{Object, Place};

impl Listing {
    /// Adds the objects that the URL `argument` names, at `place`.
    pub(super) fn add_url(&mut self, argument: &OsStr, place: &Place) -> Result<()> {
        let key = place.key();
        let path = place.path(key);
        let is_prefix = key.is_empty() || key.ends_with('/');
        if !is_prefix && let Some(object) = place.object()? {
            if object.bytes() == 0
                && place.has_list()
                && !place.list(&format!("{key}/"), &path)?.is_empty()
            {
                let what = "is an empty object, and there are objects below it";
                let hint = "to read those, put '/' after the URL";
                return Err(Error::input(&path, (what, hint)));
            }
            let start = key.rfind('/').map_or(0, |slash| slash + 1);
            let base = self.corpus.add_base(place.path(&key[..start]));
            // A web server's query may say which object it is. It has secrets, and stays here.
            let query = argument.as_encoded_bytes();
            let query = if place.has_list() { b"" } else { query };
            let listed = self.listed(base, key[start..].to_owned(), &object, query)?;
            return self.push(listed);
        }
        let missing = |what: &str| {
            let error = io::Error::new(ErrorKind::NotFound, what);
            Err(Error::io(&path, "cannot open")(error))
        };
        if !place.has_list() {
            return missing("the server has no such object");
        }
        let (prefix, selection) = if is_pattern(key.as_ref()) {
            let (prefix, pattern) = split_base(key);
            let selection = Selection::matching(pattern.as_ref());
            (
                prefix.to_owned(),
                selection.map_err(|what| refuse(&path, what))?,
            )
        } else if is_prefix {
            (key.to_owned(), Selection::everything())
        } else {
            (format!("{key}/"), Selection::everything())
        };
        let objects = place.list(&prefix, &path)?;
        if objects.is_empty() && !is_prefix && !is_pattern(key.as_ref()) {
            return missing("there is no such object, and none below it");
        }
        let base = place.path(&prefix);
        let (chosen, skipped) = self.choose(&base, &prefix, objects, &selection)?;
        if chosen.is_empty() {
            let left_out = skipped.describe(|count| count.to_string());
            let left_out = left_out.map_or_else(String::new, |what| format!("; left out: {what}"));
            let what = if is_pattern(key.as_ref()) {
                "no object has this name or matches this pattern"
            } else {
                "has no objects to read"
            };
            return Err(refuse(&path, format!("{what}{left_out}")));
        }
        self.corpus.report.left_out.add(skipped);
        let base = self.corpus.add_base(base);
        let listed = self.crew.map(&chosen, |object| {
            self.listed(base, object.key()[prefix.len()..].to_owned(), object, b"")
        });
        listed.into_iter().try_for_each(|listed| self.push(listed?))
    }

    /// The source that `object` becomes, which has the name `relative` below its argument.
    fn listed(
        &self,
        base: usize,
        relative: String,
        object: &Arc<Object>,
        query: &[u8],
    ) -> Result<Listed> {
        let path = self.corpus.base(base).join(&relative);
        // Two objects are one if their URLs are equal.
        let [high, low] = {
            let url = [path.as_os_str().as_encoded_bytes(), query].concat();
            let id = Hash128::of(&url).number().to_be_bytes();
            let halves = id.as_chunks::<8>().0;
            [halves[0], halves[1]].map(u64::from_be_bytes)
        };
        let named = Named {
            base,
            relative: relative.into(),
            kind: Kind::File {
                bytes: object.bytes(),
                modified: Some(object.modified()),
            },
            object: Some(Arc::clone(object)),
            id: (high, low),
        };
        named.listed(self.formats, &|| path.clone())
    }

    /// Those of `objects`, below `prefix`, that are selected, in the order of the names' bytes, and what
    /// was left out.
    fn choose(
        &self,
        base: &Path,
        prefix: &str,
        mut objects: Vec<Arc<Object>>,
        selection: &Selection,
    ) -> Result<(Vec<Arc<Object>>, SkippedFiles)> {
        objects.sort_unstable_by(|a, b| {
            let is_empty = |object: &Object| object.bytes() == 0;
            let by_key = a.key().as_bytes().cmp(b.key().as_bytes());
            by_key.then(is_empty(a).cmp(&is_empty(b)))
        });
        // The slash at the end of a directory's key does not show, so that an object may have the same.
        objects.dedup_by(|later, object| later.bytes() == 0 && later.key() == object.key());
        if let Some([_, object]) = objects.array_windows().find(|[a, b]| a.key() == b.key()) {
            let what = "is the name of two objects, as a slash at the start or the end of a key does \
                        not show";
            return Err(Error::input(
                base.join(&object.key()[prefix.len()..]),
                (what, "rename one"),
            ));
        }
        // A listing may show a directory as an empty object.
        let is_there = self.crew.map(&objects, |object| match object.bytes() {
            0 => object.exists(),
            _ => Ok(true),
        });
        let mut chosen = Vec::new();
        let mut skipped = SkippedFiles::default();
        // Of a directory that is left out, each object says so.
        let (mut hidden, mut excluded) = (BTreeSet::<PathBuf>::new(), BTreeSet::<PathBuf>::new());
        for (object, is_there) in objects.into_iter().zip(is_there) {
            if !is_there? {
                continue;
            }
            match fate(
                &object.key()[prefix.len()..],
                selection,
                &self.corpus.filter,
            ) {
                Fate::Chosen => chosen.push(object),
                Fate::Other => {}
                Fate::Hidden(name) => {
                    hidden.insert(base.join(name));
                }
                Fate::Excluded(name) => {
                    excluded.insert(base.join(name));
                }
            }
        }
        for path in &hidden {
            skipped.hidden.add(path);
        }
        for path in &excluded {
            skipped.excluded.add(path);
        }
        Ok((chosen, skipped))
    }
}

/// What becomes of an object; what is left out may be a directory above it.
enum Fate<'a> {
    Chosen,
    /// It is not selected.
    Other,
    Hidden(&'a str),
    Excluded(&'a str),
}

fn fate<'a>(relative: &'a str, selection: &Selection, filter: &Filter) -> Fate<'a> {
    let mut state = selection.start();
    let mut start = 0;
    loop {
        let end = relative[start..].find('/').map(|length| start + length);
        let above = &relative[..end.unwrap_or(relative.len())];
        let name = OsStr::new(&above[start..]);
        let is_dir = end.is_some();
        if !selection.means(&state, name, false, is_dir) {
            let is_meant = is_hidden(name) && selection.means(&state, name, true, is_dir);
            return if is_meant {
                Fate::Hidden(above)
            } else {
                Fate::Other
            };
        }
        if filter.excludes(above.as_ref()) || !(is_dir || filter.includes(above.as_ref())) {
            return Fate::Excluded(above);
        }
        let Some(end) = end else {
            return Fate::Chosen;
        };
        state = selection.below(&state, name);
        start = end + 1;
    }
}

/// Splits `key` after the last slash before its first name with a wildcard.
fn split_base(key: &str) -> (&str, &str) {
    let mut start = 0;
    for name in key.split_inclusive('/') {
        if is_pattern(name.as_ref()) || name.contains('\\') {
            break;
        }
        start += name.len();
    }
    key.split_at(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_ends_before_the_first_wildcard() {
        for (key, split) in [
            ("a/b/*.txt", ("a/b/", "*.txt")),
            ("*", ("", "*")),
            ("a/[b]/c", ("a/", "[b]/c")),
            ("a\\*/b*", ("", "a\\*/b*")),
        ] {
            assert_eq!(split_base(key), split);
        }
    }

    #[test]
    fn what_is_left_out_is_the_first_name_that_is() {
        let fate = |relative: &'static str, pattern: Option<&str>, exclude: &str| {
            let selection = match pattern {
                Some(pattern) => Selection::matching(pattern.as_ref()).unwrap(),
                None => Selection::everything(),
            };
            let exclude: Vec<_> = exclude.split_whitespace().map(Into::into).collect();
            match super::fate(relative, &selection, &Filter::new(&[], &exclude).unwrap()) {
                Fate::Chosen => "chosen",
                Fate::Other => "other",
                Fate::Hidden(name) | Fate::Excluded(name) => name,
            }
        };
        assert_eq!(fate("a/b.txt", None, ""), "chosen");
        assert_eq!(fate("a/.b/c.txt", None, ""), "a/.b");
        assert_eq!(fate("a/_SUCCESS", None, ""), "a/_SUCCESS");
        assert_eq!(fate("a/b/c.txt", None, "b"), "a/b");
        assert_eq!(fate("a/b.txt", Some("a/*.md"), ""), "other");
        assert_eq!(fate("a/.b.txt", Some("a/.*"), ""), "chosen");
        assert_eq!(fate("a/b/c.txt", Some("a"), ""), "chosen");
    }
}
