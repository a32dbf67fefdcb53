//! What is a document in a text.

use shardmill::document::{Format, TextDocuments};
use shardmill::{Corpus, CorpusOptions, Stats, tokenize};
use tempfile::TempDir;

use crate::common_dataset::{Dataset, config, encoding, text};
use crate::compressed::gzip;
use crate::support::{Place, output_bytes};

/// A text with blank lines of all kinds, and its documents.
fn sample(what: TextDocuments) -> (String, Vec<String>) {
    let text = text("udhr.txt");
    let text = text.replace("\n\n", "\n \r\n\n").replace("d\n", "d\r\n");
    let mut documents: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.split('\n') {
        if line.trim_matches([' ', '\t', '\r']).is_empty() {
            is_open = false;
        } else if is_open && what == TextDocuments::Paragraphs {
            let last = documents.last_mut().unwrap();
            *last = format!("{last}\n{line}");
        } else {
            documents.push(line.to_owned());
            is_open = true;
        }
    }
    let end = |document: String| document.strip_suffix('\r').unwrap_or(&document).to_owned();
    (text, documents.into_iter().map(end).collect())
}

fn lines(documents: &[String]) -> Vec<u8> {
    let lines = documents
        .iter()
        .map(|text| serde_json::json!({ "text": text }));
    lines
        .flat_map(|line| format!("{line}\n").into_bytes())
        .collect()
}

#[test]
fn lines_and_paragraphs_are_documents_however_they_are_read() {
    for (what, format) in [
        (TextDocuments::Lines, Format::Lines),
        (TextDocuments::Paragraphs, Format::Paragraphs),
    ] {
        let (text, documents) = sample(what);
        let place = Place::new();
        let plain = place.write("a.txt", &text);
        let packed = place.write("a.txt.gz", gzip(&[text.as_bytes()]));
        let records = place.write("a.jsonl", lines(&documents));
        let expected = Dataset::make(&[records], encoding("gpt2"), &config(1 << 30));
        let total = expected.store.manifest().totals;
        assert_eq!(total.documents, documents.len() as u64);
        let mut options = CorpusOptions::default();
        options.documents = what;
        for (path, unit, is_cut) in [
            (&plain, 1 << 30, false),
            (&plain, 50_000, true),
            (&packed, 1, false),
        ] {
            let corpus = Corpus::open(&[path.into()], &options).unwrap();
            let mut first = None;
            for threads in [1, 3] {
                let directory = TempDir::new().unwrap();
                let mut config = config(unit);
                config.threads = threads;
                let out = directory.path().join("out");
                let stats = Stats::default();
                tokenize(
                    &corpus,
                    encoding("gpt2"),
                    &config,
                    &out,
                    &serde_json::Value::Null,
                    &stats,
                )
                .unwrap();
                let files = output_bytes(&out);
                let made = Dataset::open(directory);
                assert!(made.ids() == expected.ids(), "{what:?}");
                let manifest = made.store.manifest();
                assert_eq!(manifest.totals.documents, total.documents);
                assert_eq!(manifest.totals.text_bytes, total.text_bytes);
                assert_eq!(manifest.sources[0].format, format);
                assert_eq!(manifest.shards.len() > 20, is_cut);
                let bytes = made
                    .store
                    .documents()
                    .map(|document| document.unwrap().bytes);
                for (range, document) in bytes.zip(&documents) {
                    let range =
                        usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                    assert_eq!(&text[range], document);
                }
                assert!(*first.get_or_insert_with(|| files.clone()) == files);
            }
        }
        let name = what.name();
        let args = [
            "tokenize",
            "-",
            "--documents",
            name,
            "--out",
            name,
            "--unit-size",
            "50kB",
        ];
        let done = place.run_with(args, text.as_bytes());
        assert_eq!(done.code, Some(0), "{done:?}");
        let files = output_bytes(&place.path(name));
        let shards = files.iter().filter(|(file, _)| file.contains("u32"));
        let ids = shards
            .flat_map(|(_, bytes)| bytes.clone())
            .collect::<Vec<_>>();
        assert!(
            ids == bytemuck::cast_slice::<u32, u8>(&expected.ids()),
            "{name} from -"
        );
    }
}

#[test]
fn documents_of_other_formats_are_as_before() {
    let place = Place::new();
    place.write("in/a.jsonl", "{\"text\":\"one\\n\\ntwo\"}\n");
    place.write("in/b.txt", "three\n\nfour\n");
    let done = place.run(["tokenize", "in", "--documents", "lines", "--out", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let manifest: serde_json::Value =
        serde_json::from_slice(&place.read("d/manifest.json")).unwrap();
    assert_eq!(manifest["sources"][0]["format"], "jsonl");
    assert_eq!(manifest["sources"][1]["format"], "lines");
    assert_eq!(manifest["totals"]["documents"], 3);
    let verified = place.run(["verify", "d", "--inputs", "in", "--documents", "lines"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let other = "in/b.txt: is read in another format than for the dataset";
    place
        .run(["verify", "d", "--inputs", "in"])
        .failed(5, other);
    // JSON Lines are not taken for lines of text unless the user says so.
    place.write("c.txt", "{\"a\":1}\n{\"a\":2}\n");
    let args = ["tokenize", "c.txt", "--documents", "lines", "--out", "c"];
    let refused = "c.txt: looks like JSON Lines; choose --input-format jsonl or text";
    place.run(args).failed(1, refused);
    let done = place.run([&args[..], &["--input-format", "text"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    // A line that is not UTF-8 is a bad record.
    place.write("bad.txt", b"good\nb\xffd\n\nend");
    let args = [
        "tokenize",
        "bad.txt",
        "--documents",
        "lines",
        "--out",
        "bad",
    ];
    place.run(args).failed(
        1,
        "bad.txt: byte 6: invalid UTF-8; use --invalid-utf8 replace or ignore to accept it",
    );
    let done = place.run([&args[..], &["--bad-records", "skip"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    let left_out = "left out: bad.txt: line 2: column 2: invalid UTF-8";
    assert!(done.stderr.contains(left_out), "{done:?}");
}
