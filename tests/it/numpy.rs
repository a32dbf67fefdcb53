//! NumPy reads our files, and we read NumPy's. Python prints what it read as JSON; the comparison
//! is here.
#![allow(
    clippy::unwrap_used,
    reason = "a value that is not there fails the test"
)]

use crate::golden::support;

use std::path::{Path, PathBuf};
use std::process::Command;

use half::bf16;
use serde_json::{Value, json};
use shardmill::dataset::{DocRecord, Tokens};
use shardmill::embed::embed_to;
use shardmill::sink::MemorySink;
use shardmill::{Dtype, EmbedConfig, InitialTables, Stats, TokenStore};
use tempfile::TempDir;

use support::{fixture, golden, sha256, shardmill, skip, succeed, verdict_path};

/// Tables need a row for each id of GPT-2's vocabulary.
const N_VOCAB: usize = 50257;

/// Python with NumPy; if that is missing, reports that `unchecked` is not checked.
fn python(unchecked: &str) -> Option<Command> {
    let import = Command::new("python3")
        .args(["-c", "import numpy"])
        .output();
    if import.is_ok_and(|output| output.status.success()) {
        return Some(Command::new("python3"));
    }
    skip("numpy", unchecked);
    None
}

/// What `script` prints as JSON.
fn ask(mut python: Command, script: &str, args: &[&Path]) -> Value {
    let prelude = "import sys, io, json, hashlib\nimport numpy as np\n\
                   sha = lambda a: hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()\n";
    let script = format!("{prelude}{script}");
    let output = succeed(python.arg("-c").arg(script).args(args));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A dataset of `inputs` made by the program with `options`.
fn dataset(inputs: &[PathBuf], options: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("dataset");
    let mut command = shardmill(&["tokenize"]);
    command.args(inputs).arg("--out").arg(&out);
    command.args(["--durability", "none"]);
    succeed(command.args(options.split_whitespace()));
    (dir, out)
}

fn record(record: &DocRecord) -> Value {
    json!([
        record.end_tokens,
        record.byte_start,
        record.byte_len,
        record.source,
        record.flags
    ])
}

const SHARDS: &str = r#"
docs_type = np.dtype([("end_tokens", "<u8"), ("byte_start", "<u8"), ("byte_len", "<u8"),
                      ("source", "<u4"), ("flags", "<u4")])
shards = []
for i in range(int(sys.argv[3])):
    ids = np.memmap(f"{sys.argv[1]}/shard-{i:05}.{sys.argv[2]}", "<" + sys.argv[2].replace("u32", "u4").replace("u16", "u2"), mode="r")
    docs = np.memmap(f"{sys.argv[1]}/shard-{i:05}.docs", docs_type, mode="r")
    shards.append({"n": len(ids), "sum": int(ids.sum(dtype="u8")), "sha256": sha(ids.astype("<u4")),
                   "last": ids[-3:].tolist(), "docs": docs.tolist()})
print(json.dumps(shards))
"#;

/// Several shards, with documents that span them, and an empty document.
#[test]
fn shards_and_document_records_are_flat_arrays() {
    let inputs = [fixture("text/edge"), verdict_path(), fixture("jsonl")];
    let mut flags_seen = 0;
    for dtype in ["u32", "u16"] {
        let Some(python) = python("shards with numpy.memmap") else {
            return;
        };
        let options = format!("--unit-size 4000 --token-dtype {dtype}");
        let (_dir, out) = dataset(&inputs, &options);
        let store = TokenStore::open(&out).unwrap();
        let n_shards = store.n_shards().to_string();
        assert!(store.n_shards() > 5, "{n_shards}");
        let args = [&out, Path::new(dtype), Path::new(&n_shards)];
        let found = ask(python, SHARDS, &args);
        for (i, shard) in store.shards().enumerate() {
            let shard = shard.unwrap();
            let ids: Vec<u32> = match shard.tokens() {
                Tokens::U32(ids) => ids.to_vec(),
                Tokens::U16(ids) => ids.iter().copied().map(u32::from).collect(),
            };
            let expected = json!({
                "n": ids.len(),
                "sum": ids.iter().copied().map(u64::from).sum::<u64>(),
                "sha256": sha256(bytemuck::cast_slice(&ids)),
                "last": ids[ids.len().saturating_sub(3)..],
                "docs": shard.documents().iter().map(record).collect::<Vec<_>>(),
            });
            assert_eq!(found[i], expected, "{dtype} shard {i}");
            flags_seen |= shard.documents().iter().fold(0, |all, doc| all | doc.flags);
        }
    }
    assert_eq!(flags_seen, 7, "each flag occurs");
}

/// `numpy.save` of the same array must write the same bytes, including the header.
const ARRAYS: &str = r#"
def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
answer = {}
for name in ["embeddings", "inputs", "targets"]:
    path = f"{sys.argv[1]}/{name}.npy"
    array = np.load(path)
    answer[name] = {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": sha(array),
                    "is_as_saved": saved(array) == open(path, "rb").read()}
array = np.load(f"{sys.argv[1]}/embeddings.npy")
if array.dtype == np.dtype("<u2"):
    array = (array.astype("<u4") << 16).view("<f4")
answer["widened"] = sha(array.astype("<f4"))
print(json.dumps(answer))
"#;

/// The embeddings of a sink as f32.
fn widened(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    let halves = || bytes.as_chunks::<2>().0.iter();
    match dtype {
        Dtype::F32 => {
            let words = bytes.as_chunks::<4>().0.iter();
            words.map(|word| f32::from_le_bytes(*word)).collect()
        }
        Dtype::F16 => halves()
            .map(|b| half::f16::from_le_bytes(*b).to_f32())
            .collect(),
        Dtype::BF16 => halves().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
    }
}

#[test]
fn embeddings_inputs_and_targets_are_what_numpy_loads_and_would_save() {
    let (dir, dataset) = dataset(&[verdict_path()], "--eot none");
    let store = TokenStore::open(&dataset).unwrap();
    for (dtype, descr) in [
        (Dtype::F32, "<f4"),
        (Dtype::F16, "<f2"),
        (Dtype::BF16, "<u2"),
    ] {
        let Some(python) = python("embeddings with numpy.load") else {
            return;
        };
        let out = dir.path().join(dtype.name());
        let mut command = shardmill(&["embed"]);
        command.arg(&dataset).arg("--out").arg(&out);
        command.args("--seq-len 4 --stride 5 --init-seed 123 --dim 24 --dtype".split(' '));
        succeed(command.arg(dtype.name()));

        let mut config = EmbedConfig::default();
        (config.windows.seq_len, config.windows.stride) = (4, Some(5));
        (config.init_seed, config.dim, config.dtype) = (Some(123), Some(24), dtype);
        let mut sink = MemorySink::default();
        embed_to(&store, &config, &mut sink, &Stats::default()).unwrap();
        let ids = |ids: &[u32]| {
            let sha256 = sha256(bytemuck::cast_slice(ids));
            json!({"dtype": "<u4", "shape": [1029, 4], "sha256": sha256, "is_as_saved": true})
        };
        let expected = json!({
            "embeddings": {
                "dtype": descr,
                "shape": [1029, 4, 24],
                "sha256": sha256(&sink.embeddings),
                "is_as_saved": true,
            },
            "inputs": ids(&sink.inputs),
            "targets": ids(&sink.targets),
            "widened": sha256(bytemuck::cast_slice(&widened(dtype, &sink.embeddings))),
        });
        assert_eq!(ask(python, ARRAYS, &[&out]), expected, "{}", dtype.name());
    }
}

/// Tables of every type, accepted and refused; each element is a number that all types can
/// represent.
const TABLES: &str = r#"
rows, out = int(sys.argv[2]), sys.argv[1]
table = ((np.arange(rows * 6) * 37 % 255 - 127) / 16).astype("<f4").reshape(rows, 6)
brain = (table.view("<u4") >> 16).astype("<u2")
assert np.array_equal((brain.astype("<u4") << 16).view("<f4"), table)
np.save(f"{out}/f4.npy", table)
np.save(f"{out}/f2.npy", table.astype("<f2"))
np.save(f"{out}/u2.npy", brain)
np.save(f"{out}/big.npy", table.astype(">f4"))
np.save(f"{out}/f8.npy", table.astype("<f8"))
np.save(f"{out}/fortran.npy", np.asfortranarray(table))
np.save(f"{out}/position.npy", np.arange(24, dtype="<f4").reshape(4, 6) / 8)
print("null")
"#;

/// Checks whether the embeddings are the rows that NumPy's own indexing finds.
const LOOKUP: &str = r#"
tables, out = sys.argv[1], sys.argv[2]
rows = np.load(f"{tables}/f4.npy")[np.load(f"{out}/inputs.npy")]
rows = rows + np.load(f"{tables}/position.npy")
print(json.dumps({"equal": bool(np.array_equal(rows, np.load(f"{out}/embeddings.npy"))),
                  "shape": list(rows.shape)}))
"#;

#[test]
fn tables_that_numpy_saved_are_read_or_refused_by_name() {
    let unchecked = "tables that numpy.save wrote";
    let Some(command) = python(unchecked) else {
        return;
    };
    let (dir, dataset) = dataset(&[verdict_path()], "--eot none");
    let tables = dir.path();
    ask(command, TABLES, &[tables, Path::new(&N_VOCAB.to_string())]);
    let embed = |name: &str, options: &str| {
        let mut command = shardmill(&["embed"]);
        command
            .arg(&dataset)
            .arg("--out")
            .arg(tables.join(format!("{name}.out")));
        command
            .arg("--token-table")
            .arg(tables.join(format!("{name}.npy")));
        command
            .arg("--position-table")
            .arg(tables.join("position.npy"));
        command.args("--seq-len 4 --stride 5".split(' '));
        command.args(options.split_whitespace());
        command
    };
    for (name, options) in [("f4", ""), ("f2", ""), ("u2", "--table-dtype bf16")] {
        succeed(&mut embed(name, options));
        let Some(command) = python(unchecked) else {
            return;
        };
        let out = tables.join(format!("{name}.out"));
        let found = ask(command, LOOKUP, &[tables, &out]);
        assert_eq!(
            found,
            json!({"equal": true, "shape": [1029, 4, 6]}),
            "{name}"
        );
    }
    for (name, options, why) in [
        ("u2", "--overwrite", "'<u2'"),
        ("big", "", "big-endian ('>f4')"),
        ("f8", "", "f64 ('<f8')"),
        ("fortran", "", "Fortran order"),
    ] {
        let output = embed(name, options).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {error}");
        assert!(error.contains(why), "{name}: {error}");
        assert!(error.contains(&format!("{name}.npy")), "{error}");
    }
    assert!(!tables.join("f8.out").exists());
}

/// Rows rotated by NumPy: products, differences and sums in f32, each rounded; then one rounding.
const TURN: &str = r#"
table, out, style, base, name = np.load(sys.argv[1]), sys.argv[2], *sys.argv[3:6]
x = table[np.load(f"{out}/inputs.npy")]
seq_len, dim = x.shape[1:]
angle = np.arange(seq_len)[:, None] * float(base) ** (-np.arange(0, dim, 2) / dim)
c, s = np.cos(angle).astype("<f4"), np.sin(angle).astype("<f4")
first, second = ((np.s_[..., 0::2], np.s_[..., 1::2]) if style == "interleaved"
                 else (np.s_[..., : dim // 2], np.s_[..., dim // 2 :]))
turned = np.empty_like(x)
turned[first] = x[first] * c - x[second] * s
turned[second] = x[second] * c + x[first] * s
if name == "f16":
    turned = turned.astype("<f2")
if name == "bf16":
    bits = turned.view("<u4")
    turned = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")
print(json.dumps(sha(turned) == sha(np.load(f"{out}/embeddings.npy"))))
"#;

#[test]
fn rows_turned_by_rotary_positions_are_numpys() {
    let (dir, dataset) = dataset(&[verdict_path()], "--eot none");
    let table = dir.path().join("table.npy");
    let initial = InitialTables::new(5, N_VOCAB, 40, 1).token_table().unwrap();
    initial
        .write_npy(std::fs::File::create(&table).unwrap())
        .unwrap();
    for (style, base) in [("interleaved", "10000"), ("half", "10000"), ("half", "500")] {
        for dtype in Dtype::ALL {
            let Some(python) = python("rotary positions") else {
                return;
            };
            let out = dir.path().join("out");
            let mut command = shardmill(&["embed"]);
            command.arg(&dataset).arg("--out").arg(&out);
            command.arg("--token-table").arg(&table);
            command.args("--seq-len 100 --stride 100 --overwrite --durability none".split(' '));
            command.args(["--position-table", "rope", "--rope-style", style]);
            command.args(["--rope-base", base, "--dtype", dtype.name()]);
            succeed(&mut command);
            let args = [
                &table,
                &out,
                Path::new(style),
                Path::new(base),
                Path::new(dtype.name()),
            ];
            let is_equal = ask(python, TURN, &args);
            assert_eq!(is_equal, json!(true), "{style} {base} {}", dtype.name());
        }
    }
}

/// The ids between two words of a program's output.
fn ids_between(text: &str, start: &str, end: &str) -> Vec<u64> {
    let text = &text[text.find(start).unwrap() + start.len()..];
    let text = &text[..text.find(end).unwrap_or(text.len())];
    let words = text.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn the_python_example_prints_the_notebooks_first_batch() {
    // One shard, then several: windows cross their borders.
    for options in ["--token-dtype u32", "--token-dtype u16 --unit-size 3000"] {
        let Some(mut python) = python("examples/torch_dataset.py") else {
            return;
        };
        let (_dir, out) = dataset(&[verdict_path()], &format!("--eot none {options}"));
        let n_shards = TokenStore::open(&out).unwrap().n_shards();
        assert_eq!(n_shards > 1, options.contains("unit-size"));
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/torch_dataset.py");
        python.arg(example).arg(&out);
        let output = succeed(python.args("--seq-len 4 --stride 5 --batch-size 8".split(' ')));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.starts_with("5146 tokens, "), "{printed}");
        assert!(printed.contains(", 1029 windows\n"), "{printed}");
        let first = &golden("batches")["drop_last_false"]["first"];
        let flat = |part: usize| -> Vec<u64> {
            let ids = support::flat_u32(&first[part]);
            ids.into_iter().map(u64::from).collect()
        };
        assert_eq!(ids_between(&printed, "inputs (8, 4):", "targets"), flat(0));
        assert_eq!(
            ids_between(&printed, "targets (8, 4):", "embeddings"),
            flat(1)
        );
    }
}
