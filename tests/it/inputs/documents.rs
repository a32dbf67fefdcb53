//! What is a document in a text.

use shardmill::document::{Format, TextDocuments};
use shardmill::{Corpus, CorpusOptions, Stats, tokenize};
use tempfile::TempDir;

use crate::common_dataset::{Dataset, config, encoding, text};
use crate::compressed::gzip;
use crate::support::{Place, output_bytes};

/// What ends a document of [`TextDocuments::Separated`] here.
const SEPARATOR: &str = "\n\n";

/// A text with blank lines of all kinds, and its documents.
fn sample(what: TextDocuments) -> (String, Vec<String>) {
    let text = text("udhr.txt");
    if what == TextDocuments::Separated {
        let text = text.replace("\n\n", "\n\n\n\n\n");
        let parts = text.split(SEPARATOR);
        let documents = parts.filter(|part| !part.trim().is_empty());
        let documents = documents.map(str::to_owned).collect();
        return (text, documents);
    }
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
fn parts_of_a_text_are_documents_however_they_are_read() {
    for (what, format) in [
        (TextDocuments::Lines, Format::Lines),
        (TextDocuments::Paragraphs, Format::Paragraphs),
        (TextDocuments::Separated, Format::Separated),
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
                if what == TextDocuments::Separated {
                    SEPARATOR.clone_into(&mut config.settings.separator);
                }
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
        assert!(
            ids_from_stdin(&place, what, &text) == expected.ids(),
            "{what:?} from -"
        );
    }
}

/// The ids of `text`, read from standard input and cut.
fn ids_from_stdin(place: &Place, what: TextDocuments, text: &str) -> Vec<u32> {
    let name = what.name();
    let (option, value) = match what {
        TextDocuments::Separated => ("--separator", r"\n\n"),
        _ => ("--documents", name),
    };
    let args = [
        "tokenize",
        "-",
        option,
        value,
        "--out",
        name,
        "--unit-size",
        "50kB",
    ];
    let done = place.run_with(args, text.as_bytes());
    assert_eq!(done.code, Some(0), "{done:?}");
    let files = output_bytes(&place.path(name));
    let shards = files.iter().filter(|(file, _)| file.contains("u32"));
    let bytes: Vec<u8> = shards.flat_map(|(_, bytes)| bytes.clone()).collect();
    let ids = bytes.chunks_exact(4);
    ids.map(|id| u32::from_le_bytes(id.try_into().unwrap()))
        .collect()
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
    let other = "in/b.txt: is read as text, and was read as lines for the dataset; choose --documents and \
                 --input-format as then";
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

#[test]
fn a_separator_is_named_and_may_not_be_empty() {
    let place = Place::new();
    place.write("a.txt", "one<|end|>two");
    let refused = [
        (vec!["--separator", ""], "it is empty"),
        (
            vec!["--separator", r"\x"],
            r"only \n, \r, \t, \0 and \\ are known after a backslash",
        ),
        (
            vec!["--separator", "|", "--documents", "lines"],
            "cannot be used with",
        ),
    ];
    for (options, message) in refused {
        let args = ["tokenize", "a.txt", "--out", "d"]
            .into_iter()
            .chain(options);
        let done = place.run(args);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.stderr.contains(message), "{done:?}");
    }

    let mut options = CorpusOptions::default();
    options.documents = TextDocuments::Separated;
    let corpus = Corpus::open(&[place.path("a.txt").into()], &options).unwrap();
    let stats = Stats::default();
    let made = tokenize(
        &corpus,
        encoding("gpt2"),
        &config(1 << 20),
        &place.path("e"),
        &serde_json::Value::Null,
        &stats,
    );
    let error = made.unwrap_err().to_string();
    assert_eq!(error, "separator: is empty, so no document ends");

    // Another separator is another job.
    let make = |separator| place.run(["tokenize", "a.txt", "--separator", separator, "--out", "d"]);
    assert_eq!(make("<|end|>").code, Some(0));
    assert_eq!(make("<|end|>").code, Some(0));
    let other = make("|");
    assert_eq!(other.code, Some(1), "{other:?}");
    let info = place.run(["info", "d"]);
    assert!(info.text().contains("separator   \"<|end|>\""), "{info:?}");
    let verify = |options: &[&str]| place.run([&["verify", "d"][..], options].concat());
    let inputs = ["--inputs", "a.txt", "--separator"];
    assert_eq!(verify(&[&inputs[..], &["<|end|>"]].concat()).code, Some(0));
    let other = verify(&[&inputs[..], &["|"]].concat());
    let line = "--separator: is \"|\", and the dataset was made with \"<|end|>\"";
    assert!(other.stderr.contains(line), "{other:?}");
    // Without inputs, it would mean nothing.
    assert_eq!(verify(&["--separator", "|"]).code, Some(2));
    // It may look like an option.
    place.write("a.txt", "one---two");
    let done = place.run(["tokenize", "a.txt", "--separator", "---", "--out", "e"]);
    assert!(done.stderr.contains(" 2 documents "), "{done:?}");
}
