use super::*;
use crate::dataset::{EMBEDDINGS, MANIFEST, PLAN, receipt_unit, shard_file_unit};
use crate::publish::claim::{Claim, claim};
use crate::publish::inventory::OutputRecord;
use crate::publish::temp_file::TempFile;
use crate::sink::is_array_name;

/// Datasets that list no files.
static NAMES: Inventory = Inventory {
    records: &[OutputRecord {
        name: MANIFEST,
        files: |_| Some(HashSet::new()),
    }],
    is_output_file: |name| shard_file_unit(name).is_some() || is_array_name(name),
    is_scratch: |_| false,
    nested: EMBEDDINGS,
    plan: PLAN,
    receipt_unit,
    file_unit: shard_file_unit,
};

fn open(out: &Path, overwrite: bool) -> Result<Staging> {
    Staging::open(out, Terms::alone(&NAMES, overwrite, Durability::Full))
}

/// Begins like a run that can use nothing of what it finds.
fn begin(out: &Path, overwrite: bool) -> Result<Staging> {
    let mut staging = open(out, overwrite)?;
    staging.discard()?;
    Ok(staging)
}

fn complete(out: &Path, overwrite: bool, contents: &str) -> Result<Staging> {
    let mut staging = begin(out, overwrite)?;
    let record = json!({"dataset_id": contents});
    write_json(staging.new_output(), MANIFEST, Durability::Full, &record)?;
    staging.complete(&json!({}))?;
    Ok(staging)
}

fn publish_one(out: &Path, overwrite: bool, contents: &str) -> Result<()> {
    complete(out, overwrite, contents)?.publish()
}

fn contents(out: &Path) -> String {
    let manifest = fs::read(out.join(MANIFEST)).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    manifest["dataset_id"].as_str().unwrap().to_owned()
}

#[test]
fn nothing_is_visible_before_publish_and_nothing_is_left_after_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("new/parents/out");
    let staging = begin(&out, false).unwrap();
    let mut file =
        TempFile::create(staging.new_output(), "shard-00000.u32", Durability::Full).unwrap();
    file.write(b"abcd").unwrap();
    assert!(!out.exists());
    assert!(
        file.finish(5).is_err(),
        "a short file must not get its name"
    );
    drop(staging);
    assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn an_existing_output_is_replaced_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    publish_one(&out, false, "one").unwrap();
    assert!(matches!(
        publish_one(&out, false, "two"),
        Err(Error::Output { .. })
    ));
    assert_eq!(contents(&out), "one");
    publish_one(&out, true, "two").unwrap();
    assert_eq!(contents(&out), "two");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_whole_output_that_is_not_in_its_place_is_discarded_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    drop(complete(&out, false, "one").unwrap());
    assert!(!out.exists());
    let Err(Error::Output { what, .. }) = begin(&out, false) else {
        panic!("it may not be discarded");
    };
    assert!(what.contains("a whole output of another run"), "{what}");
    let staging = open(&out, false).unwrap();
    assert!(staging.is_complete());
    staging.publish().unwrap();
    assert_eq!(contents(&out), "one");

    drop(complete(&out, true, "two").unwrap());
    publish_one(&out, true, "three").unwrap();
    assert_eq!(contents(&out), "three");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_was_replaced_is_told_from_what_is_not_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    publish_one(&out, false, "old").unwrap();
    let mut staging = complete(&out, true, "new").unwrap();
    // Like a run that is killed after the exchange.
    staging.put_in_place().unwrap();
    let partial = staging.partial().to_owned();
    drop(staging);
    assert_eq!(contents(&partial.join(NEW)), "old");
    assert_eq!(stage(&out, &partial).unwrap(), Stage::Published);
    // Once the new output is gone, the old one is the only one left.
    let aside = dir.path().join("aside");
    fs::rename(&out, &aside).unwrap();
    assert_eq!(stage(&out, &partial).unwrap(), Stage::Unknown);
    fs::rename(&aside, &out).unwrap();
    // Nor is another output the one that was replaced.
    let other = dir.path().join("other");
    publish_one(&other, false, "other").unwrap();
    fs::rename(partial.join(NEW), &aside).unwrap();
    fs::rename(&other, partial.join(NEW)).unwrap();
    assert_eq!(stage(&out, &partial).unwrap(), Stage::Unknown);
    fs::remove_dir_all(partial.join(NEW)).unwrap();
    fs::rename(&aside, partial.join(NEW)).unwrap();
    let found = Staging::open_existing(&out, Terms::alone(&NAMES, true, Durability::Full)).unwrap();
    assert!(found.is_none());
    assert_eq!(contents(&out), "new");
    assert!(!partial.exists());
}

#[test]
fn a_run_killed_between_two_plain_renames_is_rolled_forward() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    publish_one(&out, false, "old").unwrap();
    let staging = complete(&out, true, "new").unwrap();
    fs::rename(&out, staging.partial().join(OLD)).unwrap();
    drop(staging);
    // Even if another run may discard, both must not be removed.
    let mut other = open(&out, true).unwrap();
    assert_eq!(contents(&out), "new");
    other.discard().unwrap();
    drop(other);
    assert_eq!(contents(&out), "new");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Checks that a run to `out` is refused and removes nothing of `kept`.
#[track_caller]
fn keeps(out: &Path, kept: &[&Path]) {
    let before: Vec<_> = kept.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(matches!(begin(out, true), Err(Error::Output { .. })));
    let after: Vec<_> = kept.iter().map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(before, after);
}

