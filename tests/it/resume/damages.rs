//! Damaged finished units and datasets: what is whole is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{SHARDS, args, corpus, done_before, expected, finish_run, interrupted};
use crate::support::output_bytes;

/// Damages done to the first unit of an interrupted run.
pub(crate) type Damage = (&'static str, fn(&Path));

/// Where the shards are, in a dataset or in one in the making.
fn files(dir: &Path) -> PathBuf {
    let new = dir.join("new");
    if new.exists() { new } else { dir.to_owned() }
}

pub(crate) const DAMAGES: [Damage; 12] = [
    ("a changed token", |dir| {
        flip(&files(dir).join("shard-00000.u32"), 40);
    }),
    ("a changed record", |dir| {
        flip(&files(dir).join("shard-00000.docs"), 3);
    }),
    ("a short file", |dir| {
        truncate(&files(dir).join("shard-00000.u32"));
    }),
    ("a missing file", |dir| {
        fs::remove_file(files(dir).join("shard-00000.docs")).unwrap();
    }),
    ("a file of 1 TiB", |dir| {
        let docs = fs::File::options()
            .write(true)
            .open(files(dir).join("shard-00000.docs"));
        docs.unwrap().set_len(1 << 40).unwrap();
    }),
    ("a link for a file", |dir| {
        let file = files(dir).join("shard-00000.u32");
        let elsewhere = dir.canonicalize().unwrap().join("../elsewhere");
        fs::rename(&file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(elsewhere, file).unwrap();
    }),
    ("a short receipt", |dir| {
        truncate(&dir.join("shard-00000.json"));
    }),
    ("no receipt at all", |dir| {
        fs::remove_file(dir.join("shard-00000.json")).unwrap();
    }),
    ("the receipt of another unit", |dir| {
        fs::copy(dir.join("shard-00001.json"), dir.join("shard-00000.json")).unwrap();
    }),
    ("a receipt of 2 GiB", |dir| {
        let receipt = fs::File::options()
            .write(true)
            .open(dir.join("shard-00000.json"));
        receipt.unwrap().set_len(2 << 30).unwrap();
    }),
    ("a pipe for a file", |dir| {
        let file = files(dir).join("shard-00000.docs");
        fs::remove_file(&file).unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(&file)
                .status()
                .unwrap()
                .success()
        );
    }),
    ("a changed receipt", |dir| {
        let path = dir.join("shard-00000.json");
        let receipt = fs::read_to_string(&path).unwrap();
        let mut value: Value = serde_json::from_str(&receipt).unwrap();
        let hash = &mut value["done"]["shard"]["text_bytes"];
        *hash = (hash.as_u64().unwrap() + 1).into();
        fs::write(&path, value.to_string()).unwrap();
    }),
];

pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn truncate(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 4).unwrap();
}

#[test]
fn a_damaged_unit_is_made_again() {
    let place = corpus();
    let expected = expected(&place);
    for (what, damage) in DAMAGES {
        let Some(done) = interrupted(&place) else {
            return;
        };
        damage(&place.path("d.partial"));
        let after = finish_run(&place, &args("d", &[]), "d", &expected);
        assert_eq!(done_before(&after), done as u64 - 1, "{what}: {after:?}");
        fs::remove_dir_all(place.path("d")).unwrap();
    }
}

#[test]
fn repair_makes_damaged_shards_again_and_keeps_the_others() {
    let place = corpus();
    // Invalid UTF-8, whose count is only in the manifest.
    let mut c = place.read("in/c.txt");
    c[3000..3003].copy_from_slice(b"\xff\xfe\xff");
    place.write("in/c.txt", c);
    let embed = ["--init-seed", "1", "--dim", "4", "--seq-len", "8"];
    let run = args("d", &["--invalid-utf8", "replace"]);
    let done = place.run([&["run"], &run[1..], &embed].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    let expected = output_bytes(&place.path("d"));
    let repair = [&run[..], &["--repair"]].concat();
    for (what, damage) in &DAMAGES[..6] {
        damage(&place.path("d"));
        let damaged = place.tree();
        let refused = place.run(&run);
        assert_eq!(refused.code, Some(1), "{what}: {refused:?}");
        assert!(
            refused.stderr.contains("d: is damaged: d/shard-0000"),
            "{refused:?}"
        );
        assert!(
            refused.stderr.contains("use `tokenize --repair`"),
            "{refused:?}"
        );
        assert_eq!(place.tree(), damaged);
        let done = finish_run(&place, &repair, "d", &expected);
        assert_eq!(done_before(&done), SHARDS as u64 - 1, "{what}: {done:?}");
        assert_eq!(place.run(["verify", "d"]).code, Some(0));
        let _ = fs::remove_file(place.path("elsewhere"));
    }
    let done = place.run(&repair);
    assert!(done.stderr.contains("was there already"), "{done:?}");
    // Changed inputs are not damage.
    let mut a = place.read("in/a.txt");
    a[100] = b'W';
    place.write("in/a.txt", a);
    let other = "d: exists and is not exactly this output; use --overwrite to replace it or choose \
                 another --out";
    flip(&place.path("d/shard-00001.u32"), 8);
    place.run(&repair).failed(1, other);
}
