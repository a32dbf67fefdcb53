//! CSV and TSV: the documents of the same records as JSON Lines, and of Python's `csv`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use shardmill::document::Format;

use crate::common_dataset::{Dataset, config, encoding, fifo};
use crate::compressed::{all, gzip, pack, records};
use crate::support::{Place, output_bytes, skipped};

/// Texts with commas, quotes, line ends and nothing.
fn texts(bytes: usize) -> Vec<String> {
    let lines = records(bytes);
    let lines = lines
        .split(|&byte| byte == b'\n')
        .filter(|line| line.len() > 1);
    let text = |line: &[u8]| -> Value { serde_json::from_slice(line).unwrap() };
    let mut texts: Vec<_> = lines
        .map(|line| text(line)["text"].as_str().unwrap().to_owned())
        .collect();
    for odd in [
        "\"",
        "\"\"",
        "a,b\r\n\"c\"\n",
        "\n",
        "\r",
        " \t ",
        "\u{feff}",
        "a\"b",
        ",",
    ] {
        texts.push(odd.to_owned());
    }
    texts
}

/// The texts as records between other columns; fields are quoted if they need to be.
fn table(texts: &[String], separator: char, line_end: &str) -> String {
    let mut table = ["id", "text", "say \"it\""]
        .map(|name| quoted(name, separator))
        .join(&separator.to_string());
    table += line_end;
    for (index, text) in texts.iter().enumerate() {
        let text = quoted(text, separator);
        let record = [&index.to_string(), &text, "\"and, \n\""].join(&separator.to_string());
        table.extend([&record, line_end]);
        if index % 7 == 0 {
            table += line_end;
        }
    }
    table
}

