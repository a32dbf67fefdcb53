//! Documents that are held out for validation.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shardmill::dataset::{Side, Split};

use crate::common_dataset::{fifo, text};
use crate::compressed::{all, pack};
use crate::support::{Place, output_bytes};

const MILLIONTHS: u32 = 300_000;

fn side_of(text: &str) -> Side {
    let split = Split {
        validation_millionths: MILLIONTHS,
        side: Side::Train,
    };
    split.side_of(text.as_bytes())
}

/// Documents of many lengths; some are longer than what decides their side, some begin alike.
pub(super) fn documents() -> Vec<String> {
    let text = text("udhr.txt");
    let mut documents: Vec<_> = text.split("\n\n").take(300).map(str::to_owned).collect();
    for start in 0..12 {
        let from = text.floor_char_boundary(start * 40_000);
        let to = text.floor_char_boundary(from + 30_000 + start * 20_000);
        documents.push(text[from..to].to_owned());
    }
    documents.push(String::new());
    documents
}

/// The texts of the documents of dataset `out`, with how often each is there.
pub(super) fn texts_in(place: &Place, out: &str) -> BTreeMap<String, u32> {
    let store = shardmill::TokenStore::open(&place.path(out)).unwrap();
    let tokenizer = shardmill::Tokenizer::by_name("gpt2").unwrap();
    let mut texts = BTreeMap::new();
    for document in store.documents() {
        let document = document.unwrap();
        let length = document.tokens.end - document.tokens.start;
        let mut ids = vec![0; usize::try_from(length).unwrap()];
        store.read(document.tokens.start, &mut ids).unwrap();
        assert_eq!(ids.pop(), Some(50256));
        let bytes = tokenizer.decode_bytes(&ids).unwrap();
        *texts.entry(String::from_utf8(bytes).unwrap()).or_default() += 1;
    }
    texts
}

const SIDES: [&str; 2] = ["train", "validation"];

/// The documents of each side, with how often each is there.
fn expected(documents: &[String]) -> [BTreeMap<String, u32>; 2] {
    [Side::Train, Side::Validation].map(|side| {
        let mut texts = BTreeMap::new();
        for document in documents.iter().filter(|text| side_of(text) == side) {
            *texts.entry(document.clone()).or_default() += 1;
        }
        texts
    })
}

/// Writes `documents` in all forms; returns the names of the directories.
pub(super) fn write_all(place: &Place, documents: &[String]) -> Vec<&'static str> {
    let lines = documents
        .iter()
        .map(|text| format!("{}\n", json!({ "text": text })));
    let lines = lines.collect::<String>();
    place.write("lines/a.jsonl", &lines);
    for (compression, extension) in all() {
        let name = format!("{extension}/a.jsonl.{extension}");
        place.write(name, pack(compression, &[lines.as_bytes()]));
    }
    for (index, document) in documents.iter().enumerate() {
        place.write(format!("texts/{index:04}.txt"), document);
        let (compression, extension) = all().nth(index % all().count()).unwrap();
        let data = pack(compression, &[document.as_bytes()]);
        place.write(format!("packed/{index:04}.txt.{extension}"), data);
    }
    let quoted = |text: &String| format!("\"{}\"\n", text.replace('"', "\"\""));
    let table = documents.iter().map(quoted).collect::<String>();
    place.write("table/a.csv", format!("text\n{table}"));
    let extensions = all().map(|(_, extension)| extension);
    ["lines", "texts", "packed", "table"]
        .into_iter()
        .chain(extensions)
        .collect()
}

#[test]
fn each_side_has_its_documents_however_they_are_stored() {
    let place = Place::new();
    let documents = documents();
    let expected = expected(&documents);
    for input in write_all(&place, &documents) {
        for (side, expected) in SIDES.into_iter().zip(&expected) {
            let mut first = None;
            for (unit, threads) in [("64MiB", "1"), ("10kB", "1"), ("10kB", "3")] {
                let args = ["tokenize", input, "--out", "out", "--overwrite"];
                let split = ["--validation", "30%", "--side", side];
                let how = ["--unit-size", unit, "--threads", threads];
                let done = place.run([&args[..], &split, &how].concat());
                assert_eq!(done.code, Some(0), "{done:?}");
                assert!(
                    texts_in(&place, "out") == *expected,
                    "{input} {side} {unit}"
                );
                let manifest = place.read("out/manifest.json");
                let manifest: Value = serde_json::from_slice(&manifest).unwrap();
                let count = |name: &str| manifest["totals"][name].as_u64().unwrap();
                let total = count("documents") + count("other_side");
                assert_eq!(total, documents.len() as u64, "{input} {side}");
                let split = json!({"validation_millionths": MILLIONTHS, "side": side});
                assert_eq!(manifest["settings"]["split"], split);
                let verified = place.run(["verify", "out", "--inputs", input]);
                assert_eq!(verified.code, Some(0), "{verified:?}");
                if unit == "10kB" {
                    let files = output_bytes(&place.path("out"));
                    assert!(
                        *first.get_or_insert_with(|| files.clone()) == files,
                        "{input}"
                    );
                }
            }
        }
    }
}

