//! Selects the entries of a directory that the patterns match, from one directory to the next.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::corpus::pattern::{self, Component, characters};

/// What an argument selects below a directory.
#[derive(Debug)]
pub(super) struct Selection {
    patterns: Vec<Vec<Component>>,
}

/// How far the patterns have matched in one directory. A pattern that has reached its end selects
/// everything below.
#[derive(Clone, Debug, Default)]
pub(super) struct State(Vec<At>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    pattern: usize,
    component: usize,
    /// Whether an entry has exactly the name that is written, so that only this entry is selected.
    is_literal: bool,
}

/// What Spark and pyarrow write next to data, which is not data.
const MARKERS: [&[u8]; 3] = [b"_SUCCESS", b"_metadata", b"_common_metadata"];

/// Whether a name begins with a dot, or is that of a marker.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".") || MARKERS.contains(&name)
}

impl Selection {
    /// All files at any depth that are not hidden.
    pub(super) fn everything() -> Self {
        Self {
            patterns: vec![vec![Component::Directories]],
        }
    }

    /// What `pattern` matches, and everything below directories that it matches.
    ///
    /// # Errors
    /// Says what is wrong with the pattern.
    pub(super) fn matching(pattern: &OsStr) -> Result<Self, String> {
        let patterns = pattern::parse(pattern)?;
        Ok(Self { patterns })
    }

    /// The state in the directory where the patterns begin.
    pub(super) fn start(&self) -> State {
        let mut state = State::default();
        for pattern in 0..self.patterns.len() {
            self.reach(&mut state, pattern, 0);
        }
        state
    }

    /// Adds a position in a pattern, and those that `**` reaches from it by matching no directory.
    fn reach(&self, state: &mut State, pattern: usize, component: usize) {
        let at = At {
            pattern,
            component,
            is_literal: false,
        };
        if state.0.contains(&at) {
            return;
        }
        state.0.push(at);
        let components = &self.patterns[pattern];
        let is_any = components.get(component) == Some(&Component::Directories);
        if is_any && component + 1 < components.len() {
            self.reach(state, pattern, component + 1);
        }
    }

    /// If an entry of `directory` has exactly the name that a pattern is written as, the pattern
    /// selects only that entry.
    pub(super) fn prefer_literal(&self, state: &mut State, directory: &Path) {
        for at in &mut state.0 {
            if let Some(Component::Name(name)) = self.patterns[at.pattern].get(at.component)
                && pattern::is_pattern(OsStr::new(&name.text))
            {
                at.is_literal = directory.join(&name.text).symlink_metadata().is_ok();
            }
        }
    }

    /// Whether the entry `name` of a directory in `state` is selected: as a file or, if `is_dir`,
    /// for what may be below it. A hidden name must be asked for, unless `takes_hidden`.
    pub(super) fn means(
        &self,
        state: &State,
        name: &OsStr,
        takes_hidden: bool,
        is_dir: bool,
    ) -> bool {
        let may_be_any = takes_hidden || !is_hidden(name);
        let name = characters(name);
        // A final `**` selects files, too, and so does everything below a pattern's end.
        state.0.iter().any(|at| {
            let is_last = at.component + 1 >= self.patterns[at.pattern].len();
            (is_dir || is_last) && self.leads_to(*at, &name, may_be_any).is_some()
        })
    }

    /// The state in the selected directory `name` of a directory in `state`.
    pub(super) fn below(&self, state: &State, name: &OsStr) -> State {
        let may_be_any = !is_hidden(name);
        let name = characters(name);
        let mut below = State::default();
        for at in &state.0 {
            if let Some(next) = self.leads_to(*at, &name, may_be_any) {
                self.reach(&mut below, at.pattern, next);
            }
        }
        below
    }

    /// The component with which a pattern continues below the entry `name`, if that is selected.
    fn leads_to(&self, at: At, name: &str, may_be_any: bool) -> Option<usize> {
        let (is_meant, next) = match self.patterns[at.pattern].get(at.component) {
            None | Some(Component::Directories) => (may_be_any, at.component),
            Some(Component::Name(wanted)) if at.is_literal => {
                (wanted.text == name, at.component + 1)
            }
            Some(Component::Name(wanted)) => (
                (may_be_any || wanted.is_hidden()) && wanted.matches(name),
                at.component + 1,
            ),
        };
        is_meant.then_some(next)
    }
}

/// Patterns that say which files of directories and globs are read and which are not.
///
/// A pattern without a slash matches a name at any depth, one with a slash the path relative to the
/// argument. A pattern that matches a directory applies to everything in it.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// If empty, everything is included.
    include: Vec<Wanted>,
    exclude: Vec<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    components: Vec<Component>,
    /// Whether it matches a name at any depth.
    is_name: bool,
}

impl Filter {
    /// # Errors
    /// Returns the invalid pattern and what is wrong with it.
    pub(super) fn new(
        include: &[OsString],
        exclude: &[OsString],
    ) -> Result<Self, (OsString, String)> {
        Ok(Self {
            include: wanted(include)?,
            exclude: wanted(exclude)?,
        })
    }

    /// Whether the entry at `relative` is left out, whatever its kind.
    pub(super) fn excludes(&self, relative: &OsStr) -> bool {
        if self.exclude.is_empty() {
            return false;
        }
        let names = names(relative);
        self.exclude.iter().any(|wanted| wanted.matches(&names))
    }

    /// Whether the file at `relative`, which is not excluded, is included.
    pub(super) fn includes(&self, relative: &OsStr) -> bool {
        if self.include.is_empty() {
            return true;
        }
        let names = names(relative);
        (1..=names.len()).any(|depth| {
            let above = &names[..depth];
            self.include.iter().any(|wanted| wanted.matches(above))
        })
    }
}

fn wanted(patterns: &[OsString]) -> Result<Vec<Wanted>, (OsString, String)> {
    let mut found = Vec::new();
    for typed in patterns {
        let mut trimmed = typed.as_bytes();
        while let Some(shorter) = trimmed.strip_suffix(b"/") {
            trimmed = shorter;
        }
        let refuse = |what: String| (typed.clone(), what);
        if trimmed.is_empty() {
            return Err(refuse("is empty".to_owned()));
        }
        let alternatives = pattern::parse(OsStr::from_bytes(trimmed)).map_err(refuse)?;
        let is_name = !trimmed.contains(&b'/');
        found.extend(alternatives.into_iter().map(|components| Wanted {
            components,
            is_name,
        }));
    }
    Ok(found)
}

fn names(relative: &OsStr) -> Vec<Cow<'_, str>> {
    let names = relative.as_bytes().split(|&byte| byte == b'/');
    names
        .map(|name| characters(OsStr::from_bytes(name)))
        .collect()
}

impl Wanted {
    fn matches(&self, names: &[Cow<'_, str>]) -> bool {
        if self.is_name {
            return path_matches(&self.components, &names[names.len() - 1..]);
        }
        path_matches(&self.components, names)
    }
}

fn path_matches(components: &[Component], names: &[Cow<'_, str>]) -> bool {
    match components {
        [] => names.is_empty(),
        [Component::Directories] => !names.is_empty(),
        [Component::Directories, rest @ ..] => {
            (0..names.len()).any(|skipped| path_matches(rest, &names[skipped..]))
        }
        [Component::Name(wanted), rest @ ..] => names
            .split_first()
            .is_some_and(|(name, below)| wanted.matches(name) && path_matches(rest, below)),
    }
}
