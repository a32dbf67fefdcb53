//! Datasets and interrupted runs whose files are changed: manifest, plan, receipts, `embed.json`,
//! shards, document records, arrays and the state of a loader.

use std::fs;
use std::path::Path;

use serde_json::json;
use shardmill::{
    Durability, Hash128, Manifest, Stats, TokenizeConfig, finish, repair, status, tokenize, verify,
    verify_embeddings,
};

use super::base::{STATE, base, config, corpus, loader_config};
use super::edits::{Entry, Files, apply, write};
use super::readers::{load, read_all};
use super::sign::sign;
use super::{encoding, place};

/// Changes an output as `input` says and lets everything read it. Changes that are not forged are
/// detected or, if a run resumes, repaired.
pub fn check(input: &[u8]) {
    let Some((&how, edits)) = input.split_first() else {
        return;
    };
    let base = base();
    let original = match how % 3 {
        0 => &base.published,
        1 => &base.interrupted,
        _ => &base.unfinished,
    };
    let mut files = original.clone();
    apply(&mut files, edits);
    let forgery = how / 3 % 3;
    if forgery > 0 {
        forge(&mut files, forgery == 2);
    }
    let place = place();
    write(&base.inputs, place.path());
    write(&files, place.path());
    let state = Case {
        place: place.path(),
        files: &files,
        original,
        is_forged: forgery > 0,
    };
    match how % 3 {
        // Runs take much longer than readers.
        0 => state.published(how / 9 % 4 == 0),
        1 => state.interrupted(),
        _ => state.unfinished(),
    }
}

/// Makes hashes valid again: those inside records and, with `blocks`, those of the files that a
/// manifest lists.
fn forge(files: &mut Files, blocks: bool) {
    if blocks {
        let _ = forge_blocks(files);
    }
    for (name, entry) in files {
        if let Entry::Bytes(text) = entry {
            sign(name, text);
        }
    }
}

fn forge_blocks(files: &mut Files) -> Option<()> {
    let name = "d/manifest.json";
    let Some(Entry::Bytes(text)) = files.get(name) else {
        return None;
    };
    let mut manifest: Manifest = serde_json::from_slice(text).ok()?;
    for shard in &mut manifest.shards {
        let bad = shard.bad_records.as_mut();
        let both = [
            (&shard.file, &mut shard.blocks),
            (&shard.docs_file, &mut shard.docs_blocks),
        ];
        for (file, blocks) in both
            .into_iter()
            .chain(bad.map(|bad| (&bad.file, &mut bad.blocks)))
        {
            if let Some(Entry::Bytes(bytes)) = files.get(&format!("d/{file}")) {
                // All of them are shorter than a block.
                let hash = Some(Hash128::of(bytes)).filter(|_| !bytes.is_empty());
                *blocks = hash.into_iter().collect();
            }
        }
    }
    let mut text = serde_json::to_vec_pretty(&manifest).unwrap();
    text.push(b'\n');
    files.insert(name.to_owned(), Entry::Bytes(text));
    Some(())
}

/// Changed files in their own place.
struct Case<'a> {
    place: &'a Path,
    files: &'a Files,
    original: &'a Files,
    is_forged: bool,
}

impl Case<'_> {
    /// Runs every reader of a dataset, and runs that find it in their place.
    fn published(&self, with_runs: bool) {
        let out = self.place.join("d");
        let stats = Stats::default();
        let is_dataset = |name: &str| name.starts_with("d/") && name.matches('/').count() == 1;
        if verify(&out, &stats).is_ok() && !self.is_forged {
            self.assert_same("verify", is_dataset);
        }
        if verify_embeddings(&out.join("embeddings"), &stats).is_ok() && !self.is_forged {
            self.assert_same("verify", |name| name.starts_with("d/embeddings/"));
        }
        if let Some(store) = read_all(&out, encoding())
            && let Some(Entry::Bytes(state)) = self.files.get(STATE)
        {
            load(&store, &loader_config(), &base().gatherer, state);
        }
        let _ = status(&out);
        if !with_runs {
            return;
        }
        let corpus = corpus(self.place);
        let made = tokenize(&corpus, encoding(), &config(), &out, &json!({}), &stats);
        if made.is_ok() && !self.is_forged {
            self.assert_same("a run that leaves it as it is", is_dataset);
        }
        let made = repair(&corpus, encoding(), &config(), &out, &json!({}), &stats);
        if made.is_ok() && !self.is_forged {
            self.assert_same("repair", is_dataset);
        }
    }

    /// A resumed run refuses, or makes the bytes of an undisturbed one; if what is there may be
    /// discarded, it makes them.
    fn interrupted(&self) {
        let out = self.place.join("d");
        let _ = status(&out);
        let mut config = config();
        // Without a state, nothing proves that it is ours, and it is never removed.
        let state = self.place.join("d.partial/state.json");
        let is_ours = state.symlink_metadata().is_ok();
        if self.run(&config) {
            return;
        }
        config.overwrite = true;
        let holds_a_directory = self.files.values().any(|entry| *entry == Entry::Directory);
        assert!(
            self.run(&config) || holds_a_directory || !is_ours,
            "overwrite is refused"
        );
    }

    fn run(&self, config: &TokenizeConfig) -> bool {
        let out = self.place.join("d");
        let (corpus, stats) = (corpus(self.place), Stats::default());
        let made = tokenize(&corpus, encoding(), config, &out, &json!({}), &stats);
        if made.is_ok() && (!self.is_forged || config.overwrite) {
            self.assert_made(&out);
        }
        made.is_ok()
    }

    /// Units that are all done are published as they were made, or not at all.
    fn unfinished(&self) {
        let out = self.place.join("d");
        let _ = status(&out);
        let stats = Stats::default();
        let made = finish(&out, false, Durability::None, 1, &json!({}), &stats);
        match made {
            Ok(_) if !self.is_forged => self.assert_made(&out),
            Ok(_) => {
                read_all(&out, encoding());
            }
            Err(_) => assert!(!out.exists()),
        }
    }

    /// Asserts that the dataset in `out` is that of an undisturbed run.
    fn assert_made(&self, out: &Path) {
        for (name, entry) in &base().published {
            if name.matches('/').count() == 1 {
                let found = fs::read(self.place.join(name)).unwrap();
                assert!(Entry::Bytes(found) == *entry, "{name} differs");
            }
        }
        assert!(!out.with_file_name("d.partial").exists());
    }

    /// Asserts that the files that `is_meant` names are as they were.
    fn assert_same(&self, what: &str, is_meant: impl Fn(&str) -> bool) {
        for (name, entry) in self.original.iter().filter(|(name, _)| is_meant(name)) {
            let found = fs::read(self.place.join(name)).unwrap();
            assert!(Entry::Bytes(found) == *entry, "{what}: {name} differs");
        }
    }
}
