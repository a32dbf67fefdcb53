//! Which field holds the documents, if the user does not say.

use std::path::Path;

use crate::compressed::gzip;
use crate::support::Place;

#[track_caller]
fn check(place: &Place, inputs: &[&str], field: &str, said: bool) {
    let out = format!("{}.out", inputs.concat().replace('-', ""));
    let done = place.run([&["tokenize"], inputs, &["--out", &out]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    let manifest = place.read(Path::new(&out).join("manifest.json"));
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["settings"]["text_field"], field);
    let line = format!(
        "takes the documents from the field '{field}', which the first records have instead of 'text'"
    );
    assert_eq!(done.stderr.contains(&line), said, "{done:?}");
    let plan = place.run([&["plan"], inputs].concat());
    assert_eq!(plan.stderr.contains(&line), said, "{plan:?}");
}

#[test]
fn the_first_record_says_which_field_holds_the_documents() {
    let place = Place::new();
    let content = "\n{\"id\":1,\"raw_content\":\"raw\",\"content\":\"a\"}\n{\"content\":\"b\"}\n";
    place.write("content.jsonl", content);
    place.write("raw.jsonl", "{\"raw_content\":\"a\"}\n");
    place.write("text.jsonl", "{\"content\":\"no\",\"text\":\"a\"}\n");
    place.write("packed.jsonl.gz", gzip(&[content.as_bytes()]));
    place.write("a.txt", "Text has no fields.");
    check(&place, &["content.jsonl"], "content", true);
    check(&place, &["a.txt", "packed.jsonl.gz"], "content", true);
    check(&place, &["raw.jsonl"], "raw_content", true);
    check(&place, &["text.jsonl"], "text", false);
    check(&place, &["a.txt"], "text", false);
    // Empty sources, broken lines and records without any of them decide nothing.
    let long = format!("{{\"content\":\"{}\"}}\n", "x y ".repeat(700_000));
    place.write("long.jsonl", &long);
    place.write("long.jsonl.gz", gzip(&[long.as_bytes()]));
    place.write("empty.jsonl", "");
    place.write(
        "other.jsonl",
        "{broken\n[]\n{\"id\":1}\n{\"content\":\"a\"}\n",
    );
    check(&place, &["long.jsonl"], "content", true);
    check(&place, &["long.jsonl.gz"], "content", true);
    check(&place, &["empty.jsonl", "content.jsonl"], "content", true);
    check(
        &place,
        &["other.jsonl", "--bad-records", "skip"],
        "content",
        true,
    );
    // What the user says counts.
    let done = place.run([
        "tokenize",
        "content.jsonl",
        "--out",
        "d",
        "--text-field",
        "text",
    ]);
    let line = "content.jsonl: line 2: no field \"text\"; there are \"id\", \"raw_content\", \"content\"; \
                choose one with --text-field";
    done.failed(1, line);
    // A text that is null is there.
    place.write("null.jsonl", "{\"text\":null,\"content\":\"a\"}\n");
    let done = place.run(["tokenize", "null.jsonl", "--out", "d"]);
    done.failed(
        1,
        "null.jsonl: line 1: field \"text\" is null, not a string",
    );
}

#[test]
fn a_name_with_absurdly_many_parts_is_refused() {
    let place = Place::new();
    let deep = |depth: usize| {
        let (open, close) = ("{\"a\":".repeat(depth), "}".repeat(depth));
        format!("{open}\"deep text\"{close}\n")
    };
    let name = |dots: usize| format!("a{}", ".a".repeat(dots));
    place.write("a.jsonl", deep(30_001));
    place.write("a.csv", "text\na\n");
    for input in ["a.jsonl", "a.csv"] {
        for command in ["tokenize", "plan"] {
            let name = name(30_000);
            let mut args = vec![command, input, "--text-field", &name];
            if command == "tokenize" {
                args.extend(["--out", "d"]);
            }
            let line = "--text-field: has 30000 dots, and may have 64 at most";
            place.run(args).failed(2, line);
        }
    }
    place.write("b.jsonl", deep(65));
    let name = name(64);
    let args = ["tokenize", "b.jsonl", "--out", "b", "--text-field", &name];
    assert_eq!(place.run(args).code, Some(0));
    assert_eq!(place.run(["decode", "b"]).text(), "deep text");
    // Depth without a name for it is no problem.
    let args = ["tokenize", "a.jsonl", "--out", "a", "--text-field", "a"];
    let line = "a.jsonl: line 1: field \"a\" is an object, not a string";
    place.run(args).failed(1, line);
}
