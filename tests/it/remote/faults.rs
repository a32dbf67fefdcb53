//! A store that fails now and then, and one that fails for good.

use std::time::Instant;

use super::proxy::{Fault, Proxy};
use super::server::server;
use super::{run, upload};
use crate::columnar::texts;
use crate::common_dataset::text;
use crate::compressed::{gzip, records};
use crate::parquet::{Layout, parquet};
use crate::support::{Place, output_bytes};

fn corpus() -> Place {
    let place = Place::new();
    place.write("in/a.txt", text("tinyshakespeare.txt"));
    place.write("in/b.jsonl", records(6_000_000));
    place.write("in/c.jsonl.gz", gzip(&[&records(3_000_000)]));
    place.write("in/d.parquet", parquet(&texts(2000), Layout::PLAIN));
    for index in 0..20 {
        place.write(format!("in/small/{index}.txt"), index.to_string());
    }
    place
}

fn args<'a>(input: &'a str, out: &'a str) -> [&'a str; 6] {
    ["tokenize", input, "--out", out, "--unit-size", "2MB"]
}

#[test]
fn faults_that_pass_change_no_byte() {
    let Some(server) = server("faults of object stores") else {
        return;
    };
    let place = corpus();
    let bucket = upload(server, &place);
    let url = format!("s3://{bucket}/pre/");
    let local = run(&place, "", &args("in", "local"));
    assert_eq!(local.code, Some(0), "{local:?}");
    let expected = output_bytes(&place.path("local"));
    let rules: [fn(usize) -> Fault; 4] = [
        |n| {
            if n % 3 == 1 {
                Fault::Status(500)
            } else {
                Fault::None
            }
        },
        |n| {
            if n % 3 == 1 {
                Fault::Cut(n * 7919)
            } else {
                Fault::None
            }
        },
        |n| match n % 9 {
            0 => Fault::Drop,
            3 => Fault::Status(503),
            6 => Fault::Status(429),
            _ => Fault::None,
        },
        |n| {
            if n % 2 == 0 {
                Fault::Slow
            } else {
                Fault::Cut(100_000)
            }
        },
    ];
    for (index, rule) in rules.into_iter().enumerate() {
        let proxy = Proxy::new(server.port(), move |request| rule(request.number));
        let out = format!("remote-{index}");
        let done = run(&place, &proxy.url(), &args(&url, &out));
        assert_eq!(done.code, Some(0), "{index}: {done:?}");
        assert!(output_bytes(&place.path(out)) == expected, "{index}");
    }
}

#[test]
fn a_body_that_breaks_off_goes_on_where_it_did() {
    let Some(server) = server("bodies that break off") else {
        return;
    };
    let place = Place::new();
    place.write("in/a.txt", text("tinyshakespeare.txt"));
    let bucket = upload(server, &place);
    let url = format!("s3://{bucket}/pre/a.txt");
    let proxy = Proxy::new(server.port(), |request| {
        let is_second = request
            .range
            .as_ref()
            .is_some_and(|range| range.starts_with("131072-"));
        if is_second {
            Fault::Cut(300_000)
        } else {
            Fault::None
        }
    });
    let done = run(&place, &proxy.url(), &["tokenize", &url, "--out", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let ranges = proxy
        .requests()
        .into_iter()
        .filter_map(|request| request.range);
    let starts: Vec<_> = ranges
        .map(|range| range.split('-').next().unwrap().to_owned())
        .collect();
    assert_eq!(starts, ["0", "131072", "431072"]);
}

#[test]
fn a_list_that_breaks_off_is_asked_for_again() {
    let Some(server) = server("lists that break off") else {
        return;
    };
    let place = Place::new();
    place.write("in/a.txt", "a");
    place.write("in/b.txt", "b");
    let bucket = upload(server, &place);
    let url = format!("s3://{bucket}/pre/");
    let proxy = Proxy::new(server.port(), |request| match request.number {
        0..3 => Fault::Cut(100),
        _ => Fault::None,
    });
    let done = run(&place, &proxy.url(), &["tokenize", &url, "--out", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains("2 documents"), "{done:?}");
}

#[test]
fn a_server_that_answers_no_head_is_read() {
    let Some(server) = server("servers without HEAD") else {
        return;
    };
    let place = Place::new();
    place.write("in/a.txt", "a");
    let bucket = upload(server, &place);
    let proxy = Proxy::new(server.port(), |request| {
        if request.line.starts_with("HEAD") {
            Fault::Status(405)
        } else {
            Fault::None
        }
    });
    let url = format!("{}/{bucket}/pre/a.txt", proxy.url());
    let done = run(&place, "", &["tokenize", &url, "--out", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    // A query may say which object it is.
    let [first, second] = [1, 2].map(|id| format!("{url}?id={id}"));
    let done = run(
        &place,
        "",
        &["tokenize", &first, &second, "--out", "e", "--json"],
    );
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.json()["inputs"]["repeated"]["count"], 0, "{done:?}");
}

#[test]
fn a_store_that_stays_broken_is_one_line() {
    let Some(server) = server("object stores that stay broken") else {
        return;
    };
    let place = Place::new();
    place.write("in/a.jsonl", records(6_000_000));
    let bucket = upload(server, &place);
    let url = format!("s3://{bucket}/pre/a.jsonl");
    let is_later = |range: &String| {
        range
            .split('-')
            .next()
            .is_some_and(|start| start.parse::<u64>().unwrap() > 2_000_000)
    };
    for (fault, what) in [
        (
            Fault::Status(503),
            "the server answers 503 Service Unavailable",
        ),
        (Fault::Cut(0), ""),
    ] {
        let proxy = Proxy::new(server.port(), move |request| {
            let is_later = request.range.as_ref().is_some_and(is_later);
            if is_later { fault } else { Fault::None }
        });
        let started = Instant::now();
        let args = ["tokenize", &url, "--out", "d", "--threads", "1"];
        let done = run(&place, &proxy.url(), &args);
        assert!(started.elapsed().as_secs() < 100);
        assert_eq!(done.code, Some(3), "{done:?}");
        let start = format!("shardmill: error: {url}: byte 2228224: cannot read: {what}");
        assert!(done.stderr.starts_with(&start), "{done:?}");
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    }
}
