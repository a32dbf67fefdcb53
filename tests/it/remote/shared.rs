//! Units of objects: shared among processes, resumed after kills, and compared.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::proxy::{Fault, Proxy};
use super::server::server;
use super::{command, run, upload};
use crate::columnar::texts;
use crate::common_dataset::text;
use crate::compressed::{gzip, records};
use crate::parquet::{Layout, parquet};
use crate::support::{Place, output_bytes, spawn};

fn corpus() -> Place {
    let place = Place::new();
    place.write("in/a.txt", text("udhr.txt"));
    place.write("in/b.jsonl", records(1_500_000));
    place.write("in/c.jsonl.gz", gzip(&[&records(400_000)]));
    place.write("in/d.parquet", parquet(&texts(2000), Layout::PLAIN));
    place
}

fn args<'a>(input: &'a str, out: &'a str) -> [&'a str; 6] {
    ["tokenize", input, "--out", out, "--unit-size", "200kB"]
}

#[test]
fn units_are_shared_and_resumed_after_kills() {
    let Some(server) = server("units of objects") else {
        return;
    };
    let place = corpus();
    let bucket = upload(server, &place);
    let url = format!("s3://{bucket}/pre/");
    let whole = run(&place, &server.url(), &args("in", "expected"));
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let expected = output_bytes(&place.path("expected"));

    for share in ["1/2", "0/2"] {
        let args = [&args(&url, "d")[..], &["--units", share]].concat();
        let done = run(&place, &server.url(), &args);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let done = run(&place, &server.url(), &["finish", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(output_bytes(&place.path("d")) == expected);

    // Exactly this is there already, and is compared.
    let again = run(&place, &server.url(), &args(&url, "d"));
    assert!(again.stderr.contains("was there already"), "{again:?}");

    // Kills at any time. The answers are slow, so that there is some.
    let proxy = Proxy::new(server.port(), |request| {
        if request.is_get() {
            Fault::Slow
        } else {
            Fault::None
        }
    });
    for finished in [1, 3, 9] {
        let mut run = spawn(&mut command(&place, &proxy.url(), &args(&url, "killed")));
        let count = || {
            let names = fs::read_dir(place.path("killed.partial"))
                .into_iter()
                .flatten();
            let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names
                .filter(|name| name.starts_with("shard-") && name.contains(".json"))
                .count()
        };
        while count() < finished && run.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        run.kill().unwrap();
        run.wait().unwrap();
        let done = super::run(&place, &server.url(), &args(&url, "killed"));
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stderr.contains("done before"), "{done:?}");
        assert!(output_bytes(&place.path("killed")) == expected);
        fs::remove_dir_all(place.path("killed")).unwrap();
    }
}

#[test]
fn an_object_that_is_replaced_during_a_run_is_an_error() {
    let Some(server) = server("objects that change") else {
        return;
    };
    let place = Place::new();
    let lines = records(12_000_000);
    place.write("in/a.jsonl", &lines);
    place.write("in/b.parquet", parquet(&texts(2000), Layout::PLAIN));
    for (name, other) in [
        ("a.jsonl", lines.to_ascii_uppercase()),
        ("b.parquet", lines),
    ] {
        let bucket = upload(server, &place);
        let url = format!("s3://{bucket}/pre/{name}");
        let is_replaced = AtomicBool::new(false);
        let proxy = Proxy::new(server.port(), move |request| {
            let start = request
                .range
                .as_ref()
                .and_then(|range| range.split('-').next());
            let is_later = start.is_some_and(|start| start.parse::<u64>().unwrap() > 2_000_000);
            if is_later && !is_replaced.swap(true, Ordering::SeqCst) {
                server.put(&bucket, &format!("pre/{name}"), &other);
            }
            Fault::None
        });
        let args = [
            "tokenize",
            &url,
            "--out",
            "d",
            "--threads",
            "1",
            "--unit-size",
            "100MB",
        ];
        let done = run(&place, &proxy.url(), &args);
        assert_eq!(done.code, Some(1), "{done:?}");
        let start = format!("shardmill: error: {url}: byte ");
        assert!(done.stderr.starts_with(&start), "{done:?}");
        let end = ": the object changed while it was in use; run again when nothing writes to it\n";
        assert!(done.stderr.ends_with(end), "{done:?}");
        assert!(!place.path("d").exists());
        // Nothing is left if the change was seen early.
        let _ = fs::remove_dir_all(place.path("d.partial"));
    }
}

#[test]
fn an_object_that_changed_between_runs_is_made_again() {
    let Some(server) = server("objects that changed") else {
        return;
    };
    let place = corpus();
    let bucket = upload(server, &place);
    let url = format!("s3://{bucket}/pre/");
    for share in ["0/2", "1/2"] {
        let args = [&args(&url, "d")[..], &["--units", share]].concat();
        let done = run(&place, &server.url(), &args);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let mut lines = place.read("in/b.jsonl");
    lines.extend_from_slice(b"{\"text\":\"one more\"}\n");
    place.write("in/b.jsonl", &lines);
    server.put(&bucket, "pre/b.jsonl", &lines);
    let outputs = [("in", "expected"), (&url, "d")].map(|(input, out)| {
        let done = run(&place, &server.url(), &args(input, out));
        assert_eq!(done.code, Some(0), "{done:?}");
        (done.stderr, output_bytes(&place.path(out)))
    });
    assert!(outputs[1].0.contains("done before"), "{}", outputs[1].0);
    assert!(outputs[0].1 == outputs[1].1);
}
