//! Runs the program as a user does, in its own directory.

#![allow(
    dead_code,
    reason = "each test file is a crate of its own and uses a part of this"
)]

pub(crate) mod disk;
pub(crate) mod long_texts;
pub(crate) mod strace;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

/// The path of a file in `fixtures/`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// A directory that is removed at the end; every command runs in it.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { dir }
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, creating the directories that it needs.
    pub(crate) fn write(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file in the place")).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Makes a named pipe.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success(), "mkfifo {}", path.display());
        path
    }

    /// Everything below this place, in order; directories end in a slash.
    pub(crate) fn tree(&self) -> Vec<String> {
        tree(self.dir.path())
    }

    /// The program, not started yet; this process' environment does not affect what it shows.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardmill"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_remove("COLUMNS")
            .env_remove("RUST_BACKTRACE")
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Done {
        Done::new(self.command(args).output().unwrap())
    }

    /// Runs the program with `stdin` on its standard input.
    pub(crate) fn run_with<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        stdin: &[u8],
    ) -> Done {
        let mut child = spawn(self.command(args).stdin(Stdio::piped()));
        let mut pipe = child.stdin.take().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                // The program may refuse the input before it has read all of it.
                let _ = pipe.write_all(stdin);
            });
            Done::new(child.wait_with_output().unwrap())
        })
    }
}

/// `command`, which a shell runs after `before`, such as a limit.
pub(crate) fn after(before: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{before} && exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    if let Some(directory) = command.get_current_dir() {
        shell.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// Starts a command with both of its outputs piped.
pub(crate) fn spawn(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs the program with standard output on `/dev/full`, which accepts nothing.
pub(crate) fn run_to_full_disk(command: &mut Command) -> Done {
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    Done::new(command.stdout(full).output().unwrap())
}

/// Everything below `directory`, in order; directories end in a slash.
pub(crate) fn tree(directory: &Path) -> Vec<String> {
    fn walk(directory: &Path, prefix: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                let name = name + "/";
                walk(&entry.path(), &name, found);
                found.push(name);
            } else {
                found.push(name);
            }
        }
    }
    let mut found = Vec::new();
    walk(directory, "", &mut found);
    found.sort();
    found
}

/// The bytes of every file of an output, by name, except `run.json`, which differs with every run.
pub(crate) fn output_bytes(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    tree(directory)
        .into_iter()
        .filter(|name| !name.ends_with('/') && !name.ends_with("run.json"))
        .map(|name| {
            let bytes = fs::read(directory.join(&name)).unwrap();
            (name, bytes)
        })
        .collect()
}

/// The result of a run of the program.
#[derive(Debug)]
pub(crate) struct Done {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
        }
    }

    /// Checks that it succeeded, and that standard error, masked, is exactly `lines`.
    #[track_caller]
    pub(crate) fn said(self, lines: &[&str]) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        let found: Vec<_> = self.stderr.lines().map(mask).collect();
        let expected: Vec<_> = lines
            .iter()
            .map(|line| format!("shardmill: {line}"))
            .collect();
        assert_eq!(found, expected);
        self
    }

    /// Checks that it failed with `code` and exactly this one line, and that standard output is
    /// empty or, with `--json`, the same error as an object.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, line: &str) {
        assert_eq!(self.stderr, format!("shardmill: error: {line}\n"));
        assert_eq!(self.code, Some(code), "{self:?}");
        if !self.stdout.is_empty() {
            let object = self.json();
            assert_eq!(
                (&object["error"], &object["code"]),
                (&line.into(), &code.into())
            );
        }
    }

    /// Standard output as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8 on stdout")
    }

    /// Standard output, which must be one JSON object and nothing else; seconds become 0.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let mut value: Value = serde_json::from_slice(&self.stdout).expect("JSON on stdout");
        assert!(value.is_object(), "{value}");
        hide_seconds(&mut value);
        value
    }
}

fn hide_seconds(value: &mut Value) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        if key == "seconds" {
            assert!(value.as_f64().is_some_and(|seconds| seconds >= 0.0));
            *value = 0.into();
        } else {
            hide_seconds(value);
        }
    }
}

/// A summary line whose end is replaced: a time and a rate by `in TIME (RATE)`, a time alone by
/// `in TIME`.
pub(crate) fn mask(line: &str) -> String {
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    let masked = line.rsplit_once(" in ").and_then(|(what, pace)| {
        if let Some((time, "ms" | "s")) = pace.split_once(' ')
            && is_number(time)
        {
            return Some(format!("{what} in TIME"));
        }
        let (time, rate) = pace.strip_suffix("/s)")?.split_once(" (")?;
        let (time, time_unit) = time.split_once(' ')?;
        let (rate, rate_unit) = rate.split_once(' ')?;
        let is_pace = is_number(time)
            && is_number(rate)
            && ["ms", "s"].contains(&time_unit)
            && ["B", "kB", "MB", "GB"].contains(&rate_unit);
        is_pace.then(|| format!("{what} in TIME (RATE)"))
    });
    masked.unwrap_or_else(|| line.to_owned())
}

/// Reports on the real standard error, bypassing the test runner's capture, what was not tested.
pub(crate) fn skipped(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}

/// A `.npy` file with the given header, valid or not.
pub(crate) fn npy(descr: &str, fortran_order: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [
        b"\x93NUMPY\x01\x00",
        &length[..],
        header.as_bytes(),
        elements,
    ]
    .concat()
}

/// A `.npy` table of f32: element k is k / 8.
pub(crate) fn npy_table(rows: usize, dim: usize) -> Vec<u8> {
    let elements = (0..rows * dim).flat_map(|k| {
        #[expect(clippy::cast_precision_loss, reason = "any value does")]
        let value = k as f32 / 8.0;
        value.to_le_bytes()
    });
    let elements: Vec<u8> = elements.collect();
    npy("<f4", "False", &format!("({rows}, {dim})"), &elements)
}