#[test]
fn what_shardmill_did_not_make_is_never_removed() {
    let dir = tempfile::tempdir().unwrap();
    let web = dir.path().join("web");
    fs::create_dir(&web).unwrap();
    fs::write(web.join(MANIFEST), "{\"name\": \"a web app\"}").unwrap();
    keeps(&web, &[&web.join(MANIFEST)]);

    let out = dir.path().join("out");
    publish_one(&out, false, "one").unwrap();
    for name in [
        "thesis.txt",
        "shard-a.docs",
        "shard-.docs",
        "embeddings",
        "stream-of-consciousness.txt",
        ".thesis.txt.tmp-1-0123456789abcdef",
        ".shard-00000.u32.tmp-mine",
    ] {
        fs::write(out.join(name), "years of work").unwrap();
        keeps(&out, &[&out.join(name), &out.join(MANIFEST)]);
        fs::remove_file(out.join(name)).unwrap();
        // Also in the directory that is being filled.
        drop(complete(&out, true, "two").unwrap());
        let partial = dir.path().join("out.partial");
        for place in [partial.clone(), partial.join(NEW)] {
            fs::write(place.join(name), "years of work").unwrap();
            keeps(
                &out,
                &[&place.join(name), &partial.join(NEW).join(MANIFEST)],
            );
            fs::remove_file(place.join(name)).unwrap();
        }
        publish_one(&out, true, "one").unwrap();
    }
}

#[test]
fn a_directory_without_a_state_is_never_taken_for_ours() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    publish_one(&out, false, "one").unwrap();
    // A backup of a dataset, or a dataset with such a name.
    let partial = dir.path().join("out.partial");
    fs::create_dir(&partial).unwrap();
    fs::copy(out.join(MANIFEST), partial.join(MANIFEST)).unwrap();
    keeps(&out, &[&partial.join(MANIFEST)]);
    let look = || Ok(Some(()));
    let claimed = claim(&out, Terms::alone(&NAMES, true, Durability::Full), look).unwrap();
    assert!(matches!(claimed, Claim::There(())));
    assert!(partial.join(MANIFEST).exists());
    assert!(matches!(
        open(&partial, true),
        Err(Error::Output { what, .. }) if what.contains("ends in .partial")
    ));
}

#[test]
fn a_damaged_state_is_discarded_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for damage in ["", "{\"state\":\"done\"}", "\0\0\0"] {
        drop(complete(&out, false, "one").unwrap());
        fs::write(dir.path().join("out.partial").join(STATE), damage).unwrap();
        assert!(matches!(open(&out, false), Err(Error::Output { .. })));
        drop(begin(&out, true).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn an_output_made_between_the_look_and_the_lock_is_looked_at_again() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut looks = 0;
    let look = || {
        looks += 1;
        if looks == 1 {
            publish_one(&out, false, "one")?;
            return Ok(None);
        }
        Ok(Some(contents(&out)))
    };
    let claimed = claim(&out, Terms::alone(&NAMES, false, Durability::Full), look).unwrap();
    assert!(matches!(claimed, Claim::There(found) if found == "one"));
}

#[test]
fn an_empty_directory_is_taken_with_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::set_permissions(&out, Permissions::from_mode(0o700)).unwrap();
    publish_one(&out, false, "one").unwrap();
    assert_eq!(contents(&out), "one");
    let mode = fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn an_output_whose_directory_was_replaced_meanwhile_goes_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let parent = dir.path().join("parent");
    let staging = complete(&parent.join("out"), false, "one").unwrap();
    fs::rename(&parent, dir.path().join("old")).unwrap();
    fs::create_dir(&parent).unwrap();
    assert!(matches!(staging.publish(), Err(Error::Output { .. })));
    assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
}

#[test]
fn a_directory_that_all_may_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    drop(complete(&out, false, "one").unwrap());
    let partial = dir.path().join("out.partial");
    fs::set_permissions(&partial, Permissions::from_mode(0o777)).unwrap();
    keeps(&out, &[&partial.join(NEW).join(MANIFEST)]);
}

#[test]
fn a_link_in_the_place_of_the_partial_directory_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    publish_one(&out, false, "one").unwrap();
    std::os::unix::fs::symlink(&out, dir.path().join("new.partial")).unwrap();
    keeps(&dir.path().join("new"), &[&out.join(MANIFEST)]);
}

#[test]
fn a_name_with_a_dot_after_it_is_the_name() {
    let dir = tempfile::tempdir().unwrap();
    publish_one(&dir.path().join("out/."), false, "one").unwrap();
    assert_eq!(contents(&dir.path().join("out")), "one");
}

#[test]
fn a_second_run_on_the_same_output_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let first = begin(&out, false).unwrap();
    assert!(matches!(begin(&out, false), Err(Error::Locked { .. })));
    drop(first);
    assert!(begin(&out, false).is_ok());
}

#[test]
fn left_overs_of_a_killed_run_are_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let new = dir.path().join("out.partial").join(NEW);
    let mut staging = begin(&out, false).unwrap();
    fs::create_dir_all(new.join("embeddings")).unwrap();
    for name in [
        "shard-00000.u32",
        ".shard-00001.u32.tmp-99-0123456789abcdef",
        "embeddings/inputs.npy",
    ] {
        fs::write(new.join(name), "x").unwrap();
    }
    // A killed run does not tidy up.
    staging.lock = None;
    drop(staging);
    assert!(new.join("shard-00000.u32").exists());
    let staging = begin(&out, false).unwrap();
    assert_eq!(fs::read_dir(staging.new_output()).unwrap().count(), 0);
}
