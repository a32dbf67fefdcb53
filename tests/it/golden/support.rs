//! The golden files, the fixture text, the program, and tools that a machine may lack.
#![allow(dead_code, reason = "each test uses some of it")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// A file under `fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// A golden file.
pub(crate) fn golden(name: &str) -> Value {
    let path = fixture(&format!("golden/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The text of the notebook.
pub(crate) fn verdict_path() -> PathBuf {
    fixture("text/the-verdict.txt")
}

/// SHA-256 as lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(bytes) {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

/// The numbers of a list of lists, concatenated.
pub(crate) fn flat_u32(rows: &Value) -> Vec<u32> {
    match rows {
        Value::Array(rows) => rows.iter().flat_map(flat_u32).collect(),
        number => vec![u32::try_from(number.as_u64().unwrap()).unwrap()],
    }
}

/// The elements of a `.npy` file and its header's text.
pub(crate) fn read_npy(path: &Path) -> (String, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8(bytes[10..start].to_vec()).unwrap();
    (header, bytes[start..].to_vec())
}

/// The program with `args`, as a command.
pub(crate) fn shardmill<A: AsRef<std::ffi::OsStr>>(args: &[A]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardmill"));
    command.args(args);
    command
}

/// Runs a command that must succeed.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Reports that `unchecked` is not checked because `tool` is missing. If the environment variable
/// `EXPECT_TOOLS` (names separated by commas) lists the tool, the test fails instead.
pub(crate) fn skip(tool: &str, unchecked: &str) {
    let expected = std::env::var("EXPECT_TOOLS").unwrap_or_default();
    assert!(
        !expected.split(',').any(|name| name == tool),
        "EXPECT_TOOLS lists {tool}, which is not here"
    );
    // Straight to the stream: the test harness hides what macros print.
    let line = format!("NOT CHECKED, as there is no {tool}: {unchecked}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
