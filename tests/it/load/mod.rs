//! Corpora so large that offsets and memory are put to the test. They take minutes and some GB of
//! disk space: `cargo test load:: -- --ignored`

mod sizes;

use crate::support;

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use shardmill::TokenStore;
use support::{Done, Place, after, fixture, output_bytes, skipped};
use tempfile::TempDir;

/// Runs the program; also returns the maximum of its own memory, in bytes, sampled every few
/// milliseconds.
fn measured(place: &Place, line: &str) -> (Done, u64) {
    measured_with(place, line, "true")
}

/// Like [`measured`], after a shell command.
fn measured_with(place: &Place, line: &str, before: &str) -> (Done, u64) {
    let mut child = after(before, &place.command(line.split(' ')))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A pipe holds less than some commands print.
    let mut stdout = child.stdout.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut said = Vec::new();
        stdout.read_to_end(&mut said).map(|_| said)
    });
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(own_bytes(&child).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut output = child.wait_with_output().unwrap();
    output.stdout = said.join().unwrap().unwrap();
    (Done::new(output), most)
}

/// The private memory of a process; pages of mapped files do not count.
fn own_bytes(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

/// The bound if nothing grows with the input: 64 MB, plus 96 MB for each of two threads.
const MAX_OWN_BYTES: u64 = (64 + 2 * 96) * 1_000_000;

#[test]
#[ignore = "takes a minute and 5 GB: cargo test load:: -- --ignored"]
fn records_beyond_4_gib_have_their_offsets_and_memory_stays_flat() {
    const FIRST: &[u8] = b"{\"text\":\"the first\"}\n";
    const LAST: &[u8] = b"{\"text\":\"the last\"}\n";
    let place = Place::new();
    let blank = vec![b'\n'; 1 << 20];
    let mut file = BufWriter::new(File::create(place.path("a.jsonl")).unwrap());
    file.write_all(FIRST).unwrap();
    for _ in 0..4097 {
        file.write_all(&blank).unwrap();
    }
    file.write_all(LAST).unwrap();
    drop(file);
    let line = "tokenize a.jsonl --out d --threads 2 --durability none";
    let (done, own_bytes) = measured(&place, line);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!((1..MAX_OWN_BYTES).contains(&own_bytes), "{own_bytes}");
    assert_eq!(place.run(["verify", "d"]).code, Some(0));
    for (document, text) in [("0", "the first"), ("1", "the last")] {
        let done = place.run(["decode", "d", "--document", document]);
        assert_eq!(done.said(&[]).text(), text);
    }
    let store = TokenStore::open(&place.path("d")).unwrap();
    let start = FIRST.len() as u64 + (4097 << 20);
    let bytes: Vec<_> = store
        .documents()
        .map(|document| document.unwrap().bytes)
        .collect();
    // Without the line ends.
    let ends = [FIRST.len() as u64 - 1, start + LAST.len() as u64 - 1];
    assert_eq!(bytes, [0..ends[0], start..ends[1]]);
}

#[test]
#[ignore = "reads 4 GiB of nothing: cargo test load:: -- --ignored"]
fn a_bad_byte_beyond_4_gib_of_a_sparse_text_is_named() {
    const AT: u64 = (4 << 30) + 4097;
    let place = Place::new();
    let path = place.write("a.txt", "some words");
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(AT).unwrap();
    file.write_all_at(b"\xff", AT).unwrap();
    let (done, own_bytes) = measured(&place, "tokenize a.txt --out d --threads 2");
    let line = format!(
        "a.txt: byte {AT}: invalid UTF-8; use --invalid-utf8 replace or ignore to accept it"
    );
    done.failed(1, &line);
    assert!((1..MAX_OWN_BYTES).contains(&own_bytes), "{own_bytes}");
}

#[test]
#[ignore = "takes minutes: cargo test load:: -- --ignored"]
fn text_far_apart_in_a_sparse_file_of_100_gb_has_its_ids_and_its_offsets() {
    // Multiples of the unit size, so that the second and the third text are cut alike. Holes are
    // read at 1 to 3 GB/s, twice.
    const STARTS: [u64; 3] = [0, 4_300_000_000, 100_000_000_000];
    const UNIT_BYTES: usize = 100_000;
    let place = Place::new();
    let mut text = fs::read(fixture("text/tinyshakespeare.txt")).unwrap();
    text.truncate(3 * UNIT_BYTES);
    let file = File::create_new(place.path("a.txt")).unwrap();
    for start in STARTS {
        file.write_all_at(&text, start).unwrap();
    }
    // Three units of each text; the last ones of the first and second text have a hole, which is a
    // pretoken of GBs. All others can be made: these are the first ones.
    let line = "tokenize a.txt --unit-size 100kB --units 0/3 --threads 2 --out d";
    let (done, own_bytes) = measured(&place, line);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!((1..MAX_OWN_BYTES).contains(&own_bytes), "{own_bytes}");
    eprintln!("{own_bytes} bytes, {}", done.stderr);
    let cut = |from: usize| {
        let is_cut = |at: &usize| text[*at] == b' ' && text[at - 1].is_ascii_graphic();
        (from.max(1)..text.len()).find(is_cut).unwrap()
    };
    let plan: serde_json::Value =
        serde_json::from_slice(&place.read("d.partial/plan.json")).unwrap();
    let units = plan["units"].as_array().unwrap();
    assert_eq!(units.len(), 9, "{units:?}");
    let vocabulary = tiktoken_rs::r50k_base().unwrap();
    for (n, start) in STARTS.into_iter().enumerate() {
        // The very first cut is the start of the file.
        let from = if n == 0 { 0 } else { cut(0) };
        let to = cut(UNIT_BYTES);
        let unit = &units[3 * n];
        assert_eq!(unit["start"]["byte"], start + from as u64, "{units:?}");
        assert_eq!(unit["end"]["byte"], start + to as u64, "{units:?}");
        let ids = vocabulary.encode_ordinary(std::str::from_utf8(&text[from..to]).unwrap());
        let bytes: Vec<_> = ids.into_iter().flat_map(u32::to_le_bytes).collect();
        assert!(
            place.read(format!("d.partial/new/shard-0000{}.u32", 3 * n)) == bytes,
            "{n}"
        );
    }
    let at = STARTS[2] + 5000;
    file.write_all_at(b"\xff", at).unwrap();
    let (done, own_bytes) = measured(&place, &line.replace(" d", " e"));
    let error = format!(
        "a.txt: byte {at}: invalid UTF-8; use --invalid-utf8 replace or ignore to accept it"
    );
    let (first, _) = done.stderr.split_once('\n').unwrap();
    assert_eq!(first, format!("shardmill: error: {error}"), "{done:?}");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!((1..MAX_OWN_BYTES).contains(&own_bytes), "{own_bytes}");
}

#[test]
#[ignore = "takes half a minute: cargo test load:: -- --ignored"]
fn a_text_of_different_words_alone_leaves_memory_within_its_bound() {
    const LENGTHS: [usize; 8] = [6, 8, 12, 15, 16, 20, 40, 60];
    let place = Place::new();
    let mut file = BufWriter::new(File::create_new(place.path("a.txt")).unwrap());
    let mut random = 1_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        usize::try_from(random >> 40).unwrap() % below
    };
    // Letters that rarely merge, so that each word has many ids.
    let letters = b"qxzjkvwbfgpyhm";
    for _ in 0..8_000_000 {
        for _ in 0..LENGTHS[next(LENGTHS.len())] {
            file.write_all(&[letters[next(letters.len())]]).unwrap();
        }
        file.write_all(b" ").unwrap();
    }
    drop(file);
    for encoding in ["gpt2", "o200k_base"] {
        // Including the hashes of all ids: what encoders share does not depend on which one cached
        // it.
        let mut manifests = Vec::new();
        for threads in [1, 2, 4] {
            let line = format!("tokenize a.txt --encoding {encoding} --threads {threads} --out d");
            let (done, own_bytes) = measured(&place, &line);
            assert_eq!(done.code, Some(0), "{done:?}");
            let bound = 64_000_000 + threads * 96_000_000;
            assert!((1..bound).contains(&own_bytes), "{line}: {own_bytes}");
            eprintln!("{line}: {own_bytes} bytes");
            manifests.push(fs::read(place.path("d/manifest.json")).unwrap());
            fs::remove_dir_all(place.path("d")).unwrap();
        }
        assert!(manifests.iter().all(|manifest| *manifest == manifests[0]));
    }
}