fn quoted(field: &str, separator: char) -> String {
    let needs_quotes = field.is_empty() || field.contains(['"', '\n', '\r', separator]);
    if needs_quotes {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[test]
fn records_hold_the_documents_of_json_lines_however_they_are_read() {
    let place = Place::new();
    let texts = texts(2_000_000);
    let lines = texts
        .iter()
        .map(|text| format!("{}\n", json!({ "text": text })));
    let lines = place.write("a.jsonl", lines.collect::<String>());
    let expected = Dataset::make(&[lines], encoding("gpt2"), &config(1 << 30));
    let totals = expected.store.manifest().totals;
    assert_eq!(totals.documents, texts.len() as u64);
    for (name, separator, line_end) in [
        ("a.csv", ',', "\n"),
        ("b.csv", ',', "\r\n"),
        ("c.tsv", '\t', "\n"),
    ] {
        let table = table(&texts, separator, line_end);
        let path = place.write(name, &table);
        for (unit, threads) in [(1 << 30, 1), (100_000, 1), (100_000, 3), (1000, 2)] {
            let mut config = config(unit);
            config.threads = threads;
            let made = Dataset::make(std::slice::from_ref(&path), encoding("gpt2"), &config);
            let manifest = made.store.manifest();
            assert!(made.ids() == expected.ids(), "{name} {unit}");
            assert_eq!(manifest.totals.documents, totals.documents);
            assert_eq!(manifest.totals.text_bytes, totals.text_bytes);
            let format = if separator == ',' {
                Format::Csv
            } else {
                Format::Tsv
            };
            assert_eq!(manifest.sources[0].format, format);
            if unit == 1000 {
                assert!(manifest.shards.len() > 500);
            }
            // A document lies where its record does.
            let records = made
                .store
                .documents()
                .map(|document| document.unwrap().bytes);
            for (index, bytes) in records.enumerate() {
                let at = |byte| usize::try_from(byte).unwrap();
                let record = &table[at(bytes.start)..at(bytes.end)];
                assert!(
                    record.starts_with(&format!("{index}{separator}")),
                    "{record}"
                );
                assert!(record.ends_with("\"and, \n\""), "{record}");
            }
        }
        // Compressed, and from a stream.
        for (compression, extension) in all() {
            let path = place.write(
                format!("{name}.{extension}"),
                pack(compression, &[table.as_bytes()]),
            );
            let made = Dataset::make(&[path], encoding("gpt2"), &config(1000));
            assert!(made.ids() == expected.ids(), "{name}.{extension}");
        }
        let cut = Dataset::make(&[path], encoding("gpt2"), &config(100_000));
        let pipe = place.path("pipe").join(name);
        std::fs::create_dir_all(pipe.parent().unwrap()).unwrap();
        let feeder = fifo(&pipe, table.clone().into_bytes());
        let streamed = Dataset::make(&[pipe], encoding("gpt2"), &config(100_000));
        feeder.join().unwrap();
        assert!(streamed.files() == cut.files(), "{name} from a FIFO");
    }
}

/// What Python's `csv` reads, in a program of its own.
const PYTHON: &str = r#"
import csv, json, sys
name, delimiter = sys.argv[1:]
with open(name, newline='', encoding='utf-8-sig') as file:
    for row in csv.DictReader(file, delimiter='\t' if delimiter == 'tab' else ',', strict=True):
        print(json.dumps({"text": row["text"]}))
"#;

#[test]
fn records_are_those_that_python_reads_and_writes() {
    let place = Place::new();
    let texts = texts(300_000);
    let written = Command::new("python3")
        .arg("-c")
        .arg(
            "import csv, json, sys\n\
             texts = json.load(open('texts.json'))\n\
             for name, kind in [('a.csv', 'excel'), ('b.tsv', 'excel-tab'), ('c.csv', 'unix')]:\n\
             \x20   with open(name, 'w', newline='', encoding='utf-8-sig') as file:\n\
             \x20       out = csv.writer(file, kind)\n\
             \x20       out.writerow(['text', 'more'])\n\
             \x20       out.writerows([text, 'x,y'] for text in texts)\n",
        )
        .current_dir(
            place
                .write("texts.json", json!(texts).to_string())
                .parent()
                .unwrap(),
        )
        .status();
    if !written.is_ok_and(|status| status.success()) {
        skipped("CSV of Python", "needs python3");
        return;
    }
    for (name, separator) in [("a.csv", "comma"), ("b.tsv", "tab"), ("c.csv", "comma")] {
        let read = Command::new("python3")
            .args(["-c", PYTHON, name, separator])
            .current_dir(place.path(""))
            .output()
            .unwrap();
        assert!(
            read.status.success(),
            "{}",
            String::from_utf8_lossy(&read.stderr)
        );
        place.write("read.jsonl", &read.stdout);
        for (input, out) in [(name, "found"), ("read.jsonl", "expected")] {
            let done = place.run(["tokenize", input, "--out", out, "--overwrite"]);
            assert_eq!(done.code, Some(0), "{done:?}");
        }
        let ids = |out: &str| output_bytes(&place.path(out))["shard-00000.u32"].clone();
        assert!(ids("found") == ids("expected"), "{name}");
    }
}

#[test]
fn a_column_is_chosen_and_one_that_is_missing_is_refused() {
    let place = Place::new();
    place.write("a.csv", "id,content\n1,one\n2,two\n");
    let done = place.run(["tokenize", "a.csv", "--out", "a"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let line = "takes the documents from the field 'content', which the first records have instead of 'text'";
    assert!(done.stderr.contains(line), "{done:?}");
    assert!(done.stderr.contains(" 2 documents "), "{done:?}");
    place.write("b.csv", "id;body\n1;one\n");
    let line = "b.csv: has no column 'text'; there are 'id;body'; choose one with --text-field";
    for inputs in [&["b.csv"][..], &["b.csv", "--bad-records", "skip"]] {
        let args = [&["tokenize", "--out", "b"], inputs].concat();
        place.run(args).failed(1, line);
    }
    place.write("two.csv", "id,text,id\n1,one,2\n");
    let line = "two.csv: has two columns 'id'; rename one of them";
    place
        .run(["tokenize", "two.csv", "--out", "b", "--id-field", "id"])
        .failed(1, line);
    let done = place.run(["tokenize", "two.csv", "--out", "two"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let args = [
        "tokenize",
        "-",
        "--input-format",
        "csv",
        "--out",
        "c",
        "--text-field",
        "b",
    ];
    let done = place.run_with(args, b"a,b\n1,one\n");
    assert_eq!(done.code, Some(0), "{done:?}");
    let exists = "c: exists and is not exactly this output; use --overwrite to replace it or choose another \
                  --out";
    place.run_with(args, b"a,b\n1,two\n").failed(1, exists);
    let line = "-: has no column 'b'; there are 'a', 'c'; choose one with --text-field";
    let args = [&args[..], &["--overwrite"]].concat();
    place.run_with(args, b"a,c\n1,one\n").failed(1, line);
    // A broken header loses no records in silence.
    for header in ["text,\"b\n1,2\n", "text,\"b\"c\n1,2\n"] {
        place.write("broken.csv", header);
        for more in [&[][..], &["--bad-records", "skip"]] {
            let done = place.run([&["tokenize", "broken.csv", "--out", "h"], more].concat());
            assert_eq!(done.code, Some(1), "{done:?}");
            let start = "shardmill: error: broken.csv: its header is broken: ";
            assert!(done.stderr.starts_with(start), "{done:?}");
        }
    }
    // No records, or nothing at all, is no error.
    place.write("empty.csv", "");
    place.write("mark.csv", "\u{feff}");
    place.write("none.csv", "text\n");
    let done = place.run([
        "tokenize",
        "empty.csv",
        "mark.csv",
        "none.csv",
        "--out",
        "e",
    ]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let manifest: Value = serde_json::from_slice(&place.read("e/manifest.json")).unwrap();
    assert_eq!(manifest["totals"]["documents"], 0);
    // As text, if the user says so.
    let args = ["tokenize", "b.csv", "--input-format", "text", "--out", "t"];
    assert_eq!(place.run(args).code, Some(0));
    assert_eq!(place.run(["decode", "t"]).text(), "id;body\n1;one\n");
}

#[test]
fn broken_records_are_refused_or_left_out_with_their_lines() {
    let place = Place::new();
    let table = b"id,text\n1,\"one\n\nof more\"\n2,two,three\n3\n4,\"fo\"ur\n5,\"five\"\n6,\"\xfe\"\n7,\"open\n8,x\n";
    place.write("a.csv", table);
    let line = "a.csv: line 5: has 3 fields, and the header names 2 columns";
    place
        .run(["tokenize", "a.csv", "--out", "a"])
        .failed(1, line);
    let expected = [
        "a.csv: line 5: has 3 fields, and the header names 2 columns",
        "a.csv: line 6: has 1 field, and the header names 2 columns",
        "a.csv: line 7: something follows a quote that closes a field; a quote in a field is doubled",
        "a.csv: line 9: column 4: invalid UTF-8",
        "a.csv: lines 10 to 11: a quote that begins a field is never closed, so all that follows is in that field",
    ];
    for unit in ["1B", "1GB"] {
        for threads in ["1", "3"] {
            let args = [
                "tokenize",
                "a.csv",
                "--out",
                "a",
                "--overwrite",
                "--bad-records",
                "skip",
            ];
            let more = ["--unit-size", unit, "--threads", threads];
            let done = place.run([&args[..], &more].concat());
            assert_eq!(done.code, Some(0), "{done:?}");
            for line in expected {
                assert!(
                    done.stderr.contains(&format!("left out: {line}\n")),
                    "{line} {done:?}"
                );
            }
            assert!(
                done.stderr.contains("(1 invalid UTF-8, 4 broken CSV)"),
                "{done:?}"
            );
            let verified = place.run(["verify", "a", "--inputs", "a.csv"]);
            assert_eq!(verified.code, Some(0), "{verified:?}");
        }
    }
    let counts: Value = serde_json::from_slice(&place.read("a/manifest.json")).unwrap();
    assert_eq!(counts["totals"]["documents"], 2);
    assert!(Path::new(&place.path("a/shard-00000.bad.jsonl")).exists());
}

#[test]
fn lines_that_a_stray_quote_makes_one_record_are_counted() {
    let place = Place::new();
    place.write(
        "a.csv",
        "id,text\n1,\"stray\n2,two\n3,\"three\"\n4,four\n5,\"open\n6,six\n7,seven",
    );
    let args = ["tokenize", "a.csv", "--out", "a", "--bad-records", "skip"];
    let quote = "something follows a quote that closes a field; a quote in a field is doubled";
    let open = "a quote that begins a field is never closed, so all that follows is in that field";
    place.run(args).said(&[
        &format!("left out: a.csv: lines 2 to 4: {quote}"),
        &format!("left out: a.csv: lines 6 to 8: {open}"),
        "a: 2 tokens, 1 shard, 1 document from 61 B, 2 bad records (2 broken CSV) on 6 lines left out in \
         TIME (RATE)",
    ]);
    assert_eq!(place.run(["verify", "a"]).code, Some(0));
    for (args, expected) in [
        (
            &["info", "a"][..],
            "2 bad records (2 broken CSV) on 6 lines",
        ),
        (&["report", "a", "--out", "-"], "lines 6 to 8"),
    ] {
        let done = place.run(args);
        assert!(done.text().contains(expected), "{done:?}");
    }
}

#[test]
fn lines_that_end_in_a_carriage_return_alone_are_counted() {
    let place = Place::new();
    let records = (0..3000).map(|n| format!("{n},text of {n}\r"));
    let table = format!("id,text\r{}9,x,y\r", records.collect::<String>());
    place.write("a.csv", &table);
    place.write("b.csv", table.replace('\r', "\r\n"));
    place.write("a.csv.gz", gzip(&[table.as_bytes()]));
    let what = "line 3002: has 3 fields, and the header names 2 columns";
    for input in ["a.csv", "b.csv", "a.csv.gz"] {
        for unit in ["1GB", "1kB"] {
            let out = format!("{input}.{unit}");
            let args = ["tokenize", input, "--out", &out, "--unit-size", unit];
            place.run(args).failed(1, &format!("{input}: {what}"));
            let done = place.run([&args[..], &["--overwrite", "--bad-records", "skip"]].concat());
            let line = format!("left out: {input}: {what}\n");
            assert!(done.stderr.contains(&line), "{done:?}");
        }
    }
    place.write(
        "a.jsonl",
        "{\"text\":\"a\"}\n{\"text\":\"b\"}\r{\"text\":\"c\"}\r",
    );
    let line = "a.jsonl: line 2: column 14: something follows the object after \\r alone, which does not \
                end a line; end its lines with \\n";
    place
        .run(["tokenize", "a.jsonl", "--out", "j"])
        .failed(1, line);
}
