//! `shardmill report` as a user sees it.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;
use shardmill::show::is_control;

use crate::support::{Done, Place, fixture, skipped};

/// A place with a dataset in `d`, made with `options`, whose names and texts look like markup.
fn place(options: &str) -> Place {
    let place = Place::new();
    place.write(
        "in/<script>alert(1)</script>.txt",
        "</style><script>alert(2)</script> \u{202e}\u{0}\u{301} &amp; \"x\" 'y'\n".repeat(9),
    );
    place.write(
        "in/rows.jsonl",
        "{\"text\":\"</title>\"}\n{\"<b>\": \"<i>\"}\n{\"text\":\"\"}\nno\n",
    );
    let line = format!("tokenize in --out d --bad-records skip --unit-size 200B {options}");
    let done = place.run(line.split_whitespace());
    assert_eq!(done.code, Some(0), "{done:?}");
    place
}

const REPORT: [&str; 4] = ["report", "d", "--out", "d.html"];

fn page(place: &Place) -> String {
    String::from_utf8(place.read("d.html")).unwrap()
}

/// Checks tags, attributes and titles of the page with Python's parsers of XML and of HTML.
const PARSE: &str = r#"
import sys
import xml.etree.ElementTree as xml
from html.parser import HTMLParser
page = sys.stdin.buffer.read().decode()
root = xml.fromstring(page)
allowed = set("html head meta title style body main h1 h2 p section dl div dt dd small table thead "
              "tbody tr th td bdi i code figure figcaption details summary svg line rect text path "
              "circle".split())
names = lambda element: element.tag.split("}")[1]
found = {names(element) for element in root.iter()}
assert found <= allowed, found - allowed
for element in root.iter():
    for name, value in element.attrib.items():
        assert not name.startswith("on") and name not in ("href", "src", "style"), name
        assert "url(" not in value and "//" not in value, value
    if element.get("role") == "img":
        title = element[0]
        assert names(title) == "title" and title.text and title.get("id") == element.get("aria-labelledby")
ids = [element.get("id") for element in root.iter() if element.get("id")]
assert len(ids) == len(set(ids)), ids
assert sum(element.get("role") == "img" for element in root.iter()) == int(sys.argv[1])
class Tags(HTMLParser):
    seen = []
    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
    def handle_startendtag(self, tag, attributes):
        self.seen.append(tag)
parser = Tags()
parser.feed(page)
parser.close()
# To HTML, the page is what it is to XML.
assert parser.seen == [names(element) for element in root.iter()], parser.seen
"#;

/// Checks that the page is well-formed and has `charts`.
#[track_caller]
fn is_well_formed(page: &str, charts: usize) {
    let mut python = Command::new("python3");
    python.args(["-c", PARSE, &charts.to_string()]);
    let child = python.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        skipped("that the page is well-formed", "needs python3");
        return;
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n{page}");
}

#[test]
fn the_page_is_well_formed_and_nothing_from_outside_is_markup() {
    let place = place("--special encode");
    let done = place.run(REPORT);
    assert_eq!(done.code, Some(0), "{done:?}");
    let page = page(&place);
    is_well_formed(&page, 3);
    assert!(
        !page.contains("<script") && !page.contains("alert(1)<"),
        "{page}"
    );
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;.txt"));
    // The message of a bad record names the fields that are there.
    assert!(page.contains("&lt;b&gt;"), "{page}");
    assert!(!page.contains(|c| c != '\n' && is_control(c)));
    // Nothing of this machine, and nothing to load: only the namespace is an address.
    assert!(!page.contains(&place.path("").display().to_string()));
    assert_eq!(page.matches("//").count(), 1);
}

#[test]
fn tokens_like_markup_are_text() {
    let place = Place::new();
    // Special tokens of a rank file may be any text.
    place.write(
        "special.json",
        "{\"</style><script>\": 400000, \"&lt;\": 400001}",
    );
    let ranks = fixture("tokenizers/qwen.tiktoken.gz");
    let unpacked = Command::new("gunzip")
        .arg("-c")
        .arg(ranks)
        .output()
        .unwrap();
    place.write("qwen.tiktoken", unpacked.stdout);
    place.write("a.txt", "a</style><script>b&lt;c".repeat(5));
    let tokenizer = "--tokenizer qwen.tiktoken --pattern qwen2 --special-tokens special.json";
    let line = format!("tokenize a.txt --out d --eot none --special encode {tokenizer}");
    let done = place.run(line.split(' '));
    assert_eq!(done.code, Some(0), "{done:?}");
    let line = format!("report d --out d.html {tokenizer}");
    let done = place.run(line.split(' '));
    assert_eq!(done.code, Some(0), "{done:?}");
    let found = page(&place);
    is_well_formed(&found, 3);
    for token in ["&lt;/style&gt;&lt;script&gt;", "&amp;lt;"] {
        let cell = format!("<bdi class=\"token\">{token}</bdi>");
        assert!(found.contains(&cell), "{token}");
    }
    // Most of the ids up to 400,001 are no tokens.
    assert!(found.contains(" are no tokens"), "{found}");

    // Without the tokenizer's options, it cannot be opened: ids alone.
    let done = place.run("report d --out ids.html --json".split(' '));
    let notice = "the page has ids only: --tokenizer is needed for their texts, because the dataset \
                  was made with qwen.tiktoken, which is not built in";
    assert!(done.stderr.contains(notice), "{done:?}");
    assert_eq!(done.json()["report"]["density"], json!(null));
    let found = String::from_utf8(place.read("ids.html")).unwrap();
    is_well_formed(&found, 2);
    assert!(found.contains("<td class=\"n\">") && !found.contains("class=\"token\""));
    assert!(found.contains("the tokenizer <bdi>qwen.tiktoken</bdi> was not at hand"));
    // A tokenizer that is named must be the right one.
    place.run("report d --out x.html --tokenizer gpt2".split(' ')).failed(
        2,
        "--tokenizer: gpt2 has other tokens than qwen.tiktoken, which the dataset was made with",
    );
}