/// A story on one line, and its ids. Repeated, it has the repeated ids, because it begins with a
/// space and ends with a punctuation mark.
fn story() -> (String, Vec<u32>) {
    let text = fs::read_to_string(fixture("text/the-verdict.txt")).unwrap();
    let text = format!(" {}", text.trim().replace('\n', " "));
    assert!(text.ends_with(|last: char| last.is_ascii_graphic()));
    let ids = tiktoken_rs::r50k_base().unwrap().encode_ordinary(&text);
    (text, ids)
}

/// Writes `text` repeatedly up to `bytes`; returns how often.
fn write_often(file: &File, text: &str, bytes: usize) -> usize {
    let times = bytes.div_ceil(text.len());
    let mut file = BufWriter::new(file);
    for _ in 0..times {
        file.write_all(text.as_bytes()).unwrap();
    }
    file.flush().unwrap();
    times
}

#[test]
#[ignore = "takes half a minute and 4 GB: cargo test load:: -- --ignored"]
fn a_line_of_a_gb_is_one_document_as_text_and_as_a_record() {
    const BYTES: usize = 1_000_000_000;
    let (text, ids) = story();
    let quoted = serde_json::to_string(&text).unwrap();
    let quoted = &quoted[1..quoted.len() - 1];
    // Otherwise a record would not have to be copied.
    assert!(quoted.contains("\\\""));
    for (name, before, text, after) in [
        ("a.txt", "", &*text, ""),
        ("a.jsonl", "{\"text\":\"", quoted, "\"}"),
    ] {
        let place = Place::new();
        let mut file = File::create_new(place.path(name)).unwrap();
        file.write_all(before.as_bytes()).unwrap();
        let times = write_often(&file, text, BYTES);
        file.write_all(after.as_bytes()).unwrap();
        let size = file.metadata().unwrap().len();
        drop(file);
        let line = format!("tokenize {name} --out d --eot none --threads 2 --durability none");
        let (done, own_bytes) = measured(&place, &line);
        assert_eq!(done.code, Some(0), "{done:?}");
        let store = TokenStore::open(&place.path("d")).unwrap();
        assert_eq!(store.n_tokens(), (times * ids.len()) as u64);
        let mut found = vec![0; ids.len()];
        for n in 0..times {
            store.read((n * ids.len()) as u64, &mut found).unwrap();
            assert!(found == ids, "{name}: {n}");
        }
        let mut documents = store.documents();
        assert_eq!(documents.next().unwrap().unwrap().bytes, 0..size);
        assert!(documents.next().is_none());
        // A record is held whole: its text, if it must be unescaped, and its ids.
        let held_bytes = if name == "a.jsonl" {
            size + 4 * store.n_tokens()
        } else {
            0
        };
        let most = MAX_OWN_BYTES + held_bytes;
        assert!((1..most).contains(&own_bytes), "{name}: {own_bytes}");
        eprintln!("{name}: {own_bytes} bytes, {}", done.stderr);
    }
}

