//! What is reported to people and programs: names from outside, exit codes, errors as JSON.

use crate::support;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::{Value, json};
use shardmill::show::is_control;

use support::{Done, Place, npy_table, skipped};

/// Names that a terminal or a reader would take for something else.
const NAMES: [&[u8]; 14] = [
    b"\x1b[31mred\x1b[0m",
    b"\x1b]0;title\x07",
    "\u{9b}31m".as_bytes(),
    "\u{85}next".as_bytes(),
    b"\x08\x08\x08hidden\x7f",
    b"\tt\x0b\x0c",
    b"two\nshardmill: error: forged",
    b"back\rshardmill: d: whole",
    "\u{2028}line\u{2029}".as_bytes(),
    "\u{202e}txt.exe".as_bytes(),
    "\u{2066}a\u{2069}b\u{2067}".as_bytes(),
    "\u{200f}\u{200e}\u{61c}".as_bytes(),
    b"\xff\x1b[2J\xe2\x80",
    "gr\u{fc}n \\ \"$(x)\" \u{65e5}\u{672c}".as_bytes(),
];

/// `name` with more before and after it.
fn around(before: &str, middle: &OsStr, after: &str) -> OsString {
    let mut text = OsString::from(before);
    text.push(middle);
    text.push(after);
    text
}

/// Checks that what was printed for people is lines of plain text, each written by the program
/// itself.
#[track_caller]
fn is_plain(done: &Done, context: &str) {
    let stdout = std::str::from_utf8(&done.stdout).unwrap();
    for text in [&done.stderr, stdout] {
        let controls = text.chars().filter(|c| *c != '\n' && is_control(*c));
        assert_eq!(controls.count(), 0, "{context}: {text:?}");
    }
    for line in done.stderr.lines() {
        assert!(line.starts_with("shardmill: "), "{context}: {line:?}");
        assert!(!line.starts_with("shardmill: error: forged"), "{context}");
    }
    assert!(done.stderr.lines().count() <= 2, "{context}: {done:?}");
}

/// A place where everything has a name made to fool a terminal.
struct Evil<'a> {
    place: Place,
    name: &'a OsStr,
}

impl<'a> Evil<'a> {
    fn new(name: &'a OsStr) -> Self {
        let place = Place::new();
        place.write(around("", name, ".txt"), "Hello world, a story.\n");
        place.write(around("bad", name, ".txt"), b"a\xff");
        place.write(around("bad", name, ".jsonl"), "{\"text\": 1}\n");
        place.write(around("bad", name, ".npy"), "no table");
        place.write("ids.npy", npy_table(2, 3));
        Self { place, name }
    }

    /// Runs the program with the arguments of `words`, where `%` is the name.
    #[track_caller]
    fn run(&self, words: &str, codes: &[i32]) -> Done {
        let args = words.split(' ').map(|word| match word.split_once('%') {
            Some((before, after)) => around(before, self.name, after),
            None => word.into(),
        });
        let done = self.place.run(args);
        let context = format!("{words} {}", self.name.display());
        assert!(codes.contains(&done.code.unwrap()), "{context}: {done:?}");
        is_plain(&done, &context);
        done
    }

    #[track_caller]
    fn prints(&self, words: &str, lines: usize) {
        let done = self.run(words, &[0]);
        assert_eq!(done.text().lines().count(), lines, "{words}: {done:?}");
    }
}

#[test]
fn no_name_in_an_output_controls_a_terminal_or_adds_a_line() {
    for bytes in NAMES {
        let evil = Evil::new(OsStr::from_bytes(bytes));
        evil.run("tokenize %.txt --out out% --units 0/1", &[0]);
        evil.prints("status out%", 1);
        evil.run("tokenize %.txt --out out%", &[0]);
        evil.run("tokenize %.txt --out out%", &[0]);
        evil.prints("plan %.txt", 3);
        evil.prints("status out%", 1);
        evil.prints("info out%", 8);
        evil.run("finish out%", &[0]);
        evil.run("verify out%", &[0]);
        let embed = "embed out% --seq-len 2 --init-seed 1 --dim 2 --out emb%";
        evil.run(embed, &[0]);
        evil.run(embed, &[0]);
        evil.run("verify emb%", &[0]);
        let is_utf8 = evil.name.to_str().is_some();
        let code = i32::from(!is_utf8);
        evil.run("positions --kind t5 --seq-len 2 --out p%.npy", &[code]);
    }
}

