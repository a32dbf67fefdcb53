//! Standard output and the last line on standard error.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cli::human;

/// Writes to standard output; a full disk or a closed pipe is an error, not a panic.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("standard output")
}

/// Writes one JSON object to standard output.
pub(crate) fn print_json(value: &Value) -> Result<()> {
    print(&format!("{value:#}\n"))
}

/// The last line of a command: what was made, how much and how fast.
pub(crate) fn summary(line: &str) {
    // In one piece, or the lines of two processes mix. Work that is done stays done where nobody
    // listens.
    let line = format!("shardmill: {}\n", one_line(line));
    let _ = io::stderr().write_all(line.as_bytes());
}

/// `text` on one line, whatever the paths in it hold.
pub(crate) fn one_line(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r")
}

/// `, 1.2 s (85.0 MB/s)` for `bytes` in `time`.
pub(crate) fn pace(bytes: u64, time: Duration) -> String {
    format!(
        "{} ({}/s)",
        human::seconds(time),
        human::bytes(human::per_second(bytes, time))
    )
}

/// What `run.json` says: how the output was made, by whom and when. It is part of no hash.
pub(crate) fn run_info(out: &Path) -> Value {
    let arguments: Vec<_> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .unwrap_or_else(|_| path.to_owned())
            .to_string_lossy()
            .into_owned()
    };
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    json!({
        "arguments": arguments,
        "working_directory": absolute(Path::new(".")),
        "out": absolute(out),
        "started_unix_seconds": started,
        "host": host.trim_end(),
        "shardmill": env!("CARGO_PKG_VERSION"),
        "cpu_level": shardmill::Level::detect().to_string(),
    })
}