/// A group of processes with a memory limit that includes the pages of files that they read and
/// write.
struct Group {
    directory: PathBuf,
    /// The file with the peak usage.
    most: &'static str,
}

impl Group {
    /// `None`, with a notice, if the system allows none.
    fn new(limit_bytes: u64) -> Option<Self> {
        match Self::make(limit_bytes) {
            Ok(group) => Some(group),
            Err(why) => {
                skipped("a limit of memory with the page cache", &why);
                None
            }
        }
    }

    fn make(limit_bytes: u64) -> Result<Self, String> {
        let root = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_to_string(root.join("cgroup.controllers"));
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = own.lines().find_map(|line| line.split_once(":memory:/"));
        let (parent, limit, most) = if let Some((_, own)) = own {
            // Version 1: a part of this process' own limit.
            let parent = root.join("memory").join(own);
            (parent, "memory.limit_in_bytes", "memory.max_usage_in_bytes")
        } else if controllers.is_ok_and(|names| names.split_whitespace().any(|n| n == "memory")) {
            // Version 2: only the root may have both processes and groups with limits.
            (root.to_owned(), "memory.max", "memory.peak")
        } else {
            return Err("no cgroup limits memory".to_owned());
        };
        let name = format!("shardmill-test-{}", std::process::id());
        let group = Self {
            directory: parent.join(name),
            most,
        };
        fs::create_dir(&group.directory)
            .and_then(|()| fs::write(group.directory.join(limit), limit_bytes.to_string()))
            .map_err(|error| format!("cgroup: {error}"))?;
        Ok(group)
    }