#[test]
fn no_name_in_an_error_controls_a_terminal_or_adds_a_line() {
    for bytes in NAMES {
        let evil = Evil::new(OsStr::from_bytes(bytes));
        evil.run("tokenize %.txt --out out%", &[0]);
        for command in [
            "info", "decode", "verify", "status", "finish", "plan", "bench",
        ] {
            evil.run(&format!("{command} missing%"), &[1]);
        }
        for input in ["missing%", "bad%.txt", "bad%.jsonl", "*[%"] {
            evil.run(&format!("tokenize {input} --out n"), &[1]);
        }
        evil.run("tokenize bad%.jsonl --text-field % --out n", &[1, 2]);
        evil.run("tokenize %.txt --out out% --eot none", &[1]);
        for option in ["--encoding", "--eot", "--unit-size", "--units", "--threads"] {
            evil.run(&format!("tokenize %.txt --out n {option} %"), &[2]);
        }
        evil.run("embed out% --out n --init-seed %", &[2]);
        evil.run("%", &[2]);
        evil.run("info out% %", &[2]);
        for table in ["bad%.npy", "missing%.npy", "bad%.table", "ids.npy#%"] {
            let args = "--position-table none --seq-len 1 --out n --token-table";
            evil.run(&format!("embed out% {args} {table}"), &[1]);
        }
        let damaged = around("out", evil.name, "/shard-00000.u32");
        fs::write(evil.place.path(damaged), "").unwrap();
        for (command, code) in [("verify", 5), ("info", 1), ("decode", 1)] {
            evil.run(&format!("{command} out%"), &[code]);
        }
        assert!(!evil.place.path("n").exists());
    }
}

