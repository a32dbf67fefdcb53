//! The arrows between the rooms of each crate, and that no two files of a room use each other.

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
    ("fault", &[]),
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
    ("gather", &["error", "table"]),
    ("sink", &["error", "progress", "publish", "table"]),
    ("outputs", &["dataset", "publish", "sink"]),
    (
        "shuffle",
        &[
            "dataset", "error", "hash", "outputs", "progress", "publish", "sink", "threads",
            "window",
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

/// The source of every file of a crate, without comments and tests.
fn sources(directory: &str) -> BTreeMap<Module, String> {
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
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
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
        .collect()
}

/// The paths in `code` that begin with `crate`, `super` or `self`.
fn paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in ["crate::", "super::", "self::"] {
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
                found.insert(rest[..end].to_owned());
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
        Some("crate") => base.clear(),
        Some("super") => drop(base.pop()),
        _ => {}
    }
    while segments.next_if_eq(&"super").is_some() {
        base.pop();
    }
    base.extend(segments.map(str::to_owned));
    base
}

/// The file that a room's face takes each of its names from, by `(room, name)`.
fn exports(sources: &BTreeMap<Module, String>) -> BTreeMap<(Module, String), Module> {
    let mut found = BTreeMap::new();
    for (module, code) in sources {
        for statement in code.split(';') {
            let Some((_, tree)) = statement.rsplit_once("use ") else {
                continue;
            };
            for leaf in leaves(tree) {
                if let Some((from, name)) = leaf.rsplit_once("::") {
                    let from = format!("{module}::{from}");
                    if sources.contains_key(&from) {
                        found.insert((module.clone(), name.to_owned()), from);
                    }
                }
            }
        }
    }
    found
}

/// Which files each file uses.
fn uses(sources: &BTreeMap<Module, String>) -> BTreeMap<&Module, BTreeSet<Module>> {
    let exports = exports(sources);
    let owner = |segments: Vec<String>| {
        let lengths = (1..=segments.len()).rev();
        let mut modules = lengths.map(|length| (segments[..length].join("::"), length));
        let (module, length) = modules.find(|(module, _)| sources.contains_key(module))?;
        let name = segments.get(length).cloned().unwrap_or_default();
        Some(
            exports
                .get(&(module.clone(), name))
                .cloned()
                .unwrap_or(module),
        )
    };
    let used_by = |module: &Module, code| {
        let paths = paths(code);
        let owners = paths
            .iter()
            .filter_map(|path| owner(absolute(path, module)));
        owners.filter(|used| used != module).collect()
    };
    sources
        .iter()
        .map(|(module, code)| (module, used_by(module, code)))
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

#[test]
fn rooms_use_those_that_the_table_allows() {
    for (directory, rooms) in CRATES {
        check_rooms(&sources(directory), rooms);
    }
}

fn check_rooms(sources: &BTreeMap<Module, String>, rooms: &[Room]) {
    let allowed: BTreeMap<_, BTreeSet<_>> = rooms
        .iter()
        .map(|&(room, uses)| (room, uses.iter().copied().collect()))
        .collect();
    for (index, (room, uses)) in rooms.iter().enumerate() {
        for used in *uses {
            let is_above = rooms[..index].iter().any(|(above, _)| above == used);
            assert!(is_above, "{room} uses {used}, which is not above it");
        }
    }
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (module, used) in uses(sources) {
        let used = used.iter().map(|used| room(used).to_owned());
        let others = used.filter(|used| used != room(module));
        found.entry(room(module)).or_default().extend(others);
    }
    for (name, used) in found {
        if ["cli", "lib", "main"].contains(&name) {
            continue;
        }
        let used: BTreeSet<_> = used.iter().map(String::as_str).collect();
        assert_eq!(Some(&used), allowed.get(name), "what {name} uses");
    }
}

#[test]
fn no_files_use_each_other() {
    for (directory, _) in CRATES {
        check_files(&sources(directory));
    }
}

fn check_files(sources: &BTreeMap<Module, String>) {
    // The face of a room names its files, and they use what is in it.
    let is_face = |module: &Module| {
        let inside = format!("{module}::");
        sources.keys().any(|other| other.starts_with(&inside)) || module == "lib"
    };
    let between_files = uses(sources)
        .into_iter()
        .filter(|(module, _)| !is_face(module))
        .map(|(module, used)| {
            let files = used.into_iter().filter(|used| !is_face(used));
            (module.clone(), files.collect())
        })
        .collect();
    let circles: Vec<_> = sources
        .keys()
        .filter_map(|module| circle(module, &between_files))
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}