    fn run(&self, place: &Place, line: &str) -> Done {
        let program = place.command(line.split(' '));
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(self.directory.join("cgroup.procs"))
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(place.path(""))
            .env_remove("RUST_BACKTRACE");
        Done::new(shell.output().unwrap())
    }

    fn most_bytes(&self) -> u64 {
        let most = fs::read_to_string(self.directory.join(self.most)).unwrap();
        most.trim().parse().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.directory);
    }
}

#[test]
#[ignore = "takes half a minute, 3 GB and root: cargo test load:: -- --ignored"]
fn files_larger_than_the_memory_there_is_give_the_same_bytes() {
    let place = Place::new();
    let file = File::create_new(place.path("a.txt")).unwrap();
    let (text, _) = story();
    // More than twice the limit, as are its ids and the rows below: 9 thousand windows of 256 rows
    // of 256 bytes.
    write_often(&file, &text, 600_000_000);
    drop(file);
    for [line, input] in [
        ["tokenize a.txt --threads 2 --durability full", "a.txt"],
        ["tokenize a.txt --threads 2 --durability none", "a.txt"],
        [
            "embed d --seq-len 256 --stride 16384 --dim 64 --init-seed 1 --threads 2",
            "d",
        ],
    ] {
        let whole = if line.starts_with("embed") { "e" } else { "d" };
        if !place.path(whole).exists() {
            let done = place.run(format!("{line} --out {whole}").split(' '));
            assert_eq!(done.code, Some(0), "{done:?}");
        }
        let Some(group) = Group::new(MAX_OWN_BYTES) else {
            return;
        };
        // Pages already in memory are not charged to their reader.
        forget(&place.path(input));
        let done = group.run(&place, &format!("{line} --out limited"));
        let what = format!("{line}: {} bytes: {done:?}", group.most_bytes());
        match done.code {
            Some(0) => {
                let limited = output_bytes(&place.path("limited"));
                assert!(limited.values().map(Vec::len).sum::<usize>() as u64 > 2 * MAX_OWN_BYTES);
                assert!(limited == output_bytes(&place.path(whole)), "{what}");
                fs::remove_dir_all(place.path("limited")).unwrap();
            }
            Some(3) => assert_eq!(done.stderr.matches(" error: ").count(), 1, "{what}"),
            _ => panic!("{what}"),
        }
        eprintln!("{what}");
        // Otherwise the limit was never reached.
        assert!(group.most_bytes() > MAX_OWN_BYTES / 10 * 9, "{what}");
    }
}