#[test]
fn documents_stay_on_their_side_when_others_are_added() {
    let place = Place::new();
    let mut documents = documents();
    documents.insert(7, "one more".to_owned());
    write_all(&place, &documents);
    let expected = expected(&documents);
    for (side, expected) in SIDES.into_iter().zip(&expected) {
        let split = ["--validation", "0.3", "--side", side];
        let args = ["tokenize", "lines", "--out", side];
        assert_eq!(place.run([&args[..], &split].concat()).code, Some(0));
        assert!(texts_in(&place, side) == *expected, "{side}");
        let plan = place.run([&["plan", "lines", "--json"], &split[..]].concat());
        let count = plan.json()["estimate"]["documents"].as_u64();
        assert_eq!(count, Some(expected.values().sum::<u32>().into()));
    }
    let info = place.run(["info", "train"]);
    assert!(info.text().contains("train, without "), "{info:?}");
    let report = place.run(["report", "train", "--out", "-"]);
    let others = expected[1].values().sum::<u32>();
    let line = format!("On the other side of the split: {others} documents.");
    assert!(report.text().contains(&line), "{report:?}");
    assert!(report.text().contains("300,000 of a million"));
}

#[test]
fn a_text_is_on_one_side_even_in_pieces_of_a_stream_or_of_shared_units() {
    let place = Place::new();
    let text = text("tinyshakespeare.txt").repeat(3);
    place.write("in/a.txt", &text);
    let is_held_out = side_of(&text) == Side::Validation;
    for side in ["train", "validation"] {
        let is_there = is_held_out == (side == "validation");
        let options = [
            "--validation",
            "30%",
            "--side",
            side,
            "--unit-size",
            "500kB",
        ];
        let out = format!("{side}.out");
        for share in ["0/2", "1/2"] {
            let args = [
                &["tokenize", "in", "--out", &out, "--units", share],
                &options[..],
            ]
            .concat();
            assert_eq!(place.run(args).code, Some(0));
        }
        assert_eq!(place.run(["finish", &out]).code, Some(0));
        assert_eq!(
            texts_in(&place, &out).len(),
            usize::from(is_there),
            "{side}"
        );
        let expected = output_bytes(&place.path(&out));
        let pipe = place.path("pipe/a.txt");
        std::fs::create_dir_all(pipe.parent().unwrap()).unwrap();
        let feeder = fifo(&pipe, text.clone().into_bytes());
        let args = ["tokenize", "pipe/a.txt", "--out", "streamed", "--overwrite"];
        let done = place.run([&args[..], &options].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        feeder.join().unwrap();
        std::fs::remove_file(&pipe).unwrap();
        assert!(output_bytes(&place.path("streamed")) == expected, "{side}");
        // A shard that is lost is made again, on its side.
        std::fs::remove_file(place.path(&out).join("shard-00001.docs")).unwrap();
        let args = ["tokenize", "in", "--out", &out, "--repair"];
        let done = place.run([&args[..], &options].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(output_bytes(&place.path(&out)) == expected, "{side}");
    }
}

#[test]
fn what_is_left_out_is_said_and_shares_are_checked() {
    let place = Place::new();
    place.write("a.txt", "A text.");
    let side = if side_of("A text.") == Side::Train {
        "validation"
    } else {
        "train"
    };
    let purpose = if side == "train" {
        "validation"
    } else {
        "training"
    };
    let done = place.run([
        "tokenize",
        "a.txt",
        "--out",
        "o",
        "--validation",
        "30%",
        "--side",
        side,
    ]);
    let line =
        format!("o: 0 tokens, 1 shard, 0 documents from 7 B, 1 document left for {purpose} in ");
    assert!(done.stderr.contains(&line), "{done:?}");
    for (share, what) in [
        ("0", "a share is more than 0 and less than 1"),
        ("100%", "a share is more than 0 and less than 1"),
        ("1.5", "a share is more than 0 and less than 1"),
        (
            "0.0000001",
            "a share has at most six digits after the point, in percent four",
        ),
        (
            "0.00001%",
            "a share has at most six digits after the point, in percent four",
        ),
        ("half", "a share is a number such as 0.5% or 0.005"),
        ("-1%", "a share is a number such as 0.5% or 0.005"),
    ] {
        let done = place.run([
            "tokenize",
            "a.txt",
            "--out",
            "p",
            &format!("--validation={share}"),
        ]);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.stderr.contains(what), "{share} {done:?}");
    }
    let done = place.run(["tokenize", "a.txt", "--out", "p", "--side", "validation"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    for (share, millionths) in [
        ("0.5%", 5000),
        ("0.005", 5000),
        ("0.0001 %", 1),
        ("99.9999%", 999_999),
    ] {
        let args = [
            "tokenize",
            "a.txt",
            "--out",
            "s",
            "--overwrite",
            "--validation",
            share,
        ];
        assert_eq!(place.run(args).code, Some(0));
        let manifest: Value = serde_json::from_slice(&place.read("s/manifest.json")).unwrap();
        assert_eq!(
            manifest["settings"]["split"]["validation_millionths"],
            millionths
        );
    }
}
