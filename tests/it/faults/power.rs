//! What records promise still holds after kills and power cuts.

use super::*;

/// The files that a record of finished work promises, with their sizes.
fn promised(record: &Value, found: &mut Vec<(String, u64)>) {
    match record {
        Value::Array(values) => values.iter().for_each(|value| promised(value, found)),
        Value::Object(map) => {
            for (file, bytes) in [("file", "bytes"), ("docs_file", "docs_bytes")] {
                if let (Some(Value::String(file)), Some(bytes)) = (map.get(file), map.get(bytes)) {
                    found.push((file.clone(), bytes.as_u64().unwrap()));
                }
            }
            map.values().for_each(|value| promised(value, found));
        }
        _ => {}
    }
}

/// How many promises of the records in `directory` its files do not keep.
fn broken_promises(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    let mut broken = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_record = path.extension().is_some_and(|end| end == "json") && !name.starts_with('.');
        if !is_record || !(name.starts_with("shard-") || name == "manifest.json") {
            continue;
        }
        let Ok(record) = serde_json::from_slice(&fs::read(&path).unwrap()) else {
            broken += 1;
            continue;
        };
        let mut files = Vec::new();
        promised(&record, &mut files);
        assert!(!files.is_empty(), "{name} promises nothing: {record}");
        for (file, bytes) in files {
            // Receipts remain until after the rename that publishes their files.
            let published = directory.with_extension("");
            let places = [directory, &directory.join("new"), &published];
            let places = places.map(|place| place.join(&file));
            let is_kept = (places.iter().filter_map(|path| fs::metadata(path).ok()))
                .any(|there| there.len() == bytes);
            broken += usize::from(!is_kept);
        }
    }
    broken
}

/// Cuts the power `cuts` times at different moments of runs with `durability`; returns how
/// many promises were broken, and how many cuts came before the end of a run.
fn cut_runs(durability: &str, cuts: u32) -> Option<(usize, usize)> {
    let place = Place::new();
    let words: Vec<_> = (0..600_000)
        .map(|i| format!("word{}", i % 1000 * 7919 % 1000))
        .collect();
    let text = words.join(" ");
    place.write("in/a.txt", &text);
    // Units that go through the page cache, and one that goes past it.
    let args = |unit_size, durability, out| {
        [
            "tokenize",
            "in",
            "--unit-size",
            unit_size,
            "--durability",
            durability,
            "--out",
            out,
        ]
    };
    let sizes = ["100kB", "5MB"].map(|size| {
        assert_eq!(place.run(args(size, "none", "expected")).code, Some(0));
        let expected = output_bytes(&place.path("expected"));
        fs::remove_dir_all(place.path("expected")).unwrap();
        (size, expected)
    });
    let disk = Disk::new(&place)?;
    let started = Instant::now();
    assert_eq!(place.run(args("100kB", durability, "disk/d")).code, Some(0));
    let whole = started.elapsed();
    fs::remove_dir_all(place.path("disk/d")).unwrap();
    let (mut broken, mut at_work) = (0, 0);
    for cut in 0..cuts {
        let (size, expected) = &sizes[cut as usize % sizes.len()];
        let args = args(size, durability, "disk/d");
        let mut run = place.command(args).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * (cut + 1) / cuts + Duration::from_millis(1));
        at_work += usize::from(run.try_wait().unwrap().is_none());
        disk.cut_power(&mut run);
        broken += broken_promises(&place.path("disk/d.partial"));
        broken += broken_promises(&place.path("disk/d.partial/new"));
        if place.path("disk/d").exists() {
            broken += broken_promises(&place.path("disk/d"));
            broken += usize::from(place.run(["verify", "disk/d"]).code != Some(0));
        }
        // Without syncs, nothing is promised about the next run.
        if durability == "full" {
            let next = place.run(args);
            assert_eq!(next.code, Some(0), "after cut {cut}: {next:?}");
            assert!(output_bytes(&place.path("disk/d")) == *expected, "{cut}");
        }
        let _ = fs::remove_dir_all(place.path("disk/d"));
        let _ = fs::remove_dir_all(place.path("disk/d.partial"));
    }
    Some((broken, at_work))
}

/// How often to cut the power: `FAULT_CUTS`, or 60.
fn cuts() -> u32 {
    let wanted = std::env::var("FAULT_CUTS").ok();
    wanted.map_or(60, |cuts| cuts.parse().unwrap())
}

#[test]
#[ignore = "takes a minute: cargo test faults:: -- --ignored"]
fn five_hundred_kills_give_the_bytes_of_an_undisturbed_run() {
    let place = Place::new();
    let words: Vec<_> = (0..200_000)
        .map(|i| format!("word{}", i % 1000 * 7919 % 1000))
        .collect();
    place.write("in/a.txt", words.join(" "));
    let args = |out| {
        [
            "tokenize",
            "in",
            "--unit-size",
            "50kB",
            "--threads",
            "2",
            "--out",
            out,
        ]
    };
    let started = Instant::now();
    assert_eq!(place.run(args("expected")).code, Some(0));
    let whole = started.elapsed();
    let expected = output_bytes(&place.path("expected"));
    let mut killed = 0;
    for kill in 0..500 {
        let mut run = place
            .command(args("d"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Moments throughout a run, out of order.
        std::thread::sleep(whole * (kill * 37 % 100) / 100);
        killed += usize::from(run.try_wait().unwrap().is_none());
        let _ = run.kill();
        run.wait().unwrap();
        let out = place.path("d");
        if out.exists() {
            assert!(output_bytes(&out) == expected, "kill {kill}");
            fs::remove_dir_all(out).unwrap();
        }
    }
    eprintln!("500 kills, {killed} of them into a run");
    assert!(killed > 50, "{killed}");
    assert_eq!(place.run(args("d")).code, Some(0));
    assert!(output_bytes(&place.path("d")) == expected);
    assert!(!place.path("d.partial").exists());
}

#[test]
#[ignore = "takes minutes and needs root: cargo test faults:: -- --ignored"]
fn a_power_cut_leaves_no_promise_without_its_files() {
    if let Some((broken, at_work)) = cut_runs("full", cuts()) {
        eprintln!(
            "{} cuts, {at_work} of them into a run: {broken} broken promises",
            cuts()
        );
        assert!(at_work > 0);
        assert_eq!(broken, 0);
    }
}

#[test]
#[ignore = "takes minutes and needs root: cargo test faults:: -- --ignored"]
fn without_syncs_a_power_cut_breaks_promises() {
    // Otherwise the test above could not detect broken promises.
    if let Some((broken, at_work)) = cut_runs("none", cuts()) {
        eprintln!(
            "{} cuts, {at_work} of them into a run: {broken} broken promises",
            cuts()
        );
        assert!(broken > 0);
    }
}