/// Drops a file, or the files of a directory, from memory.
fn forget(path: &Path) {
    let script = "find \"$0\" -type f -exec sync {} + -exec dd if={} iflag=nocache count=0 \\;";
    let done = Command::new("sh").args(["-c", script]).arg(path).output();
    assert!(done.unwrap().status.success());
}

#[test]
#[ignore = "makes a million files: cargo test load:: -- --ignored"]
fn a_million_files_are_planned_in_a_minute_and_300_mb() {
    const SIDE: u32 = 1000;
    let place = Place::new();
    // In memory, if the system has such a directory: a disk takes minutes to make and remove them.
    let memory = Path::new("/dev/shm");
    let files = if memory.is_dir() {
        TempDir::new_in(memory).unwrap()
    } else {
        TempDir::new().unwrap()
    };
    for outer in 0..SIDE {
        let directory = files.path().join(outer.to_string());
        fs::create_dir_all(&directory).unwrap();
        for inner in 0..SIDE {
            fs::write(directory.join(format!("{inner}.txt")), "a b").unwrap();
        }
    }
    let started = Instant::now();
    let line = format!("plan {}", files.path().display());
    let (done, own_bytes) = measured(&place, &line);
    let time = started.elapsed();
    assert_eq!(done.code, Some(0), "{done:?}");
    let units = "1 unit from 3.0 MB in 1,000,000 sources";
    assert!(done.text().starts_with(units), "{}", done.text());
    assert!(time < Duration::from_mins(1), "{time:?}");
    assert!((1..300_000_000).contains(&own_bytes), "{own_bytes}");
    eprintln!("{time:?}, {own_bytes} bytes");
}

/// Makes, checks, reads and remakes a dataset with more shards than a process may have maps and
/// open files.
#[test]
#[ignore = "makes 100,000 shards: cargo test load:: -- --ignored"]
fn a_hundred_thousand_shards_are_made_and_read_within_maps_files_and_memory() {
    const SHARDS: usize = 100_000;
    let memory = Path::new("/dev/shm");
    let files = if memory.is_dir() {
        TempDir::new_in(memory).unwrap()
    } else {
        TempDir::new().unwrap()
    };
    let place = Place::new();
    let words: Vec<_> = (0..=SHARDS).map(|i| ["a", "b", "c"][i % 7 % 3]).collect();
    place.write("a.txt", words.join(" "));
    let out = files.path().display();
    let tokenize = format!("tokenize a.txt --unit-size 2B --threads 2 --out {out}/d");
    let shards = "100,002 tokens, 100,000 shards, 1 document";
    for (line, said) in [
        (tokenize.clone(), format!("{shards} from 200.0 kB in ")),
        (
            tokenize.clone(),
            format!("{shards} from 200.0 kB; was there already"),
        ),
        (
            format!("verify {out}/d"),
            format!("whole: {shards} checked"),
        ),
        (format!("decode {out}/d"), String::new()),
        (format!("info {out}/d --window documents"), String::new()),
        (
            format!("embed {out}/d --out {out}/e --seq-len 64 --stride 64 --init-seed 1 --dim 8"),
            "1,562 windows".to_owned(),
        ),
        (
            tokenize.replace(&format!("{out}/d"), &format!("{out}/u")) + " --units 0/1",
            "100,000 units (0 done before)".to_owned(),
        ),
        (format!("status {out}/u"), String::new()),
        (format!("finish {out}/u"), shards.to_owned()),
    ] {
        let started = Instant::now();
        let (done, own_bytes) = measured_with(&place, &line, "ulimit -n 256");
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
        assert!(done.stderr.contains(&said), "{line}: {done:?}");
        assert!((1..MAX_OWN_BYTES).contains(&own_bytes), "{own_bytes}");
        if line.starts_with("decode") {
            assert!(done.stdout == place.read("a.txt"));
        }
        eprintln!("{line}: {:?}, {own_bytes} bytes", started.elapsed());
    }
    let made = fs::read(files.path().join("d/manifest.json")).unwrap();
    assert!(made == fs::read(files.path().join("u/manifest.json")).unwrap());
}
