//! Standard output and the last line on standard error.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use shardmill::show::{is_control, name};

use crate::cli::failure::{Failure, Result};
use crate::cli::human;

/// The name of standard output in messages.
pub(crate) const STDOUT: &str = "standard output";

/// Writes lines for people to standard output, whatever names they contain.
pub(crate) fn print_lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Result<()> {
    let lines = lines.into_iter();
    let lines: Vec<_> = lines
        .map(|line| format!("{}\n", name(line.as_ref())))
        .collect();
    print(&lines.concat())
}

/// Writes to standard output; a full disk or a closed pipe is an error, not a panic.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(Failure::Stdout)
}

/// Writes one JSON object to standard output. JSON requires escapes only for some control
/// characters; here all are escaped, and a reader gets every string unchanged.
pub(crate) fn print_json(value: &Value) -> Result<()> {
    let mut text = String::new();
    for c in format!("{value:#}\n").chars() {
        if c != '\n' && is_control(c) {
            // All of them fit in 16 bits. Writing to a String cannot fail.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    print(&text)
}

/// The last line of a command: what was made, how much and how fast.
pub(crate) fn summary(line: &str) {
    // Write it in one piece, or the lines of two processes mix. If stderr is closed, the work is
    // done all the same.
    let line = format!("shardmill: {}\n", name(line));
    let _ = io::stderr().write_all(line.as_bytes());
}

/// `1.2 s (85.0 MB/s)` for a job that took `time`, of which `bytes` took `making_time`. Without
/// bytes, there is no rate.
pub(crate) fn pace(time: Duration, bytes: u64, making_time: Duration) -> String {
    let time = human::seconds(time);
    if bytes == 0 {
        return time;
    }
    let rate = human::bytes(human::per_second(bytes, making_time));
    format!("{time} ({rate}/s)")
}

/// The contents of `run.json`: how the output was made, by whom and when. It is not part of any
/// hash.
pub(crate) fn run_info(out: &Path) -> Value {
    let arguments: Vec<_> = std::env::args_os()
        .map(|argument| shardmill::show::url(&argument.to_string_lossy()))
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
    let system = rustix::system::uname();
    json!({
        "arguments": arguments,
        "working_directory": absolute(Path::new(".")),
        "out": absolute(out),
        "started_unix_seconds": started,
        "host": system.nodename().to_string_lossy(),
        "shardmill": env!("CARGO_PKG_VERSION"),
        "cpu_level": shardmill::Level::detect().to_string(),
    })
}
