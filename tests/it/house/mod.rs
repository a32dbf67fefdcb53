//! The arrows between the rooms of each crate, and that no two files of a room use each other.

mod planted;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A room, with the rooms of its crate that it may use, all of which are above it in its table.
type Room = (&'static str, &'static [&'static str]);

/// The crates, each with its directory and its rooms. Cargo holds the arrows between crates.
const CRATES: [(&str, &[Room]); 3] = [
    ("crates/core", &CORE),
    ("crates/tokenizer", &TOKENIZER),
    (".", &SHARDMILL),
];

const CORE: [Room; 8] = [
    ("choice", &[]),
    ("show", &[]),
    ("token", &[]),
    ("hash", &[]),
    ("system", &[]),
    ("dtype", &["choice"]),
    ("map", &["dtype", "show"]),
    ("simd", &["dtype", "show"]),
];

const TOKENIZER: [Room; 5] = [
    ("error", &[]),
    ("pretoken", &[]),
    ("bpe", &["pretoken"]),
    ("definition", &["bpe", "pretoken"]),
    ("tokenizer", &["bpe", "definition", "error", "pretoken"]),
];

const SHARDMILL: [Room; 26] = [
    ("guard", &[]),
    ("fault", &["guard"]),
    ("times", &[]),
    ("progress", &["times"]),
    ("error", &[]),
    ("remote", &["error"]),
    ("threads", &["error"]),
    ("hash", &["progress"]),
    ("compression", &["error", "hash"]),
    ("document", &["error"]),
    ("columnar", &["document", "error", "guard", "remote"]),
    ("publish", &["error", "hash"]),
    (
        "dataset",
        &[
            "compression",
            "document",
            "error",
            "hash",
            "progress",
            "publish",
        ],
    ),
    ("report", &["dataset", "error", "hash", "progress"]),
    ("page", &["document", "error", "publish", "report"]),
    ("table", &["error"]),
    ("window", &["dataset", "error", "table", "threads"]),
    ("gather", &["error", "table", "threads"]),
    ("sink", &["error", "progress", "publish", "table"]),
    ("outputs", &["dataset", "publish", "sink"]),
    (
        "shuffle",
        &[
            "dataset", "document", "error", "hash", "outputs", "progress", "publish", "sink",
            "threads", "window",
        ],
    ),
    (
        "corpus",
        &[
            "columnar",
            "compression",
            "document",
            "error",
            "remote",
            "threads",
        ],
    ),
    (
        "pipeline",
        &[
            "columnar",
            "compression",
            "corpus",
            "dataset",
            "document",
            "error",
            "hash",
            "outputs",
            "progress",
            "publish",
            "remote",
            "threads",
            "times",
        ],
    ),
    ("loader", &["dataset", "error", "gather", "window"]),
    (
        "embed",
        &[
            "corpus", "dataset", "error", "gather", "hash", "outputs", "pipeline", "progress",
            "publish", "sink", "table", "threads", "window",
        ],
    ),
    (
        "bench",
        &[
            "corpus", "error", "gather", "pipeline", "progress", "publish", "sink", "table",
            "threads", "times",
        ],
    ),
];

/// A file of `src/` by its module path, such as `bpe::cache`.
type Module = String;

/// The source of each file of a crate, without comments and tests.
type Sources = BTreeMap<Module, String>;

fn sources(directory: &str) -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let src = root.join(directory).join("src");
    let mut found = BTreeMap::new();
    let mut directories = vec![src.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs")
            {
                let module = module(path.strip_prefix(&src).unwrap());
                found.insert(module, code(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// The module of a file, whose path is relative to `src/`.
fn module(path: &Path) -> Module {
    let path = path.with_extension("");
    let is_face = path.ends_with("mod");
    let path = if is_face {
        path.parent().unwrap()
    } else {
        &path
    };
    path.to_str().unwrap().replace('/', "::")
}

fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().map(|line| {
        // Two slashes in a string do not begin a comment.
        let mut comments = line.match_indices("//").map(|(at, _)| &line[..at]);
        let is_outside = |before: &&str| before.matches('"').count().is_multiple_of(2);
        comments.find(is_outside).unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a use tree, such as `a::{b, c::d}`.
fn leaves(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((prefix, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap();
        return vec![path.trim().to_owned()];
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let mut depth = 0;
    let parts = group.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts
        .filter(|part| !part.trim().is_empty())
        .flat_map(leaves)
        .map(|leaf| format!("{prefix}{leaf}"))
        .map(|leaf| leaf.trim_end_matches("::self").to_owned())
        .collect()
}

/// The paths in `code` that begin with one of `starts`, such as `crate::`.
fn paths(code: &str, starts: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in starts {
        for (at, _) in code.match_indices(start) {
            let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            if code[..at].ends_with(is_word) {
                continue;
            }
            let rest = &code[at..];
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            if rest[end..].starts_with('{') {
                found.extend(leaves(&rest[..rest.find(';').unwrap()]));
            } else {
                found.insert(rest[..end].trim_end_matches(':').to_owned());
            }
        }
    }
    found
}

/// The absolute segments of `path`, which occurs in `module`.
fn absolute(path: &str, module: &str) -> Vec<String> {
    let mut base: Vec<_> = module.split("::").map(str::to_owned).collect();
    let mut segments = path.split("::").peekable();
    match segments.next() {
        Some("crate" | "shardmill") => base.clear(),
        Some("super") => drop(base.pop()),
        _ => {}
    }
    while segments.next_if_eq(&"super").is_some() {
        base.pop();
    }
    base.extend(segments.map(str::to_owned));
    base
}

/// The file that a face takes each of its names from, by `(face, name)`; `None` if from another
/// crate. The face of the crate is `lib`.
fn exports(sources: &Sources) -> BTreeMap<(Module, String), Option<Module>> {
    let mut found = BTreeMap::new();
    for (module, code) in sources {
        for statement in code.split(';') {
            let Some((_, tree)) = statement.rsplit_once("use ") else {
                continue;
            };
            for leaf in leaves(tree) {
                let Some((from, name)) = leaf.rsplit_once("::") else {
                    continue;
                };
                let is_relative = ["crate", "super", "self"].iter().any(|start| {
                    let rest = from.strip_prefix(start);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
                });
                let from = match (is_relative, &**module) {
                    (true, _) => absolute(from, module).join("::"),
                    (false, "lib") => from.to_owned(),
                    (false, _) => format!("{module}::{from}"),
                };
                let is_here = sources.contains_key(&from);
                if is_here || leaf.starts_with("shardmill_") {
                    let key = (module.clone(), name.to_owned());
                    found.insert(key, Some(from).filter(|_| is_here));
                }
            }
        }
    }
    found
}

/// Which files each file uses.
///
/// # Panics
/// If a path leads nowhere.
fn uses(sources: &Sources) -> BTreeMap<Module, BTreeSet<Module>> {
    let exports = exports(sources);
    let macros: BTreeMap<_, _> = sources
        .iter()
        .flat_map(|(module, code)| {
            let names = code.split("macro_rules! ").skip(1);
            names.map(move |rest| (rest.split_whitespace().next().unwrap(), module))
        })
        .collect();
    // `None` if there is none; else the file, unless it is in another crate.
    let owner = |segments: &[String]| {
        let lengths = (1..=segments.len()).rev();
        let mut modules = lengths.map(|length| (segments[..length].join("::"), length));
        let face = modules.find(|(module, _)| sources.contains_key(module));
        let (face, length) = face.unwrap_or_else(|| ("lib".to_owned(), 0));
        let Some(name) = segments.get(length) else {
            return Some(Some(face));
        };
        let mut key = (face, name.clone());
        while let Some(from) = exports.get(&key) {
            let Some(from) = from else {
                return Some(None);
            };
            key.0.clone_from(from);
        }
        match length {
            0 if key.0 == "lib" => macros.get(name.as_str()).copied().cloned().map(Some),
            _ => Some(Some(key.0)),
        }
    };
    let used_by = |module: &Module, code: &str| {
        // The program, whose files are beside those of the library, calls that by its name.
        let starts = ["crate::", "super::", "self::", "shardmill::"].map(str::to_owned);
        let own = paths(code, &starts);
        for path in own.iter().filter(|path| path.starts_with("crate::")) {
            let is_known = owner(&absolute(path, module)).is_some();
            assert!(is_known, "{path}, in {module}, leads nowhere");
        }
        let mut used: Vec<_> = own.iter().map(|path| absolute(path, module)).collect();
        // What is used through a module that was imported as such.
        for imported in used.clone() {
            if sources.contains_key(&imported.join("::")) {
                let start = format!("{}::", imported.last().unwrap());
                let through = paths(code, &[start]).into_iter().map(|path| {
                    let rest = path.split("::").skip(1).map(str::to_owned);
                    imported.iter().cloned().chain(rest).collect()
                });
                used.extend(through);
            }
        }
        let owners = used.iter().filter_map(|path| owner(path)?);
        owners.filter(|used| used != module).collect()
    };
    sources
        .iter()
        .map(|(module, code)| (module.clone(), used_by(module, code)))
        .collect()
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap()
}

/// A path from `from` back to itself.
fn circle(from: &Module, uses: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut ways = vec![vec![from.clone()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in uses.get(way.last().unwrap()).into_iter().flatten() {
            if next == from {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push([&way[..], std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

/// What is wrong with the rooms of a crate: those that use others than the table allows, or that
/// the table lacks.
fn wrong_rooms(sources: &Sources, rooms: &[Room]) -> Vec<String> {
    let allowed: BTreeMap<_, BTreeSet<_>> = rooms
        .iter()
        .map(|&(room, uses)| (room, uses.iter().copied().collect()))
        .collect();
    let mut wrong = Vec::new();
    for (index, (room, uses)) in rooms.iter().enumerate() {
        if !sources.contains_key(*room) {
            wrong.push(format!("{room} is in the table and not in the crate"));
        }
        for used in *uses {
            let is_above = rooms[..index].iter().any(|(above, _)| above == used);
            if !is_above {
                wrong.push(format!("{room} may use {used}, which is not above it"));
            }
        }
    }
    let uses = uses(sources);
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (module, used) in &uses {
        let others = used.iter().map(|used| room(used));
        // `super` of a module within a file may lead to `lib`, which has nothing of its own.
        let others = others.filter(|&used| used != room(module) && used != "lib");
        found.entry(room(module)).or_default().extend(others);
    }
    for (room, used) in found {
        let may_use_any = ["cli", "lib", "main"].contains(&room);
        if !may_use_any && Some(&used) != allowed.get(room) {
            let allowed = allowed.get(room);
            wrong.push(format!(
                "{room} uses {used:?}, and the table says {allowed:?}"
            ));
        }
    }
    wrong
}

/// The files and folders of one folder that use each other in a circle, in any folder of a crate. A
/// folder counts as one with all that is in it; its face, which names its files, is not among them.
fn circles(sources: &Sources) -> Vec<Vec<Module>> {
    let uses = uses(sources);
    let folders: BTreeSet<&str> = sources
        .keys()
        .filter_map(|module| Some(module.rsplit_once("::")?.0))
        .collect();
    let circles_in = |folder: &str| {
        let inside = format!("{folder}::");
        let child = |module: &Module| {
            let name = module.strip_prefix(&inside)?.split("::").next()?;
            Some(format!("{inside}{name}"))
        };
        let mut between: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, used) in &uses {
            if let Some(from) = child(module) {
                let others = used.iter().filter_map(child);
                let others: Vec<_> = others.filter(|to| *to != from).collect();
                between.entry(from).or_default().extend(others);
            }
        }
        let circles = between.keys().filter_map(|from| circle(from, &between));
        circles.collect::<Vec<_>>()
    };
    folders.into_iter().flat_map(circles_in).collect()
}

#[test]
fn rooms_use_those_that_the_table_allows() {
    for (directory, rooms) in CRATES {
        let wrong = wrong_rooms(&sources(directory), rooms);
        assert!(wrong.is_empty(), "{directory}: {wrong:#?}");
    }
}

#[test]
fn no_files_use_each_other() {
    for (directory, _) in CRATES {
        let circles = circles(&sources(directory));
        assert!(circles.is_empty(), "{directory}: {circles:#?}");
    }
}

#[test]
fn files_have_at_most_500_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut directories: Vec<_> = ["src", "crates", "benches", "examples", "tests"]
        .map(|name| root.join(name))
        .into();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let lines = fs::read_to_string(&path).unwrap().lines().count();
                assert!(lines <= 500, "{}: {lines} lines", path.display());
            }
        }
    }
}