#[test]
fn a_file_is_made_once_and_only_replaced_on_request() {
    let place = place("");
    let done = place.run(REPORT);
    let first = page(&place);
    assert!(done.stderr.starts_with("shardmill: d.html: "), "{done:?}");
    assert!(
        done.stdout.is_empty() && done.stderr.lines().count() == 1,
        "{done:?}"
    );
    let done = place.run(REPORT);
    assert!(
        done.stderr
            .ends_with("; was there already, left as it is\n"),
        "{done:?}"
    );
    place.write("d.html", "years of work");
    place.run(REPORT).failed(
        1,
        "d.html: exists and holds something else; use --overwrite or another --out",
    );
    assert_eq!(page(&place), "years of work");
    let done = place.run([&REPORT[..], &["--overwrite"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(page(&place) == first);
    for (out, line) in [
        (
            "d",
            "d: is not a name that ends in .html; choose another --out",
        ),
        (
            "dir.html",
            "dir.html: exists and is not a file; choose another --out",
        ),
    ] {
        fs::create_dir_all(place.path("dir.html")).unwrap();
        place
            .run(["report", "d", "--out", out, "--overwrite"])
            .failed(1, line);
    }
    let done = place.run(["report", "d", "--out", "-"]).said(&[]);
    assert!(done.text() == first);
    let done = place.run(["report", "d", "--out", "-", "--json"]);
    assert!(done.stdout.is_empty());
    done.failed(
        2,
        "--json: and --out - both write to standard output; leave one out",
    );
    let names = ["d.html", "dir.html/"];
    let tree = place.tree();
    assert!(
        tree.iter().filter(|name| name.contains("html")).eq(names),
        "{tree:?}"
    );
}

#[test]
fn the_page_depends_on_the_dataset_alone() {
    let first = place("");
    let other = place("--threads 1 --durability none");
    let pages = [(&first, "1"), (&other, "2")].map(|(place, threads)| {
        fs::rename(place.path("d"), place.path(format!("d{threads}"))).unwrap();
        let line = format!("report d{threads} --out new/d.html --json");
        let mut command = place.command(line.split(' '));
        let done = Done::new(command.env("RAYON_NUM_THREADS", threads).output().unwrap());
        assert_eq!(done.code, Some(0), "{done:?}");
        let said = done.json();
        let page = place.read("new/d.html");
        assert_eq!(said["bytes"], page.len());
        (page, said["report"].clone())
    });
    assert!(pages[0] == pages[1]);
    let report = &pages[0].1;
    assert_eq!(report["totals"]["bad_records"]["missing_field"], 1);
    assert_eq!(report["sources"]["count"], 2);
    assert_eq!(report["settings"]["eot"], "after");
}

#[test]
fn damage_is_reported_as_verify_and_info_report_it() {
    let place = place("");
    for (file, at) in [
        ("shard-00000.u32", 9),
        ("shard-00001.docs", 0),
        ("shard-00002.u32", 1),
        ("manifest.json", 300),
    ] {
        let path = format!("d/{file}");
        let whole = place.read(&path);
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        place.write(&path, &damaged);
        let verify = place.run(["verify", "d"]);
        assert_eq!(verify.code, Some(5), "{verify:?}");
        let report = place.run(REPORT);
        assert_eq!((report.code, &report.stderr), (Some(1), &verify.stderr));
        // Too short, and missing.
        place.write(&path, &whole[..whole.len() - 4]);
        let info = place.run(["info", "d"]);
        let report = place.run(REPORT);
        assert_eq!((report.code, &report.stderr), (info.code, &info.stderr));
        assert_eq!(report.code, Some(1));
        fs::remove_file(place.path(&path)).unwrap();
        let info = place.run(["info", "d"]);
        let report = place.run(REPORT);
        assert_eq!((report.code, &report.stderr), (info.code, &info.stderr));
        place.write(&path, &whole);
    }
    assert!(!place.path("d.html").exists());
    assert_eq!(place.run(REPORT).code, Some(0));
}

#[test]
fn a_full_disk_leaves_nothing() {
    const SCRIPT: &str = "mount -t tmpfs -o size=8k none disk || exit 99
\"$@\"; code=$?; find disk -mindepth 1 > left; exit $code";
    let place = place("");
    fs::create_dir(place.path("disk")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]);
    command.arg(env!("CARGO_BIN_EXE_shardmill"));
    command
        .args(["report", "d", "--out", "disk/d.html"])
        .current_dir(place.path(""));
    let output = command.output();
    let Some(done) = output
        .ok()
        .map(Done::new)
        .filter(|_| place.path("left").exists())
    else {
        skipped("a page on a full disk", "needs unshare and mount");
        return;
    };
    done.failed(
        3,
        "disk/d.html: cannot write: No space left on device (os error 28)",
    );
    assert_eq!(place.read("left"), b"");
}