#[test]
fn names_in_files_are_shown_plain_too() {
    for bytes in NAMES {
        let Ok(evil) = std::str::from_utf8(bytes) else {
            continue;
        };
        let place = Place::new();
        place.write("a.txt", "Hello world, a story.\n");
        assert_eq!(place.run(["tokenize", "a.txt", "--out", "d"]).code, Some(0));
        // A tensor with this name, and one more.
        let tensor = json!({"dtype": "I64", "shape": [1, 1], "data_offsets": [0, 8]});
        let header =
            json!({ evil: tensor, "x": {"dtype": evil, "shape": [], "data_offsets": [0, 0]} });
        let header = header.to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend([0; 8]);
        place.write("t.safetensors", file);
        let npy = support::npy(evil, "False", "(1, 1)", &[0; 8]);
        place.write("t.npy", npy);
        for table in ["t.safetensors", "t.safetensors#y", "t.npy"] {
            let args = "embed d --out e --seq-len 1 --position-table none --token-table".split(' ');
            let done = place.run(args.chain([table]));
            assert_eq!(done.code, Some(1), "{done:?}");
            is_plain(&done, table);
        }
        // A manifest with a member of that name, and a plan.
        let mut manifest: Value = serde_json::from_slice(&place.read("d/manifest.json")).unwrap();
        manifest[evil] = json!(evil);
        place.write("d/manifest.json", manifest.to_string());
        let done = place.run(["info", "d"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        is_plain(&done, "manifest");
        place.write("e/embed.json", json!({ evil: 1 }).to_string());
        let done = place.run(["verify", "e"]);
        assert_eq!(done.code, Some(5), "{done:?}");
        is_plain(&done, "embed.json");
        let record = json!({"text": {evil: 1}, evil: "x"});
        place.write("r.jsonl", format!("{record}\n"));
        for field in ["text", "other"] {
            let done = place.run(["tokenize", "r.jsonl", "--out", "r", "--text-field", field]);
            assert_eq!(done.code, Some(1), "{done:?}");
            is_plain(&done, field);
        }
    }
}

#[test]
fn json_gives_every_name_back_as_it_was_and_holds_no_control_characters() {
    for bytes in NAMES {
        let Ok(evil) = std::str::from_utf8(bytes) else {
            continue;
        };
        let place = Place::new();
        let file = format!("{evil}.txt");
        place.write(&file, format!("{evil} and a story.\n"));
        let made = place.run(["tokenize", &file, "--out", evil, "--json"]);
        assert_eq!((made.code, &made.json()["out"]), (Some(0), &evil.into()));
        let info = place.run(["info", evil, "--json"]);
        let source = &info.json()["manifest"]["sources"][0]["name"];
        assert_eq!(*source, file.replace('%', "%25"));
        let decoded = place.run(["decode", evil, "--json"]);
        assert_eq!(decoded.json()["text"], format!("{evil} and a story.\n"));
        let missing = format!("missing {evil}");
        let failed = place.run(["verify", &missing, "--json"]);
        assert_eq!(failed.json()["path"], missing.as_str());
        for done in [made, info, decoded, failed] {
            is_plain(&done, evil);
        }
        // Text is data, and stays unchanged.
        let decoded = place.run(["decode", evil]);
        assert_eq!(decoded.text(), format!("{evil} and a story.\n"));
    }
}

/// A place with a text `a.txt` and its dataset with embeddings in `d`.
fn dataset() -> Place {
    let place = Place::new();
    place.write("a.txt", "Hello world, a story.\n");
    let args = "run a.txt --out d --seq-len 2 --init-seed 1 --dim 2".split(' ');
    assert_eq!(place.run(args).code, Some(0));
    place
}

#[test]
fn a_path_that_is_wrong_is_no_damage_and_stays_wrong() {
    let place = dataset();
    let long = "x".repeat(300);
    for path in ["nothing", "a.txt", "a.txt/x", &long] {
        for command in ["verify", "info", "decode", "status", "finish"] {
            let done = place.run([command, path]);
            assert_eq!(done.code, Some(1), "{command} {path}: {done:?}");
        }
    }
    symlink("circle", place.path("circle")).unwrap();
    for path in ["nothing", &long, "circle", "circle/x"] {
        let done = place.run(["tokenize", path, "--out", "o"]);
        assert_eq!(done.code, Some(1), "{path}: {done:?}");
        let table = format!("{path}.npy");
        let args = "embed d --out o --seq-len 2 --position-table none --token-table".split(' ');
        let done = place.run(args.chain([table.as_str()]));
        assert_eq!(done.code, Some(1), "{path}: {done:?}");
    }
    for out in [&long, "a.txt/x", "circle/x"] {
        for args in [
            "tokenize a.txt --out",
            "embed d --seq-len 2 --init-seed 1 --dim 2 --out",
        ] {
            let done = place.run(args.split(' ').chain([out]));
            assert_eq!(done.code, Some(1), "{args} {out}: {done:?}");
        }
        let array = format!("{out}.npy");
        let args = "positions --kind t5 --seq-len 2 --out".split(' ');
        let done = place.run(args.chain([array.as_str()]));
        assert_eq!(done.code, Some(1), "{out}: {done:?}");
    }
}

#[test]
fn whatever_lies_in_the_place_of_a_file_is_damage() {
    let files = [
        "d/manifest.json",
        "d/shard-00000.u32",
        "d/shard-00000.docs",
        "d/embeddings/embed.json",
        "d/embeddings/inputs.npy",
    ];
    for file in files {
        let place = dataset();
        let there = place.path(file);
        fs::rename(&there, place.path("kept")).unwrap();
        let check = |what: &str| {
            let done = place.run(["verify", "d"]);
            assert_eq!(done.code, Some(5), "{what} {file}: {done:?}");
            if !file.contains("embeddings") {
                let done = place.run(["info", "d"]);
                assert_eq!(done.code, Some(1), "{what} {file}: {done:?}");
                assert!(done.stderr.contains(file), "{done:?}");
            }
        };
        check("nothing");
        symlink("nowhere", &there).unwrap();
        check("a link to nothing");
        fs::remove_file(&there).unwrap();
        symlink(there.file_name().unwrap(), &there).unwrap();
        check("a circle");
        fs::remove_file(&there).unwrap();
        // A short path, because a socket's path must not be long.
        let _socket = UnixListener::bind(place.path("s")).unwrap();
        fs::rename(place.path("s"), &there).unwrap();
        check("a socket");
        fs::remove_file(&there).unwrap();
        fs::create_dir(&there).unwrap();
        check("a directory");
    }
    let place = dataset();
    fs::remove_dir_all(place.path("d/embeddings")).unwrap();
    assert_eq!(place.run(["verify", "d"]).code, Some(0));
    symlink("nowhere", place.path("d/embeddings")).unwrap();
    assert_eq!(place.run(["verify", "d"]).code, Some(5));
}

/// Runs the program as a user who is subject to file permissions; `None`, with a notice, if that is
/// impossible.
fn as_user(place: &Place, args: &[&str]) -> Option<Done> {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(env!("CARGO_BIN_EXE_shardmill"));
        command
    } else {
        Command::new(env!("CARGO_BIN_EXE_shardmill"))
    };
    let output = command.args(args).current_dir(place.path("")).output();
    let done = output.map(Done::new).ok();
    let done = done.filter(|done| done.stderr.starts_with("shardmill: "));
    if done.is_none() {
        skipped(
            "what may not be opened",
            "no setpriv, or a program that others may not run",
        );
    }
    done
}

#[test]
fn an_output_that_may_not_be_opened_is_worth_another_try() {
    let place = dataset();
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    for mode in [0o000, 0o666] {
        fs::set_permissions(place.path("d"), fs::Permissions::from_mode(mode)).unwrap();
        for args in [
            "tokenize a.txt --out d",
            "tokenize a.txt --out d --overwrite",
            "tokenize a.txt --out d --units 0/2",
            "tokenize a.txt --out d --repair",
            "run a.txt --out d --seq-len 2 --init-seed 1 --dim 2",
            "finish d",
            "status d",
            "info d",
            "verify d",
            "decode d",
            "embed d --out e --seq-len 2 --init-seed 1 --dim 2",
            "positions --kind t5 --seq-len 2 --out d/t5.npy",
        ] {
            let Some(done) = as_user(&place, &args.split(' ').collect::<Vec<_>>()) else {
                return;
            };
            assert_eq!(done.code, Some(3), "{args} {mode:o}: {done:?}");
            assert!(
                !place.path("e").exists() && !place.path("d.partial").exists(),
                "{args}"
            );
        }
    }
    fs::set_permissions(place.path("d"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_error_is_one_json_object_too() {
    let place = dataset();
    place.write("bad.txt", b"ab\xff");
    place.write("bad.jsonl", "{\"text\":\"a\"}\n{\"text\":1}\n");
    place.write("damaged", "");
    let mut hints = 0;
    for (args, expected) in [
        (
            "tokenize nothing --out o",
            json!({"code": 1, "path": "nothing"}),
        ),
        (
            "tokenize bad.txt --out o",
            json!({"code": 1, "path": "bad.txt", "byte": 2}),
        ),
        (
            "run bad.jsonl --out o --init-seed 1 --dim 2",
            json!({"code": 1, "path": "bad.jsonl", "line": 2}),
        ),
        ("plan nothing", json!({"code": 1, "path": "nothing"})),
        ("status nothing", json!({"code": 1, "path": "nothing"})),
        ("finish nothing", json!({"code": 1, "path": "nothing"})),
        ("info nothing", json!({"code": 1, "path": "nothing"})),
        ("verify nothing", json!({"code": 1, "path": "nothing"})),
        ("decode nothing", json!({"code": 1, "path": "nothing"})),
        ("bench nothing", json!({"code": 1, "path": "nothing"})),
        ("decode d --document 7", json!({"code": 2})),
        (
            "embed d --out e --init-seed 1 --dim 2",
            json!({"code": 1, "path": "d"}),
        ),
        (
            "embed d --out a.txt --seq-len 2 --init-seed 1 --dim 2",
            json!({"code": 1, "path": "a.txt"}),
        ),
        (
            "positions --kind t5 --seq-len 2 --out x",
            json!({"code": 1, "path": "x"}),
        ),
        ("positions --kind rope --out x.npy", json!({"code": 2})),
        // Not even a valid command line.
        ("tokenize", json!({"code": 2})),
        ("info d --seq-len many", json!({"code": 2})),
        ("mill", json!({"code": 2})),
    ] {
        let plain = place.run(args.split(' '));
        assert_eq!(plain.stdout, b"", "{args}");
        let done = place.run(args.split(' ').chain(["--json"]));
        assert_eq!(done.stderr, plain.stderr, "{args}");
        assert_eq!(done.code, plain.code, "{args}");
        let mut object = done.json();
        let error = object.as_object_mut().unwrap().remove("error").unwrap();
        let line = plain.stderr.strip_prefix("shardmill: error: ").unwrap();
        if let Some(hint) = object.as_object_mut().unwrap().remove("hint") {
            let hint = format!("; {}", hint.as_str().unwrap());
            assert!(error.as_str().unwrap().ends_with(&hint), "{args}: {hint}");
            hints += 1;
        }
        assert_eq!(error.as_str(), line.strip_suffix('\n'), "{args}");
        assert_eq!(object, expected, "{args}");
        assert_eq!(
            done.code.map(i64::from),
            expected["code"].as_i64(),
            "{args}"
        );
    }
    assert!(hints > 2, "{hints}");
    fs::write(place.path("d/shard-00000.u32"), "").unwrap();
    let done = place.run(["verify", "d", "--json"]);
    assert_eq!(
        (&done.json()["code"], &done.json()["path"]),
        (&json!(5), &json!("d/shard-00000.u32"))
    );
    // Standard output is for something else, or this is not an option.
    let to_pipe = "embed d --out - --json --init-seed 1 --dim 2".split(' ');
    assert_eq!(place.run(to_pipe).stdout, b"");
    assert_eq!(place.run(["info", "--", "--json"]).stdout, b"");
}
